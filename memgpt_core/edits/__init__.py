"""Everything a person can change by hand, each an event with an author, a base and a way back: `Workspace.edits`.

Every decision is made on the newest state under the journal's lock, so an edit falls before or after what the
agent does and never inside. Here are the doors from one tier to another; each tier has its own module.
"""

from collections.abc import Iterable, Sequence

from memgpt_core.edits.blocks import BlockEdits, found_block
from memgpt_core.edits.hand import BATCH, checked_ids, named
from memgpt_core.edits.messages import Effect as Effect
from memgpt_core.edits.messages import MessageEdits
from memgpt_core.edits.passages import PassageEdits, checked_tags, checked_text
from memgpt_core.edits.passages import Restoration as Restoration
from memgpt_core.errors import EditRefused
from memgpt_core.events import ArchivalInserted


class Edits(BlockEdits, MessageEdits, PassageEdits):
    """One agent's memory in a person's hand; safe to use from any thread."""

    def messages_to_archival(self, ids: Iterable[str], tags: Sequence[str] = ()) -> tuple[str, ...]:
        """Store a copy of each message in archival storage; the ids of the new passages.

        Raises:
            EditRefused: a message was deleted, has no text, or is too long for one passage.
        """
        wanted, filed = checked_ids(ids, "m"), checked_tags(tags)
        with self._deciding():
            rows = self._current(wanted)
            if empty := [id for id, row in rows.items() if not (row["text"] or row["thoughts"]).strip()]:
                raise EditRefused(f"There is no text in {named(empty)} to store: only function calls.")
            inserted = [
                ArchivalInserted(
                    text=checked_text(row["text"] or row["thoughts"]),
                    tags=filed,
                    source=f"message {id}",
                    author="human",
                )
                for id, row in rows.items()
            ]
            made = [
                event
                for at in range(0, len(inserted), BATCH)
                for event in self._journal.commit_many(inserted[at : at + BATCH])
            ]
        return tuple(f"p{event.seq}" for event in made)

    def promote_passage(self, id: str, label: str) -> None:
        """Add a passage's text as the last lines of a core memory block; the passage stays where it is.

        Raises:
            EditRefused: the passage or the block is not there any more, or the block or the window has no room.
        """
        (id,) = checked_ids([id], "p")
        with self._deciding() as state:
            block, row = found_block(state, label), self._current([id])[id]
            text = f"{block.value}\n{row['text']}" if block.value else row["text"]
            self._commit_text(state, block, text, f"from passage {id}")

    def demote_line(self, label: str, line: int, *, based_on: int) -> str:
        """Move a line (from 0) of a block into archival storage, in one write; the new passage's id.

        Raises:
            StaleEdit: the block has changed since event `based_on`.
            EditRefused: there is no such block or line, or nothing is in the line.
        """
        with self._deciding(on_rows=False) as state:
            block = found_block(state, label, based_on)
            lines = block.value.split("\n")
            if not 0 <= line < len(lines):
                raise EditRefused(f"Block '{label}' has {len(lines)} lines, so there is no line {line + 1}.")
            inserted = ArchivalInserted(text=checked_text(lines[line]), source=f"block {label}", author="human")
            passage = f"p{state.seq + 1}"
            rest = "\n".join(lines[:line] + lines[line + 1 :])
            self._commit_text(state, block, rest, f"moved to passage {passage}", inserted)
            return passage
