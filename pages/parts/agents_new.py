"""A new agent: from a form, or from a sample with a recorded life."""

from typing import Any

import streamlit as st
from pydantic import ValidationError

from memgpt_core.blueprint import BlockPlan, Blueprint, explain
from memgpt_core.embedding import minilm
from memgpt_core.errors import ConfigurationRefused
from memgpt_core.home import Home
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.views.changes import PROTOCOLS, embedder_text, model_text
from pages.parts import choices, model_choice
from pages.parts.agents_actions import attempt, go_to
from pages.parts.frame import Here
from pages.parts.markup import heading, wrap
from pages.parts.safe_md import safe_md

FIRST: dict[str, Any] = {
    "name": "",
    "about": "",
    "model": DEMO,
    "protocol": "memgpt",
    "window_tokens": AgentSettings().window_tokens,
    "embedder": "none",
    "persona": "I am a helpful companion.",
    "human": "",
}
"""What the form begins with."""


def draw(here: Here) -> None:
    """The form and the samples, folded."""
    st.html(wrap(heading("Another agent", "new, or from a sample")))
    with st.expander("New agent", icon=":material/add:", expanded=False):
        _form(here.home)
    with st.expander("From a sample", icon=":material/play_lesson:", expanded=False):
        _samples(here.home)


def _form(home: Home) -> None:
    view = home.connection.view()
    embedders = ["none", *(f"ollama:{card.name}" for card in view.models if card.embedding)]
    embedders += ["minilm"] * minilm.installed() + ["hashing"]
    with st.form("new_agent_form", border=False):
        name, about = st.columns([1, 2], gap="small")
        name.text_input("Name", key=_key("name"), max_chars=80, placeholder="Ada")
        about.text_input("About", key=_key("about"), placeholder="one line for the lists of agents")
        model, window = st.columns([2, 1], gap="small")
        options = model_choice.options(view.models, FIRST["model"])
        model.selectbox("Model", options, format_func=model_text, key=_key("model"))
        window.number_input("Window (tokens)", 512, None, FIRST["window_tokens"], 1024, key=_key("window_tokens"))
        protocol, embedder = st.columns(2, gap="small")
        protocol.segmented_control(
            "Protocol",
            list(PROTOCOLS),
            format_func=PROTOCOLS.__getitem__,
            default=FIRST["protocol"],
            required=True,
            key=_key("protocol"),
            help="MemGPT: speaks with send_message and heartbeats, as in the paper. Native: plain text is the reply.",
        )
        embedder.selectbox("Search by meaning", embedders, format_func=embedder_text, key=_key("embedder"))
        st.text_area("Block persona: who it is", FIRST["persona"], key=_key("persona"), height=80)
        st.text_area("Block human: what it knows about you", key=_key("human"), height=80)
        st.checkbox("Temporary: delete it when Memscope is closed", key=_key("temporary"))
        st.caption("All of it, and the thresholds, functions and instructions, can be changed later.")
        st.form_submit_button("Make the agent", on_click=attempt, args=(lambda: _made(home),), type="primary")


def _key(field: str) -> str:
    """The key of a field: another one after each agent that was made, so that the form is empty again only then."""
    return choices.new_agent(f"{field}:{st.session_state.get(choices.new_agent('made'), 0)}")


def _made(home: Home) -> str:
    said = {field: st.session_state[_key(field)] for field in FIRST}
    made = home.create(blueprint(said), temporary=bool(st.session_state.get(_key("temporary"))))
    go_to(made)
    st.session_state[choices.new_agent("made")] = st.session_state.get(choices.new_agent("made"), 0) + 1
    return (
        f"{said['name'].strip()} ({made}) is made, and is the agent of this tab now. Say something to it in the chat."
    )


def blueprint(said: dict[str, Any]) -> Blueprint:
    """The blueprint a filled form describes.

    Raises:
        ConfigurationRefused: a value that cannot be; the sentence says which.
    """
    name = " ".join(said["name"].split())
    if not name:
        raise ConfigurationRefused("An agent needs a name. Type one first.")
    try:
        usual = {plan.label: plan for plan in Blueprint(name=name).blocks}
        blocks = tuple(
            BlockPlan(**{**plan.model_dump(), "value": said[label].strip()}) for label, plan in usual.items()
        )
        settings = AgentSettings(
            **{field: said[field] for field in ("model", "protocol", "embedder")},
            window_tokens=said["window_tokens"] or 0,
        )
        return Blueprint(name=name, about=said["about"].strip(), settings=settings, blocks=blocks)
    except ValidationError as error:
        raise ConfigurationRefused(f"The agent was not made: {explain(error)}.") from None


def _samples(home: Home) -> None:
    st.caption("A sample has a recorded life. Yours begins as a copy of it and goes on from its end.")
    for sample in home.samples():
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.markdown(
                f"**{safe_md(sample.name)}** · {sample.events:,} events  \n{safe_md(sample.about)}", width="stretch"
            )
            if st.button("Start", key=f"start:{sample.id}"):
                bar = st.progress(0.0, text="Starting…")

                def act(sample_id: str = sample.id, name: str = sample.name, bar: Any = bar) -> str:
                    made = home.start_sample(sample_id, progress=bar.progress)
                    go_to(made)
                    return f"{name} ({made}) is started, and is the agent of this tab now."

                attempt(act)
                st.rerun()
