"""Core memory blocks by hand: their text, their frame, their label, and the way back from each change.

A read-only block is locked against the agent, not against a person. What a person changes while a turn runs is
told to the agent with the same write, so that it reads both at its next step.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from memgpt_core.blueprint import BlockPlan, explain
from memgpt_core.edits.hand import Hand
from memgpt_core.errors import EditRefused, StaleEdit
from memgpt_core.events import BlockDefined, BlockDeleted, BlockRenamed, Event, Measured, WorkingContextEdited, clean
from memgpt_core.ids import ITEM
from memgpt_core.memory_functions import check_block_text, edited
from memgpt_core.prompt import render_block
from memgpt_core.queue_manager import fixed_tokens, pinned_tokens, refusal
from memgpt_core.state import Block, State, fold
from memgpt_core.tokens import count

RESERVED = re.compile(rf"instructions|schemas|summary|template|{ITEM.pattern}")
"""Labels that parts of main context and items have already (`prompt.recount`)."""

_MADE = ("block_defined", "block_deleted", "working_context_edited")
"""What happens to a block while it keeps its label."""

_TEXT = {"block_defined": "value", "working_context_edited": "after"}
"""The field with the text of a version, by the kinds that have one."""


class BlockEdits(Hand):
    """Every change a person can make to core memory."""

    def edit_block(self, label: str, text: str, *, based_on: int, reason: str = "") -> None:
        """Give a block the text a person wrote, based on the version of event `based_on`.

        Raises:
            StaleEdit: the block has changed since; carries both texts.
            EditRefused: there is no such block, or the text does not fit it.
        """
        text, reason = clean(text), clean(reason)
        with self._deciding(on_rows=False) as state:
            block = found_block(state, label, based_on, text)
            self._commit_text(state, block, text, reason)

    def undo_block(self, label: str) -> None:
        """Give a block the text it had before its last change of text, as a new edit.

        Raises:
            EditRefused: its text has never been changed, or the one before does not fit any more.
        """
        with self._deciding() as state:
            block = found_block(state, label)
            last: Any = next((made for made in self._versions(label) if made.kind == "working_context_edited"), None)
            if last is None:
                raise EditRefused(f"Block '{label}' has not been changed yet, so there is nothing to undo.")
            self._commit_text(state, block, last.before, f"undo of event {last.seq}")

    def restore_block(self, label: str, seq: int) -> None:
        """Give a block the text it had just after event `seq` of its history, as a new edit.

        Raises:
            EditRefused: that event is none of the block's, or the text does not fit any more.
        """
        with self._deciding() as state:
            block = found_block(state, label)
            older = itertools.dropwhile(lambda made: made > seq, self._seqs(label))
            versions = (self._journal.read(made) for made in older)
            version: Any = next(versions, None)
            if version is None or version.seq != seq:
                raise EditRefused(f"Event {seq} is no version of block '{label}'. Choose one of its history.")
            while version.kind not in _TEXT:
                version = next(versions)
            text = getattr(version, _TEXT[version.kind])
            self._commit_text(state, block, text, f"restored from event {seq}")

    def define_block(
        self,
        label: str,
        *,
        description: str = "",
        value: str = "",
        limit_chars: int = 2000,
        read_only: bool = False,
        origin: str = "",
    ) -> None:
        """Add a block at the end of the working context; `origin` names where a copied text is from.

        Raises:
            EditRefused: the label cannot be or is taken, the text is over the limit, or the window has no room.
        """
        description, value = clean(description), clean(value)
        with self._deciding(on_rows=False) as state:
            _check_frame(label, description, value, limit_chars)
            _check_free(state, label)
            self._commit_block(
                state,
                _defined(Block(label, description, value, limit_chars, read_only, 0, "human", 0), origin=clean(origin)),
                f"The user added core memory block '{label}'; it stands in your working context now.",
            )

    def change_block(self, label: str, *, description: str, limit_chars: int, read_only: bool, based_on: int) -> None:
        """Give a block another description, limit or lock; its text stays.

        Raises:
            StaleEdit: the block has changed since event `based_on`.
            EditRefused: there is no such block, its text is longer than the limit, or the window has no room.
        """
        description = clean(description)
        with self._deciding(on_rows=False) as state:
            block = found_block(state, label, based_on, description)
            _check_frame(label, description, block.value, limit_chars)
            changed = block._replace(description=description, limit_chars=limit_chars, read_only=read_only)
            if changed == block:
                return
            lock = " It is read-only for you now." if read_only and not block.read_only else ""
            lock = " You may edit it now." if block.read_only and not read_only else lock
            self._commit_block(
                state,
                _defined(changed),
                f"The user changed the description, limit or lock of core memory block '{label}'.{lock}",
            )

    def rename_block(self, label: str, to: str, *, based_on: int) -> None:
        """Give a block another label; its text and its place stay.

        Raises:
            StaleEdit: the block has changed since event `based_on`.
            EditRefused: there is no such block, or the label cannot be or is taken.
        """
        with self._deciding(on_rows=False) as state:
            block = found_block(state, label, based_on, to)
            if to == label:
                return
            _check_frame(to, block.description, block.value, block.limit_chars)
            _check_free(state, to)
            tokens = count(render_block(block._replace(label=to)))
            renamed = BlockRenamed(
                block=label, to=to, author="human", based_on=based_on, measured=Measured(tokens=tokens)
            )
            self._commit_block(state, renamed, f"The user renamed core memory block '{label}' to '{to}'.")

    def delete_block(self, label: str, *, based_on: int) -> None:
        """Take a block out of the working context; `undelete_block` brings it back.

        Raises:
            StaleEdit: the block has changed since event `based_on`.
            EditRefused: there is no such block.
        """
        with self._deciding(on_rows=False) as state:
            found_block(state, label, based_on, "")
            deleted = BlockDeleted(block=label, author="human", based_on=based_on)
            self._commit_block(state, deleted, f"The user deleted core memory block '{label}'.")

    def undelete_block(self, label: str) -> None:
        """Define a deleted block again, as it was and in front of the block it stood in front of.

        Raises:
            EditRefused: it was not deleted, its label is taken, or the window has no room for it any more.
        """
        with self._deciding() as state:
            _check_free(state, label)
            last: Any = next(self._versions(label), None)
            if last is None or last.kind != "block_deleted":
                raise EditRefused(f"No block '{label}' was deleted, so there is nothing to bring back.")
            then = self._state_at(last.seq - 1).blocks
            behind = list(then)[list(then).index(label) + 1 :]
            before = next((other for other in behind if other in state.blocks), "")
            self._commit_block(
                state,
                _defined(then[label]._replace(seq=0), before=before, reason=f"undo of event {last.seq}"),
                f"The user brought back core memory block '{label}'.",
            )

    def block_history(self, label: str, *, at: int | None = None, most: int | None = None) -> list[Event]:
        """The events that made each version of a block, newest first, through renames, deletions and definitions.

        `label` is its label now (or after event `at`); `most` ends the list early.
        """
        return list(itertools.islice(self._versions(label, at=at), most))

    def _versions(self, label: str, *, at: int | None = None) -> Iterator[Any]:
        """The events of `block_history`, each read from the log only when it is asked for."""
        return (self._journal.read(seq) for seq in self._seqs(label, at=at))

    def _seqs(self, label: str, *, at: int | None = None) -> Iterator[int]:
        end = self._journal.state.seq if at is None else at
        before = end + 1
        for renamed in self._renames(end):
            if label not in (renamed.to, renamed.block):
                continue
            yield from self._seqs_about(label, renamed.seq, before)
            if renamed.to != label:
                # Until then the label was that of a block which is called otherwise now.
                return
            yield renamed.seq
            label, before = renamed.block, renamed.seq
        yield from self._seqs_about(label, 0, before)

    def _renames(self, end: int) -> list[Any]:
        rows = self._rows(
            "SELECT seq_from AS seq FROM events WHERE kind = 'block_renamed' AND seq_from <= ? ORDER BY 1 DESC", [end]
        )
        return [self._journal.read(row["seq"]) for row in rows]

    def _seqs_about(self, label: str, after: int, before: int) -> list[int]:
        rows = self._rows(
            "SELECT seq_from AS seq FROM events WHERE about = ? AND kind IN (SELECT unnest(?)) "
            "AND seq_from > ? AND seq_from < ? ORDER BY 1 DESC",
            [label, list(_MADE), after, before],
        )
        return [row["seq"] for row in rows]

    def _commit_text(self, state: State, block: Block, text: str, reason: str, *before: Event) -> None:
        """Commit the block's new text behind the events `before`, if it is another one."""
        if text == block.value:
            return
        if refused := check_block_text(state, block, text):
            raise EditRefused(refused)
        change: WorkingContextEdited = edited(state, block.label, text, author="human", reason=reason)
        said = f"The user edited core memory block '{block.label}'; your working context shows it as it is now."
        self._commit_block(state, change, said, *before)

    def _commit_block(self, state: State, change: Event, sentence: str, *before: Event) -> None:
        after = fold([change], state)
        if fixed_tokens(after) > fixed_tokens(state):
            refused = refusal(fixed_tokens(after), state.settings, pinned=pinned_tokens(state))
            if refused:
                raise EditRefused(refused)
        self._journal.commit_many([*before, change, *self._told(state, sentence)])


def found_block(state: State, label: str, based_on: int | None = None, yours: str = "") -> Block:
    """The block of that label, at the version of event `based_on` if that is given; `yours` is what would be lost.

    Raises:
        StaleEdit: it has changed since.
        EditRefused: there is none.
    """
    block = state.blocks.get(label)
    if block is None:
        raise EditRefused(f"There is no block '{label}' any more. Copy your text before you leave this page.")
    if based_on is not None and based_on != block.seq:
        raise StaleEdit(f"Block '{label}'", current=block.value, current_seq=block.seq, yours=yours)
    return block


def _check_free(state: State, label: str) -> None:
    if label in state.blocks:
        raise EditRefused(f"There is a block '{label}' already. Choose another label.")


def _check_frame(label: str, description: str, value: str, limit_chars: int) -> None:
    if RESERVED.fullmatch(label):
        raise EditRefused(f"'{label}' cannot be a block's label: another part of main context is called that.")
    if len(value) > limit_chars:
        raise EditRefused(
            f"Block '{label}' would have {len(value)} characters and a limit of {limit_chars}. "
            "Shorten the text or raise the limit."
        )
    try:
        BlockPlan(label=label, description=description, value=value, limit_chars=limit_chars)
    except ValidationError as error:
        if any(item["loc"] == ("label",) for item in error.errors(include_url=False, include_input=False)):
            raise EditRefused(
                f"'{label[:60]}' cannot be a block's label: use 1 to 40 small letters, digits, - and _, "
                "beginning with a letter."
            ) from None
        raise EditRefused(f"The block cannot be made: {explain(error)}.") from None


def _defined(block: Block, *, before: str = "", origin: str = "", reason: str = "") -> BlockDefined:
    return BlockDefined(
        block=block.label,
        description=block.description,
        value=block.value,
        limit_chars=block.limit_chars,
        read_only=block.read_only,
        author="human",
        based_on=block.seq,
        before=before,
        origin=origin,
        reason=reason,
        measured=Measured(tokens=count(render_block(block))),
    )
