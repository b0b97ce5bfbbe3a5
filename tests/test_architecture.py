"""The floors of the house: imports point down, one vendor a file, nothing names a machine, no room without a job."""

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from memgpt_core import events, state

ROOT = Path(__file__).parent.parent
CORE = ROOT / "memgpt_core"

FLOORS: dict[str, int] = {
    **dict.fromkeys(("errors", "events", "state", "settings", "failpoints"), 0),
    **dict.fromkeys(
        (
            "tokens",
            "prompt",
            "queue_manager",
            "functions",
            "project",
            "rows",
            "ids",
            "ranking",
            "queries",
            "instructions",
            "review",
            "guessing",
        ),
        1,
    ),
    **dict.fromkeys(("llm.base", "embedding.base", "embedding.hashing"), 1),
    **dict.fromkeys(
        (
            "log",
            "log_search",
            "checkpoints",
            "knowledge",
            "llm.recorded",
            "llm.streams",
            "embedding.ollama",
            "embedding.minilm",
            "embedding.batching",
        ),
        2,
    ),
    **dict.fromkeys(
        (
            "journal",
            "connection",
            "means",
            "trial",
            "pulls",
            "turnstile",
            "watch",
            "memory_functions",
            "document_functions",
            "registry",
            "executor",
            "agent",
            "replay",
            "opening",
            "blueprint",
            "strategies",
            "decisions",
            "retrieval",
            "ahead",
            "turns",
            "configuration",
            "folders",
            "forking",
            "cards",
            "jobs",
        ),
        3,
    ),
    **dict.fromkeys(
        ("sentences", "documents.parts", "documents.splitting", "documents.outline", "documents.manifest"), 1
    ),
    **dict.fromkeys(("documents.library", "documents.intake", "documents.origins"), 3),
    **dict.fromkeys(("documents.decoding", "documents.unpacking", "documents.kinds", "documents.plain_text"), 1),
    **dict.fromkeys(("documents.csv_text", "documents.json_text", "documents.code_text"), 1),
    **dict.fromkeys(("documents.extraction", "documents.markdown_text", "documents.html_text"), 2),
    **dict.fromkeys(("documents.pdf_text", "documents.docx_text", "documents.epub_text"), 2),
    **dict.fromkeys(("documents.mail_text", "documents.sqlite_text"), 2),
    "message_search": 3,
    **dict.fromkeys(
        (
            "projections",
            "indexing",
            "hot",
            "recent",
            "following",
            "scope",
            "search",
            "similarity",
            "verify",
            "passages",
            "duplicates",
            "reembedding",
            "embedders",
            "query_vectors",
            "write_behind",
            "succession",
            "tiering",
            "word_scan",
        ),
        3,
    ),
    **dict.fromkeys(("journeys", "bookmarks", "past", "rerunning", "comparing"), 3),
    **dict.fromkeys(("edits", "edits.hand", "edits.blocks", "edits.messages", "edits.passages"), 3),
    **dict.fromkeys(("interchange.patterns", "interchange.redact"), 1),
    **dict.fromkeys(("interchange.sealed", "interchange.manifest"), 2),
    "interchange.arrival": 3,
    "interchange.bundle": 4,
    **dict.fromkeys(("interchange.letta_shapes", "interchange.letta_messages", "interchange.letta_export"), 3),
    **dict.fromkeys(("interchange.letta_file", "interchange.letta_memory", "interchange.letta_calls"), 3),
    **dict.fromkeys(("interchange.letta_settings", "interchange.letta_import", "interchange.staging"), 3),
    "interchange.letta": 4,
    **dict.fromkeys(("interchange.sessions", "interchange.readers_chat", "interchange.readers_exports"), 1),
    **dict.fromkeys(("interchange.readers_locomo", "interchange.extract"), 1),
    **dict.fromkeys(("interchange.records", "interchange.conversations", "interchange.spool"), 2),
    **dict.fromkeys(("interchange.living", "interchange.looking"), 3),
    **dict.fromkeys(("interchange.importing", "interchange.halfway", "interchange.exporting"), 4),
    **dict.fromkeys(("interchange.incoming", "interchange.uploads"), 4),
    **dict.fromkeys(("interchange.outgoing", "interchange.commands", "documents.commands"), 6),
    **dict.fromkeys(("workspace", "home", "upkeep", "adding", "counterfactual", "supposing"), 4),
    **dict.fromkeys(("sharing", "__main__"), 6),
}
"""The floor of each module. `similarity` joins the vectors of two stores, so it stands above them; a shared file
and the command line draw, as a page does, so they stand above the views."""

VIEWS = 5
"""Views see floors 0 and 1 and each other, and nobody below sees them."""

VENDORS: dict[str, set[str]] = {
    "duckdb": {
        "memgpt_core/stores/recall.py",
        "memgpt_core/stores/vectors.py",
        "memgpt_core/stores/sandbox.py",
        "memgpt_core/stores/sandbox_child.py",
    },
    "lancedb": {"memgpt_core/stores/index.py", "memgpt_core/stores/nearest.py"},
    "httpx": {"memgpt_core/llm/ollama_http.py"},
    "ollama": {"memgpt_core/llm/ollama_server.py"},
    "filelock": {"memgpt_core/home.py"},
    "markdown_it": {"memgpt_core/documents/markdown_text.py"},
    "selectolax": {"memgpt_core/documents/html_text.py"},
    "pypdf": {"memgpt_core/documents/pdf_text.py"},
    "docx": {"memgpt_core/documents/docx_text.py"},
    "streamlit": {"app.py", "pages/"},
    "plotly": {"memgpt_core/views/", "pages/"},
}
"""Who alone may import a vendor; a name that ends in a slash is a whole folder."""

TOP_LEVEL = {"requirements.txt", "app.py", "pages", "memgpt_core", "tests", "sample_agents", "README.md"}
BY_PRODUCT = {"__pycache__"}


def floor(module: str) -> int | None:
    """The floor of `memgpt_core.<module>`; None for the package itself."""
    if module in FLOORS:
        return FLOORS[module]
    top, _, rest = module.partition(".")
    if top == "views":
        return VIEWS
    if top == "stores" and rest:
        return 2
    if top == "llm" and rest.startswith(("demo", "ollama", "vocabulary")):
        return 1 if rest.startswith("demo") else 2
    if not rest and top in ("", "llm", "embedding", "stores", "interchange", "documents"):
        return None
    raise AssertionError(f"memgpt_core.{module} has no floor: give it one in FLOORS")


def sources() -> list[Path]:
    return sorted([ROOT / "app.py", *CORE.rglob("*.py"), *(ROOT / "pages").rglob("*.py")])


def name_of(path: Path) -> str:
    """`stores.recall` for memgpt_core/stores/recall.py; '' for the package."""
    parts = list(path.relative_to(CORE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Every module a file imports, anywhere in it, as a dotted name."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} imports relatively"
            module = node.module or ""
            for alias in node.names:
                inner = ROOT.joinpath(*module.split("."), alias.name)
                is_module = module.startswith(("memgpt_core", "pages")) and (
                    inner.with_suffix(".py").is_file() or inner.is_dir()
                )
                yield f"{module}.{alias.name}" if is_module else module


def own(path: Path) -> set[str]:
    return {name.removeprefix("memgpt_core").lstrip(".") for name in imported(path) if name.startswith("memgpt_core")}


MODULES = {name_of(path): own(path) for path in sorted(CORE.rglob("*.py"))}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    here = floor(module)
    for target in MODULES[module]:
        there = floor(target)
        if here is None or there is None:
            assert here is None or there is None
            assert not target or target in ("llm", "embedding", "stores"), f"the package {module} imports {target}"
        elif here == VIEWS:
            assert there in (0, 1, VIEWS), f"a view imports {target}"
        else:
            assert there <= here, f"{module} (floor {here}) imports {target} (floor {there})"


def test_no_two_modules_import_each_other_in_a_ring() -> None:
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a ring: {' -> '.join((*path, module))}"
        if module not in done:
            for target in MODULES.get(module, ()):
                walk(target, (*path, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_a_vendor_has_one_door(vendor: str) -> None:
    allowed = VENDORS[vendor]
    for path in sources():
        if any(name.split(".")[0] == vendor for name in imported(path)):
            where = path.relative_to(ROOT).as_posix()
            assert where in allowed or any(door.endswith("/") and where.startswith(door) for door in allowed), (
                f"{where} imports {vendor}"
            )


def test_the_pure_rooms_touch_no_world() -> None:
    worldly = {"os", "pathlib", "socket", "subprocess", "threading", "time", "random", "shutil", "tempfile", "asyncio"}
    pure = [name for name in MODULES if floor(name) == 1 and not name.startswith(("llm.demo", "embedding"))]
    assert len(pure) > 6
    for module in ("events", "state", *pure):
        path = CORE.joinpath(*module.split(".")).with_suffix(".py")
        assert not worldly & {name.split(".")[0] for name in imported(path)}, module


SHOWN = {
    "jobs",
    "verify",
    "replay",
    "journeys",
    "rerunning",
    "bookmarks",
    "blueprint",
    "embedding.minilm",
    "connection",
    "trial",
    "message_search",
    "search",
    "passages",
    "duplicates",
} | {"edits.passages", "comparing", "documents.extraction", "documents.library", "documents.origins"}
"""What the screens may take of floors 2 and 3: shapes, limits, and readings that are handed what they read."""


def test_the_screens_use_the_doors() -> None:
    for path in [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]:
        for target in own(path):
            if floor(target) in (2, 3):
                assert target in SHOWN, f"{path.name} imports {target}"


def test_the_visible_top_level_is_the_seven() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    seen = {path.split("/")[0] for path in tracked} if tracked else {path.name for path in ROOT.iterdir()}
    visible = {name for name in seen if not name.startswith(".")} - BY_PRODUCT
    assert visible == TOP_LEVEL


def test_every_kind_means_something_and_is_external_or_not() -> None:
    assert set(state._MEANINGS) == set(events.KINDS)
    with_author = {kind for kind, cls in events.KINDS.items() if "author" in cls.model_fields}
    always = set(events._ALWAYS_EXTERNAL)
    assert always <= set(events.KINDS)
    derived = {
        "prompt_built",
        "function_returned",
        "function_asked",
        "message_sent",
        "heartbeats_paused",
        "pressure_warned",
        "truncation_suspected",
        "queue_flushed",
        "recall_searched",
        "archival_searched",
        "hits_placed",
    }
    # A new kind must be put on one side by hand.
    assert set(events.KINDS) == always | with_author | derived | {"turn_ended"}
    assert not derived & (always | with_author)


MACHINE = re.compile(r"(?<![\w.])/(?:work|root|tmp/w|home/\w+)(?:/|\b)")
# In pieces, so that this file does not name what it forbids.
REGISTRY = re.compile(
    "|".join(("pypi" + r"\.org", "pythonhosted", "conda" + r"\.anaconda", "npm" + "js", "index" + "-url"))
)
TEXT = {".py", ".toml", ".md", ".txt", ".ini", ".cfg", ".jsonl", ".json", ".css", ".yml", ".yaml", ""}


def project_files() -> list[Path]:
    skipped = {".git", ".venv", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache", "output"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts) and path.suffix in TEXT
    ]


def test_no_file_names_a_machine_or_a_registry() -> None:
    files = project_files()
    assert len(files) > 60
    for path in files:
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for pattern in (MACHINE, REGISTRY):
            found = pattern.search(text)
            where = path.relative_to(ROOT)
            assert found is None, f"{where}: {found and text[max(0, found.start() - 30) : found.end() + 30]!r}"


def test_a_wide_except_raises_again_or_gives_its_reason() -> None:
    for path in sources():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in nodes(path):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"bare"}
            if caught & {"bare", "Exception", "BaseException"}:
                again = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                reason = re.search(r"noqa: BLE001\s+\(.{15,}\)", lines[node.lineno - 1])
                assert again or reason, (
                    f"{path.relative_to(ROOT)}:{node.lineno} catches everything and does not say why"
                )


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_has_a_name_and_says_its_job(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    said = ast.get_docstring(module) or ""
    assert len(said) > 20, "a module says what it does"


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_branches_on_the_class_of_an_event(path: Path) -> None:
    classes = {cls.__name__ for cls in events.KINDS.values()}
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
            asked |= {name.attr for name in ast.walk(node.args[1]) if isinstance(name, ast.Attribute)}
            assert not asked & classes, f"line {node.lineno}"
