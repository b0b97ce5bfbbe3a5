"""Passages by hand: insert, edit, tag, delete, merge, and putting archival storage back to an earlier event.

Every change of a passage is one event, and its id never changes, so that what links to it stays right.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from memgpt_core.edits.hand import BATCH, Hand, capital, checked_ids, named
from memgpt_core.errors import EditRefused
from memgpt_core.events import ArchivalDeleted, ArchivalEdited, ArchivalInserted, ArchivalRestored, Event, clean
from memgpt_core.ids import number, seq_of
from memgpt_core.rows import Row
from memgpt_core.state import State

PASSAGE_CHARS = 100_000
"""The longest passage: a search returns and an embedder reads one as a whole; a longer text is a document."""


class Restoration(NamedTuple):
    """One passage that is otherwise than after an earlier event, and what puts it back.

    Attributes:
        what: `delete` one that was not there yet, `restore` one that is deleted now, `edit` the rest.
        now, then: its text; empty when it is not there.
        now_tags, then_tags: its tags.
        based_on: `seq_from` of its present row; 0 for one that is deleted.
    """

    passage: str
    what: Literal["edit", "delete", "restore"]
    now: str
    then: str
    now_tags: tuple[str, ...] = ()
    then_tags: tuple[str, ...] = ()
    based_on: int = 0


class PassageEdits(Hand):
    """Every change a person can make to archival storage."""

    def insert_passage(self, text: str, *, tags: Sequence[str] = (), source: str = "") -> str:
        """Store a passage; its id.

        Raises:
            EditRefused: there is nothing in the text, or it is too long for one passage.
        """
        inserted = ArchivalInserted(
            text=checked_text(text), tags=checked_tags(tags), source=clean(source), author="human"
        )
        with self._deciding(on_rows=False):
            return f"p{self._journal.commit_many([inserted])[0].seq}"

    def edit_passage(self, id: str, text: str, *, tags: Sequence[str], based_on: int, reason: str = "") -> None:
        """Give a passage another text or other tags; searches find the new text and not the old one.

        Args:
            based_on: `seq_from` of the row the person saw.

        Raises:
            StaleEdit: the passage has changed since; carries both texts.
            EditRefused: it was deleted, or the text is empty or too long.
        """
        (id,) = checked_ids([id], "p")
        text, kept = checked_text(text), checked_tags(tags)
        with self._deciding():
            row = self._current([id])[id]
            self._check_base(id, row, based_on, text)
            if text != row["text"] or list(kept) != row["tags"]:
                self._journal.commit_many([_edited(row, text, kept, clean(reason))])

    def tag_passages(self, ids: Iterable[str], add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Add tags to passages and take others away; a passage that has them so already is left alone.

        Raises:
            EditRefused: one was deleted, or never was.
        """
        more, less = checked_tags(add), set(checked_tags(remove))

        def decide(state: State, some: Sequence[str]) -> list[Event]:
            made: list[Event] = []
            for row in self._current(some).values():
                tags = tuple(tag for tag in dict.fromkeys((*row["tags"], *more)) if tag not in less)
                if list(tags) != row["tags"]:
                    made.append(_edited(row, row["text"], tags, "tags"))
            return made

        self._in_batches(checked_ids(ids, "p"), decide)

    def delete_passages(self, ids: Iterable[str], reason: str = "") -> None:
        """Hide passages; `restore_passages` undoes it.

        Raises:
            EditRefused: one is deleted already, or never was.
        """
        reason = clean(reason)

        def decide(state: State, some: Sequence[str]) -> list[Event]:
            self._current(some)
            return [ArchivalDeleted(passage=id, author="human", reason=reason) for id in some]

        self._in_batches(checked_ids(ids, "p"), decide)

    def restore_passages(self, ids: Iterable[str]) -> None:
        """Undo the deletion of passages: each is back under its id, as it was when it was deleted.

        Raises:
            EditRefused: one is not deleted, or never was.
        """

        def decide(state: State, some: Sequence[str]) -> list[Event]:
            rows = self._rows(
                "SELECT id, bool_or(seq_to IS NULL) AS stands FROM passages WHERE id IN (SELECT unnest(?)) GROUP BY id",
                [list(some)],
            )
            stands = {row["id"]: row["stands"] for row in rows}
            if never := [id for id in some if id not in stands]:
                raise EditRefused(f"There is no {named(never)}.")
            if there := [id for id in some if stands[id]]:
                raise EditRefused(f"{capital(named(there))} {'is' if len(there) == 1 else 'are'} not deleted.")
            return [ArchivalRestored(passage=id, author="human") for id in some]

        self._in_batches(checked_ids(ids, "p"), decide)

    def merge_passages(self, keep: str, others: Iterable[str], *, text: str, tags: Sequence[str]) -> None:
        """Make one passage of several: `keep` gets the text and tags, the others are deleted, all in one write.

        Raises:
            EditRefused: one was deleted or never was, or the text is empty or too long.
        """
        (keep,) = checked_ids([keep], "p")
        gone = [id for id in checked_ids(others, "p") if id != keep]
        if not gone:
            raise EditRefused("Choose at least two passages to merge.")
        text, kept = checked_text(text), checked_tags(tags)
        with self._deciding():
            row = self._current([keep, *gone])[keep]
            made: list[Event] = []
            if text != row["text"] or list(kept) != row["tags"]:
                made.append(_edited(row, text, kept, f"merged with {', '.join(gone)}"))
            made += [ArchivalDeleted(passage=id, author="human", reason=f"merged into {keep}") for id in gone]
            self._journal.commit_many(made)

    # --- back to an earlier event -------------------------------------------------------------------------------

    def archival_plan(self, n: int) -> list[Restoration]:
        """What differs between archival storage now and just after event `n`, by id, oldest passage first.

        Passages that came or went with their document since are left as they are: a document is put back as a whole,
        by adding or removing it.
        """
        rows = self._rows(
            "WITH now AS (SELECT id, text, tags, seq_from FROM passages WHERE seq_to IS NULL), "
            "past AS (SELECT id, text, tags FROM passages WHERE seq_from <= ? AND (seq_to IS NULL OR seq_to > ?)) "
            "SELECT coalesce(now.id, past.id) AS id, now.text AS now, past.text AS then, now.tags AS now_tags, "
            "past.tags AS then_tags, now.seq_from AS seq FROM now FULL JOIN past ON now.id = past.id "
            "WHERE now.id IS NULL OR past.id IS NULL OR now.text <> past.text OR now.tags <> past.tags",
            [n, n],
        )
        gone = self._rows(
            "SELECT DISTINCT p.id FROM passages p JOIN events e ON e.seq_from = p.seq_to "
            "WHERE p.document <> '' AND p.seq_to > ? AND e.kind IN ('document_ingested', 'document_removed')",
            [n],
        )
        went = {row["id"] for row in gone}
        mine = [
            row
            for row in rows
            if not (row["now"] is None and row["id"] in went)
            and not (row["then"] is None and "." in row["id"] and seq_of(row["id"]) > n)
        ]
        return [_restoration(row) for row in sorted(mine, key=lambda row: number(row["id"]))]

    def restore_archival(self, n: int) -> int:
        """Put archival storage back to how it was just after event `n`: one event per changed passage; how many.

        Raises:
            EditRefused: there is no such event.
        """
        with self._deciding() as state:
            if not 0 <= n <= state.seq:
                raise EditRefused(f"The log has events 1 to {state.seq}, not {n}.")
            # Held to the end, so that what is put back is one moment's archival storage.
            events = [_put_back(one, f"restored to event {n}") for one in self.archival_plan(n)]
            for at in range(0, len(events), BATCH):
                self._journal.commit_many(events[at : at + BATCH])
            return len(events)


def checked_text(text: str) -> str:
    """A passage's text, made safe for the log.

    Raises:
        EditRefused: there is nothing in it, or it is too long.
    """
    text = clean(text)
    if not text.strip():
        raise EditRefused("The passage is empty. Type its text first.")
    if len(text) > PASSAGE_CHARS:
        raise EditRefused(
            f"The text has {len(text)} characters and a passage holds at most {PASSAGE_CHARS}: a search returns it as "
            "a whole. Split it into passages that can each be understood alone."
        )
    return text


def checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags without blanks around them, each once, in their order."""
    return tuple(dict.fromkeys(tag for raw in tags if (tag := clean(raw).strip())))


def _edited(row: Mapping[str, Any], text: str, tags: tuple[str, ...], reason: str) -> ArchivalEdited:
    return ArchivalEdited(
        passage=row["id"], text=text, tags=tags, author="human", based_on=row["seq_from"], reason=reason
    )


def _restoration(row: Row) -> Restoration:
    what: Literal["edit", "delete", "restore"] = "edit"
    if row["now"] is None:
        what = "restore"
    elif row["then"] is None:
        what = "delete"
    return Restoration(
        row["id"],
        what,
        row["now"] or "",
        row["then"] or "",
        tuple(row["now_tags"] or ()),
        tuple(row["then_tags"] or ()),
        row["seq"] or 0,
    )


def _put_back(one: Restoration, reason: str) -> Event:
    if one.what == "delete":
        return ArchivalDeleted(passage=one.passage, author="human", reason=reason)
    if one.what == "restore":
        return ArchivalRestored(passage=one.passage, author="human", text=one.then, tags=one.then_tags, reason=reason)
    return ArchivalEdited(
        passage=one.passage,
        text=one.then,
        tags=one.then_tags,
        author="human",
        based_on=one.based_on,
        reason=reason,
    )
