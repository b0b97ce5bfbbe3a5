"""The window as a map of cells and as one bar, each part of it a button that opens the part's text.

The map is a component: its cells are made in the browser from names and numbers, never from HTML. A part's cells
stand together; its first one is the button, and the arrow keys move from part to part.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core.views.grid import FREE, RESERVE, Map, bar
from memgpt_core.views.palette import HUES
from memgpt_core.views.window import Gauge
from memgpt_core.views.window_items import visible
from pages.parts import gauge
from pages.parts.markup import escape, wrap

_HTML = """<div class="ms ms-map"><div class="ms-map-cells" role="group"></div>
<div class="ms-map-says" role="status"></div></div>"""

_CSS = """
.ms-map{font-family:var(--st-font);color:var(--st-text-color);font-size:.84rem}
.ms-map-cells{display:grid;grid-template-columns:repeat(var(--columns),1fr);gap:1px}
.ms-map-cells>*{aspect-ratio:1;min-width:0;padding:0;margin:0;border:0;border-radius:2px;cursor:pointer;
 font:700 .62rem/1 var(--st-font);color:#fff;text-shadow:0 0 3px rgba(0,0,0,.85);overflow:hidden;font-style:normal;
 display:flex;align-items:center;justify-content:center;position:relative}
.ms-map-cells>.odd{filter:brightness(.8) saturate(1.15)}
.ms-map-cells>.ms-free{background:color-mix(in srgb,currentColor 6%,transparent);color:inherit;text-shadow:none;
 box-shadow:inset 0 0 0 1px color-mix(in srgb,currentColor 16%,transparent)}
.ms-map-cells>.ms-reserve{color:inherit;text-shadow:none}
.ms-map-cells>.near{opacity:.5}
.ms-map-cells>.lit{opacity:1;outline:2px solid var(--st-text-color);outline-offset:-1px;z-index:1}
.ms-map-cells>.open{box-shadow:inset 0 0 0 2px var(--st-text-color)}
.ms-map-cells>.warn,.ms-map-cells>.flush{overflow:visible;z-index:1}
.ms-map-cells>.warn::before,.ms-map-cells>.flush::before{content:"";position:absolute;left:-4px;top:-2px;bottom:-2px;
 width:6px;border-radius:2px;box-shadow:0 0 0 1.5px var(--st-background-color);background:var(--st-text-color)}
.ms-map-cells>.warn::before{background:repeating-linear-gradient(0deg,var(--st-text-color) 0 3px,
 var(--st-background-color) 3px 5px)}
.ms-map-says{min-height:1.35rem;margin-top:.3rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
"""

_JS = """
const drawn = new WeakMap();

function build(root, data, send) {
  // A new container each time, so that no listener of the window before stays.
  const old = root.querySelector(".ms-map-cells"), cells = old.cloneNode(false);
  old.replaceWith(cells);
  const says = root.querySelector(".ms-map-says");
  const buttons = [], all = [];
  cells.style.setProperty("--columns", data.columns);
  cells.setAttribute("aria-label", data.label);
  let at = 0;
  data.pieces.forEach((piece, index) => {
    for (let n = 0; n < piece.cells; n++, at++) {
      const cell = document.createElement(n ? "i" : "button");
      cell.className = piece.look + (at === data.warn ? " warn" : "") + (at === data.flush ? " flush" : "");
      cell.dataset.piece = index;
      if (n) cell.setAttribute("aria-hidden", "true");
      else {
        cell.type = "button";
        cell.tabIndex = -1;
        cell.setAttribute("aria-label", piece.says);
        cell.textContent = piece.mark;
        buttons.push(cell);
      }
      all.push(cell);
    }
  });
  cells.replaceChildren(...all);
  const light = (index) => {
    for (const cell of all) {
      const own = index !== null && Number(cell.dataset.piece) === index;
      cell.classList.toggle("lit", own);
      const kin = index !== null && !own && data.pieces[cell.dataset.piece].section !== data.pieces[index].section;
      cell.classList.toggle("near", kin);
    }
    says.textContent = index === null ? data.hint : data.pieces[index].says;
  };
  const of = (event) => {
    const cell = event.target.closest("[data-piece]");
    return cell ? Number(cell.dataset.piece) : null;
  };
  const go = (index) => {
    const next = Math.min(Math.max(index, 0), buttons.length - 1);
    for (const button of buttons) button.tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
  };
  cells.onpointerover = (event) => light(of(event));
  cells.onpointerleave = () => light(null);
  cells.addEventListener("focusin", (event) => light(of(event)));
  cells.addEventListener("focusout", () => light(null));
  cells.onclick = (event) => {
    const index = of(event);
    if (index !== null) send(data.pieces[index].key);
  };
  cells.onkeydown = (event) => {
    const index = of(event), cell = all.indexOf(buttons[index]);
    const row = (by) => all[Math.min(Math.max(cell + by, 0), all.length - 1)].dataset.piece;
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: buttons.length - 1 }[event.key]
      ?? (event.key === "ArrowDown" ? Math.max(Number(row(data.columns)), index + 1)
        : event.key === "ArrowUp" ? Math.min(Number(row(-data.columns)), index - 1) : null);
    if (to === null) return;
    event.preventDefault();
    go(to);
  };
  says.textContent = data.hint;
  return { all, buttons };
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".ms-map");
  const { opened, ...rest } = data;
  const shape = JSON.stringify(rest);
  let held = drawn.get(root);
  // Drawn anew only when the window differs: the focus stays where it is after a click.
  if (!held || held.shape !== shape) {
    held = { shape, ...build(root, rest, (key) => held.send(key)) };
    drawn.set(root, held);
  }
  held.send = (key) => setTriggerValue("picked", key);
  let entry = 0;
  rest.pieces.forEach((piece, index) => { if (piece.key === opened) entry = index; });
  for (const cell of held.all) cell.classList.toggle("open", rest.pieces[cell.dataset.piece].key === opened);
  if (!held.buttons.includes(document.activeElement))
    held.buttons.forEach((button, index) => { button.tabIndex = index === entry ? 0 : -1; });
}
"""

_mount = st.components.v2.component("memscope_window_map", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


def draw(drawn: Map, level: Gauge, opened: str, *, key: str, on_pick: Callable[[], None]) -> None:
    """The map, the bar and the legend of one window; `opened` is the key of the part whose text is shown.

    `on_pick` is called when a part is clicked; `picked(key)` says which.
    """
    _mount(data={**_data(drawn), "opened": opened}, key=key, on_picked_change=on_pick)
    parts = bar(drawn)
    says = f'<div class="soft ms-gap">{escape(level.says)}</div>'
    st.html(wrap(gauge.bar(parts, level), gauge.legend(parts, level), says))


def picked(key: str) -> str:
    """The key of the part that was just clicked; empty when none was."""
    return str(st.session_state[key].get("picked") or "")


def _data(drawn: Map) -> dict[str, Any]:
    """What the browser needs: names, numbers and looks."""
    pieces: list[dict[str, Any]] = []
    for piece in drawn.pieces:
        last = pieces[-1]["section"] if pieces else ""
        begins = piece.section != last
        odd = not begins and not pieces[-1]["odd"]
        look = f"ms-fill ms-{piece.section}" if piece.section else "ms-free"
        name = HUES[piece.section].label + ": " if piece.section not in ("", RESERVE) else ""
        share = f"{100 * piece.share:.1f} % of the window"
        pieces.append(
            {
                "key": piece.key,
                "section": piece.section,
                "odd": odd,
                "look": look + (" odd" if odd else ""),
                "mark": HUES[piece.section].mark if piece.section and begins else "",
                "says": f"{name}{visible(piece.label)} · {piece.tokens:,} tokens · {share}",
                "cells": piece.cells,
            }
        )
    one = sum(piece.tokens for piece in drawn.pieces) / drawn.cells
    return {
        "columns": drawn.columns,
        "pieces": pieces,
        "warn": drawn.warn_cell,
        "flush": drawn.flush_cell,
        "label": "Map of the window: arrow keys move from part to part, Enter opens the part's text",
        "hint": f"One cell is about {one:.1f} tokens. Dotted stroke: warning mark; full stroke: flush mark.",
    }


def explained(key: str) -> str:
    """What the two parts without a text are; empty for a part with one."""
    return {
        FREE: "Room that no text fills yet. What comes next goes here, until the flush mark is passed.",
        RESERVE: HUES[RESERVE].says + " Nothing of the prompt may stand here.",
    }.get(key, "")
