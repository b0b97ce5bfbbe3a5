"""Starts Memscope servers by forking from a process that has imported everything once.

Reads one JSON line a request: `{"port", "environment", "log"}` starts a server and answers its process id,
`{"stop": pid}` ends one and answers 0. What a server does after its imports is `streamlit run app.py`, as a person
starts it; the imports are most of the two seconds that a start takes. LanceDB is left out: it has threads, which a
fork would lose.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401
import pandas  # noqa: F401
import plotly.graph_objects  # noqa: F401
import streamlit.web.bootstrap  # noqa: F401
from streamlit.web import cli

import memgpt_core.home
import memgpt_core.interchange.incoming

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 20.0

running: set[int] = set()
"""The servers that nobody has stopped; not waited for elsewhere, so that their ids stay theirs."""


def begin(port: int, environment: dict[str, str], log: str) -> int:
    """Fork a server; its process id."""
    pid = os.fork()
    if pid:
        running.add(pid)
        return pid
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for of, to in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(of, to)
        os.environ |= environment
        cli.main(["run", "app.py", "--server.port", str(port)], standalone_mode=False)
    except Exception:  # noqa: BLE001  (the top of a process: it goes to the server's log)
        traceback.print_exc()
    finally:
        # Whatever happens, a server never comes back to read what is meant for the nursery.
        os._exit(0)


def end(pid: int) -> int:
    """Ask a server to stop, as a person does, and wait for it; one that has stopped is left alone."""
    if pid not in running:
        return 0
    running.remove(pid)
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return 0
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return 0


def main() -> None:
    os.chdir(ROOT)
    assert "lancedb" not in sys.modules, memgpt_core.home
    for line in sys.stdin:
        wanted: dict[str, Any] = json.loads(line)
        print(end(wanted["stop"]) if "stop" in wanted else begin(**wanted), flush=True)


if __name__ == "__main__":
    main()
