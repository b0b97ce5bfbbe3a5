"""Logs of random but possible events, for properties that must hold after any of them."""

from hypothesis import strategies as st

from tests.event_builder import Script

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_KINDS = ["ask", "answer", "result", "insert", "end", "flush"]
_KINDS_ON_AN_ITEM = ["edit passage", "delete passage", "edit message", "delete message", "requeue"]

STEPS = st.tuples(
    st.sampled_from(_KINDS + _KINDS_ON_AN_ITEM),
    st.integers(0, 30),
    _TEXTS | st.sampled_from(["blue cat", "Blue dog", "猫が好き"]),
)
"""(what happens, to which item, with which text)."""


def random_log(steps: list[tuple[str, int, str]]) -> Script:
    """The log the steps tell; a step that is not possible where it stands is left out."""
    script = Script()
    messages: list[str] = []
    passages: list[str] = []
    for what, pick, text in steps:
        message = messages[pick % len(messages)] if messages else ""
        passage = passages[pick % len(passages)] if passages else ""
        if what in _KINDS:
            _add(script, what, pick, text, [item for item in (message, passage) if item])
            if what in ("ask", "answer", "result"):
                messages.append(script.message)
            elif what == "insert":
                passages.append(script.passage)
        elif what.endswith("passage") and passage:
            _ = script.edit_passage(passage, text) if what == "edit passage" else script.delete_passage(passage)
            if what == "delete passage":
                passages.remove(passage)
        elif message and not what.endswith("passage"):
            _change_message(script, what, message, text)
            if what == "delete message":
                messages.remove(message)
    return script


def _add(script: Script, what: str, pick: int, text: str, holds: list[str]) -> None:
    if what == "ask":
        script.trigger(text)
    elif what == "answer":
        script.prompt().reply(text)
    elif what == "result":
        script.returned("conversation_search", text, holds=holds)
    elif what == "insert":
        script.insert(text, tags=["even" if pick % 2 == 0 else "odd"])
    elif what == "flush":
        script.flushed(1 + pick % 4)
    else:
        script.end()


def _change_message(script: Script, what: str, message: str, text: str) -> None:
    if what == "edit message":
        script.edit_message(message, text)
    elif what == "delete message":
        script.delete_message(message)
    elif message not in {entry.id for entry in script.state.queue}:
        script.requeue(message)
