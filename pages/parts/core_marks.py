"""How the core memory page marks texts: what comes underlined, what goes struck, never by colour alone.

Every text is made visible before it is escaped: control and direction characters, which would hide or turn round
what stands beside them, are shown as their pictures or code points.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from memgpt_core.views.blocks import AUTHORS, Meter
from memgpt_core.views.worddiff import Piece
from pages.parts.markup import escape

STYLE = """<style>
.cm-diff ins{text-decoration:underline 2px;text-underline-offset:2px;
 background:light-dark(#d8f0dc,#1e4429);padding:0 .1em;border-radius:2px}
.cm-diff del{text-decoration:line-through 2px;
 background:light-dark(#f7dcd9,#512723);padding:0 .1em;border-radius:2px}
.cm-diff,.cm-box{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--hue,var(--edge));
 background:var(--wash);padding:.35rem .55rem;border-radius:0 4px 4px 0;overflow:auto;max-height:22rem}
.cm-skip{display:block;font-size:.76rem;color:var(--soft);font-style:italic}
.cm-line{white-space:pre-wrap;overflow-wrap:anywhere}
.cm-by{padding-left:1.9rem;font-size:.8rem}
[class*="st-key-core-line-"]{border-top:1px solid color-mix(in srgb,currentColor 17%,transparent);padding-top:.25rem}
.stVerticalBlock:has(>div>[class*="st-key-core-line-"]){gap:.35rem}
.cm-three .cm-box,.cm-three .cm-diff{max-height:12rem}
.cm-no{display:inline-block;min-width:1.9rem;color:var(--soft);font-variant-numeric:tabular-nums}
.cm-ctl{border:1px solid var(--edge);border-radius:3px;font-size:.7rem;padding:0 .15rem}
.cm-row{border-top:1px solid var(--edge);padding-top:.3rem}
.st-key-core_memory .stButton button,.st-key-core_memory .stPopover button{min-height:1.9rem}
</style>"""

_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

CONTEXT_LINES = 2
"""How many unchanged lines stand around a change when the rest of a long text is left out."""


def shown(text: str) -> str:
    """Text as HTML, with every character that would not be seen made visible."""
    return _HIDDEN.sub(_picture, escape(text))


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    seen = chr(0x2400 + code) if code < 0x20 else f"U+{code:04X}"
    return f'<span class="cm-ctl" title="control character U+{code:04X}">{seen}</span>'


def box(text: str) -> str:
    """A block's text as written."""
    return f'<div class="cm-box ms-working_context">{shown(text) or "<i>empty</i>"}</div>'


def diff(pieces: Iterable[Piece], *, folded: bool = False) -> str:
    """Word by word: what comes is underlined, what goes is struck. `folded` leaves out unchanged lines far away."""
    inner = []
    pieces = list(pieces)
    for at, piece in enumerate(pieces):
        if piece.kind == "same":
            inner.append(_same(piece.text, first=at == 0, last=at == len(pieces) - 1) if folded else shown(piece.text))
        else:
            tag, says = ("ins", "added") if piece.kind == "in" else ("del", "removed")
            inner.append(f'<{tag} title="{says}">{_with_breaks(piece.text)}</{tag}>')
    return f'<div class="cm-diff ms-working_context">{"".join(inner) or "<i>empty</i>"}</div>'


def _with_breaks(text: str) -> str:
    # A line break alone would be a change that nobody sees.
    return shown(text).replace("\n", "↵\n") if not text.strip(" ") or not text.strip() else shown(text)


def _same(text: str, *, first: bool, last: bool) -> str:
    lines = text.split("\n")
    head = [] if first else lines[:CONTEXT_LINES]
    tail = [] if last else lines[-CONTEXT_LINES:]
    left_out = len(lines) - len(head) - len(tail)
    if left_out < CONTEXT_LINES:
        return shown(text)
    skipped = f'<span class="cm-skip">{left_out} unchanged lines</span>'
    return shown("\n".join(head)) + skipped + shown("\n".join(tail))


def when(at: datetime, zone: ZoneInfo) -> str:
    """A time in the viewer's zone, with UTC under the pointer."""
    local, universal = at.astimezone(zone), at.astimezone(UTC)
    return f'<time class="num" title="{universal:%Y-%m-%d %H:%M:%S} UTC">{local:%d %b %Y %H:%M}</time>'


def place(session: int, turn: int, step: int) -> str:
    """Where in the agent's life an event is."""
    return f"session {session}, turn {turn}, step {step}" if turn else "before the first turn"


def by(author: str) -> str:
    """Who did it, in words."""
    return escape(AUTHORS.get(author, author))


def meters(block: Meter, window_tokens: int) -> str:
    """A block's two budgets: characters of its limit, tokens of the window."""
    share = 100 * block.window_share
    return (
        f'<div class="ms-meter" role="img" aria-label="{block.chars} of {block.limit_chars} characters">'
        f'<i class="ms-fill ms-working_context" style="width:{100 * block.full:.1f}%"></i></div>'
        f'<div class="soft num">{block.chars:,} of {block.limit_chars:,} characters</div>'
        f'<div class="ms-meter" role="img" aria-label="{block.tokens} of {window_tokens} tokens of the window">'
        f'<i class="ms-fill ms-working_context" style="width:{min(100, share):.1f}%"></i></div>'
        f'<div class="soft num">{block.tokens:,} tokens, {share:.1f} % of the window</div>'
    )
