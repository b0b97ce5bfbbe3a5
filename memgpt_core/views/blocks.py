"""Core memory blocks as meters: text, how full, who wrote it last; and what each change of one was."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from memgpt_core.prompt import render_block, scaled
from memgpt_core.state import State
from memgpt_core.tokens import count

AUTHORS = {"agent": "the agent", "human": "you", "engine": "the engine", "import": "an import"}
"""How an author is named on screen."""

TEXT_KINDS = ("block_defined", "working_context_edited")
"""The kinds of event that give a block a text, and so make a version of it."""

KINDS = (*TEXT_KINDS, "block_renamed", "block_deleted")
"""Every kind of event that changes a block."""


class Meter(NamedTuple):
    """A block and its budget.

    Attributes:
        seq: the event that wrote this version; an edit is based on it.
        full: characters over the limit on characters, from 0 to 1.
        tokens: what the block takes of main context, its label and description included.
        window_share: those tokens over the window, from 0 to 1.
    """

    label: str
    description: str
    value: str
    seq: int
    author: str
    read_only: bool
    chars: int
    limit_chars: int
    full: float
    tokens: int
    window_share: float


class Version(NamedTuple):
    """One text a block had."""

    seq: int
    text: str
    author: str
    reason: str


class Change(NamedTuple):
    """One event of a block's life.

    Attributes:
        label: the block's label when it happened, before a renaming.
        what: what was done, in words.
        before, after: the text around it; None where there was no block, and both where the text is not concerned.
        version: it gave the block a text, which can be restored.
    """

    seq: int
    at: datetime
    session: int
    turn: int
    step: int
    label: str
    author: str
    what: str
    reason: str
    before: str | None
    after: str | None
    version: bool


def meters(state: State) -> list[Meter]:
    """The blocks in the order they stand in main context."""
    return [
        Meter(
            label=block.label,
            description=block.description,
            value=block.value,
            seq=block.seq,
            author=AUTHORS[block.author],
            read_only=block.read_only,
            chars=len(block.value),
            limit_chars=block.limit_chars,
            full=min(1.0, len(block.value) / max(1, block.limit_chars)),
            tokens=scaled(state, block.tokens),
            window_share=scaled(state, block.tokens) / state.settings.window_tokens,
        )
        for block in state.blocks.values()
    ]


def tokens_with(state: State, label: str, text: str) -> int:
    """About how many tokens a block would take with another text.

    The difference to the present text is estimated, and added to the agent's own count of the present one.
    """
    block = state.blocks[label]
    grown = count(render_block(block._replace(value=text))) - count(render_block(block))
    return max(0, scaled(state, block.tokens + grown))


def text_of(event: Any) -> str:
    """The text that an event of `TEXT_KINDS` gave its block."""
    text: str = event.after if event.kind == "working_context_edited" else event.value
    return text


def versions(history: Sequence[Any]) -> list[Version]:
    """A block's texts, in the order of its history (newest first)."""
    return [
        Version(event.seq, text_of(event), AUTHORS[event.author], getattr(event, "reason", ""))
        for event in history
        if event.kind in TEXT_KINDS
    ]


def change(event: Any, older: Any = None, defined: Any = None, *, was_deleted: bool = False) -> Change:
    """An event of a block's life in words.

    `older` is the event that gave the block its text before, `defined` the definition that held before; both None
    for the first of its life, and wanted only for a `block_defined`, as is `was_deleted`: that there was no block
    just before.
    """
    what, before, after = _WHAT[event.kind](event, older, defined)
    if was_deleted and older is not None:
        what, before = "brought it back" if after == text_of(older) else "created it anew", None
    return Change(
        seq=event.seq,
        at=event.at,
        session=event.session,
        turn=event.turn,
        step=event.step,
        label=event.block,
        author=event.author,
        what=what,
        reason=getattr(event, "reason", ""),
        before=before,
        after=after,
        version=event.kind in TEXT_KINDS,
    )


_Told = tuple[str, str | None, str | None]


def _edited(event: Any, older: Any, defined: Any) -> _Told:
    return "edited the text", event.before, event.after


def _renamed(event: Any, older: Any, defined: Any) -> _Told:
    return f"renamed it from {event.block} to {event.to}", None, None


def _deleted(event: Any, older: Any, defined: Any) -> _Told:
    return "deleted it", None, None


def _defined(event: Any, older: Any, defined: Any) -> _Told:
    if older is None or defined is None:
        origin = f", a copy of {event.origin}" if event.origin else ""
        return f"created it{origin}, {event.limit_chars:,} characters at most", None, event.value
    told = []
    if event.limit_chars != defined.limit_chars:
        told.append(f"limit {defined.limit_chars:,} → {event.limit_chars:,} characters")
    if event.description != defined.description:
        told.append(f"description “{defined.description}” → “{event.description}”")
    if event.read_only != defined.read_only:
        told.append("locked it against the agent" if event.read_only else "unlocked it for the agent")
    before = text_of(older)
    return "; ".join(told) or "defined it again", before, event.value


_WHAT = {
    "working_context_edited": _edited,
    "block_renamed": _renamed,
    "block_deleted": _deleted,
    "block_defined": _defined,
}
