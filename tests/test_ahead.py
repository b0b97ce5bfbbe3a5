"""Searches that run ahead: used only where a search made then would find the same, and never in the way."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.agent import Agent
from memgpt_core.ahead import Ahead
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import MemscopeError, StoreBroken
from memgpt_core.events import ArchivalInserted, MessageEdited, MessagePinned, TriggerReceived
from memgpt_core.home import Home
from memgpt_core.replay import rerun
from memgpt_core.search import Found
from memgpt_core.settings import AgentSettings
from tests.engine import Engine, FakeClock, ScriptedModel, call, reply, say, until


class Stores:
    """A store whose answers can be held back, and that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self.done: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.mode = "words"
        self.lacking: frozenset[str] = frozenset()
        self.broken = False

    def recall(self, query: str, **scope: Any) -> Found:
        return self._answer("recall", query, scope["page"], "at" in scope)

    def archival(self, query: str, **scope: Any) -> Found:
        return self._answer("archival", query, scope["page"], "at" in scope)

    def _answer(self, store: str, query: str, page: int, ahead: bool) -> Found:
        self.asked.append((store, query, page))
        if ahead:
            assert self.open.wait(20)
            if self.broken:
                self.done.append(query)
                raise StoreBroken("The disk is gone.")
        self.done.append(query)
        return Found((), 11, self.mode)

    def items(self, ids: Any) -> dict[str, dict[str, Any]]:
        return {}

    def search_mode(self) -> str:
        return self.mode

    def found_by_words_only(self) -> frozenset[str]:
        return self.lacking


class Living:
    """An engine that searches ahead, and a model that waits until it has."""

    def __init__(self, folder: Path, prefetch: str) -> None:
        settings = AgentSettings(prefetch=prefetch)  # type: ignore[arg-type]
        self.engine = Engine(folder, ScriptedModel(), settings=settings)
        self.stores = Stores()
        self.ahead = Ahead(self.stores, lambda: self.engine.journal.state, self.engine.journal.read)
        agent = Agent(self.engine.journal, lambda _: self.engine.model, self.engine.search, ahead=self.ahead)
        self.engine.agent = agent
        self.meanwhile: Callable[[], None] = lambda: None

    def patient(self, *calls: Any, searches: int) -> Callable[[dict[str, Any]], Any]:
        """A reply that comes when so many searches have been made ahead and something has happened meanwhile."""

        def answer(body: dict[str, Any]) -> Any:
            until(lambda: len(self.stores.done) >= searches)
            self.meanwhile()
            return reply(*calls)

        return answer

    def tell(self, text: str, *script: Any) -> list[Any]:
        self.engine.model.script = [*script]
        self.engine.model.then = say("ok")
        return self.engine.tell(text)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Callable[..., Living]]:
    made: list[Living] = []

    def make(prefetch: str = "user_message") -> Living:
        made.append(Living(tmp_path, prefetch))
        return made[-1]

    yield make
    for one in made:
        one.stores.open.set()
        one.ahead.close()
        one.engine.close()


def searched(events: list[Any]) -> list[Any]:
    return [event for event in events if event.kind in ("recall_searched", "archival_searched")]


def replied(events: list[Any]) -> list[Any]:
    return [event for event in events if event.kind == "model_replied"]


LOOK = call("archival_memory_search", heartbeat=True, query="parrot")
RECALL = call("conversation_search", heartbeat=True, query="parrot")


@pytest.mark.parametrize("asks", [LOOK, RECALL])
def test_what_was_run_ahead_is_used_and_counted(living: Callable[..., Living], asks: Any) -> None:
    one = living()
    events = one.tell("parrot", one.patient(asks, searches=2))
    (found,) = searched(events)
    assert found.measured.saved_s is not None
    assert found.measured.saved_s >= 0
    assert found.measured.total == 11
    assert [event.measured.prefetched for event in replied(events)] == [2, 0]
    assert sorted(one.stores.asked) == [("archival", "parrot", 1), ("recall", "parrot", 1)], "nothing was asked twice"


def test_what_the_same_reply_says_makes_no_search_behind_it_stale(living: Callable[..., Living]) -> None:
    one = living()
    says = call("send_message", message="A parrot? Let me look.")
    events = one.tell("parrot", one.patient(says, RECALL, searches=2))
    assert searched(events)[0].measured.saved_s is not None, "the reply is of this turn, which a search leaves out"


def test_what_was_not_guessed_is_searched_as_ever(living: Callable[..., Living]) -> None:
    one = living()
    other = call("archival_memory_search", heartbeat=True, query="boiler")
    events = one.tell("parrot", one.patient(other, searches=2))
    (found,) = searched(events)
    assert found.measured.saved_s is None
    assert one.stores.asked[-1] == ("archival", "boiler", 1)


def test_off_runs_nothing_and_says_nothing(living: Callable[..., Living]) -> None:
    one = living("off")
    events = one.tell("parrot", one.patient(LOOK, searches=0))
    assert one.stores.asked == [("archival", "parrot", 1)]
    assert [event.measured.prefetched for event in replied(events)] == [None, None]
    assert searched(events)[0].measured.saved_s is None


def test_a_search_that_still_runs_is_waited_for_and_not_made_twice(living: Callable[..., Living]) -> None:
    one = living()
    one.stores.open.clear()

    def answer(body: dict[str, Any]) -> Any:
        until(lambda: one.stores.asked)
        threading.Timer(0.05, one.stores.open.set).start()
        return reply(RECALL)

    events = one.tell("parrot", answer)
    assert searched(events)[0].measured.saved_s is not None
    assert one.stores.asked == [("recall", "parrot", 1)], "the second guess was not begun after the reply"
    assert replied(events)[0].measured.prefetched == 1


def test_a_guess_that_hangs_delays_no_turn_that_asks_for_something_else(living: Callable[..., Living]) -> None:
    one = living()
    one.stores.open.clear()

    def answer(body: dict[str, Any]) -> Any:
        until(lambda: one.stores.asked)
        return reply(call("archival_memory_search", heartbeat=True, query="boiler"))

    events = one.tell("parrot", answer)
    assert events[-1].reason == "yielded"
    assert not one.stores.open.is_set()
    assert searched(events)[0].measured.saved_s is None
    assert one.tell("boiler")[-1].reason == "yielded", "the next turn neither waits for it nor begins another thread"
    assert one.stores.asked[0] == ("recall", "parrot", 1)
    assert sum(thread.name.startswith("searches ahead") for thread in threading.enumerate()) == 1


def test_a_guess_that_fails_is_searched_again_when_it_is_asked_for(living: Callable[..., Living]) -> None:
    one = living()
    one.stores.broken = True
    events = one.tell("parrot", one.patient(RECALL, searches=1))
    assert searched(events)[0].measured.saved_s is None
    assert events[-1].reason == "yielded"


def _insert(one: Living) -> None:
    one.engine.journal.commit(ArchivalInserted(text="a parrot", author="human"))


def _edit(one: Living) -> None:
    first = f"m{next(event.seq for event in one.engine.events if event.kind == 'trigger_received')}"
    edited = MessageEdited(message=first, text="a parrot", author="human", based_on=int(first[1:]))
    one.engine.journal.commit(edited)


def _new_day(one: Living) -> None:
    one.engine.clock.forward(days=1)


def _vector_came(one: Living) -> None:
    one.stores.lacking = frozenset()


def _embedder_came(one: Living) -> None:
    one.stores.mode = "words+vectors"


def _pin(one: Living) -> None:
    first = f"m{next(event.seq for event in one.engine.events if event.kind == 'trigger_received')}"
    one.engine.journal.commit(MessagePinned(message=first, pinned=True, author="human"))


@pytest.mark.parametrize(
    ("asks", "happens", "used"),
    [
        (LOOK, _insert, False),
        (RECALL, _insert, True),
        (RECALL, _edit, False),
        (LOOK, _edit, True),
        (LOOK, _new_day, False),
        (RECALL, _new_day, False),
        (LOOK, _vector_came, False),
        (RECALL, _embedder_came, False),
        (RECALL, _pin, True),
    ],
)
def test_what_changed_meanwhile_makes_an_answer_stale(
    living: Callable[..., Living], asks: Any, happens: Callable[[Living], None], used: bool
) -> None:
    one = living()
    one.stores.lacking = frozenset({"m3"})
    one.meanwhile = lambda: happens(one)
    events = one.tell("parrot", one.patient(asks, searches=2))
    assert (searched(events)[0].measured.saved_s is not None) == used
    assert rerun(one.engine.events).difference is None


def test_a_passage_the_same_reply_stores_makes_the_search_behind_it_stale(living: Callable[..., Living]) -> None:
    one = living()
    keep = call("archival_memory_insert", content="The parrot is called Admiral.")
    events = one.tell("parrot", one.patient(keep, LOOK, searches=2))
    assert searched(events)[0].measured.saved_s is None


def test_the_next_page_runs_ahead_once_there_is_one(living: Callable[..., Living]) -> None:
    one = living("next_page")
    second = call("archival_memory_search", heartbeat=True, query="parrot", page=2)
    events = one.tell("x", reply(LOOK), one.patient(second, searches=2))
    first, after = searched(events)
    assert (first.measured.saved_s, after.page) == (None, 2)
    assert after.measured.saved_s is not None
    assert [event.measured.prefetched for event in replied(events)][:2] == [0, 1]


WORDS = ("parrot", "boiler", "waffles", "accordion", "tent", "Porto")


def test_an_agent_finds_the_same_with_it_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real agent, whose passages and messages a person changes at any moment: what is used is what is found now."""
    draw = random.Random(3)
    ready, used = Ahead._ready, []

    def compared(self: Ahead, one: Any, exclude: tuple[str, ...]) -> Found | None:
        found = ready(self, one, exclude)
        if found is not None:
            scope = {**dict(one.narrow), "page": one.page, "page_size": one.page_size}
            scope |= {"exclude": exclude} if one.store == "recall" else {}
            now = getattr(self._stores, one.store)(one.query, **scope)
            assert found._replace(saved_s=None) == now
            used.append(one)
        return found

    monkeypatch.setattr(Ahead, "_ready", compared)
    model = ScriptedModel(then=say("ok"))
    home = Home(tmp_path, clock=FakeClock(), models={"demo": model}, timer=False)
    try:
        settings = AgentSettings(prefetch="user_message", embedder="hashing", page_size=3)
        ws = home.open(home.create(Blueprint(name="Ada", settings=settings)))
        for _ in range(8):
            word = draw.choice(WORDS)

            def meanwhile(body: dict[str, Any], word: str = word) -> Any:
                until(lambda: not ws._ahead._working)
                if draw.random() < 0.3:
                    ws.edits.insert_passage(f"{word} {draw.random()}")
                with suppress(MemscopeError):
                    if draw.random() < 0.3:
                        ws.edits.edit_message("m5", f"{word}!", based_on=5)
                calls = [call("archival_memory_insert", content=f"{word} stored")] * (draw.random() < 0.3)
                return reply(*calls, *[one for one in (_look(word), _recall(word)) if draw.random() < 0.8] or [LOOK])

            model.script = [meanwhile]
            ws.send(word)
            assert ws.wait_idle(20)
        assert used
        assert not ws.verify()
    finally:
        home.close()


def _look(word: str) -> Any:
    return call("archival_memory_search", heartbeat=True, query=word)


def _recall(word: str) -> Any:
    return call("conversation_search", heartbeat=True, query=word)


def test_a_trigger_that_nobody_wrote_leads_to_no_guess(living: Callable[..., Living]) -> None:
    one = living()
    one.engine.model.then = say("ok")
    one.engine.agent.receive(TriggerReceived(cause="timer", text="parrot"))
    one.engine.agent.run_turn()
    assert not one.stores.asked
