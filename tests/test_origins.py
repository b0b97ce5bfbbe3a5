"""What added files are called: a name stands for one place, and nothing is silently replaced by its namesake."""

from pathlib import Path
from typing import Any

import pytest

from memgpt_core.adding import Line
from memgpt_core.documents.origins import FILE, Origins, apart
from memgpt_core.home import Home
from memgpt_core.workspace import Workspace
from pages.parts import documents_add
from tests.engine import until


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def add(home: Home, ws: Workspace, *paths: Path, **how: Any) -> list[Line]:
    home.adding.start(ws.agent_id, paths, **how)
    until(lambda: not home.adding.busy(ws.agent_id))
    job = home.adding.job(ws.agent_id)
    assert job is not None
    assert not job.failed, job.failed
    return home.adding.lines(ws.agent_id)


def texts(ws: Workspace) -> dict[str, str]:
    return {one.name: ws.documents.raw(one.id).read_text() for one in ws.documents.all()}


def test_two_files_of_one_name_from_two_folders_are_two_documents(home: Home, ws: Workspace, tmp_path: Path) -> None:
    one, two = put(tmp_path / "a" / "x.md", "One lamp.\n"), put(tmp_path / "b" / "x.md", "Two boats.\n")
    first, second = add(home, ws, one, two)
    assert (first.name, second.name) == ("x.md", "x (b).md")
    assert second.why == "It is called so because another x.md is here, from elsewhere."
    assert texts(ws) == {"x.md": "One lamp.\n", "x (b).md": "Two boats.\n"}
    # Each is its own document's next version from now on, also in another run and alone.
    put(two, "Two boats and a heron.\n")
    assert [(line.name, line.what) for line in add(home, ws, two)] == [("x (b).md", "updated")]
    third = put(tmp_path / "c" / "b" / "x.md", "Three keepers.\n")
    assert [line.name for line in add(home, ws, third)] == ["x (b in c).md"]
    assert texts(ws)["x.md"] == "One lamp.\n"
    assert ws.verify() == []


def test_two_folders_of_one_name_stay_apart_and_what_is_gone_is_gone_from_one(
    home: Home, ws: Workspace, tmp_path: Path
) -> None:
    one, two = tmp_path / "a" / "notes", tmp_path / "b" / "notes"
    put(one / "x.md", "One lamp.\n"), put(two / "x.md", "Two boats.\n"), put(two / "y.md", "A heron.\n")
    add(home, ws, one)
    assert [line.name for line in add(home, ws, two)] == ["notes (b)/x.md", "notes (b)/y.md"]
    (one / "x.md").unlink()
    put(one / "z.md", "A pier.\n")
    add(home, ws, one, remove_gone=True)
    assert list(texts(ws)) == ["notes (b)/x.md", "notes (b)/y.md", "notes/z.md"]
    assert ws.documents.stands("notes")
    ws.documents.remove(next(one.id for one in ws.documents.all() if one.name == "notes/z.md"))
    assert not ws.documents.stands("notes")


def test_a_file_of_a_known_folder_added_alone_is_that_document(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = put(tmp_path / "notes" / "deep" / "x.md", "One lamp.\n")
    add(home, ws, tmp_path / "notes")
    put(path, "One lamp and a clock.\n")
    assert [(line.name, line.what) for line in add(home, ws, path)] == [("notes/deep/x.md", "updated")]
    assert [line.name for line in add(home, ws, path.parent)] == ["notes/deep/x.md"]
    other = put(tmp_path / "notes" / "new.md", "A pier.\n")
    assert [line.name for line in add(home, ws, other)] == ["new.md"], "the folder does not have it yet"


def test_a_name_of_which_nothing_is_known_is_its_own(home: Home, ws: Workspace, tmp_path: Path) -> None:
    one = put(tmp_path / "a" / "x.md", "One lamp.\n")
    add(home, ws, one)
    (ws.folder / FILE).write_text("[1]")
    two = put(tmp_path / "b" / "x.md", "Two boats.\n")
    assert [(line.name, line.what) for line in add(home, ws, two)] == [("x.md", "updated")]
    ws.documents.remove(ws.documents.all()[0].id)
    assert [line.name for line in add(home, ws, one)] == ["x.md"], "nothing stands under it any more"


def test_what_came_through_a_browser_is_not_replaced_by_a_path(home: Home, ws: Workspace, tmp_path: Path) -> None:
    add(home, ws, put(tmp_path / "a" / "x.md", "One lamp.\n"), names=["x.md"])
    assert [line.name for line in add(home, ws, put(tmp_path / "b" / "x.md", "Two boats.\n"))] == ["x (b).md"]


def test_names_at_the_root_and_without_an_ending_end_somewhere(tmp_path: Path) -> None:
    origins = Origins(tmp_path, lambda name: name in ("x", "x (a)"))
    (tmp_path / FILE).write_text('{"x": "/q/x"}')
    origins = Origins(tmp_path, lambda name: name in ("x", "x (a)"))
    assert origins.of(Path("/a/x")).name == "x (2)"
    assert apart("b/x.tar.gz", lambda name: name == "b/x.tar (2).gz") == "b/x.tar (3).gz"
    assert apart(".env", lambda name: False) == ".env (2)"


class Upload:
    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.size, self._data = name, len(data), data

    def getbuffer(self) -> memoryview:
        return memoryview(self._data)


@pytest.mark.parametrize(
    ("name", "data", "same"),
    [
        ("x.md", b"Other text\n", ["x.md"]),
        ("x.md", b"One lamp.\n", []),
        ("x.md", b"Two lamp.\n", ["x.md"]),
        ("y.md", b"Other text\n", []),
        ("notes/x.md", b"Other text\n", []),
    ],
)
def test_it_is_asked_what_a_file_of_a_known_name_is(
    home: Home, ws: Workspace, tmp_path: Path, name: str, data: bytes, same: list[str]
) -> None:
    add(home, ws, put(tmp_path / "x.md", "One lamp.\n"), put(tmp_path / "notes" / "x.md", "One lamp.\n").parent)
    here: Any = type("Here", (), {"ws": ws})
    assert documents_add.same_names(here, [Upload(name, data)]) == same
