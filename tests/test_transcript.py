"""The conversation after a person changed it: corrected, deleted and restored messages, asked and answered calls."""

from memgpt_core import events as kinds
from memgpt_core.views.transcript import transcript
from tests.event_builder import Script


def _exchange() -> tuple[Script, str, str]:
    """A script with one exchange, and the ids of its two messages."""
    script = Script().trigger("My cat is Ru")
    asked = script.message
    script.prompt().reply("Hello Ru")
    answered = script.message
    return script.returned().sent("Hello Ru").end(), asked, answered


def test_a_corrected_message_shows_its_new_text_and_says_so() -> None:
    script, asked, answered = _exchange()
    script.edit_message(asked, "My cat is Russ").edit_message(answered, "Hello Russ").edit_message(
        asked, "My cat is Rosa"
    )
    user, agent = (bubble for bubble in transcript(script.events) if bubble.who in ("user", "agent"))
    assert (user.text, user.changed) == ("My cat is Rosa", "edited")
    assert (agent.text, agent.changed) == ("Hello Russ", "edited")


def test_a_deleted_message_says_so_until_it_is_restored() -> None:
    script, asked, _ = _exchange()
    script.delete_message(asked)
    assert transcript(script.events)[0].changed == "deleted"
    script.add(kinds.MessageRestored(message=asked, text_seq=int(asked[1:]), queued=False, author="human"))
    user = transcript(script.events)[0]
    assert (user.text, user.changed) == ("My cat is Ru", "")


def test_a_fork_tells_what_is_a_copy() -> None:
    script, _, _ = _exchange()
    forked = kinds.RunForked(agent_id="b", name="B", origin="a", origin_name="Juno", origin_seq=len(script.events))
    told = transcript(script.add(forked).events)[-1]
    assert told.who == "fork"
    assert "a copy of what Juno lived, up to its event" in told.text


def test_a_call_that_waits_and_its_answer_are_told() -> None:
    script = Script().trigger("forget it").prompt()
    reply = len(script.events) + 1
    arguments = {"passage": "p4"}
    script.calls([kinds.Call(id="c1", name="archival_memory_delete", arguments=arguments)])
    asked = kinds.FunctionAsked(reply=reply, index=0, call_id="c1", name="archival_memory_delete", arguments=arguments)
    script.add(asked).end("asked")
    script.add(kinds.FunctionAnswered(call_id="c1", allowed=False, reason="I still need it"))
    told = {bubble.who: bubble.text for bubble in transcript(script.events)}
    assert told["asked"] == "The agent wants to call archival_memory_delete: passage: p4"
    assert told["end"] == "The turn waits for your answer to the call above."
    assert told["hand"] == "You refused the call. I still need it"
