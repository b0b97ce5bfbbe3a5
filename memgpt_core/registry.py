"""Every function of the agents, and which of them an agent is offered.

Knows names and settings; what a function does is its own business.
"""

from typing import Any

from memgpt_core import document_functions as documents
from memgpt_core import memory_functions as memory
from memgpt_core.functions import Function, function, without_heartbeat
from memgpt_core.settings import AgentSettings

REGISTRY: dict[str, Function] = {
    made.name: made
    for made in (
        function(memory.send_message, terminal=True),
        function(memory.pause_heartbeats, terminal=True),
        function(memory.core_memory_append),
        function(memory.core_memory_replace),
        function(memory.memory_insert),
        function(memory.memory_rethink),
        function(memory.conversation_search),
        function(memory.conversation_search_date),
        function(memory.archival_memory_insert),
        function(memory.archival_memory_search),
        function(documents.document_list),
        function(documents.document_outline),
        function(documents.document_open),
        function(documents.document_search),
        function(memory.note_write),
        function(memory.note_read),
        function(memory.note_list),
    )
}
"""Every function by name, in the order the model sees them."""

OF_DOCUMENTS = frozenset(name for name in REGISTRY if name.startswith("document_"))


def offered(settings: AgentSettings, *, with_documents: bool = False) -> dict[str, Function]:
    """The functions an agent may call: not those switched off, in `native` no send_message.

    Those for documents are offered to an agent that has some: their schemas take room in the window.
    """
    hidden = {*settings.functions_off, *(("send_message",) if settings.protocol == "native" else ())}
    hidden |= frozenset() if with_documents else OF_DOCUMENTS
    return {name: made for name, made in REGISTRY.items() if name not in hidden}


def unknown(settings: AgentSettings, before: AgentSettings | None = None) -> str:
    """Why a function that the settings name cannot be meant, as a sentence; empty when all are known.

    What `before` named already may stay: an older Memscope may have had a function of that name.
    """
    named = {*settings.functions_off, *settings.functions_ask}
    known = {*REGISTRY, *(before.functions_off if before else ()), *(before.functions_ask if before else ())}
    strange = sorted(named - known)
    if not strange:
        return ""
    return f"There is no function {' or '.join(f'“{name}”' for name in strange)}. Functions: {', '.join(REGISTRY)}."


def schemas(settings: AgentSettings, *, with_documents: bool = False) -> tuple[dict[str, Any], ...]:
    """The schemas the model gets; in `native`, where every call continues, without the heartbeat flag."""
    found = [made.schema for made in offered(settings, with_documents=with_documents).values()]
    return tuple(without_heartbeat(schema) for schema in found) if settings.protocol == "native" else tuple(found)
