"""A user's message as the demo model reads it: facts, corrections, requests, questions and small talk, in order.

Decides only what the words say. Whether a fact is new, where it goes and what is answered is decided by
`memory` and `answers` from the rest of the request.
"""

import re
from datetime import date
from typing import NamedTuple

from memgpt_core.llm.demo.grammar import Fact, read_clause
from memgpt_core.llm.demo.words import LONG_CHARS, MONTHS, clauses, day_in, keywords, plain, sentences, tidy

_GREETING = re.compile(
    r"(?:hi+|hello|hey|hiya|howdy|greetings|good (?:morning|afternoon|evening|day))(?: there| again| everyone)?"
    r"(?=$|[\s,!.?])[\s,!.]*",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:well|so|ok(?:ay)?|oh|by the way|btw|also|and|but|just so you know|fyi|for your information|actually|yes|"
    r"yeah|no|nope|"
    r"sorry|correction|sure|right|hmm+|um+|anyway|you know|in fact|to be (?:honest|precise)|thanks|thank you|great|"
    r"nice|"
    r"cool|wait|oops|update|news|big news|good news|i think|i believe|i guess|i should say|i wanted to say|"
    r"i told you|let me tell you|please note|note|fun fact|now|these days|since then|meanwhile)\b(?: "
    r"that\b)?[\s,:!.-]+",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"(?:what|where|who|whom|whose|when|which|how|why|do you|did (?:i|we|you)|do i|am i|is my|are my|is the|was my|"
    r"can you|"
    r"could you|would you|will you|are you|have (?:i|we|you)|can i|does|tell me|remind me (?:what|where|who|when|"
    r"which|how)|"
    r"any idea|search|look up|look for|find|i(?:'ve)? forg[oe]t(?:ten)? (?:what|where|who|when|my)|list|show me)\b",
    re.IGNORECASE,
)
_REMEMBER = re.compile(
    r"(?:please |can you |could you )?(?:remember|keep in mind|don't forget|do not forget|note|make sure you remember|"
    r"make a note|bear in mind)(?: that|:|,)? (?P<v>(?!down).+)",
    re.IGNORECASE,
)
_REMIND = re.compile(r"(?:please |can you |could you )?remind me (?:that |to |about |of )?(?P<v>.+)", re.IGNORECASE)
_FORGET = re.compile(
    r"(?:please |can you |could you |you can |you should )?(?:forget|delete|erase|remove|drop)(?: about)?(?: the fact)?"
    r"(?: that)? (?P<v>.+)",
    re.IGNORECASE,
)
_PERSONA = tuple(
    (re.compile(pattern, re.IGNORECASE), label)
    for pattern, label in (
        (r"from now on,? (?:please )?(?P<v>.+)", "From now on"),
        (r"(?:please )?(?:always) (?P<v>\w+ .+)", "Always"),
        (r"(?:please )?(?:never) (?P<v>\w+ .+)", "Never"),
        (r"(?:please )?(?P<v>(?:be|keep it|stay|keep your (?:answers|replies)) (?:a bit |a little )?(?:more |very |"
         r"less )?"
         r"(?:brief|short|concise|formal|informal|friendly|funny|polite|patient|direct|kind|serious|cheerful|"
         r"honest)\b.*)",
         "Style"),
        (r"(?:please )?(?P<v>(?:answer|reply|speak|write|talk)(?: to)?(?: me)? (?:in|with|like|as|only|briefly|"
         r"shortly)\b.*)",
         "Style"),
        (r"(?:your name is|i(?:'ll| will) call you|i want to call you) (?P<v>.+)", "My name"),
        (r"you(?:'re| are) (?:now )?(?P<v>(?:an?|my) (?:\w+ ){0,4}(?:assistant|helper|coach|tutor|teacher|friend|"
         r"companion|guide|secretary|librarian|expert|pirate|poet|butler|advisor|researcher)\b.*)", "Role"),
    )
)  # fmt: skip
_TALK = (
    ("thanks", re.compile(r"(?:many |ok,? )?(?:thanks|thank you|thx|cheers|much appreciated)\b", re.IGNORECASE)),
    ("bye", re.compile(r"(?:good ?bye|bye|see you|see ya|good night|talk (?:to you )?later|ciao)\b", re.IGNORECASE)),
    ("how", re.compile(r"how (?:are you|is it going|are things|do you do)|what's up|how's it going", re.IGNORECASE)),
    ("who", re.compile(
        r"(?:who|what) (?:are|r) you|what(?:'s| is) your name|are you (?:an?|the|real|human|chatgpt|there)\b|"
        r"(?:what|which) (?:language )?model are you", re.IGNORECASE)),
    ("help", re.compile(
        r"what (?:can|do) you (?:do|understand)|how (?:do|can) i use|what should i (?:say|ask)|help\b|"
        r"how does (?:this|it|your memory) work|what can i (?:say|ask)", re.IGNORECASE)),
    ("time", re.compile(r"what(?:'s| is) (?:the )?(?:time|date)\b|what (?:time|day) is it", re.IGNORECASE)),
    ("fine", re.compile(r"(?:ok(?:ay)?|great|nice|cool|good|perfect|alright|fine|yes|no|yep|nope|sure|wow|lol|haha|"
                        r"got it|i see|well done|good job|awesome)\W*$", re.IGNORECASE)),
)  # fmt: skip
_WRONG = (
    re.compile(r"(?:it's|it is|that's|i said|i meant|make (?:it|that)) (?P<new>.+?),? (?:and )?not (?P<old>.+)", re.I),
    re.compile(r"(?:it's|it is|that's) not (?P<old>.+?)(?:,? but|,? it's|,? it is|,) (?P<new>.+)", re.IGNORECASE),
)
_NOT_BUT = re.compile(
    r"(?P<head>.{1,80}?)(?:(?P<n>n't|'m not)| not) (?P<old>.{1,80}?)(?:,? but|, it's|, it is|, i'm|, i am) (?P<new>.+)",
    re.I,
)
_TAIL_NOT = re.compile(r"(?P<head>.+?),? (?:and )?(?:not|instead of|rather than) (?P<old>[^,]{1,80})$", re.IGNORECASE)
_NO_MORE = re.compile(r",? (?:any ?more|any longer)\b", re.IGNORECASE)
_RELATIVE = re.compile(
    r"(?:on |this |next |the )?(?:day after tomorrow|tomorrow|today|tonight|(?:mon|tues|wednes|thurs|fri|satur|"
    r"sun)day)\b",
    re.I,
)


class Said(NamedTuple):
    """What a message says, each list in order of the text.

    Attributes:
        swaps: (old, new) of corrections that name no label ("it's Porto, not Lisbon").
        forgets: what is to be forgotten, as the user put it.
        talk: greeting, thanks, bye, how, who, help, time, fine.
        unread: clauses that are neither fact, request, question nor small talk.
    """

    facts: list[Fact]
    swaps: list[tuple[str, str]]
    forgets: list[str]
    questions: list[str]
    talk: list[str]
    unread: list[str]


def read_message(text: str, day: date | None = None) -> Said:
    """Read a message; of a pasted document only the first line and the last sentence are the user's own."""
    said = Said([], [], [], [], [], [])
    text = plain(text)
    if len(text) > LONG_CHARS:
        text = text[:400].split("\n")[0] + "\n" + text[-400:].rstrip().split("\n")[-1]
    for sentence in sentences(text):
        for clause in clauses(sentence):
            _read(clause, said, day)
    return said


def _read(clause: str, said: Said, day: date | None) -> None:
    if greeting := _GREETING.match(clause):
        said.talk.append("greeting")
        clause = clause[greeting.end() :]
        if re.fullmatch(r"(?:\w+)?\W*", clause):
            return
    for name, pattern in _TALK:
        if (match := pattern.match(clause)) and (name not in ("thanks", "bye") or len(clause) < match.end() + 24):
            said.talk.append(name)
            return
    while filler := _FILLER.match(f"{clause} "):
        clause = clause[filler.end() :]
    if tidy(clause) and not (_request(clause, said, day) or _question(clause, said) or _statement(clause, said, day)):
        said.unread.append(tidy(clause))


def _request(clause: str, said: Said, day: date | None) -> bool:
    if clause.rstrip().endswith("?") and not re.match(r"(?:please |can you |could you )", clause, re.IGNORECASE):
        return False
    if (match := _REMIND.match(clause)) and not _ASKS.match(clause):
        said.facts.append(Fact("Reminder", _absolute(tidy(match["v"]), day)))
    elif match := _REMEMBER.match(clause):
        inner = Said([], [], [], [], [], [])
        if not _statement(match["v"], inner, day):
            inner.facts.append(Fact("Remember", tidy(match["v"])))
        said.facts.extend(inner.facts)
        said.swaps.extend(inner.swaps)
    elif match := _FORGET.match(clause):
        said.forgets.append(tidy(match["v"]))
    else:
        for pattern, label in _PERSONA:
            if match := pattern.match(clause):
                said.facts.append(Fact(label, tidy(match["v"]), block="persona"))
                return True
        return False
    return True


def _question(clause: str, said: Said) -> bool:
    if not (clause.rstrip().endswith("?") or _ASKS.match(clause)):
        return False
    said.questions.append(clause.rstrip())
    return True


def _statement(clause: str, said: Said, day: date | None) -> bool:
    clause = clause.rstrip(" .!;,")
    for pattern in _WRONG:
        if match := pattern.fullmatch(clause):
            said.swaps.append((tidy(match["old"]), tidy(match["new"])))
            return True
    facts = _contrast(clause) or _negated(clause) or read_clause(clause)
    said.facts.extend(fact._replace(value=_absolute(fact.value, day)) for fact in facts)
    return bool(facts)


def _bare(text: str) -> str:
    return re.sub(r"^(?:in|at|an?|the|on|as) ", "", tidy(text), flags=re.IGNORECASE)


def _contrast(clause: str) -> list[Fact]:
    """Facts of "not Y but X" and "X, not Y", with Y as the value that was wrong."""
    if match := _NOT_BUT.match(clause):
        head = match["head"] + ("'m" if match["n"] == "'m not" else "")
        facts = read_clause(f"{head.removesuffix(' do').rstrip()} {match['new']}")
    elif match := _TAIL_NOT.match(clause):
        facts = read_clause(match["head"])
    else:
        return []
    return [facts[0]._replace(old=_bare(match["old"])), *facts[1:]] if facts else []


def _negated(clause: str) -> list[Fact]:
    """Facts that no longer hold, or held once."""
    if match := re.match(r"(i) (?:used to|previously|formerly) (?:be\b)?(.+)", clause, re.IGNORECASE):
        once = f"I'm {match[2].strip()}" if " be " in f" {clause[:14]} " else f"I {match[2].strip()}"
        once = re.sub(r"^I (lived|worked|liked|loved|hated)\b", lambda m: f"I {_PRESENT[m[1].lower()]}", once)
        return [fact._replace(status="past") for fact in read_clause(once)]
    if match := re.match(
        r"i (?:quit|left|resigned from|lost)(?: my (?:old )?(?:job|position))?(?: at| with)?\s?(.*)", clause, re.I
    ):
        return [Fact("Works at", tidy(match[1]), status="ended")] if "job" in clause or "quit" in clause else []
    clause = re.sub(r"^i stopped (\w+)ing ", r"I don't \1 ", clause, flags=re.IGNORECASE)
    positive = _positive(clause)
    if positive is None:
        return []
    facts = [fact._replace(status="ended") for fact in read_clause(positive)]
    if facts and facts[0].label == "Likes" and positive != clause:
        facts += [Fact("Dislikes", fact.value) for fact in facts if "no longer" not in clause]
    return facts


_PRESENT = {"lived": "live", "worked": "work", "liked": "like", "loved": "love", "hated": "hate"}


def _positive(clause: str) -> str | None:
    """The clause without its negation; None when it has none that ends a fact."""
    ends = bool(_NO_MORE.search(clause)) or "no longer" in clause.lower()
    text = _NO_MORE.sub("", re.sub(r"\bno longer ", "", clause, flags=re.IGNORECASE))
    verbs = r"\w+ ?" if ends else r"(?:live|work|have|play|speak|drive|own|study|collect)\b"
    changed = re.sub(rf"\b(?:don't|do not|doesn't|does not) (?={verbs})", "", text, count=1, flags=re.IGNORECASE)
    if not re.match(r".{1,60}?\bnot (?:a (?:big |huge )?fan|into|fond|keen)\b", text, re.IGNORECASE) or ends:
        changed = re.sub(r"^(.{1,60}?)(?:n't| not)\b", r"\1", changed, count=1, flags=re.IGNORECASE)
    if not ends and changed == clause:
        return None
    if not ends and re.match(r"i (?:can|do|did|would|could|wo|have|was)\b", changed, re.IGNORECASE):
        return None
    return changed


def _absolute(value: str, day: date | None) -> str:
    """A value that begins or ends with a relative day, with the day itself."""
    match = _RELATIVE.search(value)
    if match is None or day is None or re.search(r"\d{1,2} [A-Z]|every|each", value):
        return value
    if match.start() and match.end() < len(value) and not re.match(r" at\b", value[match.end() :]):
        return value
    meant = day_in(match[0], day)
    if meant is None:
        return value
    return f"{value[: match.start()]}{meant.day} {MONTHS[meant.month - 1].title()} {meant.year}{value[match.end() :]}"


# --- requests that take a text of several sentences -----------------------------------------------------------


class Errand(NamedTuple):
    """A request that is the whole message. `kind`: archive, note_write, note_read or note_list."""

    kind: str
    name: str = ""
    text: str = ""


_ERRANDS = (
    ("archive", re.compile(
        r"(?:archive(?: this| that|:)|(?:store|save|put|keep)(?: this| that| it)? (?:in|into|to)(?: the| your| my)? "
        r"archiv(?:e|al)(?: storage| memory)?)(?: for me)?[:,]?\s*(?P<text>.+)", re.IGNORECASE | re.DOTALL)),
    ("note_list", re.compile(
        r"(?:(?:what|which) (?:scratch )?notes (?:are there|do (?:i|you|we) have|have)|(?:list|show)(?: me)?(?: "
        r"all)?(?: my| the| your)? "
        r"(?:scratch )?notes)\b", re.IGNORECASE)),
    ("note_read", re.compile(
        r"(?:(?:read|show|open|get)(?: me)?(?: my| the)?|what(?:'s| is) (?:in|on) (?:my|the)|what does (?:my|the)) "
        r"(?:note (?:called|named|about) (?P<name>[\w -]{1,60})|(?P<other>[\w -]{1,60}?) note)\b", re.IGNORECASE)),
    ("note_write", re.compile(
        r"(?:make|write|create|take|add|save) (?:me )?a (?:new )?(?:scratch )?note(?: (?:called|named|titled|about) "
        r"(?P<name>[^:\n]{1,80}?))?\s*(?::|saying(?: that)?)\s*(?P<text>.+)", re.IGNORECASE | re.DOTALL)),
    ("note_write", re.compile(
        r"note (?P<name>(?:(?!down\b)[\w -]){1,40}):\s*(?P<text>.+)|(?:note|write|jot)(?: this| that)? down(?: "
        r"that)?[:,]?\s*(?P<more>.+)",
        re.IGNORECASE | re.DOTALL)),
)  # fmt: skip


def errand_in(text: str) -> Errand | None:
    """The note or archive request a message is, if it is one."""
    text = plain(text).strip()
    while start := _GREETING.match(text) or re.match(r"(?:please|can you|could you|ok|okay|also)[\s,]+", text, re.I):
        text = text[start.end() :]
    for kind, pattern in _ERRANDS:
        if match := pattern.match(text):
            given = match.groupdict()
            body = (given.get("text") or given.get("more") or "").strip()
            name = tidy(given.get("name") or given.get("other") or "").strip("'\"") or " ".join(keywords(body)[:3])
            return Errand(kind, name[:80], body)
    return None
