"""Mail through the standard library: each message under its subject, its text part before its HTML.

Attachments are named in a note and not read: they can be added as files of their own.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

from memgpt_core.documents.decoding import decoded
from memgpt_core.documents.html_text import add_html
from memgpt_core.documents.parts import Draft, Extracted
from memgpt_core.errors import NotReadable

_SEPARATOR = re.compile(rb"^From [^\n]*\d{4}\r?\n", re.MULTILINE)
_SHOWN = ("From", "To", "Cc", "Date")
_NAMED_MOST = 20

HEADER_CHARS_MOST = 20_000
"""Parsing a header costs the square of its length."""


def read_mail(data: bytes) -> Extracted:
    """One message (.eml)."""
    draft = Draft()
    left_out: list[str] = []
    title = _add(draft, data, left_out)
    return _finish(draft, title, "message/rfc822", left_out)


def read_mailbox(data: bytes) -> Extracted:
    """All messages of a mailbox (.mbox), in order."""
    draft = Draft()
    left_out: list[str] = []
    for message in _messages(data):
        _add(draft, message, left_out)
    return _finish(draft, "", "application/mbox", left_out)


def _messages(data: bytes) -> Iterator[bytes]:
    starts = [found.end() for found in _SEPARATOR.finditer(data)]
    ends = [found.start() for found in _SEPARATOR.finditer(data)][1:]
    for start, end in zip(starts, [*ends, len(data)], strict=True):
        yield data[start:end]


def _finish(draft: Draft, title: str, media: str, left_out: list[str]) -> Extracted:
    if left_out:
        more = f" and {len(left_out) - _NAMED_MOST} more" if len(left_out) > _NAMED_MOST else ""
        draft.notes.append(f"Attachments left out: {', '.join(left_out[:_NAMED_MOST])}{more}.")
    return draft.finish(title, media)


def _add(draft: Draft, data: bytes, left_out: list[str]) -> str:
    """Add a message; gives its subject."""
    try:
        message = message_from_bytes(data, policy=policy.default)
        if any(len(str(value)) > HEADER_CHARS_MOST for _, value in message.raw_items()):
            raise NotReadable("one of its header lines has no end. Save the message as text and add that.")
        subject = _header(message, "Subject") or "(no subject)"
        draft.heading(1, subject)
        shown = [(name, _header(message, name)) for name in _SHOWN]
        draft.add("\n".join(f"{name}: {value}" for name, value in shown if value))
        body = message.get_body(("plain", "html"))
        if isinstance(body, EmailMessage):
            _add_body(draft, body)
        left_out += [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    except RecursionError as error:
        raise NotReadable("its parts are nested too deep. Save the message as text and add that.") from error
    return subject


def _add_body(draft: Draft, body: EmailMessage) -> None:
    payload = body.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return
    text, notes = decoded(payload, body.get_content_charset() or "")
    draft.notes += [note for note in notes if note not in draft.notes]
    if body.get_content_type() == "text/html":
        add_html(draft, text)
    else:
        draft.add(text)


def _header(message: EmailMessage, name: str) -> str:
    """A header as text; empty when it is missing or cannot be parsed."""
    try:
        return " ".join(str(message.get(name) or "").split())
    except (ValueError, TypeError, AttributeError, IndexError, LookupError):
        return ""
