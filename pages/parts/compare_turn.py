"""Two turns beside each other: what was said to the agent, replies, calls, memory at the end, what failed."""

from collections.abc import Sequence
from typing import Any

from memgpt_core.views.calls import CallRow
from memgpt_core.views.compare import CallPair, Told, block_pairs, call_pairs, old_differences, only_in
from memgpt_core.views.log_rows import in_words
from memgpt_core.views.worddiff import word_diff
from pages.parts.compare_marks import box, grid, texts, two
from pages.parts.core_marks import diff, shown

_CAUSES = {"login": "Login", "timer": "Timer", "upload": "Upload", "system": "System", "review": "Session review"}
_SORTS = {
    "same": ("=", "the same call on both sides"),
    "left": ("◀", "only at the left"),
    "right": ("▶", "only at the right"),
    "changed": ("≠", "the same function, other arguments"),
}
NOTHING = Told((), (), (), {}, {}, (), (), ())


def html(left: Told | None, right: Told | None) -> str:
    """Everything about two turns that stand beside each other; None where there is no turn."""
    if left is None or right is None:
        return grid(*_alone(left, right))
    return grid(
        *_hands(left, right), two("Said to the agent", *_both(_triggers(left), _triggers(right))), came_of(left, right)
    )


def came_of(left: Told, right: Told) -> str:
    """What came of two turns: replies, calls, memory, what failed."""
    return "".join(
        (
            two("Reply", *_both(left.replies, right.replies, "messages")),
            *calls(left.calls, right.calls),
            *blocks(left, right),
            *passages(left.passages, right.passages),
            *errors(left, right),
        )
    )


def one(told: Told) -> str:
    """One turn by itself."""
    rows = [("Said to the agent", _lines(_triggers(told))), ("Reply", _lines(told.replies, "messages"))]
    if told.calls:
        rows.append(("Calls", box("".join(_call(row, "") for row in told.calls))))
    return "".join(f'<div class="cp-what">{what}</div>{inner}' for what, inner in rows)


def _alone(left: Told | None, right: Told | None) -> list[str]:
    told = left or right or NOTHING
    none = box(None, none="There is no such turn here.")

    def placed(what: str, inner: str) -> str:
        return two(what, inner, none) if left else two(what, none, inner)

    rows = [placed("Said to the agent", _lines(_triggers(told))), placed("Reply", _lines(told.replies, "messages"))]
    if told.calls:
        rows.append(placed("Calls", box("".join(_call(row, "") for row in told.calls))))
    return rows


def _triggers(told: Told) -> tuple[str, ...]:
    return tuple(f"{_CAUSES[cause]}: {text}" if cause in _CAUSES else text for cause, text in told.triggers)


def _lines(said: Sequence[str], tier: str = "") -> str:
    return box(shown("\n".join(said)), tier) if said else box(None, none="nothing")


def _both(left: Sequence[str], right: Sequence[str], tier: str = "") -> tuple[str, str]:
    if not left or not right:
        return _lines(left, tier), _lines(right, tier)
    return texts("\n".join(left), "\n".join(right), tier)


def _hands(left: Told, right: Told) -> list[str]:
    if not (left.by_hand or right.by_hand):
        return []
    some, others = ("".join(map(event, one.by_hand)) or _lines(()) for one in (left, right))
    return [two("By hand before it", f"<div>{some}</div>", f"<div>{others}</div>")]


def event(happened: Any) -> str:
    """What one event was, in words; of an edited block only what changed in it."""
    if happened.kind != "working_context_edited":
        return box(shown(in_words(happened)), "you")
    reason = f" because: {happened.reason}" if happened.reason else ""
    says = f"Block {happened.block} edited by {happened.author}{reason}"
    changed = diff(word_diff(happened.before, happened.after), folded=True)
    return f'<div class="soft">{shown(says)}</div>{changed}'


def calls(left: Sequence[CallRow], right: Sequence[CallRow]) -> list[str]:
    """The rows about function calls; those that are the same are named and not repeated."""
    pairs = call_pairs(left, right)
    if not pairs:
        return []
    cells = [_call_cells(pair) for pair in pairs]
    return [two("Calls" if not at else "", *both) for at, both in enumerate(cells)]


def _call_cells(pair: CallPair) -> tuple[str, str]:
    heads = _sign(pair.sort, pair.left), _sign(pair.sort, pair.right)
    return texts(_written(pair.left), _written(pair.right), heads=heads, none="no such call")


def _sign(sort: str, row: CallRow | None) -> str:
    if row is None:
        return ""
    sign, says = _SORTS.get(sort, ("", ""))
    failed = "" if row.outcome == "ok" else f' <span class="ms-tag bad">{row.outcome}</span>'
    mark = f'<span class="ms-tag" title="{says}">{sign}</span> ' if sign else ""
    return f"{mark}<b>{shown(row.name)}</b>{failed}\n"


def _written(row: CallRow | None) -> str | None:
    return None if row is None else "\n".join(f"{name}: {value}" for name, value in row.arguments)


def _call(row: CallRow, sort: str) -> str:
    return f'<div class="cp-call">{_sign(sort, row)}{shown(_written(row) or "")}</div>'


def blocks(left: Told, right: Told) -> list[str]:
    """The blocks that one of the turns wrote and that differ now, word by word; those that differed before by name."""
    old = old_differences(left, right)
    rows = [
        two(f"Block {pair.label} at the end", *texts(pair.left, pair.right, "working_context"))
        for pair in block_pairs(left.blocks, right.blocks)
        if pair.label not in old
    ]
    names = ", ".join(old)
    said = f"Blocks that differed before and were not touched: {names}" if old else ""
    return [*rows, *([f'<div class="cp-what">{shown(said)}</div>'] if said else [])]


def passages(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """What only one of them stored in archival storage."""
    some, others = only_in(left, right)
    if not (some or others):
        return []
    return [two("Stored in archival storage here only", _lines(some, "archival"), _lines(others, "archival"))]


def errors(left: Told, right: Told) -> list[str]:
    """What failed."""
    if not (left.errors or right.errors):
        return []
    return [two("Failed", _lines(left.errors), _lines(right.errors))]
