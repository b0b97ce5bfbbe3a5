"""What the archival page reads of the stores beyond one query: how rows are embedded, the filters' choices, links."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import streamlit as st

from memgpt_core import passages
from memgpt_core.passages import Embedding, Options, embeddings
from memgpt_core.workspace import Workspace
from pages.parts import moment
from pages.parts.frame import Here

CHOICES_KEPT = 8

_CHOICES: OrderedDict[tuple[str, int], Options] = OrderedDict()
"""By (agent's folder, event): what is committed never changes, and a page is drawn many times at one event."""


def choices_of(here: Here) -> Options:
    """What the filters can be set to, at the point the page is drawn for."""
    asked = (str(here.ws.folder), here.seq)
    if asked not in _CHOICES:
        _CHOICES[asked] = passages.options(here.ws.rows, here.seq)
        while len(_CHOICES) > CHOICES_KEPT:
            _CHOICES.popitem(last=False)
    return _CHOICES[asked]


def embedded(here: Here, rows: Sequence[dict[str, Any]]) -> dict[str, Embedding]:
    """How each row (with `hash`) is embedded."""
    stores = here.ws.projections
    model = stores.embedder
    space = (model.name, model.dim) if model else None
    lacking = list(rows)
    if here.at is None and stores.vectors_loaded():
        # Known without asking the home's vectors, which are many.
        bare = stores.not_embedded()
        lacking = [row for row in rows if row["id"] in bare]
    known = stores.vectors.spaces([row["hash"] for row in lacking]) if model and lacking else {}
    found: dict[str, Embedding] = {row["id"]: "this" if model else "off" for row in rows}
    return found | embeddings(lacking, known, space)


def other_models(ws: Workspace, hash: str) -> str:
    """The models a text has vectors of, in words."""
    return ", ".join(f"{model} ({dim} numbers)" for model, dim in ws.projections.vectors.spaces([hash]).get(hash, []))


def link(ws: Workspace, page: str, label: str, icon: str, *, at: int | None = None, **more: str) -> None:
    """A link to another page of the same agent, at a point in time."""
    st.page_link(page, label=label, icon=f":material/{icon}:", query_params=moment.query(ws, at, **more))
