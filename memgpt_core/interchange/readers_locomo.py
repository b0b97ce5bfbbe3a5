"""LoCoMo: long conversations of two people, in dated sessions, each message with an id that questions refer to.

Takes one decoded record (a sample). Knows no file: `conversations` hands the records over.
"""

import re
from typing import Any

from memgpt_core.interchange.sessions import BadRecord, Message, Role, Session, moment, objects, text_of

_SESSION = re.compile(r"session_(\d+)")


def locomo(record: dict[str, Any]) -> list[Session]:
    """`{sample_id, conversation: {speaker_a, speaker_b, session_N, session_N_date_time}}`, in the order of N.

    Speaker a comes as the user and speaker b as the agent; a session's date is that of all its messages.
    """
    conversation = record.get("conversation")
    if not isinstance(conversation, dict):
        raise BadRecord("has no conversation")
    speakers = (text_of(conversation.get("speaker_a")), text_of(conversation.get("speaker_b")))
    sample = record.get("sample_id")
    prefix = f"{text_of(sample)}/" if isinstance(sample, str) else ""
    numbers = sorted(int(found[1]) for key in conversation if (found := _SESSION.fullmatch(key)))
    sessions = []
    for number in numbers:
        key = f"session_{number}"
        at = moment(conversation.get(f"{key}_date_time"))
        messages = tuple(_message(raw, speakers) for raw in objects(conversation[key], key))
        sessions.append(Session(f"{prefix}{key}", tuple(one._replace(at=at) for one in messages), at, key, speakers))
    return sessions


def _message(raw: dict[str, Any], speakers: tuple[str, str]) -> Message:
    speaker = text_of(raw.get("speaker"))
    if speaker not in speakers:
        raise BadRecord(f"has a message by {speaker!r}, who is neither of its two speakers")
    role: Role = "user" if speaker == speakers[0] else "assistant"
    caption = raw.get("blip_caption")
    shown = f" [shares a photo: {text_of(caption)}]" if isinstance(caption, str) and caption else ""
    id = raw.get("dia_id")
    text = text_of(raw.get("text")) + shown
    return Message(role, text.strip(), speaker=speaker, id=text_of(id) if isinstance(id, str) else "")
