"""What a text is found by and what a query asks for: words cut and stemmed, quoted phrases, days.

Pure; knows no store and no scores. One rule for texts and queries: lower case, letters and digits, English
endings taken off words of plain letters; codes, numbers and words of other scripts stay as they are. A day is
a term of its own, with signs no word has, so that "in May" finds what was said in May and not the word.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from memgpt_core.ranking import CJK, cut, folded

_SAY_NOTHING = """
a an and are as at be been but by did do does don for from had has have he her him his how i if in into is it its just
ll m me my no not of on or our re s she so t than that the their them then there they this to us ve was we were what
when where which who whom whose why will with would you your
"""

STOP = frozenset(_SAY_NOTHING.split())
"""English words that say nothing of what is looked for."""

TERMS_MOST = 24
"""A longer query keeps its longest words."""

PHRASES_MOST = 4
QUERY_CHARS = 4000
"""More of a query is not read: nobody asks so much, and a pasted file is not a question."""

PIECE_CHARS = 900
"""What an embedder that reads 256 tokens sees of English; a sign beyond ASCII counts as three."""

PIECE_OVERLAP_CHARS = 90

_RUN = re.compile(rf"[\w{CJK}]+")
_PLAIN = re.compile(r"[a-z]+")
_OTHER = re.compile(f"[{CJK}]")
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]+)[\"”“»]")
_ENDINGS = ("ing", "ed", "es", "s")

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH = "|".join((*MONTHS, *(name[:3] for name in MONTHS if name != "may"), "sept"))
_WEEKDAY = "|".join(WEEKDAYS)
_NUMBERS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_ISO = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?\b")
_NAMED = re.compile(
    rf"\b(?:(?P<before>in|since|during|until|of|by|early|late|mid|last|this|next|on) )?"
    rf"(?:the )?(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?)?(?P<month>{_MONTH})\b\.?"
    rf"(?: (?P<behind>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]))?(?:,? (?P<year>(?:19|20)\d\d))?"
)
_YEAR = re.compile(r"\b(?:in|since|during|of|from|before|after|until) ((?:19|20)\d\d)\b")
_AGO = re.compile(rf"\b(\d{{1,3}}|{'|'.join(_NUMBERS)}) (day|week|month|year)s? ago\b")
_LAST = re.compile(rf"\b(last|this|past|previous|on) (week|month|year|{_WEEKDAY})\b")
_NEAR = re.compile(r"\b(today|tonight|yesterday)\b")


class Phrase(NamedTuple):
    """A quoted part of a query: its terms, and how it reads in folded runs."""

    terms: tuple[str, ...]
    said: str

    def stands_in(self, text: str) -> bool:
        """Whether a text has these words side by side, as they are written."""
        read = " ".join(runs(folded(text)))
        return self.said in read if _OTHER.search(self.said) else f" {self.said} " in f" {read} "


class Asked(NamedTuple):
    """What a query asks for.

    Attributes:
        terms: different words, in the query's order; stop words only when there is nothing else.
        phrases: each quoted part.
        days: each mention of a time, as the day terms that would do.
    """

    terms: tuple[str, ...]
    phrases: tuple[Phrase, ...]
    days: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The word without its English ending; one with other signs than a to z, and a stop word, as it is."""
    if word in STOP or not _PLAIN.fullmatch(word):
        return word
    found = word
    if len(word) > 4 and word.endswith("ies"):
        found = word[:-3] + "y"
    else:
        for ending in _ENDINGS:
            if len(word) - len(ending) >= 3 and word.endswith(ending) and not word.endswith("ss"):
                found = word[: -len(ending)]
                doubled = len(found) > 3 and found[-1] == found[-2] and found[-1] not in "lsz"
                found = found[:-1] if ending in ("ing", "ed") and doubled else found
                break
    return found[:-1] if len(found) > 3 and found.endswith("e") else found


def runs(text: str) -> list[str]:
    """The stretches of letters and digits in a text that was `folded`, CJK and other letters together."""
    found: list[str] = _RUN.findall(text.replace("_", " "))
    return found


def terms_of(run: str) -> tuple[str, ...]:
    """What a run is found by: one stemmed word, or CJK letters and pairs."""
    if run.isascii():
        return (stem(run),)
    return tuple(stem(word) for word in cut(run))


def asked(query: str, today: date) -> Asked:
    """What a query asks for, with "yesterday" and "last Tuesday" as seen from `today`."""
    query = query[:QUERY_CHARS]
    quoted = [
        Phrase(tuple(dict.fromkeys(_asked_terms(part))), " ".join(runs(folded(part))))
        for part in _QUOTED.findall(query)
    ]
    phrases = dict.fromkeys(phrase for phrase in quoted if phrase.terms)
    return Asked(tuple(query_terms(query)), tuple(phrases)[:PHRASES_MOST], _days(query.lower(), today))


def quotes(query: str) -> bool:
    """Whether a query may have a quoted phrase."""
    return _QUOTED.search(query[:QUERY_CHARS]) is not None


def query_terms(query: str) -> list[str]:
    """The different words a query looks for, stemmed, in its order; stop words only when it has nothing else."""
    found = dict.fromkeys(_asked_terms(query[:QUERY_CHARS]))
    said = [term for term in found if term not in STOP] or list(found)
    if len(said) <= TERMS_MOST:
        return said
    kept = set(sorted(said, key=lambda term: (-len(term), term))[:TERMS_MOST])
    return [term for term in said if term in kept]


def _asked_terms(query: str) -> list[str]:
    """A query's terms; CJK as pairs, which single letters would drown."""
    return [stem(term) for run in runs(folded(query)) for term in cut(run, pairs_only=True)]


# --- days -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def day_terms(day: date) -> tuple[str, ...]:
    """The terms of what was said on a day: the day, its month, its year, and the month of any year."""
    return (f"@{day:%Y-%m-%d}", f"@{day:%Y-%m}", f"@{day:%Y}", f"@{day:%m}")


def _days(query: str, today: date) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[str, ...]] = []
    for year, month, day in _ISO.findall(query):
        found.append((f"@{year}-{month}" + (f"-{day}" if day else ""),))
    found += [days for match in _NAMED.finditer(query) if (days := _named(match, today))]
    if not found:
        found += [(f"@{year}",) for year in _YEAR.findall(query)]
    for number, unit in _AGO.findall(query):
        found.append(_ago(int(_NUMBERS.get(number, 0) or number), unit, today))
    for which, unit in _LAST.findall(query):
        found.append(_last(which, unit, today))
    for near in _NEAR.findall(query):
        found.append((f"@{today - timedelta(days=near == 'yesterday')}",))
    return tuple(dict.fromkeys(days for days in found if days))


def _named(match: re.Match[str], today: date) -> tuple[str, ...]:
    before, day, year = match["before"], match["day"] or match["behind"], match["year"]
    month = next(at for at, name in enumerate(MONTHS, 1) if name.startswith(match["month"][:3]))
    if match["month"] in ("may", "march", "mar") and not (before or day or year):
        return ()
    if not year and before in ("last", "this"):
        year = str(today.year - (before == "last" and month >= today.month))
    if day and year:
        return (f"@{year}-{month:02d}-{int(day):02d}",)
    if year:
        return (f"@{year}-{month:02d}",)
    if day:
        years = range(today.year - 4, today.year + 1)
        return tuple(f"@{other}-{month:02d}-{int(day):02d}" for other in years)
    return (f"@{month:02d}",)


def _ago(number: int, unit: str, today: date) -> tuple[str, ...]:
    if unit in ("day", "week"):
        day = today - timedelta(days=number * (7 if unit == "week" else 1))
        # Nobody counts a week to the day.
        around = 3 if unit == "week" else 0
        return tuple(f"@{day + timedelta(days=off)}" for off in range(-around, around + 1))
    return (_month_before(today, number) if unit == "month" else f"@{max(1, today.year - number):04d}",)


def _last(which: str, unit: str, today: date) -> tuple[str, ...]:
    back = which != "this"
    if unit == "year":
        return (f"@{today.year - back}",)
    if unit == "month":
        return (_month_before(today, int(back)),)
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * back)
        return tuple(f"@{monday + timedelta(days=at)}" for at in range(7))
    since = (today.weekday() - WEEKDAYS.index(unit)) % 7
    return (f"@{today - timedelta(days=since or (7 if which == 'last' else 0))}",)


def _month_before(today: date, months: int) -> str:
    at = max(12, today.year * 12 + today.month - 1 - months)
    return f"@{at // 12:04d}-{at % 12 + 1:02d}"


# --- long texts -----------------------------------------------------------------------------------------------


def pieces(text: str) -> list[str]:
    """The text, or when an embedder would not read all of it, parts of it that overlap a little."""
    if _weight(text) <= PIECE_CHARS:
        return [text]
    found, at = [], 0
    while at < len(text):
        end = _end(text, at)
        found.append(text[at:end].strip())
        if end >= len(text):
            break
        overlap = text.find(" ", end - PIECE_OVERLAP_CHARS, end)
        at = overlap + 1 if overlap > at else end
    return [piece for piece in found if piece] or [text]


def _weight(text: str) -> int:
    return len(text) if text.isascii() else sum(1 if sign < "\x80" else 3 for sign in text)


def _end(text: str, at: int) -> int:
    """Where a piece that begins at `at` ends: behind a paragraph, sentence or word if one ends in its last half."""
    end = weight = 0
    for end in range(at, len(text)):
        weight += 1 if text[end] < "\x80" else 3
        if weight > PIECE_CHARS:
            break
    else:
        return len(text)
    for sign in ("\n\n", ". ", "\n", " "):
        found = text.rfind(sign, at + (end - at) // 2, end)
        if found > 0:
            return found + len(sign)
    return end


def joined(parts: Sequence[str]) -> str:
    """Parts of what a row is found by, as one text."""
    return "\n".join(part for part in parts if part)
