// The drawn figures: the context bar and map, the paging timeline around the position, the density over the scrubber.

const COLUMNS = 40;
const CELLS = 480;
const NEAR = 80;
const GLYPHS = {
  message: "●", "page out": "▼", "page in": "▲", "page fault": "◆", search: "◎", write: "■", delete: "✕",
  warning: "!", pin: "⊙", failure: "✖",
};
const LANE_HUES = { you: "you", context: "messages", core: "working_context", notes: "notes", recall: "recall", archival: "archival", documents: "cold" };

function segment(key, tokens, whole, label) {
  const made = el("i", `fill t-${key} ${DATA.drawing.hues[key][2]}`, tokens / whole > 0.035 ? DATA.drawing.hues[key][1] : "");
  made.style.width = `${(100 * tokens) / whole}%`;
  made.title = `${label}: ${number(tokens)} tokens`;
  return made;
}

function drawWindow(tables, seq) {
  const level = (key) => tables.window.get(key);
  const whole = Math.max(level("window"), level("used"));
  const sections = [...tables.sections];
  const bar = el("div", "bar");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `${level("used")} of ${level("window")} tokens: ${sections.map(([key, tokens]) => `${DATA.drawing.hues[key][0]} ${tokens}`).join(", ")}`);
  for (const [key, tokens] of sections) bar.append(segment(key, tokens, whole, DATA.drawing.hues[key][0]));
  const reserve = segment("reserve", level("reserve"), whole, DATA.drawing.hues.reserve[0]);
  reserve.style.marginLeft = "auto";
  bar.append(reserve);
  for (const name of ["warn", "flush"]) {
    const mark = el("b", name);
    mark.style.left = `${(100 * level(name)) / whole}%`;
    mark.title = `${name === "warn" ? "Warning" : "Flush"} mark: ${number(level(name))} tokens`;
    bar.append(mark);
  }
  const legend = [...sections, ["reserve", level("reserve")]].map(([key, tokens]) =>
    el("div", "", chip(key), el("span", "", DATA.drawing.hues[key][0]), el("span", "num soft", number(tokens))));
  const about = level("factor") === 1 ? "" : level("exact") ? "" : " (estimate, scaled by what the server counted)";
  document.getElementById("window").replaceChildren(
    el("p", "", el("span", "big", number(level("used"))), el("span", "soft", ` of ${number(level("window"))} tokens${about}`)),
    bar,
    el("p", "soft thoughts", `┆ warning at ${number(level("warn"))}, │ flush at ${number(level("flush"))}`),
    map(tables, whole, seq),
    el("div", "legend", ...legend),
    el("p", level("pressure") === "calm" ? "soft thoughts" : "note bad", text(level("says"))));
}

// The window in equal cells, item after item; one that is smaller than half a cell has none.
function map(tables, whole, seq) {
  const box = el("div", "map");
  const factor = tables.window.get("factor");
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", "The same window as a map: one stretch of cells for each item, free room empty.");
  let tokens = 0;
  let from = 0;
  for (const [key, [section, name, size, written]] of tables.items) {
    tokens += size * factor;
    const to = Math.min(CELLS, Math.round((CELLS * tokens) / whole));
    for (let cell = from; cell < to; ) {
      const row = Math.floor(cell / COLUMNS);
      const end = Math.min(to, (row + 1) * COLUMNS);
      const piece = el("i", `fill t-${section} ${DATA.drawing.hues[section][2]}${written === seq ? " now" : ""}`);
      piece.style.gridArea = `${row + 1} / ${(cell % COLUMNS) + 1} / auto / ${end - row * COLUMNS + 1}`;
      piece.title = `${visible(name)} ${key}: ${number(Math.round(size * factor))} tokens`;
      box.append(piece);
      cell = end;
    }
    from = to;
  }
  box.style.gridTemplateRows = `repeat(${CELLS / COLUMNS}, 9px)`;
  return box;
}

// --- the paging timeline around the position ---------------------------------------------------------

function drawLine(seq) {
  const first = Math.max(FIRST, Math.min(seq - NEAR, FIRST + COUNT - 1 - 2 * NEAR));
  const last = Math.min(FIRST + COUNT - 1, first + 2 * NEAR);
  const share = (one) => `calc(7.6rem + (100% - 8.3rem) * ${(one - first) / Math.max(1, last - first)})`;
  const near = DATA.marks.slice(upTo(DATA.marks, first - 1, (one) => one[0]), upTo(DATA.marks, last, (one) => one[0]));
  const board = el("div", "lanes");
  for (const [key, name] of DATA.drawing.lanes) {
    const lane = el("div", `lane t-${LANE_HUES[key]}`, el("span", "", name));
    for (const one of near) if (one[1] === key || (key === "you" && one[4])) lane.append(glyph(one, share));
    board.append(lane);
  }
  const cursor = el("div", "cursor");
  cursor.style.left = share(seq);
  board.append(cursor);
  document.getElementById("line").replaceChildren(board,
    el("p", "soft thoughts", `Events ${number(first)} to ${number(last)}. ${Object.entries(GLYPHS).map(([shape, mark]) => `${mark} ${shape}`).join("  ")}`));
  const until = upTo(DATA.marks, seq, (one) => one[0]);
  const rows = DATA.marks.slice(Math.max(0, until - 6), until).reverse().map((one) =>
    el("div", "", el("span", "", GLYPHS[one[2]]), el("span", "", link(one[3], one[0]),
      one[5].length ? el("span", "soft", ` ${one[5].slice(0, 8).join(", ")}`) : null), el("span", "num soft", number(one[0]))));
  document.getElementById("line-list").replaceChildren(el("div", "list", ...(rows.length ? rows : [el("p", "soft", "Nothing was paged yet.")])));
}

// The marks are in the list below for the keyboard: eighty of them in the order of focus would be a wall.
function glyph([seq, , shape, says], share) {
  const made = button(GLYPHS[shape], () => go(seq - FIRST), shape === "failure" || shape === "page fault" ? "bad" : "");
  made.tabIndex = -1;
  made.setAttribute("aria-label", `${visible(says)}, event ${seq}`);
  made.title = `${shape}: ${visible(says)} (event ${number(seq)})`;
  made.style.left = share(seq);
  return made;
}

// --- the density over the scrubber -------------------------------------------------------------------

const SCRUB = [["flush", "▼", "recall"], ["fault", "◆", "messages"], ["edit", "■", "working_context"], ["error", "✖", ""], ["bookmark", "★", "you"]];

function drawDensity() {
  const canvas = document.getElementById("density");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const colour = (key) => {
    const probe = el("i", key ? `t-${key}` : "");
    document.body.append(probe);
    const found = getComputedStyle(probe).getPropertyValue(key ? "--hue" : "--bad").trim();
    probe.remove();
    return found;
  };
  // The thumb of a range stays inside its ends, so the drawing does too.
  const across = (seq) => 8 + ((width - 16) * (seq - FIRST)) / Math.max(1, COUNT - 1);
  const buckets = new Array(Math.max(1, Math.floor(width / 4))).fill(0);
  for (const mark of DATA.marks) buckets[Math.min(buckets.length - 1, Math.floor((buckets.length * across(mark[0])) / width))] += 1;
  const most = Math.max(1, ...buckets);
  pen.fillStyle = getComputedStyle(document.body).getPropertyValue("--soft");
  pen.globalAlpha = 0.4;
  buckets.forEach((count, at) => {
    const tall = count ? Math.max(2, ((height - 14) * Math.log1p(count)) / Math.log1p(most)) : 0;
    pen.fillRect((at * width) / buckets.length, height - tall, width / buckets.length - 1, tall);
  });
  pen.globalAlpha = 1;
  pen.font = "10px system-ui, sans-serif";
  pen.textAlign = "center";
  for (const seq of DATA.stops.session) pen.fillRect(across(seq), 0, 1, height);
  for (const [name, mark, key] of SCRUB) {
    pen.fillStyle = colour(key);
    for (const seq of DATA.stops[name]) pen.fillText(mark, across(seq), 10);
  }
  canvas.setAttribute("aria-label", `What memory did along the recording: ${SCRUB.map(([name]) => `${DATA.stops[name].length} of ${name}`).join(", ")}`);
}
