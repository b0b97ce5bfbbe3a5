"""What the demo model says beside answers: what it understands, greetings, small talk, the honest fallback.

Speaks as what it is, rules without a language model. Moves no memory.
"""

import re
from datetime import date

from memgpt_core.llm.demo.edits import halves
from memgpt_core.llm.demo.memory import block_lines, in_words
from memgpt_core.llm.demo.reading import Said
from memgpt_core.llm.demo.request import Request
from memgpt_core.llm.demo.words import LONG_CHARS, day_in, parse_day, short

UNDERSTANDS: tuple[tuple[str, str], ...] = (
    ("Who you are", "My name is Maya and I'm a nurse."),
    ("Where you live and work", "I live in Lisbon and work at St. Mary's."),
    ("What you like, dislike or cannot eat", "My favourite tea is genmaicha, and I'm allergic to peanuts."),
    ("People and pets", "My sister Ana lives in Porto. My dog is called Rex."),
    ("Dates", "My exam is on 3 May."),
    ("Plans", "I'm learning Italian and training for a marathon."),
    ("Anything else worth keeping", "Remember that the spare key is with Tom."),
    ("Corrections", "Actually, I moved to Porto."),
    ("What is no longer so", "I don't like tea any more."),
    ("Forgetting", "Forget my birthday."),
    ("Questions about facts", "Where do I live? What is my favourite tea?"),
    ("Questions about earlier values", "Where did I live before?"),
    ("Questions about the conversation", "What did I say about the boiler?"),
    ("Questions about a day or month", "What did we talk about in March?"),
    ("Archival storage", "Archive this: the boiler was serviced by Tom."),
    ("Questions about documents", "What does the book say about the valley of Elah?"),
    ("Which documents there are, and what is in one", "Which documents do you have? Show me the outline of the book."),
    ("Chains of keys", "What is the value of key 3f2a…? Follow it until the value is no key."),
    ("Scratch notes", "Make a note called shopping: milk and eggs. Read my shopping note."),
    ("How it should answer (kept in its persona)", "From now on answer briefly."),
)
"""What the demo model understands, each with an example; shown on screen."""

_WHAT_I_AM = "I am the built-in demo model: rules, not a language model. My memory is real, though"


def known_name(request: Request) -> str:
    """What core memory says the user is called; empty when it does not."""
    given = {halves(line)[0]: halves(line)[1] for line in block_lines(request, "human")}
    return given.get("goes by") or given.get("name") or ""


def welcome(request: Request) -> str:
    """The words after a login: by name, with one thing remembered."""
    name = known_name(request)
    lines = [line for line in block_lines(request, "human") if halves(line)[0] not in ("", "name", "goes by")]
    if not name and not lines:
        return f"Hello! {_WHAT_I_AM}. Tell me something about yourself, for example your name."
    hello = f"Welcome back, {name}!" if name else "Welcome back!"
    return f"{hello} I remember that {in_words(lines[-1])}." if lines else hello


def small_talk(request: Request, talk: list[str]) -> list[str]:
    """A sentence or two for each kind of small talk in the message."""
    name = known_name(request)
    to_you = f", {name}" if name else ""
    now = f"Your message came at {request.now}." if request.now else "I see no time in your message."
    words = {
        "greeting": f"Hello{to_you}!",
        "thanks": f"You are welcome{to_you}!",
        "bye": f"Goodbye{to_you}! What you told me stays in memory.",
        "how": "I am rules without moods, so I am always the same. My memory is in order.",
        "who": f"{_WHAT_I_AM}: I store, correct and search what you tell me, and you can watch every step.",
        "help": capabilities(),
        "time": now,
        "fine": "Good.",
    }
    kinds = [kind for kind in dict.fromkeys(talk) if kind != "fine" or len(talk) == 1]
    said = [words[kind] for kind in kinds]
    if kinds == ["greeting"]:
        said.append("What would you like to tell or ask me?" if name else f"{_WHAT_I_AM}. What is your name?")
    return said


def capabilities() -> str:
    """What can be said to the demo model, in short."""
    examples = "\n".join(f"- {what}: “{example}”" for what, example in UNDERSTANDS)
    return f"I understand plain statements and questions such as these:\n{examples}"


def fallback(request: Request, said: Said, text: str, *, alone: bool) -> list[str]:
    """What to say about what was not understood."""
    if len(text) > LONG_CHARS:
        return [
            "That is a long text. It is kept whole in recall storage, so you can ask what it said about something; "
            "I did not take it for facts about you."
        ]
    if alone and _explained(request):
        return [_KEPT[len(text) % len(_KEPT)]]
    if alone:
        return [
            "I found no fact or question in that, but it is kept in recall storage. I am the demo model, with rules "
            "instead of a language model: ask me “what can you do?”."
        ]
    rest = [clause for clause in said.unread if len(clause.split()) > 3]
    return [f"I did not make a fact of “{short(rest[0], 80)}”; it is kept in recall storage."] if rest else []


_KEPT = (
    "No fact for core memory there, but I keep it in recall storage: ask me about it whenever you like.",
    "Kept in recall storage; I can find it again when you ask.",
    "I have no line in core memory for that. It stays in recall storage.",
)


def _explained(request: Request) -> bool:
    """Whether the window still shows what kind of model this is."""
    return any(
        "rules instead of a language model" in str(step.arguments.get("message", "")) or "rules instead" in item.text
        for item in request.items
        for step in item.steps
    )


def due(request: Request) -> str:
    """A reminder for today from core memory that has not been given yet; empty when there is none."""
    today = parse_day(request.now)
    if today is None:
        return ""
    told = "\n".join(str(step.arguments.get("message", "")) for item in request.items for step in item.steps)
    for line in block_lines(request, "human"):
        if _is_due(line, today) and in_words(line) not in told:
            return f"A reminder for today: {in_words(line)}."
    return ""


def _is_due(line: str, today: date) -> bool:
    key, value = halves(line)
    if not key or not re.search(r"\d", value) or key in ("remember", "works as", "born in"):
        return False
    day = day_in(re.sub(r"\d{4}$", "", value) if key == "birthday" else value, None if key != "birthday" else today)
    day = day or day_in(re.sub(r"[A-Za-z]+day\b", "", value), today)
    return day == today
