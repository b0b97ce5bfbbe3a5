"""What a model call cost, what settings changed, and a cut prompt, as a person reads them."""

from memgpt_core import events as kinds
from memgpt_core.events import Call, Measured
from memgpt_core.settings import AgentSettings
from memgpt_core.views.changes import changes, label, sentence
from memgpt_core.views.timing import COLUMNS, rows, seconds_text, steps
from memgpt_core.views.truncation import cut
from tests.event_builder import Script

SERVER = Measured(
    tokens=20,
    seconds=3.1,
    prompt_tokens=3412,
    cached_tokens=3100,
    reply_tokens=61,
    load_s=0.004,
    prefill_s=0.4,
    generate_s=2.44,
)
CALL = Call(id="c1", name="send_message", arguments={"message": "Hello."})


def _replied(measured: Measured, *, thinking: str = "", content: str = "", purpose: str = "turn") -> kinds.ModelReplied:
    return kinds.ModelReplied(purpose=purpose, thinking=thinking, content=content, calls=(CALL,), measured=measured)


def test_a_step_tells_speed_cached_and_fresh_tokens_and_the_seconds_of_each_stage() -> None:
    script = Script().trigger("Hi").prompt().add(_replied(SERVER, thinking="Greet.", content="I greet."))
    (step,) = steps(script.events)
    assert (step.seq, step.turn, step.step, step.purpose) == (script.seq, 1, 1, "turn")
    assert (step.cached_tokens, step.fresh_tokens, step.reply_tokens) == (3100, 312, 61)
    assert step.tokens_per_s == 25
    assert (step.thinking, step.monologue) == ("Greet.", "I greet.")
    assert rows([step]) == [("Step 1", "61", "25.0", "3,100", "312", "< 0.01 s", "0.40 s", "2.44 s")]
    assert len(COLUMNS) == len(rows([step])[0])


def test_our_count_is_that_of_the_prompt_it_answers() -> None:
    built = kinds.PromptBuilt(
        purpose="turn",
        sections={"instructions": 400, "messages": 45},
        window_tokens=8192,
        limit_tokens=7168,
        sha256="0" * 64,
        prefix_tokens=0,
    )
    one, two = steps(Script().trigger("Hi").add(built).add(_replied(SERVER)).add(_replied(SERVER)).events)
    assert (one.ours_tokens, two.ours_tokens) == (445, None)


def test_what_the_server_does_not_tell_stays_untold() -> None:
    old = Measured(prompt_tokens=900, reply_tokens=10, generate_s=0.5)
    (step,) = steps(Script().trigger("Hi").prompt().add(_replied(old)).events)
    assert step.fresh_tokens is None
    assert rows([step]) == [("Step 1", "10", "20.0", "–", "900 in all", "–", "–", "0.50 s")]
    stopped = Measured(reply_tokens=0, generate_s=0.0)
    (none,) = steps(Script().trigger("Hi").prompt().add(_replied(stopped)).events)
    assert none.tokens_per_s is None


def test_a_model_without_a_clock_has_no_row() -> None:
    demo = Measured(prompt_tokens=900, reply_tokens=10, seconds=0.001)
    (step,) = steps(Script().trigger("Hi").prompt().add(_replied(demo)).events)
    assert not step.measured
    assert rows([step]) == []


def test_a_summary_is_named_as_one() -> None:
    (step,) = steps(Script().trigger("Hi").add(_replied(SERVER, purpose="summary")).events)
    assert rows([step])[0].step == "Summary"


def test_the_first_step_with_another_model_says_so_and_the_next_does_not() -> None:
    other = kinds.AgentConfigured(settings=AgentSettings(model="qwen3:4b"))
    script = Script().turn("Hi", "Hello").add(other).trigger("And now?").prompt().add(_replied(SERVER))
    script.prompt().add(_replied(SERVER))
    assert [step.model for step in steps(script.events[1:], "demo")] == ["", "qwen3:4b", ""]
    assert [step.model for step in steps(script.events[1:], "qwen3:4b")] == ["", "", ""]


def test_a_change_of_settings_that_keeps_the_model_is_no_new_model() -> None:
    script = Script().add(kinds.AgentConfigured(settings=AgentSettings(window_tokens=4096)))
    script.trigger("Hi").prompt().add(_replied(SERVER))
    assert [step.model for step in steps(script.events, "demo")] == [""]


def test_seconds_are_readable_at_every_size() -> None:
    assert [seconds_text(value) for value in (0.0, 0.004, 0.4, 9.99, 83.4, 1234.0)] == [
        "0.00 s",
        "< 0.01 s",
        "0.40 s",
        "9.99 s",
        "83 s",
        "1,234 s",
    ]


# --- settings ---------------------------------------------------------------------------------------------------


def test_changes_are_said_with_their_units_and_only_where_something_differs() -> None:
    before = AgentSettings().model_dump()
    after = AgentSettings(
        model="qwen3:4b", window_tokens=16384, warn_share=0.65, functions_off=("note_list",), top_k=40, timer_minutes=5
    ).model_dump()
    assert changes(before, before) == []
    assert sentence(changes(before, after)) == (
        "Model: Demo model (rules, no language model) → qwen3:4b; Window: 8,192 tokens → 16,384 tokens; "
        "Warning mark: 70 % → 65 %; Timer: off → every 5 min; Functions switched off: none → note_list; "
        "Top-k: the model's own → 40"
    )


def test_every_setting_a_person_can_choose_has_a_name_on_screen() -> None:
    derived = {field: field.replace("_", " ").capitalize() for field in AgentSettings.model_fields}
    unnamed = {field for field in AgentSettings.model_fields if label(field) == derived[field]}
    # One word that reads well as it is; the strategy cannot be chosen yet.
    assert unnamed <= {"strategy", "model", "protocol", "temperature", "seed"}


# --- a cut prompt -----------------------------------------------------------------------------------------------


def test_a_cut_prompt_is_told_with_all_three_numbers_and_what_to_do() -> None:
    script = Script().trigger("Hi").add(kinds.TruncationSuspected(ours=9120, server=4096, window_tokens=4096))
    told = cut(script.last)
    assert (told.seq, told.turn) == (script.seq, 1)
    assert "We sent 9,120 tokens by our count; the server read 4,096, which is 5,024 fewer." in told.says
    assert "a window of 4,096 tokens" in told.says
    assert "window to 4,096 tokens or less" in told.do


def test_a_cut_by_a_server_of_unknown_window_names_no_window() -> None:
    told = cut(Script().add(kinds.TruncationSuspected(ours=9120, server=4096)).last)
    assert "serves" not in told.says
    assert "make the window of this agent smaller" in told.do
    assert "0 tokens" not in told.do
