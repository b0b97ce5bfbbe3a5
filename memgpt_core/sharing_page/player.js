// The position and everything that moves it: buttons, scrubber, keyboard, address, the clock of the recording.

const SPEEDS = ["0.5", "1", "2", "4", "8", "16"];
const LEAST_MS = 60;
const FOLD_MS = 1600;
const SPEAK_MS = 4000;
const UNITS = [["session", "Session"], ["turn", "Turn"], ["step", "Step"], ["event", "Event"]];
const JUMPS = { flush: "flush", fault: "page fault", edit: "memory edit", error: "error", bookmark: "bookmark" };
const id = (name) => document.getElementById(name);

const frames = new Frames();
let index = 0;
let timer = 0;
let spokenAt = 0;
let due = 0;

function draw(moved) {
  const tables = frames.seek(index);
  const event = DATA.events[index];
  const seq = event.seq;
  id("position").value = index;
  id("position").setAttribute("aria-valuetext", `event ${seq} of ${FIRST + COUNT - 1}`);
  id("where").replaceChildren(el("b", "", `Event ${number(seq)}`), ` of ${number(FIRST + COUNT - 1)} · session ${event.session}, turn ${event.turn}, step ${event.step} · `,
    when(event.at), folded(), " · ", text(DATA.words[index]));
  id("where").append(...comments(seq));
  drawTalk(seq, moved);
  drawWindow(tables, seq);
  drawItems(tables, seq);
  drawCore(tables, event);
  drawCounts(tables, seq);
  drawLine(seq);
  drawSearches(seq);
  drawEvent(event, DATA.words[index]);
  speak(event);
}

// What was said of an event by whoever set bookmarks on it.
function comments(seq) {
  return DATA.bookmarks.filter((one) => one[0] === seq).map(([, said]) => el("div", "", said ? `★ ${said}` : "★ Bookmark"));
}

// A reader of the screen is told where it stands when it is told, and while playing only now and then.
function speak(event) {
  const now = performance.now();
  if (timer && now - spokenAt < SPEAK_MS) return;
  spokenAt = now;
  id("spoken").textContent = visible(`Event ${event.seq}. ${DATA.words[index]}`);
}

function folded() {
  const gap = gapMs(index);
  return gap > FOLD_MS ? el("span", "soft", ` (after ${duration(gap)})`) : "";
}

function gapMs(at) {
  return at > 0 ? Date.parse(DATA.events[at].at) - Date.parse(DATA.events[at - 1].at) : 0;
}

function duration(ms) {
  const units = [["day", 86400000], ["hour", 3600000], ["minute", 60000], ["second", 1000]];
  const [name, size] = units.find(([, one]) => ms >= one) || units[3];
  return plural(Math.round(ms / size), name);
}

function go(at, { keep = false } = {}) {
  if (!keep) pause();
  index = Math.max(0, Math.min(COUNT - 1, at));
  draw(true);
  if (!timer) address();
}

// --- playing -----------------------------------------------------------------------------------------

// The recording's own time between two events, idle gaps folded, at the chosen speed.
function delay(at) {
  return Math.min(FOLD_MS, Math.max(LEAST_MS, gapMs(at))) / Number(id("speed").value);
}

function play() {
  if (index === COUNT - 1) index = 0;
  id("play").replaceChildren("⏸ Pause");
  due = performance.now() + delay(index + 1);
  timer = setTimeout(tick, delay(index + 1));
  draw(true);
}

function pause() {
  if (!timer) return;
  clearTimeout(timer);
  timer = 0;
  id("play").replaceChildren("▶ Play");
  address();
}

function tick() {
  const now = performance.now();
  // A tab in the background sleeps: what was missed is not run through at once.
  if (now - due > 2000) due = now;
  let to = index;
  while (due <= now && to < COUNT - 1) {
    to += 1;
    due += to < COUNT - 1 ? delay(to + 1) : 0;
  }
  if (to !== index) go(to, { keep: true });
  if (index === COUNT - 1) pause();
  else timer = setTimeout(tick, Math.max(16, due - performance.now()));
}

// --- stepping ----------------------------------------------------------------------------------------

function step(unit, forward) {
  const seq = DATA.events[index].seq;
  if (unit === "event") return go(index + (forward ? 1 : -1));
  const found = nearest(DATA.stops[unit], seq, forward);
  if (found) return go(found - FIRST);
  return go(forward ? COUNT - 1 : 0);
}

function jump(forward) {
  const what = id("jump-to").value;
  const found = nearest(DATA.stops[what], DATA.events[index].seq, forward);
  if (found) return go(found - FIRST);
  pause();
  id("spoken").textContent = `There is no ${JUMPS[what]} ${forward ? "after" : "before"} this event.`;
  id("where").append(el("b", "", ` There is no ${JUMPS[what]} ${forward ? "after" : "before"} this.`));
  return undefined;
}

function faster(up) {
  const speed = id("speed");
  const at = SPEEDS.indexOf(speed.value) + (up ? 1 : -1);
  if (SPEEDS[at]) speed.value = SPEEDS[at];
}

// --- address -----------------------------------------------------------------------------------------

function address() {
  const wanted = `#event=${DATA.events[index].seq}`;
  // Replaced, not added: a way back through every event would lock the back button.
  if (location.hash !== wanted) location.replace(wanted);
}

function fromAddress() {
  const found = /^#event=(\d{1,12})$/.exec(location.hash);
  const at = found ? Number(found[1]) - FIRST : -1;
  return at >= 0 && at < COUNT ? at : -1;
}

// --- keyboard ----------------------------------------------------------------------------------------

const KEYS = {
  " ": () => (timer ? pause() : play()),
  ArrowRight: (event) => step(event.shiftKey ? "turn" : "event", true),
  ArrowLeft: (event) => step(event.shiftKey ? "turn" : "event", false),
  ".": () => step("step", true),
  ",": () => step("step", false),
  n: () => jump(true),
  p: () => jump(false),
  PageDown: () => step("session", true),
  PageUp: () => step("session", false),
  Home: () => go(0),
  End: () => go(COUNT - 1),
  "+": () => faster(true),
  "-": () => faster(false),
  "?": () => id("help").showModal(),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || id("help").open) return;
  const act = KEYS[event.key];
  const on = event.target;
  const inside = on.closest ? on.closest("#talk, .column, pre") : null;
  // What a focused thing does with a key of its own, it does: a button with space, a pane with page down.
  if (!act || on.matches("select, a") || (event.key === " " && on.matches("button, summary"))) return;
  if (inside && ["PageDown", "PageUp", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  act(event);
}

// --- the page itself ---------------------------------------------------------------------------------

function describe() {
  const about = DATA.about;
  const all = about.start === 1 && about.stop === about.last;
  const agent = about.agent;
  id("title").replaceChildren(text(`${agent}: a recording`));
  const days = [DATA.events[0].at, DATA.events[COUNT - 1].at].map((at) => new Date(at).toLocaleDateString());
  id("facts").replaceChildren(text([
    `Events ${number(about.start)} to ${number(about.stop)}${all ? ", the whole log" : ` of ${number(about.last)}`}`,
    days[0] === days[1] ? days[0] : `${days[0]} to ${days[1]}`, about.models.join(", "),
    about.redaction ? `redacted: ${plural(about.redacted, "event")} changed` : "nothing redacted",
  ].join(" · ")));
  const facts = [
    `A recording of the MemGPT agent ${agent} (${about.id}). It is not live: nothing here runs a model.`,
    ...(about.about ? [`What is said of the agent: ${about.about}`] : []),
    `Made with Memscope, engine version ${about.made_by}; recorded by engine version ${about.recorded_by}.`,
    all ? `It holds the whole log, events 1 to ${number(about.stop)}, as it was when the file was made.`
      : `It holds events ${number(about.start)} to ${number(about.stop)} of ${number(about.last)}${about.earlier ? `, and ${plural(about.earlier, "event")} from before them whose text stood in the window at the start` : ""}.`,
    ...about.origins,
    about.redaction ? `Texts were replaced before the file was made, in ${plural(about.redacted, "event")}; what is here is what was left.`
      : "Nothing was redacted: every text is as it was recorded.",
    "“You” in the texts is the person the agent talked to. Times are in your own zone, UTC on hover.",
    "The file asks no other computer for anything; its own policy forbids it.",
  ];
  id("about").replaceChildren(...facts.map((fact) => el("li", "", text(fact))));
}

function start() {
  describe();
  for (const [unit, name] of UNITS) {
    const one = el("span", "unit", button("◀", () => step(unit, false)), ` ${name} `, button("▶", () => step(unit, true)));
    one.firstChild.setAttribute("aria-label", `Back one ${unit}`);
    one.lastChild.setAttribute("aria-label", `On one ${unit}`);
    id("units").append(one);
  }
  for (const [key, name] of Object.entries(JUMPS)) {
    const option = el("option", "", `${name} (${number(DATA.stops[key].length)})`);
    option.value = key;
    id("jump-to").append(option);
  }
  id("jump-back").setAttribute("aria-label", "Jump back");
  id("jump-on").setAttribute("aria-label", "Jump on");
  id("jump-back").addEventListener("click", () => jump(false));
  id("jump-on").addEventListener("click", () => jump(true));
  id("scrub-key").append(...["▁ what memory did", "│ session begins", "▼ flush", "◆ page fault", "■ memory edit", "✖ error", "★ bookmark"].map((one) => el("span", "", one)));
  id("position").max = COUNT - 1;
  id("position").addEventListener("input", () => go(Number(id("position").value)));
  id("play").addEventListener("click", () => (timer ? pause() : play()));
  id("help-open").addEventListener("click", () => id("help").showModal());
  id("items-box").addEventListener("toggle", () => drawItems(frames.tables, DATA.events[index].seq));
  id("talk-earlier").addEventListener("click", () => {
    talkMost += 60;
    drawTalk(DATA.events[index].seq, false);
  });
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", () => {
    const at = fromAddress();
    if (at >= 0 && at !== index) go(at);
  });
  window.addEventListener("resize", drawDensity);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawDensity);
  index = Math.max(0, fromAddress());
  drawDensity();
  draw(true);
}

start();
