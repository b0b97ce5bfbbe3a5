"""Conversation files of other tools: what each format says, what is wrong with a bad one, and there and back again.

The files in `conversations/` are written by hand after the published schemas.
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.events import Call
from memgpt_core.interchange import records as record_files
from memgpt_core.interchange.conversations import detect, read
from memgpt_core.interchange.exporting import NOBODY, openai_record, sharegpt_record
from memgpt_core.interchange.records import ImportRefused, layout_of, records
from memgpt_core.interchange.sessions import Message, Session, moment

SAMPLES = Path(__file__).parent / "conversations"


def sessions(path: Path) -> list[Session]:
    return [session for record in read(path, detect(path)) for session in record.sessions]


def faults(path: Path) -> list[tuple[int, str]]:
    return [(record.number, record.why) for record in read(path, detect(path)) if record.why]


def said(session: Session) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in session.messages]


# --- each format --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("openai.jsonl", ("openai", "lines")),
        ("openai_tools.jsonl", ("openai", "lines")),
        ("openai_lines.jsonl", ("openai_lines", "lines")),
        ("sharegpt.json", ("sharegpt", "list")),
        ("chatgpt.json", ("chatgpt", "list")),
        ("claude.json", ("claude", "list")),
        ("locomo.json", ("locomo", "list")),
    ],
)
def test_a_format_is_told_by_what_is_in_the_file(name: str, found: tuple[str, str], tmp_path: Path) -> None:
    other = tmp_path / "something.bin"
    other.write_bytes((SAMPLES / name).read_bytes())
    assert detect(other) == found
    # Indented, or as objects in a row, it is the same.
    values = [record.value for record in records(other, layout_of(other))]
    other.write_text("\n".join(json.dumps(value, indent=1) for value in values))
    assert detect(other) == (found[0], "objects")
    assert [one.sessions for one in read(other, detect(other))] == [
        one.sessions for one in read(SAMPLES / name, detect(SAMPLES / name))
    ]


def test_openai_chats() -> None:
    trip, cat = sessions(SAMPLES / "openai.jsonl")
    assert (trip.key, trip.at) == ("trip-1", datetime(2024, 3, 2, 10, tzinfo=UTC))
    assert said(trip)[:2] == [
        ("system", "You are a travel agent."),
        ("user", "I live in Oslo and want to see the sea."),
    ]
    assert said(cat) == [("user", "What is this?\n[image url]"), ("assistant", "A cat.")]
    assert cat.messages[1].at == datetime(2024, 3, 3, 10, 0, 5, tzinfo=UTC)


def test_openai_chats_with_calls() -> None:
    (weather,) = sessions(SAMPLES / "openai_tools.jsonl")
    _, asked, paris, rome, _ = weather.messages
    assert [(call.id, call.name, call.arguments) for call in asked.calls] == [
        ("call_a", "get_weather", {"city": "Paris"}),
        ("call_b", "get_weather", {"city": "Rome"}),
    ]
    assert [(one.call_id, one.function, one.text) for one in (paris, rome)] == [
        ("call_a", "get_weather", "18 degrees"),
        ("call_b", "get_weather", "24 degrees"),
    ]


def test_openai_messages_one_a_line() -> None:
    pieces = sessions(SAMPLES / "openai_lines.jsonl")
    assert [piece.key for piece in pieces] == ["b", "a", "a", "b"]
    assert all(piece.piece for piece in pieces)


def test_sharegpt() -> None:
    first, second = sessions(SAMPLES / "sharegpt.json")
    assert said(first) == [
        ("system", "Be brief."),
        ("user", "Add 2 and 3."),
        ("assistant", ""),
        ("tool", "5"),
        ("assistant", "It is 5."),
    ]
    (call,) = first.messages[2].calls
    assert (call.name, call.arguments, first.messages[3].call_id) == ("add", {"a": 2, "b": 3}, call.id)
    assert second.key == "s2"


def test_chatgpt_follows_the_branch_that_was_shown_and_leaves_hidden_nodes_out() -> None:
    (trip,) = sessions(SAMPLES / "chatgpt.json")
    assert (trip.key, trip.title) == ("c-1", "Trip to Rome")
    assert said(trip) == [
        ("user", "[image asset pointer: file-service://file-abc]\nWhich church is this?"),
        ("assistant", ""),
        ("tool", "Basilica of St Peter"),
        ("assistant", "It is St Peter's."),
    ]
    asked, result, answer = trip.messages[1:]
    assert (asked.calls[0].name, asked.calls[0].arguments) == ("browser", {"input": 'search("church Rome dome")'})
    assert (result.call_id, result.function) == (asked.calls[0].id, "browser")
    assert answer.thoughts == "The dome gives it away."
    assert answer.at == datetime.fromtimestamp(1700000010, UTC)


def test_claude_with_a_tool_and_files() -> None:
    (bread,) = sessions(SAMPLES / "claude.json")
    assert said(bread) == [
        ("user", "How long does dough rest?\n[file: recipe.txt]\n500 g flour"),
        ("assistant", "Let me look."),
        ("tool", "60 minutes"),
        ("assistant", "One hour.\n[file: photo.png]"),
    ]
    assert bread.messages[1].thoughts == "Probably an hour."
    assert (bread.messages[2].call_id, bread.messages[2].function) == ("tu-1", "web_search")


def test_locomo_has_two_people_dates_ids_and_captions() -> None:
    first, second = sessions(SAMPLES / "locomo.json")
    assert (first.key, first.speakers, first.at) == (
        "conv-1/session_1",
        ("Ann", "Ben"),
        datetime(2023, 5, 8, 13, 56, tzinfo=UTC),
    )
    assert [(one.role, one.speaker, one.id) for one in first.messages] == [
        ("user", "Ann", "D1:1"),
        ("assistant", "Ben", "D1:2"),
    ]
    assert first.messages[0].text == "I adopted a dog yesterday! [shares a photo: a photo of a small brown dog]"
    assert said(second)[0] == ("assistant", "How is the dog?")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2024-01-02 03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("12:05 am on 1 January, 2022", datetime(2022, 1, 1, 0, 5, tzinfo=UTC)),
        ("12:05 pm on 31 December, 2022", datetime(2022, 12, 31, 12, 5, tzinfo=UTC)),
        ("9:05 am on 31 February, 2022", None),
        ("soon", None),
        (-5, None),
        (True, None),
        (1e300, None),
        (None, None),
    ],
)
def test_times_as_files_write_them(written: Any, meant: datetime | None) -> None:
    assert moment(written) == meant


# --- bad input ----------------------------------------------------------------------------------------------------

GOOD = b'{"messages": [{"role": "user", "content": "hello"}]}'


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"  \n ", "is empty"),
        (b"\xff\xfe[\x00", "not UTF-8"),
        ("[]".encode("utf-16-le"), "byte 1 is 0"),
        (b"PK\x03\x04zip", "archive"),
        (b"hello", "no JSON: it begins with 'hello'"),
        (b'[{"a": 1}, {"b": 2}]', "fields 'a'"),
        (b"[]", "holds no records"),
        (b"[1, 2]", "Record 1 is no JSON object"),
    ],
)
def test_a_file_that_cannot_be_taken_says_why(data: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ImportRefused, match=sentence):
        detect(path)


BAD: list[tuple[bytes, str]] = [
    (b'{"messages": [{"role": "user", "content": "x"}', "is not JSON (byte "),
    (b'{"messages": [{"role": "user", "content": "\xe4"}]}', "is not UTF-8 (byte "),
    (b'{"messages": [{"role": "user", "content": "\x00"}]}', "is not JSON (byte "),
    (b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "is nested"),
    (b'{"messages": [{"role": "wizard", "content": "x"}]}', "role 'wizard'"),
    (b'{"messages": [{"role": "user", "content": 7}]}', "no list of objects as its content"),
    (b'{"messages": "x"}', "no list of objects as its messages"),
    (b'{"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}', "without the function's name"),
    (b'{"messages": [], "n": ' + b"9" * 5000 + b"}", "a number too long"),
    (b"7", "is no JSON object"),
]


@pytest.mark.parametrize(("line", "sentence"), BAD)
def test_a_bad_line_is_named_and_harms_no_other(line: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\n".join([GOOD, line, b"", GOOD]))
    assert [number for number, _ in faults(path)] == [2]
    assert sentence in faults(path)[0][1]
    assert len(sessions(path)) == 2


@pytest.mark.parametrize(("line", "sentence"), BAD[1:])
def test_a_bad_record_of_a_list_harms_no_other(line: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"[" + b", ".join([GOOD, line, GOOD]) + b"]\n")
    assert [number for number, _ in faults(path)] == [2]
    assert sentence in faults(path)[0][1]
    assert len(sessions(path)) == 2


def test_the_byte_in_a_sentence_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    line = b'{"messages": [{"role": "user", "content": "\xc3\xa4\xe4"}]}'
    path.write_bytes(GOOD + b"\n" + line)
    place = len(GOOD) + 1 + line.index(b"\xe4")
    assert f"byte {place}: 0xe4" in faults(path)[0][1]
    assert path.read_bytes()[place] == 0xE4


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"[" + GOOD + b", " + GOOD[:-9], "inside record 2: it is cut off"),
        (b"[" + GOOD + b", ", "after record 1: it is cut off"),
        (b"[" + GOOD + b'] {"a": "', "inside record 2: it is cut off"),
        (b"[" + GOOD + b"]]", "never opened"),
    ],
)
def test_a_list_that_is_cut_off_is_refused(data: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ImportRefused, match=sentence):
        sessions(path)


def test_a_record_that_is_too_large_is_skipped_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "MAX_RECORD_BYTES", 3000)
    monkeypatch.setattr(record_files, "CHUNK_BYTES", 1000)
    large = json.dumps({"messages": [{"role": "user", "content": "y" * 40} for _ in range(400)]}).encode()
    path = tmp_path / "file"
    for data in (b"\n".join([GOOD, large, GOOD]), b"[" + b",\n".join([GOOD, large, GOOD]) + b"]"):
        path.write_bytes(data)
        assert faults(path) == [(2, "is larger than 0 MB")]
        assert len(sessions(path)) == 2


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (GOOD + b"\n" + GOOD, b"[" + GOOD + b"," + GOOD + b"]"):
        path.write_bytes(b"\xef\xbb\xbf" + data)
        assert len(sessions(path)) == 2
        assert faults(path) == []


def chatgpt_with(**changes: Any) -> dict[str, Any]:
    record = json.loads((SAMPLES / "chatgpt.json").read_text())[0]
    for node, parent in changes.items():
        record["mapping"][node]["parent"] = parent
    return dict(record)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n2": "n7"}, "its own ancestor"),
        ({"n5": "gone"}, "parent 'gone' is not in"),
        ({"n7": "n7"}, "its own ancestor"),
    ],
)
def test_a_tree_that_is_none_is_refused_by_record(changes: dict[str, str], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps([chatgpt_with(), chatgpt_with(**changes)]))
    assert [number for number, _ in faults(path)] == [2]
    assert sentence in faults(path)[0][1]


def test_a_current_node_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps([{**chatgpt_with(), "current_node": "elsewhere"}]))
    assert "'elsewhere'" in faults(path)[0][1]


def test_halves_of_surrogates_and_nul_come_out_as_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"messages": [{"role": "user", "content": "a\\ud800b\\u0000c"}]}')
    assert said(sessions(path)[0]) == [("user", "a\ufffdb\x00c")]


def test_reading_goes_on_from_the_byte_where_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_files, "CHUNK_BYTES", 64)
    for name in ("sharegpt.json", "openai.jsonl", "chatgpt.json"):
        path, found = SAMPLES / name, detect(SAMPLES / name)
        whole = list(read(path, found))
        for at, record in enumerate(whole, 1):
            assert list(read(path, found, start=record.end, number=record.number)) == whole[at:]


# --- there and back again -----------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NAMES = st.text(st.sampled_from("abcdefgh_-19"), min_size=1, max_size=8)
TIMES = st.integers(10**9, 1_890_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def conversations(draw: Any, *, calls: bool = True, speaks_first: bool = True) -> Session:
    """A conversation as any of the formats could hold it."""
    messages = [Message("user", draw(TEXTS), draw(TIMES), id="m0")]
    for number in range(draw(st.integers(0, 4))):
        at, id = draw(TIMES), f"m{len(messages)}"
        if calls and draw(st.booleans()):
            call = Call(id=f"c{number}", name=draw(NAMES), arguments=draw(st.dictionaries(NAMES, JSON, max_size=3)))
            messages.append(Message("assistant", "", at, id=id, calls=(call,)))
            messages.append(Message("tool", draw(TEXTS), at, id=f"{id}r", call_id=call.id, function=call.name))
        messages.append(Message("assistant", draw(TEXTS), at, id=f"{id}a"))
        messages.append(Message("user", draw(TEXTS), draw(TIMES), id=f"{id}u"))
    return Session(draw(NAMES), tuple(messages), messages[0].at)


def there_and_back(values: list[Any], *, lines: bool) -> list[Session]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        whole = "\n".join(json.dumps(value, ensure_ascii=False) for value in values) if lines else json.dumps(values)
        path.write_text(whole, encoding="utf-8", newline="")
        assert faults(path) == []
        return sessions(path)


LISTS = st.lists(conversations(), min_size=1, max_size=3)


@given(LISTS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_openai_there_and_back(told: list[Session], lines: bool) -> None:
    back = there_and_back([openai_record(session)[0] for session in told], lines=lines)
    assert [one.messages for one in back] == [one.messages for one in told]
    assert [one.key for one in back] == [one.key for one in told]


@given(LISTS)
@settings(max_examples=40, deadline=None)
def test_openai_lines_there_and_back(told: list[Session]) -> None:
    plain = [
        [message for message in session.messages if message.role in ("user", "assistant") and not message.calls]
        for session in told
    ]
    values = [
        {"session": str(number), **openai_record(Session("", (message,)))[0]["messages"][0]}
        for number, messages in enumerate(plain)
        for message in messages
    ]
    back = there_and_back(values, lines=True)
    assert [piece.messages[0] for piece in back] == [message for messages in plain for message in messages]


@given(LISTS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_sharegpt_there_and_back(told: list[Session], lines: bool) -> None:
    back = there_and_back([sharegpt_record(session)[0] for session in told], lines=lines)

    def gist(session: Session) -> list[Any]:
        return [
            (one.role, one.text, one.function, [(call.name, call.arguments) for call in one.calls])
            for one in session.messages
        ]

    assert [gist(one) for one in back] == [gist(one) for one in told]


def as_chatgpt(session: Session) -> dict[str, Any]:
    nodes: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    last = "root"
    for message in session.messages:
        content: dict[str, Any] = {"content_type": "text", "parts": [message.text]}
        recipient = "all"
        if message.calls:
            recipient, content = message.calls[0].name, {"content_type": "code", "text": message.calls[0].arguments}
        author = {"role": message.role, "name": message.function or None}
        at = message.at.timestamp() if message.at else None
        body = {"author": author, "content": content, "create_time": at, "recipient": recipient, "weight": 1}
        nodes[message.id] = {"id": message.id, "message": body, "parent": last, "children": []}
        last = message.id
    return {"conversation_id": session.key, "title": "t", "mapping": nodes, "current_node": last}


def as_claude(session: Session) -> dict[str, Any]:
    said: list[dict[str, Any]] = []
    for message in session.messages:
        sender = "human" if message.role == "user" else "assistant"
        part: dict[str, Any] = {"type": "text", "text": message.text}
        if message.calls:
            call = message.calls[0]
            part = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        elif message.role == "tool":
            part = {"type": "tool_result", "tool_use_id": message.call_id, "name": message.function}
            part["content"] = [{"type": "text", "text": message.text}]
        at = message.at.isoformat() if message.at else None
        said.append({"uuid": message.id, "sender": sender, "content": [part], "created_at": at, "text": ""})
    return {"uuid": session.key, "name": "n", "chat_messages": said}


@given(LISTS)
@settings(max_examples=40, deadline=None)
def test_chatgpt_there_and_back(told: list[Session]) -> None:
    # What is written to a tool is one text there.
    texts = [
        session._replace(
            messages=tuple(
                one._replace(calls=tuple(call.model_copy(update={"arguments": call.name}) for call in one.calls))
                for one in session.messages
            )
        )
        for session in told
    ]
    back = there_and_back([as_chatgpt(session) for session in texts], lines=False)
    for one, other in zip(back, texts, strict=True):
        assert [(a.role, a.text, a.at, a.id) for a in one.messages] == [
            (b.role, b.text, b.at, b.id) for b in other.messages
        ]
        assert [(call.name, call.arguments) for a in one.messages for call in a.calls] == [
            (call.name, {"input": call.arguments}) for b in other.messages for call in b.calls
        ]


@given(LISTS)
@settings(max_examples=40, deadline=None)
def test_claude_there_and_back(told: list[Session]) -> None:
    back = there_and_back([as_claude(session) for session in told], lines=False)
    for one, other in zip(back, told, strict=True):
        # A result has no id of its own there.
        assert [a._replace(id="") for a in one.messages] == [b._replace(id="") for b in other.messages]


@given(st.lists(conversations(calls=False), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_locomo_there_and_back(told: list[Session]) -> None:
    names = {"user": "Ann", "assistant": "Ben"}
    conversation: dict[str, Any] = {"speaker_a": "Ann", "speaker_b": "Ben"}
    for number, session in enumerate(told, 1):
        conversation[f"session_{number}_date_time"] = f"{session.at:%I:%M %p on %d %B, %Y}".lower()
        conversation[f"session_{number}"] = [
            {"speaker": names[one.role], "dia_id": one.id, "text": one.text} for one in session.messages
        ]
    back = there_and_back([{"sample_id": "s", "conversation": conversation}], lines=False)
    for one, other in zip(back, told, strict=True):
        assert other.at is not None
        assert one.at == other.at.replace(second=0)
        assert [(a.role, a.text, a.id) for a in one.messages] == [
            (b.role, b.text.strip(), b.id) for b in other.messages
        ]


def test_sharegpt_says_what_it_had_to_change() -> None:
    call = Call(id="c", name="add", arguments={"a": 1})
    told = Session(
        "k",
        (
            Message("assistant", "Hello."),
            Message("user", "One."),
            Message("user", "Two."),
            Message("assistant", "Let me add.", calls=(call,)),
            Message("tool", "3", call_id="c", function="add"),
            Message("user", "And?"),
        ),
    )
    record, done = sharegpt_record(told)
    entries = record["conversations"]
    assert [(one["from"], one["value"]) for one in entries] == [
        ("human", NOBODY),
        ("gpt", "Hello."),
        ("human", "One.\n\nTwo."),
        ("gpt", "Let me add."),
        ("human", NOBODY),
        ("function_call", '{"name": "add", "arguments": {"a": 1}}'),
        ("observation", "3"),
        ("gpt", ""),
        ("human", "And?"),
    ]
    assert (done.messages, done.merged, done.split, done.filled) == (6, 1, 1, 3)
    for place, one in enumerate(entries):
        assert (one["from"] in ("human", "observation")) == (place % 2 == 0)
