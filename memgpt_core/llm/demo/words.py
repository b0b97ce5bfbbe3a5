"""Words as the demo model handles them: sentences, clauses, keywords, names, days.

Pure text handling without meaning; every pattern is linear in the text, which may be 100 kB.
"""

import re
from datetime import date, timedelta


def vocabulary(text: str, apart: str | None = None) -> frozenset[str]:
    """The words of a list written as one text, parted by `apart` or by white space."""
    return frozenset(" ".join(word.split()) for word in text.split(apart))


MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_SENTENCE = re.compile(r"[^.!?;\n]+(?:[.!?;]+(?!\s|$|[.!?;])[^.!?;\n]*)*[.!?;]*")
_ABBREVIATED = re.compile(r"(?:^|\s)(?:dr|mr|mrs|ms|st|prof|jr|sr|vs|no|[A-Z])\.$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_VERBS_I = "live|work|love|like|hate|enjoy|prefer|speak|play|study|moved|have|own|drive|can't stand|don't"
_OF_MINE = r"(?:is|are|was|lives?|works?|likes?|loves?|hates?|moved|has|studies|isn't|called)"
_START = (
    r"(?:i|i'm|i've|i'd|we|we're|"
    rf"(?:my|our)\s[^,]{{1,40}}?(?:'s|\s{_OF_MINE})|the\s[^,]{{1,40}}?\s(?:is|are)|"
    r"you(?:'re|\sare|\scan|\sshould|r\sname)|please|remember|forget|remind|call\sme|everyone|people\scall|"
    r"(?:what|where|who|when|which|how)(?:'s|\s(?:is|are|do|did|does|was|am|old|much|many|kind|[a-z]+\sdo))|"
    r"do\syou|can\syou|could\syou|did\si|am\si|do\si|is\smy|tell\sme|thanks|thank\syou)(?![\w])"
)
_JOINT = re.compile(
    rf"(?:\s*,\s*|\s+)(?:and|but|so|plus|because|then)\s+(?:also\s+)?(?={_START})|\s*,\s*(?:also\s+)?(?={_START})"
    rf"|\s+[–—-]+\s+|:\s+(?={_START})",
    re.IGNORECASE,
)
_ELLIPSIS = re.compile(
    rf"(?:\s*,\s*(?:and\s+|but\s+)?|\s+(?:and|but)\s+)(?:also\s+)?(?=(?:{_VERBS_I})\s)", re.IGNORECASE
)
_PARTICLES = vocabulary("de da do dos del della di van von der den la le el al bin ibn of y e st")
_STOP = vocabulary("""
    a an the and or but if of in on at to from for with about by as is are was were be been am do does did have has
    had i me my mine myself you your yours we us our it its this that these those he she they them his her their
    what where who whom when which how why say says said tell told talk talked mention mentioned know remember
    recall any some ever again there then than so not no yes can could would should will shall may might please just
    also again let's lets i'm i've what's who's where's when's it's don't didn't anything something everything
    earlier before still once ask asked write wrote speak spoke thing things much many kind sort wrote us
    take took get got use need go going come make put give gave called
    call named name names
    """)
_DAY = re.compile(
    r"\b(?:(\d{4})-(\d\d)-(\d\d)|(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?\s+([a-z]{3,9})(?:,?\s+(\d{4}))?"
    r"|([a-z]{3,9})\s+(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+(\d{4}))?)(?![\w])",
    re.IGNORECASE,
)
LONG_CHARS = 6000
"""A message above this is a pasted document: what it says is not taken for the user's own words."""


def plain(text: str) -> str:
    """The text with straight apostrophes and quotes."""
    return text.replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"')


def sentences(text: str) -> list[str]:
    """The text cut at full stops, marks and line ends; a shortened word or an initial does not end a sentence."""
    found: list[str] = []
    open_ended = False
    for match in _SENTENCE.finditer(text):
        piece = " ".join(match[0].split())
        if not piece:
            continue
        found[-1:] = [f"{found[-1]} {piece}"] if open_ended else [*found[-1:], piece]
        open_ended = bool(_ABBREVIATED.search(found[-1][-12:])) and text[match.end() : match.end() + 1] == " "
    return found


def clauses(sentence: str) -> list[str]:
    """A sentence cut where a new statement or question begins; "and live in X" gets its subject back."""
    found: list[str] = []
    for part in _JOINT.split(sentence):
        if not re.match(r"(?:\w+,?\s+){0,3}?i(?:'m|'ve)?\s", part, re.IGNORECASE):
            found.append(part.strip())
            continue
        first, *more = _ELLIPSIS.split(part)
        found += [first.strip(), *(f"I {piece.strip()}" for piece in more)]
    return [part for part in found if part]


def tidy(value: str) -> str:
    """A value without the words and marks around it that say nothing."""
    value = " ".join(value.split()).strip(" ,.!?;:")
    while True:
        cut = re.sub(
            r"(?:,? (?:too|now|as well|these days|by the way|btw|though|actually|please|right now|at the moment|"
            r"currently|anyway|instead|and|but|so|so much|a lot|very much|the most|lol|haha))$",
            "",
            value,
            flags=re.IGNORECASE,
        ).strip(" ,.!?;:")
        if cut == value:
            return value[:160].replace(";", ",")
        value = cut


def untimed(value: str) -> str:
    """A place or employer without the time words after it ("last year", "in 2019", "two weeks ago")."""
    value = tidy(value)
    return tidy(
        re.sub(
            r",? (?:(?:last|this|next) (?:year|month|week|spring|summer|autumn|fall|winter|weekend|\w+day)|"
            r"yesterday|today|"
            r"(?:in|since) (?:\d{4}|" + "|".join(MONTHS) + r")|recently|\w+ (?:years?|months?|weeks?|days?) ago|"
            r"for (?:\w+ )?\w+ (?:years?|months?|weeks?)(?: now)?)$",
            "",
            value,
            flags=re.IGNORECASE,
        )
    )


def split_name(text: str) -> tuple[str, str]:
    """The capitalised name at the beginning of `text`, and what follows it."""
    words = text.split()
    taken = 0
    for index, word in enumerate(words[:6]):
        letters = word.strip(".,!?;:'\"")
        if letters and letters[0].isalpha() and not letters[0].islower():
            taken = index + 1
        elif letters not in _PARTICLES or index == 0:
            break
        if word[-1] in ",!?;:":
            break
    name = " ".join(words[:taken])
    rest = ("," if name.endswith(",") else "") + " " + " ".join(words[taken:])
    name = name.strip(" ,!?;:")
    if name.endswith(".") and not _ABBREVIATED.search(name):
        name = name[:-1]
    if name.endswith("'s"):
        name, rest = name[:-2], "'s" + rest
    return name, rest.strip()


def stem(word: str) -> str:
    """A word's form for comparing: lower case, without possessive and common endings."""
    word = word.casefold().replace("\u2019", "'")
    word = word.removesuffix("'s").removesuffix("'")
    for ending, least in (("ing", 6), ("ies", 5), ("ied", 5), ("ed", 5), ("es", 5), ("s", 4), ("e", 4), ("y", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def keywords(text: str) -> tuple[str, ...]:
    """The words that carry meaning, in order, once each."""
    found = [word for word in _WORD.findall(plain(text)) if word.casefold() not in _STOP]
    return tuple(dict.fromkeys(word.casefold().removesuffix("'s") for word in found))


def stems(text: str) -> frozenset[str]:
    """The stems of all words of a text."""
    return frozenset(stem(word) for word in _WORD.findall(text))


def has_words(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether every wanted word is in the text, in any form."""
    return bool(wanted) and frozenset(stem(word) for word in wanted) <= stems(text)


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the phrase stands in the text as whole words, in any case."""
    lowered, sought = text.casefold(), phrase.casefold().strip()
    at = lowered.find(sought) if sought else -1
    while at >= 0:
        end = at + len(sought)
        if not (at and lowered[at - 1].isalnum()) and not (end < len(lowered) and lowered[end].isalnum()):
            return True
        at = lowered.find(sought, at + 1)
    return False


def listed(parts: list[str]) -> str:
    """Parts as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def short(text: str, chars: int = 220) -> str:
    """The text on one line, cut at a word when it is long."""
    text = " ".join(text.split())
    return text if len(text) <= chars else text[:chars].rsplit(" ", 1)[0] + " …"


# --- days -----------------------------------------------------------------------------------------------


def month_of(word: str) -> int:
    """1 to 12 for a month or its first three letters, else 0."""
    word = word.casefold().rstrip(".")
    for number, month in enumerate(MONTHS, 1):
        if word == month or word == month[:3] or (word == "sept" and number == 9):
            return number
    return 0


def day_in(text: str, today: date | None) -> date | None:
    """The first day a text names, in numbers, as a month and day, or relative to `today`."""
    for match in _DAY.finditer(text):
        year, month, number = _numbers(match, today)
        try:
            return date(year, month, number)
        except ValueError:
            continue
    return _relative(text.casefold(), today) if today else None


def _numbers(match: re.Match[str], today: date | None) -> tuple[int, int, int]:
    if match[1]:
        return int(match[1]), int(match[2]), int(match[3])
    month, number = (match[5], match[4]) if match[5] else (match[7], match[8])
    year = match[6] or match[9]
    return int(year) if year else (today.year if today else 0), month_of(month), int(number)


def _relative(text: str, today: date) -> date | None:
    for words, days in (("day after tomorrow", 2), ("tomorrow", 1), ("today", 0), ("tonight", 0), ("yesterday", -1)):
        if has_phrase(text, words):
            return today + timedelta(days=days)
    for number, name in enumerate(WEEKDAYS):
        if has_phrase(text, name):
            ahead = (number - today.weekday()) % 7 or 7
            return today + timedelta(days=ahead - 7 if has_phrase(text, f"last {name}") else ahead)
    return None


def parse_day(text: str) -> date | None:
    """A day written YYYY-MM-DD at the beginning of a text."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def span_in(text: str, today: date) -> tuple[date, date] | None:
    """The days a question is about: a day, a week, a month or a year up to `today`; None when it names none."""
    lowered = text.casefold()
    monday = today - timedelta(days=today.weekday())
    for words, start, end in (
        ("last week", monday - timedelta(days=7), monday - timedelta(days=1)),
        ("this week", monday, today),
        ("last month", _month_before(today), today.replace(day=1) - timedelta(days=1)),
        ("this month", today.replace(day=1), today),
    ):
        if has_phrase(lowered, words):
            return start, end
    day = day_in(text, today)
    if day is not None:
        return (day, day) if day <= today else (_year_back(day, text), _year_back(day, text))
    return _month_span(lowered, today)


def _month_before(today: date) -> date:
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def _year_back(day: date, text: str) -> date:
    if re.search(r"\d{4}", text):
        return day
    if any(has_phrase(text, name) for name in WEEKDAYS):
        return day - timedelta(days=7)
    return day.replace(year=day.year - 1, day=min(day.day, 28) if day.month == 2 else day.day)


def _month_span(lowered: str, today: date) -> tuple[date, date] | None:
    match = re.search(rf"\b(?:in|during|of|since)\s+({'|'.join(MONTHS)})\b(?:\s+(\d{{4}}))?", lowered)
    if not match:
        return None
    month = month_of(match[1])
    year = int(match[2]) if match[2] else today.year - (month > today.month)
    after = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, 1), after - timedelta(days=1)
