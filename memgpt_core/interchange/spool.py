"""What was read of a conversation file, aside on the disk until it is lived: sorted by time, cut into stretches.

A file may be larger than memory and in any order, so its messages wait in a SQLite file; how far the reading came is
in the same transaction as what was read, which is what lets a killed import go on. Knows no agent.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.errors import StoreBroken
from memgpt_core.events import Call
from memgpt_core.interchange.sessions import Message, Session

STRETCH_MESSAGES = 1000
"""Messages lived with one sync, and held in memory at once; a longer stretch goes on in the next."""

SKIPPED_KEPT = 1000
"""Bad records named in a report; more are only counted."""

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, messages INTEGER, digest TEXT);
CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, record INTEGER, digest TEXT);
CREATE TABLE IF NOT EXISTS pieces (id INTEGER PRIMARY KEY, key TEXT, record INTEGER, at REAL, message TEXT);
CREATE TABLE IF NOT EXISTS stretches (
    id INTEGER PRIMARY KEY, at REAL, key TEXT, record INTEGER, title TEXT, speakers TEXT,
    opens INTEGER, closes INTEGER, upto INTEGER, digest TEXT, messages TEXT
);
CREATE TABLE IF NOT EXISTS skipped (record INTEGER, why TEXT);
CREATE INDEX IF NOT EXISTS last_of_pieces ON pieces (key, id);
"""


class Stretch(NamedTuple):
    """Messages said without a long pause, or a part of such.

    Attributes:
        id: place in the order of reading; `after` a stretch is asked for by it.
        at: when its first message was said; None when the file does not say.
        opens, closes: whether a session begins with it, and ends with it.
        upto, digest: how many messages of the conversation are in with it, and the digest of all those.
    """

    id: int
    at: datetime | None
    key: str
    record: int
    title: str
    speakers: tuple[str, ...]
    opens: bool
    closes: bool
    upto: int
    digest: str
    messages: tuple[Message, ...]


class Spool:
    """The SQLite file of one import."""

    def __init__(self, path: Path, *, idle_s: float, latest: datetime) -> None:
        """Open it, or make it; a pause of `idle_s` cuts a stretch, a time behind `latest` is not believed."""
        self._idle_s = idle_s
        self._latest = latest
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            # What is read can be read again: a crash of the machine may cost the spool, not the home.
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;")
            self._db.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StoreBroken(f"What was read so far of this import cannot be used ({error}). Discard it.") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def begin(self) -> None:
        """Begin what `commit` makes durable as one."""
        self._db.execute("BEGIN")

    def commit(self) -> None:
        """Make all since `begin` durable."""
        self._db.execute("COMMIT")

    # --- facts about the import ---------------------------------------------------------------------------------

    def fact(self, name: str, default: Any = None) -> Any:
        """A remembered JSON value."""
        row = self._db.execute("SELECT value FROM about WHERE name = ?", [name]).fetchone()
        return json.loads(row[0]) if row else default

    def remember(self, **facts: Any) -> None:
        """Keep JSON values under these names."""
        self._db.executemany(
            "INSERT OR REPLACE INTO about VALUES (?, ?)", [(name, json.dumps(value)) for name, value in facts.items()]
        )

    def know(self, known: Iterable[tuple[str, int, str]]) -> None:
        """Remember what the agent has already: (key, messages, their digest) of conversations."""
        self._db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", known)

    # --- what was read ------------------------------------------------------------------------------------------

    def skip(self, record: int, why: str) -> None:
        """Remember a record that cannot be taken; of very many only their number."""
        count = int(self.fact("skipped", 0)) + 1
        self.remember(skipped=count)
        if count <= SKIPPED_KEPT:
            self._db.execute("INSERT INTO skipped VALUES (?, ?)", [record, why])

    def skipped(self) -> tuple[int, list[tuple[int, str]]]:
        """(how many records were skipped, (number, sentence) of those that are named)."""
        rows = self._db.execute("SELECT record, why FROM skipped ORDER BY record").fetchall()
        return int(self.fact("skipped", 0)), [(record, why) for record, why in rows]

    def put(self, record: int, session: Session) -> str:
        """Take a session of a record; why it cannot be taken, or empty."""
        if session.piece:
            self._put_piece(record, session)
            return ""
        messages = _in_order(session, self._latest)
        if not messages:
            return ""
        key = session.key or "content " + _digest_of(messages)
        twin = self._db.execute("SELECT record, digest FROM seen WHERE key = ?", [key]).fetchone()
        digest = _digest_of(messages)
        if twin is not None:
            if twin[1] == digest:
                self._count_already(len(messages))
                return ""
            return f"has the id of record {twin[0]} ({key}) and says something else"
        self._db.execute("INSERT INTO seen VALUES (?, ?, ?)", [key, record, digest])
        return self._cut(_Whole(key, record, session.title, session.speakers), iter(messages))

    def arrange(self) -> list[tuple[int, str]]:
        """Make stretches of the messages that came one a record; the conversations that cannot be taken."""
        self._db.execute("CREATE INDEX IF NOT EXISTS order_of_pieces ON pieces (key, at, id)")
        rows = self._db.cursor().execute("SELECT key, record, at, message FROM pieces ORDER BY key, at, id")
        bad = []
        for key, group in groupby(rows, lambda row: row[0]):
            first = next(group)
            whole = _Whole(f"session {key}", first[1], key, ())
            if why := self._cut(whole, (_message(row[3]) for row in _chain(first, group))):
                bad.append((first[1], why))
        self._db.execute("DELETE FROM pieces")
        self._db.execute("CREATE INDEX IF NOT EXISTS order_of_stretches ON stretches (at IS NULL, at, id)")
        return bad

    def counts(self) -> tuple[int, int]:
        """(stretches there are, messages that were there already)."""
        return int(self._db.execute("SELECT count(*) FROM stretches").fetchone()[0]), int(self.fact("already", 0))

    def messages(self) -> int:
        """How many messages all stretches hold."""
        return int(self._db.execute("SELECT ifnull(sum(json_array_length(messages)), 0) FROM stretches").fetchone()[0])

    def place(self, id: int) -> int:
        """How many stretches stand up to and with this one."""
        found = self._db.execute("SELECT at FROM stretches WHERE id = ?", [id]).fetchone()
        if found is None:
            return 0
        upto = [int(found[0] is None), found[0] or 0.0, id]
        counted = "SELECT count(*) FROM stretches WHERE (at IS NULL, ifnull(at, 0.0), id) <= (?, ?, ?)"
        return int(self._db.execute(counted, upto).fetchone()[0])

    def stretches(self, after: int = 0) -> Iterator[Stretch]:
        """In the order of their times, those without one last; behind the one whose id is `after` (0: all)."""
        where, args = "", list[Any]()
        if after:
            (at,) = self._db.execute("SELECT at FROM stretches WHERE id = ?", [after]).fetchone()
            where = "WHERE (at IS NULL, ifnull(at, 0.0), id) > (?, ?, ?)"
            args = [int(at is None), at or 0.0, after]
        ids = self._db.cursor().execute(f"SELECT id FROM stretches {where} ORDER BY at IS NULL, at, id", args)
        for (id,) in ids:
            row = self._db.execute("SELECT * FROM stretches WHERE id = ?", [id]).fetchone()
            at, speakers = row[1], tuple(json.loads(row[5]))
            messages = tuple(_message(one) for one in json.loads(row[10]))
            when = None if at is None else datetime.fromtimestamp(at, UTC)
            yield Stretch(
                id, when, row[2], row[3], row[4], speakers, bool(row[6]), bool(row[7]), row[8], row[9], messages
            )

    # --- inside -------------------------------------------------------------------------------------------------

    def _put_piece(self, record: int, session: Session) -> None:
        for message in filter(_says_something, session.messages):
            at = _believed(message.at, self._latest)
            if at is None:
                # One without a time was said when the one before it in the file was.
                last = self._db.execute("SELECT at FROM pieces WHERE key = ? ORDER BY id DESC LIMIT 1", [session.key])
                at = next((datetime.fromtimestamp(row[0], UTC) for row in last if row[0] is not None), None)
            row = [session.key, record, at.timestamp() if at else None, _written(message._replace(at=at))]
            self._db.execute("INSERT INTO pieces (key, record, at, message) VALUES (?, ?, ?, ?)", row)

    def _cut(self, whole: "_Whole", messages: Iterator[Message]) -> str:
        """Cut a conversation into stretches, without what the agent has of it; why it cannot be taken, or empty."""
        there = self._db.execute("SELECT messages, digest FROM known WHERE key = ?", [whole.key]).fetchone()
        digest, count = "", 0
        for message in messages if there else ():
            digest, count = _grown(digest, message), count + 1
            if count == there[0]:
                break
        if there and (count, digest) != tuple(there):
            return (
                f"holds a conversation ({whole.key}) that was imported before and has changed since, other than by "
                "growing. Import it into a new agent"
            )
        self._count_already(count)
        opens, held = True, list[Message]()
        for message in messages:
            pause = bool(held) and self._pauses(held[-1], message)
            if held and (pause or len(held) >= STRETCH_MESSAGES):
                digest, count = self._keep(whole, held, opens, pause, digest, count)
                opens, held = pause, []
            held.append(message)
        if held:
            self._keep(whole, held, opens, True, digest, count)
        return ""

    def _pauses(self, before: Message, after: Message) -> bool:
        return bool(before.at and after.at) and (after.at - before.at).total_seconds() >= self._idle_s  # type: ignore[operator]

    def _keep(
        self, whole: "_Whole", messages: list[Message], opens: bool, closes: bool, digest: str, count: int
    ) -> tuple[str, int]:
        for message in messages:
            digest, count = _grown(digest, message), count + 1
        at = messages[0].at.timestamp() if messages[0].at else None
        if not opens:
            # It must stand right behind the part before it, whatever else began meanwhile.
            (at,) = self._db.execute("SELECT at FROM stretches ORDER BY id DESC LIMIT 1").fetchone()
        row = (at, whole.key, whole.record, whole.title, json.dumps(whole.speakers), opens, closes, count, digest)
        columns = "at, key, record, title, speakers, opens, closes, upto, digest, messages"
        written = json.dumps([_written(message) for message in messages])
        self._db.execute(f"INSERT INTO stretches ({columns}) VALUES ({'?, ' * 9}?)", [*row, written])
        return digest, count

    def _count_already(self, messages: int) -> None:
        if messages:
            self.remember(already=int(self.fact("already", 0)) + messages)


class _Whole(NamedTuple):
    key: str
    record: int
    title: str
    speakers: tuple[str, ...]


def _chain(first: Any, rest: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _believed(at: datetime | None, latest: datetime) -> datetime | None:
    """A time of the future is none: the agent's clock would stand there ever after."""
    return None if at is None or at > latest else at


def _in_order(session: Session, latest: datetime) -> list[Message]:
    """The messages with their times, by time; one without was said when the one before it in the file was."""
    known = [_believed(message.at, latest) for message in session.messages]
    last = next((at for at in known if at is not None), None)
    begun = _believed(session.at, latest)
    if begun is not None and (last is None or begun < last):
        last = begun
    dated = []
    for message, at in zip(session.messages, known, strict=True):
        last = at or last
        if _says_something(message):
            dated.append(message._replace(at=last))
    return sorted(dated, key=lambda message: message.at.timestamp() if message.at else 0.0)


def _says_something(message: Message) -> bool:
    return bool(message.text or message.calls or message.role == "tool")


def _written(message: Message) -> str:
    values = message._asdict()
    values["at"] = message.at.timestamp() if message.at else None
    values["calls"] = [call.model_dump() for call in message.calls]
    return json.dumps({name: value for name, value in values.items() if value}, ensure_ascii=False)


def _message(text: str) -> Message:
    values = json.loads(text)
    if "at" in values:
        values["at"] = datetime.fromtimestamp(values["at"], UTC)
    values["calls"] = tuple(Call.model_validate(call) for call in values.get("calls", ()))
    return Message(**{"text": "", **values})


def _grown(digest: str, message: Message) -> str:
    """The digest of a conversation that had `digest` before this message."""
    said = [digest, message.role, message.text, message.at.timestamp() if message.at else None]
    calls = [(call.name, call.arguments) for call in message.calls]
    return sha256(json.dumps([*said, message.speaker, calls], sort_keys=True).encode()).hexdigest()


def _digest_of(messages: Iterable[Message]) -> str:
    digest = ""
    for message in messages:
        digest = _grown(digest, message)
    return digest
