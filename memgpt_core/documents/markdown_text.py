"""Markdown through markdown-it: the text stays as it is written, its blocks say where headings, code and tables are.

Only blocks are parsed. What is inside a line (emphasis, links) is kept as written: a model reads it, and a passage
can be shown as Markdown.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from memgpt_core.documents.parts import Block, Extracted, assemble, titled

_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"""^title:[ \t]*["']?(.+?)["']?[ \t]*$""", re.MULTILINE)
_MARKS = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)|[*`]+|(?<!\w)_+|_+(?!\w)|<[^<>\n]*>")

_parser = MarkdownIt("commonmark").enable("table").disable("inline")


def read_markdown(text: str) -> Extracted:
    """A document in Markdown, from its cleaned text; titled by its front matter or its only first-level heading."""
    front = _FRONT_MATTER.match(text)
    begin = front.end() if front else 0
    starts = _line_starts(text, begin)
    tokens = _parser.parse(text[begin:])
    blocks = [Block(0, begin, "code")] if front else []
    for at, token in enumerate(tokens):
        # Only blocks of the outermost level: what a quotation or a list holds belongs to that.
        if token.level == 0 and token.map is not None and (block := _block(token, tokens[at + 1 : at + 2])):
            first, last = token.map
            blocks.append(block._replace(start=starts[first], end=starts[min(last, len(starts) - 1)]))
    given = _FRONT_TITLE.search(front[1]) if front else None
    first_level = [block.title for block in blocks if block.level == 1]
    title = given[1] if given else first_level[0] if len(first_level) == 1 else ""
    return Extracted(text, assemble(text, blocks), titled(title), "text/markdown", ())


def _line_starts(text: str, begin: int) -> list[int]:
    starts = [begin]
    while (at := text.find("\n", starts[-1])) >= 0:
        starts.append(at + 1)
    return [*starts, len(text)]


def _block(token: Token, after: list[Token]) -> Block | None:
    if token.type == "heading_open":
        title = _MARKS.sub(lambda found: found[1] or "", after[0].content) if after else ""
        return Block(0, 0, "heading", int(token.tag[1]), title)
    if token.type in ("fence", "code_block"):
        return Block(0, 0, "code")
    return Block(0, 0, "table") if token.type == "table_open" else None
