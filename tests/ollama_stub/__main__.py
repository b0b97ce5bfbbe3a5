"""Serve the scripted world by hand: `python -m tests.ollama_stub --port 11500`, then OLLAMA_HOST=127.0.0.1:11500."""

import argparse
import threading

from tests.ollama_stub.server import Stub
from tests.ollama_stub.world import CARDS, MISHAPS, World


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.ollama_stub", description=__doc__)
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--gap", type=float, default=0.05, metavar="SECONDS", help="between the pieces of an answer")
    parser.add_argument("--load", type=float, default=2.0, metavar="SECONDS", help="before a model's first answer")
    given = parser.parse_args()
    with Stub(World(gap_s=given.gap, load_s=given.load), port=given.port) as stub:
        print(f"Serving {', '.join(CARDS)} at {stub.host}", flush=True)
        print(f"A message with one of these words goes wrong: {' '.join(MISHAPS)}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
