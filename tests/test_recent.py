"""What the last events brought is known from RAM exactly as long as nothing but beginnings happened."""

from typing import Any

import pytest

from memgpt_core import recent
from memgpt_core.project import Close, Insert, Reopen, Revise, Unfold
from memgpt_core.recent import Recent
from memgpt_core.stores.versions import Began


def begins(seq: int, table: str = "passages", text: str = "said") -> Insert:
    return Insert(table, {"id": f"{table[0]}{seq}", "seq_from": seq, "text": text})


def took(held: Recent, *seqs: int, table: str = "passages") -> Recent:
    for seq in seqs:
        held.take(seq, [begins(seq, table)])
    return held


def seqs(held: Recent, after: int, to: int, table: str = "passages") -> list[int] | None:
    found = held.since(table, after, to)
    return found if found is None else [row["seq_from"] for row in found]


def test_rows_come_in_the_order_they_began_between_two_events() -> None:
    held = took(Recent(10), 11, 13, 14)
    assert seqs(held, 10, 14) == [11, 13, 14]
    assert seqs(held, 11, 13) == [13]
    assert seqs(held, 14, 20) == []
    assert seqs(held, 10, 14, "messages") == []
    assert seqs(held, 9, 14) is None, "what came before is in the row store alone"


@pytest.mark.parametrize(
    "change",
    [
        Close("passages", "id", ("p11",), 12),
        Revise("passages", "p11", 12, {"text": "other"}),
        Reopen("passages", "p3", 12),
        Unfold("d2", 12, None),
    ],
)
def test_a_row_that_changed_makes_its_table_be_asked_for_and_no_other(change: Any) -> None:
    held = took(took(Recent(10), 11), 11, table="messages")
    held.take(12, [change])
    assert seqs(held, 10, 12) is seqs(held, 11, 12) is None
    assert held.texts("passages", [Began("p11", 11)]) is None
    assert seqs(held, 10, 12, "messages") == [11]
    assert seqs(took(held, 13), 12, 13) == [13]


def test_changes_of_what_is_not_searched_are_no_matter() -> None:
    held = took(Recent(10), 11)
    held.take(12, [Close("residency", "carrier", ("m1",), 12), Insert("events", {"seq_from": 12})])
    assert seqs(held, 10, 12) == [11]


def test_only_so_many_rows_and_so_much_text_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ROWS_MOST", 3)
    monkeypatch.setattr(recent, "CHARS_MOST", 100)
    held = took(Recent(0), 1, 2, 3, 4)
    assert seqs(held, 0, 4) is None
    assert seqs(held, 1, 4) == [2, 3, 4]
    held.take(5, [begins(5, text="x" * 98)])
    assert seqs(held, 3, 5) is None
    assert seqs(held, 4, 5) == [5]


def test_texts_are_all_there_or_asked_for() -> None:
    held = took(Recent(0), 1, 2)
    assert held.texts("passages", [Began("p2", 2), Began("p1", 1)]) == ["said", "said"]
    assert held.texts("passages", [Began("p2", 2), Began("p2", 1)]) is None
    assert held.texts("passages", []) == []
    held.begin(2)
    assert held.texts("passages", [Began("p2", 2)]) is None
