"""The demo model: a rule-based controller that runs a MemGPT agent where no language model is installed.

Gets the request body and nothing else, as any model does; keeps nothing between two requests, so the same
body always gives the same reply. One reply is one decision: store what the user stated, search for what was
asked, save things under memory pressure, or speak. It ends every turn within a dozen replies.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from memgpt_core.events import Call, Measured
from memgpt_core.llm.base import Progress, Reply, Stopped
from memgpt_core.llm.demo.answers import Answer, answer, first_searches
from memgpt_core.llm.demo.errands import run_errand
from memgpt_core.llm.demo.lookup import follow, key_in, thought
from memgpt_core.llm.demo.memory import Act, plan, report, rescue
from memgpt_core.llm.demo.questions import understand
from memgpt_core.llm.demo.reading import Said, errand_in, read_message
from memgpt_core.llm.demo.request import Request, read
from memgpt_core.llm.demo.review import reread
from memgpt_core.llm.demo.summary import SUMMARISER_OPENING, summarise
from memgpt_core.llm.demo.talk import UNDERSTANDS, due, fallback, small_talk, welcome
from memgpt_core.llm.demo.words import parse_day, short
from memgpt_core.tokens import count, count_json, count_request

__all__ = ["UNDERSTANDS", "DemoModel"]

LAST_REPLY = 10
"""After so many replies in one turn nothing more is looked up: the next one speaks."""

_MAX_QUESTIONS = 3
_TERMINAL = frozenset({"send_message", "pause_heartbeats"})
_SEARCHES = frozenset({"conversation_search", "conversation_search_date", "archival_memory_search", "document_search"})
_READING = {
    "document_search": "This is a question about a document. I search them for “{query}”.",
    "document_open": "I open page {page} of {document}, where it stands.",
    "document_outline": "I look at the outline of {document}.",
    "document_list": "I look at which documents there are.",
}
"""What to think when reading documents, by function."""

_QUIET: tuple[Act, ...] = (
    ("note_list", {}),
    ("pause_heartbeats", {"minutes": 1}),
    ("conversation_search_date", {"start_date": "1970-01-01", "end_date": "1970-01-01"}),
    ("archival_memory_search", {"query": "nothing", "start_date": "1970-01-01", "end_date": "1970-01-01"}),
    ("note_write", {"name": "pressure", "text": "Nothing to save."}),
)
"""Ways to end a turn without a word, the least noisy first: an empty reply would count as a fault."""


class Decision(NamedTuple):
    """What to do now: think, then either call functions or say something.

    Attributes:
        goes_on: the calls ask for a heartbeat.
    """

    thought: str
    acts: list[Act]
    say: str = ""
    goes_on: bool = True


class DemoModel:
    """A chat model made of rules; see `UNDERSTANDS` for what it can be told and asked.

    `pace` is the pause between streamed words, in seconds; `clock` measures and nothing else.
    """

    def __init__(self, *, pace: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._clock = clock

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        """The reply to a request body."""
        started = self._clock()
        progress.phase("reading the prompt")
        decision = decide(body)
        progress.phase("generating")
        if decision.say and "send_message" not in _functions(body):
            content, thinking = decision.say, decision.thought
            calls: tuple[Call, ...] = ()
        else:
            content, thinking = decision.thought, ""
            calls = _calls(body, decision)
        # Only what somebody watches is paced; a summary has no reader who waits for its words.
        pace = self._pace if body.get("tools") else 0.0
        self._stream(decision.thought, progress, pace, thoughts=True)
        self._stream(decision.say, progress, pace, thoughts=False)
        ended = self._clock()
        written = [{"name": call.name, "arguments": call.arguments} for call in calls]
        measured = Measured(
            seconds=ended - started,
            prompt_tokens=count_request(body),
            reply_tokens=count(content) + count(thinking) + (count_json(written) if written else 0),
        )
        return Reply(content, thinking, calls, "stop", measured)

    @staticmethod
    def _stream(text: str, progress: Progress, pace: float, *, thoughts: bool) -> None:
        for piece in re.findall(r"\s*\S+|\s+$", text):
            if progress.stopped():
                raise Stopped
            (progress.thought if thoughts else progress.text)(piece)
            if pace:
                time.sleep(pace)


def _functions(body: dict[str, Any]) -> frozenset[str]:
    return frozenset(schema["function"]["name"] for schema in body.get("tools", ()))


def _calls(body: dict[str, Any], decision: Decision) -> tuple[Call, ...]:
    acts = decision.acts or ([("send_message", {"message": decision.say})] if decision.say else [])
    seed = hashlib.sha256(json.dumps(body["messages"], ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:8]
    calls = []
    for index, (name, arguments) in enumerate(acts):
        given = dict(arguments)
        if name not in _TERMINAL:
            given["request_heartbeat"] = decision.goes_on
        calls.append(Call(id=f"call_{seed}{index}", name=name, arguments=given))
    return tuple(calls)


# --- one decision -----------------------------------------------------------------------------------------


def decide(body: dict[str, Any]) -> Decision:
    """What the demo model does about a request."""
    messages = body["messages"]
    system = messages[0]["content"] if messages else ""
    if not body.get("tools") and system.startswith(SUMMARISER_OPENING):
        return Decision("", [], say=summarise(system, messages[-1]["content"]))
    request = read(body)
    hurry = request.replies >= LAST_REPLY
    if request.trigger is None:
        return _after_the_answer(request)
    if request.pressed and not hurry and (acts := rescue(request)):
        return Decision("Memory is filling up. I save what is nowhere else before it leaves the window.", acts)
    if _unspoken(request):
        return _quietly(request, "Sending failed twice. I stop here.")
    if request.trigger.kind == "user":
        return _user(request, request.trigger.text, request.trigger.day, hurry)
    return _event(request, request.trigger.kind, request.trigger.text)


def _unspoken(request: Request) -> bool:
    return sum(step.name == "send_message" and step.ok is False for step in request.steps) > 1


def _after_the_answer(request: Request) -> Decision:
    """The user has their answer: save under pressure, never speak twice."""
    acts = rescue(request) if request.pressed else []
    if acts:
        return Decision("Memory pressure. I save what is nowhere else and stay silent.", acts, goes_on=False)
    rest = "The user has been answered and nothing needs saving."
    # The step after a late warning may be left without a call; its text is inner monologue.
    return Decision(rest, [], goes_on=False) if request.pressed else _quietly(request, rest)


def _quietly(request: Request, thought: str) -> Decision:
    for act in _QUIET:
        if request.can(act[0]):
            return Decision(thought, [act], goes_on=False)
    return Decision(thought, [], say="…")


def _event(request: Request, kind: str, text: str) -> Decision:
    if kind == "login":
        return Decision("The user is back. A short greeting with something I remember.", [], say=welcome(request))
    if kind == "review":
        acts, about = reread(request, text)
        return Decision(about, acts)
    if kind == "alert":
        say = f"Noted: {short(text, 300)}"
        if re.search(r"upload|document|ingest|import", text, re.IGNORECASE):
            say += " You can ask me what it says about something."
        return Decision("A system alert. I tell the user about it briefly.", [], say=say)
    if reminder := due(request):
        return Decision("A timer woke me and something is due today.", [], say=reminder)
    if request.can("pause_heartbeats"):
        return Decision("A timer woke me; nothing is due. I rest for an hour.", [("pause_heartbeats", {"minutes": 60})])
    return _quietly(request, "A timer woke me; nothing is due.")


def _user(request: Request, text: str, day: str, hurry: bool) -> Decision:
    if errand := errand_in(text):
        act, say = run_errand(request, errand)
        return Decision("The user gave me something to do with notes or the archive.", [act] if act else [], say=say)
    said = read_message(text, parse_day(day))
    if (key := key_in(text)) and (
        said.questions or re.search(r"\b(?:key|value|follow|look up)\b", text, re.IGNORECASE)
    ):
        return _chain(request, key, hurry)
    stored = plan(request, said, text, day)
    if stored.acts and not hurry:
        return Decision(_why(stored.acts), stored.acts)
    asked = [understand(question, parse_day(day)) for question in said.questions[:_MAX_QUESTIONS]]
    several = len(asked) > 1
    # Only the last step is sure to stay in the window: with several questions all their searches are one step.
    once = several and any(step.name in _SEARCHES for step in request.steps)
    answers = [answer(request, question, hurry=hurry or once) for question in asked]
    acts = [found.act for found in answers if found.act]
    if acts:
        if several:
            open_ones = [question for question, found in zip(asked, answers, strict=True) if found.act]
            acts = list({str(act): act for act in [*acts, *first_searches(request, open_ones)]}.values())
        return Decision(_searching(acts[0]), acts)
    return Decision(_closing(said, answers), [], say=_compose(request, said, stored.lost, answers, text))


def _chain(request: Request, key: str, hurry: bool) -> Decision:
    searches, end = follow(request, key, hurry=hurry)
    acts = [search.act for search in searches if search.act]
    if end is None:
        return Decision(thought(request, key, acts[0][1]["query"]), acts)
    return Decision(
        "The chain ends here." if end.found else "I could not follow the chain to its end.", [], say=end.text
    )


def _why(acts: list[Act]) -> str:
    names = {name for name, _ in acts}
    if names & {"core_memory_replace", "memory_rethink"}:
        return "Something I had noted has changed. I put it right in core memory before I answer."
    if names == {"archival_memory_insert"}:
        return "This belongs into archival storage."
    return "The user told me something worth keeping. I write it to core memory before I answer."


def _searching(act: Act) -> str:
    if act[0] in _READING:
        return _READING[act[0]].format(**{"document": "", "page": 1, "query": "", **act[1]})
    where = "recall" if act[0].startswith("conversation") else "archival"
    page = f", page {act[1]['page']}" if "page" in act[1] else ""
    what = act[1].get("query") or f"{act[1].get('start_date')} to {act[1].get('end_date')}"
    return f"The answer is not before my eyes. I search {where} storage for “{short(str(what), 80)}”{page}."


def _closing(said: Said, answers: list[Answer]) -> str:
    if any(not found.found for found in answers):
        return "I have looked where I can. I say honestly what I do not know."
    if answers:
        return "I have the answer and where it stands."
    return "Memory is up to date. I confirm it." if said.facts or said.forgets or said.swaps else "I answer the user."


def _compose(request: Request, said: Said, lost: list[str], answers: list[Answer], text: str) -> str:
    told = report(request, said, lost)
    talk = said.talk
    if told or answers or said.unread:
        talk = [kind for kind in talk if kind != "fine" and not (kind == "greeting" and told)]
        talk = [kind for kind in talk if kind != "thanks" or not told]
    spoken = small_talk(request, talk) if talk else []
    if "greeting" in talk and (answers or said.unread):
        spoken = [spoken[0], *spoken[2:]] if talk == ["greeting"] else spoken
    parts = [*spoken, *told, *(found.text for found in answers)]
    if len(said.questions) > _MAX_QUESTIONS:
        parts.append(f"I took the first {_MAX_QUESTIONS} questions; please ask the others again.")
    if said.unread or not parts:
        parts += fallback(request, said, text, alone=not told and not answers)
    return " ".join(dict.fromkeys(parts))
