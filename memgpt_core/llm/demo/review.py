"""The demo model after a session: it rereads the transcript and adds what stands in no block.

Adds only; where a block says something else about the same thing, the block is left as it is: a person may have
corrected it since. What the agent said itself proves nothing.
"""

from memgpt_core.llm.demo.edits import halves, ledger
from memgpt_core.llm.demo.grammar import MANY
from memgpt_core.llm.demo.memory import Act, block_lines, holds
from memgpt_core.llm.demo.questions import label_key
from memgpt_core.llm.demo.reading import errand_in
from memgpt_core.llm.demo.request import Request
from memgpt_core.llm.demo.summary import messages_of

_SEVERAL = frozenset(label_key(label) for label in MANY)
_WAYS = ("core_memory_append", "memory_insert")


def reread(request: Request, text: str) -> tuple[list[Act], str]:
    """(the call that adds what is missing, or none; what the model thinks of it)."""
    added = [step for step in request.steps if step.name in _WAYS]
    if any(step.ok for step in added):
        return [], "The session is reviewed: what it states stands in core memory now."
    if added:
        return [], "I could not add what was missing; it stays in recall storage. I leave the blocks as they are."
    missing = _missing(request, text)
    way = next((name for name in _WAYS if request.can(name)), "")
    if not missing or not way:
        return [], "I have reread the session and found nothing that must be added to core memory."
    key = "content" if way == "core_memory_append" else "new_string"
    return [(way, {"label": "human", key: "\n".join(missing)})], (
        "I reread the session and found something stated there that stands in no block. I add it."
    )


def _missing(request: Request, text: str) -> list[str]:
    """The lines that the session states, no block holds and `human` has room for."""
    block = request.blocks.get("human")
    if block is None or block.read_only:
        return []
    stored = [line for name in request.blocks for line in block_lines(request, name)]
    keys = {halves(line)[0] for line in block.lines} - _SEVERAL
    room = block.limit - len(block.value)
    told = [(said, day) for day, said in messages_of(text) if not errand_in(said)]
    missing = []
    for note in ledger(told)[0]:
        if halves(note.line)[0] in keys or any(holds(line, note.line) for line in stored):
            continue
        room -= len(note.line) + 1
        if room < 0:
            break
        missing.append(note.line)
    return missing
