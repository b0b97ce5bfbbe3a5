"""From bytes to text: which encoding, and whether it is text at all. Pure.

Order: a byte order mark, what the format itself declares, UTF-8, and then Windows-1252, which reads anything and is
said so in a note, because a wrong guess shows as wrong letters.
"""

import codecs

from memgpt_core.documents.parts import cleaned
from memgpt_core.errors import NotReadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
_STRAY = 4
_BINARY_SHARE = 0.01
"""Text has no control characters to speak of; in random bytes they are a tenth."""


def decoded(data: bytes, declared: str = "") -> tuple[str, tuple[str, ...]]:
    """The text of `data`, cleaned, and notes on what had to be guessed.

    Raises:
        NotReadable: it is not text.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return cleaned(data.decode(name, errors="replace")), ()
    if len(data) - len(data.translate(None, _CONTROLS)) > max(_STRAY, _BINARY_SHARE * len(data)):
        raise NotReadable("it holds binary data and no text. Add it under its right name, or save it as text first.")
    for name in dict.fromkeys((declared, "utf-8")):
        try:
            return cleaned(data.decode(name)), ()
        except (LookupError, UnicodeError):
            continue
    note = "It is not in UTF-8 and was read as Windows-1252 (Western European): letters of other scripts may be wrong."
    return cleaned(data.decode("cp1252", errors="replace")), (note,)
