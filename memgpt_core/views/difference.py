"""What differs between two windows: what entered, what left, what has another text, and how much begins alike.

Takes the items of both; does not know which steps they are of, nor how a difference is drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

from memgpt_core.prompt import prefix_tokens, scaled
from memgpt_core.state import State, prompt_parts
from memgpt_core.views.window_items import Item


class Changed(NamedTuple):
    """One item with two texts."""

    before: Item
    after: Item


class Difference(NamedTuple):
    """From one window to another.

    Attributes:
        same: how many items are in both with the same text.
        prefix_tokens: how much of the later prompt is the unchanged beginning of the earlier one, in tokens.
        prefix_share: the same over the later prompt, from 0 to 1; a server can reuse so much of what it has read.
        first_new: the first item of the later prompt that the server has to read anew; None when there is none.
    """

    entered: tuple[Item, ...]
    left: tuple[Item, ...]
    changed: tuple[Changed, ...]
    same: int
    tokens_before: int
    tokens_after: int
    prefix_tokens: int
    prefix_share: float
    first_new: Item | None

    @property
    def says(self) -> str:
        """The difference in one line."""
        grown = self.tokens_after - self.tokens_before
        return (
            f"{len(self.entered):,} entered ({_tokens(self.entered)}), {len(self.left):,} left ({_tokens(self.left)}), "
            f"{len(self.changed):,} changed, {self.same:,} stayed as they were; {grown:+,} tokens in all."
        )


def difference(before: Sequence[Item], after: Sequence[Item], states: tuple[State, State]) -> Difference:
    """What happened between two windows; `states` are the two they were built from."""
    old = {item.key: item for item in before}
    new = {item.key: item for item in after}
    both = [(old[key], item) for key, item in new.items() if key in old]
    total = sum(item.tokens for item in after)
    shared = min(total, scaled(states[1], prefix_tokens(prompt_parts(states[0]), prompt_parts(states[1]))))
    return Difference(
        entered=tuple(item for item in after if item.key not in old),
        left=tuple(item for item in before if item.key not in new),
        changed=tuple(Changed(was, now) for was, now in both if was.version != now.version),
        same=sum(1 for was, now in both if was.version == now.version),
        tokens_before=sum(item.tokens for item in before),
        tokens_after=total,
        prefix_tokens=shared,
        prefix_share=shared / total if total else 0.0,
        first_new=_first_new(before, after),
    )


def _first_new(before: Sequence[Item], after: Sequence[Item]) -> Item | None:
    versions = [item.version for item in before]
    for at, item in enumerate(after):
        if at >= len(versions) or versions[at] != item.version:
            return item if item.key != "template" else None
    return None


def _tokens(items: Sequence[Item]) -> str:
    return f"{sum(item.tokens for item in items):,} tokens"
