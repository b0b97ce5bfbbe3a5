"""What is to be added: files or a folder of the browser's machine, paths of this one, and how they are taken."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import streamlit as st

from memgpt_core.documents.extraction import FILE_BYTES_MOST, SUPPORTED
from memgpt_core.documents.origins import apart
from memgpt_core.errors import EditRefused
from memgpt_core.views.lanes import counted
from memgpt_core.views.passages import visible
from pages.parts import choices
from pages.parts.frame import Here, attempt
from pages.parts.safe_md import safe_md

PIECE_BYTES = 2**20
MOST_MB = FILE_BYTES_MOST // 2**20

WAYS: dict[str, str] = {"files": "Files", "folder": "A folder"}
SAME: dict[str, str] = {"next": "its next version", "other": "another file: keep both"}


def draw(here: Here, known_tags: list[str]) -> None:
    """The form; `known_tags` are the ones to choose from."""
    agent = here.ws.agent_id
    kinds = ", ".join(dict.fromkeys(SUPPORTED.values()))
    st.caption(
        f"Read are: {kinds}; other files when there is text in them. Each file becomes passages in archival storage, "
        "and is itself kept in cold storage. A file added again costs a look: of a changed one, only what changed."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        key = _uploader(agent)
    with right:
        st.text_area(
            "Or paths on the machine that runs Memscope, one a line",
            key=choices.adding(agent, "paths"),
            height=112,
            placeholder="~/Documents/notes\n~/Downloads/report.pdf",
            help="A file, or a folder with all that is in it, but for names that begin with a dot. It is read where it "
            "is: nothing goes through the browser, so a path is the way for many or large files.",
            persist_state="session",
        )
        st.checkbox(
            "Remove documents whose files are gone from these folders",
            key=choices.adding(agent, "gone"),
            help="For a folder that was added before: what is no longer in it leaves archival storage too.",
            persist_state="session",
        )
    _ask_same(here, key)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.multiselect(
            "Tags for all of their passages (optional)",
            known_tags,
            accept_new_options=True,
            key=choices.adding(agent, "tags"),
            persist_state="session",
        )
        st.checkbox(
            "Tell the agent when it is done",
            key=choices.adding(agent, "tell"),
            help="As a message of the system, in a turn of its own.",
            persist_state="session",
            width="content",
        )
        st.button(
            "Add",
            key="add",
            type="primary",
            icon=":material/add:",
            on_click=attempt,
            args=(_add, here, key),
        )


def _uploader(agent: str) -> str:
    """The field for files of the browser's machine; its key, another one after each time something was added."""
    way = st.segmented_control(
        "From the machine with this browser",
        list(WAYS),
        format_func=WAYS.get,
        default="files",
        required=True,
        key=choices.adding(agent, "way"),
        persist_state="session",
    )
    key = choices.adding(agent, f"upload:{way}:{st.session_state.get(choices.adding(agent, 'uploads'), 0)}")
    st.file_uploader(
        "Files" if way == "files" else "A folder, with all that is in it",
        accept_multiple_files=True if way == "files" else "directory",
        max_upload_size=MOST_MB,
        key=key,
        label_visibility="collapsed",
    )
    arrived = len(st.session_state.get(key) or [])
    here = f"{counted(arrived, 'file')} arrived, ready to be added. " if arrived else ""
    st.caption(f"{here}At most {MOST_MB} MB a file, by path too: split what is larger.")
    return key


def same_names(here: Here, uploads: Sequence[Any]) -> list[str]:
    """The names of single files under which another text is here already: a browser does not say where a file is."""
    found = []
    for upload in uploads:
        known = here.ws.documents.named(upload.name) if "/" not in upload.name else None
        if known and (upload.size != known.bytes or sha256(upload.getbuffer()).hexdigest() != known.sha256):
            found.append(upload.name)
    return list(dict.fromkeys(found))


def _ask_same(here: Here, key: str) -> None:
    """Whether a file of a known name is its document's next version or another one."""
    if not (same := same_names(here, st.session_state.get(key) or [])):
        return
    st.segmented_control(
        f"Here already, and it reads otherwise: {safe_md(visible(', '.join(same)))}. What you add is",
        list(SAME),
        format_func=SAME.get,
        key=choices.adding(here.ws.agent_id, "same"),
    )


def _add(here: Here, key: str) -> None:
    """Take uploads out of memory and onto the disk, and begin.

    Raises:
        EditRefused: it is not said what a file of a known name is.
    """
    agent, adding = here.ws.agent_id, here.home.adding
    uploads: list[Any] = st.session_state.get(key) or []
    same = same_names(here, uploads)
    how = st.session_state.get(choices.adding(agent, "same"))
    if same and how not in SAME:
        raise EditRefused(f"Say first what {same[0]} is: its document's next version, or another file.")
    paths: list[Path] = []
    names: list[str] = []
    for upload in uploads:
        upload.seek(0)
        paths.append(adding.keep(upload.name, iter(partial(upload.read, PIECE_BYTES), b"")))
        other = upload.name in names or (how == "other" and upload.name in same)
        taken = partial(_taken, here, tuple(names))
        names.append(apart(upload.name, taken) if other else upload.name)
    for path in typed(st.session_state.get(choices.adding(agent, "paths"), "")):
        paths.append(path)
        names.append("")
    adding.start(
        agent,
        paths,
        names=names,
        tags=tuple(st.session_state.get(choices.adding(agent, "tags"), ())),
        remove_gone=bool(st.session_state.get(choices.adding(agent, "gone"))),
        tell=bool(st.session_state.get(choices.adding(agent, "tell"))),
    )
    # Another key for the next upload: this one is let go of.
    count = choices.adding(agent, "uploads")
    st.session_state[count] = st.session_state.get(count, 0) + 1
    st.session_state[choices.adding(agent, "paths")] = ""


def _taken(here: Here, names: tuple[str, ...], name: str) -> bool:
    return name in names or here.ws.documents.stands(name)


def typed(text: str) -> list[Path]:
    """The paths in a text, one a line, as a person or a file manager writes them."""
    found = []
    for line in text.splitlines():
        if said := line.strip().strip("\"'").replace("\0", ""):
            path = Path(said)
            try:
                found.append(path.expanduser())
            except RuntimeError:
                # Nobody of that name is here: it is refused as a path that is not there.
                found.append(path)
    return found
