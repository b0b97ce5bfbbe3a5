"""The history of a memory block, out of the calls that edited it and the text it came to.

An agent file holds a block's last text and, in its messages, the calls that changed it. Going backwards from the last
text each call gives the text before it; going forwards again, each is replayed through our own function, and where that
gives another text than the recorded one, by the rule of Letta's tool of that name. What no call explains was edited
from outside. Pure; knows no file and no log.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from memgpt_core.events import Call, Event
from memgpt_core.memory_functions import FunctionFailed, Memory
from memgpt_core.registry import REGISTRY
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Block, State

_ROOMY = AgentSettings(window_tokens=2**40)
"""A window that refuses no edit: whether a text fitted was Letta's to decide."""

_SUCCESS = "The core memory block with label"
"""How older tools began their answer, which was then not the block's text."""

MOST_PLACES = 50
"""Places of a replaced text that are tried, going backwards."""


class Edit(NamedTuple):
    """A call that changed a block.

    Attributes:
        tool: the rule it follows: `append`, `replace`, `insert`, `rewrite`, or `patch`, whose outcome is not computed.
        block: the block's label.
        old, new: the text replaced, and the text that came.
        line: where `insert` put it; -1 for the end.
        expands: tabs became spaces in the whole block, as in Letta's newer tools.
    """

    tool: str
    block: str
    new: str
    old: str = ""
    line: int = -1
    expands: bool = False


class Step(NamedTuple):
    """What a call did to its block; both texts are None when they do not tell.

    `before` is another text than the last step's `after` when an edit from outside came between.
    """

    before: str | None
    after: str | None


class History(NamedTuple):
    """A block's life: the text it began with, one step a call, and whether the beginning is known or assumed empty."""

    start: str
    steps: tuple[Step, ...]
    start_known: bool


def edit_of(call: Call) -> Edit | None:
    """What a call of a memory tool, ours or Letta's, would do to which block; None for any other call."""
    given = call.arguments
    if not isinstance(given, dict):
        return None
    label = _text(given, "label", "name", "target_block_label")
    new, old = _text(given, "new_string", "new_content"), _text(given, "old_string", "old_content")
    line = given.get("insert_line", -1)
    line = line if isinstance(line, int) else -1
    found: dict[str, Edit] = {
        "core_memory_append": Edit("append", label, _text(given, "content")),
        "core_memory_replace": Edit("replace", label, new, old),
        "memory_replace": Edit("replace", label, new, old, expands=True),
        "memory_insert": Edit("insert", label, new, line=line, expands=True),
        "memory_rethink": Edit("rewrite", label, _text(given, "new_memory")),
        "rethink_memory": Edit("rewrite", label, _text(given, "new_memory")),
        "memory_apply_patch": Edit("patch", label, ""),
    }
    path = _text(given, "path").removeprefix("/memories/").removeprefix("/")
    commands = {
        "create": Edit("rewrite", path, _text(given, "file_text")),
        "str_replace": Edit("replace", path, new, old, expands=True),
        "insert": Edit("insert", path, _text(given, "insert_text"), line=line, expands=True),
    }
    named = {"memory_str_replace": "str_replace", "memory_str_insert": "insert", "memory_create": "create"}
    command = given.get("command") if call.name == "memory" else named.get(call.name)
    edit = commands.get(command) if isinstance(command, str) else found.get(call.name)
    return edit if edit is not None and edit.block else None


def _text(given: dict[str, Any], *names: str) -> str:
    return next((given[name] for name in names if isinstance(given.get(name), str)), "")


def recorded_text(edit: Edit, value: str) -> str | None:
    """The block's text after the call, if that is what the tool returned."""
    if value in ("", "None") or value.startswith(_SUCCESS):
        return None
    if edit.tool == "patch":
        return None if value.startswith(("Success", "Error")) else value
    return value if _befores(edit, value, None) else None


def history(edits: Sequence[tuple[Edit, str | None]], final: str) -> History:
    """What each call did to one block that came to read `final`; beside a call the text recorded after it, if any."""
    steps: list[Step] = []
    wanted: str | None = final
    for index in range(len(edits) - 1, -1, -1):
        edit, recorded = edits[index]
        known = edits[index - 1][1] if index else None
        step = _backwards(edit, wanted if recorded is None else recorded, known, sure=recorded is not None)
        steps.append(step)
        if step.after is not None:
            wanted = step.before
    steps.reverse()
    start = wanted if wanted is not None else ""
    return _forwards(start, wanted is not None, edits, steps)


def _backwards(edit: Edit, after: str | None, known: str | None, *, sure: bool) -> Step:
    """The step that ended in `after`; with `sure`, that text is recorded and may have come from nowhere we can name."""
    if after is None:
        return Step(None, None)
    befores = _befores(edit, after, known)
    if befores:
        return Step(befores[0] if befores[0] is not _ANY else None, after)
    if sure:
        return Step(None, after)
    return _earlier(edit, after)


def _earlier(edit: Edit, later: str) -> Step:
    """The step, if what an append added still stands inside a text that has grown since."""
    if edit.tool == "append" and edit.new:
        cut = later.find("\n" + edit.new)
        if cut >= 0:
            return Step(later[:cut], later[: cut + 1 + len(edit.new)])
        if later.startswith(edit.new + "\n"):
            return Step("", edit.new)
    return Step(None, None)


def _forwards(start: str, known: bool, edits: Sequence[tuple[Edit, str | None]], steps: Sequence[Step]) -> History:
    """The same steps with what the way back could not tell: texts before a rewrite, and calls on texts not known."""
    text, whole = start, []
    for (edit, _), step in zip(edits, steps, strict=True):
        if step.after is None:
            made = outcomes(edit, text)
            step = Step(text, made[0]) if made else Step(None, None)
        elif step.before is None:
            # A rewrite tells nothing of the text before it; any other text that came from nowhere was put there.
            step = Step(text if _explains(edit, text, step.after) else step.after, step.after)
        whole.append(step)
        text = text if step.after is None else step.after
    return History(start, tuple(whole), known)


def _explains(edit: Edit, before: str, after: str) -> bool:
    return edit.tool in ("rewrite", "patch") or after in outcomes(edit, before)


# --- one edit -------------------------------------------------------------------------------------------

_ANY = "\x00any text\x00"
"""In place of a text before: it may have been anything."""


def outcomes(edit: Edit, before: str) -> list[str]:
    """What the block may read after the edit: by our function first, then by the rule of Letta's; none if it fails."""
    found = [text for text in (_ours(edit, before), _lettas(edit, before)) if text is not None]
    return list(dict.fromkeys(found))


def _ours(edit: Edit, before: str) -> str | None:
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "append": ("core_memory_append", {"label": edit.block, "content": edit.new}),
        "replace": (
            "core_memory_replace",
            {"label": edit.block, "old_content": edit.old, "new_content": edit.new},
        ),
        "insert": ("memory_insert", {"label": edit.block, "new_string": edit.new, "insert_line": edit.line}),
        "rewrite": ("memory_rethink", {"label": edit.block, "new_memory": edit.new}),
    }
    if edit.tool not in calls:
        return None
    name, arguments = calls[edit.tool]
    made: list[Any] = []
    block = Block(edit.block, "", before, 2**62, False, 0, "agent", 0)
    state = State(settings=_ROOMY, blocks={edit.block: block})

    def commit(what: Any) -> Event | None:
        made.append(what(state))
        return None

    try:
        REGISTRY[name].run(Memory(commit, lambda: state, _nothing_to_read, None), **arguments)  # type: ignore[arg-type]
    except FunctionFailed:
        return before if edit.tool == "rewrite" and edit.new == before else None
    return str(made[0].after)


def _nothing_to_read(seq: int) -> Event:
    raise LookupError(f"a replayed edit reads no event, not even {seq}")


def _lettas(edit: Edit, before: str) -> str | None:
    if edit.expands:
        before, edit = before.expandtabs(), edit._replace(new=edit.new.expandtabs(), old=edit.old.expandtabs())
    if edit.tool == "append":
        return f"{before}\n{edit.new}"
    if edit.tool == "replace":
        times = before.count(edit.old) if edit.old else 0
        return before.replace(edit.old, edit.new) if times and (times == 1 or not edit.expands) else None
    if edit.tool == "insert":
        lines = before.split("\n")
        at = len(lines) if edit.line == -1 else edit.line
        return "\n".join([*lines[:at], *edit.new.split("\n"), *lines[at:]]) if 0 <= at <= len(lines) else None
    return edit.new if edit.tool == "rewrite" else None


def _befores(edit: Edit, after: str, known: str | None) -> list[str]:
    """Texts from which the edit gives `after`, likeliest first; `known` is one that was recorded right before."""
    if edit.tool == "patch":
        return [_ANY]
    if edit.tool == "rewrite":
        return [_ANY] if after == edit.new else []
    tried = [] if known is None else [known]
    return [text for text in [*tried, *_undone(edit, after)] if after in outcomes(edit, text)]


def _undone(edit: Edit, after: str) -> list[str]:
    new = edit.new.expandtabs() if edit.expands else edit.new
    if edit.tool == "append":
        return [after.removesuffix("\n" + new) if after.endswith("\n" + new) else "", ""]
    if edit.tool == "insert":
        lines, size = after.split("\n"), len(new.split("\n"))
        at = len(lines) - size if edit.line == -1 else edit.line
        return ["\n".join([*lines[:at], *lines[at + size :]])] if at >= 0 else []
    if not new:
        return []
    return [after[:at] + edit.old + after[at + len(new) :] for at in _places(after, new)] + [
        after.replace(new, edit.old)
    ]


def _places(text: str, piece: str) -> list[int]:
    found: list[int] = []
    at = text.find(piece)
    while at >= 0 and len(found) < MOST_PLACES:
        found.append(at)
        at = text.find(piece, at + 1)
    return found
