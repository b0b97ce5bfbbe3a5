"""Redaction: what is found in a text, and that a redacted bundle holds none of it and is still an agent."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core.blueprint import Blueprint
from memgpt_core.bookmarks import Bookmarks
from memgpt_core.events import (
    BlockDefined,
    FunctionReturned,
    MessageSent,
    NoteWritten,
    WorkingContextEdited,
    decode,
)
from memgpt_core.home import Home
from memgpt_core.interchange import sealed
from memgpt_core.interchange.bundle import export_bundle, import_bundle
from memgpt_core.interchange.patterns import NAMED, cover
from memgpt_core.interchange.redact import NO_DIGEST, Redaction, RedactionRefused, Redactor
from memgpt_core.settings import AgentSettings
from memgpt_core.stores.vectors import text_hash
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, call, reply, say

LONG_S = 20.0

EMAIL = "ada.lovelace+x@mail.example.org"
PHONE = "+44 20 7946 0958"
URL = "https://intranet.example.org/people?id=7#top"
IBAN = "DE89 3704 0044 0532 0130 00"
CARD = "4111 1111 1111 1111"
IP = "192.168.17.4"
IP6 = "2001:db8::ff00:42:8329"
SECRETS = (EMAIL, PHONE, URL, IBAN, CARD, IP, IP6)
ALL = tuple(NAMED)

FOUND: list[tuple[str, str]] = [
    ("email", EMAIL),
    ("email", "zoë@müller.example"),
    ("phone", PHONE),
    ("phone", "(415) 555-0123"),
    ("phone", "415-555-0123"),
    ("phone", "+49 (0)170 1234567"),
    ("phone", "+491701234567"),
    ("phone", "0170 1234567"),
    ("phone", "4155550123"),
    ("url", URL),
    ("url", "www.example.org/x"),
    ("iban", IBAN),
    ("iban", "DE89370400440532013000"),
    ("iban", "gb29nwbk60161331926819"),
    ("card", CARD),
    ("card", "4111-1111-1111-1111"),
    ("card", "4111111111111111 12"),
    ("ip", IP),
    ("ip", IP6),
]

LEFT = [
    ("phone", "on 2024-01-01 at 10:22:33"),
    ("phone", "24.12.2023, 2019-2023"),
    ("phone", "I was born in 1980 and have 12 cats, 3.14 is pi"),
    ("email", "meet @ noon, user@localhost"),
    ("url", "a: b, http and www"),
    ("card", "1234 5678 9012 and 1234567890"),
    ("ip", "at 10:22:33, version 1.2.3, 300.1.1.1, std::vector, ::"),
    ("iban", "GR88, a house in NY10 0011"),
]


def redacted(text: str, *names: str) -> str:
    return Redactor(Redaction(names), []).text(text)


@pytest.mark.parametrize(("name", "secret"), FOUND)
def test_a_pattern_finds_its_kind(name: str, secret: str) -> None:
    assert redacted(f"so: {secret}, she said.", name) == f"so: [redacted:{name}], she said."
    assert redacted(secret, name) == f"[redacted:{name}]"


@pytest.mark.parametrize(("name", "text"), LEFT)
def test_a_pattern_leaves_other_things(name: str, text: str) -> None:
    assert redacted(text, name) == text


def test_a_phone_number_behind_a_date_is_found() -> None:
    assert "555" not in redacted("since 2024-01-01 415 555 0123", "phone")


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "1 " * 100_000, "1" * 100_000, "a.b-" * 50_000, "::" * 50_000, "+1-" * 50_000]
)
def test_no_text_takes_for_ever(text: str) -> None:
    """Each would take minutes with an expression that goes back over what it read."""
    assert isinstance(redacted(text, *ALL), str)


@given(st.text(st.sampled_from('ab1 +-.:@/()[]{}"\\0é'), max_size=60))
def test_spans_are_in_order_and_within_the_text(text: str) -> None:
    at = 0
    for (start, end), name in cover(tuple(NAMED.values()), text):
        assert at <= start < end <= len(text)
        assert name in NAMED
        at = end


def test_json_in_a_text_is_looked_into() -> None:
    inner = json.dumps({"to": "see\nada@example.org", "say": 'a "quote"', "n": [4155550123, True, 1.5]}).replace(
        "@", "\\u0040"
    )
    found = redacted(inner, "email", "phone")
    assert json.loads(found) == {
        "to": "see\n[redacted:email]",
        "say": 'a "quote"',
        "n": ["[redacted:phone]", True, 1.5],
    }
    untouched = '{"a" :  1}'
    assert redacted(untouched, "email") == untouched


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Redaction(("faces",)), "There is no pattern 'faces'. Patterns: email, "),
        (Redaction(own={"x": "("}), "The expression 'x' is none"),
        (Redaction(own={"a b": "x"}), "'a b' cannot stand"),
        (Redaction(blocks=("ghost",)), "There never was a block 'ghost'. Blocks: none"),
    ],
)
def test_a_wish_that_cannot_be_met_is_a_sentence(wish: Redaction, says: str) -> None:
    with pytest.raises(RedactionRefused) as error:
        Redactor(wish, [])
    assert str(error.value).startswith(says)


# --- a whole agent ----------------------------------------------------------------------------------------------------


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[tuple[Home, Workspace]]:
    """(a home, an agent that was told everything)."""
    arguments = {"label": "human", "content": "Her name is Countess Lovelace."}
    broken = call("core_memory_append").model_copy(update={"arguments": '{"label": "human", "content": "Her gran'})
    script = [
        reply(call("core_memory_append", heartbeat=True, **arguments)),
        reply(call("archival_memory_insert", heartbeat=True, content=f"card {CARD}", tags=["bank", EMAIL])),
        reply(call("note_write", heartbeat=True, name=f"call {PHONE}", text=f"or write to {EMAIL}")),
        reply(call("conversation_search", heartbeat=True, query=EMAIL)),
        reply(call("lookup", heartbeat=True, phone=442079460958, **{EMAIL: [IBAN, {"x": URL}]})),
        reply(broken),
        say(f"I wrote to {EMAIL}; you live at {IP}."),
    ]
    home = Home(
        tmp_path / "home", clock=FakeClock(), models={"demo": ScriptedModel(*script, then=say("ok"))}, timer=False
    )
    blueprint = Blueprint(name="Countess Lovelace", settings=AgentSettings(embedder="hashing"))
    ws = home.open(home.create(blueprint))
    for text in (
        f"My mail is {EMAIL}, my phone {PHONE}.",
        f"My bank: {IBAN}, {CARD}",
        f"See {URL} on {IP} or {IP6}",
        "Fine.",
    ):
        ws.send(text)
        assert ws.wait_idle(LONG_S)
    ws.edits.edit_block(
        "human", f"Her name is Countess Lovelace.\nReach her at {EMAIL}.", based_on=ws.state().blocks["human"].seq
    )
    ws.edits.rename_block("human", "person", based_on=ws.state().blocks["human"].seq)
    Bookmarks(ws.folder).add(6, f"she gave {EMAIL}")
    assert ws.projections.flush()
    yield home, ws
    home.close()


def unpacked(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


WISH = Redaction(ALL, {"name": "Countess|Lovelace"}, ("person",))


def test_none_of_it_is_in_the_bundle(lives: tuple[Home, Workspace], tmp_path: Path) -> None:
    _, ws = lives
    whole = export_bundle(ws, tmp_path / "whole.memscope")
    hidden = export_bundle(ws, tmp_path / "hidden.memscope", None, WISH)
    members = unpacked(whole.path)
    everything = (*SECRETS, "Countess", "lovelace", "Her name is", "442079460958", text_hash(f"card {CARD}"))
    clear = b"\n".join(members.values())
    for secret in everything[:-1]:
        assert secret.encode() in clear, f"{secret} is not in the lossless bundle, so that this test says nothing"
    assert bytes.fromhex(everything[-1]) in clear
    found = b"\n".join(unpacked(hidden.path).values())
    for secret in everything:
        assert secret.encode().lower() not in found.lower(), secret
        assert json.dumps(secret)[1:-1].encode() not in found
    assert bytes.fromhex(everything[-1]) not in found
    for event in map(decode, members["run.jsonl"].splitlines()):
        digest = getattr(event, "sha256", "")
        assert not digest or digest.encode() not in found


def test_a_redacted_bundle_is_an_agent(lives: tuple[Home, Workspace], tmp_path: Path) -> None:
    _, ws = lives
    made = export_bundle(ws, tmp_path / "hidden.memscope", None, WISH)
    other = Home(tmp_path / "other", clock=FakeClock(), models={"demo": ScriptedModel(then=say("ok"))}, timer=False)
    try:
        agent = import_bundle(other, made.path)
        taken = other.open(agent)
        assert agent == "redacted"
        assert taken.state().name == "[redacted:name] [redacted:name]"
        assert taken.verify() == []
        assert taken.last_seq == ws.last_seq
        assert taken.state().blocks["person"].value == "[redacted:person]"
        assert taken.state().blocks["persona"].value == ws.state().blocks["persona"].value
        assert [entry.id for entry in taken.state().queue] == [entry.id for entry in ws.state().queue]
        assert [note for note in taken.state().notes] == ["call [redacted:phone]"]
        built = [event for event in taken.events(1) if event.kind == "prompt_built"]
        assert {event.sha256 for event in built} == {NO_DIGEST}
        taken.send("Still there?")
        assert taken.wait_idle(LONG_S)
        assert taken.events(taken.last_seq)[0].kind == "turn_ended"
        assert not taken.state().faults
        with pytest.raises(Exception, match="here already"):
            import_bundle(other, made.path)
    finally:
        other.close()


def test_the_report_counts_and_shows_nothing(lives: tuple[Home, Workspace], tmp_path: Path) -> None:
    _, ws = lives
    made = export_bundle(ws, tmp_path / "hidden.memscope", None, Redaction(("email", "iban"), {"never": "qqq"}))
    assert made.redacted is not None
    report = {one.name: (one.replacements, one.events) for one in made.redacted}
    lines = unpacked(made.path)["run.jsonl"].splitlines()
    with_email = [line for line in lines if b"[redacted:email]" in line]
    notes = unpacked(made.path)["notes.jsonl"]
    count = sum(line.count(b"[redacted:email]") for line in lines) + notes.count(b"[redacted:email]")
    assert report["email"] == (count, len(with_email))
    assert report["iban"][0] >= 2
    assert report["never"] == (0, 0)
    manifest = json.loads(unpacked(made.path)[sealed.MANIFEST])
    assert {one["name"]: (one["replacements"], one["events"]) for one in manifest["redacted"]} == report
    assert not any(secret in note for note in made.notes() for secret in SECRETS)


def test_what_was_not_touched_is_the_same(lives: tuple[Home, Workspace], tmp_path: Path) -> None:
    _, ws = lives
    made = export_bundle(ws, tmp_path / "same.memscope", None, Redaction(own={"never": "qqqq"}))
    lines = unpacked(made.path)["run.jsonl"].splitlines()
    for line, event in zip(lines, ws.events(1), strict=True):
        raw: Any = decode(line)
        assert raw == (event.model_copy(update={"sha256": NO_DIGEST}) if event.kind == "prompt_built" else event)
    assert made.vectors == export_bundle(ws, tmp_path / "whole.memscope").vectors


def test_two_names_stay_two() -> None:
    events = [
        NoteWritten(seq=seq, name=name, text="", author="agent")
        for seq, name in enumerate(("ann@x.org", "bob@x.org", "ann@x.org", "shopping"), 1)
    ]
    hide = Redactor(Redaction(("email",)), events)
    names: list[Any] = [hide.event(event) for event in events]
    assert [event.name for event in names] == ["[redacted:email]", "[redacted:email] 2", "[redacted:email]", "shopping"]


def test_a_block_takes_no_word_or_function_apart() -> None:
    def edited(seq: int, text: str) -> WorkingContextEdited:
        return WorkingContextEdited(seq=seq, block="human", before="", after=text, author="human", based_on=1)

    events = [
        BlockDefined(seq=1, block="human", description="", value="ox", limit_chars=9, author="human"),
        edited(2, "send\nlikes tea"),
        MessageSent(seq=3, text="She likes tea. likes teasing, sends oxen; send"),
        MessageSent(seq=4, text=" ox "),
        FunctionReturned(seq=5, call_id="c", name="send_message", arguments={}, ok=True, value="send", heartbeat=False),
    ]
    hide = Redactor(Redaction(blocks=("human",)), events)
    found: list[Any] = [hide.event(event) for event in events]
    assert (found[0].value, found[1].after) == ("[redacted:human]", "[redacted:human]")
    assert found[2].text == "She [redacted:human]. likes teasing, sends oxen; [redacted:human]"
    assert found[3].text == "[redacted:human]"
    assert (found[4].name, found[4].value) == ("send_message", "[redacted:human]")
