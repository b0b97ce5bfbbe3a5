"""A stand-in for an Ollama server over real HTTP: plays wire files, misbehaves on demand, or follows a script.

`python -m tests.ollama_stub --port 11434` serves it by hand; `with Stub() as stub` serves it in a test.
"""

from tests.ollama_stub.server import Answer, Gate, Request, Stub, wire, wire_names

__all__ = ["Answer", "Gate", "Request", "Stub", "wire", "wire_names"]
