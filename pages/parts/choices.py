"""Every key of the browser session's state: choices and drafts, never a copy of what the log knows."""

import streamlit as st

AGENT = "agent"
SEND_AS = "send_as"
OLDER = "older_turns"
HELD = "held_message"
SAID = "said"
OTHER_MODEL = "other_model"

_DEFAULTS = {AGENT: "", SEND_AS: "user", OLDER: 0, HELD: "", SAID: ""}


def declare() -> None:
    """Give each key its first value; once on every page."""
    for key, value in _DEFAULTS.items():
        st.session_state.setdefault(key, value)


def say(sentence: str) -> None:
    """Keep one sentence for the next drawing of the page, where the frame shows it once."""
    st.session_state[SAID] = sentence


def editing(agent_id: str, label: str) -> str:
    """Key of the seq the open editor of a block is based on; absent while it is closed."""
    return f"editing:{agent_id}:{label}"


def draft(agent_id: str, label: str) -> str:
    """Key of the text in a block's editor."""
    return f"draft:{agent_id}:{label}"


def refused(agent_id: str, label: str) -> str:
    """Key of (the present text, its seq) after a stale save; absent otherwise."""
    return f"refused:{agent_id}:{label}"


def history(agent_id: str, label: str) -> str:
    """Key of whether a block's earlier texts are shown."""
    return f"history-shown:{agent_id}:{label}"


def settings_draft(agent_id: str) -> str:
    """Key of {setting: value} for the settings changed and not saved yet."""
    return f"settings-draft:{agent_id}"


def settings_refused(agent_id: str) -> str:
    """Key of the sentence that refused the last save of the settings; absent otherwise."""
    return f"settings-refused:{agent_id}"


def setting(agent_id: str, field: str) -> str:
    """Key of the widget of one setting."""
    return f"setting:{agent_id}:{field}"


def page_of(table: str) -> str:
    """Key of which page of a table is shown, from 0."""
    return f"page-of:{table}"


def passage_draft(agent_id: str, passage: str, what: str) -> str:
    """Key of a field in a passage's editor (`text`, `tags`, `reason`), or of the new one's (`passage` empty)."""
    return f"passage-draft:{agent_id}:{passage}:{what}"


def passage_editing(agent_id: str, passage: str) -> str:
    """Key of the version the open editor of a passage is based on; absent while it is closed."""
    return f"passage-editing:{agent_id}:{passage}"


def passage_refused(agent_id: str, passage: str) -> str:
    """Key of (the present text, its version) after a stale save of a passage; absent otherwise."""
    return f"passage-refused:{agent_id}:{passage}"


def passages_picked(agent_id: str) -> str:
    """Key of the ids of the passages that are selected."""
    return f"passages-picked:{agent_id}"


def passages_undo(agent_id: str) -> str:
    """Key of the ids of the passages deleted last, for as long as that can be undone with one press."""
    return f"passages-undo:{agent_id}"


def passage_merge(agent_id: str, first: str) -> str:
    """Key of the merged text of a group of near-duplicates, named by its oldest passage."""
    return f"passage-merge:{agent_id}:{first}"


def duplicates_asked(agent_id: str) -> str:
    """Key of the (measure, threshold) near-duplicates were last looked for with; absent before."""
    return f"duplicates-asked:{agent_id}"


def window_part(agent_id: str) -> str:
    """Key of which part of the window is shown with its text: the key of an item of the context page."""
    return f"window-part:{agent_id}"


def window_next(agent_id: str, at: int | None) -> str:
    """Key of whether the context page shows, at this point in time, what would go next instead of what was sent."""
    return f"window-next:{agent_id}:{at or 'live'}"


def request_number(agent_id: str, seq: int) -> str:
    """Key of the field with the number of the request of event `seq`.

    A new key for each request: the browser would send the old number back as if a person had typed it.
    """
    return f"request-number:{agent_id}:{seq}"


def compared(agent_id: str, side: str) -> str:
    """Key of the number of the request on one side of the comparison, `before` or `after`."""
    return f"compared:{agent_id}:{side}"


def what_if(agent_id: str, field: str) -> str:
    """Key of one field of the form that asks what would happen under other rules."""
    return f"what-if:{agent_id}:{field}"


def followed(agent_id: str) -> str:
    """Key of the event a click in the chart of requests led to last, so that one click leads there once."""
    return f"followed:{agent_id}"


def draft_base(agent_id: str, label: str) -> str:
    """Key of the text a block had when its editor was opened: the base of a merge."""
    return f"draft-base:{agent_id}:{label}"


def draft_reason(agent_id: str, label: str) -> str:
    """Key of why a block is being edited, as far as it was said."""
    return f"draft-reason:{agent_id}:{label}"


def draft_mine(agent_id: str, label: str) -> str:
    """Key of what was typed before a merge took its place in the editor; absent when there was none."""
    return f"draft-mine:{agent_id}:{label}"


def block_draft(agent_id: str, label: str, field: str) -> str:
    """Key of what was typed into another field about a block: its `label`, `description`, `limit`, a copy's `to`."""
    return f"block-draft:{agent_id}:{label}:{field}"


def block_view(agent_id: str) -> str:
    """Key of which side of a block is shown: its text, its lines, its history, its settings."""
    return f"block-view:{agent_id}"


def blame_depth(agent_id: str, label: str) -> str:
    """Key of how many versions back the authors of a block's lines are looked for."""
    return f"blame-depth:{agent_id}:{label}"


def block_copied(agent_id: str, label: str) -> str:
    """Key of the (agent, label) a block was copied to last; absent before."""
    return f"block-copied:{agent_id}:{label}"


def timeline_window(agent_id: str) -> str:
    """Key of which marks of the timeline are shown: (how many come before, None for the newest; how many)."""
    return f"timeline-window:{agent_id}"


def timeline_seen(agent_id: str, what: str) -> str:
    """Key of the last choice made in a chart, or through the address, that has been followed already."""
    return f"timeline-seen:{agent_id}:{what}"


TIMELINE_AXIS = "timeline_axis"
"""Whether the timeline runs by time or by event number."""


def log_trail(table: str) -> str:
    """Key of where each page of a text search through the log began, but for the first."""
    return f"log-trail:{table}"


def log_shown(agent_id: str) -> str:
    """Key of which side of an opened event is shown: the event, the state after it, all of that state."""
    return f"log-shown:{agent_id}"


def agent_picked() -> str:
    """Key of the agent that the agents page works on."""
    return "agent-picked"


def agents_archived() -> str:
    """Key of whether the agents that were put away are listed too."""
    return "agents-archived"


def agents_done() -> str:
    """Key of the sentence that says what came of the last action on an agent; absent when it was shown."""
    return "agents-done"


def agents_refused() -> str:
    """Key of the sentence that refused the last action on an agent; absent when it was shown."""
    return "agents-refused"


def agent_field(agent_id: str, field: str) -> str:
    """Key of a field about one agent on the agents page: another `name`, an `about`, a `copy`'s name."""
    return f"agent-field:{agent_id}:{field}"


def new_agent(field: str) -> str:
    """Key of one field of the form for a new agent."""
    return f"new-agent:{field}"


def new_menu(agent_id: str) -> str:
    """Key of the menu of new agents beside the pages, while this agent is shown."""
    return f"new-menu:{agent_id}"


def messages_picked(agent_id: str) -> str:
    """Key of the ids of the messages selected on the recall page, in the order they were picked."""
    return f"messages-picked:{agent_id}"


def messages_undo(agent_id: str) -> str:
    """Key of the ids of the messages deleted last, for as long as that can be undone with one press."""
    return f"messages-undo:{agent_id}"


def message_editing(agent_id: str, id: str) -> str:
    """Key of the version (`seq_from`) the open editor of a message is based on; absent while it is closed."""
    return f"message-editing:{agent_id}:{id}"


def message_draft(agent_id: str, id: str, field: str) -> str:
    """Key of what was typed about a message: its new `text`, the `reason`."""
    return f"message-draft:{agent_id}:{id}:{field}"


def search_again(agent_id: str, storage: str) -> str:
    """Key of (event of the agent's search of a storage that is run again, `then` or `today`); absent before."""
    return f"search-again:{agent_id}:{storage}"


def sql_draft(agent_id: str) -> str:
    """Key of the query in the SQL box."""
    return f"sql-draft:{agent_id}"


def sql_asked(agent_id: str) -> str:
    """Key of (query, newest event, presses of the button) as it was run last in the SQL box; absent before."""
    return f"sql-asked:{agent_id}"


def timeline_done(agent_id: str) -> str:
    """Key of the sentence about the last thing done with an evicted message; absent before."""
    return f"timeline-done:{agent_id}"


def playing(agent_id: str) -> str:
    """Key of where the player was and since when (`views.player.Played`) while it plays; absent while it does not."""
    return f"playing:{agent_id}"


def player_moved(agent_id: str) -> str:
    """Key of (from, to): the last move of the player, so that what changed on the way can be shown."""
    return f"player-moved:{agent_id}"


def bookmark_draft(agent_id: str, name: str) -> str:
    """Key of a comment that is being typed: `new:<event>` for a new bookmark, else the bookmark's id."""
    return f"bookmark-draft:{agent_id}:{name}"


PLAYER_SPEED = "player_speed"
PLAYER_UNIT = "player_unit"
PLAYER_MARK = "player_mark"
PLAYER_SIDE = "player_side"
"""How fast the player goes, by what its two buttons move and jump, and which part of its page is shown."""


def compare_view(agent_id: str) -> str:
    """Key of which side of the compare page is shown: the turns, the memory, the numbers, what if."""
    return f"compare-view:{agent_id}"


def compare_whole(agent_id: str) -> str:
    """Key of whether the compare page shows the turns two agents share too, and counts them."""
    return f"compare-whole:{agent_id}"


def suppose(agent_id: str, *what: object) -> str:
    """Key of one field of what is to be otherwise when a turn is run again: its `kind`, its `times`, a text."""
    return ":".join(("suppose", agent_id, *map(str, what)))


def fork_field(agent_id: str, field: str) -> str:
    """Key of one field of the form that forks an agent: the fork's `name`, whether it is `kept`."""
    return f"fork-field:{agent_id}:{field}"


FORK_MADE = "fork_made"
"""The fork that was made last in this tab, for as long as nothing was said to it."""


def exchange(field: str) -> str:
    """Key of one field of the import half of the exchange page: the chosen `file`'s path, or how it is taken."""
    return f"exchange:{field}"


def outgoing(agent_id: str, field: str) -> str:
    """Key of one field of the export half of the exchange page."""
    return f"outgoing:{agent_id}:{field}"


def adding(agent_id: str, field: str) -> str:
    """Key of one field of what is to be added: the `paths`, the `tags`, which `upload` the field is for."""
    return f"adding:{agent_id}:{field}"


def document_done(agent_id: str) -> str:
    """Key of the sentence about the last removal of a document; absent before."""
    return f"document-done:{agent_id}"
