"""HTML through selectolax: what a browser would show, in reading order, with its headings, code and tables.

Scripts, styles and what is hidden are dropped; nothing is run and nothing fetched. Also reads the pages of an EPUB
and the bodies of mails.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from memgpt_core.documents.parts import Draft
from memgpt_core.errors import NotReadable

DEPTH_MOST = 5000
"""Parsing costs the square of how deep elements stand in each other; no page a person wrote comes near."""

_DROPPED = {"script", "style", "noscript", "template", "svg", "math", "head", "iframe", "object", "select", "-comment"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "center", "details", "dialog", "div", "dl", "fieldset"),
    *("figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "legend", "main", "menu", "nav", "ol", "p"),
    *("section", "summary", "table", "ul"),
}
_BY_LINE = {"br", "li", "dt", "dd", "tr", "option"}
_NESTING = re.compile(
    r"<(/?)(?:div|span|table|section|article|ul|ol|dl|blockquote|font|b|i|u|em|strong|a|center|form)\b", re.I
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_DECLARED = re.compile(rb"""<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*["']?([\w.:-]+)""", re.I)


def declared_encoding(data: bytes) -> str:
    """The encoding that a page names at its top; empty when it names none."""
    found = _DECLARED.search(data[:4096])
    return found[1].decode("ascii", "ignore") if found else ""


def add_html(draft: Draft, source: str) -> str:
    """Add what a page shows to `draft`; gives the page's title, or empty."""
    _check_depth(source)
    page = LexborHTMLParser(source)
    title = page.css_first("head > title")
    if page.body is not None:
        _Reading(draft).read(page.body)
    return title.text() if title is not None else ""


def _check_depth(source: str) -> None:
    depth = 0
    for tag in _NESTING.finditer(source):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > DEPTH_MOST:
            raise NotReadable(
                f"its elements are nested more than {DEPTH_MOST:,} deep, which no reader can follow. "
                "Save the page as text and add that."
            )


class _Reading:
    """One walk through a page: running text is gathered until a block of another kind comes."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._said: list[str] = []

    def read(self, body: LexborNode) -> None:
        """Walk without recursion: how deep a page is nested must not matter."""
        walk: list[tuple[LexborNode, Iterator[LexborNode]]] = [(body, body.iter(include_text=True))]
        while walk:
            node, children = walk[-1]
            child = next(children, None)
            if child is None:
                walk.pop()
                self._mark(node.tag or "", closing=True)
            elif self._enter(child):
                walk.append((child, child.iter(include_text=True)))
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Take a node in; whether its children are to be walked too."""
        tag = node.tag or ""
        if tag == "-text":
            self._said.append(re.sub(r"\s+", " ", node.text()))
            return False
        if tag in _DROPPED or _hidden(node):
            return False
        if tag in _HEADINGS:
            self._flush()
            self._draft.heading(int(tag[1]), node.text())
            return False
        if tag in ("pre", "textarea"):
            self._flush()
            self._draft.add(node.text(), "code")
            return False
        if tag == "table" and (rows := _rows(node)):
            self._flush()
            self._draft.table(rows)
            return False
        self._mark(tag, closing=False)
        if tag == "img" and (told := (node.attributes.get("alt") or "").strip()):
            self._said.append(f"[{told}]")
        return True

    def _mark(self, tag: str, *, closing: bool) -> None:
        if tag in _BY_LINE:
            if not closing:
                self._said.append("\n- " if tag == "li" else "\n")
        elif tag in ("td", "th"):
            self._said.append(" ")
        elif tag in _BLOCKS:
            self._said.append("\n\n")

    def _flush(self) -> None:
        text = re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"  +", " ", "".join(self._said)))
        self._draft.add(re.sub(r"\n{3,}", "\n\n", text))
        self._said.clear()


def _hidden(node: LexborNode) -> bool:
    told = node.attributes
    return "hidden" in told or bool(_HIDDEN.search(told.get("style") or ""))


def _rows(table: LexborNode) -> list[list[str]]:
    """The rows of a table of data; none for one that only lays out a page."""
    if any(inner.mem_id != table.mem_id for inner in table.css("table")[:2]):
        return []
    rows = [[cell.text(separator=" ") for cell in row.iter() if cell.tag in ("td", "th")] for row in table.css("tr")]
    return rows if len(rows) > 1 and max(map(len, rows)) > 1 else []
