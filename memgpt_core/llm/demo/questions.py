"""What a question asks for: which labels would answer it, which words to search with, and where.

Reads the words of the question only. Looking for the answer is `answers`; chains of keys are
`lookup`.
"""

import re
from datetime import date
from typing import NamedTuple

from memgpt_core.llm.demo.grammar import RELATIONS
from memgpt_core.llm.demo.words import keywords, plain, span_in, tidy

SYNONYMS = {
    "mom": "mum", "mother": "mum", "father": "dad", "fiancée": "fiancé", "fiance": "fiancé", "neighbor": "neighbour",
    "grandmother": "grandma", "granny": "grandma", "grandfather": "grandpa", "flatmate": "roommate",
    "manager": "boss", "coworker": "colleague", "favorite": "favourite", "first name": "name", "full name": "name",
    "job": "works as", "profession": "works as", "occupation": "works as", "employer": "works at",
    "workplace": "works at", "company": "works at", "city": "lives in", "home town": "lives in", "town": "lives in",
    "home": "lives in", "location": "lives in", "nickname": "goes by", "puppy": "dog", "kitten": "cat",
}  # fmt: skip
"""Different words for one label."""

_FRAME = re.compile(
    r"(?:and|so|but|ok(?:ay)?|well|please|hey|now|also|then|by the way|can you|could you|would you|will you|do you|"
    r"tell me|"
    r"still|happen to|please|remind me(?: of)?|show me|any idea|i(?:'ve)? forg[oe]t(?:ten)?|know|remember|"
    r"recall)\b[\s,:]*",
    re.IGNORECASE,
)
_FORMER = re.compile(
    r"\b(?:before(?: that)?|previously|formerly|in the past|back then|used to|use to|(?<=my )(?:old|previous|former|"
    r"ex) (?=\w))",
    re.IGNORECASE,
)
_IS = r"(?:'s|'re| is| are| was| were)"
_REL = "|".join(sorted((word for word in RELATIONS), key=len, reverse=True))
_LIVE = r"(?:live|living|based|reside|staying)"


class Question(NamedTuple):
    """A question as asked of memory.

    Attributes:
        kind: `fact` (by label), `person` (by name), `overview`, `topic` (by words), `dates`, `document`,
            `documents` (which there are), `outline`, `other`.
        labels: what would answer it, best first, as `label_key` writes them; `prefix*` matches any ending.
        words: what to search with; for a topic also what an answer must contain.
        about: how to say what is not known.
        former: what was so once, not what is.
        contains: only a value with this in it answers ("am I allergic to nuts?").
        days: the days it is about.
    """

    kind: str
    text: str
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    about: str = ""
    former: bool = False
    contains: str = ""
    days: tuple[date, date] | None = None

    @property
    def query(self) -> str:
        """The words to search with."""
        return " ".join(self.words)[:200]


def label_key(label: str) -> str:
    """A label for comparing: lower case, one word for its synonyms."""
    key = tidy(label).casefold().replace("favorite", "favourite")
    key = re.sub(r"^(?:the|my) ", "", key)
    return SYNONYMS.get(key, key)


def _fact(labels: str, words: str, about: str) -> tuple[tuple[str, ...], str, str]:
    return tuple(labels.split("|")), words, about


_FIXED = tuple(
    (re.compile(pattern, re.IGNORECASE), made)
    for pattern, made in (
        (rf"(?:what{_IS} |what |is )?my (?:\w+ )?name(?: is)?(?=$| |\?)(?!.*note)|what am i called|what i am called",
         _fact("name|goes by", "name called call", "what your name is")),
        (rf"what (?:should|do) (?:you|people) call me|what{_IS} my "
         r"nickname", _fact("goes by|name", "call me name", "what to call you")),
        (rf"(?:where|(?:which|what) (?:city|town|country|place)) (?:do|did|am|was|have) i (?:\w+ )?{_LIVE}|where "
         rf"i(?:'m| am)? ?(?:\w+ )?{_LIVE}|"
         rf"(?:what{_IS}|where{_IS}|which{_IS}) my (?:address|home ?town|city|home|place)|do i (?:still )?{_LIVE}|"
         rf"am i {_LIVE}|where am i$",
         _fact("lives in|address|home", "live moved", "where you live")),
        (r"where (?:do|did|am) i (?:\w+ )?work|who (?:do|did) i work for|where i work|do i (?:still )?work (?:at|for)",
         _fact("works at|work", "work job", "where you work")),
        (rf"what{_IS} my (?:current |new )?(?:job|profession|occupation|work)\b|what (?:do|did) i do(?: for (?:a "
         r"living|work))?$|"
         r"what i do(?: for (?:a living|work))?$|(?:what|who) (?:do|did|am) i work(?:ing)? as|do i (?:still )?work "
         r"as|my job$|am i an? \w+$",
         _fact("works as|works at|work|is", "work job", "what you do for a living")),
        (rf"how old (?:am i|i am)|what{_IS} my age|my age$", _fact("age|birthday", "years old age", "how old you are")),
        (r"where (?:am i|do i come|i am|i'm) from|where i come from|where was i born|my home country",
         _fact("from|born in", "from born", "where you are from")),
        (rf"when{_IS} my birthday|my birthday|when was i born|what{_IS} my (?:birth ?day|date of birth)",
         _fact("birthday|born in", "birthday born", "when your birthday is")),
        (r"what (?:am i|i am|i'm) allergic|do i have (?:any |an )?allerg|(?:what|which) allerg|my allerg|am i "
         r"allergic to "
         r"anything",
         _fact("allergic to", "allergic allergy", "of any allergy")),
        (r"what (?:things )?(?:do|did) i (?:\w+ )?(?:like|love|enjoy)(?: most| best)?$|what i (?:like|love)$|what "
         r"are my (?:hobbies|interests|likes)",
         _fact("likes|favourite *", "like love", "what you like")),
        (r"what (?:do|did) i (?:hate|dislike)|what (?:can't|don't) i (?:stand|like)|what i (?:hate|dislike|can't "
         r"stand|don't like)|my dislikes",
         _fact("dislikes", "hate dislike stand", "what you dislike")),
        (r"what (?:languages?|instruments?|do|am|i) .{0,20}?(?:speak|"
         r"speaking)", _fact("speaks", "speak language", "which languages you speak")),
        (r"(?:what|which) .{0,20}?\bi play\b|what i play", _fact("plays", "play", "what you play")),
        (r"what are my (?:plans|goals)|what (?:do i|am i) (?:plan|want|planning|going|trying)", _fact(
            "plans to|trying to|goal|planning|training for", "plan want", "what you plan")),
        (r"what (?:pets?|animals?) (?:do|did) i have|do i have (?:any |a )?pets?", _fact(
            "dog|cat|pet|rabbit|horse|parrot|hamster|fish|bird|turtle|tortoise|"
            "has", "dog cat pet", "whether you have a pet")),
        (r"what (?:do i have|i have)$|what do i own", _fact("has|car", "have own", "what you have")),
        (r"am i (?:a )?(?:vegetarian|vegan|married|single|engaged|retired|diabetic)|what is my (?:diet|marital status)",
         _fact("is", "am", "that")),
        (r"what (?:did i ask you to|should you|do you have to|must you) "
         r"remember", _fact("remember|reminder", "remember", "what to remember")),
        (r"what (?:are my|reminders?)\b.*remind|my reminders", _fact("reminder", "remind", "of any reminder")),
        (r"how (?:should|are) you (?:to )?(?:answer|reply|speak)|what are your instructions", _fact(
            "style|from now on|always|never|role", "answer", "how to answer")),
    )
)  # fmt: skip


def understand(text: str, today: date | None = None) -> Question:
    """What a question is after. Anything not known here becomes a search for its words (`other`)."""
    whole = tidy(plain(text))
    asked = whole
    while frame := _FRAME.match(asked):
        asked = asked[frame.end() :]
    remembers = asked != whole and re.search(r"remember|recall", whole, re.IGNORECASE) is not None
    former = bool(_FORMER.search(asked))
    asked = " ".join(_FORMER.sub("", asked).split())
    found = _shelf(whole) or _history(asked, today) or _document(whole) or _overview(asked, whole)
    found = found or _by_label(asked) or _person(asked)
    if found is None and remembers:
        found = _topic(asked)
    words = keywords(asked)
    found = found or Question("other", whole, words=words, about=" ".join(words))
    return found._replace(text=whole, former=former and found.kind == "fact")


def _history(asked: str, today: date | None) -> Question | None:
    """Questions about what was said: on some days, or about something."""
    match = re.match(
        r"(?:what|when|where|which|who|how) ?(?:else )?(?:did|have|was|were|had) (?:i|we|you) (?:ever )?(?:\w+ )?"
        r"(?:say|said|tell|told|mention|mentioned|talk|talked|talking|speak|spoken|write|written|wrote|ask|asked|"
        r"discuss|"
        r"discussed|chat|chatted)\b(?: (?:you|me|us))?(?P<v>.*)|(?:did|have) (?:i|we) (?:ever )?(?:say|said|tell|"
        r"told|mention|"
        r"mentioned|talk|talked|speak|spoken)\b(?: (?:you|to you))?(?P<w>.*)|what i (?:said|told you|"
        r"mentioned)(?P<x>.*)|"
        r"what (?:happened|was said)(?P<y>.*)|(?:what )?(?:do )?you (?:know|remember)(?P<z> about .*)",
        asked,
        re.IGNORECASE,
    )
    match = match or re.match(r"(?:what )?(?P<v>about (?!me\b|myself\b).+)", asked, re.IGNORECASE)
    if not match:
        return None
    rest = next((group for group in match.groups() if group is not None), "")
    if re.match(r" ?about (?:me|myself)\b", rest, re.IGNORECASE):
        return None
    days = span_in(rest, today) if today else None
    if days:
        rest = re.sub(
            r"\b(?:in|on|during|of|since|at)?\s*(?:\d{4}-\d\d-\d\d|\d{1,2}(?:st|nd|rd|th)?(?: of)? [A-Za-z]+|"
            r"(?:last |this )?(?:week|month|year|yesterday|today|\w+day)|(?:in|during|on) [A-Z][a-z]+(?: "
            r"\d{1,2}\w*)?)(?: \d{4})?",
            " ",
            rest,
            flags=re.IGNORECASE,
        )
    topic = _topic(rest)
    if topic is not None:
        return topic._replace(days=days)
    return Question("dates", asked, about="what we talked about then", days=days) if days else None


def _topic(rest: str) -> Question | None:
    words = keywords(rest)
    return Question("topic", rest, words=words, about=f"anything about {' '.join(words)}") if words else None


_BOOK = r"(?:book|documents?|text|archive|file|story|manual|report|paper|pdf|bible|chapter|article|guide|letter)"


def _document(asked: str) -> Question | None:
    match = re.search(
        rf"(?:what|where|does|do|how)\b.{{0,30}}?\b(?:the|my|this|that|your) (?:\w+ )?{_BOOK}s? (?:say|tell|mention|"
        r"describe|explain)s?\b"
        r"(?: (?:us|me))?(?: (?:about|of|on))?(?P<v>.*)"
        r"|search (?:in |through )?(?:(?:the|your|my|all) )?(?:archiv\w+(?: storage| memory)?|documents?|book|"
        r"files?|text)(?: for| about)?(?P<w>.+)"
        r"|(?:which|what) (?:passages?|verses?|chapters?|pages?|documents?|sections?) "
        r"(?:mentions?|talks? about|contains?|is about|are about|says?|speaks? (?:of|about)|describes?)(?P<x>.+)"
        rf"|(?:look up|look for|find|search for)(?P<y>.+?)(?: in (?:the|my|your) (?:{_BOOK}|archival storage))?$"
        rf"|(?:according to|in) (?:the|my|this) {_BOOK},?(?P<z>.+)|(?P<u>.+?) (?:according to|in) (?:the|my|this|"
        rf"your) {_BOOK}s?$",
        asked,
        re.IGNORECASE,
    )
    topic = tidy(next((group for group in match.groups() if group), "")) if match else ""
    words = keywords(topic)
    return Question("document", asked, words=words, about=topic, contains=_phrase(topic)) if words else None


def _shelf(asked: str) -> Question | None:
    """Which documents there are, and what is in one."""
    listing = r"(?:what|which) documents (?:do you have|have you got|are there)|list (?:the|your|my|all) documents"
    if re.match(listing, asked, re.IGNORECASE):
        return Question("documents", asked, about="any documents")
    outline = re.match(
        rf"(?:(?:show|give) me |what(?:'s| is) )?(?:an? |the )?(?:outline|table of contents|contents)"
        rf"(?: of (?:the |my )?(?P<v>.+))?$|what(?:'s| is) in (?:the|my) (?P<w>{_BOOK})$",
        asked,
        re.IGNORECASE,
    )
    if outline is None:
        return None
    topic = outline["v"] or ""
    return Question("outline", asked, words=keywords(topic), about=f"the outline of {topic or 'a document'}")


def _phrase(topic: str) -> str:
    return re.sub(r"^(?:the|an?) ", "", topic, flags=re.IGNORECASE)


def _overview(asked: str, whole: str) -> Question | None:
    if re.search(
        r"(?:know|remember|learned|recall|have|stored?|noted) (?:\w+ )?about me\b|who am i\b|everything about me|"
        r"tell me about (?:me|myself)|what do you (?:know|remember)$|^about me\b",
        f"{whole} {asked}" if whole != asked else asked,
        re.IGNORECASE,
    ):
        return Question("overview", asked, about="anything about you")
    return None


def _by_label(asked: str) -> Question | None:
    return _relation(asked) or _favourite(asked) or _yes_no(asked) or _fixed(asked) or _generic(asked)


def _fixed(asked: str) -> Question | None:
    for pattern, (labels, words, about) in _FIXED:
        if pattern.match(asked):
            return Question("fact", asked, labels=labels, words=tuple(words.split()), about=about)
    return None


def _relation(asked: str) -> Question | None:
    match = re.search(
        rf"\bmy (?:(?:older|younger|little|big|twin|best|new|old) )*(?P<rel>{_REL})(?=$|'s|\W)", asked, re.IGNORECASE
    )
    if not match or not re.match(r"(?:who|what|where|how old|is|does|my|the name of|which|tell)", asked, re.IGNORECASE):
        return None
    if re.search(rf"\bmy (?:\w+ )?{match['rel']}'s (?!name\b|called\b|job\b|age\b)\w+", asked, re.IGNORECASE):
        return _generic(asked)
    word = match["rel"].lower()
    verb = re.search(r"\b(live|work|study|like|love|play)", asked[match.end() :], re.IGNORECASE)
    contains = verb[1].lower() if verb and re.match(r"(?:where|what)", asked, re.IGNORECASE) else ""
    about = f"where your {word} {contains}s" if contains in ("live", "work") else f"anything about your {word}"
    return Question("fact", asked, labels=(label_key(word),), words=(word,), about=about, contains=contains)


def _favourite(asked: str) -> Question | None:
    match = re.search(r"\bmy (?:\w+ )?favou?rite (?P<k>[\w' -]{1,50})", asked, re.IGNORECASE) or re.match(
        r"(?:what|which) (?P<k>(?!do\b|did\b|things?\b)[\w' -]{1,50}?) (?:do|did) i (?:\w+ )?(?:like|love|prefer|"
        r"drink|eat)\b",
        asked,
        re.I,
    )
    match = match or re.match(r"(?:what|which) (?P<k>[\w' -]{1,50}?) is my favou?rite", asked, re.IGNORECASE)
    if not match:
        return None
    kind = re.sub(r"^kind of | is$", "", tidy(match["k"]).casefold())
    label = label_key(f"favourite {kind}")
    return Question(
        "fact", asked, (label, f"likes~{kind}"), ("favourite", *keywords(kind)), f"which {kind} you like best"
    )


def _yes_no(asked: str) -> Question | None:
    match = re.match(
        r"(?:(?:do|did) i (?:still |really )?(?P<verb>like|love|enjoy|hate|dislike|have|own|speak|play)|"
        r"am i (?P<am>allergic to|learning|training for)|what did i do with) (?P<art>any |an? |the )?(?P<v>.+)",
        asked,
        re.IGNORECASE,
    )
    if not match or tidy(match["v"]).casefold() in ("anything", "pet", "pets", "allergies", "allergy"):
        return None
    labels = {
        "like": "likes|dislikes|favourite *", "love": "likes|dislikes|favourite "
                                                      "*", "enjoy": "likes|dislikes|favourite *",
        "hate": "dislikes|likes", "dislike": "dislikes|likes", "have": "has", "own": "has", "speak": "speaks",
        "play": "plays", "allergic to": "allergic to", "learning": "learning", "training for": "training for",
    }  # fmt: skip
    verb = (match["verb"] or match["am"] or "have").lower()
    value = tidy(match["v"]).casefold()
    wanted = tuple(labels[verb].split("|"))
    if verb in ("have", "own"):
        wanted = (label_key(value), "has")
    contains = "" if wanted[0] == label_key(value) else value
    about = f"whether you {'are ' if match['am'] else ''}{verb} {match['art'] or ''}{value}"
    return Question("fact", asked, wanted, keywords(value), about, contains=contains)


def _generic(asked: str) -> Question | None:
    """Read "what is my X?", "when is the X?", "my X": the label is the user's own word."""
    doing = re.match(
        r"what (?:\w+ )?(?:am i|i am|i'm) (?:currently )?(learning|studying|training for|preparing for|reading|"
        r"writing|building|"
        r"working on|looking for|saving for|practising)\b",
        asked,
        re.IGNORECASE,
    )
    having = re.match(
        r"(?:what|which) (?P<k>[\w' -]{2,40}?) (?:do|did) i (?:have|own|drive|use)$", asked, re.IGNORECASE
    )
    if having:
        kind = tidy(having["k"])
        return Question("fact", asked, (label_key(kind), f"has~{kind}"), keywords(kind), f"which {kind} you have")
    if doing:
        verb = doing[1].lower()
        return Question("fact", asked, (verb,), (verb.split()[0],), f"what you are {verb}")
    match = re.match(
        rf"(?:what|when|where|which|who|how much|how){_IS} (?P<my>my|the|our) (?P<k>[\w'/ -]{{1,60}})$|"
        rf"(?:what|which) (?:day|date|time){_IS} (?P<our>my|the|our) (?P<day>[\w'/ -]{{1,60}})$|"
        r"(?:when|what|where) (?:my|the|our) (?P<that>[\w'/ -]{1,60}?) (?:is|are)$|my (?P<bare>[\w'/ -]{1,60})$|"
        r"when (?:do i have|have i got) (?:my |the |an? )(?P<have>[\w'/ -]{1,60})$",
        asked,
        re.IGNORECASE,
    )
    if not match:
        return None
    given = match.groupdict()
    kind = next(given[name] for name in ("k", "day", "that", "bare", "have") if given[name])
    kind = re.sub(r" (?:called|like|on|at|again)$", "", tidy(kind))
    if (given["my"] or "my").lower() == "the" and not re.match(r"when", asked, re.IGNORECASE):
        return None
    return Question(
        "fact", asked, (label_key(kind), f"reminder~{kind}", f"remember~{kind}"), keywords(kind), f"your {kind}"
    )


def _person(asked: str) -> Question | None:
    match = re.match(
        r"(?:who(?:'s| is| was)|tell me about|about|where (?:does|is)|what does|how old is) (?P<v>[^\W\d_][\w' "
        r"-]{1,50}?)"
        r"(?: (?:do|live|work|like|study)(?:s| for a living| at)?)?$",
        asked,
        re.IGNORECASE,
    )
    if (
        not match
        or not any(word[:1].isupper() for word in match["v"].split())
        or re.match(r"(?:my|the|I)\b", match["v"])
    ):
        return None
    name = tidy(match["v"])
    return Question("person", asked, words=keywords(name), about=f"who {name} is", contains=name)
