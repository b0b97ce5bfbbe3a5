"""The whole recording as a strip: how busy it was, where the marks stand, where the player is; a click goes there.

A component that is handed numbers and names alone. It draws the strip once and then moves the playhead, so that
playing costs next to nothing.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core.views.player import LANES, buckets, density, width_of
from memgpt_core.workspace import Workspace
from pages.parts import player_rows

HUES = {
    "flush": "ms-fill ms-summary",
    "fault": "ms-fill ms-recall",
    "edit": "ms-fill ms-working_context",
    "error": "ms-scrub-error",
    "bookmark": "ms-fill ms-you",
}

_HTML = """<div class="ms-scrub"><div class="ms-scrub-names"></div>
<div class="ms-scrub-strip" role="slider" tabindex="0"></div><div class="ms-scrub-says" role="status"></div></div>"""

_CSS = """
.ms-scrub{display:grid;grid-template-columns:8.2rem 1fr;font-family:var(--st-font);color:var(--st-text-color);
 font-size:.76rem;line-height:13px}
.ms-scrub-names>div{height:13px;display:flex;justify-content:space-between;padding-right:.6rem;white-space:nowrap}
.ms-scrub-names>div:first-child{height:30px;align-items:flex-end}
.ms-scrub-names>div.none{opacity:.55}
.ms-scrub-names b{font-weight:600;font-variant-numeric:tabular-nums}
.ms-scrub-strip{position:relative;cursor:pointer;touch-action:none;user-select:none;border-radius:3px;
 background:color-mix(in srgb,currentColor 4%,transparent);
 box-shadow:inset 0 0 0 1px color-mix(in srgb,currentColor 16%,transparent)}
.ms-scrub-strip:focus-visible{outline:2px solid var(--st-primary-color);outline-offset:2px}
.ms-scrub-strip i{position:absolute;display:block}
.ms-scrub-strip i.bar{bottom:65px;background:color-mix(in srgb,currentColor 34%,transparent)}
.ms-scrub-strip i.mark{height:9px;min-width:4px;border-radius:1px}
.ms-scrub-strip i.row{left:0;right:0;height:1px;background:color-mix(in srgb,currentColor 10%,transparent)}
.ms-scrub-strip i.session{top:0;bottom:0;width:0;border-left:1px dotted currentColor;opacity:.45}
.ms-scrub-error{background:#c0392b}
.ms-scrub-strip i.gone{left:0;top:0;bottom:0;background:color-mix(in srgb,var(--st-primary-color) 11%,transparent);
 pointer-events:none}
.ms-scrub-strip i.head{top:-3px;bottom:-3px;width:3px;margin-left:-1px;border-radius:2px;
 background:var(--st-primary-color);box-shadow:0 0 0 1px var(--st-background-color);pointer-events:none}
.ms-scrub-says{grid-column:2;min-height:1.1rem;line-height:1.1rem;opacity:.8;overflow:hidden;white-space:nowrap;
 text-overflow:ellipsis}
"""

_JS = """
const drawn = new WeakMap(), BAR = 30, ROW = 13;

function build(root, data, held) {
  const names = root.querySelector(".ms-scrub-names"), old = root.querySelector(".ms-scrub-strip");
  // A new strip each time, so that no listener of the recording before stays.
  const strip = old.cloneNode(false), says = root.querySelector(".ms-scrub-says");
  old.replaceWith(strip);
  strip.style.height = BAR + ROW * data.lanes.length + "px";
  const piece = (kind, style) => {
    const one = document.createElement("i");
    one.className = kind;
    Object.assign(one.style, style);
    return one;
  };
  const name = (text, count) => {
    const line = document.createElement("div"), many = document.createElement("b");
    line.append(text, many);
    many.textContent = count;
    line.className = count === "0" ? "none" : "";
    return line;
  };
  names.replaceChildren(name(data.title, data.total), ...data.lanes.map((lane) => name(lane.name, lane.total)));
  const part = (seq) => 100 * Math.max(0, seq) / data.last + "%";
  const pieces = data.busy.map((many, at) => piece("bar", {
    left: part(at * data.width), width: `calc(${100 * data.width / data.last}% - .5px)`,
    height: Math.max(1, (BAR - 3) * many) + "px",
  }));
  data.lanes.forEach((lane, row) => {
    pieces.push(piece("row", { top: BAR + row * ROW + "px" }));
    for (const [at, many] of lane.marks)
      pieces.push(piece("mark " + lane.look, {
        top: BAR + 2 + row * ROW + "px", left: part(at * data.width), width: 100 * data.width / data.last + "%",
        opacity: many > 1 ? 1 : .85,
      }));
  });
  for (const seq of data.sessions) pieces.push(piece("session", { left: part(seq - 1) }));
  const gone = piece("gone", {}), head = piece("head", {});
  strip.append(...pieces, gone, head);

  const at = (event) => {
    const box = strip.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    return Math.min(Math.max(Math.ceil(share * data.last), 1), data.last);
  };
  const tell = (seq) => {
    const bucket = Math.floor((seq - 1) / data.width), from = bucket * data.width + 1;
    const until = Math.min(from + data.width - 1, data.last);
    const found = data.lanes.map((lane) => [lane, (lane.marks.find(([one]) => one === bucket) ?? [0, 0])[1]])
      .filter(([, many]) => many).map(([lane, many]) => `${lane.name}: ${many}`);
    const where = from === until ? `Event ${from}` : `Event ${seq} (in ${from} to ${until})`;
    says.textContent = [where, ...found].join(" · ");
  };
  const show = (seq) => { head.style.left = gone.style.width = part(seq); };
  let pressed = false;
  strip.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pressed = true;
    strip.setPointerCapture(event.pointerId);
    strip.focus();
    show(at(event));
  });
  strip.addEventListener("pointermove", (event) => { tell(at(event)); if (pressed) show(at(event)); });
  strip.addEventListener("pointerup", (event) => { if (pressed) { pressed = false; held.send(at(event)); } });
  strip.addEventListener("pointercancel", () => { pressed = false; show(held.at); });
  strip.addEventListener("pointerleave", () => { if (!pressed) says.textContent = data.hint; });
  strip.addEventListener("keydown", (event) => {
    const to = { Home: 1, End: data.last }[event.key];
    if (to) { event.preventDefault(); held.send(to); }
  });
  strip.setAttribute("aria-label", data.label);
  strip.setAttribute("aria-valuemin", 1);
  strip.setAttribute("aria-valuemax", data.last);
  says.textContent = data.hint;
  return { strip, show, isPressed: () => pressed };
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".ms-scrub");
  const { at, spoken, ...rest } = data, shape = JSON.stringify(rest);
  let held = drawn.get(root);
  if (!held || held.shape !== shape) {
    held = { shape, at, send: () => {} };
    Object.assign(held, build(root, rest, held));
    drawn.set(root, held);
  }
  held.at = at;
  held.send = (seq) => setTriggerValue("seek", seq);
  if (!held.isPressed()) held.show(at);
  held.strip.setAttribute("aria-valuenow", at);
  held.strip.setAttribute("aria-valuetext", spoken);
}
"""

_mount = st.components.v2.component("memscope_scrubber", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


def draw(ws: Workspace, last: int, seq: int, *, key: str, on_seek: Callable[[], None]) -> None:
    """The strip of the first `last` events with the playhead on `seq`; `sought(key)` says where a click went."""
    _mount(data={**_data(ws, last), "at": seq, "spoken": f"event {seq} of {last}"}, key=key, on_seek_change=on_seek)


def sought(key: str) -> int | None:
    """The event that was just clicked; None when none was."""
    found = st.session_state[key].get("seek")
    return int(found) if found else None


def _data(ws: Workspace, last: int) -> dict[str, Any]:
    """What the browser needs: numbers, names and looks."""
    marks = [mark.seq for mark in ws.bookmarks.all() if mark.seq <= last]
    found = buckets(last, player_rows.lanes(ws, last), marks)
    lanes = []
    for at, (lane, name) in enumerate(LANES.items()):
        counts = [(number, bucket.lanes[at]) for number, bucket in enumerate(found) if bucket.lanes[at]]
        total = sum(many for _, many in counts)
        lanes.append({"name": name, "look": HUES[lane], "marks": counts, "total": f"{total:,}"})
    return {
        "last": last,
        "width": width_of(last),
        "busy": density(player_rows.starts(ws, last), last),
        "lanes": lanes,
        "sessions": player_rows.sessions(ws, last),
        "title": "Events",
        "total": f"{last:,}",
        "label": "The recording: arrow keys move a step, Home and End go to its ends",
        "hint": "Click or drag to go to an event. Bars: how densely events came. Dotted lines: a session begins. "
        "The numbers count events; one search can bring several messages back.",
    }
