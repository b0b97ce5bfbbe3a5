"""Taking along what a table shows: CSV, Parquet or JSON, made when it is asked for."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

ROWS_MOST = 1_000_000
"""More rows than this would not fit the memory of a laptop three times over."""

_FORMATS = {
    "CSV": ("csv", "text/csv"),
    "Parquet": ("parquet", "application/vnd.apache.parquet"),
    "JSON": ("json", "application/json"),
}


def draw(name: str, rows: Callable[[], list[dict[str, Any]]], *, key: str, count: int | None) -> None:
    """A menu of the three formats; `rows` gives everything the filters let through, not only the page shown.

    `count` is how many rows that is; None when counting them would mean finding them all.
    """
    with st.popover("Export", icon=":material/download:", key=f"export:{key}", disabled=count == 0):
        many = "All rows" if count is None else f"{min(count, ROWS_MOST):,} rows: all"
        st.caption(f"{many} that the filters let through, at most {ROWS_MOST:,}. Times are in UTC.")
        for label, (ending, mime) in _FORMATS.items():
            st.download_button(
                label,
                data=partial(_file, rows, ending),
                file_name=f"{name}.{ending}",
                mime=mime,
                key=f"export:{key}:{ending}",
                on_click="ignore",
            )


def _file(rows: Callable[[], list[dict[str, Any]]], ending: str) -> bytes:
    frame = pd.DataFrame(rows())
    if ending == "csv":
        return frame.to_csv(index=False).encode()
    if ending == "json":
        text: str = frame.to_json(orient="records", date_format="iso", force_ascii=False, lines=False)
        return text.encode()
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()
