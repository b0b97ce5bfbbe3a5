"""What was in the window when the model wrote a reply: the state as the request left, made readable."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from memgpt_core.prompt import Reader
from memgpt_core.state import State
from memgpt_core.views.blocks import Meter, meters
from memgpt_core.views.paging import brought_by, excerpt
from memgpt_core.views.window import Segment, segments


class HitIn(NamedTuple):
    """An item that was in the window because a search had found it."""

    item: str
    tier: str
    carrier: str
    brought_by: str
    excerpt: str


class Sent(NamedTuple):
    """One request.

    Attributes:
        queue: (first id, last id, how many messages); None when the queue was empty.
        covers: how many messages the recursive summary stood for, 0 without one.
        prefix_tokens: the unchanged beginning of the request before, which a model server can reuse.
        server_tokens: the model server's own count of the prompt, when it gave one.
    """

    seq: int
    step: int
    tokens: int
    window: int
    sections: list[Segment]
    blocks: list[Meter]
    queue: tuple[str, str, int] | None
    covers: int
    hits: list[HitIn]
    prefix_tokens: int
    server_tokens: int | None
    sha256: str


def hit_ids(state: State) -> list[str]:
    """Ids of the items in the window as copies, whose rows `sent` wants; each once."""
    return list(dict.fromkeys(item for entry in state.queue for item in entry.holds))


def sent(state: State, read: Reader, items: Mapping[str, Mapping[str, Any]], *, reply: Any = None) -> Sent:
    """The request built at `state.seq` (a `prompt_built` event), with the reply it got."""
    built: Any = read(state.seq)
    hits = [
        HitIn(
            item=item,
            tier="archival" if item.startswith("p") else "recall",
            carrier=entry.id,
            brought_by=brought_by(read(int(entry.id[1:]))),
            excerpt=excerpt(items.get(item)),
        )
        for entry in state.queue
        for item in entry.holds
    ]
    ids = [entry.id for entry in state.queue]
    return Sent(
        seq=built.seq,
        step=built.step,
        tokens=sum(built.sections.values()),
        window=built.window_tokens,
        sections=segments(built.sections, built.window_tokens),
        blocks=meters(state),
        queue=(ids[0], ids[-1], len(ids)) if ids else None,
        covers=state.summary.covers if state.summary else 0,
        hits=hits,
        prefix_tokens=built.prefix_tokens,
        server_tokens=reply.measured.prompt_tokens if reply else None,
        sha256=built.sha256,
    )
