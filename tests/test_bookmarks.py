"""Bookmarks: kept whole through kills and bad lines, changed by one writer, refused with a sentence."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memgpt_core.bookmarks import TEXT_CHARS, Bookmark, Bookmarks
from memgpt_core.errors import EditRefused, MemscopeError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def bookmarks(folder: Path) -> Bookmarks:
    return Bookmarks(folder, clock=lambda: NOON)


def test_what_is_set_changed_and_taken_away_is_there_at_the_next_start(tmp_path: Path) -> None:
    marks = bookmarks(tmp_path)
    assert marks.all() == []
    assert not (tmp_path / "notes.jsonl").exists()
    late, early, gone = marks.add(9, " Here it forgets \n"), marks.add(3), marks.add(5, "x")
    marks.edit(early, "Première — 猫 <b>")
    marks.remove(gone)
    expected = [Bookmark(early, 3, "Première — 猫 <b>", NOON), Bookmark(late, 9, "Here it forgets", NOON)]
    assert marks.all() == bookmarks(tmp_path).all() == expected
    assert marks.on(9) == [expected[1]]
    assert marks.on(5) == []
    assert len((tmp_path / "notes.jsonl").read_text().splitlines()) == 5
    assert marks.add(5, "again") not in (late, early, gone)


def test_a_torn_last_line_is_passed_over_and_the_next_stands_for_itself(tmp_path: Path) -> None:
    marks = bookmarks(tmp_path)
    kept = marks.add(1, "kept")
    marks.add(2, "torn away")
    path = tmp_path / "notes.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    again = bookmarks(tmp_path)
    assert [mark.id for mark in again.all()] == [kept]
    new = again.add(3, "after")
    assert [mark.id for mark in bookmarks(tmp_path).all()] == [kept, new]


BAD = [
    "",
    "null",
    "[]",
    '"b1"',
    "{}",
    '{"id": "b7", "seq": "x", "text": "", "at": "2026-01-01T00:00:00+00:00"}',
    '{"id": "b7", "seq": 1e999, "text": "", "at": "2026-01-01T00:00:00+00:00"}',
    '{"id": "b7", "seq": 1, "text": "", "at": "yesterday"}',
    '{"id": "b7", "seq": 1, "text": ""}',
    '{"id": "unknown", "text": "to nobody"}',
    '{"id": "unknown", "removed": true}',
    "\ufffd\x00",
    "[" * 100_000,
]


@pytest.mark.parametrize("line", BAD)
def test_a_line_that_is_none_of_ours_changes_nothing(tmp_path: Path, line: str) -> None:
    marks = bookmarks(tmp_path)
    marks.add(4, "good")
    with (tmp_path / "notes.jsonl").open("ab") as file:
        file.write(line.encode() + b"\n" + b"\xff\xfe\n")
    new = bookmarks(tmp_path).add(6, "better")
    assert [(mark.seq, mark.text) for mark in bookmarks(tmp_path).all()] == [(4, "good"), (6, "better")]
    assert new != "b1"


def test_a_time_without_a_zone_and_a_foreign_id_are_taken_as_they_can_be(tmp_path: Path) -> None:
    raw = [
        {"id": "b2", "seq": 4, "text": "n" * 5000, "at": "2026-01-01T00:00:00"},
        {"id": "x", "seq": 4, "text": "half \ud800", "at": "2026-01-01T02:00:00+02:00"},
    ]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in raw))
    marks = bookmarks(tmp_path)
    assert [(mark.id, len(mark.text), mark.at) for mark in marks.all()] == [
        ("b2", TEXT_CHARS, datetime(2026, 1, 1, tzinfo=UTC)),
        ("x", 6, datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    assert marks.add(4, "third") not in ("b2", "x")
    assert len(marks.all()) == 3


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    marks = bookmarks(tmp_path)
    gone = marks.add(1)
    marks.remove(gone)
    before = (tmp_path / "notes.jsonl").read_bytes()
    with pytest.raises(EditRefused, match="removed meanwhile"):
        marks.remove(gone)
    with pytest.raises(EditRefused, match="removed meanwhile"):
        marks.edit("b99", "x")
    with pytest.raises(EditRefused, match=r"4,001 characters; 4,000 fit"):
        marks.add(1, "x" * 4001)
    with pytest.raises(EditRefused, match="no event 0"):
        marks.add(0)
    assert (tmp_path / "notes.jsonl").read_bytes() == before


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").mkdir()
    with pytest.raises(MemscopeError, match=r"notes\.jsonl"):
        bookmarks(tmp_path).add(1)


def test_many_threads_lose_none(tmp_path: Path) -> None:
    marks = bookmarks(tmp_path)
    threads = [
        threading.Thread(target=lambda first=first: [marks.add(first + n) for n in range(10)])
        for first in range(1, 41, 10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [mark.seq for mark in bookmarks(tmp_path).all()] == list(range(1, 41))
    assert len({mark.id for mark in marks.all()}) == 40
