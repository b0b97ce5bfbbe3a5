"""A summary made without a model: sentences picked from what leaves the queue, marked as such.

An imported life has no model behind it, and asking one for every flush of a long history would take days. A slot that
says "No summary" would leave the agent with nothing to go on; a few of the sentences themselves are true by
construction and hold the names and dates that a search needs. Pure.
"""

from collections.abc import Iterable
from datetime import date

from memgpt_core.sentences import sentences, worth
from memgpt_core.tokens import count

MARK = "Not a summary by a model: sentences picked from them, newest last."


def extract(before: str, said: Iterable[tuple[date, str, str]], cap_tokens: int) -> str:
    """The sentences of `before` (an extract, or empty) and of (day, who, text), as many as `cap_tokens` hold.

    The best go in: what a user says of themselves, names, numbers; new ones before old ones of the same worth.
    """
    kept = [line for line in before.split("\n")[1:] if line] if before.startswith(MARK) else []
    fresh = [line for day, who, text in said if (line := _line(day, who, text))]
    lines = list(dict.fromkeys(kept + fresh))
    first_fresh = len(lines) - len([line for line in fresh if line not in kept])
    best = sorted(range(len(lines)), key=lambda at: (_worth(lines[at]) + (at >= first_fresh), at), reverse=True)
    left = cap_tokens - count(MARK) - 1
    chosen = []
    for at in best:
        size = count(lines[at]) + 1
        if size <= left:
            chosen.append(at)
            left -= size
    return "\n".join([MARK, *(lines[at] for at in sorted(chosen))])


def _line(day: date, who: str, text: str) -> str:
    """The best sentence of a message with its day and who said it; empty when there is none."""
    best = max(sentences(text), key=worth, default="")
    return f"{day} {who}: {best}" if best else ""


def _worth(line: str) -> int:
    who, _, sentence = line.partition(": ")
    return worth(sentence) + 2 * who.endswith(" user")
