"""The import half of the exchange page: choose a file, see what it is, say how it is taken, and what came of it."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from memgpt_core.errors import MemscopeError
from memgpt_core.home import Home
from memgpt_core.interchange import incoming
from memgpt_core.interchange.incoming import IMPORT, Found, Wishes
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.views.changes import model_text
from pages.parts import choices, exchange_job, frame, model_choice, sidebar
from pages.parts.agents_table import size_text
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, wrap
from pages.parts.safe_md import safe_md

UPLOAD_MB = 200
"""An upload sits in memory until it is all there; a larger file is named by its path."""

PIECE_BYTES = 2**20
NOTES_SHOWN = 12

FILE, UPLOADS, PATH = choices.exchange("file"), choices.exchange("uploads"), choices.exchange("path")

ON_BAD = {"skip": "Skip them, and say which", "refuse": "Refuse the whole file"}
SUMMARIES = {"extract": "Without a model", "model": "By the agent's model"}
NEW = ""
LINKS = (
    ("app.py", "Talk to it", ":material/forum:"),
    ("pages/replay.py", "Replay it", ":material/play_circle:"),
    ("pages/recall.py", "Its messages", ":material/manage_search:"),
)


def draw(here: Here) -> None:
    """What goes on or came of the last import, the file, and imports that can go on."""
    home = here.home
    st.html(wrap(heading("Import", "an agent, or conversations of another tool")))
    if home.jobs.busy(IMPORT):
        frame.live(exchange_job.running, every_s=exchange_job.EVERY_S, until=lambda: not home.jobs.busy(IMPORT))(
            home, IMPORT
        )
        return
    # Each in a place of its own, so that a part that comes or goes does not have the others made anew.
    with st.container(key="import-came"):
        _came(home)
    with st.container(key="import-file"):
        path = _chosen(home)
        if path is None:
            _choose(home)
        else:
            _offer(home, path)
    with st.container(key="import-left"):
        _left(home)


# --- the file -----------------------------------------------------------------------------------------------------


def _choose(home: Home) -> None:
    st.caption(
        "What a file is, is told by what is in it: a Memscope bundle (.memscope), a Letta agent file (.af), or "
        "conversations: ChatGPT's or Claude's conversations.json, OpenAI-style JSONL, ShareGPT, LoCoMo."
    )
    key = choices.exchange(f"upload:{st.session_state.get(UPLOADS, 0)}")
    st.file_uploader(
        "A file from your browser",
        key=key,
        max_upload_size=UPLOAD_MB,
        on_change=frame.attempt,
        args=(_keep, home, key),
    )
    st.text_input(
        "Or the path of a file on the machine that runs Memscope",
        key=PATH,
        placeholder="~/Downloads/conversations.json",
        help=f"For files of more than {UPLOAD_MB} MB: read piece by piece, in bounded memory.",
        on_change=_typed,
        args=(home,),
    )


def _keep(home: Home, key: str) -> None:
    """Take an upload out of memory and onto the disk."""
    uploaded = st.session_state.get(key)
    if uploaded is None:
        return
    # Another key for the next one: the upload is let go of.
    st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    home.jobs.forget(IMPORT)
    uploaded.seek(0)
    st.session_state[FILE] = str(incoming.keep(home, uploaded.name, _pieces(uploaded)))


def _pieces(uploaded: Any) -> Iterator[bytes]:
    while piece := uploaded.read(PIECE_BYTES):
        yield piece


def _typed(home: Home) -> None:
    if typed := st.session_state[PATH].strip().strip("\"'"):
        home.jobs.forget(IMPORT)
        st.session_state[FILE] = str(Path(typed).expanduser())


def _chosen(home: Home) -> Path | None:
    path = st.session_state.get(FILE, "")
    if path and incoming.is_upload(home, Path(path)) and not Path(path).is_file():
        # It was taken in, perhaps through another tab, and is not needed any more.
        path = st.session_state[FILE] = ""
    return Path(path) if path else None


def _another(home: Home, path: Path) -> None:
    st.session_state[FILE] = ""
    if not home.jobs.busy(IMPORT):
        incoming.drop(home, path)


def _offer(home: Home, path: Path) -> None:
    """What the chosen file is, and how it is to be taken."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/draft: **{safe_md(path.name)}**{_size(path)}", width="stretch")
        st.button("Another file", key="import:another", on_click=_another, args=(home, path), icon=":material/close:")
    try:
        found = _looked(path, *_stamp(path))
    except MemscopeError as error:
        st.error(safe_md(str(error)), icon=":material/block:")
        return
    st.info(safe_md(f"{found.says}."), icon=":material/search:")
    if found.notes:
        st.html(wrap(_list(found.notes)))
    wishes = _wishes(home, path, found)
    st.button(
        "Import",
        key="import:go",
        type="primary",
        icon=":material/download:",
        on_click=frame.attempt,
        args=(incoming.begin, home, path, wishes),
    )


def _size(path: Path) -> str:
    size, _ = _stamp(path)
    return f" · {size_text(size)}" if size >= 0 else ""


def _stamp(path: Path) -> tuple[int, int]:
    """What tells that a file was written again; (-1, 0) when it cannot be asked."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return -1, 0
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=8)
def _looked(path: Path, _size_bytes: int, _written: int) -> Found:
    return incoming.look(path)


# --- how it is taken ----------------------------------------------------------------------------------------------


def _wishes(home: Home, path: Path, found: Found) -> Wishes:
    """The choices; they stay while the import runs, so that a refused one can be tried otherwise."""
    if found.kind == "bundle":
        return Wishes()
    if found.kind == "letta":
        return Wishes(name=_name(path, found))
    cards = home.agents()
    called = sidebar.names(cards)
    into, name = st.columns(2, gap="small")
    with into:
        target = st.selectbox(
            "Into",
            [NEW, *called],
            format_func=lambda id: called[id] if id else "a new agent",
            key=choices.exchange(f"into:{path}"),
            persist_state="session",
            help="An agent that is there lives them after what it has lived; what is there already is not added again.",
        )
    settings = None
    if not target:
        with name:
            wanted = _name(path, found)
        settings = _settings(home)
    speaker = ""
    if found.speakers:
        speaker = st.selectbox(
            "Who of them is the user",
            found.speakers,
            key=choices.exchange(f"speaker:{path}"),
            persist_state="session",
            help="The other one becomes the agent. In a conversation where this person does not speak, the first is.",
        )
    on_bad, summaries = st.columns(2, gap="small")
    with on_bad:
        bad = _one_of("Records that cannot be read", ON_BAD, "on_bad", "")
    with summaries:
        made = _one_of(
            "Summaries of what is paged out",
            SUMMARIES,
            "summaries",
            "Without a model, sentences are picked and marked as picked: quick, and the same each time. By the model, "
            "each flush is one call: slow on a long history.",
        )
    return Wishes(
        name="" if target else wanted,
        into=target or "",
        user_speaker=speaker or "",
        on_bad="refuse" if bad == "refuse" else "skip",
        summaries="model" if made == "model" else "extract",
        settings=settings,
    )


def _name(path: Path, found: Found) -> str:
    typed = st.text_input(
        "Name of the new agent",
        key=choices.exchange(f"name:{path}"),
        placeholder=found.name,
        max_chars=80,
        persist_state="session",
    )
    return " ".join((typed or "").split())


def _settings(home: Home) -> AgentSettings:
    view = home.connection.view()
    model = st.selectbox(
        "Model of the new agent",
        model_choice.options(view.models, DEMO),
        format_func=model_text,
        key=choices.exchange("model"),
        persist_state="session",
        help="It is not asked during the import unless it makes the summaries; everything can be changed later.",
    )
    return AgentSettings(model=model or DEMO)


def _one_of(label: str, options: dict[str, str], field: str, tip: str) -> str:
    chosen = st.radio(
        label,
        list(options),
        format_func=options.__getitem__,
        key=choices.exchange(field),
        persist_state="session",
        help=tip or None,
    )
    return chosen or next(iter(options))


# --- what came of it ----------------------------------------------------------------------------------------------


def _came(home: Home) -> None:
    job = home.jobs.job(IMPORT)
    if job is None or job.running:
        return
    if exchange_job.came_to_nothing(job):
        return
    taken: Any = job.outcome
    if taken.stopped:
        st.info(safe_md(taken.says), icon=":material/stop_circle:")
        return
    took = f" It took {exchange_job.span(job.seconds)}." if taken.added else ""
    st.success(safe_md(taken.says) + took, icon=":material/check_circle:")
    if taken.notes:
        st.html(wrap(_list(taken.notes)))
    if taken.skipped_records:
        _skipped(taken)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        # It may have been deleted since.
        if taken.agent_id in {card.id for card in home.agents(archived=True)}:
            for file, label, icon in LINKS:
                st.page_link(file, label=label, icon=icon, query_params={"agent": taken.agent_id})
        st.button("Dismiss", key="import:dismiss", type="tertiary", on_click=home.jobs.forget, args=(IMPORT,))


def _skipped(taken: Any) -> None:
    count, shown = taken.skipped_records, len(taken.skipped)
    more = f" The first {shown:,} of them:" if count > shown else ""
    with st.expander(f"{count:,} record{'s' * (count != 1)} skipped", icon=":material/rule:", expanded=count <= 3):
        if more:
            st.caption(more)
        st.html(wrap(_list([f"Record {number:,} {why}" for number, why in taken.skipped])))


def _list(sentences: Any) -> str:
    """Sentences as lines, of many the first; the rest folded."""
    lines = [f'<div class="soft">{escape(one)}</div>' for one in sentences]
    first, rest = lines[:NOTES_SHOWN], lines[NOTES_SHOWN:]
    folded = f"<details><summary>{len(rest):,} more</summary>{''.join(rest)}</details>" if rest else ""
    return "".join(first) + folded


# --- what can go on -----------------------------------------------------------------------------------------------


def _left(home: Home) -> None:
    stopped = incoming.unfinished(home)
    if not stopped:
        return
    st.html(wrap(heading("Stopped imports", "no agent has anything of them yet")))
    for left in stopped:
        into = f"into {left.into}" if left.into else f"into a new agent {left.name}".rstrip()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{safe_md(Path(left.path).name)}** {safe_md(into)}", width="stretch")
            st.button(
                "Go on",
                key=f"import:on:{left.key}",
                icon=":material/play_arrow:",
                on_click=frame.attempt,
                args=(incoming.resume, home, left),
            )
            st.button(
                "Discard",
                key=f"import:off:{left.key}",
                icon=":material/delete:",
                on_click=frame.attempt,
                args=(_discard, home, left),
            )


def _discard(home: Home, left: Any) -> None:
    incoming.discard(home, left)
    home.jobs.forget(IMPORT)
