// Every pane but the drawn figures: the conversation, the items, core memory, the counters, searches, the event.
// Text of the recording enters the page in `text` alone, as text.

const SHOWN_CHARS = 4000;
const MORE_CHARS = 100000;
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

// Characters nobody sees, or that turn the others about, by their number.
function visible(text) {
  return text.replace(UNSEEN, (char) => `⟨U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function el(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  for (const child of children) if (child !== null && child !== "") made.append(typeof child === "string" ? text(child) : child);
  return made;
}

function text(value) {
  return document.createTextNode(visible(String(value)));
}

// A text of any length: its beginning, and the rest on request.
function long(className, value, tag = "div") {
  const whole = String(value);
  const box = el(tag, className, text(whole.slice(0, SHOWN_CHARS)));
  let shown = SHOWN_CHARS;
  if (whole.length > shown) {
    const more = button("", () => {
      more.before(text(whole.slice(shown, shown + MORE_CHARS)));
      shown += MORE_CHARS;
      label();
    });
    const label = () => {
      more.hidden = shown >= whole.length;
      more.textContent = `… ${number(whole.length - shown)} characters more: show ${number(Math.min(MORE_CHARS, whole.length - shown))}`;
    };
    label();
    box.append(more);
  }
  return box;
}

function button(label, act, className = "") {
  const made = el("button", className, label);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

// Goes to an event of the stretch; shows one from before it that is here because it stood in the window.
function link(label, seq) {
  if (seq >= FIRST && seq < FIRST + COUNT) return button(label, () => go(seq - FIRST), "plain");
  return EARLIER.has(seq) ? button(label, () => peek(seq), "plain") : el("span", "soft", text(label));
}

function details(summary, build, open = false) {
  const made = el("details", "", el("summary", "", summary));
  const fill = () => {
    if (made.open && made.childElementCount === 1) made.append(build());
  };
  made.addEventListener("toggle", fill);
  made.open = open;
  fill();
  return made;
}

function chip(key) {
  const [label, mark, pattern, says] = DATA.drawing.hues[key];
  const made = el("span", `chip fill t-${key} ${pattern}`, mark);
  made.title = `${label}: ${says}`;
  return made;
}

function number(value) {
  return Number(value).toLocaleString("en");
}

function plural(count, one) {
  return `${number(count)} ${one}${count === 1 ? "" : "s"}`;
}

function when(at) {
  const made = el("time", "", new Date(at).toLocaleString());
  made.dateTime = at;
  made.title = `${at.slice(0, 19).replace("T", " ")} UTC`;
  return made;
}

// --- conversation ------------------------------------------------------------------------------------

const WHO = {
  user: "User", system: "System", login: "Login", timer: "Timer", upload: "Upload", review: "Session review",
  warning: "Memory warning", placed: "Placed by the system", flush: "Flush", fault: "Failure", asked: "Waits for a yes or no", end: "Turn ended",
  hand: "By hand", fork: "A life of its own from here", imported: "Imported, not recorded by this agent",
};
const TIER_OF = { warning: "messages", placed: "recall", flush: "recall", hand: "you" };
const QUIET = new Set(["login", "timer", "warning", "placed", "flush", "end", "hand", "upload", "review", "fork", "imported"]);
const nodes = new Map();
let talkMost = 60;

function bubbleNode(at) {
  if (!nodes.has(at)) nodes.set(at, bubble(DATA.bubbles[at][2]));
  return nodes.get(at);
}

function bubble(row) {
  const tier = TIER_OF[row.who];
  const made = el("article", `bubble ${row.who}${QUIET.has(row.who) ? " quiet" : ""}${row.changed === "deleted" ? " deleted" : ""}${tier ? ` t-${tier}` : ""}`);
  const who = row.who === "agent" ? DATA.about.agent : WHO[row.who];
  const told = [row.plain ? "without a send_message call" : "", row.changed ? `${row.changed} by hand since` : ""];
  made.append(el("div", "head", tier ? chip(tier) : null, el("b", "", who), link(`event ${number(row.seq)}`, row.seq),
    when(row.at), el("span", "soft", told.filter(Boolean).join(", "))));
  if (row.thoughts) made.append(el("div", "thoughts", details("Inner monologue", () => long("text", row.thoughts))));
  if (row.text) made.append(long("say", row.text));
  if (row.moves) made.append(el("div", "moves", ...row.moves.map(move)));
  return made;
}

function move([seq, tier, says, detail]) {
  const name = el("span", "", tier ? chip(tier) : null, text(says), " ", link(`event ${number(seq)}`, seq));
  if (!detail) return el("div", "", name);
  const made = details(says, () => long("text", detail));
  made.firstChild.replaceChildren(name);
  return made;
}

function drawTalk(seq, moved) {
  const { found, older } = bubblesAt(seq, talkMost);
  const box = document.getElementById("talk");
  const wanted = found.reverse().map(bubbleNode);
  const same = wanted.length === box.childElementCount && wanted.every((node, at) => node === box.children[at]);
  if (!same) box.replaceChildren(...wanted);
  if (!wanted.length) box.replaceChildren(el("p", "soft", "Nothing has been said yet."));
  const now = found.length && DATA.bubbles[found[found.length - 1]][2].seq === seq ? wanted[wanted.length - 1] : null;
  for (const node of wanted) node.classList.toggle("now", node === now);
  const more = document.getElementById("talk-earlier");
  more.hidden = !older;
  if (!same && moved) box.scrollTop = box.scrollHeight;
  if (nodes.size > 2000) nodes.clear();
}

// --- main context, item by item ----------------------------------------------------------------------

function drawItems(tables, seq) {
  const items = [...tables.items];
  document.getElementById("items-title").textContent = `Item by item: ${plural(items.length, "item")}`;
  if (!document.getElementById("items-box").open) return;
  const factor = tables.window.get("factor");
  const rows = items.map(([key, [section, name, tokens, from, pinned, holds]]) => {
    const notes = [pinned ? "pinned" : "", holds.length ? `holds ${holds.join(", ")}` : "", from === seq ? "new" : ""];
    const label = `${name}${/^m\d+$/.test(key) ? ` ${key}` : ""}`;
    return el("div", "", chip(section), el("span", "", link(label, from), el("span", "soft", ` ${notes.filter(Boolean).join(", ")}`)),
      el("span", "num soft", number(Math.round(tokens * factor))));
  });
  document.getElementById("items").replaceChildren(el("div", "list", ...rows));
}

// --- core memory, counters ---------------------------------------------------------------------------

const EDITS = new Map(DATA.edits.map((edit) => [edit[0], edit]));

function drawCore(tables, event) {
  const blocks = [...tables.blocks].map(([label, row]) => block(label, row, event));
  if (!blocks.length) blocks.push(el("p", "soft", "No core memory blocks yet."));
  const notes = [...tables.notes].map(([name, [seq, chars]]) =>
    el("div", "", chip("notes"), el("span", "", link(name, seq)), el("span", "num soft", plural(chars, "character"))));
  if (notes.length) blocks.push(el("div", "list", el("b", "", "Scratch notes"), ...notes));
  document.getElementById("core").replaceChildren(...blocks);
}

function block(label, [value, description, author, limit, seq, tokens, readOnly], event) {
  const now = seq === event.seq;
  const written = eventOf(seq);
  const fresh = written && seq >= FIRST && written.turn === event.turn;
  const whole = value;
  const length = [...whole].length;
  const edit = fresh ? EDITS.get(seq) : undefined;
  const made = el("div", `block t-working_context${now ? " now" : ""}`);
  const fill = el("i", "fill t-working_context");
  fill.style.width = `${Math.min(100, (100 * length) / Math.max(1, limit))}%`;
  const about = [`${number(length)} of ${number(limit)} characters`, `${number(tokens)} tokens`, readOnly ? "read-only" : ""];
  made.append(el("div", "head", el("b", "", text(label)), el("span", "soft num", about.filter(Boolean).join(" · "))),
    el("div", "meter", fill));
  if (description) made.append(el("div", "soft thoughts", text(description)));
  made.append(edit ? marked(edit) : whole ? long("text", whole) : el("p", "soft", "Empty."));
  const changed = edit ? `${now ? "Changed by this event" : "Changed in this turn"}: underlined came in, struck out went. ` : "";
  made.append(el("div", "soft thoughts", changed, "Last written by ", text(author), ", ", link(`event ${number(seq)}`, seq)));
  return made;
}

function marked([, , pieces]) {
  const tags = { in: "ins", out: "del", same: "span" };
  return el("div", "text", ...pieces.map(([kind, piece]) => el(tags[kind], "", text(String(piece).slice(0, MORE_CHARS)))));
}

function drawCounts(tables, seq) {
  const counts = tables.counts;
  const doing = tables.doing;
  const facts = [
    ["messages in recall", counts.get("messages")], ["passages in archival", counts.get("passages")],
    ["flushes", counts.get("flushes")], ["page faults in this stretch", upTo(DATA.stops.fault, seq, (one) => one)],
    ["function calls", counts.get("calls")], ["of them failed", counts.get("failed")], ["failures", counts.get("errors")],
  ];
  const waits = doing.get("waits") ? ` · waits for a yes or no to ${doing.get("waits")}` : "";
  const turn = doing.get("running") ? "A turn is running" : doing.get("ended") ? `The last turn ended: ${doing.get("ended").replace("_", " ")}` : "No turn yet";
  document.getElementById("counts").replaceChildren(
    el("div", "tally", ...facts.map(([name, count]) => el("span", "", el("b", "", number(count)), ` ${name}`))),
    el("p", "soft thoughts", text(`${turn}${waits} · ${doing.get("model")}`)));
}

// --- searches, the event -----------------------------------------------------------------------------

function drawSearches(seq) {
  const end = upTo(DATA.searches, seq, (one) => one.seq);
  const box = document.getElementById("search");
  if (box.dataset.end === String(end)) return;
  box.dataset.end = end;
  const rows = DATA.searches.slice(Math.max(0, end - 12), end).reverse().map((one, at) => searched(one, at === 0));
  if (end > 12) rows.push(el("p", "soft", `and ${number(end - 12)} before these`));
  box.replaceChildren(...(rows.length ? rows : [el("p", "soft", "The agent has searched nothing yet.")]));
}

function searched(one, open) {
  const title = el("span", "", chip(one.tier), text(`“${one.query}” `), el("span", "soft", `${one.hits.length} of ${number(one.total)} found`));
  const made = details("", () => {
    const rows = one.hits.map(([id, score, words, vector, excerpt]) => el("li", "",
      link(id, Number(id.slice(1))), el("span", "soft", ` ${score.toFixed(4)}${words ? `, #${words} by words` : ""}${vector ? `, #${vector} by meaning` : ""} `),
      excerpt ? text(excerpt) : el("span", "soft", "from before this stretch")));
    const about = [`page ${one.page}`, one.mode.replace("+", " + "), one.narrowed].filter(Boolean).join(" · ");
    return el("div", "", el("div", "soft", text(about), " · ", link(`event ${number(one.seq)}`, one.seq)),
      rows.length ? el("ol", "", ...rows) : el("p", "soft", "Nothing was found."));
  }, open);
  made.firstChild.replaceChildren(title);
  return made;
}

function drawEvent(event, says) {
  document.getElementById("event-title").textContent = `Event ${number(event.seq)}: ${event.kind.replaceAll("_", " ")}`;
  const open = document.querySelector("#event details")?.open ?? true;
  document.getElementById("event").replaceChildren(
    el("p", "", text(says)),
    details("As it stands in the log (JSON)", () => long("", JSON.stringify(event, null, 2), "pre"), open));
}

function peek(seq) {
  drawEvent(EARLIER.get(seq), "From before this stretch; it stood in the window when the stretch began.");
  document.getElementById("event-title").scrollIntoView({ block: "nearest" });
}
