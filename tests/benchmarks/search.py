"""How well searches find: words, vectors and both, on chats and on documents, through the public search calls.

Run: `python -m tests.benchmarks.search [embedder] [locomo.json.gz] [home] [set,set…]`; LoCoMo is asked when its file is
given. A home that is named is kept, and the next run embeds nothing again; sets that are named are run alone.
"""

import ast
import gzip
import json
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import SAMPLES, Home
from memgpt_core.interchange.importing import import_conversations
from memgpt_core.search import Found
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.benchmarks._paraphrases import PARAPHRASES
from tests.benchmarks._tables import at_least, doing, heading, table
from tests.benchmarks._talks import END, talks
from tests.benchmarks._verses import BOOKS, VERSES

SIGNALS = ("words", "vectors", "both")
DEPTHS = (5, 10)
PAIRS = 1000
DISTRACTORS = 2000
CODE_MOST = 600
LONG_MOST, LONG_DOCSTRINGS = 600, 5
VERSES_AT_ONCE = 8
UNDER_MOST = 3.0
"""How many points of recall@10 both together may be under the better half."""

HOW = f"""Recall: the share of what answers a question that is among the first 5 or 10 hits, in percent, mean over the
questions; words and vectors are the same search with one half alone, the last column is both at 10 beside the better
half; ms is the mean time of one search with both whose query is embedded already, beside it as a multiple of the
slower half. At most {PAIRS:,} of each set, drawn with a fixed seed.

Looked at while the ranking was made: LoCoMo, its questions over its conversations, imported as messages with their
dates, answered by its evidence. Docstrings: the first line of a function of Python's library or of an installed
package asks for the rest. Sections: the heading of a section of an installed package's description asks for its text.
Paraphrases: a question asks for a fact in other words, among {DISTRACTORS:,} docstrings.

Not looked at: Talks, a made-up half year of short chats, asked for by day, name, code, quotation and in other words.
Long messages: {LONG_DOCSTRINGS} docstrings a message, asked for by their first lines. Code: a docstring's first line
asks for its function without it. Bible: {len(BOOKS)} books in passages of {VERSES_AT_ONCE} verses, asked for in today's
words and by the number of a verse."""


class Question(NamedTuple):
    """A question, and the ids of what answers it."""

    text: str
    answers: tuple[str, ...]


class Set(NamedTuple):
    """Questions to one agent, and the search that is asked."""

    search: Callable[..., Found]
    questions: list[Question]
    ids: tuple[str, ...] = ()


def main(embedder: str = "minilm", locomo: str = "", kept: str = "", only: str = "") -> None:
    """Print the table."""
    heading("Search: words, vectors and both", HOW)
    folder = Path(kept or tempfile.mkdtemp())
    home = Home(folder, timer=False)
    try:
        rows = []
        columns = [f"{signals}@{depth}" for signals in SIGNALS for depth in DEPTHS]
        made: dict[str, Callable[[], Iterable[Set]]] = {
            "LoCoMo (chat)": lambda: _chats(home, embedder, "chat", _locomo(Path(locomo)) if locomo else []),
            "docstrings (documents)": lambda: [_pairs(home, embedder, "docstrings", _docstrings)],
            "sections (documents)": lambda: [_pairs(home, embedder, "sections", _sections)],
            "paraphrases (facts)": lambda: [
                _pairs(home, embedder, "paraphrases", _paraphrases, asked=len(PARAPHRASES))
            ],
            "talks (chat)": lambda: _chats(home, embedder, "talks", [_talks()]),
            "long messages (chat)": lambda: _chats(home, embedder, "long", [_long()]),
            "code (documents)": lambda: [_pairs(home, embedder, "code", _code)],
            "Bible (documents)": lambda: [_bible(home, embedder)],
        }
        for name, make in made.items():
            if only and name.split(" (")[0] not in only.split(","):
                continue
            doing(name)
            if sets := list(make()):
                rows.append(_row(name, sets))
                doing(f"{name}: {dict(zip(columns, rows[-1][2:], strict=False))}")
        table(("set", "questions", *columns, "both - better", "floor", "ms", "x slower half"), rows)
    finally:
        home.close()
        if not kept:
            shutil.rmtree(folder)


def _row(name: str, sets: Sequence[Set]) -> tuple[Any, ...]:
    found: dict[str, list[list[float]]] = {signals: [[] for _ in DEPTHS] for signals in SIGNALS}
    seconds = dict.fromkeys(SIGNALS, 0.0)
    for one in sets:
        for question in one.questions:
            one.search(question.text, signals="vectors")  # embeds the query
            for signals in SIGNALS:
                started = time.perf_counter()
                hits = [hit.id for hit in one.search(question.text, page_size=max(DEPTHS), signals=signals).hits]
                seconds[signals] += time.perf_counter() - started
                for at, depth in enumerate(DEPTHS):
                    there = len(set(hits[:depth]).intersection(question.answers))
                    found[signals][at].append(there / len(question.answers))
    asked = sum(len(one.questions) for one in sets)
    means = {signals: [100 * sum(shares) / asked for shares in of_depth] for signals, of_depth in found.items()}
    ahead = means["both"][1] - max(means["words"][1], means["vectors"][1])
    flat = [mean for signals in SIGNALS for mean in means[signals]]
    slower = seconds["both"] / max(seconds["words"], seconds["vectors"])
    found_ms = 1000 * seconds["both"] / asked
    return (name, asked, *flat, ahead, at_least(ahead, -UNDER_MOST, "points"), found_ms, slower)


# --- the sets ---------------------------------------------------------------------------------------------------


def _locomo(path: Path) -> list[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        samples: list[dict[str, Any]] = json.load(file)
    return samples


def _chats(home: Home, embedder: str, called: str, samples: list[dict[str, Any]]) -> Iterator[Set]:
    """One agent a conversation of LoCoMo's form; a question without evidence that can be found is left out."""
    plain = home.path / f"{called}.json"
    plain.write_text(json.dumps(samples), encoding="utf-8")
    settings = AgentSettings(embedder=embedder)
    for number, sample in enumerate(samples, 1):
        name = f"{called} {number} {embedder}"
        ws = _there(home, name)
        if ws is None:
            ws = home.open(import_conversations(home, plain, name=name, records=(number,), settings=settings).agent_id)
        ws.projections.flush()
        ids: dict[str, str] = {}
        for row in ws.rows("SELECT seq_from FROM events WHERE kind = 'history_imported'"):
            event: Any = ws.event(row["seq_from"])
            ids |= {theirs: ours for ours, theirs in event.ids.items()}
        yield Set(ws.recall, [question for raw in sample["qa"] if (question := _asked(raw, ids)).answers])
    plain.unlink()


def _talks() -> dict[str, Any]:
    found, questions = talks()
    names = [f"D{session}:{number}" for session, talk in enumerate(found, 1) for number, _ in enumerate(talk, 1)]
    asks = [{"question": ask, "evidence": [names[at] for at in answers]} for ask, answers in questions]
    return _told([(talk[0].at, [(said.role, said.text) for said in talk]) for talk in found], asks)


def _long() -> dict[str, Any]:
    """Messages of several docstrings each, three to a session, and the first lines as questions."""
    pairs = [(first, rest) for first, rest in _docstrings(DISTRACTORS) if len(rest) > 400][PAIRS // 2 :][:LONG_MOST]
    turns = [pairs[at : at + LONG_DOCSTRINGS] for at in range(0, len(pairs), LONG_DOCSTRINGS)]
    sessions, asks = [], []
    for number, turn in enumerate(turns):
        if number % 3 == 0:
            sessions.append((END - timedelta(days=len(turns) - number), list[tuple[str, str]]()))
        sessions[-1][1].append(("user", "\n\n".join(rest for _, rest in turn)))
        place = f"D{len(sessions)}:{len(sessions[-1][1])}"
        asks += [{"question": first, "evidence": [place]} for first, _ in turn]
    return _told(sessions, asks)


def _told(sessions: Sequence[tuple[datetime, Sequence[tuple[str, str]]]], asks: list[dict[str, Any]]) -> dict[str, Any]:
    """A conversation in LoCoMo's form."""
    told: dict[str, Any] = {"speaker_a": "user", "speaker_b": "assistant"}
    for session, (at, talk) in enumerate(sessions, 1):
        told[f"session_{session}_date_time"] = f"{at:%-I:%M %p} on {at:%-d %B}, {at:%Y}".lower()
        told[f"session_{session}"] = [
            {"speaker": role, "dia_id": f"D{session}:{number}", "text": text}
            for number, (role, text) in enumerate(talk, 1)
        ]
    return {"sample_id": "made", "conversation": told, "qa": asks}


def _asked(raw: dict[str, Any], ids: dict[str, str]) -> Question:
    named = [f"D{int(a)}:{int(b)}" for text in raw.get("evidence", []) for a, b in re.findall(r"D(\d+):(\d+)", text)]
    return Question(raw["question"], tuple(ids[name] for name in dict.fromkeys(named) if name in ids))


def _pairs(home: Home, embedder: str, name: str, make: Callable[[], list[tuple[str, str]]], asked: int = PAIRS) -> Set:
    """An agent with the second of each pair as a passage; of the first, the first `asked` are asked."""
    pairs = make()
    ws = _there(home, f"{name} {embedder}")
    if ws is None:
        ws = home.open(home.create(Blueprint(name=f"{name} {embedder}", settings=AgentSettings(embedder=embedder))))
        for _, text in pairs:
            ws.edits.insert_passage(text)
    ws.projections.flush()
    ids = [row["id"] for row in ws.rows("SELECT id FROM passages ORDER BY seq_from")]
    asks = zip([query for query, _ in pairs[:asked]], ids, strict=False)
    return Set(ws.archival, [Question(query, (id,)) for query, id in asks], tuple(ids))


def _bible(home: Home, embedder: str) -> Set:
    """Passages of some verses, and questions for one of them."""
    verses: dict[str, list[tuple[int, str]]] = {}
    for line in (SAMPLES / "analyst" / "documents" / "king-james-bible.txt").read_text(encoding="utf-8").splitlines():
        place, text = line.split("\t")
        chapter, verse = place.split(":")
        if chapter.rsplit(" ", 1)[0] in BOOKS:
            verses.setdefault(chapter, []).append((int(verse), text))
    texts, where = list[tuple[str, str]](), dict[str, int]()
    for chapter, said in verses.items():
        for at in range(0, len(said), VERSES_AT_ONCE):
            part = said[at : at + VERSES_AT_ONCE]
            where |= {f"{chapter}:{verse}": len(texts) for verse, _ in part}
            texts.append(("", f"{chapter}\n" + "\n".join(f"{verse} {text}" for verse, text in part)))
    found = _pairs(home, embedder, "bible", lambda: texts, asked=0)
    ids = found.ids
    numbered = Random(2).sample(sorted(where), len(VERSES) // 2)
    asks = [*((question, place) for place, question in VERSES), *((f"What says {place}?", place) for place in numbered)]
    return found._replace(questions=[Question(question, (ids[where[place]],)) for question, place in asks])


def _there(home: Home, name: str) -> Workspace | None:
    return next((home.open(card.id) for card in home.agents() if card.name == name), None)


def _docstrings(most: int = PAIRS) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for path in _files("*.py"):
        try:
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, SyntaxError, RecursionError):
            continue
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                first, rest = " ".join(first.split()), rest.strip()
                if 25 < len(first) < 200 and len(rest) > 150:
                    found.setdefault(first, rest[:1500])
    return _drawn(found, most)


def _code() -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for path in _files("*.py"):
        try:
            text = path.read_text(encoding="utf-8")
            nodes = list(ast.walk(ast.parse(text)))
        except (OSError, ValueError, SyntaxError, RecursionError):
            continue
        lines = text.splitlines()
        for node in nodes:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
                continue
            first = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            body = "\n".join(lines[node.body[1].lineno - 1 : node.end_lineno])
            if 30 < len(first) < 200 and 200 < len(body) < 1500:
                found.setdefault(first, body)
    return _drawn(found, CODE_MOST)


def _sections() -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for path in (*_files("METADATA"), *_files("*.md")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        for head, body in re.findall(r"^#+ (.+)\n((?:(?!#+ ).*\n?)+)", text, re.MULTILINE):
            if 12 < len(head) < 120 and len(body.strip()) > 200 and len(head.split()) > 1:
                found.setdefault(head.strip(), body.strip()[:1500])
    return _drawn(found, PAIRS)


def _paraphrases() -> list[tuple[str, str]]:
    others = [("", rest) for _, rest in _docstrings(DISTRACTORS)]
    return [*((query, fact) for fact, query in PARAPHRASES), *others]


def _drawn(pairs: dict[str, str], most: int) -> list[tuple[str, str]]:
    ordered = sorted(pairs.items())
    return Random(1).sample(ordered, min(most, len(ordered)))


def _files(pattern: str) -> list[Path]:
    paths = sysconfig.get_paths()
    roots = (
        {Path(paths["purelib"])} if pattern != "*.py" else {Path(paths["stdlib"]), Path(paths["purelib"]) / "pandas"}
    )
    return sorted(path for root in roots for path in root.rglob(pattern) if "test" not in str(path.relative_to(root)))


if __name__ == "__main__":
    main(*sys.argv[1:5])
