"""The player's keys, and the link to what it shows: both live in the browser and tell the page what was meant.

Keys are let alone while somebody types, and where a control has its own use for them.
"""

from collections.abc import Callable

import streamlit as st

_HTML = """<button type="button" id="copy" title="The address of this agent at this event">Copy link</button>
<span id="said" role="status"></span>"""

_CSS = """
:host{display:block}
button{font:inherit;font-size:.875rem;color:inherit;background:var(--st-background-color);white-space:nowrap;
 border:1px solid color-mix(in srgb,currentColor 22%,transparent);border-radius:.5rem;height:2rem;padding:0 .6rem;
 cursor:pointer}
button:hover,button:focus-visible{border-color:var(--st-primary-color);color:var(--st-primary-color)}
#said{font-size:.8rem;position:absolute;left:-9999px}
"""

_JS = """
const KEYS = {
  " ": "toggle", ArrowLeft: "step back", ArrowRight: "step on", "[": "session back", "]": "session on",
  ",": "event back", ".": "event on", m: "mark", "+": "faster", "-": "slower",
  f: "flush on", F: "flush back", p: "fault on", P: "fault back", e: "edit on", E: "edit back",
  x: "error on", X: "error back", b: "bookmark on", B: "bookmark back",
};
const TURNS = { ArrowLeft: "turn back", ArrowRight: "turn on" };
const OWN = "button,a,summary,select,dialog,[role=radio],[role=tab],[role=grid],[role=listbox],[role=option],"
  + "[role=group],[role=menuitem],canvas";

export default function ({ parentElement, data, setTriggerValue }) {
  const button = parentElement.querySelector("#copy"), said = parentElement.querySelector("#said");
  button.onclick = async () => {
    const address = new URL(window.location.href);
    address.search = new URLSearchParams(data.query).toString();
    address.hash = "";
    try {
      await navigator.clipboard.writeText(address.href);
      button.textContent = said.textContent = "Copied";
    } catch {
      // No clipboard outside a secure context: the address is shown, to be copied by hand.
      window.prompt("The link", address.href);
    }
    setTimeout(() => { button.textContent = "Copy link"; said.textContent = ""; }, 1500);
  };
  const pressed = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const path = event.composedPath().filter((node) => node instanceof Element), on = path[0];
    if (path.some((node) => node.isContentEditable || /^(input|textarea|select|dialog)$/i.test(node.tagName))) return;
    const own = on && on !== document.body && on.closest(OWN);
    if (own && (event.key === " " || event.key.startsWith("Arrow"))) {
      // An arrow means nothing to a plain button; Space always presses it.
      if (event.key === " " || !own.matches("button,a,summary")) return;
      if (own.closest("[role=group],[role=radiogroup]")) return;
    }
    const meant = (event.shiftKey && TURNS[event.key]) || KEYS[event.key];
    if (!meant || (event.shiftKey && event.key === " ")) return;
    event.preventDefault();
    setTriggerValue("pressed", meant);
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}
"""

_mount = st.components.v2.component("memscope_player_keys", html=_HTML, css=_CSS, js=_JS)


def draw(query: dict[str, str], *, key: str, on_press: Callable[[], None]) -> None:
    """The button that copies the link with this query, and the keys; `pressed(key)` says what was meant."""
    _mount(data={"query": query}, key=key, on_pressed_change=on_press, width="content")


def pressed(key: str) -> str:
    """What was just asked for, as `toggle` or `step on`; empty when nothing was."""
    return str(st.session_state[key].get("pressed") or "")
