"""Every kind of line: it comes back as it was, nothing unknown gets in, and old lines load for ever."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core import events
from memgpt_core.events import KINDS, Call, Clip, Event, Hit, Measured, decode, encode, is_external
from memgpt_core.settings import AgentSettings
from memgpt_core.state import fold

# Bytes, because text would be split at the U+2028 inside one of them too.
GOLDEN = (Path(__file__).parent / "logs" / "v1.jsonl").read_bytes().splitlines()

AT = datetime(2026, 3, 1, 9, 30, 15, 250000, tzinfo=UTC)
CLIP = Clip(head_chars=400, tail_chars=200)
MEASURED = Measured(
    tokens=21,
    instructions_tokens=700,
    schemas_tokens=900,
    seconds=1.25,
    prompt_tokens=2100,
    cached_tokens=1800,
    reply_tokens=44,
    served_window=4096,
    load_s=0.5,
    prefill_s=0.25,
    generate_s=0.5,
    total=2,
    hits=(
        Hit(id="m9", score=0.5, words_rank=1, words_score=3.25, vector_rank=2, vector_score=0.75),
        Hit(id="p4", score=0.25),
    ),
    prefetched=3,
    saved_s=0.25,
)
CALL = Call(id="c1", name="send_message", arguments={"message": "Grüße,\n\u2028Ada 🌲", "n": [1, None, {"x": 0.1}]})

FIELDS: dict[str, dict[str, object]] = {
    "agent_created": {
        "agent_id": "ada",
        "name": "Ada",
        "about": "a gardener's memory",
        "engine_version": 1,
        "seed": 7,
        "settings": AgentSettings(functions_off=("archival_memory_delete",)),
        "template_tokens": 6,
        "token_factor": 1.25,
    },
    "agent_configured": {
        "settings": AgentSettings(window_tokens=4096),
        "template_tokens": 6,
        "token_factor": 1.25,
        "author": "human",
    },
    "turn_resumed": {"author": "human"},
    "context_recounted": {"counts": {"instructions": 410, "m9": 12}, "counted_by": "qwen3:4b"},
    "truncation_suspected": {"ours": 5000, "server": 2050, "window_tokens": 4096},
    "instructions_defined": {
        "instructions": "You are Ada.",
        "schemas": ({"type": "function", "function": {"name": "send_message", "default": None}},),
        "measured": MEASURED,
    },
    "block_defined": {
        "block": "human",
        "description": "what is known about the user",
        "value": "Name: Bo",
        "limit_chars": 2000,
        "read_only": True,
        "author": "engine",
        "based_on": 4,
        "before": "persona",
        "origin": "bo/human",
        "reason": "copied",
        "measured": MEASURED,
    },
    "trigger_received": {
        "cause": "user",
        "text": 'My cat is Ru\u0000ß \\ "x"',
        "clip": CLIP,
        "measured": MEASURED,
        "reviews": 1,
    },
    "pressure_warned": {"tokens": 5100, "warn_tokens": 5017, "flush_tokens": 7168, "measured": MEASURED},
    "prompt_built": {
        "purpose": "turn",
        "sections": {"instructions": 700, "messages": 50},
        "counted_by": "qwen3:4b",
        "window_tokens": 8192,
        "limit_tokens": 7168,
        "sha256": "0" * 64,
        "prefix_tokens": 700,
    },
    "model_replied": {
        "purpose": "turn",
        "content": "inner thoughts",
        "thinking": "hm",
        "calls": (CALL, Call(id="c2", name="broken", arguments='{"not json')),
        "done_reason": "length",
        "salvaged": True,
        "calls_dropped": 2,
        "clip": CLIP,
        "measured": MEASURED,
    },
    "function_returned": {
        "call_id": "c1",
        "name": "conversation_search",
        "arguments": {"query": "cat", "page": None},
        "ok": True,
        "value": "Showing 1 of 1",
        "heartbeat": True,
        "holds": ("m5", "p4"),
        "capped": "turn",
        "clip": CLIP,
        "measured": MEASURED,
    },
    "message_sent": {"text": "Hello", "plain": True},
    "heartbeats_paused": {"minutes": 30, "until": datetime(2026, 3, 1, 10, tzinfo=UTC)},
    "stop_requested": {},
    "fault_recorded": {"where": "model", "error": "too long", "overflow": True},
    "queue_flushed": {
        "evicted": ("m5", "m8"),
        "trigger": "flush_mark",
        "strategy": "summarise_recursively",
        "flush_tokens": 7168,
        "tokens_before": 7300,
        "tokens_after": 3600,
        "summary": "Bo has a cat.",
        "summarised_by": "model",
        "covers": 2,
        "measured": MEASURED,
    },
    "working_context_edited": {
        "block": "human",
        "before": "Name: Bo",
        "after": "Name: Bo. Cat: Ruß",
        "author": "agent",
        "based_on": 4,
        "reason": "told so",
        "measured": MEASURED,
    },
    "note_written": {"name": "todo", "text": "ask for the cat's age", "author": "agent"},
    "note_deleted": {"name": "todo", "author": "agent"},
    "archival_inserted": {"text": "Ruß is a cat", "tags": ("cat",), "source": "chat", "author": "agent"},
    "archival_edited": {
        "passage": "p18",
        "text": "Ruß is a black cat",
        "tags": ("cat", "black"),
        "author": "human",
        "based_on": 18,
        "reason": "tidied",
    },
    "archival_deleted": {"passage": "p18", "author": "human", "reason": "twice there"},
    "archival_restored": {
        "passage": "p18",
        "author": "human",
        "text": "Ruß is a cat",
        "tags": ("cat",),
        "reason": "restored to event 20",
    },
    "recall_searched": {
        "query": "cat",
        "roles": ("user", "assistant"),
        "start": "2026-03-01",
        "end": "2026-03-02",
        "page": 0,
        "mode": "words",
        "measured": MEASURED,
    },
    "archival_searched": {
        "query": "cat",
        "tags": ("cat",),
        "start": "2026-03-01",
        "end": "2026-03-02",
        "page": 1,
        "mode": "hybrid",
        "document": "d18",
        "measured": MEASURED,
    },
    "hits_placed": {
        "why": "interleaved",
        "query": "cat",
        "text": "Ruß is a cat",
        "holds": ("p18",),
        "budget_tokens": 400,
        "mode": "words",
        "measured": MEASURED,
    },
    "message_edited": {
        "message": "m5",
        "text": "My cat is Russ",
        "author": "human",
        "based_on": 5,
        "reason": "a slip",
        "clip": CLIP,
        "measured": MEASURED,
    },
    "message_requeued": {
        "message": "m5",
        "text_seq": 23,
        "author": "human",
        "holds": ("p18",),
        "clip": CLIP,
        "measured": MEASURED,
    },
    "message_pinned": {"message": "m5", "pinned": True, "author": "human"},
    "message_deleted": {"message": "m5", "author": "human", "pinned": True},
    "message_restored": {
        "message": "m5",
        "text_seq": 23,
        "queued": True,
        "author": "human",
        "clip": CLIP,
        "measured": MEASURED,
    },
    "block_renamed": {"block": "human", "to": "user", "author": "human", "based_on": 22, "measured": MEASURED},
    "block_deleted": {"block": "user", "author": "human", "based_on": 39},
    "function_asked": {
        "reply": 12,
        "index": 1,
        "call_id": "c2",
        "name": "archival_memory_insert",
        "arguments": {"content": "Ruß"},
    },
    "function_answered": {"call_id": "c2", "allowed": False, "reason": "not that", "author": "import"},
    "agent_renamed": {"name": "Ida", "about": "another line", "author": "import"},
    "run_forked": {
        "agent_id": "ida",
        "name": "Ida",
        "origin": "ada",
        "origin_name": "Ada",
        "origin_seq": 40,
        "author": "import",
    },
    "history_imported": {
        "first": 3,
        "format": "letta v2",
        "source": "sam.af",
        "sha256": "ab" * 32,
        "notes": ("Ein Satz über das, was fehlt.",),
        "conversation": "c-7",
        "title": "Über Gärten",
        "messages": 12,
        "digest": "cd" * 32,
        "ids": {"m4": "D1:3"},
        "author": "human",
    },
    "document_ingested": {
        "document": "d18",
        "name": "Gärten.pdf",
        "media": "application/pdf",
        "title": "Gärten",
        "extract": "Ein Satz über Gärten.",
        "bytes": 90_000,
        "chars": 41_000,
        "pages": 12,
        "passages": 70,
        "sections": 5,
        "raw": "ab" * 32,
        "text": "cd" * 32,
        "manifest": "ef" * 32,
        "extractor": 1,
        "splitter": 2,
        "added": 3,
        "ended": 2,
        "notes": ("Eine Seite hat nur Bilder.",),
        "tags": ("Garten",),
        "author": "human",
    },
    "document_removed": {
        "document": "d18",
        "name": "Gärten.pdf",
        "passages": 71,
        "author": "human",
        "reason": "old",
    },
    "turn_ended": {"reason": "interrupted"},
}
"""Every field of every kind, none at its default, in an order that folds."""


def example(seq: int, kind: str) -> Event:
    event: Event = KINDS[kind](seq=seq, at=AT, session=1, turn=2, step=3, **FIELDS[kind])  # type: ignore[assignment]
    return event


EXAMPLES = [example(seq, kind) for seq, kind in enumerate(FIELDS, 1)]


def test_every_kind_has_an_example_that_sets_every_field() -> None:
    assert set(FIELDS) == set(KINDS)
    for kind, cls in KINDS.items():
        own = set(cls.model_fields) - set(events.Header.model_fields) - {"kind"}
        assert set(FIELDS[kind]) == own, kind


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_round_trip(event: Event) -> None:
    line = encode(event)
    assert "\n" not in line
    assert decode(line) == event
    assert decode(line.encode()) == event
    assert type(decode(line)) is KINDS[event.kind]
    assert encode(decode(line)) == line


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_an_unknown_field_is_refused(event: Event) -> None:
    raw = json.loads(encode(event)) | {"surprise": 1}
    with pytest.raises(ValueError, match="surprise"):
        decode(json.dumps(raw))


def test_an_unknown_field_inside_is_refused() -> None:
    raw = json.loads(encode(next(event for event in EXAMPLES if event.kind == "instructions_defined")))
    raw["measured"]["surprise"] = 1
    with pytest.raises(ValueError, match=r"measured\.surprise"):
        decode(json.dumps(raw))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"kind":"memory_dreamed","seq":1}', "unknown kind memory_dreamed"),
        ('{"seq":1}', "kind"),
        ("[1]", "object"),
        ("", "JSON"),
        ('{"kind":"stop_requested"', "JSON"),
        ('{"kind":"message_sent"}', "text"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(line)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_stays_on_one_line_and_comes_back(text: str) -> None:
    line = encode(events.MessageSent(seq=1, text=text))
    assert b"\n" not in line.encode()
    assert decode(line).text == text  # type: ignore[union-attr]


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EXAMPLES[0].seq = 9


def test_external_by_author_and_reason() -> None:
    edit = next(event for event in EXAMPLES if event.kind == "working_context_edited")
    ended = next(event for event in EXAMPLES if event.kind == "turn_ended")
    assert not is_external(edit)
    assert is_external(edit.model_copy(update={"author": "human"}))
    assert is_external(ended)
    assert not is_external(ended.model_copy(update={"reason": "yielded"}))


# --- old lines always load ------------------------------------------------------------------------------


def test_the_golden_log_holds_every_kind_and_loads_for_ever() -> None:
    loaded = [decode(line) for line in GOLDEN]
    assert {event.kind for event in loaded} == set(KINDS), "append a line of the new kind; never change an old one"
    assert [event.seq for event in loaded] == list(range(1, len(GOLDEN) + 1))
    assert fold(loaded).seq == len(GOLDEN)


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: json.loads(line)["kind"])
def test_a_golden_line_says_what_it_always_said(line: bytes) -> None:
    said = events.upgrade(json.loads(line))
    says = json.loads(encode(decode(line)))
    assert _holds(says, said)


def _holds(says: object, said: object) -> bool:
    """Whether everything that was said is still said; newer fields may stand beside it."""
    if isinstance(said, dict):
        return isinstance(says, dict) and all(_holds(says.get(field), value) for field, value in said.items())
    return says == said


def _sent_was_told(raw: dict[str, object]) -> dict[str, object]:
    if raw["kind"] != "message_told":
        return raw
    return {**raw, "kind": "message_sent"}


def _text_was_words(raw: dict[str, object]) -> dict[str, object]:
    if "words" not in raw:
        return raw
    return {"text" if field == "words" else field: value for field, value in raw.items()}


def test_upgrades_run_in_order_and_leave_present_lines_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    old = '{"kind":"message_told","seq":3,"at":"2026-03-01T09:30:15Z","session":1,"turn":1,"step":1,"words":"hi"}'
    with pytest.raises(ValueError, match="unknown kind message_told"):
        decode(old)
    monkeypatch.setattr(events, "UPGRADES", [_sent_was_told, _text_was_words])
    loaded = decode(old)
    assert (loaded.kind, loaded.text, loaded.seq) == ("message_sent", "hi", 3)  # type: ignore[union-attr]
    for event in EXAMPLES:
        assert decode(encode(event)) == event
    with pytest.raises(ValueError, match="unknown kind memory_dreamed"):
        decode('{"kind":"memory_dreamed","seq":1}')
    with pytest.raises(ValueError, match=r"Expecting|delimiter|JSON"):
        decode('{"kind":"message_sent"')
