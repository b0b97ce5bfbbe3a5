"""What becomes of evicted messages, by the name in the settings: each strategy is one small pure function.

A strategy says what takes the queue's first slot and which passages go to archival storage. It never asks the
model: the agent does, before, where the strategy wants a summary. The evicted messages stay in recall storage
whatever the strategy.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Literal, NamedTuple

from memgpt_core.events import ArchivalInserted
from memgpt_core.project import sent_text
from memgpt_core.prompt import Reader
from memgpt_core.state import Entry

SOURCE = "evicted"
"""The source of every passage that a flush has stored."""


class Leaving(NamedTuple):
    """What a flush is about to take out of the queue.

    Attributes:
        entries: the slots that leave, oldest first; never none.
        summary: what the model made of them and of the summary so far; empty when it was not asked or failed.
        read: reads their texts from the log.
    """

    entries: tuple[Entry, ...]
    summary: str
    read: Reader


class Replacement(NamedTuple):
    """What comes of it: the text of the queue's first slot, who made it, and passages for archival storage."""

    text: str
    by: Literal["model", "none"]
    passages: tuple[ArchivalInserted, ...] = ()


class Strategy(NamedTuple):
    """`replace` is told what leaves; with `summarises`, the model's summary of it is made first."""

    summarises: bool
    replace: Callable[[Leaving], Replacement]


def summarise_recursively(leaving: Leaving) -> Replacement:
    """The model's summary takes the slot, as in the paper (section 2.2)."""
    if not leaving.summary:
        return Replacement("No summary could be made.", "none")
    return Replacement(leaving.summary, "model")


def summarise_and_archive(leaving: Leaving) -> Replacement:
    """The same, and the summary is a passage too, so that it can still be found when later ones have shortened it."""
    made = summarise_recursively(leaving)
    if not leaving.summary:
        return made
    tags = ("summary", *_days(leaving))
    return made._replace(passages=(_passage(leaving.summary, tags),))


def archive_verbatim(leaving: Leaving) -> Replacement:
    """Each message that says something is a passage, word for word; the slot says how many and where."""
    passages = []
    for entry in leaving.entries:
        role, text = said(entry, leaving.read)
        if text:
            passages.append(_passage(text, ("evicted", role, entry.id, _day(entry, leaving.read))))
    stored = f"{len(passages)} of them were" if len(passages) != 1 else "1 of them was"
    return Replacement(
        f"No summary was made. Of the last {len(leaving.entries)} that left ({_span(leaving)}), {stored} also stored "
        "word for word in archival storage; archival_memory_search with words of what you need finds them.",
        "none",
        tuple(passages),
    )


def drop_with_notice(leaving: Leaving) -> Replacement:
    """Nothing is kept beside recall storage; the slot says how many left and how to search."""
    return Replacement(
        f"No summary was made. The last {len(leaving.entries)} left now ({_span(leaving)}); conversation_search with "
        "words of what you need finds them, conversation_search_date lists a day.",
        "none",
    )


STRATEGIES: dict[str, Strategy] = {
    "summarise_recursively": Strategy(True, summarise_recursively),
    "summarise_and_archive": Strategy(True, summarise_and_archive),
    "archive_verbatim": Strategy(False, archive_verbatim),
    "drop_with_notice": Strategy(False, drop_with_notice),
}
"""Every strategy by the name in the settings."""


def said(entry: Entry, read: Reader) -> tuple[str, str]:
    """(role, whole text) of a message in which somebody said something; empty for calls, results and notices.

    A function's result is left out: it came from a store, and storing it again would have searches find copies.
    """
    origin: Any = read(int(entry.id[1:]))
    if origin.kind == "trigger_received" and origin.cause in ("user", "system"):
        role, text = origin.cause, origin.text
    elif origin.kind == "model_replied":
        role, text = "assistant", sent_text(origin) if origin.calls else origin.content
    else:
        return "", ""
    if entry.text_seq != origin.seq:
        edited: Any = read(entry.text_seq)
        text = edited.text
    return role, text.strip()


def _passage(text: str, tags: tuple[str, ...]) -> ArchivalInserted:
    return ArchivalInserted(text=text, tags=tags, source=SOURCE, author="engine")


def _day(entry: Entry, read: Reader) -> str:
    return read(int(entry.id[1:])).at.date().isoformat()


def _days(leaving: Leaving) -> tuple[str, ...]:
    """The first and the last day of what leaves; one when they are the same."""
    days = [date.fromisoformat(_day(entry, leaving.read)) for entry in leaving.entries]
    return tuple(dict.fromkeys(day.isoformat() for day in (min(days), max(days))))


def _span(leaving: Leaving) -> str:
    days = _days(leaving)
    return f"of {days[0]}" if len(days) == 1 else f"of {days[0]} to {days[1]}"
