"""The function executor: parses, validates and runs one call, and never raises for the model's mistakes.

Unknown name, arguments that are no JSON object, arguments that do not fit, a function that refuses: each
becomes `function_returned(ok=False)` with a forced heartbeat, so that the model reads what went wrong (the
failure classes of the paper's code). Also finds a call that a small model printed as plain text.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Call, FunctionAsked, FunctionReturned, Measured, clean
from memgpt_core.failpoints import failpoint
from memgpt_core.functions import HEARTBEAT, BadArguments, Function, validate
from memgpt_core.memory_functions import FunctionFailed, Memory, Returned
from memgpt_core.prompt import clipped
from memgpt_core.queue_manager import fit
from memgpt_core.state import OUTWARD, State

SALVAGE_TRIES = 50
"""Opening braces that may lead nowhere before the rest of a text is left alone; each costs a read to its end."""


class _Outcome(NamedTuple):
    arguments: dict[str, Any] | str
    ok: bool
    value: str
    heartbeat: bool
    holds: tuple[str, ...] = ()


def execute(
    memory: Memory,
    call: Call,
    functions: dict[str, Function],
    *,
    always_chain: bool = False,
    timer: Callable[[], float] = time.monotonic,
) -> FunctionReturned:
    """Run one call of the model and commit its outcome; its effects are committed before it.

    With `always_chain` (the native protocol) every call that is not terminal gives control back.
    """
    started = timer()
    failpoint("function.before_commit")
    outcome = _run(memory, call, functions, always_chain)
    measured = Measured(seconds=round(timer() - started, 6))
    returned = FunctionReturned(call_id=call.id, name=call.name, measured=measured, **outcome._asdict())
    committed = memory.commit(lambda state: _fitted(state, returned))
    failpoint("function.after_commit")
    return committed  # type: ignore[return-value]


def _fitted(state: State, returned: FunctionReturned) -> FunctionReturned:
    """The result as it will be queued; what was cut out of it is not in the window and not held."""
    event: FunctionReturned = fit(state, returned)
    shown = clipped(event.value, event.clip)
    return event.model_copy(update={"holds": tuple(id for id in event.holds if f'"{id}"' in shown)})


def _run(memory: Memory, call: Call, functions: dict[str, Function], always_chain: bool) -> _Outcome:
    made = functions.get(call.name)
    if made is None:
        names = ", ".join(functions)
        return _failed(call.arguments, f"There is no function '{call.name}'. Functions: {names}.")
    arguments = _parsed(call.arguments)
    if arguments is None:
        return _failed(call.arguments, 'The arguments are not a JSON object. Write them as {"name": value}.')
    given = _without_flag(arguments)
    heartbeat = not made.terminal and (always_chain or arguments.get(HEARTBEAT) in (True, "true", "True"))
    try:
        checked = validate(made, given)
        returned: Returned = made.run(memory, **checked)
    except (BadArguments, FunctionFailed) as error:
        return _failed(given, f"Error calling function {call.name}: {error}")
    return _Outcome(checked, True, returned.value, heartbeat, returned.holds)


def _failed(arguments: dict[str, Any] | str, why: str) -> _Outcome:
    return _Outcome(arguments, False, why, True)


def _without_flag(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name != HEARTBEAT}


def _parsed(arguments: dict[str, Any] | str) -> dict[str, Any] | None:
    if isinstance(arguments, dict):
        return arguments
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return clean(value) if isinstance(value, dict) else None


def salvage(content: str, names: frozenset[str] | set[str]) -> tuple[tuple[Call, ...], str]:
    """Calls that a model printed as JSON in its text, and the text around them.

    Only an object that names one of `names` counts; anything else stays text.
    """
    decoder = json.JSONDecoder()
    calls: list[Call] = []
    rest: list[str] = []
    at = tries = 0
    while tries < SALVAGE_TRIES and (brace := content.find("{", at)) >= 0:
        try:
            value, end = decoder.raw_decode(content, brace)
        except (ValueError, RecursionError):
            rest.append(content[at : brace + 1])
            at, tries = brace + 1, tries + 1
            continue
        found = _as_call(value, names, len(calls))
        rest.append(content[at:brace] if found else content[at:end])
        calls += [found] if found else []
        at = end
    rest.append(content[at:])
    if not calls:
        return (), content
    text = "".join(rest).replace("```json", "").replace("```", "")
    return tuple(calls), text.strip(" \n[],")


def _as_call(value: Any, names: frozenset[str] | set[str], index: int) -> Call | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name") or value.get("function") or value.get("tool")
    if not isinstance(name, str) or name not in names:
        return None
    arguments: Any = next((value[key] for key in ("arguments", "parameters", "params", "args") if key in value), {})
    return Call(id=f"salvaged_{index}", name=name, arguments=arguments if isinstance(arguments, dict | str) else {})


def would_run(call: Call, functions: dict[str, Function]) -> bool:
    """Whether the call is well formed; of one that is not, nobody need be asked."""
    made, arguments = functions.get(call.name), _parsed(call.arguments)
    if made is None or arguments is None:
        return False
    try:
        validate(made, _without_flag(arguments))
    except BadArguments:
        return False
    return True


def asked(call: Call, reply: int, index: int) -> FunctionAsked:
    """The question whether a call, number `index` of the reply in event `reply`, may run."""
    arguments = _parsed(call.arguments)
    return FunctionAsked(
        reply=reply,
        index=index,
        call_id=call.id,
        name=call.name,
        arguments=call.arguments if arguments is None else _without_flag(arguments),
    )


STOPPED = "Not run: the user stopped the turn."
UNANSWERED = "Not run: it waited for the user's yes or no, and the user went on without answering."


def not_run(call: Call, why: str = STOPPED) -> FunctionReturned:
    """The result of a call that something came before."""
    return FunctionReturned(
        call_id=call.id, name=call.name, arguments=call.arguments, ok=False, value=why, heartbeat=False
    )


def refused(call: Call, reason: str) -> FunctionReturned:
    """The result of a call that a person said no to; the model gets control back to do without."""
    because = f" The user says: {reason}" if reason else " The user gave no reason."
    why = f"Not run: the user was asked and said no.{because}"
    return not_run(call, why).model_copy(update={"heartbeat": True})


def over_cap(state: State, call: Call) -> Literal["step", "turn"] | None:
    """Which cap on memory calls a call would pass; None when it may run."""
    if call.name in OUTWARD:
        return None
    settings = state.settings
    if 0 < settings.memory_calls_per_turn <= state.turn_calls:
        return "turn"
    return "step" if 0 < settings.memory_calls_per_step <= state.step_calls else None


_CAPPED = {
    "step": "Not run: at most {cap} memory calls run in one step, and that many have. Read their results; if this call "
    "is still needed, make it again in the next step.",
    "turn": "Not run: at most {cap} memory calls run in one turn, and that many have. Call no memory function again: "
    "answer the user with what you have.",
}
"""What the model reads of a call that passes a cap, by the cap."""


def capped(state: State, call: Call, cap: Literal["step", "turn"]) -> FunctionReturned:
    """The result of a call that passes a cap; the model gets control back to do without."""
    settings = state.settings
    most = settings.memory_calls_per_turn if cap == "turn" else settings.memory_calls_per_step
    return not_run(call, _CAPPED[cap].format(cap=most)).model_copy(update={"heartbeat": True, "capped": cap})
