"""What is said of RAM, batching, caches and write-behind."""

from memgpt_core.views.throughput import Counts, Tally, throughput


def said(counts: Counts) -> dict[str, tuple[str, str]]:
    return {figure.label: (figure.value, figure.says) for figure in throughput(counts)}


def test_without_an_embedding_model_there_is_only_what_stores_do() -> None:
    assert list(said(Counts())) == ["Write-behind"]


def test_nothing_done_yet_divides_by_nothing() -> None:
    figures = said(Counts(model="MiniLM"))
    assert figures["Requests saved by micro-batching"][0] == "0 of 0"
    assert "No search was made yet" in figures["Hot tier"][1]
    assert "About" not in "".join(says for _, says in figures.values())


def test_saved_requests_are_worth_what_a_request_takes() -> None:
    counts = Counts(
        model="MiniLM",
        **dict(asked=40, requests=28, texts=100, request_s=0.02),
        **dict(queries=44, queries_known=11, kept=1204, kept_bytes=2_000_000, kept_bytes_most=64_000_000),
        **dict(needed=1300, needed_known=1204, query_cache=False),
    )
    figures = said(counts)
    value, says = figures["Requests saved by micro-batching"]
    assert value == "12 of 40 (30 %)"
    assert "28 requests with 100 texts left. About 0.24 s saved, at 20.0 ms a request" in says
    value, says = figures["Queries whose vector was known"]
    assert value == "11 of 44 (25 %)"
    assert "About 0.22 s saved" in says
    assert "1,204 query vectors kept on disk, 2.0 MB of at most 64 MB. Switched off now." in says
    value, says = figures["Texts whose vector was known"]
    assert value == "1,204 of 1,300 (93 %)"
    assert "not measured" in says


def test_the_hot_tier_says_what_it_compares_and_how_long_that_takes() -> None:
    counts = Counts(model="MiniLM", vectors=1000, held=1000, held_mb=1.5, budget_mb=1024, exact=Tally(4, 4, 0.01))
    value, says = said(counts)["Hot tier"]
    assert value == "1.5 of 1,024 MB"
    assert "every search compares them all. 4 exact searches took 2.5 ms" in says
    assert "not all looked up yet" in said(counts._replace(loaded=False))["Hot tier"][1]
    spread = counts._replace(held=100, recalls=(0.987,), approximate=Tally(1, 1, 0.008))
    value, says = said(spread)["Hot tier"]
    assert "the other 900 are found on disk by an index: approximate, with a measured recall@10 of 0.99" in says
    assert "1 approximate search took 8.0 ms" in says


def test_write_behind_tells_whose_time_it_was() -> None:
    counts = Counts(thread=Tally(2, 30, 1.25), reader=Tally(3, 5, 0.02), commit=Tally(7, 7, 0.5), write_behind=False)
    value, says = said(counts)["Write-behind"]
    assert value == "1.25 s"
    assert "35 events in 5 transactions" in says
    assert "3 times somebody who read came first" in says
    assert "7 commits waited for all stores, 0.50 s in all. Switched off now." in says
