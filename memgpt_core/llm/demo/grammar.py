"""What the demo model takes for a fact: English statements about the user, as canonical core memory lines.

Turns a clause into `Fact`s ("I moved to Porto" -> `Lives in: Porto`) and nothing else: a clause it cannot
read yields no fact. Does not know which facts are already stored (`memory`) nor how questions look
(`questions`). Lines are stable, so that a later correction finds the earlier line.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from memgpt_core.llm.demo.words import MONTHS, day_in, plain, split_name, tidy, untimed, vocabulary

MANY = vocabulary(
    "likes,dislikes,allergic to,has,is,learning,studying,training for,preparing for,saving for,planning,reading,"
    "writing,building,working on,looking for,trying to,plans to,remember,reminder,speaks,plays,collects,practising,"
    "always,never,style,from now on",
    ",",
)
"""Labels of which several lines may stand side by side; any other label holds one value."""

RELATIONS = vocabulary(
    """sister brother mother mum mom father dad wife husband partner girlfriend boyfriend fiancé fiancée fiance son
    daughter kid child baby cousin aunt uncle niece nephew grandmother grandma granny grandfather grandpa friend boss
    manager colleague coworker neighbour neighbor teacher doctor dentist therapist landlord landlady roommate flatmate
    dog cat pet puppy kitten horse rabbit parrot hamster fish bird turtle tortoise twin stepmother stepfather coach
    tutor grandson granddaughter"""
)
_MODIFIERS = r"(?:older|younger|little|big|twin|step|half|best|oldest|youngest|elder|new|old|close|first|second)"
_REL = "|".join(sorted(RELATIONS, key=len, reverse=True))
_DETAIL = r"(?:lives|works|likes|loves|hates|studies|has|moved|is|was|plays|speaks|teaches|owns|runs|loved|turned)"
_ADVERBS = (
    r"(?:(?:now|currently|actually|also|still|really|just|recently|absolutely|always|do|mostly|usually|"
    r"only|especially|definitely|particularly|totally|quite|finally) )*"
)
_AM = rf"i(?:'m| am) {_ADVERBS}"
_HAVE = rf"i(?:'ve| have)?(?: got)? {_ADVERBS}"
_STATES = vocabulary("""
    vegetarian vegan pescatarian married single engaged divorced widowed retired left-handed right-handed pregnant
    colour-blind color-blind colourblind colorblind diabetic unemployed self-employed dyslexic deaf blind
    gluten-intolerant lactose-intolerant
    """)
_NO_NAMES = vocabulary("""
    italian spanish french german english british american portuguese brazilian dutch polish greek turkish indian
    chinese japanese korean russian swedish norwegian danish finnish irish scottish welsh canadian mexican
    australian austrian swiss belgian czech hungarian romanian ukrainian african european asian muslim christian
    jewish catholic buddhist hindu ok okay i not so very really just sorry happy glad tired fine good great sure
    back here new ready done hungry sick late busy the a an my your all
    """)
_NO_JOBS = vocabulary("""
    fan lover owner beginner person member believer user mother father brother sister daughter teenager winner loser
    owl sleeper drinker eater smoker learner gamer newcomer hiker swimmer cyclist hater stranger vegetarian vegan
    customer foreigner outsider dreamer runner reader letter computer number
    """)
_JOBS = vocabulary("""
    nurse chef cook student professor architect lawyer attorney accountant consultant assistant scientist judge
    pilot surgeon vet dentist mechanic clerk secretary electrician plumber musician pharmacist priest soldier
    sergeant therapist translator guide coach nanny diplomat economist librarian biologist physicist chemist
    geologist journalist analyst technician physician politician model postman fireman policeman barista
    """)
_EMPTY = vocabulary("""
    it that this them you him her everything these those what how when to be here there so me nothing
    """)
_TO_ASK = re.compile(r"(?:know|ask|tell|talk|see|understand|hear|say|thank|find out|be|apologi[sz]e|have|get)\b", re.I)
_DATE_FIRST = re.compile(
    rf"(?:in |the |next |this )?(?:\d|today|tonight|tomorrow|day after|{'|'.join(MONTHS)}|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day\b(?! \w+(?:$|,)))",
    re.I,
)
_NO_THINGS = re.compile(
    r"(?:question|problem|idea|feeling|doubt|headache|look|point|guess|god|bad|day|mood|life|mind|fault|"
    r"pleasure|turn|opinion|answer|suggestion|favou?rite|message|thought|plan b|hope|apologies)\b",
    re.I,
)


class Fact(NamedTuple):
    """One statement as a core memory line.

    Attributes:
        label, value: the two halves of the line.
        block: `human`, or `persona` for what the user asks of the agent.
        status: `holds`, `ended` (no longer so) or `past` (was so once).
        old: the value the user said is wrong.
        details: the value only adds details to somebody whose name may be known.
    """

    label: str
    value: str
    block: str = "human"
    status: str = "holds"
    old: str = ""
    details: bool = False

    @property
    def line(self) -> str:
        """As it stands in a block."""
        return f"{self.label}: {self.value}"

    @property
    def many(self) -> bool:
        """Whether other values of this label may hold at the same time."""
        return self.label.casefold() in MANY


_Build = Callable[[re.Match[str]], list[Fact]]


def _label(text: str) -> str:
    text = tidy(re.sub(r"^(?:new|current) ", "", tidy(text), flags=re.IGNORECASE))
    return text[:1].upper() + text[1:]


def _one(label: str, clean: Callable[[str], str] = tidy) -> _Build:
    def build(match: re.Match[str]) -> list[Fact]:
        value = clean(match["v"])
        return [Fact(label, value)] if value and value.split()[0].casefold() not in _EMPTY else []

    return build


def _several(label: str) -> _Build:
    def build(match: re.Match[str]) -> list[Fact]:
        value = tidy(match["v"])
        parts = [tidy(part) for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", value)]
        if any(len(part.split()) > 3 for part in parts) or re.match(r"to\b", value):
            parts = [value]
        return [Fact(label, part) for part in parts if part and part.split()[0].casefold() not in _EMPTY]

    return build


def _name(match: re.Match[str]) -> list[Fact]:
    text = match["v"].strip()
    name, rest = split_name(text)
    if not name:
        first = re.split(r",| and | but |\s-\s", text)[0].split()[:3]
        name, rest = " ".join(word[:1].upper() + word[1:] for word in map(tidy, first) if word), ""
    return [Fact("Name", name), *_more(rest)] if name and name.casefold() not in _NO_NAMES else []


def _nickname(match: re.Match[str]) -> list[Fact]:
    return [fact._replace(label="Goes by") if fact.label == "Name" else fact for fact in _name(match)]


def _more(rest: str) -> list[Fact]:
    """What follows a name in the same breath: ", a nurse", "from Lisbon"."""
    rest = re.sub(r"^[,\s]*(?:and\s+)?", "", rest)
    return read_clause(f"I'm {rest}") if re.match(r"(?:an?|from|\d+)\b", rest, re.IGNORECASE) else []


def _am_name(match: re.Match[str]) -> list[Fact]:
    name, rest = split_name(match["v"])
    words = {word.casefold() for word in name.split()}
    if not name or words & _NO_NAMES or re.match(r"(?:from|-)?\w*(?:ing|ed)\b", rest):
        return []
    return [Fact("Name", name), *_more(rest)]


def _am_a(match: re.Match[str]) -> list[Fact]:
    what, _, place = re.sub(r" (at|for) (?=\S)", "\0", match["v"], count=1).partition("\0")
    what, _, home = tidy(what).partition(" from ")
    last = re.split(r"\s+(?:in|of|with|who|and|on)\s+", what)[0].split()[-1:]
    if not last or re.match(r"(?:bit|little|lot|mess|fool|idiot|touch|big|huge|great)\b", what, re.IGNORECASE):
        return []
    word = last[0].casefold()
    job = word in _JOBS or (word not in _NO_JOBS and re.search(r"(?:er|or|ist|man|woman)$", word) is not None)
    facts = [Fact("Works as" if job else "Is", what if job else f"{match['a'].lower()} {tidy(match['v'])}")]
    if job and place:
        facts.append(Fact("Works at", untimed(place)))
    if home:
        facts.append(Fact("From", tidy(home)))
    return facts


def _state(match: re.Match[str]) -> list[Fact]:
    words = tidy(match["v"]).split()
    if not words or words[0].casefold().rstrip(",") not in _STATES:
        return []
    return [Fact("Is", re.split(r",| and ", " ".join(words))[0])]


def _work(match: re.Match[str]) -> list[Fact]:
    given = match.groupdict()
    facts = []
    if role := tidy(given.get("role") or ""):
        facts.append(Fact("Works as", re.sub(r"^(?:an?|the) ", "", role, flags=re.IGNORECASE)))
    place, _, as_what = (given.get("place") or "").partition(" as ")
    if as_what and not role:
        facts.append(Fact("Works as", re.sub(r"^(?:an?|the) ", "", tidy(as_what), flags=re.IGNORECASE)))
    if place := untimed(place):
        facts.append(Fact("Works at", place))
    return facts


def _person(match: re.Match[str]) -> list[Fact]:
    label = _label(match["rel"])
    rest = tidy(match["v"])
    if re.match(r"'s (?!name\b)[a-z]\w*(?: \w+)? (?:is|are)\b", rest):
        return []
    naming = re.match(r"(?:'s name is|is called|is named|called|named|is|'s|,)\s+", rest, re.IGNORECASE)
    given = rest[naming.end() :] if naming else rest
    name, tail = split_name(given)
    if naming and not name:
        return [Fact(label, _details(given))] if given and not re.match(r"\w+ing\b", given) else []
    if not name and not re.match(_DETAIL, given, re.IGNORECASE):
        return []
    if name and not naming and tail and not re.match(rf"(?:,|is\b|{_DETAIL}\b)", tail, re.IGNORECASE):
        return []
    details = _details(tail)
    return [Fact(label, ", ".join(part for part in (name, details) if part), details=not name)]


def _details(text: str) -> str:
    text = re.sub(
        rf"(?:,| and|, and) (?:(?:she|he|it|who|they) )?(?={_DETAIL}\b)", ",", f", {tidy(text)}", flags=re.IGNORECASE
    )
    text = re.sub(r"\b(?:has |just |recently )*moved (?:from [^,]{1,60}? )?to\b", "lives in", text, flags=re.IGNORECASE)
    text = re.sub(r"\s+", " ", re.sub(r",\s*who ", ", ", text))
    parts = [untimed(re.sub(r"^(?:and|who|she|he|it) ", "", part.strip())) for part in text.split(",")]
    return ", ".join(part for part in parts if part)


def _person_is(match: re.Match[str]) -> list[Fact]:
    name, rest = split_name(match["name"])
    if not name or rest:
        return []
    details = _details(re.sub(r"^[,\s]*(?:and|who)?\s*", "", match["v"] or ""))
    return [Fact(_label(match["rel"]), ", ".join(part for part in (name, details) if part))]


def _favourite(match: re.Match[str]) -> list[Fact]:
    kind, value = tidy(match["k"]), tidy(match["v"])
    return [Fact(f"Favourite {kind.lower() if kind.isascii() else kind}", value)] if kind and value else []


def _thing(match: re.Match[str]) -> list[Fact]:
    kind, value = tidy(match["k"]), tidy(match["v"])
    if _NO_THINGS.match(kind) or re.match(r"(?:\w+ing|not|so|too|very|just|really|probably|maybe)\b", value):
        return []
    value = re.sub(r"^(?:on|at|called|named|scheduled for|set for|due on|due) ", "", value, flags=re.IGNORECASE)
    return [Fact(_label(kind), value)] if kind and value and value.split()[0].casefold() not in _EMPTY else []


def _dated(match: re.Match[str]) -> list[Fact]:
    value = re.sub(r"^(?:on|due|at|scheduled for|set for) ", "", tidy(match["v"]), flags=re.IGNORECASE)
    named = day_in(value, date(2000, 1, 1)) is not None and _DATE_FIRST.match(value)
    return [Fact(_label(match["k"]), value)] if named else []


def _has(match: re.Match[str]) -> list[Fact]:
    value = tidy(match["v"])
    bare = re.sub(r"^(?:an?|two|three|four|five|six|\d+|some) ", "", value, flags=re.IGNORECASE)
    if _NO_THINGS.match(bare) or re.match(r"(?:lot|few|bit|look|minute|moment|chance|job|name)\b", bare, re.IGNORECASE):
        return []
    named = re.match(rf"(?:{_MODIFIERS} )*(?P<rel>{_REL})(?P<v>(?:,| called| named| whose name is).*)", bare, re.I)
    if named:
        tail = re.sub(r"^(?:,| called| named| whose name is)\s*(?:called |named )?", "", named["v"], flags=re.I)
        name, rest = split_name(tail)
        return [Fact(_label(named["rel"]), ", ".join(p for p in (name, _details(rest)) if p))] if name else []
    dated = re.match(r"(?P<k>.{2,60}?) (?P<v>(?:on|tomorrow|next) ?.*)", bare, re.IGNORECASE)
    return (_dated(dated) if dated else []) or [Fact("Has", value)]


def _doing(match: re.Match[str]) -> list[Fact]:
    label = _label(match["how"].lower())
    value = tidy(match["v"])
    return [Fact(label, re.sub(r"^up for ", "", value))] if value.split()[0].casefold() not in _EMPTY else []


def _plan(match: re.Match[str]) -> list[Fact]:
    value = tidy(match["v"])
    return [] if _TO_ASK.match(value) else [Fact("Plans to", value)]


def _verb(match: re.Match[str]) -> list[Fact]:
    label = {"speak": "Speaks", "play": "Plays", "study": "Studying", "collect": "Collects", "drive": "Drives"}
    return _several(label[match["how"].lower()])(match)


def _rules(*pairs: tuple[str, _Build]) -> tuple[tuple[re.Pattern[str], _Build], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), build) for pattern, build in pairs)


_PEOPLE = rf"(?:{_MODIFIERS} )*(?P<rel>(?:best friend)|{_REL})"
RULES = _rules(
    (r"my (?:full |first |real |own )?name(?: is|'s) (?:actually |now )?(?P<v>.+)", _name),
    (rf"{_AM}(?:called|named) (?P<v>.+)", _name),
    (r"(?:you can |you may |please |just |people |everyone |my friends )*calls? me (?P<v>.+)", _nickname),
    (rf"{_AM}allergic to (?P<v>.+)", _several("Allergic to")),
    (r"i have an? (?P<v>[\w' -]{2,40}?) allergy", _several("Allergic to")),
    (rf"(?:{_AM}|i {_ADVERBS})(?:living|live|based|reside|staying) (?:in|at|near|on) "
     r"(?P<v>.+)", _one("Lives in", untimed)),
    (rf"{_HAVE}(?:moved|relocated)(?: back| house| home| away)?(?: from (?:.{{1,60}}?))? to (?P<v>.+)",
     _one("Lives in", untimed)),
    (rf"(?:{_AM}working|i {_ADVERBS}work) as (?P<role>.+?)(?: (?:at|for|with) (?P<place>.+))?$", _work),
    (rf"(?:{_AM}(?:working|employed)|i {_ADVERBS}work) (?:at|for|with) (?P<place>.+?)(?: as (?P<role>.+))?$", _work),
    (rf"(?:{_AM}working|i {_ADVERBS}work) (?P<v>(?:in|from|on|nights|part|full).+)", _one("Work")),
    (rf"{_HAVE}(?:started|got|found|took|accepted|landed|start)(?: working|(?: an?| my| the)?(?: new)? "
     r"(?:job|position|role))(?: as (?P<role>.+?))?(?: (?:at|with|for) (?P<place>.+))$", _work),
    (rf"{_HAVE}(?:started|got|found|took)(?: working|(?: an?| my)?(?: new)? (?:job|position)) as (?P<role>.+)$", _work),
    (r"i(?: was| got|'ve been|'ve just been) promoted to (?P<role>.+)$", _work),
    (rf"i {_ADVERBS}(?:hate|dislike|detest|loathe|can't stand|cannot stand|don't like|do not like|don't enjoy|"
     r"do not enjoy|can't bear) (?P<v>.+)", _several("Dislikes")),
    (r"i(?:'m| am) not (?:a (?:big |huge )?fan of|into|fond of|keen on) (?P<v>.+)", _several("Dislikes")),
    (rf"(?:i {_ADVERBS}(?:like|love|enjoy|adore|prefer)|{_AM}(?:an? (?:big |huge |great )?fan of|into|fond of|"
     r"keen on|crazy about)) (?P<v>.+)", _several("Likes")),
    (r"my (?:all[- ]time |absolute |new |current )*favou?rite (?P<k>.{1,50}?)(?: is|'s| are|:| has always been| was) "
     r"(?:now |actually |still )?(?P<v>.+)", _favourite),
    (r"(?P<v>[^,]{1,80}?) (?:is|are) (?:now |still )?my (?:all[- ]time |new |absolute )*favou?rite (?P<k>.{1,50})",
     _favourite),
    (r"my birthday(?:'s| is) (?:on )?(?P<v>.+)", _one("Birthday")),
    (r"i was born on (?P<v>.+)", _one("Birthday")),
    (r"i was born(?: and raised)? in (?P<v>.+)", _one("Born in")),
    (r"i(?:'m| am| come)(?: originally)? from (?P<v>.+)", _one("From")),
    (rf"my {_PEOPLE}(?P<v>(?:'s name is|'s| is|,| called| named| )\s*.+)", _person),
    (rf"(?P<name>[^,]{{1,60}}?) is my {_PEOPLE}(?P<v>(?:,| and| who).*)?$", _person_is),
    (rf"{_AM}(?P<v>\d{{1,3}})(?: years? old)?(?: (?:now|today))?$", _one("Age")),
    (r"i(?: just| have|'ve just)? turned (?P<v>\d{1,3})\b", _one("Age")),
    (rf"{_AM}(?P<how>learning|studying|training for|preparing for|saving(?: up)? for|writing|reading|building|"
     r"planning|practising|working on|looking for|trying to) (?P<v>.+)", _doing),
    (rf"i {_ADVERBS}(?:want|plan|hope|intend)(?:ed)? to (?P<v>.+)", _plan),
    (rf"{_AM}(?:planning|hoping|going) to (?P<v>(?:run|learn|visit|buy|travel|move|marry|study|build|"
     r"write)\b.+)", _plan),
    (rf"i (?:can )?{_ADVERBS}(?P<how>speak|play|study|collect|drive) (?P<v>.+)", _verb),
    (rf"{_AM}(?P<a>an?|the) (?P<v>.+)", _am_a),
    (rf"{_AM}(?P<v>.+)", _state),
    (r"my (?P<k>[\w'/ -]{1,50}?)(?: is| are|'s(?! \w+(?: \w+)? (?:is|are)\b)| was changed to| =|:) "
     r"(?:now |actually )?(?P<v>.+)", _thing),
    (r"(?:the|our) (?P<k>[\w'/ -]{1,50}?)(?: is| are|'s| takes place| starts)(?: now)? (?P<v>.+)", _dated),
    (rf"i(?:'ve got| have got| {_ADVERBS}(?:have|own)) (?P<v>(?:an?|two|three|four|five|six|\d+) .+)", _has),
)  # fmt: skip
"""What a clause is tried against, in order; the first that yields a fact wins."""


def read_clause(clause: str) -> list[Fact]:
    """The facts one clause states, none when it states nothing that is known here."""
    clause = clause[:400]
    for pattern, build in RULES:
        match = pattern.match(clause)
        if match and (facts := build(match)):
            return facts
    if match := re.match(r"i(?:'m| am) (?P<v>.+)", clause, re.IGNORECASE):
        return _am_name(match)
    return []


def third_person(sentence: str) -> str:
    """A sentence about "the user" as the user would say it, so that the same rules read it."""
    text = plain(sentence)
    text = re.sub(r"\b(?:the user's|the user’s)\b", "my", text, flags=re.IGNORECASE)
    text = re.sub(r"\bthe user (?:is|was)\b", "I am", text, flags=re.IGNORECASE)
    text = re.sub(r"\bthe user has\b", "I have", text, flags=re.IGNORECASE)
    return re.sub(
        r"\bthe user (now |currently |also |really )?(live|work|like|love|hate|enjoy|prefer|speak|play|collect|"
        r"drive)s\b",
        lambda match: f"I {match[1] or ''}{match[2]}",
        text,
        flags=re.IGNORECASE,
    )
