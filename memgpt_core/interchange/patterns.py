"""What gives a person away in a text: e-mail addresses, phone numbers, URLs, IBANs, card numbers, IP addresses.

Each pattern finds spans of a text and would rather take too much than too little: a redacted date costs a reader
little, a phone number that stayed costs its owner much. Every expression runs in time linear in the text. Does not know
where a text stands.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

Span = tuple[int, int]
Find = Callable[[str], Iterable[Span]]

CARD_DIGITS = range(13, 20)
LONG_RUN_DIGITS = 40
"""Some stretch of a run this long passes the check by chance; it is not looked for."""

PHONE_DIGITS = 7


class Pattern(NamedTuple):
    """A named way to find spans; the name is what stands in their place."""

    name: str
    find: Find


# The look-behinds and the possessive quantifiers keep each run of characters to one attempt.
_EMAIL = re.compile(r"(?<![\w.+%'-])[\w.+%'-]++@[\w-]++(?:\.[\w-]++)+")
_URL = re.compile(r"(?<!\w)(?:[a-z][a-z0-9+.-]{1,20}://|www\.)[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]]", re.IGNORECASE)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IBAN_ANY_CASE = re.compile(r"(?<!\w)[a-z]{2}\d{2}[a-z0-9]{11,30}(?!\w)", re.IGNORECASE)
_DIGIT_RUN = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,}+")
_PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ ./\u00a0-]?)?(?:\(\d{1,5}\)[ ./\u00a0-]?)?\d{1,8}(?:[ ./\u00a0-]{1,2}\d{2,8}){1,6}(?!\w)"
)
_PHONE_PLAIN = re.compile(r"(?<![\w.,])(?:\+\d{7,15}|0\d{6,14}|\d{9,15})(?![\w])")
_DATES = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d(?!\d)|\b(?:19|20)\d\d ?- ?(?:19|20)\d\d\b"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?![\w:])")


def own(name: str, expression: re.Pattern[str]) -> Pattern:
    """A pattern of a person's own."""
    return Pattern(name, _spans(expression))


def texts(name: str, known: Iterable[str]) -> Pattern:
    """A pattern that finds these texts wherever they stand as whole words."""
    wanted = [(one, re.compile(rf"(?<!\w){re.escape(one)}(?!\w)")) for one in sorted(set(known), key=len, reverse=True)]

    def find(text: str) -> list[Span]:
        # Most texts hold none of them, and to look costs a tenth of what an expression does.
        return [match.span() for one, words in wanted if one in text for match in words.finditer(text)]

    return Pattern(name, find)


def _spans(expression: re.Pattern[str], takes: Callable[[str], bool] = lambda _found: True) -> Find:
    return lambda text: [match.span() for match in expression.finditer(text) if match[0] and takes(match[0])]


def _is_card(found: str) -> bool:
    """Whether a stretch of the digits passes Luhn's check; a run that also holds a date or a code is taken whole."""
    digits = [int(character) for character in found if character.isdigit()]
    return len(digits) > LONG_RUN_DIGITS or any(
        _luhn(digits[start : start + length]) for length in CARD_DIGITS for start in range(len(digits) - length + 1)
    )


def _luhn(digits: Sequence[int]) -> bool:
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(found: str) -> bool:
    """The check of ISO 13616: the number with its head behind, letters as numbers, is 1 modulo 97."""
    return int("".join(str(int(character, 36)) for character in found[4:] + found[:4])) % 97 == 1


def _is_phone(found: str) -> bool:
    return sum(character.isdigit() for character in _DATES.sub("", found)) >= PHONE_DIGITS


def _is_ip(found: str) -> bool:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    # Two colons alone are an address, too, and stand in half of all source texts.
    return found != "::"


def _either(*finds: Find) -> Find:
    return lambda text: [span for find in finds for span in find(text)]


NAMED: dict[str, Pattern] = {
    pattern.name: pattern
    for pattern in (
        Pattern("email", _spans(_EMAIL)),
        Pattern("url", _spans(_URL)),
        Pattern("iban", _either(_spans(_IBAN), _spans(_IBAN_ANY_CASE, _is_iban))),
        Pattern("card", _spans(_DIGIT_RUN, _is_card)),
        Pattern("ip", _either(_spans(_IPV4, _is_ip), _spans(_IPV6, _is_ip))),
        Pattern("phone", _either(_spans(_PHONE, _is_phone), _spans(_PHONE_PLAIN))),
    )
}
"""The patterns that come with Memscope, by name."""


def cover(patterns: Sequence[Pattern], text: str) -> list[tuple[Span, str]]:
    """What the patterns find in a text, in order: spans that overlap are one, under the first pattern's name."""
    found = sorted((span, order) for order, pattern in enumerate(patterns) for span in pattern.find(text))
    covered: list[tuple[Span, int]] = []
    for (start, end), order in found:
        if covered and start < covered[-1][0][1]:
            (first, last), name = covered[-1]
            covered[-1] = ((first, max(last, end)), min(name, order))
        else:
            covered.append(((start, end), order))
    return [(span, patterns[order].name) for span, order in covered]
