"""What the README says is so: its commands are the ones CI runs, its map names every module, its pictures exist."""

import re
from pathlib import Path

import pytest

from memgpt_core.__main__ import main
from memgpt_core.embedding.minilm import COMMAND
from memgpt_core.home import SAMPLES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.+?)```", README, flags=re.DOTALL)


def test_one_command_starts_and_one_tests() -> None:
    start, test = shell_blocks()[:2]
    assert start.strip().endswith("streamlit run app.py")
    assert "-r tests/requirements.txt" in test
    assert test.strip().endswith("-m pytest")
    assert len(start.strip().splitlines()) == len(test.strip().splitlines()) == 1


def test_ci_runs_the_readmes_test_command_last() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    last = script.strip().splitlines()[-1]
    assert last.startswith("eval")
    assert "README.md" in last
    assert "<!-- test command -->\n```sh\n" in README
    for gate in ("ruff check", "ruff format --check", "mypy memgpt_core", "chromium"):
        assert gate in script


def test_the_optional_model_is_installed_alike_everywhere() -> None:
    command = f".venv/bin/{COMMAND}".replace("&& pip", "&& .venv/bin/pip")
    assert command in README.replace("install -q", "install")
    wheel = COMMAND.partition(" && ")[0]
    assert f".venv/bin/{wheel}" in (ROOT / ".ci" / "run").read_text().replace("install -q", "install")
    beside = COMMAND.rpartition("install ")[2].split()
    listed = (ROOT / "tests" / "requirements.txt").read_text()
    assert all(re.search(rf"^{package}~=", listed, flags=re.MULTILINE) for package in beside)


def test_the_map_names_every_module_and_nothing_else() -> None:
    rooms = README.split("### The rooms")[1].split("## On the command line")[0]
    named = set(re.findall(r"`([\w./]+)`", rooms.split("Read in this order")[0]))
    there = {path.name for path in (ROOT / "memgpt_core").glob("*.py") if path.name != "__init__.py"}
    there |= {f"{path.name}/" for path in (ROOT / "memgpt_core").iterdir() if (path / "__init__.py").is_file()}
    assert named == there | {"app.py", "pages/"}


def test_every_sample_and_picture_the_readme_shows_is_there() -> None:
    samples = {path.parent.name for path in SAMPLES.glob("*/run.jsonl")}
    assert samples == set(re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE))
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_every_command_the_readme_names_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"-m memgpt_core (\w+)", README))
    with pytest.raises(SystemExit):
        main(["--help"])
    helped = capsys.readouterr().out
    assert named
    assert all(re.search(rf"^\s+{name}\s", helped, flags=re.MULTILINE) for name in named)
