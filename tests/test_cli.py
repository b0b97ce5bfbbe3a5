"""The command line: every command, its exit code, and one sentence when something is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from memgpt_core import __main__ as cli
from memgpt_core import home as home_module
from memgpt_core.blueprint import Blueprint
from memgpt_core.events import decode
from memgpt_core.home import Home
from tests.engine import FakeClock, ScriptedModel, reply, say
from tests.test_workspace import LONG_S

ROOT = Path(__file__).parent.parent
COMMANDS = ("chat", "agents", "rename", "duplicate", "fork", "archive", "delete", "verify", "rerun", "counterfactual")
COMMANDS += ("rebuild", "show", "share", "export", "import", "bench")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one agent that has had one turn; no samples."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MEMSCOPE_HOME", str(folder))
    monkeypatch.setenv("MEMSCOPE_DEMO_PACE", "0")
    for module in (home_module, cli):
        monkeypatch.setattr(module, "SAMPLES", tmp_path / "samples")
    made = Home(folder, clock=FakeClock(), models={"demo": ScriptedModel(then=say("hello back"))}, timer=False)
    ws = made.open(made.create(Blueprint(name="Ada", about="a test")))
    ws.send("hello there")
    assert ws.wait_idle(LONG_S)
    made.close()
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: exit code, output, errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def log_of(home: Path) -> Path:
    return home / "agents" / "ada" / "run.jsonl"


def events_of(home: Path) -> int:
    return len(log_of(home).read_bytes().splitlines())


# --- help and mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python -m memgpt_core")
    if arguments == ["--help"]:
        assert all(command in said for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["show"], ["verify"], ["show", "x", "--from", "many"]])
def test_a_command_that_is_none_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chat", "nobody", "--say", "hi"], "There is no agent 'nobody'. Agents: ada."),
        (["verify", "nobody"], "There is no agent 'nobody'. Agents: ada."),
        (["rebuild", "nobody"], "There is no agent 'nobody'. Agents: ada."),
        (["rename", "nobody", "x"], "There is no agent 'nobody'. Agents: ada."),
        (["rename", "ada", " "], "An agent needs a name."),
        (["fork", "ada", "99", "x"], "There is no event 99 to fork from: the log has events 1 to "),
        (["counterfactual", "ada", "9"], "There is no turn 9: this agent has turns 1 to 1."),
        (["counterfactual", "ada", "1", "--without", "tea"], "'tea' is no block:LABEL, message (m12) or passage (p4)."),
        (["duplicate", "nobody", "x"], "There is no agent 'nobody'. Agents: ada."),
        (["archive", "nobody"], "There is no agent 'nobody'. Agents: ada."),
        (["delete", "nobody", "--yes"], "There is no agent 'nobody'. Agents: ada."),
        (["show", "nobody"], "There is no recording 'nobody'"),
        (["rerun", "nobody"], "There is no recording 'nobody'"),
        (["bench", "nothing"], "There is no benchmark 'nothing'"),
        (["chat", "ada", "--say", " "], "The message is empty"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_1(home: Path, run: Run, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"memscope: {says}")
    assert err.count("\n") == 1


def test_a_home_that_is_in_use_is_one_sentence(home: Path, run: Run) -> None:
    held = Home(home, timer=False)
    try:
        for arguments in (["agents"], ["verify", "ada"], ["delete", "ada", "--yes"], ["chat", "--say", "hi"]):
            code, _, err = run(*arguments)
            assert code == 1
            assert f"is in use by process {os.getpid()}" in err
            assert err.count("\n") == 1
        for arguments in (["show", "ada"], ["rerun", "ada"], ["show", str(log_of(home))]):
            code, out, err = run(*arguments)
            assert (code, err) == (0, ""), "reading a log needs no lock"
            assert out
    finally:
        held.close()


# --- the commands -----------------------------------------------------------------------------------------------------


def test_agents_lists_agents_and_samples(home: Path, run: Run) -> None:
    code, out, _ = run("agents")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("  ada "))
    assert "Ada" in line
    assert f"{events_of(home)} events" in line
    assert "last 2026-03-01" in line
    assert "Samples:" in out


def test_agents_of_an_empty_home(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "new"))
    code, out, _ = run("agents")
    assert code == 0
    assert "none yet" in out


def test_an_agent_whose_log_is_damaged_is_listed_with_the_reason(home: Path, run: Run) -> None:
    log_of(home).write_bytes(b'{"seq":1}\n')
    code, out, _ = run("agents")
    assert code == 0
    assert "Its log cannot be read" in out


def test_chat_says_and_prints_the_answer(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = events_of(home)
    code, out, _ = run("chat", "ada", "--say", "My name is Ana.", "--say", "What is my name?")
    assert code == 0
    answers = [line for line in out.splitlines() if line.startswith("Ada> ")]
    assert len(answers) == 2
    assert "Ana" in answers[1]
    kept = [decode(line) for line in log_of(home).read_bytes().splitlines()]
    said = [event.text for event in kept[before:] if event.kind == "trigger_received" and event.cause == "user"]
    assert said == ["My name is Ana.", "What is my name?"]


def test_chat_reads_lines_until_an_empty_one(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["hello", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    code, out, _ = run("chat")
    assert code == 0
    assert out.startswith("Talking to Ada (ada). An empty line ends.")
    assert "Ada> " in out

    def end(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    assert run("chat")[0] == 0


def test_chat_tells_a_fault_and_fails(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        def __init__(self, **_: object) -> None: ...

        def chat(self, body: object, progress: object) -> object:
            return reply()

    monkeypatch.setattr(home_module, "DemoModel", Empty)
    code, _, err = run("chat", "ada", "--say", "hi")
    assert code == 1
    assert "[fault: The model answered with nothing twice." in err


def test_an_agent_is_renamed_and_keeps_its_line_unless_told(home: Path, run: Run) -> None:
    assert run("rename", "ada", "Lovelace") == (0, "Ada is called Lovelace now. Its id stays ada.\n", "")
    assert run("rename", "ada", "Byron", "--about", "another")[0] == 0
    names = [json.loads(line) for line in log_of(home).read_text().splitlines() if "agent_renamed" in line]
    assert [(event["name"], event["about"]) for event in names] == [("Lovelace", "a test"), ("Byron", "another")]
    assert "  ada                      Byron " in run("agents")[1]


def test_an_agent_is_forked_from_its_past(home: Path, run: Run) -> None:
    code, out, err = run("fork", "ada", "3", "Young Ada")
    assert (code, out.strip()) == (0, "young-ada goes on from event 3 of ada.")
    assert "100.0%" in err
    lines = log_of(home).read_bytes().splitlines(keepends=True)
    fork = (home / "agents" / "young-ada" / "run.jsonl").read_bytes().splitlines(keepends=True)
    assert fork[:3] == lines[:3]
    assert [json.loads(line)["kind"] for line in fork[3:]] == ["run_forked"]
    assert run("verify", "young-ada")[0] == 0
    assert run("chat", "young-ada", "--say", "hello")[0] == 0
    assert run("rerun", "young-ada")[0] == 0


def test_a_turn_is_run_again_with_one_thing_changed(home: Path, run: Run) -> None:
    raw = log_of(home).read_bytes()
    code, out, _ = run("counterfactual", "ada", "1", "--say", "My name is Grace.", "--times", "2")
    assert code == 0
    recorded, first, second = out.split("Generated anew, ")
    assert recorded.startswith("Recorded:\n  > hello back\n")
    assert first.startswith("1 of 2:\n  > Nice to meet you, Grace!")
    assert "  block human: " in first
    assert second.startswith("2 of 2:\n  > Nice to meet you, Grace!")
    code, out, _ = run("counterfactual", "ada", "1", "--change", "block:human", "Name: Lin")
    assert code == 0
    assert run("counterfactual", "ada", "1", "--without", "block:persona")[0] == 0
    assert log_of(home).read_bytes() == raw
    assert sorted(path.name for path in (home / "agents").iterdir()) == ["ada"]


def test_an_agent_is_copied_archived_and_deleted(home: Path, run: Run) -> None:
    events = events_of(home)
    code, out, _ = run("duplicate", "ada", "Second Ada")
    assert (code, out) == (0, f"second-ada is a copy of ada: {events} events and the one that says so.\n")
    assert run("rerun", "second-ada")[0] == 0
    assert run("archive", "second-ada") == (0, "second-ada is archived.\n", "")
    archived = [line for line in run("agents")[1].splitlines() if line.endswith("archived")]
    assert [line.split()[0] for line in archived] == ["second-ada"]
    assert run("archive", "second-ada", "--undo")[0] == 0
    assert not any(line.endswith("archived") for line in run("agents")[1].splitlines())
    code, out, _ = run("delete", "second-ada")
    assert code == 2, "asked first"
    assert out.startswith(f"Second Ada (second-ada) would go: {events + 1} events, ")
    assert (home / "agents" / "second-ada").is_dir()
    code, out, _ = run("delete", "second-ada", "--yes")
    assert code == 0
    assert out.startswith("Second Ada (second-ada) is deleted: ")
    assert not (home / "agents" / "second-ada").exists()
    assert events_of(home) == events


def test_verify_says_so_or_names_the_row(home: Path, run: Run) -> None:
    code, out, _ = run("verify", "ada")
    assert (code, out) == (0, f"The stores hold exactly what the {events_of(home)} events of the log say.\n")
    with duckdb.connect(str(home / "agents" / "ada" / "rows.duckdb")) as con:
        con.execute("UPDATE messages SET text = 'forged' WHERE role = 'user'")
    code, out, _ = run("verify", "ada")
    assert code == 1
    assert "DuckDB, messages, " in out
    assert "`rebuild ada` makes the stores anew" in out
    code, out, err = run("rebuild", "ada")
    assert code == 0
    assert f"made anew from {events_of(home)} events" in out
    assert "100.0%" in err
    assert run("verify", "ada")[0] == 0


def test_rerun_is_identical_or_names_the_event(home: Path, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("rerun", "ada")
    assert (code, out) == (0, f"Identical: {events_of(home)} events came out byte for byte.\n")
    forged = tmp_path / "forged.jsonl"
    forged.write_text(
        log_of(home)
        .read_text()
        .replace('"kind":"message_sent","text":"hello back"', '"kind":"message_sent","text":"forged"')
    )
    code, out, _ = run("rerun", str(forged))
    assert code == 1
    first, recorded, again = out.splitlines()
    assert "is the first that differs" in first
    assert "forged" in recorded
    assert "hello back" in again
    old = tmp_path / "old.jsonl"
    old.write_text(log_of(home).read_text().replace('"engine_version":1', '"engine_version":0'))
    code, out, _ = run("rerun", str(old))
    assert out.startswith("Recorded by engine version 0")


def test_show_prints_an_event_a_line_and_filters(home: Path, run: Run) -> None:
    code, out, _ = run("show", "ada")
    assert code == 0
    assert len(out.splitlines()) == events_of(home)
    assert "user: hello there" in out
    assert max(len(line) for line in out.splitlines()) < 180
    _, out, _ = run("show", "ada", "--from", "2", "--to", "4")
    assert [int(line.split()[0]) for line in out.splitlines()] == [2, 3, 4]
    _, out, _ = run("show", "ada", "--kind", "message_sent", "--kind", "turn_ended")
    assert [line.split()[4] for line in out.splitlines()] == ["message_sent", "turn_ended"]
    _, out, _ = run("show", "ada", "--json")
    assert out == log_of(home).read_text()
    assert all(json.loads(line) for line in out.splitlines())


def test_show_gives_what_it_can_of_a_damaged_log(home: Path, run: Run) -> None:
    with log_of(home).open("ab") as file:
        file.write(b"garbage\nmore garbage\n")
    whole = events_of(home) - 2
    code, out, err = run("show", "ada")
    assert code == 1
    assert len(out.splitlines()) == whole
    assert err.startswith(f"memscope: Line {whole + 1} of the log cannot be read")


def test_bench_lists_what_there_is(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fast.py", "slow.py", "_shared.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr(cli, "BENCHMARKS", tmp_path)
    code, _, err = run("bench", "_shared")
    assert code == 1
    assert "Benchmarks: fast, slow." in err


def test_bench_fails_when_one_of_them_does(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tests" / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "good.py").write_text("print('fine')")
    (folder / "bad.py").write_text("import sys; sys.exit(3)")
    monkeypatch.setattr(cli, "BENCHMARKS", folder)
    assert run("bench", "good")[0] == 0
    assert run("bench")[0] == 3


# --- as a process -----------------------------------------------------------------------------------------------------


def test_a_reader_who_has_seen_enough_is_no_error(home: Path) -> None:
    for unbuffered in ("", "1"):
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        command = [sys.executable, "-m", "memgpt_core", "show", "ada"]
        shown = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        said = shown.stderr.read()
        shown.stderr.close()
        assert (shown.wait(), said) == (0, b""), f"PYTHONUNBUFFERED={unbuffered!r}"


def test_main_leaves_with_its_exit_code(home: Path) -> None:
    command = [sys.executable, "-m", "memgpt_core", "rerun", "nobody"]
    left = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert left.returncode == 1
    assert left.stderr.startswith("memscope: There is no recording 'nobody'")
    assert "Traceback" not in left.stderr


def test_an_interrupt_is_130(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "rerun_file", interrupted)
    assert cli.main(["rerun", "ada"]) == 130
