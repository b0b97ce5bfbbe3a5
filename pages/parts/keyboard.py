"""The list of keys, under `?` from anywhere on a page and under a button at the left.

Lives in the browser alone: opening it draws nothing anew, so that a text half typed stays as it is.
"""

import streamlit as st

SHORTCUTS = (
    ("?", "this list"),
    ("Enter", "send the message"),
    ("Shift + Enter", "new line in the message"),
    ("Esc", "stop the running turn"),
    ("Alt + O", "show older messages"),
    ("Alt + P, Alt + N", "previous and next event (Log), earlier and later passages (Documents)"),
    ("Space", "play and pause (Replay)"),
    ("←, →", "one step back and on (Replay); with Shift one turn"),
    (", and .", "one event back and on (Replay)"),
    ("[ and ]", "one session back and on (Replay)"),
    ("F, P, E, X, B", "next flush, page fault, edit, error, bookmark (Replay); with Shift the one before"),
    ("M", "set a bookmark on the event (Replay)"),
    ("+, −", "faster and slower (Replay)"),
    ("Ctrl + Enter", "take over what you typed in a text field"),
    ("Tab, Shift + Tab", "to the next and the previous control"),
    ("Arrow keys", "move inside the window map, a table or a list"),
    ("Space, Enter", "press the control that has the focus"),
)

_HTML = """<button type="button" id="open" aria-haspopup="dialog">Keyboard <kbd>?</kbd></button>
<dialog id="list" aria-label="Keyboard"><table></table>
<form method="dialog"><button>Close</button></form></dialog>"""

_CSS = """
button{font:inherit;font-size:.88rem;color:inherit;background:none;border:1px solid transparent;border-radius:6px;
 padding:.15rem .4rem;cursor:pointer}
button:hover,button:focus-visible{border-color:currentColor}
kbd{font:inherit;font-size:.8rem;border:1px solid currentColor;border-radius:4px;padding:0 .35rem;opacity:.8}
dialog{color:var(--st-text-color);background:var(--st-background-color);font-family:var(--st-font);border-radius:10px;
 border:1px solid color-mix(in srgb,currentColor 30%,transparent);padding:1rem 1.2rem;max-width:30rem}
dialog::backdrop{background:rgba(0,0,0,.4)}
td{padding:.2rem .9rem .2rem 0;vertical-align:top;font-size:.9rem}
td:first-child{font-weight:600;white-space:nowrap}
form{text-align:right;margin-top:.6rem}
"""

_JS = """
export default function ({ parentElement, data }) {
  const dialog = parentElement.querySelector("#list"), table = parentElement.querySelector("table");
  table.replaceChildren(...data.keys.map((row) => {
    const line = document.createElement("tr");
    for (const text of row) {
      const cell = document.createElement("td");
      cell.textContent = text;
      line.append(cell);
    }
    return line;
  }));
  const open = () => { if (!dialog.open) dialog.showModal(); };
  parentElement.querySelector("#open").onclick = open;
  const typing = (node) => node && (node.isContentEditable || /^(input|textarea|select)$/i.test(node.tagName));
  const pressed = (event) => {
    if (event.key !== "?" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (typing(event.composedPath()[0])) return;
    event.preventDefault();
    open();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}
"""

_mount = st.components.v2.component("memscope_keyboard", html=_HTML, css=_CSS, js=_JS)


def draw() -> None:
    """The button, and the key that opens the list."""
    _mount(data={"keys": [list(row) for row in SHORTCUTS]}, key="keyboard")
