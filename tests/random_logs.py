"""Logs of random but possible events, for properties that must hold after any of them."""

from hypothesis import strategies as st

from tests.event_builder import Script

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_KINDS = ["ask", "answer", "result", "insert", "end", "flush"]
_ON_A_PASSAGE = ["edit passage", "delete passage", "restore passage", "put back passage"]
_ON_A_MESSAGE = ["edit message", "delete message", "restore message", "requeue", "pin", "unpin"]
_ON_A_BLOCK = ["define block", "rename block", "delete block"]

STEPS = st.tuples(
    st.sampled_from(_KINDS + _ON_A_PASSAGE + _ON_A_MESSAGE + _ON_A_BLOCK),
    st.integers(0, 30),
    _TEXTS | st.sampled_from(["blue cat", "Blue dog", "猫が好き"]),
)
"""(what happens, to which item, with which text)."""


class _Life:
    """A script and what is there in it to be changed."""

    def __init__(self) -> None:
        self.script = Script()
        self.messages: list[str] = []
        self.passages: list[str] = []
        self.deleted: list[str] = []

    def step(self, what: str, pick: int, text: str) -> None:
        if what in _KINDS:
            self._happens(what, pick, text)
        elif what in _ON_A_BLOCK:
            self._to_a_block(what, pick, text)
        else:
            gone = what.startswith(("restore", "put back"))
            letter = "p" if what in _ON_A_PASSAGE else "m"
            there = self.messages if letter == "m" else self.passages
            some = [id for id in self.deleted if id.startswith(letter)] if gone else there
            if some:
                change = self._to_a_passage if letter == "p" else self._to_a_message
                change(what, some[pick % len(some)], text)

    def _happens(self, what: str, pick: int, text: str) -> None:
        script = self.script
        if what == "ask":
            script.trigger(text)
        elif what == "answer":
            script.prompt().reply(text)
        elif what == "result":
            held = [some[pick % len(some)] for some in (self.messages, self.passages) if some]
            script.returned("conversation_search", text, holds=held)
        elif what == "insert":
            script.insert(text, tags=["even" if pick % 2 == 0 else "odd"])
            self.passages.append(script.passage)
        elif what == "flush":
            script.flushed(1 + pick % 4)
        else:
            script.end()
        if what in ("ask", "answer", "result"):
            self.messages.append(script.message)

    def _to_a_block(self, what: str, pick: int, text: str) -> None:
        script, labels = self.script, list(self.script.state.blocks)
        if what == "define block":
            script.block(f"b{pick % 3}", text)
        elif labels and what == "rename block":
            script.rename_block(labels[pick % len(labels)], f"b{script.seq + 100}")
        elif labels:
            script.delete_block(labels[pick % len(labels)])

    def _to_a_passage(self, what: str, passage: str, text: str) -> None:
        if what == "edit passage":
            self.script.edit_passage(passage, text)
        elif what == "delete passage":
            self.script.delete_passage(passage)
            self._gone(passage, self.passages)
        else:
            put_back = what == "put back passage"
            self.script.restore_passage(passage, text if put_back else None, tags=["back"] if put_back else None)
            self._back(passage, self.passages)

    def _to_a_message(self, what: str, message: str, text: str) -> None:
        queued = message in {entry.id for entry in self.script.state.queue}
        if what == "edit message":
            self.script.edit_message(message, text)
        elif what == "delete message":
            self.script.delete_message(message)
            self._gone(message, self.messages)
        elif what == "restore message":
            self.script.restore_message(message)
            self._back(message, self.messages)
        elif what == "requeue" and not queued:
            self.script.requeue(message, holds=self.passages[:1])
        elif what in ("pin", "unpin") and queued:
            self.script.pin(message, what == "pin")

    def _gone(self, id: str, there: list[str]) -> None:
        there.remove(id)
        self.deleted.append(id)

    def _back(self, id: str, there: list[str]) -> None:
        self.deleted.remove(id)
        there.append(id)


def random_log(steps: list[tuple[str, int, str]]) -> Script:
    """The log the steps tell; a step that is not possible where it stands is left out."""
    life = _Life()
    for what, pick, text in steps:
        life.step(what, pick, text)
    return life.script
