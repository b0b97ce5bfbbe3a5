"""Which rows a search looks through: a table as of an event, and filters, as SQL over its versions.

Knows the columns of the row store; runs nothing.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

_NEVER_US = 2**62


class Scope(NamedTuple):
    """Which rows are searched: those of `table` that stood just after event `n`, and pass the filters.

    Dates are UTC days, both included; empty filters let everything pass; one common tag is enough.
    `since_us` and `before_us` are microseconds of UTC, the second excluded, for days of another zone; `text` is
    a part of the text, in any case. With a `document` its passages are searched, with an empty one those of any.

    Raises:
        ValueError: (when used) a date that is not YYYY-MM-DD.
    """

    table: str
    n: int
    roles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    exclude: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    session: int | None = None
    since_us: int = -_NEVER_US
    before_us: int = _NEVER_US
    text: str = ""
    document: str | None = None

    @property
    def start_us(self) -> int:
        """The first microsecond searched."""
        return max(self.since_us, _day_us(self.start) if self.start else -_NEVER_US)

    @property
    def end_us(self) -> int:
        """The microsecond after the last one searched."""
        return min(self.before_us, _day_us(self.end) + 86_400_000_000 if self.end else _NEVER_US)

    @property
    def by_ids(self) -> bool:
        """Whether it has a filter that vectors do not know of."""
        return bool(self.tags or self.sources or self.authors or self.text or self.session is not None)

    def stood(self) -> tuple[str, dict[str, Any]]:
        """Which versions stood just after event `n`, as SQL with its parameters."""
        return "seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)", {"n": self.n}

    def where(self) -> tuple[str, dict[str, Any]]:
        """The whole scope as SQL over the versions of a table, with its parameters."""
        stood, params = self.stood()
        sql = [stood, "text <> ''"]
        if self.roles:
            sql.append("role IN (SELECT unnest($roles))")
            params["roles"] = list(self.roles)
        if self.tags:
            sql.append("list_has_any(tags, $tags)")
            params["tags"] = list(self.tags)
        if self.start_us > -_NEVER_US:
            sql.append('epoch_us("at") >= $start')
            params["start"] = self.start_us
        if self.end_us < _NEVER_US:
            sql.append('epoch_us("at") < $end')
            params["end"] = self.end_us
        for column, wanted in (("source", self.sources), ("author", self.authors)):
            if wanted:
                sql.append(f"{column} IN (SELECT unnest(${column}))")
                params[column] = list(wanted)
        if self.session is not None:
            sql.append("session = $session")
            params["session"] = self.session
        if self.text:
            sql.append("contains(lower(text), lower($part))")
            params["part"] = self.text
        sql += self._of_documents(params)
        if self.exclude:
            sql.append("id NOT IN (SELECT unnest($exclude))")
            params["exclude"] = list(self.exclude)
        return " AND ".join(sql), params

    def _of_documents(self, params: dict[str, Any]) -> list[str]:
        if not self.document:
            return [] if self.document is None else ["document <> ''"]
        params["document"] = self.document
        return ["document = $document"]


def _day_us(day: str) -> int:
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"{day!r} is not a date; write YYYY-MM-DD, for example 2026-03-01") from None
    start = datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)
    return (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
