"""How the compare page draws: two columns of HTML, what is only in one side marked, what is recorded and what is new.

Every text is made visible before it is escaped (`core_marks.shown`), and no mark is a colour alone.
"""

from collections.abc import Iterable

from memgpt_core.views.compare import Metric, delta_text, number_text, sides
from memgpt_core.views.worddiff import Piece
from pages.parts.core_marks import shown
from pages.parts.markup import escape

STYLE = """<style>
.cp-two{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:.35rem .9rem;margin:.15rem 0}
.cp-what{grid-column:1/-1;font-size:.74rem;color:var(--soft);text-transform:uppercase;letter-spacing:.04em;
 margin-top:.25rem}
.cp-box{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--hue,var(--edge));
 background:var(--wash);padding:.3rem .55rem;border-radius:0 4px 4px 0;overflow:auto;max-height:15rem;min-width:0}
.cp-box.none{color:var(--soft);font-style:italic;background:none}
.cp-box ins,.cp-box del{text-decoration:none;border-radius:2px;padding:0 .1em}
.cp-box ins{border-bottom:2px solid;background:light-dark(#d8f0dc,#1e4429)}
.cp-box del{border-bottom:2px dotted;background:light-dark(#f7dcd9,#512723)}
.cp-call{border-top:1px solid var(--edge);padding:.1rem 0}
.cp-call:first-child{border-top:0}
.cp-num{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.84rem}
.cp-num th{font-weight:400;text-align:right;color:var(--soft);padding:.1rem .7rem}
.cp-num td{text-align:right;padding:.12rem .7rem;border-top:1px solid var(--edge)}
.cp-num th:first-child,.cp-num td:first-child{text-align:left;padding-left:0}
.cp-num th:last-child,.cp-num td:last-child{text-align:left}
.cp-num .cp-more{font-weight:600}
.cp-row{display:flex;flex-wrap:wrap;gap:.15rem 1rem;font-size:.8rem;font-variant-numeric:tabular-nums}
.cp-made{display:inline-block;border-radius:9px;padding:0 .5rem;font-size:.74rem;border:1px solid var(--edge)}
.cp-made.new{border-style:dashed;border-color:currentColor}
</style>"""
"""Given to the page once."""

RECORDED = '<span class="cp-made" title="Read from the log">● recorded</span>'
ANEW = '<span class="cp-made new" title="Not in any log; forgotten when Memscope is closed">◌ generated anew</span>'


def two(what: str, left: str, right: str) -> str:
    """A row of two cells under a small heading; both are HTML."""
    head = f'<div class="cp-what">{escape(what)}</div>' if what else ""
    return f"{head}{left}{right}"


def grid(*rows: str) -> str:
    """Rows of two cells, as one block."""
    return f'<div class="cp-two">{"".join(rows)}</div>'


def texts(
    left: str | None, right: str | None, tier: str = "", heads: tuple[str, str] = ("", ""), none: str = "not there"
) -> tuple[str, str]:
    """Two texts as cells, word by word: what is only in one of them is marked there. None: it is not there.

    `heads` are HTML that stands before each.
    """
    if left is None or right is None:
        one, other = (
            None if text is None else head + shown(text) for text, head in zip((left, right), heads, strict=True)
        )
        return box(one, tier, none), box(other, tier, none)
    some, others = sides(left, right)
    return box(heads[0] + _marked(some), tier), box(heads[1] + _marked(others), tier)


def box(inner: str | None, tier: str = "", none: str = "not there") -> str:
    """A cell; `inner` is HTML, None for nothing at all."""
    if inner is None:
        return f'<div class="cp-box none">{escape(none)}</div>'
    return f'<div class="cp-box ms-{tier}">{inner or "<i>empty</i>"}</div>'


def _marked(pieces: Iterable[Piece]) -> str:
    tags = {"in": "ins", "out": "del"}
    return "".join(
        f'<{tags[piece.kind]} title="only on this side">{shown(piece.text)}</{tags[piece.kind]}>'
        if piece.kind in tags
        else shown(piece.text)
        for piece in pieces
    )


def numbers(metrics: Iterable[Metric], left: dict[str, float | None], right: dict[str, float | None]) -> str:
    """Numbers of both sides in one line each, those that differ with how much."""
    said = []
    for metric in metrics:
        one, other = left.get(metric.key), right.get(metric.key)
        more = delta_text(metric, one, other)
        value = number_text(metric, one) if not more else f"{number_text(metric, one)} → {number_text(metric, other)}"
        tag = f" <b>({escape(more)})</b>" if more else ""
        said.append(f'<span title="{escape(metric.says)}">{escape(metric.label)} {escape(value)}{tag}</span>')
    return f'<div class="cp-row">{"".join(said)}</div>'
