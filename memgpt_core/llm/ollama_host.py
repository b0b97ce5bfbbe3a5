"""Where the Ollama server is: every spelling of `OLLAMA_HOST` as one base URL.

Pure: is handed the spelling and reads no environment. Follows the server's own rules (`envconfig.Host`), with
one difference: an address to listen on (0.0.0.0, ::) becomes the loopback address a client can call.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from memgpt_core.errors import ConfigurationRefused

DEFAULT_HOST = "http://127.0.0.1:11434"
_PORTS = {"http": 80, "https": 443}
_LISTEN_TO_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def base_url(spelling: str) -> str:
    """The server's URL with scheme and port and without a slash at the end; the default for an empty spelling.

    Raises:
        ConfigurationRefused: the spelling names no address.
    """
    text = spelling.strip().strip("\"'").strip()
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise _refused(spelling, f"'{scheme}' is neither http nor https")
    authority, _, path = rest.partition("/")
    host, port = _host_and_port(spelling, authority)
    path = path.strip("/")
    return f"{scheme}://{host}:{port or (_PORTS[scheme] if found else 11434)}" + (f"/{path}" if path else "")


def _host_and_port(spelling: str, authority: str) -> tuple[str, int | None]:
    if authority.count(":") > 1 and not authority.startswith("["):
        authority = f"[{authority}]"
    try:
        split = urlsplit(f"//{authority}")
        host, port = split.hostname or "127.0.0.1", split.port
    except ValueError as error:
        raise _refused(spelling, str(error)) from None
    if any(character.isspace() for character in host) or "@" in authority:
        raise _refused(spelling, "a host name has neither spaces nor a user name")
    host = _LISTEN_TO_ALL.get(host, host)
    try:
        address = ip_address(host)
    except ValueError:
        return host, port
    return (f"[{address}]" if address.version == 6 else str(address)), port


def _refused(spelling: str, why: str) -> ConfigurationRefused:
    return ConfigurationRefused(
        f"OLLAMA_HOST is '{spelling.strip()}', which is no address ({why}). Write it as 127.0.0.1:11434 or "
        "https://example.org."
    )


def full_name(model: str) -> str:
    """A model's name as the server lists it: with its tag."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def leaves_the_machine(model: str) -> bool:
    """Whether the name says that the model runs in Ollama's cloud and not on the server's machine."""
    tag = full_name(model).rpartition(":")[2]
    return tag == "cloud" or tag.endswith("-cloud")
