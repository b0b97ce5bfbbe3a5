"""CSV and its like: one table, whose delimiter is found by looking at the first rows. Pure."""

import csv
from collections.abc import Iterator

from memgpt_core.documents.parts import Draft, Extracted

_DELIMITERS = ",;\t|"
_LOOKED_AT_LINES = 30


def read_csv(text: str) -> Extracted | None:
    """The table that `text` holds; None when it is no table of two columns or more."""
    delimiter = _delimiter(text)
    if not delimiter:
        return None
    draft = Draft()
    try:
        draft.table(csv.reader(_lines(text), delimiter=delimiter))
    except csv.Error:
        return None
    return draft.finish("", "text/csv")


def _delimiter(text: str) -> str:
    """The sign that gives most of the first rows the same number of columns, above one; empty when none does."""
    sample = [line for line in text[: 2**16].split("\n") if line.strip()][:_LOOKED_AT_LINES]
    best, found = 0, ""
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(sample, delimiter=delimiter)]
        except csv.Error:
            continue
        common = max(set(widths), key=widths.count, default=0)
        alike = widths.count(common)
        if common > 1 and alike * 2 > len(widths) and alike * common > best:
            best, found = alike * common, delimiter
    return found


def _lines(text: str) -> Iterator[str]:
    """Line by line, so that a large file is not held twice."""
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        yield text[at:end]
        at = end
