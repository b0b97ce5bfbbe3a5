"""What the switches for keeping up did since the program was started, as figures: RAM, batching, caches, write-behind.

Takes counts and makes sentences of them. What was not measured is said to be so; seconds that are worked out and not
measured are called about. What concerns the whole home says so.
"""

from typing import NamedTuple

from memgpt_core.views.lanes import counted
from memgpt_core.views.residency import Figure
from memgpt_core.views.timing import seconds_text


class Tally(NamedTuple):
    """How often, to how many things, in how many seconds."""

    times: int = 0
    things: int = 0
    seconds: float = 0.0


class Counts(NamedTuple):
    """What was counted since the program was started.

    Attributes:
        model: the embedding model as a person knows it; empty for none.
        loaded: whether this agent's vectors were looked up after it was opened.
        vectors, held: of this agent, and those of them in RAM, `held_mb` of at most `budget_mb`.
        recalls: the measured recall@10 of each table that is searched on disk.
        exact, approximate: this agent's searches.
        asked, requests, texts, request_s: of the model, by all agents; a small request takes `request_s`.
        queries, queries_known: looked up in the home's cache of query vectors, by all agents.
        kept, kept_bytes, kept_bytes_most: query vectors on the disk, of all models.
        needed, needed_known: texts that needed a vector, of all agents, and those that had one.
        thread, reader, commit: events of this agent that its stores took, by who waited for that.
    """

    model: str = ""
    loaded: bool = True
    vectors: int = 0
    held: int = 0
    held_mb: float = 0.0
    budget_mb: int = 0
    recalls: tuple[float, ...] = ()
    exact: Tally = Tally()
    approximate: Tally = Tally()
    batching: bool = True
    asked: int = 0
    requests: int = 0
    texts: int = 0
    request_s: float = 0.0
    query_cache: bool = True
    queries: int = 0
    queries_known: int = 0
    kept: int = 0
    kept_bytes: int = 0
    kept_bytes_most: int = 0
    needed: int = 0
    needed_known: int = 0
    write_behind: bool = True
    thread: Tally = Tally()
    reader: Tally = Tally()
    commit: Tally = Tally()


def throughput(counts: Counts) -> list[Figure]:
    """The figures; those of vectors only where there is a model that makes some."""
    found = [_hot, _batching, _queries, _texts] if counts.model else []
    return [draw(counts) for draw in (*found, _behind)]


def _hot(counts: Counts) -> Figure:
    on_disk = counts.vectors - counts.held
    if not counts.loaded:
        where = "This agent was opened just now, and its vectors are not all looked up yet."
    elif counts.recalls:
        recall = ", ".join(f"{one:.2f}" for one in counts.recalls)
        where = (
            f"{counts.held:,} of this agent's {counted(counts.vectors, 'vector')} are in RAM, the other {on_disk:,} "
            f"are found on disk by an index: approximate, with a measured recall@10 of {recall}."
        )
    else:
        where = (
            f"All of this agent's {counted(counts.vectors, 'vector')} are in RAM, and every search compares them all."
        )
    took = [_took(tally, what) for tally, what in ((counts.exact, "exact"), (counts.approximate, "approximate"))]
    said = " ".join(filter(None, took)) or "No search was made yet."
    return Figure("Hot tier", f"{counts.held_mb:,.1f} of {counts.budget_mb:,} MB", f"{where} {said}")


def _took(tally: Tally, what: str) -> str:
    if not tally.times:
        return ""
    each = 1000 * tally.seconds / tally.times
    many = f"{tally.times:,} {what} search{'' if tally.times == 1 else 'es'}"
    return f"{many} took {each:,.1f} ms on average, the query's vector and new texts' included."


def _batching(counts: Counts) -> Figure:
    saved = max(0, counts.asked - counts.requests)
    return Figure(
        "Requests saved by micro-batching",
        _of(saved, counts.asked),
        f"{counts.model} was asked for vectors {_times(counts.asked)} by all agents of this home, and "
        f"{counted(counts.requests, 'request')} with {counted(counts.texts, 'text')} left.{_about(saved, counts)}"
        f"{_off(counts.batching)}",
    )


def _queries(counts: Counts) -> Figure:
    kept = (
        f" {counted(counts.kept, 'query vector')} kept on disk, {counts.kept_bytes / 1e6:,.1f} MB of at most "
        f"{counts.kept_bytes_most / 1e6:,.0f} MB."
    )
    return Figure(
        "Queries whose vector was known",
        _of(counts.queries_known, counts.queries),
        f"Of the queries that all agents of this home looked up; each known one is a request less."
        f"{_about(counts.queries_known, counts)}{kept}{_off(counts.query_cache)}",
    )


def _texts(counts: Counts) -> Figure:
    return Figure(
        "Texts whose vector was known",
        _of(counts.needed_known, counts.needed),
        "Of the messages and passages of this home, or pieces of long ones, that needed a vector: had by their "
        "content, from an earlier start or another agent, and not embedded again. What that would have taken is not "
        "measured. The vectors are the store itself, so there is no switch.",
    )


def _behind(counts: Counts) -> Figure:
    thread, reader, commit = counts.thread, counts.reader, counts.commit
    events = thread.things + reader.things
    said = (
        f"{seconds_text(thread.seconds)} of work on rows, vectors and index, opening them included, went on behind "
        "this agent's turns: "
        f"{counted(events, 'event')} in {counted(thread.times + reader.times, 'transaction')}."
    )
    if reader.times:
        said += (
            f" {_times(reader.times).capitalize()} somebody who read came first and took in what was new "
            f"({seconds_text(reader.seconds)}), so that nothing committed is ever missed."
        )
    if commit.times:
        said += f" {counted(commit.times, 'commit')} waited for all stores, {seconds_text(commit.seconds)} in all."
    return Figure("Write-behind", seconds_text(thread.seconds), said + _off(counts.write_behind))


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}" + (f" ({100 * part / whole:.0f} %)" if whole else "")


def _about(saved: int, counts: Counts) -> str:
    seconds = saved * counts.request_s
    if not saved:
        return ""
    return f" About {seconds_text(seconds)} saved, at {1000 * counts.request_s:,.1f} ms a request."


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _off(on: bool) -> str:
    return "" if on else " Switched off now."
