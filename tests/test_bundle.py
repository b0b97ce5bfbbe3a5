"""Bundles: out of one home, into another, the same; and nothing that is no bundle gets anywhere."""

import hashlib
import json
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core import __main__ as cli
from memgpt_core import checkpoints
from memgpt_core.blueprint import Blueprint
from memgpt_core.bookmarks import Bookmarks
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import EditRefused, LogCorrupt, MemscopeError
from memgpt_core.home import Home
from memgpt_core.interchange import sealed
from memgpt_core.interchange.bundle import AlreadyHere, Exported, export_bundle, import_bundle
from memgpt_core.interchange.sealed import BundleRefused, Stopped
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, say

LONG_S = 20.0
HASHING = AgentSettings(embedder="hashing")

OpenHome = Callable[[str], Home]
Change = Callable[[dict[str, bytes], dict[str, Any]], None]


def home_at(path: Path) -> Home:
    return Home(path, clock=FakeClock(), models={"demo": ScriptedModel(then=say("I see."))}, timer=False)


def told(ws: Workspace, *texts: str) -> None:
    for text in texts:
        ws.send(text)
        assert ws.wait_idle(LONG_S)


def lived(home: Home, name: str = "Ada") -> Workspace:
    """An agent with a conversation, passages, an edited block and a bookmark."""
    ws = home.open(home.create(Blueprint(name=name, settings=HASHING)))
    told(ws, "I keep two cats in Lisbon.", "My sister plays the cello.", "Good night.")
    ws.upload(
        "notes.txt", [("The harbour of Lisbon has seven lighthouses.", ("sea",)), ("Cellos are tuned in fifths.", ())]
    )
    assert ws.wait_idle(LONG_S)
    ws.edits.edit_block("human", "Keeps cats.", based_on=ws.state().blocks["human"].seq)
    Bookmarks(ws.folder).add(5, "where it began")
    assert ws.projections.flush()
    return ws


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a bundle, the log it was made from), for tests that only read."""
    folder = tmp_path_factory.mktemp("exported")
    home = home_at(folder / "home")
    ws = lived(home)
    export_bundle(ws, folder / "ada.memscope")
    home.close()
    return folder / "ada.memscope", ws.folder / "run.jsonl"


@pytest.fixture
def open_home(tmp_path: Path) -> Iterator[OpenHome]:
    made: list[Home] = []

    def opened(name: str) -> Home:
        made.append(home_at(tmp_path / name))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def contents(bundle: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != sealed.MANIFEST}
        return members, json.loads(archive.read(sealed.MANIFEST))


def packed(path: Path, members: dict[str, bytes], manifest: dict[str, Any]) -> Path:
    """A bundle with these members and this manifest, whether they fit or not."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(sealed.MANIFEST, json.dumps(manifest))
    return path


def listed(members: dict[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    ]


def changed(bundle: Path, path: Path, change: Change) -> Path:
    """A bundle after `change`, its checksums right again."""
    members, manifest = contents(bundle)
    change(members, manifest)
    manifest["members"] = listed(members)
    return packed(path, members, manifest)


def everything(home: Home) -> dict[str, bytes]:
    """Every file of a home but the vectors' database and the lock."""
    home.path.joinpath("agents").mkdir(exist_ok=True)
    return {
        str(path.relative_to(home.path)): path.read_bytes()
        for path in sorted(home.path.rglob("*"))
        if path.is_file() and not path.name.startswith((".", "vectors.duckdb"))
    }


# --- there and back -------------------------------------------------------------------------------------------------


def test_another_machine_has_the_same_agent(open_home: OpenHome, tmp_path: Path) -> None:
    one, other = open_home("one"), open_home("other")
    ws = lived(one)
    shares: list[float] = []
    made = export_bundle(ws, tmp_path / "ada.memscope", shares.append)
    assert made == Exported(tmp_path / "ada.memscope", ws.last_seq, made.vectors, made.path.stat().st_size, None, 0)
    assert made.vectors > 4
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    agent = import_bundle(other, made.path)
    taken = other.open(agent)
    assert agent == "ada"
    assert (taken.folder / "run.jsonl").read_bytes() == (ws.folder / "run.jsonl").read_bytes()
    assert taken.state() == ws.state()
    assert taken.verify() == []
    assert Bookmarks(taken.folder).all() == Bookmarks(ws.folder).all()
    for query in ("lighthouses at sea", "cello", "cats"):
        assert taken.archival(query).hits == ws.archival(query).hits
        assert taken.recall(query).hits == ws.recall(query).hits


def test_nothing_is_embedded_again(
    open_home: OpenHome, exported: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home("other")

    def refuse(*_: Any) -> Any:
        raise AssertionError("a text was embedded")

    monkeypatch.setattr(HashingEmbedder, "embed", refuse)
    taken = home.open(import_bundle(home, exported[0]))
    assert taken.projections.flush()
    assert taken.not_embedded == 0
    assert taken.search_mode() == "words+vectors"


def test_the_same_contents_give_the_same_bytes(open_home: OpenHome, tmp_path: Path) -> None:
    ws = lived(open_home("one"))
    one = export_bundle(ws, tmp_path / "one.memscope").path.read_bytes()
    assert export_bundle(ws, tmp_path / "two.memscope").path.read_bytes() == one


def test_a_stretch_ends_where_it_is_told(open_home: OpenHome, tmp_path: Path) -> None:
    one, other = open_home("one"), open_home("other")
    ws = lived(one)
    at = ws.turn_start(2) - 1
    Bookmarks(ws.folder).add(at + 1, "later")
    export_bundle(ws, tmp_path / "begin.memscope", at=at)
    taken = other.open(import_bundle(other, tmp_path / "begin.memscope"))
    assert taken.state() == ws.state(at)
    assert [mark.text for mark in Bookmarks(taken.folder).all()] == ["where it began"]
    members, manifest = contents(tmp_path / "begin.memscope")
    assert b"lighthouses" not in members["run.jsonl"]
    assert manifest["events"] == at


def test_a_stretch_ends_within_the_log(open_home: OpenHome, tmp_path: Path) -> None:
    ws = lived(open_home("one"))
    for at in (0, ws.last_seq + 1, -1):
        with pytest.raises(EditRefused, match="events 1 to"):
            export_bundle(ws, tmp_path / "x.memscope", at=at)
    assert not list(tmp_path.glob("*.memscope"))


def test_a_busy_agent_is_exported_up_to_its_last_event(open_home: OpenHome, tmp_path: Path) -> None:
    one, other = open_home("one"), open_home("other")
    ws = lived(one)

    def export_inside(_body: Any) -> Any:
        export_bundle(ws, tmp_path / "busy.memscope")
        return say("done")

    model: Any = one._models["demo"]
    model.script.append(export_inside)
    told(ws, "Now.")
    taken = other.open(import_bundle(other, tmp_path / "busy.memscope"))
    events = contents(tmp_path / "busy.memscope")[1]["events"]
    assert events < ws.last_seq
    assert ws.event(events).kind == "prompt_built"
    assert [event.kind for event in taken.events(events + 1)] == ["turn_ended"]
    assert taken.verify() == []


def test_an_id_that_is_taken_gets_a_number_and_the_log_stays(open_home: OpenHome, exported: tuple[Path, Path]) -> None:
    home = open_home("other")
    assert home.create(Blueprint(name="Ada")) == "ada"
    agent = import_bundle(home, exported[0])
    assert agent == "ada-2"
    assert (home.open(agent).folder / "run.jsonl").read_bytes() == exported[1].read_bytes()
    assert home.open(agent).verify() == []


def test_the_same_bundle_twice_adds_nothing(open_home: OpenHome, exported: tuple[Path, Path], tmp_path: Path) -> None:
    home = open_home("other")
    agent = import_bundle(home, exported[0])
    told(home.open(agent), "I went on.")
    before = everything(home)
    with pytest.raises(AlreadyHere, match=r"'Ada' \(ada\) holds its \d+ events and \d+ more") as held:
        import_bundle(home, exported[0])
    assert held.value.agent_id == agent
    assert everything(home) == before


def test_a_fork_is_not_the_agent_it_came_from(open_home: OpenHome, exported: tuple[Path, Path]) -> None:
    home = open_home("other")
    agent = import_bundle(home, exported[0])
    home.duplicate(agent, "Twin")
    home.delete(agent)
    assert import_bundle(home, exported[0]) == "ada"


def test_a_long_log_has_its_checkpoints(
    open_home: OpenHome, exported: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 10)
    home = open_home("other")
    taken = home.open(import_bundle(home, exported[0]))
    found = checkpoints.latest(taken.folder / "checkpoints", max_seq=25)
    assert found is not None
    assert found.state == taken.state(20)


def test_documents_the_log_names_go_along(open_home: OpenHome, tmp_path: Path) -> None:
    one, other = open_home("one"), open_home("other")
    raw = b"a report, as it came"
    digest = hashlib.sha256(raw).hexdigest()
    for name, data in ((digest, raw), (hashlib.sha256(b"other").hexdigest(), b"other")):
        (one.path / "documents" / name).mkdir(parents=True)
        (one.path / "documents" / name / "raw.txt").write_bytes(data)
    ws = lived(one)
    ws.upload(digest, [("The report says that all is well.", ())])
    assert ws.wait_idle(LONG_S)
    export_bundle(ws, tmp_path / "x.memscope")
    import_bundle(other, tmp_path / "x.memscope")
    assert [path.name for path in (other.path / "documents").iterdir()] == [digest]
    assert (other.path / "documents" / digest / "raw.txt").read_bytes() == raw

    def swap(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
        members[f"documents/{digest}/raw.txt"] = b"another text"

    third = open_home("third")
    with pytest.raises(BundleRefused, match="no document with that sha256"):
        import_bundle(third, changed(tmp_path / "x.memscope", tmp_path / "y.memscope", swap))
    assert third.agents() == []
    assert not (third.path / "documents").exists()


# --- stopped and broken on the way out --------------------------------------------------------------------------------


def test_a_stopped_export_leaves_what_was_there(open_home: OpenHome, tmp_path: Path) -> None:
    ws = lived(open_home("one"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "x.memscope").write_bytes(b"an older one")
    with pytest.raises(Stopped):
        export_bundle(ws, out / "x.memscope", stop=lambda: True)
    assert [path.name for path in out.iterdir()] == ["x.memscope"]
    assert (out / "x.memscope").read_bytes() == b"an older one"


def test_a_folder_that_is_not_there_is_a_sentence(open_home: OpenHome, tmp_path: Path) -> None:
    with pytest.raises(MemscopeError, match=r"x.memscope could not be written \(No such file"):
        export_bundle(lived(open_home("one")), tmp_path / "nowhere" / "x.memscope")


def test_a_log_that_cannot_be_read_is_not_exported(open_home: OpenHome, tmp_path: Path) -> None:
    ws = lived(open_home("one"))
    log = ws.folder / "run.jsonl"
    data = bytearray(log.read_bytes())
    data[data.index(b'"seq":7') + 6] = ord("x")
    log.write_bytes(data)
    with pytest.raises(LogCorrupt, match="Line 7"):
        export_bundle(ws, tmp_path / "x.memscope")
    assert not (tmp_path / "x.memscope").exists()


# --- what is refused -------------------------------------------------------------------------------------------------


def refused(home: Home, bundle: Path) -> str:
    """The sentence on a bundle; nothing of it is left."""
    before = everything(home)
    with pytest.raises(BundleRefused) as error:
        import_bundle(home, bundle)
    assert everything(home) == before
    assert home.agents() == []
    assert list((home.path / "agents").iterdir()) == []
    assert home._vectors.count() == 0
    said = str(error.value)
    assert bundle.name in said
    return said


def line(members: dict[str, bytes], number: int, new: bytes) -> None:
    lines = members["run.jsonl"].split(b"\n")
    lines[number - 1] = new
    members["run.jsonl"] = b"\n".join(lines)


def raw_line(members: dict[str, bytes], number: int, **fields: Any) -> None:
    raw = json.loads(members["run.jsonl"].split(b"\n")[number - 1])
    line(members, number, json.dumps({**raw, **fields}).encode())


def swapped(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
    lines = members["run.jsonl"].split(b"\n")
    lines[4], lines[5] = lines[5], lines[4]
    members["run.jsonl"] = b"\n".join(lines)


def vector_of(value: bytes, at: int = 32) -> Change:
    def change(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
        data = bytearray(members["vectors/0.f32"])
        data[at : at + len(value)] = value
        members["vectors/0.f32"] = bytes(data)

    return change


def first_of(members: dict[str, bytes]) -> bytes:
    return members["run.jsonl"].split(b"\n")[0]


GHOST = (
    b'{"seq":6,"kind":"working_context_edited","block":"ghost","before":"","after":"x","author":"human","based_on":1}'
)
NESTED = b'{"seq":6,"kind":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"

CHANGES: list[tuple[str, Change, str]] = [
    ("unknown kind", lambda m, _: raw_line(m, 6, kind="dreamt"), "line 6 .*unknown kind dreamt.*newer Memscope"),
    ("extra field", lambda m, _: raw_line(m, 6, colour="red"), "line 6 .*colour"),
    ("no JSON", lambda m, _: line(m, 6, b"{oops"), "line 6 .*cannot be taken"),
    ("wrong encoding", lambda m, _: line(m, 6, '{"kind":"é"}'.encode("utf-16")), "line 6 "),
    ("deeply nested", lambda m, _: line(m, 6, NESTED), "line 6 .*recursion"),
    ("an empty line", lambda m, _: line(m, 6, b""), "line 6 "),
    ("another order", swapped, "line 5 .*it is event 6"),
    ("no creation", lambda m, _: line(m, 1, m["run.jsonl"].split(b"\n")[1].replace(b'"seq":2', b'"seq":1')), "line 1 "),
    ("a second creation", lambda m, _: line(m, 6, first_of(m).replace(b'"seq":1,', b'"seq":6,')), "line 6 .*nowhere"),
    ("a torn end", lambda m, _: m.update({"run.jsonl": m["run.jsonl"][:-1]}), "in the middle of line"),
    ("an empty log", lambda m, _: m.update({"run.jsonl": b""}), "0 of ''"),
    ("no log", lambda m, _: m.pop("run.jsonl") and None, "lists other members"),
    ("fewer events", lambda _, raw: raw.update(events=raw["events"] - 1), "speaks of"),
    ("another agent", lambda _, raw: raw["agent"].update(id="eve"), "speaks of .*'eve'"),
    ("a newer format", lambda _, raw: raw.update(version=2, more="fields"), "newer Memscope .bundle version 2"),
    ("another format", lambda _, raw: raw.update(format="zip"), "no Memscope bundle"),
    ("a wrong version", lambda _, raw: raw.update(version="two"), "does not fit: version"),
    ("a surprise", lambda _, raw: raw.update(surprise=1), "does not fit: surprise"),
    ("an unknown member", lambda m, _: m.update({"extra.bin": b"x"}), "'extra.bin' is nothing this Memscope knows"),
    ("a bookmark of no sense", lambda m, _: m.update({"notes.jsonl": b"[1]\n"}), "notes.jsonl, line 1 is no bookmark"),
    ("a vector of no number", vector_of(struct.pack("<f", float("nan"))), "vectors/0.f32, vector 1 has length nan"),
    ("a vector too long", vector_of(struct.pack("<f", 9.0)), "vector 1 has length 9"),
    ("a vector of another text", vector_of(b"\0" * 32, 0), "vector 1 is of no text in the log"),
    ("a lie about vectors", lambda _, raw: raw["vectors"][0].update(dim=7), "not as long as"),
    ("a number out of bounds", lambda m, _: raw_line(m, 6, session=10**30), "out of all bounds|line 6 "),
    ("an edit of no block", lambda m, _: line(m, 6, GHOST), "line 6 .*does not follow"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_what_does_not_fit_is_named(
    open_home: OpenHome, exported: tuple[Path, Path], tmp_path: Path, change: Change, says: str
) -> None:
    said = refused(open_home("other"), changed(exported[0], tmp_path / "bad.memscope", change))
    assert re.search(says, said), said


# --- zips that are none, or hostile ----------------------------------------------------------------------------------


def zipped(path: Path, *infos: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in infos:
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../run.jsonl",
        "/etc/passwd",
        "a/../../b",
        "C:/windows/x",
        "a\\..\\b",
        "documents/./x",
        "folder/",
        ".hidden",
        "a/b/c/d/e/f",
        "x" * 200,
        "r\u00fcn.jsonl",
        "run\n.jsonl",
    ],
)
def test_no_member_leaves_its_folder(open_home: OpenHome, tmp_path: Path, name: str) -> None:
    said = refused(open_home("other"), zipped(tmp_path / "bad.memscope", (name, b"x"), (sealed.MANIFEST, b"{}")))
    assert "could leave its folder" in said


def test_a_link_is_no_member(open_home: OpenHome, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("run.jsonl")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "no plain file" in refused(open_home("other"), zipped(tmp_path / "bad.memscope", (info, b"/etc/passwd")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_is_there_once(open_home: OpenHome, tmp_path: Path) -> None:
    bad = zipped(tmp_path / "bad.memscope", ("run.jsonl", b"x"), ("run.jsonl", b"y"), (sealed.MANIFEST, b"{}"))
    assert "'run.jsonl' twice" in refused(open_home("other"), bad)


def test_another_way_of_packing_is_refused(open_home: OpenHome, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.memscope", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("run.jsonl", b"x" * 100)
    assert "packed in a way" in refused(open_home("other"), tmp_path / "bad.memscope")


def test_an_encrypted_member_is_refused(open_home: OpenHome, exported: tuple[Path, Path], tmp_path: Path) -> None:
    data = bytearray(exported[0].read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "bad.memscope").write_bytes(data)
    assert "encrypted" in refused(open_home("other"), tmp_path / "bad.memscope")


def test_a_bomb_is_named_before_it_is_unpacked(open_home: OpenHome, tmp_path: Path) -> None:
    home = open_home("other")
    bomb = zipped(
        tmp_path / "bomb.memscope", ("run.jsonl", bytes(sealed.RATIO_FROM_BYTES + 1)), (sealed.MANIFEST, b"{}")
    )
    assert bomb.stat().st_size < 200_000
    assert "bomb" in refused(home, bomb)


def test_a_small_bomb_gets_no_further_than_a_line(
    open_home: OpenHome, exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memgpt_core.interchange.arrival.LINE_BYTES", 2**21)

    def fill(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
        members["run.jsonl"] = bytes(2**24)

    bad = changed(exported[0], tmp_path / "bad.memscope", fill)
    assert "line 1 is longer than" in refused(open_home("other"), bad)


def test_a_member_that_lies_about_its_size_is_refused(
    open_home: OpenHome, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    data = bytearray(exported[0].read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<L", 50)
    (tmp_path / "bad.memscope").write_bytes(data)
    assert "run.jsonl" in refused(open_home("other"), tmp_path / "bad.memscope")


def test_another_log_of_the_same_length_is_damage(
    open_home: OpenHome, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    members, manifest = contents(exported[0])
    members["run.jsonl"] = members["run.jsonl"].replace(b"two cats", b"ten dogs")
    said = refused(open_home("other"), packed(tmp_path / "bad.memscope", members, manifest))
    assert "run.jsonl is damaged, its checksum" in said


def test_too_many_members_are_not_even_listed(
    open_home: OpenHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = zipped(tmp_path / "bad.memscope", *((f"m{number}", b"") for number in range(200)))
    monkeypatch.setattr(sealed, "MEMBERS_MOST", 100)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert "200 members" in refused(open_home("other"), bad)


def test_a_huge_manifest_is_not_read(open_home: OpenHome, tmp_path: Path) -> None:
    bad = zipped(tmp_path / "bad.memscope", (sealed.MANIFEST, bytes(sealed.MANIFEST_BYTES + 1)))
    assert "manifest.json is larger" in refused(open_home("other"), bad)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no Memscope bundle"),
        (b"hello", "no Memscope bundle"),
        (b"PK\x05\x06" + bytes(18), "has no manifest.json"),
    ],
)
def test_what_is_no_zip_is_refused(open_home: OpenHome, tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "bad.memscope").write_bytes(data)
    assert says in refused(open_home("other"), tmp_path / "bad.memscope")


@pytest.mark.parametrize(
    ("manifest", "says"),
    [(b"[]", "no JSON object"), (b"{", "no JSON"), (b'{"a":' * 9999, "no JSON"), (b'"\xff"', "no JSON")],
)
def test_a_manifest_that_is_none_is_refused(open_home: OpenHome, tmp_path: Path, manifest: bytes, says: str) -> None:
    assert says in refused(open_home("other"), zipped(tmp_path / "bad.memscope", (sealed.MANIFEST, manifest)))


def test_a_file_that_is_not_there_is_a_sentence(open_home: OpenHome, tmp_path: Path) -> None:
    home = open_home("other")
    assert "cannot be read (No such file" in refused(home, tmp_path / "none.memscope")
    (tmp_path / "folder.memscope").mkdir()
    assert "cannot be read" in refused(home, tmp_path / "folder.memscope")


def test_no_room_is_said_before_anything_is_written(
    open_home: OpenHome, exported: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home("other")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Use", (), {"free": 10_000}))
    assert "are free" in refused(home, exported[0])


# --- stopped, killed, cut and flipped --------------------------------------------------------------------------------


def test_a_stopped_import_leaves_nothing(open_home: OpenHome, exported: tuple[Path, Path]) -> None:
    home = open_home("other")
    # Once through the manifest and the first line, then in the midst of the log.
    asked = iter([False] * 3)
    with pytest.raises(Stopped):
        import_bundle(home, exported[0], stop=lambda: next(asked, True))
    assert list((home.path / "agents").iterdir()) == []
    assert import_bundle(home, exported[0]) == "ada"


def test_a_killed_import_is_swept_at_the_next_start(
    tmp_path: Path, exported: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(_folder: Path) -> None:
        raise Killed

    home = home_at(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr(Home, "_reveal", staticmethod(die))
        with pytest.raises(Killed):
            import_bundle(home, exported[0])
    assert {path.name for path in (home.path / "agents" / "ada").iterdir()} >= {"run.jsonl.new", "notes.jsonl"}
    assert home.agents() == []
    home.close()
    home = home_at(tmp_path / "other")
    assert list((home.path / "agents").iterdir()) == []
    home.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Path, bytes]]:
    """(an empty home, a folder, the bytes of a small bundle)."""
    folder = tmp_path_factory.mktemp("small")
    home = home_at(folder / "one")
    ws = home.open(home.create(Blueprint(name="Eve", settings=HASHING)))
    told(ws, "Hello.")
    ws.projections.flush()
    data = export_bundle(ws, folder / "small.memscope").path.read_bytes()
    home.close()
    home = home_at(folder / "other")
    yield home, folder, data
    home.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_and_flipped_bytes_never_make_half_an_agent(small: tuple[Home, Path, bytes], data: st.DataObject) -> None:
    home, folder, good = small
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        bad[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))))
    (folder / "bad.memscope").write_bytes(bad[:cut])
    try:
        agent = import_bundle(home, folder / "bad.memscope")
    except BundleRefused:
        """As it should be."""
    else:
        # A date or a mark of the zip was changed, nothing that counts.
        (folder / "good.memscope").write_bytes(good)
        with pytest.raises(AlreadyHere):
            import_bundle(home, folder / "good.memscope")
        home.delete(agent)
    assert list((home.path / "agents").iterdir()) == []


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_log_altered_with_its_checksum_is_refused_or_is_an_agent(
    small: tuple[Home, Path, bytes], data: st.DataObject
) -> None:
    home, folder, good = small
    (folder / "good.memscope").write_bytes(good)

    def alter(members: dict[str, bytes], _manifest: dict[str, Any]) -> None:
        log = bytearray(members["run.jsonl"])
        at = data.draw(st.integers(0, len(log) - 1))
        if data.draw(st.booleans()):
            log[at] = data.draw(st.sampled_from(b'0123456789-"{}[],:.eE \n\\xa\xff'))
        else:
            # A digit of some number, the rest untouched: what still fits its kind.
            digits = [place for place, byte in enumerate(log) if byte in b"0123456789"]
            log[data.draw(st.sampled_from(digits))] = data.draw(st.sampled_from(b"0123456789"))
        members["run.jsonl"] = bytes(log)

    altered = changed(folder / "good.memscope", folder / "altered.memscope", alter)
    try:
        agent = import_bundle(home, altered)
    except BundleRefused:
        """As it should be."""
    else:
        assert home.open(agent).verify() == []
        home.delete(agent)
    assert list((home.path / "agents").iterdir()) == []


# --- the command line ------------------------------------------------------------------------------------------------


def test_export_and_import_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = home_at(tmp_path / "one")
    lived(home)
    home.close()
    bundle = tmp_path / "ada.memscope"

    def run(home_name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / home_name))
        code = cli.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = run("one", "export", "ada", str(bundle))
    assert code == 0
    assert re.search(r"ada.memscope holds \d+ events and \d+ vectors in 0.0 MB", out)
    code, _, err = run("one", "export", "ada", str(bundle))
    assert (code, "already" in err) == (1, True)
    code, out, _ = run("two", "import", str(bundle))
    assert (code, "Ada is here as ada, with" in out) == (0, True)
    code, out, _ = run("two", "import", str(bundle))
    assert (code, "Nothing was added" in out) == (0, True)
    hidden = ("--redact", "email", "--redact-own", "pet", r"\bcats?\b", "--redact-block", "human")
    code, out, _ = run("one", "export", "ada", str(tmp_path / "r.memscope"), *hidden)
    assert code == 0
    assert "pet: replaced" in out
    assert "The same thing said in other words stays" in out
    code, _, err = run("one", "export", "ada", str(tmp_path / "s.memscope"), "--redact-own", "pet", "(")
    assert (code, "The expression 'pet' is none" in err) == (1, True)
    bundle.write_bytes(b"no bundle")
    code, _, err = run("three", "import", str(bundle))
    assert (code, "is no Memscope bundle" in err) == (1, True)
