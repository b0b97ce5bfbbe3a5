"""Finding text in a log: what is found, in which order, how far was looked, and what is never looked at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core import log_search
from memgpt_core.events import Call, MessageSent, ModelReplied, NoteWritten, encode
from memgpt_core.log import Log
from memgpt_core.log_search import Sighted, find

Write = Callable[..., Log]


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a log of these texts, one message each."""
    made: list[Log] = []

    def make(*texts: str) -> Log:
        log = Log.create(tmp_path / f"run{len(made)}.jsonl")
        log.append([encode(MessageSent(seq=seq, text=text)) for seq, text in enumerate(texts, 1)])
        made.append(log)
        return log

    yield make
    for log in made:
        log.close()


def test_newest_first_or_oldest_first_and_all_of_it(write: Write) -> None:
    log = write("one apple", "two", "three Apples", "four")
    assert find(log, "APPLE") == Sighted((3, 1), 1, False)
    assert find(log, "APPLE", newest_first=False) == Sighted((1, 3), 4, False)
    assert find(log, "pear") == Sighted((), 1, False)
    assert find(write(), "x") == Sighted((), 1, False)


def test_a_full_page_stops_the_search_and_says_where(write: Write) -> None:
    log = write(*["apple", "pear"] * 10)
    page = find(log, "apple", limit=3)
    assert page == Sighted((19, 17, 15), 15, True)
    rest = find(log, "apple", last=page.looked_to - 1, limit=3)
    assert rest.seqs == (13, 11, 9)
    up = find(log, "apple", newest_first=False, limit=3)
    assert (up.seqs, up.looked_to, up.more) == ((1, 3, 5), 5, True)
    assert find(log, "apple", newest_first=False, first=up.looked_to + 1, limit=100).seqs == tuple(range(7, 20, 2))
    assert find(log, "apple", first=1, last=1, limit=1) == Sighted((1,), 1, False)


@pytest.mark.parametrize(
    "text",
    [
        'he said "no"',
        "C:\\users\\ada",
        "a\tb",
        "ZÜRICH",
        "привет",
        "日本",
        "🔭",
        "\x00",
        "</script>",
        "naïve Ångström",
    ],
)
def test_a_text_is_found_as_a_person_reads_it_and_not_as_json_writes_it(write: Write, text: str) -> None:
    log = write("before", f"…{text.lower()}…", "after")
    assert find(log, text).seqs == (2,)
    assert find(log, text.upper()).seqs == (2,)


def test_letters_another_writer_escaped_are_found_too(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [json.loads(encode(MessageSent(seq=seq, text=text))) for seq, text in enumerate(("Zürich", "Bern"), 1)]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    assert "\\u00fc" in path.read_text()
    log = Log.open(path, read_only=True)
    assert find(log, "zürich").seqs == (1,)
    log.close()


def test_the_names_of_fields_kinds_and_times_are_no_text(tmp_path: Path) -> None:
    log = Log.create(tmp_path / "run.jsonl")
    deep = ModelReplied(
        seq=2, purpose="turn", calls=(Call(id="c", name="f", arguments={"query": {"deep": ["needle in here"]}}),)
    )
    log.append([encode(NoteWritten(seq=1, name="a", text="b", author="agent")), encode(deep)])
    for nothing in ("text", "author", "note_written", "1970", "query"):
        assert find(log, nothing).seqs == (), nothing
    assert find(log, "Needle In").seqs == (2,)
    log.close()


def test_kind_author_session_and_turn_narrow_it(tmp_path: Path) -> None:
    log = Log.create(tmp_path / "run.jsonl")
    log.append(
        [
            encode(NoteWritten(seq=1, name="a", text='x "kind":"message_sent"', author="agent", session=1, turn=1)),
            encode(NoteWritten(seq=2, name="a", text="x", author="human", session=1, turn=11)),
            encode(MessageSent(seq=3, text="x", session=11, turn=1)),
        ]
    )
    assert find(log, "x").seqs == (3, 2, 1)
    assert find(log, "x", kinds=["message_sent"]).seqs == (3,)
    assert find(log, "x", kinds=["message_sent", "note_written"]).seqs == (3, 2, 1)
    assert find(log, "x", authors=["human"]).seqs == (2,)
    assert find(log, "x", session=1).seqs == (2, 1)
    assert find(log, "x", turn=1).seqs == (3, 1)
    assert find(log, "x", session=1, turn=1, kinds=["note_written"], authors=["agent"]).seqs == (1,)
    log.close()


def test_a_search_that_finds_nothing_stops_after_so_much_and_can_be_gone_on_with(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "SPAN_BYTES", 2000)
    monkeypatch.setattr(log_search, "WORK_MOST", 9000)
    log = write(*(f"line {n} {'.' * 100}" for n in range(200)))
    looked, rounds = log.last_seq + 1, 0
    found: list[int] = []
    while looked > 1:
        page = find(log, "line 3 ", last=looked - 1)
        assert page.looked_to < looked, "each round comes further"
        assert page.more == (page.looked_to > 1)
        found += page.seqs
        looked, rounds = page.looked_to, rounds + 1
    assert found == [4]
    assert 3 < rounds < 20


def test_lines_that_cannot_be_read_hold_nothing(write: Write) -> None:
    log = write("apple", "apple", "apple")
    start, stop = log.size_at(1), log.size_at(2)
    with log.path.open("r+b") as file:
        file.seek(start)
        file.write(b"#" * (stop - start - 20) + b"apple" + b"#" * 14)
    assert find(log, "apple").seqs == (3, 1)


TEXTS = st.lists(st.text(alphabet='ab Zzüß"\\\n\t\x01日🔭', max_size=12), max_size=30)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, needle=st.text(alphabet='abZüß"\\日', min_size=1, max_size=3), size=st.integers(1, 4000))
def test_it_finds_what_reading_every_line_finds(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], needle: str, size: int
) -> None:
    log = Log.create(tmp_path_factory.mktemp("log") / "run.jsonl")
    log.append([encode(MessageSent(seq=seq, text=text)) for seq, text in enumerate(texts, 1)])
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(log_search, "SPAN_BYTES", size)
        found = find(log, needle, newest_first=False, limit=1000).seqs
    # There is no plain s among the letters: ß is found as ß and not as ss.
    expected = [seq for seq, text in enumerate(texts, 1) if needle.casefold() in text.casefold()]
    log.close()
    assert list(found) == expected
