"""The calls in a Letta agent file: which result answers which, and what those that edited a block did to it.

Pure; the histories themselves are `letta_memory`'s to work out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memgpt_core.events import Call
from memgpt_core.interchange import letta_memory
from memgpt_core.interchange.letta_memory import Edit, History, Step
from memgpt_core.interchange.letta_messages import Item, Result
from memgpt_core.interchange.letta_shapes import AfBlock


class Made(NamedTuple):
    """A call that was made, and what it did to a block, if it was an edit."""

    call: Call
    reply: int
    edit: Edit | None


class Calls:
    """Every call of a file with its result, and every block with its history.

    Attributes:
        returned: positions of the replies of which a call has a result.
        histories: by the block's label.
        begins: by the position of a reply and the label: what a block read before the reply's calls edited it.
        notes: what could not be told, a sentence each.
    """

    def __init__(self, items: Sequence[Item], blocks: Sequence[AfBlock]) -> None:
        self._items = items
        self._made = _pair(items)
        self._steps: dict[tuple[int, str], Step] = {}
        self.notes: list[str] = []
        self.begins: dict[int, dict[str, str]] = {}
        self.returned = frozenset(one.reply for made in self._made.values() for one in made.values())
        self.histories = {block.label: self._replay(block) for block in blocks}
        self._count_strange()

    def answered_by(self, item: Result) -> Made | None:
        """The call that a result answers."""
        return self._made.get(item.position, {}).get(item.call_id)

    def step(self, item: Result) -> Step | None:
        """What the call of a result did to its block, if it edited one that is in the file."""
        return self._steps.get((item.position, item.call_id))

    def _replay(self, block: AfBlock) -> History:
        """A block's history; keeps the step of each result that edited it and its text before each reply that did."""
        made = [(item, one) for item, one in self._edits() if one.edit and one.edit.block == block.label]
        edits = [(one.edit, letta_memory.recorded_text(one.edit, item.value)) for item, one in made if one.edit]
        history = letta_memory.history(edits, block.value)
        for (item, one), step in zip(made, history.steps, strict=True):
            self._steps[(item.position, item.call_id)] = step
            if step.before is not None:
                self.begins.setdefault(one.reply, {}).setdefault(block.label, step.before)
        if not history.start_known:
            self.notes.append(f"What block {block.label!r} read before it was first rewritten is not in the file.")
        if lost := sum(step.after is None for step in history.steps):
            self.notes.append(f"{lost} edits of block {block.label!r} could not be replayed: the texts do not fit.")
        return history

    def _edits(self) -> Iterator[tuple[Result, Made]]:
        """The results of calls that edited a block, in order."""
        for item in self._items:
            if item.what == "result" and item.ok:
                made = self.answered_by(item)
                if made is not None and made.edit is not None:
                    yield item, made

    def _count_strange(self) -> None:
        strange = Counter(one.edit.block for _, one in self._edits() if one.edit)
        for label, times in strange.items():
            if label not in self.histories:
                said = f"{times} edits of block {label[:60]!r} are shown as calls only: the file has no such block."
                self.notes.append(said)


def _pair(items: Sequence[Item]) -> dict[int, dict[str, Made]]:
    """For each result, by its position and call id: the call it answers, the nearest one of its id before it.

    A result without an id answers the oldest call of its name that has no result yet.
    """
    open_calls: list[Made] = []
    found: dict[int, dict[str, Made]] = {}
    for item in items:
        if item.what == "reply":
            open_calls += [Made(call, item.position, letta_memory.edit_of(call)) for call in item.calls]
        elif item.what == "result":
            match = _answered(item, open_calls)
            if match is not None:
                open_calls.remove(match)
                found.setdefault(item.position, {})[item.call_id] = match
    return found


def _answered(item: Result, open_calls: Sequence[Made]) -> Made | None:
    if item.call_id:
        return next((made for made in reversed(open_calls) if made.call.id == item.call_id), None)
    return next((made for made in open_calls if made.call.name == item.name or not item.name), None)
