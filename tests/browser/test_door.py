"""The server's door: only this machine's own names are let in."""

import http.client
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.browser


def _upgrade(port: int, host: str, origin: str) -> int:
    """The status a WebSocket handshake gets."""
    door = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    door.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in (
        ("Host", host),
        ("Origin", origin),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ):
        door.putheader(name, value)
    door.endheaders()
    status = door.getresponse().status
    door.close()
    return status


def test_a_foreign_host_and_a_foreign_origin_are_refused(serve: Callable) -> None:
    port = serve().port
    own = f"127.0.0.1:{port}"
    assert _upgrade(port, own, f"http://{own}") == 101
    assert _upgrade(port, f"localhost:{port}", f"http://localhost:{port}") == 101
    assert _upgrade(port, own, "http://evil.example") == 403
    # A rebound name: both headers agree, and still it is none of ours.
    assert _upgrade(port, f"evil.example:{port}", f"http://evil.example:{port}") in (400, 403)
