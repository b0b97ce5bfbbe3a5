"""One call run: the failure classes, heartbeats, clipped results, and calls found in plain text."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core.events import Call, encode
from memgpt_core.executor import execute, not_run, salvage
from memgpt_core.queue_manager import message_cap_tokens
from memgpt_core.registry import REGISTRY
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from tests.engine import Engine, call, reply, say, sent

Make = Callable[..., Engine]
NAMES = frozenset(REGISTRY)


@pytest.fixture
def one(engine: Make) -> Engine:
    return engine(then=say("ok"), settings=AgentSettings(window_tokens=4096, reserve_tokens=256))


def run(one: Engine, name: str, arguments: dict[str, Any] | str, **options: Any) -> Any:
    made = Call(id="c1", name=name, arguments=arguments)
    return execute(one.agent._memory, made, options.pop("functions", REGISTRY), **options)


# --- the failure classes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("fly", {"to": "Rome"}, "There is no function 'fly'. Functions: send_message, pause_heartbeats, "),
        ("", {}, "There is no function ''."),
        ("note_read", "{'name': 'a'}", 'The arguments are not a JSON object. Write them as {"name": value}.'),
        ("note_read", '{"name": "a"', "The arguments are not a JSON object."),
        ("note_read", '["a"]', "The arguments are not a JSON object."),
        ("note_read", "null", "The arguments are not a JSON object."),
        ("note_read", '{"name": ' + "[" * 100_000, "The arguments are not a JSON object."),
        ("note_read", '{"name": ' + "9" * 5000 + "}", "The arguments are not a JSON object."),
        ("note_read", {}, "Error calling function note_read: name: field required. note_read takes: name."),
        ("note_read", "", "Error calling function note_read: name: field required"),
        ("note_read", {"name": "a"}, "Error calling function note_read: There is no note 'a'. Notes: none."),
        ("note_list", {"x": 1}, "Error calling function note_list: x: extra inputs are not permitted"),
    ],
)
def test_a_mistake_of_the_model_is_a_failed_result_with_a_forced_heartbeat(
    one: Engine, name: str, arguments: Any, says: str
) -> None:
    before = one.state.seq
    event = run(one, name, arguments)
    assert (event.kind, event.ok, event.heartbeat, event.call_id, event.name) == (
        "function_returned",
        False,
        True,
        "c1",
        name,
    )
    assert event.value.startswith(says)
    assert one.state.seq == before + 1, "nothing but the result was committed"


def test_a_function_that_is_not_offered_is_not_there(one: Engine) -> None:
    event = run(one, "note_list", {}, functions={"note_read": REGISTRY["note_read"]})
    assert event.value == "There is no function 'note_list'. Functions: note_read."


def test_the_effects_come_before_the_result_and_a_refusal_has_none(one: Engine) -> None:
    before = one.state.seq
    assert run(one, "note_write", {"name": "a", "text": "b"}).ok
    assert [event.kind for event in one.events[before:]] == ["note_written", "function_returned"]
    assert not run(one, "note_write", {"name": "", "text": "b"}).ok
    assert [event.kind for event in one.events[before:]] == ["note_written", "function_returned", "function_returned"]


def test_a_result_carries_the_checked_arguments_the_time_and_what_it_holds(one: Engine) -> None:
    ticks = iter([10.0, 10.25])
    run(one, "archival_memory_insert", {"content": "tea"})
    stored = one.state.seq - 1
    event = run(one, "archival_memory_search", '{"query": "tea", "page": "1"}', timer=lambda: next(ticks))
    assert event.arguments == {"query": "tea", "tags": [], "start_date": "", "end_date": "", "page": 1}
    assert event.measured.seconds == 0.25
    assert event.holds == (f"p{stored}",)
    assert one.state.holds(f"p{stored}")


# --- heartbeats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "beats"),
    [
        (True, True),
        ("true", True),
        ("True", True),
        (False, False),
        ("false", False),
        (None, False),
        (0, False),
        ("yes", False),
        ([], False),
        ({"a": 1}, False),
        ([True], False),
    ],
)
def test_a_heartbeat_is_a_true_or_the_word_for_it(one: Engine, written: Any, beats: bool) -> None:
    event = run(one, "note_list", {"request_heartbeat": written})
    assert (event.ok, event.heartbeat) == (True, beats)
    assert "request_heartbeat" not in event.arguments


@pytest.mark.parametrize(
    ("name", "arguments"), [("send_message", {"message": "x"}), ("pause_heartbeats", {"minutes": 1})]
)
def test_a_terminal_function_gives_no_control_back(one: Engine, name: str, arguments: dict[str, Any]) -> None:
    assert not run(one, name, {**arguments, "request_heartbeat": True}).heartbeat


# --- sizes and shapes -----------------------------------------------------------------------------------------------


def test_a_long_result_is_stored_whole_and_queued_clipped(one: Engine) -> None:
    run(one, "note_write", {"name": "long", "text": "漢字" * 1990})
    event = run(one, "note_read", {"name": "long"})
    assert len(event.value) == 3980
    assert event.clip is not None
    assert one.state.queue[-1].tokens <= message_cap_tokens(one.state)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [1, 59, 61, 200, 300, 700, 5000])
@pytest.mark.parametrize("as_text", [True, False])
def test_nesting_of_any_depth_is_the_models_mistake_and_not_ours(one: Engine, depth: int, as_text: bool) -> None:
    text = '{"name": ' + "[" * depth + '"x"' + "]" * depth + "}"
    arguments: Any = text if as_text else {"name": nested(depth)}
    one.model.script = [reply(Call(id="c", name="note_read", arguments=arguments))]
    events = one.tell("go")
    assert events[-1].reason == "yielded"
    assert not next(event for event in events if event.kind == "function_returned").ok
    assert rerun(one.events).identical


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_character_from_anywhere_in_a_reply_is_made_whole(one: Engine, text: str) -> None:
    half = Call(id=text, name=text, arguments={text: [text]})
    one.model.script = [reply(half, content=text, thinking=text), reply(call("send_message", message=text))]
    events = one.tell("go")
    assert events[-1].reason == "yielded"
    assert "\ufffd" in sent(events)[0]
    assert rerun(one.events).identical


def test_a_call_that_a_stop_came_before_says_so() -> None:
    event = not_run(Call(id="c", name="f", arguments="{"))
    assert (event.ok, event.heartbeat, event.arguments) == (False, False, "{")
    assert event.value == "Not run: the user stopped the turn."


# --- calls in plain text --------------------------------------------------------------------------------------------

CALL = {"name": "send_message", "arguments": {"message": "hi"}}


@pytest.mark.parametrize(
    "value",
    [
        CALL,
        {"name": "send_message", "parameters": {"message": "hi"}},
        {"function": "send_message", "args": {"message": "hi"}},
        {"tool": "send_message", "params": {"message": "hi"}},
        {"type": "function", "function": CALL},
    ],
)
def test_every_way_small_models_print_a_call(value: dict[str, Any]) -> None:
    for text in (json.dumps(value), json.dumps([value]), f"```json\n{json.dumps(value, indent=2)}\n```"):
        calls, rest = salvage(text, NAMES)
        assert [(one.name, one.arguments) for one in calls] == [("send_message", {"message": "hi"})]
        assert rest == ""


def test_several_calls_and_the_text_around_them() -> None:
    text = f"First {json.dumps(CALL)} then {{not json}} and {json.dumps({'name': 'note_list'})} done"
    calls, rest = salvage(text, NAMES)
    assert [(one.id, one.name, one.arguments) for one in calls] == [
        ("salvaged_0", "send_message", {"message": "hi"}),
        ("salvaged_1", "note_list", {}),
    ]
    assert rest == "First  then {not json} and  done"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "}{",
        "{}",
        "no braces",
        '{"name": "Ana"}',
        '{"name": {"first": "Ana"}}',
        '{"name": ["send_message"]}',
        '{"function": {"name": ["x"]}}',
        '{"name": null, "function": 5}',
        '{"name": "send_message", "arguments": ',
        '{"outer": {"name": "send_message", "arguments": {}}}',
        "{'name': 'send_message'}",
        "\x00{\ufffd",
    ],
)
def test_what_names_no_function_stays_text(text: str) -> None:
    assert salvage(text, NAMES) == ((), text)


def test_arguments_that_are_neither_object_nor_text_are_none() -> None:
    calls, _ = salvage('{"name": "note_list", "arguments": [1, 2]}', NAMES)
    assert calls[0].arguments == {}


@given(st.text(alphabet='{}[]",:\\ name_list\ud800x1', max_size=120))
def test_garbage_is_never_an_error(text: str) -> None:
    calls, rest = salvage(text, NAMES)
    assert calls or rest == text


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "send_message", "arguments": {"message": "a \\ud800 b"}}',
        '{"name": "send_message", "arguments": {"message": "x", "extra": NaN}}',
    ],
)
def test_a_salvaged_call_can_always_be_written_down(one: Engine, text: str) -> None:
    one.model.script = [reply(content=text)]
    events = one.tell("go")
    assert events[-1].reason == "yielded"
    assert next(event for event in events if event.kind == "model_replied").salvaged
    assert [encode(event) for event in one.events] == one.log.path.read_text().splitlines()
    assert rerun(one.events).identical


SHAPES: dict[str, Callable[[int], str]] = {
    "open braces": lambda n: "{" * n,
    "objects never closed": lambda n: '{"a":' * (n // 5),
    "lists never closed": lambda n: '{"a":[' * (n // 6),
    "a deep beginning and a long end": lambda n: '{"a":' * (n // 10) + "[" + "1," * (n // 4),
    "a string never closed": lambda n: '{"' + "{" * n,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_finding_calls_costs_no_square_of_the_text(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in characters that the decoder went over; twice the text may not be four times the work."""
    scanned = 0
    plain = json.JSONDecoder.raw_decode

    def counting(self: json.JSONDecoder, text: str, at: int = 0) -> Any:
        nonlocal scanned
        try:
            value, end = plain(self, text, at)
        except json.JSONDecodeError as error:
            scanned += max(1, error.pos - at)
            raise
        except RecursionError:
            scanned += 1000
            raise
        scanned += end - at
        return value, end

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", counting)
    costs = []
    for size in (2000, 4000, 8000):
        scanned = 0
        salvage(SHAPES[shape](size), NAMES)
        costs.append(scanned)
    assert costs[2] <= max(3 * costs[1], 20 * 8000), costs
