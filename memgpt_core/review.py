"""The session-end review: what the model is given to reread, as the text of a `review` trigger.

Pure: is handed the session's messages, newest first, as the row store has them. What the model then does with
its blocks is its own business.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from memgpt_core.prompt import shortened
from memgpt_core.queue_manager import message_cap_tokens
from memgpt_core.state import State
from memgpt_core.tokens import count

ROWS_READ = 400
"""The most messages of one session that are looked at; a window that holds more lines than that is rare."""

LINE_SHARE = 0.25
"""The largest part of the transcript that one message may take."""

MIN_TRANSCRIPT_TOKENS = 64

_SAID = (
    "FROM messages WHERE session = ? AND seq_to IS NULL AND role IN ('user', 'assistant') AND trim(text) <> '' "
    "AND turn NOT IN (SELECT turn FROM events WHERE kind = 'trigger_received' AND about = 'review')"
)
NEWEST_SAID = f'SELECT role, text, "at" {_SAID} ORDER BY seq_from DESC LIMIT {ROWS_READ}'
COUNT_SAID = f"SELECT count(*) AS n {_SAID}"
"""What was said in a session, by the user or to the user; what the agent thought in a review is not."""

TASK = (
    "Session {session} is over and nobody is waiting: the user sees nothing unless you call send_message. Reread it "
    "and bring your core memory up to date. Save what should last and stands in no block, replace what has changed, "
    "tidy a block that has grown long. If nothing needs changing, say so in one sentence and stop.\n\n"
    "Transcript of session {session}:\n"
)
"""What a review asks for, before the transcript."""


def budget_tokens(state: State) -> int:
    """What the transcript may take: it must stand in the queue whole, and leave room to work in."""
    task = count(TASK.format(session=state.session))
    # A line break or a quote is written out in the envelope, so the text itself gets a little less.
    return max(MIN_TRANSCRIPT_TOKENS, int(0.8 * message_cap_tokens(state) / state.token_factor) - task)


def trigger_text(session: int, rows: Iterable[Mapping[str, Any]], total: int, budget: int) -> str:
    """The task and the transcript in at most about `budget` tokens; its oldest messages are cut, and that is said.

    `rows` are newest first (role, text, at), `total` is how many there are in all.
    """
    lines: list[str] = []
    left = budget
    for row in rows:
        # As the summariser reads it: only the user's words need their day.
        head = f"user ({row['at']:%Y-%m-%d}): " if row["role"] == "user" else "assistant: "
        line = head + shortened(row["text"], max(16, int(budget * LINE_SHARE)))
        left -= count(line) + 1
        if left < 0 and lines:
            break
        lines.append(line)
    if cut := total - len(lines):
        said = "message" if cut == 1 else "messages"
        lines.append(f"[{cut} earlier {said} of this session left out; conversation_search finds them]")
    return TASK.format(session=session) + "\n".join(reversed(lines))
