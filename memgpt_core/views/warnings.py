"""Two warnings about paging with their evidence, *thrashing* and *starving*; the third is in `lost`.

Each is a plain rule with its limits as constants here, so that the screen can state it. A warning says that
something looks wrong and shows what it saw; it never says what the model used or meant.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memgpt_core.ranking import words

RETURNS, WITHIN_TURNS = 2, 20
"""An item thrashes when it is faulted in this often within this many turns."""

FETCHES, IN_TURNS, SMALL_TOKENS = 6, 3, 150
"""Fetches are tiny when this many of at most so many tokens each fall into so many turns running."""

RARE_ROWS, RARE_SHARE = 3, 0.02
"""A word is very rare when at most so many stored texts have it, and rare when at most this share of them has it."""

RARE_WORDS = 2
"""How many rare words of the question a stored text must share; one is enough if it is very rare."""

WORDS_MOST = 8
"""A longer question is judged by so many of its longest words."""

THRASHING_RULE = (
    f"The same message was evicted and faulted in again {RETURNS} times or more within {WITHIN_TURNS} turns; or "
    f"{FETCHES} or more page ins of at most {SMALL_TOKENS} tokens each fell into {IN_TURNS} turns running."
)
STARVING_RULE = (
    "You asked something; a stored message or passage that was not in the window shares a word of the question that "
    f"at most {RARE_ROWS} stored texts have, or {RARE_WORDS} words that at most {RARE_SHARE:.0%} of them have, and "
    "neither core memory, the summary nor another message in the window has those words; and in that turn the agent "
    "never searched, or searched only after it had answered."
)


class Thrash(NamedTuple):
    """A message that keeps coming back: the events that faulted it in, and their turns."""

    item: str
    seqs: tuple[int, ...]
    turns: tuple[int, ...]


class Trickle(NamedTuple):
    """Many small fetches close together: the events, the turns they span, and the tokens of all."""

    seqs: tuple[int, ...]
    turns: tuple[int, int]
    tokens: int


def thrashing(faults: Iterable[Mapping[str, Any]]) -> list[Thrash]:
    """Messages that came back too often too soon, most returns first. Rows: `item`, `seq_from`, `turn`."""
    by_item: dict[str, list[tuple[int, int]]] = {}
    for row in faults:
        by_item.setdefault(row["item"], []).append((row["seq_from"], row["turn"]))
    found = []
    for item, came in by_item.items():
        dense = _densest(sorted(came), RETURNS, WITHIN_TURNS)
        if dense:
            found.append(Thrash(item, tuple(seq for seq, _ in dense), tuple(turn for _, turn in dense)))
    return sorted(found, key=lambda one: (-len(one.seqs), one.seqs))


def trickles(fetches: Iterable[Mapping[str, Any]]) -> list[Trickle]:
    """Runs of tiny fetches, none overlapping another. Rows, one a page in: `seq`, `turn`, `tokens` brought."""
    small = sorted((row["turn"], row["seq"], row["tokens"] or 0) for row in fetches if row["tokens"] <= SMALL_TOKENS)
    found: list[Trickle] = []
    at = 0
    while at < len(small):
        here = [one for one in small[at:] if one[0] < small[at][0] + IN_TURNS]
        if len(here) >= FETCHES:
            seqs = tuple(seq for _, seq, _ in here)
            found.append(Trickle(seqs, (here[0][0], here[-1][0]), sum(tokens for _, _, tokens in here)))
            at += len(here)
        else:
            at += 1
    return found


def _densest(came: Sequence[tuple[int, int]], least: int, turns: int) -> Sequence[tuple[int, int]]:
    """The longest run of (seq, turn) within so many turns, if it has at least so many."""
    best: Sequence[tuple[int, int]] = ()
    for at, (_, first) in enumerate(came):
        run = [one for one in came[at:] if one[1] < first + turns]
        if len(run) >= least and len(run) > len(best):
            best = run
    return best


# --- starving -------------------------------------------------------------------------------------------

_ASKING = re.compile(
    r"\?|^\W*(what|when|where|which|who|whom|whose|why|how|do you|did i|did you|can you|could you|have i|is there|"
    r"remind|remember|recall|tell me|look up|find)\b",
    re.I,
)
_PLAIN_WORDS = """
about above after again against also always another anything around away back because been before being below
between both called came cannot come could days does doing done down during each else ever every everything few find
first from gave getting give goes going good great have having hello here hers herself himself his how into itself
just keep kind know last later least less like look made make many maybe mean mention mentioned more most much must
myself need never next nothing often once only other ours over own please rather really recall remember remind right
said same says shall should since some someone something soon still such sure take talk tell than thank thanks that
their theirs them themselves then there these they thing things think this those through time times today told
tomorrow tonight under until upon used using very want wanted was well were what when where which while whom whose
will with within without would yesterday your yours yourself
"""
"""English words that say nothing about a subject, of four letters and more."""

_PLAIN = frozenset(_PLAIN_WORDS.split())


class Question(NamedTuple):
    """What the user said, and what the agent did in that turn.

    Attributes:
        answered: the event of the first message to the user after it; None when there was none.
        searches: the events of the searches of that turn after it.
    """

    seq: int
    turn: int
    text: str
    answered: int | None
    searches: tuple[int, ...]


class Starving(NamedTuple):
    """A question about something in storage that was not looked up in time.

    Attributes:
        shared: words of the question that are in storage and were nowhere in the window.
        items: ids of stored texts with those words, those with most of them first.
        late: the first search, which came only after the answer; None when there was none.
    """

    question: Question
    shared: tuple[str, ...]
    items: tuple[str, ...]
    late: int | None


def may_starve(question: Question) -> bool:
    """Whether a question was asked, was answered, and nothing was looked up before the answer."""
    if question.answered is None or not _ASKING.search(question.text):
        return False
    return not any(seq < question.answered for seq in question.searches)


def telling_words(text: str) -> list[str]:
    """The words of a question that may name its subject, longest first: long ones, and those with digits."""
    found = dict.fromkeys(
        word for word in words(text) if (len(word) >= 4 and word not in _PLAIN) or any(map(str.isdigit, word))
    )
    return sorted(found, key=lambda word: (-len(word), word))[:WORDS_MOST]


def starving(
    question: Question, found: Iterable[Mapping[str, Any]], *, looked_at: int, known: Sequence[str]
) -> Starving | None:
    """The warning for one question that `may_starve`, or None.

    `found`, one row a word: `word`, `rows` (stored texts with it), `held` (those of them in the window), `ids` (the
    others). `looked_at`: how many stored texts there were. `known`: other texts of main context: blocks, summary.
    """
    in_context = set[str]().union(*(words(text) for text in known)) if known else set[str]()
    rare: dict[str, set[str]] = {}
    very = set[str]()
    for row in found:
        if row["held"] or row["word"] in in_context or not row["ids"]:
            continue
        if row["rows"] <= RARE_ROWS:
            very.add(row["word"])
        if row["rows"] <= max(RARE_ROWS, RARE_SHARE * looked_at):
            rare[row["word"]] = set(row["ids"])
    shared: dict[str, set[str]] = {}
    for word, ids in rare.items():
        for id in ids:
            shared.setdefault(id, set()).add(word)
    telling = {id: both for id, both in shared.items() if len(both) >= RARE_WORDS or both & very}
    if not telling:
        return None
    return Starving(
        question,
        shared=tuple(word for word in rare if any(word in both for both in telling.values())),
        items=tuple(sorted(telling, key=lambda id: (-len(telling[id]), id))),
        late=min(question.searches, default=None),
    )
