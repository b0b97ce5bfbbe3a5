"""Conversations brought into an agent: lived through, paged, found, brought in once, and never by half.

A kill is real: a child process dies at a failpoint, and the import that goes on must leave the very log that one
without a kill leaves.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import AgentBusy, AgentNotFound
from memgpt_core.events import Measured
from memgpt_core.home import Home
from memgpt_core.interchange import halfway, importing, living, spool
from memgpt_core.interchange.conversations import detect, read
from memgpt_core.interchange.exporting import export_conversation
from memgpt_core.interchange.extract import MARK, extract
from memgpt_core.interchange.halfway import discard, unfinished
from memgpt_core.interchange.importing import Report, import_conversations
from memgpt_core.interchange.living import IMPORTED
from memgpt_core.interchange.records import ImportRefused
from memgpt_core.llm.base import Progress, Reply
from memgpt_core.queue_manager import total_tokens
from memgpt_core.replay import rerun_file
from memgpt_core.settings import AgentSettings
from memgpt_core.tokens import count
from tests.engine import FakeClock, ScriptedModel, say

ROOT = Path(__file__).parent.parent
SAMPLES = Path(__file__).parent / "conversations"
NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SMALL = AgentSettings(window_tokens=3500, reserve_tokens=256)
"""A window that a few exchanges fill."""


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    opened: dict[str, Home] = {}

    def make(name: str = "home", **models: Any) -> Home:
        if name in opened:
            opened[name].close()
        models = models or {"demo": ScriptedModel(then=say("ok"))}
        opened[name] = Home(tmp_path / name, clock=FakeClock(), models=models, timer=False)
        return opened[name]

    yield make
    for home in opened.values():
        home.close()


def bring(home: Home, path: Path, **options: Any) -> Report:
    return import_conversations(home, path, clock=lambda: NOW, **options)


def log_of(home: Home, agent_id: str) -> bytes:
    return (home.path / "agents" / agent_id / "run.jsonl").read_bytes()


def files_in(home: Home) -> dict[str, bytes]:
    """Every log of the home, and whatever an import might leave."""
    found = {str(path.relative_to(home.path)): path.read_bytes() for path in home.path.rglob("run.jsonl*")}
    return found | {str(path): b"" for path in (home.path / halfway.STAGING).glob("*")}


def chat(id: str, start: datetime, *said: str, every_s: float = 20) -> dict[str, Any]:
    """An OpenAI-style chat in which user and assistant take turns."""
    messages = [
        {
            "role": ("user", "assistant")[at % 2],
            "content": text,
            "timestamp": (start + timedelta(seconds=at * every_s)).isoformat(),
        }
        for at, text in enumerate(said)
    ]
    return {"id": id, "messages": messages}


def written(path: Path, *chats: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(one) for one in chats), encoding="utf-8")
    return path


DAY = datetime(2024, 5, 1, 8, 0, tzinfo=UTC)


def many(path: Path, conversations: int = 40, exchanges: int = 4) -> Path:
    """Chats on days that are out of order in the file."""
    chats = []
    for number in range(conversations):
        day = DAY + timedelta(days=(number * 7) % conversations)
        said = [
            f"I bought {number} red lamps in shop {at} and put them beside my old green sofa."
            for at in range(exchanges)
        ]
        chats.append(chat(f"c{number}", day, *(text for one in said for text in (one, f"You did: {one}"))))
    return written(path, *chats)


# --- a life ---------------------------------------------------------------------------------------------------------


def test_two_people_become_a_user_and_an_agent_with_names_dates_and_ids(homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / "locomo.json")
    assert (report.sessions, report.messages, report.already, report.moved, report.skipped) == (2, 4, 0, 0, [])
    ws = home.open(report.agent_id)
    rows = ws.rows(
        """SELECT role, text, "at", session FROM messages WHERE kind != 'function_returned' ORDER BY seq_from"""
    )
    assert [(row["role"], row["text"], row["session"]) for row in rows] == [
        ("system", "Never (first login)", 1),
        ("user", "Ann: I adopted a dog yesterday! [shares a photo: a photo of a small brown dog]", 1),
        ("assistant", "Ben: Lovely. What is he called?", 1),
        ("system", "2023-05-08 01:56:00 PM UTC+0000", 2),
        ("assistant", "Ben: How is the dog?", 2),
        ("user", "Ann: He ate my shoe.", 2),
    ]
    assert rows[1]["at"] == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    marks: list[Any] = [event for event in ws.events(1) if event.kind == "history_imported"]
    assert [list(mark.ids.values()) for mark in marks] == [[], ["D1:1", "D1:2"], ["D2:1", "D2:2"]]
    texts = {source: ws.items([id])[id]["text"] for mark in marks for id, source in mark.ids.items()}
    assert texts["D2:2"] == "Ann: He ate my shoe."
    assert ws.recall("Ann shoe").hits
    assert ws.verify() == []
    assert not ws.state().turn_open


def test_the_other_speaker_can_be_the_user(homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / "locomo.json", user_speaker="Ben")
    rows = home.open(report.agent_id).rows("SELECT text FROM messages WHERE role = 'user' ORDER BY seq_from")
    assert [row["text"] for row in rows] == ["Ben: Lovely. What is he called?", "Ben: How is the dog?"]


def test_an_imported_log_reruns_as_imported_and_what_is_lived_after_it_is_rerun(homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / "locomo.json")
    ws = home.open(report.agent_id)
    imported = ws.last_seq
    ws.send("Hello again")
    ws.wait_idle(20)
    outcome = rerun_file(ws.folder / "run.jsonl")
    assert (outcome.identical, outcome.imported, outcome.events) == (True, imported, ws.last_seq)
    assert ws.last_seq > imported
    # The clock of the agent is behind nothing: the login came because months had passed.
    assert ws.state().session == 3


def test_sessions_and_messages_stand_in_the_order_of_their_times(homes: Callable[..., Home], tmp_path: Path) -> None:
    path = written(
        tmp_path / "f",
        chat("late", DAY + timedelta(days=2), "third", "THIRD"),
        chat("early", DAY, "first", "FIRST"),
        {"id": "back", "messages": chat("", DAY + timedelta(days=1), "second", "SECOND")["messages"][::-1]},
    )
    home = homes()
    report = bring(home, path)
    ws = home.open(report.agent_id)
    said = ws.rows("""SELECT text, "at" FROM messages WHERE role IN ('user', 'assistant') ORDER BY seq_from""")
    assert [row["text"] for row in said] == ["first", "FIRST", "second", "SECOND", "third", "THIRD"]
    assert [row["at"] for row in said] == sorted(row["at"] for row in said)
    assert said[0]["at"] == DAY
    assert ws.events(1, 1)[0].at == DAY


def test_messages_one_a_line_are_put_together_by_their_session(homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / "openai_lines.jsonl")
    said = home.open(report.agent_id).rows(
        "SELECT session, text FROM messages WHERE role IN ('user', 'assistant') ORDER BY seq_from"
    )
    assert [(row["session"], row["text"]) for row in said] == [
        (1, "Hello, I am Ada."),
        (1, "Hello Ada."),
        (2, "Second talk, first line of the file."),
        (2, "Welcome back."),
    ]


def test_a_conversation_taken_up_again_after_a_pause_is_two_sessions_with_others_between(
    homes: Callable[..., Home], tmp_path: Path
) -> None:
    long = chat("long", DAY, "one", "two")
    long["messages"] += chat("", DAY + timedelta(days=3), "five", "six")["messages"]
    home = homes()
    report = bring(home, written(tmp_path / "f", long, chat("other", DAY + timedelta(days=1), "three", "four")))
    said = home.open(report.agent_id).rows(
        "SELECT session, text FROM messages WHERE role IN ('user', 'assistant') ORDER BY seq_from"
    )
    assert [row["text"] for row in said] == ["one", "two", "three", "four", "five", "six"]
    assert (report.sessions, [row["session"] for row in said]) == (3, [1, 1, 2, 2, 3, 3])
    assert report.moved == 0


def test_conversations_without_times_come_last_at_the_time_of_the_import(
    homes: Callable[..., Home], tmp_path: Path
) -> None:
    undated = {"messages": [{"role": "user", "content": "no date"}]}
    future = chat("future", NOW + timedelta(days=900), "from the future")
    home = homes()
    report = bring(home, written(tmp_path / "f", undated, future, chat("dated", DAY, "dated")))
    said = home.open(report.agent_id).rows("""SELECT text, "at" FROM messages WHERE role = 'user' ORDER BY seq_from""")
    assert [(row["text"], row["at"]) for row in said] == [("dated", DAY), ("no date", NOW), ("from the future", NOW)]


def test_calls_and_results_keep_together(homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / "openai_tools.jsonl")
    ws = home.open(report.agent_id)
    returned: list[Any] = [event for event in ws.events(1) if event.kind == "function_returned"]
    assert [(event.name, event.arguments, event.value) for event in returned[:2]] == [
        ("get_weather", {"city": "Paris"}, "18 degrees"),
        ("get_weather", {"city": "Rome"}, "24 degrees"),
    ]
    replies: list[Any] = [event for event in ws.events(1) if event.kind == "model_replied"]
    assert {event.done_reason for event in replies} == {IMPORTED}
    assert [call.name for event in replies for call in event.calls] == ["get_weather", "get_weather", "send_message"]
    sent: list[Any] = [event for event in ws.events(1) if event.kind == "message_sent"]
    assert [(event.text, event.plain) for event in sent] == [("18 degrees in Paris, 24 in Rome.", False)]


def test_instructions_of_another_assistant_are_told_as_such(homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / "openai.jsonl")
    rows = home.open(report.agent_id).rows("SELECT text FROM messages WHERE role = 'system' AND text LIKE '%agent%'")
    assert [row["text"] for row in rows] == [living.SYSTEM + "You are a travel agent."]


@pytest.mark.parametrize("name", ["openai.jsonl", "sharegpt.json", "chatgpt.json", "claude.json"])
def test_every_format_makes_a_life_that_can_go_on(name: str, homes: Callable[..., Home]) -> None:
    home = homes()
    report = bring(home, SAMPLES / name)
    ws = home.open(report.agent_id)
    expected = [one for record in read(SAMPLES / name, detect(SAMPLES / name)) for one in record.sessions]
    assert report.messages == sum(len(session.messages) for session in expected)
    ws.send("And now?")
    ws.wait_idle(20)
    assert rerun_file(ws.folder / "run.jsonl").identical
    assert ws.verify() == []


# --- paging ---------------------------------------------------------------------------------------------------------


def test_an_imported_history_pages_and_says_that_no_model_summarised(
    homes: Callable[..., Home], tmp_path: Path
) -> None:
    home = homes()
    report = bring(home, many(tmp_path / "f"), settings=SMALL)
    ws = home.open(report.agent_id)
    flushes: list[Any] = [event for event in ws.events(1) if event.kind == "queue_flushed"]
    assert len(flushes) > 3
    for flush in flushes:
        assert (flush.summarised_by, flush.trigger) == ("none", "flush_mark")
        assert flush.summary.startswith(MARK)
        assert flush.tokens_before > flush.flush_tokens >= flush.tokens_after
        after = ws.state(flush.seq)
        assert total_tokens(after) == flush.tokens_after
        assert not {entry.id for entry in after.queue} & set(flush.evicted)
    assert flushes[-1].covers == sum(len(flush.evicted) for flush in flushes)
    assert "lamps" in flushes[-1].summary
    assert not [event for event in ws.events(1) if event.kind in ("prompt_built", "pressure_warned")]


def test_the_models_own_summaries_come_on_request(homes: Callable[..., Home], tmp_path: Path) -> None:
    class Summariser:
        def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
            assert "summariser" in body["messages"][0]["content"]
            return Reply("They spoke of lamps.", "", (), "stop", Measured())

    home = homes(demo=Summariser())
    report = bring(home, many(tmp_path / "f"), settings=SMALL, summaries="model")
    events: list[Any] = home.open(report.agent_id).events(1)
    flushes = [event for event in events if event.kind == "queue_flushed"]
    assert {(event.summarised_by, event.summary) for event in flushes} == {("model", "They spoke of lamps.")}
    asked = [event for event in events if event.kind == "prompt_built"]
    assert [event.purpose for event in asked] == ["summary"] * len(flushes)
    assert rerun_file(home.path / "agents" / report.agent_id / "run.jsonl").identical


@pytest.mark.parametrize("strategy", ["archive_verbatim", "drop_with_notice", "summarise_and_archive"])
def test_the_agents_own_strategy_is_kept(strategy: Any, homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    settings = SMALL.model_copy(update={"strategy": strategy})
    report = bring(home, many(tmp_path / "f", 20), settings=settings)
    ws = home.open(report.agent_id)
    flushes: list[Any] = [event for event in ws.events(1) if event.kind == "queue_flushed"]
    assert flushes
    assert {flush.strategy for flush in flushes} == {strategy}
    assert (ws.state().passages > 0) == (strategy == "archive_verbatim")


def test_an_extract_keeps_what_a_person_said_of_themselves_within_its_budget() -> None:
    day = DAY.date()
    said = [
        (day, "assistant", "Sure. Of course you can do that whenever you like."),
        (day, "user", "Well. My dog is called Rex."),
    ]
    first = extract("", said, 80)
    assert "2024-05-01 user: My dog is called Rex." in first.splitlines()
    grown = extract(first, [(day, "user", f"I have {n} pairs of shoes in Oslo.") for n in range(50)], 120)
    assert count(grown) <= 120
    assert grown.startswith(MARK)
    assert "49 pairs" in grown


# --- once, and never by half ----------------------------------------------------------------------------------------


def test_the_same_file_again_adds_nothing(homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    path = many(tmp_path / "f", 10)
    first = bring(home, path)
    before = files_in(home)
    again = bring(home, path)
    assert (again.agent_id, again.messages, again.sessions, again.already) == (first.agent_id, 0, 0, first.messages)
    into = bring(home, path, into=first.agent_id)
    assert (into.messages, into.already) == (0, first.messages)
    assert files_in(home) == before
    assert len(home.agents()) == 1


def test_a_file_that_has_grown_adds_what_is_new(homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    one, two = chat("one", DAY, "a", "b"), chat("two", DAY + timedelta(days=1), "c", "d")
    agent_id = bring(home, written(tmp_path / "f", one)).agent_id
    one["messages"] += chat("", DAY + timedelta(days=5), "e", "f")["messages"]
    report = bring(home, written(tmp_path / "f", one, two), into=agent_id)
    assert (report.messages, report.already) == (4, 2)
    ws = home.open(agent_id)
    said = ws.rows("SELECT text FROM messages WHERE role IN ('user', 'assistant') ORDER BY seq_from")
    assert [row["text"] for row in said] == ["a", "b", "c", "d", "e", "f"]
    one["messages"][0]["content"] = "changed"
    changed = bring(home, written(tmp_path / "f", one, two), into=agent_id)
    assert (changed.messages, changed.already) == (0, 2)
    assert [number for number, _ in changed.skipped] == [1]
    assert "changed since" in changed.skipped[0][1]


def test_into_an_agent_with_a_life_what_is_older_keeps_its_time_in_its_text(
    homes: Callable[..., Home], tmp_path: Path
) -> None:
    home = homes()
    agent_id = home.create(Blueprint(name="Old"))
    ws = home.open(agent_id)
    ws.send("I am here")
    ws.wait_idle(20)
    before = log_of(home, agent_id)
    report = bring(home, written(tmp_path / "f", chat("one", DAY, "from before", "indeed")), into=agent_id)
    assert (report.agent_id, report.messages, report.moved) == (agent_id, 2, 2)
    assert log_of(home, agent_id).startswith(before)
    ws = home.open(agent_id)
    texts = [row["text"] for row in ws.rows("SELECT text FROM messages WHERE role = 'user' ORDER BY seq_from")]
    assert texts == ["I am here", "[2024-05-01 08:00 UTC] from before"]
    assert ws.verify() == []
    outcome = rerun_file(ws.folder / "run.jsonl")
    assert outcome.identical
    assert 0 < outcome.imported < outcome.events


def test_an_agent_that_lived_on_during_the_import_is_not_overwritten(
    homes: Callable[..., Home], tmp_path: Path
) -> None:
    home = homes()
    agent_id = home.create(Blueprint(name="Busy"))
    path = many(tmp_path / "f", 5)
    spoken: list[str] = []

    def speak() -> bool:
        if not spoken:
            spoken.append("while you read")
            home.open(agent_id).send(spoken[0])
            home.open(agent_id).wait_idle(20)
        return False

    with pytest.raises(AgentBusy, match="lived on"):
        bring(home, path, into=agent_id, stop=speak)
    assert b"while you read" in log_of(home, agent_id)
    report = bring(home, path, into=agent_id)
    assert report.messages == 40
    assert log_of(home, agent_id).count(b"while you read") >= 1
    assert rerun_file(home.path / "agents" / agent_id / "run.jsonl").identical


def test_two_records_with_one_id(homes: Callable[..., Home], tmp_path: Path) -> None:
    one, other = chat("same", DAY, "a", "b"), chat("same", DAY, "a", "x")
    report = bring(homes(), written(tmp_path / "f", one, one, other))
    assert (report.messages, report.already) == (2, 2)
    assert report.skipped == [(3, "has the id of record 1 (same) and says something else")]


BAD = {"messages": [{"role": "wizard", "content": "x"}]}


def test_a_bad_record_is_skipped_and_named_or_refuses_everything(homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    path = written(tmp_path / "f", chat("a", DAY, "one", "two"), BAD, chat("b", DAY, "three", "four"))
    before = files_in(home)
    with pytest.raises(ImportRefused, match=r"Record 2 has a message with the role 'wizard'.*Nothing was imported"):
        bring(home, path, on_bad="refuse")
    assert files_in(home) == before
    report = bring(home, path)
    assert (report.messages, report.skipped_records) == (4, 1)
    assert report.skipped[0][0] == 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (json.dumps([chat("a", DAY, "one")])[:-9], "cut off"),
        (json.dumps([BAD, BAD]), "None of the 2 records .* Record 1 has"),
        (json.dumps({"messages": []}), "Nothing is said"),
    ],
)
def test_a_refused_file_changes_nothing(data: str, sentence: str, homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    before = files_in(home)
    path = tmp_path / "f"
    path.write_text(data)
    with pytest.raises(ImportRefused, match=sentence):
        bring(home, path)
    assert files_in(home) == before
    assert unfinished(home) == []


def test_into_an_agent_that_is_not_there(homes: Callable[..., Home]) -> None:
    with pytest.raises(AgentNotFound):
        bring(homes(), SAMPLES / "locomo.json", into="nobody")


def test_chosen_records_alone(homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    path = written(tmp_path / "f", chat("a", DAY, "one"), chat("b", DAY, "two"), chat("c", DAY, "three"))
    first = bring(home, path, records=[2])
    assert first.messages == 1
    # Other records are another agent's, the same ones are there already.
    other = bring(home, path, records=[3])
    assert other.agent_id != first.agent_id
    assert bring(home, path, records=[2]).already == 1


# --- stopped and killed ---------------------------------------------------------------------------------------------


@pytest.fixture
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "RECORDS_A_COMMIT", 5)
    monkeypatch.setattr(living, "EVENTS_A_WRITE", 100)
    monkeypatch.setattr(spool, "STRETCH_MESSAGES", 5)


@pytest.mark.usefixtures("_small_steps")
def test_an_import_stopped_anywhere_goes_on_to_the_same_log(homes: Callable[..., Home], tmp_path: Path) -> None:
    path = many(tmp_path / "f", 20)
    whole = homes("whole")
    done = bring(whole, path, settings=SMALL)
    home = homes()
    stops = 0
    shares: list[float] = []
    while True:
        asked = iter(range(10**6))
        report = bring(home, path, settings=SMALL, stop=lambda asked=asked: next(asked) >= 9, progress=shares.append)
        if not report.stopped:
            break
        stops += 1
        assert report.agent_id == ""
        assert home.agents() == []
        assert [(one.path, one.into) for one in unfinished(home)] == [(str(path), "")]
        home = homes()
    assert stops > 3
    assert shares[-1] == 1.0
    assert report == done
    assert log_of(home, report.agent_id) == log_of(whole, done.agent_id)
    assert unfinished(home) == []


def test_a_stopped_import_can_be_discarded(homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    assert bring(home, many(tmp_path / "f"), stop=lambda: True).stopped
    (left,) = unfinished(home)
    discard(home, left.key)
    assert unfinished(home) == []
    assert home.agents() == []


CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from memgpt_core.home import Home
from memgpt_core.interchange import importing, living, spool
from memgpt_core.settings import AgentSettings
importing.RECORDS_A_COMMIT, living.EVENTS_A_WRITE, spool.STRETCH_MESSAGES = 5, 100, 5
home = Home(Path(sys.argv[1]), timer=False)
importing.import_conversations(
    home, Path(sys.argv[2]), into=sys.argv[3] or None, clock=lambda: datetime(2026, 3, 1, 9, tzinfo=UTC),
    settings=AgentSettings(window_tokens=3500, reserve_tokens=256),
)
home.close()
"""

KILLS = [
    "import.after_block:kill:2",
    "import.after_write:kill:1",
    "import.after_write:kill:3",
    "log.append.torn:kill:3",
    "log.append.before_sync:kill:3",
    "checkpoint.before_rename:kill:1",
    "import.before_reveal:kill:1",
    "import.after_reveal:kill:1",
]


def killed(home: Path, path: Path, wish: str, into: str = "") -> int:
    command = [sys.executable, "-c", CHILD, str(home), str(path), into]
    return subprocess.run(command, env={**os.environ, "MEMSCOPE_FAILPOINT": wish}, cwd=ROOT, timeout=120).returncode


@pytest.mark.usefixtures("_small_steps")
@pytest.mark.parametrize("wish", KILLS)
def test_a_kill_leaves_nothing_half_imported_and_nothing_comes_twice(
    wish: str, homes: Callable[..., Home], tmp_path: Path
) -> None:
    path = many(tmp_path / "f", 25)
    whole = homes("whole")
    done = bring(whole, path, settings=SMALL)
    assert killed(tmp_path / "home", path, wish) == -signal.SIGKILL
    home = homes()
    revealed = wish.startswith("import.after_reveal")
    assert len(home.agents()) == revealed
    report = bring(home, path, settings=SMALL)
    assert (report.messages, report.already) == ((0, done.messages) if revealed else (done.messages, 0))
    assert [card.id for card in home.agents()] == [done.agent_id]
    assert log_of(home, report.agent_id) == log_of(whole, done.agent_id)
    assert home.open(report.agent_id).verify() == []
    assert list((home.path / halfway.STAGING).iterdir()) == []


@pytest.mark.usefixtures("_small_steps")
@pytest.mark.parametrize(
    "wish", ["import.after_write:kill:2", "import.before_reveal:kill:1", "import.after_reveal:kill:1"]
)
def test_a_kill_leaves_the_agent_it_was_meant_for_whole(wish: str, homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    agent_id = home.create(Blueprint(name="Old", settings=SMALL))
    before = log_of(home, agent_id)
    home.close()
    path = many(tmp_path / "f", 20)
    assert killed(tmp_path / "home", path, wish, agent_id) == -signal.SIGKILL
    home = homes()
    revealed = wish.startswith("import.after_reveal")
    assert (log_of(home, agent_id) == before) != revealed
    report = bring(home, path, into=agent_id)
    assert report.messages + report.already == 160
    ws = home.open(agent_id)
    found = ws.rows("SELECT count(*) AS n, count(DISTINCT text) AS texts FROM messages WHERE role = 'user'")
    assert found == [{"n": 80, "texts": 80}]
    assert ws.verify() == []
    assert ws.notices() == []


# --- out again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai.jsonl", "openai_tools.jsonl", "claude.json", "chatgpt.json"])
def test_what_came_in_goes_out_and_comes_in_again(name: str, homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    first = home.open(bring(home, SAMPLES / name).agent_id)
    out = tmp_path / "out.jsonl"
    done = export_conversation(first, out, "openai")
    other = homes("other")
    second = other.open(bring(other, out).agent_id)
    sql = """SELECT role, kind, text, thoughts, "at" FROM messages WHERE role != 'system' ORDER BY seq_from"""
    assert second.rows(sql) == first.rows(sql)
    assert done.sessions == first.state().session
    assert export_conversation(first, out, "sharegpt").messages == done.messages
    assert detect(out).format == "sharegpt"


def test_an_export_has_what_was_corrected_and_not_what_was_deleted(homes: Callable[..., Home], tmp_path: Path) -> None:
    home = homes()
    agent_id = bring(home, written(tmp_path / "f", chat("a", DAY, "one", "two", "three", "four"))).agent_id
    ws = home.open(agent_id)
    ids = {row["text"]: row["id"] for row in ws.rows("SELECT id, text FROM messages WHERE seq_to IS NULL")}
    ws.edits.edit_message(ids["one"], "one, corrected", based_on=int(ids["one"][1:]))
    ws.edits.delete_messages([ids["three"]])
    out = tmp_path / "out"
    export_conversation(ws, out, "openai")
    texts = [message["content"] for message in json.loads(out.read_text())["messages"]]
    assert texts == ["one, corrected", "two", "four"]
