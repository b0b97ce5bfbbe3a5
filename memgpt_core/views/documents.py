"""Documents for eyes: what kind one is, where a passage stands in it, and what became of the files of a run, in words.

Pure; makes no HTML and knows no file. Names and headings come from documents, so whoever draws them makes visible
what cannot be seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memgpt_core.views.lanes import counted

KINDS: dict[str, str] = {
    "text/plain": "Text",
    "text/markdown": "Markdown",
    "text/html": "HTML",
    "text/csv": "Table",
    "text/x-python": "Python",
    "text/x-source": "Source code",
    "application/pdf": "PDF",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
    "application/epub+zip": "EPUB",
    "application/json": "JSON",
    "application/jsonl": "JSON lines",
    "application/vnd.sqlite3": "SQLite",
    "application/mbox": "Mailbox",
    "message/rfc822": "Mail",
}
"""A document's kind by its media type."""

OUTCOMES: dict[str, str] = {
    "refused": "refused",
    "updated": "updated",
    "added": "added",
    "removed": "removed, since its file is gone",
    "unchanged": "unchanged",
}
"""What can become of a file, in the order in which a person wants to hear it."""

NAMES_MOST = 40
"""How many characters of a heading are shown in a trail."""


def kind_text(media: str) -> str:
    """What people call a document of this media type."""
    return KINDS.get(media, media)


def trail(title_path: Sequence[str]) -> str:
    """The headings something stands under, from the outside in, as one line."""
    return " › ".join(one if len(one) <= NAMES_MOST else one[: NAMES_MOST - 1] + "…" for one in title_path)


def untitled(text: str) -> str:
    """A document's passage without its first line, which says again what document and headings it stands under."""
    return text.partition("\n")[2] or text


LOST: dict[str, str] = {
    "raw": "the file as it was added (it cannot be downloaded, nor go along in an export)",
    "text": "its text (neither you nor the agent can open it)",
    "manifest": "the list of its passages (it has no outline, and making the stores anew would lose its passages)",
}
"""What each missing file of a document means for a person."""


def lost_text(name: str, kinds: Sequence[str], *, left_out: bool) -> str:
    """What is missing of a document in cold storage, and what to do; empty when nothing is.

    `left_out`: its files never came along with its log.
    """
    if left_out:
        return (
            "Its files did not come along: this agent came in a bundle that was redacted, and those leave documents "
            "out. Add the file again to have them here."
        )
    if not kinds:
        return ""
    what = ", and ".join(LOST[kind] for kind in kinds)
    folder, _, file = name.partition("/")
    again = f"the folder {folder} or the file from its place in it" if file else f"the file {name}"
    return (
        f"Missing from cold storage: {what}. Something other than Memscope deleted it. Searches find its passages "
        f"still. To repair it, add {again} again."
    )


def tokens_text(tokens: int, limit: int) -> str:
    """How large a text is, and how often it would fill a prompt of `limit` tokens, when it does not fit into one."""
    times = f", {tokens / limit:,.1f} times what a prompt of this agent may hold" if tokens > limit else ""
    return f"{tokens:,} tokens{times}"


def place_text(number: int, of: int, page: int | None) -> str:
    """Where a passage stands in its document."""
    return f"passage {number:,} of {of:,}" + (f", page {page:,}" if page is not None else "")


def pages_text(pages: Iterable[int]) -> str:
    """Some pages by their numbers, those that follow each other as one run; empty for none."""
    runs = _runs(pages)
    one = len(runs) == 1 and "to" not in runs[0]
    return f"page{'' if one else 's'} {', '.join(runs)}" if runs else ""


def passages_text(first: int, passages: int) -> str:
    """The numbers of some passages that follow each other."""
    return runs_text(range(first, first + passages))


def runs_text(numbers: Iterable[int]) -> str:
    """Some passages by their numbers, those that follow each other as one run."""
    runs = _runs(numbers)
    one = len(runs) == 1 and "to" not in runs[0]
    return f"passage{'' if one else 's'} {', '.join(runs)}"


def _runs(numbers: Iterable[int]) -> list[str]:
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{first:,}" if first == last else f"{first:,} to {last:,}" for first, last in runs]


def call_text(name: str, arguments: Mapping[str, Any] | str) -> str:
    """How a function call of the agent came to read a document."""
    given = arguments if isinstance(arguments, Mapping) else {}
    if name == "document_open":
        page = given.get("page", 1)
        return f"Opened page {page:,}" if isinstance(page, int) else f"Opened page {page}"
    if "query" in given:
        return f"Searched “{given['query']}”" + (f", page {given['page']}" if given.get("page", 1) != 1 else "")
    return f"Called {name}" if name else "Brought back"


def line_text(what: str, passages: int, added: int, ended: int) -> str:
    """What became of one file, without the reason."""
    if what == "updated":
        return f"updated: {added:,} new and {ended:,} gone of {counted(passages, 'passage')}"
    said = OUTCOMES.get(what, what)
    return f"{said}, {counted(passages, 'passage')}" if passages else said


def why_text(name: str, why: str) -> str:
    """A reason beside the name of its file, which it need not say again."""
    said = why.removeprefix(f"{name} was not read: ")
    return said[:1].upper() + said[1:]


def outcome_text(counts: Mapping[str, int], added: int, ended: int) -> str:
    """What became of a run: files of each sort, and how many passages began and ended with it."""
    files = [f"{counts[what]:,} {said}" for what, said in OUTCOMES.items() if counts.get(what)]
    if not files:
        return "There was no file to add."
    gone = f", {ended:,} gone" if ended else ""
    passages = f"; {counted(added, 'passage')} new{gone}" if added or ended else "; no passage changed"
    return f"Of {counted(sum(counts.values()), 'file')}: {', '.join(files)}{passages}."
