"""Messages by hand: their text, whether they stand in recall storage, and whether they are in the window.

A message that is queued is clipped and counted like a new one, so the window never grows by a correction. One that
comes back is not the same as one that is put back: *requeue* gives an evicted message a new slot at the end, *restore*
undoes a deletion and gives the old slot again while no flush has closed over it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from memgpt_core.edits.hand import Hand, capital, checked_ids, named
from memgpt_core.errors import EditRefused
from memgpt_core.events import (
    Event,
    Measured,
    MessageDeleted,
    MessageEdited,
    MessagePinned,
    MessageRequeued,
    MessageRestored,
    clean,
)
from memgpt_core.prompt import brought_back, message_of
from memgpt_core.queue_manager import fit_again, pinned_tokens, room_tokens, total_tokens
from memgpt_core.state import Entry, State, fold
from memgpt_core.tokens import count_message


class Effect(NamedTuple):
    """What an edit or a deletion would do to the window now.

    Attributes:
        in_window: the message has a slot of its own there.
        tokens_before, tokens_after: the whole of main context, in tokens.
        says: the same as a sentence.
    """

    in_window: bool
    tokens_before: int
    tokens_after: int
    says: str


class MessageEdits(Hand):
    """Every change a person can make to a message."""

    def edit_message(self, id: str, text: str, *, based_on: int, reason: str = "") -> None:
        """Give a message another text; recall storage and, if it is queued, main context show it.

        Args:
            based_on: `seq_from` of the row the person saw.

        Raises:
            StaleEdit: the message has changed since; carries both texts.
            EditRefused: it was deleted, or there is nothing in the text.
        """
        (id,) = checked_ids([id], "m")
        text, reason = clean(text), clean(reason)
        if not text.strip():
            raise EditRefused("A message cannot be empty. Delete it instead: that can be undone.")
        with self._deciding() as state:
            row = self._current([id])[id]
            self._check_base(id, row, based_on, text)
            if text == row["text"]:
                return
            edited = MessageEdited(message=id, text=text, author="human", based_on=based_on, reason=reason)
            self._journal.commit_many([self._sized(state, edited)])

    def delete_messages(self, ids: Iterable[str]) -> None:
        """Hide messages from recall storage and take them out of the window; `restore_messages` undoes it.

        Raises:
            EditRefused: one is deleted already or never was, or it is what the running turn is about.
        """

        def decide(state: State, some: Sequence[str]) -> list[Event]:
            self._current(some)
            triggers = [
                entry.id
                for entry in state.queue
                if state.turn_open and entry.turn == state.turn and entry.kind == "trigger_received"
            ]
            if asked := [id for id in some if id in triggers]:
                raise EditRefused(
                    f"The agent is working on {named(asked)} in this turn. Stop the turn, or wait for its end."
                )
            return [MessageDeleted(message=id, author="human", pinned=id in state.pinned) for id in some]

        self._in_batches(checked_ids(ids, "m"), decide)

    def restore_messages(self, ids: Iterable[str]) -> None:
        """Undo the deletion of messages; each is queued in its old place, and pinned, if nothing was flushed since.

        Raises:
            EditRefused: one is not deleted, or never was.
        """

        def decide(state: State, some: Sequence[str]) -> list[Event]:
            self._refuse_undeleted(some)
            hidden = {entry.id: entry for entry in state.hidden}
            texts = self._text_seqs(some)
            restored: list[Event] = [self._restored(state, id, texts[id], hidden.get(id)) for id in some]
            pins = [
                MessagePinned(message=id, pinned=True, author="human")
                for id in some
                if id in hidden and self._was_pinned(id)
            ]
            fits = pinned_tokens(fold([*restored, *pins], state)) <= room_tokens(state) // 2
            return [*restored, *pins] if fits else restored

        self._in_batches(checked_ids(ids, "m"), decide)

    def requeue(self, ids: Iterable[str]) -> None:
        """Bring evicted messages back: each gets a slot at the end of the queue, oldest first, and is marked there.

        Raises:
            EditRefused: one is deleted or in the window already, or together they take over half of the queue's room.
        """
        wanted = sorted(checked_ids(ids, "m"), key=lambda id: int(id[1:]))
        with self._deciding() as state:
            self._journal.commit_many(self._requeued(state, wanted))

    def pin(self, ids: Iterable[str], pinned: bool = True) -> None:
        """Keep messages in the window through every flush, or let them leave again; evicted ones come back first.

        What belongs to a pinned call or result stays with it.

        Raises:
            EditRefused: one is deleted, or pinned messages would take over half of the queue's room.
        """
        wanted = sorted(checked_ids(ids, "m"), key=lambda id: int(id[1:]))
        with self._deciding() as state:
            self._current(wanted)
            queued = {entry.id for entry in state.queue}
            events: list[Event] = []
            if pinned and (gone := [id for id in wanted if id not in queued]):
                events += self._requeued(state, gone)
            events += [
                MessagePinned(message=id, pinned=pinned, author="human")
                for id in wanted
                if (id in state.pinned) != pinned
            ]
            if pinned:
                _check_pinned(state, fold(events, state))
            if events:
                self._journal.commit_many(events)

    def message_effect(self, id: str, text: str | None = None) -> Effect:
        """What giving a message another text (None: deleting it) would do to the window; changes nothing.

        Raises:
            EditRefused: it was deleted, or never was.
        """
        (id,) = checked_ids([id], "m")
        with self._deciding() as state:
            self._current([id])
            before = total_tokens(state)
            change: Event = MessageDeleted(message=id, author="human")
            if text is not None:
                edited = MessageEdited(message=id, text=clean(text), author="human", based_on=0)
                change = self._sized(state, edited)
            after = total_tokens(fold([change], state))
            queued = any(entry.id == id for entry in state.queue)
            says = _effect(state, before, after) if queued else "It is not in the window: what the model sees stays."
            if any(id in entry.holds for entry in state.queue):
                says += " A search result in the window still shows the text as it was found."
            return Effect(queued, before, after, says)

    # --- events, made on a state --------------------------------------------------------------------------------

    def _sized(self, state: State, edited: MessageEdited) -> MessageEdited:
        """The edit with the tokens of the message, and with what of it is shown if it is queued."""
        origin = self._journal.read(int(edited.message[1:]))
        entry = next((entry for entry in state.queue if entry.id == edited.message), None)
        if entry is None:
            tokens = count_message(message_of(origin, text=edited.text))
            return edited.model_copy(update={"measured": Measured(tokens=tokens)})
        clip, tokens = fit_again(state, origin, edited.text, back=entry.kind == "message_requeued")
        return edited.model_copy(update={"clip": clip, "measured": Measured(tokens=tokens)})

    def _restored(self, state: State, id: str, text_seq: int, slot: Entry | None) -> MessageRestored:
        restored = MessageRestored(message=id, text_seq=text_seq, queued=slot is not None, author="human")
        if slot is None:
            return restored
        origin, text = self._texts(id, text_seq)
        clip, tokens = fit_again(state, origin, text, back=slot.kind == "message_requeued")
        return restored.model_copy(update={"clip": clip, "measured": Measured(tokens=tokens)})

    def _was_pinned(self, id: str) -> bool:
        """Whether a deleted message was pinned until it was deleted."""
        (row,) = self._rows(
            "SELECT max(seq_from) AS seq FROM events WHERE kind = 'message_deleted' AND about = ?", [id]
        )
        deleted: Any = self._journal.read(row["seq"])
        return bool(deleted.pinned)

    def _requeued(self, state: State, ids: Sequence[str]) -> list[Event]:
        self._current(ids)
        there = {entry.id for entry in state.queue}
        if already := [id for id in ids if id in there]:
            stand = "is" if len(already) == 1 else "are"
            raise EditRefused(f"{capital(named(already))} {stand} in the window already.")
        room = room_tokens(state) // 2
        texts = self._text_seqs(ids)
        made: list[Event] = []
        tokens = 0
        for id in ids:
            requeued = self._back(state, id, texts[id])
            tokens += requeued.measured.tokens or 0
            made.append(requeued)
            if tokens * state.token_factor > room and len(ids) > 1:
                raise EditRefused(
                    f"{capital(named(ids))} do not fit: together they may take {room} tokens, half of the queue's "
                    f"room, and the first {len(made)} of them need {round(tokens * state.token_factor)}. Choose fewer."
                )
        return made

    def _back(self, state: State, id: str, text_seq: int) -> MessageRequeued:
        origin, text = self._texts(id, text_seq)
        clip, tokens = fit_again(state, origin, text, back=True)
        shown = brought_back(origin, text=text, clip=clip)["content"]
        holds = tuple(item for item in getattr(origin, "holds", ()) if f'"{item}"' in shown or f'\\"{item}\\"' in shown)
        return MessageRequeued(
            message=id, text_seq=text_seq, author="human", holds=holds, clip=clip, measured=Measured(tokens=tokens)
        )

    def _texts(self, id: str, text_seq: int) -> tuple[Any, str | None]:
        """(the event that first queued a message, its text if that was edited)."""
        origin: Any = self._journal.read(int(id[1:]))
        edited: Any = self._journal.read(text_seq) if text_seq != origin.seq else None
        return origin, edited.text if edited else None

    def _text_seqs(self, ids: Sequence[str]) -> dict[str, int]:
        """The event with the present text of each message."""
        rows = self._rows(
            "SELECT about AS id, max(seq_from) AS seq FROM events "
            "WHERE kind = 'message_edited' AND about IN (SELECT unnest(?)) GROUP BY about",
            [list(ids)],
        )
        edited = {row["id"]: int(row["seq"]) for row in rows}
        return {id: edited.get(id, int(id[1:])) for id in ids}

    def _refuse_undeleted(self, ids: Sequence[str]) -> None:
        rows = self._rows(
            "SELECT id, bool_or(seq_to IS NULL) AS stands FROM messages WHERE id IN (SELECT unnest(?)) GROUP BY id",
            [list(ids)],
        )
        stands = {row["id"]: row["stands"] for row in rows}
        if never := [id for id in ids if id not in stands]:
            raise EditRefused(f"There is no {named(never)}.")
        if there := [id for id in ids if stands[id]]:
            raise EditRefused(f"{capital(named(there))} {'is' if len(there) == 1 else 'are'} not deleted.")


def _check_pinned(before: State, after: State) -> None:
    tokens, room = pinned_tokens(after), room_tokens(after)
    if tokens > room // 2 and tokens > pinned_tokens(before):
        raise EditRefused(
            f"Pinned messages would take {tokens} tokens, and they may take {room // 2}: half of the {room} that the "
            "queue has beside instructions, functions and core memory. Unpin others first."
        )


def _effect(state: State, before: int, after: int) -> str:
    change = after - before
    more = f"{abs(change)} tokens {'more' if change > 0 else 'less'}" if change else "the same number of tokens"
    return (
        f"It is in the window: main context will have {more}, {after} of {state.settings.limit_tokens}, "
        "from the next model call on."
    )
