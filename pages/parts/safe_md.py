"""Text of models and people as Markdown that can neither load nor run anything.

Streamlit's Markdown fetches remote images (a way to carry secrets out), reads `$…$` as LaTeX and `:red[…]`
as colour. The image mark is broken everywhere, code or not, because where code begins and ends is for the
renderer to say; the other marks only look wrong, so they are left alone inside what looks like code.
"""

import re

BREAK = "\u2060"
"""A word joiner: takes no room, and two marks around it no longer are one."""

_CODE = re.compile(
    r"^ {0,3}(?P<fence>```+|~~~+)[^\n]*\n.*?(?:^ {0,3}(?P=fence)|\Z)|(?P<ticks>`+)[^\n]+?(?P=ticks)", re.S | re.M
)
_DIRECTIVE = re.compile(r":(?=[A-Za-z][\w-]*[\[{])")
_SHORTCODE = re.compile(r":(?=[\w+/-]*[A-Za-z][\w+/-]*:)")


def safe_md(text: str) -> str:
    """`text` as Markdown with lists, emphasis, links and code; no image, HTML, LaTeX, colour or icon."""
    text = text.replace("![", f"!{BREAK}[")
    done, at = [], 0
    for match in _CODE.finditer(text):
        done += [_prose(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*done, _prose(text[at:])])


def _prose(text: str) -> str:
    text = text.replace("$", "\\$")
    text = _DIRECTIVE.sub(r"\\:", text)
    # Shortcodes are looked for after escapes are read, so an escape would not stop them.
    return _SHORTCODE.sub(f":{BREAK}", text)
