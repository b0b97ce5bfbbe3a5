"""Source code by its structure: Python by its syntax tree, other languages by the lines that open a definition.

The code is parsed, never run. What is not understood stays one stretch of code, which is split at its blank lines.
Pure.
"""

import ast
import re
import warnings
from collections.abc import Iterator

from memgpt_core.documents.parts import Block, Extracted, assemble

PARSED_CHARS_MOST = 4 * 2**20

_OPENS = re.compile(
    r"^(?:(?:export|default|public|private|protected|internal|static|async|abstract|final|pub(?:\([a-z]+\))?|unsafe|"
    r"inline|virtual|partial|sealed|data|open|override|extern|const)\s+)*"
    r"(?:function\*?|class|struct|enum|interface|trait|impl(?:<[^>\n]*>)?|fn|func|def|module|namespace|object|record|"
    r"type|protocol|extension|sub|procedure|CREATE\s+(?:OR\s+REPLACE\s+)?(?:TABLE|VIEW|FUNCTION|PROCEDURE|TRIGGER))"
    r"\s+(?:\([^)\n]*\)\s*)?(?P<name>[A-Za-z_][\w.:]*)",
    re.MULTILINE,
)
_C_FUNCTION = re.compile(r"^[A-Za-z_][\w \t*&<>:,]*?\b(?P<name>\w+)\([^;{}\n]*\)\s*\{", re.MULTILINE)
_MEMBERS_LEAST_LINES = 60
"""A class shorter than this is one section."""


def read_python(text: str) -> Extracted:
    """A Python source by its classes and functions."""
    blocks = _python_blocks(text)
    return Extracted(text, assemble(text, blocks, between="code"), "", "text/x-python", ())


def read_code(text: str) -> Extracted:
    """Any other source by the lines at its left edge that open a definition."""
    found = sorted({opened.start(): opened for way in (_C_FUNCTION, _OPENS) for opened in way.finditer(text)}.items())
    blocks = [Block(start, start, "heading", 1, opened["name"]) for start, opened in found]
    return Extracted(text, assemble(text, blocks, between="code"), "", "text/x-source", ())


def _python_blocks(text: str) -> list[Block]:
    if len(text) > PARSED_CHARS_MOST:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    starts = [0]
    while (at := text.find("\n", starts[-1])) >= 0:
        starts.append(at + 1)
    return [
        Block(starts[line], starts[line], "heading", level, title)
        for line, level, title in _definitions(tree.body, text.split("\n"), 1)
    ]


def _definitions(body: list[ast.stmt], lines: list[str], level: int) -> Iterator[tuple[int, int, str]]:
    """(line from 0, level, name) where sections open; what follows a definition closes it, under no name."""
    inside = False
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield _first_line(node, lines), level, node.name
            inside = True
            if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno > _MEMBERS_LEAST_LINES:
                yield from _definitions(node.body, lines, level + 1)
        elif inside:
            yield node.lineno - 1, level, ""
            inside = False


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, lines: list[str]) -> int:
    """The line of its first decorator, or of the comment right above it."""
    line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line
