"""The functions a MemGPT agent moves its memory with: each commits facts and returns what the model reads.

The first eight are the paper's (section 2, as in its first code); `memory_insert`, `memory_rethink` and tags
are Letta's; the notes are our short-term tier. Those for documents are `document_functions`. A function that
cannot do what was asked raises `FunctionFailed` with a sentence that says what would work; the executor hands that
to the model.
"""

import json
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple, Protocol

from memgpt_core.documents.library import Shelf
from memgpt_core.events import (
    ArchivalInserted,
    ArchivalSearched,
    Author,
    Event,
    HeartbeatsPaused,
    Hit,
    Measured,
    MessageSent,
    NoteWritten,
    RecallSearched,
    WorkingContextEdited,
)
from memgpt_core.prompt import render_block
from memgpt_core.queue_manager import MIN_ROOM_TOKENS, fixed_tokens
from memgpt_core.state import Block, State
from memgpt_core.tokens import count

EXCERPT_CHARS = 600
"""The most of one hit that a page of results shows; a longer text is shown around its best place."""

MAX_PAUSE_MINUTES = 360
"""As in the paper's code."""

MAX_PAGE = 1_000_000

NOTE_LIMIT_CHARS = 4000


class FunctionFailed(Exception):
    """The model asked for what cannot be done; the message says what would work."""


class Found(Protocol):
    """A page of search results: hits best first, how many matched in all, which signals ranked them."""

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The page, best first."""

    @property
    def total(self) -> int:
        """Matches on all pages."""

    @property
    def mode(self) -> str:
        """`words`, or `words+vectors`."""


class Search(Protocol):
    """The one seam to the stores: live they answer, in a rerun the recording does."""

    def recall(
        self,
        query: str,
        *,
        roles: tuple[str, ...],
        start: str,
        end: str,
        page: int,
        page_size: int,
        exclude: tuple[str, ...],
    ) -> Found:
        """Messages by words and similarity, or by date when the query is empty (oldest first)."""

    def archival(
        self,
        query: str,
        *,
        tags: tuple[str, ...],
        start: str,
        end: str,
        page: int,
        page_size: int,
        document: str | None = None,
    ) -> Found:
        """Passages by words and similarity; with a `document` only its own, with an empty one those of any."""

    def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Current rows of messages and passages by id."""

    @property
    def documents(self) -> Shelf:
        """The agent's documents."""


class Memory(NamedTuple):
    """What a function works on.

    Attributes:
        commit: the journal's door; takes an event, or a decision made on the newest state under its lock.
        state: the newest state.
        read: an event by its seq.
        search: recall and archival search.
    """

    commit: Callable[[Event | Callable[[State], Event | None]], Event | None]
    state: Callable[[], State]
    read: Callable[[int], Event]
    search: Search


class Returned(NamedTuple):
    """What a function hands back: the text for the model and the ids whose text is in it."""

    value: str
    holds: tuple[str, ...] = ()


# --- speaking and waiting -------------------------------------------------------------------------------


def send_message(memory: Memory, message: str) -> Returned:
    """Send a message to the user. Nothing else you write is shown to the user.

    Args:
        message: the text the user will read
    """
    if not message.strip():
        raise FunctionFailed("The message is empty. Call send_message with the text the user should read.")
    memory.commit(MessageSent(text=message))
    return Returned("None")


def pause_heartbeats(memory: Memory, minutes: int) -> Returned:
    """Pause timed heartbeats, so that the timer does not wake you for a while.

    Args:
        minutes: for how long, at most 360
    """
    if minutes < 1:
        raise FunctionFailed("minutes must be 1 or more.")
    minutes = min(minutes, MAX_PAUSE_MINUTES)

    def decide(state: State) -> Event:
        return HeartbeatsPaused(minutes=minutes, until=state.at + timedelta(minutes=minutes))

    memory.commit(decide)
    return Returned(f"Pausing timed heartbeats for {minutes} min")


# --- core memory ------------------------------------------------------------------------------------------


def core_memory_append(memory: Memory, label: str, content: str) -> Returned:
    """Add a line to the end of a core memory block.

    Args:
        label: the block, for example human or persona
        content: the line to add
    """
    if not content.strip():
        raise FunctionFailed("content is empty. Give the line to add.")
    return _edit(memory, label, lambda block: f"{block.value}\n{content}" if block.value else content)


def core_memory_replace(memory: Memory, label: str, old_content: str, new_content: str) -> Returned:
    """Replace text in a core memory block. The old text must be there exactly once.

    Args:
        label: the block, for example human or persona
        old_content: the exact text to replace
        new_content: the new text; empty deletes the old text
    """

    def change(block: Block) -> str:
        if not old_content:
            raise FunctionFailed("old_content is empty. Give the exact text to replace, or use core_memory_append.")
        found = block.value.count(old_content)
        if found == 0:
            raise FunctionFailed(
                f"old_content was not found in block '{label}'. Copy it exactly; the block now reads:\n{block.value}"
            )
        if found > 1:
            lines = [str(block.value.count("\n", 0, at) + 1) for at in _occurrences(block.value, old_content)]
            raise FunctionFailed(
                f"old_content stands {found} times in block '{label}' (lines {', '.join(lines)}). "
                "Give a longer piece that occurs once."
            )
        before, _, after = block.value.partition(old_content)
        if not new_content and (not before or before.endswith("\n")) and (not after or after.startswith("\n")):
            # A line that is gone leaves no empty line behind.
            return (before + after[1:]) if after else before.removesuffix("\n")
        return before + new_content + after

    return _edit(memory, label, change)


def memory_insert(memory: Memory, label: str, new_string: str, insert_line: int = -1) -> Returned:
    """Insert a line into a core memory block at a position.

    Args:
        label: the block, for example human or persona
        new_string: the text to insert
        insert_line: 0 puts it first, -1 last, n after line n
    """

    def change(block: Block) -> str:
        lines = block.value.split("\n") if block.value else []
        if not -1 <= insert_line <= len(lines):
            raise FunctionFailed(
                f"insert_line must be from -1 to {len(lines)}: block '{label}' has {len(lines)} lines."
            )
        position = len(lines) if insert_line == -1 else insert_line
        return "\n".join([*lines[:position], new_string, *lines[position:]])

    return _edit(memory, label, change)


def memory_rethink(memory: Memory, label: str, new_memory: str) -> Returned:
    """Rewrite a whole core memory block, to tidy or shorten it.

    Args:
        label: the block, for example human or persona
        new_memory: the new text of the whole block
    """
    return _edit(memory, label, lambda block: new_memory)


def check_block_text(state: State, block: Block, text: str) -> str:
    """Why `text` cannot become the block's text; empty when it can.

    Beside the block's own limit in characters, the working context may not grow until the queue has no room.
    """
    if len(text) > block.limit_chars:
        return (
            f"Edit refused: exceeds the limit of block '{block.label}', {block.limit_chars} characters "
            f"(requested {len(text)}). Shorten the block first, or put details into archival storage."
        )
    grown = count(render_block(block._replace(value=text))) - block.tokens
    free = state.settings.flush_tokens - fixed_tokens(state) - MIN_ROOM_TOKENS
    if grown > max(0, free):
        return (
            f"Edit refused: it would add {grown} tokens to the working context, and only {max(0, free)} can be taken "
            "from the window. Shorten a block first, or put details into archival storage."
        )
    return ""


def edited(
    state: State, label: str, text: str, *, author: Author, based_on: int | None = None, reason: str = ""
) -> WorkingContextEdited:
    """The event that gives block `label` the new `text`, counted as it will stand in the working context."""
    block = state.blocks[label]
    return WorkingContextEdited(
        block=label,
        before=block.value,
        after=text,
        author=author,
        based_on=block.seq if based_on is None else based_on,
        reason=reason,
        measured=Measured(tokens=count(render_block(block._replace(value=text)))),
    )


def _edit(memory: Memory, label: str, change: Callable[[Block], str]) -> Returned:
    def decide(state: State) -> Event:
        block = state.blocks.get(label)
        if block is None:
            raise FunctionFailed(f"There is no block '{label}'. Blocks: {', '.join(state.blocks) or 'none'}.")
        if block.read_only:
            raise FunctionFailed(f"Block '{label}' is read-only and cannot be edited.")
        text = change(block)
        if text == block.value:
            raise FunctionFailed(f"Nothing changed: block '{label}' already reads that way.")
        if refused := check_block_text(state, block, text):
            raise FunctionFailed(refused)
        return edited(state, label, text, author="agent")

    memory.commit(decide)
    return Returned("None")


# --- recall storage -----------------------------------------------------------------------------------------


def conversation_search(memory: Memory, query: str, page: int = 1) -> Returned:
    """Search the whole conversation history, also what is no longer in main context.

    Args:
        query: words to look for
        page: which page of results, from 1
    """
    if not query.strip():
        raise FunctionFailed("query is empty. Give words to look for, or use conversation_search_date.")
    return _recall(memory, query, "", "", page)


def conversation_search_date(memory: Memory, start_date: str, end_date: str, page: int = 1) -> Returned:
    """List the conversation history of some days, oldest first. Both days are included.

    Args:
        start_date: first day, YYYY-MM-DD
        end_date: last day, YYYY-MM-DD
        page: which page of results, from 1
    """
    return _recall(memory, "", _day(start_date, "start_date"), _day(end_date, "end_date"), page)


def _recall(memory: Memory, query: str, start: str, end: str, page: int) -> Returned:
    _check(start, end, page)
    state, roles = memory.state(), ("user", "assistant")
    # What this turn queued whole is before the model's eyes already: finding the question itself instead of
    # its answer would waste the page.
    asking = tuple(entry.id for entry in state.queue if entry.turn == state.turn and entry.clip is None)
    found = memory.search.recall(
        query, roles=roles, start=start, end=end, page=page, page_size=state.settings.page_size, exclude=asking
    )
    memory.commit(
        RecallSearched(
            query=query,
            roles=roles,
            start=start,
            end=end,
            page=page,
            mode=found.mode,
            measured=Measured(total=found.total, hits=found.hits),
        )
    )
    return _page(memory, query, found, page, state.settings.page_size)


# --- archival storage ---------------------------------------------------------------------------------------


def archival_memory_insert(memory: Memory, content: str, tags: list[str] = []) -> Returned:  # noqa: B006
    """Store a passage in archival storage, for good.

    Args:
        content: the passage, complete enough to be understood by itself
        tags: words to file it under
    """
    if not content.strip():
        raise FunctionFailed("content is empty. Give the passage to store.")
    memory.commit(ArchivalInserted(text=content, tags=tuple(tags), source="agent", author="agent"))
    return Returned("None")


def archival_memory_search(
    memory: Memory,
    query: str,
    tags: list[str] = [],  # noqa: B006
    start_date: str = "",
    end_date: str = "",
    page: int = 1,
) -> Returned:
    """Search archival storage by words and meaning.

    Args:
        query: what to look for
        tags: only passages with one of these tags
        start_date: only passages stored on or after this day, YYYY-MM-DD
        end_date: only passages stored on or before this day, YYYY-MM-DD
        page: which page of results, from 1
    """
    if not query.strip():
        raise FunctionFailed("query is empty. Give words to look for.")
    start, end = (start_date and _day(start_date, "start_date")), (end_date and _day(end_date, "end_date"))
    _check(start, end, page)
    state = memory.state()
    found = memory.search.archival(
        query, tags=tuple(tags), start=start, end=end, page=page, page_size=state.settings.page_size
    )
    memory.commit(
        ArchivalSearched(
            query=query,
            tags=tuple(tags),
            start=start,
            end=end,
            page=page,
            mode=found.mode,
            measured=Measured(total=found.total, hits=found.hits),
        )
    )
    return _page(memory, query, found, page, state.settings.page_size)


def _day(text: str, name: str) -> str:
    try:
        return date.fromisoformat(text.strip()[:10]).isoformat()
    except ValueError:
        raise FunctionFailed(f"{name} must be a day written YYYY-MM-DD, not '{text}'.") from None


def _check(start: str, end: str, page: int) -> None:
    if start and end and start > end:
        raise FunctionFailed(f"start_date {start} is after end_date {end}.")
    if not 1 <= page <= MAX_PAGE:
        raise FunctionFailed("page counts from 1; there are never more than a million.")


def _page(memory: Memory, query: str, found: Found, page: int, page_size: int) -> Returned:
    pages = max(1, -(-found.total // page_size))
    if not found.total:
        return Returned("No results found.")
    if page > pages:
        return Returned(f"No results on page {page}: there are {found.total} results on {pages} pages.")
    rows = memory.search.items([hit.id for hit in found.hits])
    lines = [f"Showing {len(found.hits)} of {found.total} results (page {page} of {pages}):"]
    for hit in found.hits:
        row = rows[hit.id]
        shown = {"id": hit.id, "time": row["at"].strftime("%Y-%m-%d %H:%M")}
        if "role" in row:
            shown["role"] = row["role"]
        if row.get("tags"):
            shown["tags"] = row["tags"]
        text = row["text"] or row.get("thoughts", "")
        lines.append(json.dumps({**shown, "text": excerpt(text, query)}, ensure_ascii=False))
    return Returned("\n".join(lines), holds=tuple(hit.id for hit in found.hits))


def excerpt(text: str, query: str, chars: int = EXCERPT_CHARS) -> str:
    """`text`, or the stretch of it, so many characters, with the most of the query's words when it is longer."""
    if len(text) <= chars:
        return text
    lowered = text.lower()
    words = [word for word in query.lower().split() if len(word) > 2]
    places = sorted(at for word in words for at in _occurrences(lowered, word)) or [0]
    best, most, last = places[0], 0, 0
    for first, at in enumerate(places):
        while last < len(places) and places[last] < at + chars:
            last += 1
        if last - first > most:
            best, most = at, last - first
    start = max(0, min(best - chars // 4, len(text) - chars))
    end = start + chars
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _occurrences(text: str, word: str) -> Iterable[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + len(word))


# --- scratch notes --------------------------------------------------------------------------------------------


def note_write(memory: Memory, name: str, text: str) -> Returned:
    """Write a scratch note, or replace the one of that name. Notes stay out of main context until you read them.

    Args:
        name: a short name to find it by
        text: the note
    """
    name = name.strip()
    if not name or len(name) > 80:
        raise FunctionFailed("name must have 1 to 80 characters.")
    if len(text) > NOTE_LIMIT_CHARS:
        raise FunctionFailed(f"A note holds at most {NOTE_LIMIT_CHARS} characters; this one has {len(text)}.")
    memory.commit(NoteWritten(name=name, text=text, author="agent"))
    return Returned("None")


def note_read(memory: Memory, name: str) -> Returned:
    """Read a scratch note.

    Args:
        name: the name it was written under
    """
    name, notes = name.strip(), memory.state().notes
    if name not in notes:
        raise FunctionFailed(f"There is no note '{name}'. Notes: {', '.join(notes) or 'none'}.")
    event: Any = memory.read(notes[name].seq)
    return Returned(event.text)


def note_list(memory: Memory) -> Returned:
    """List the names and sizes of all scratch notes."""
    notes = memory.state().notes.values()
    return Returned("\n".join(f"{note.name} ({note.chars} characters)" for note in notes) or "There are no notes.")
