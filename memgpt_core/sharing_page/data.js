"use strict";
// What the file holds, and the tables at any of its events. Nothing is drawn here.

const TEXTS = JSON.parse(document.getElementById("texts").textContent);

// A text that begins with U+0001 stands for a long one that is kept once; here, and nowhere else, it is put in place.
const DATA = JSON.parse(document.getElementById("recording").textContent, (key, value) =>
  typeof value === "string" && value.charCodeAt(0) === 1 ? TEXTS[Number(value.slice(1))] : value,
);
const FIRST = DATA.about.start;
const COUNT = DATA.events.length;
const EARLIER = new Map(DATA.earlier);

function eventOf(seq) {
  return seq >= FIRST && seq < FIRST + COUNT ? DATA.events[seq - FIRST] : EARLIER.get(seq);
}

// How many rows, sorted by `of`, come no later than `most`.
function upTo(rows, most, of) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(rows[middle]) <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}

function put(table, changed) {
  const made = new Map(table);
  for (const key of changed.gone || []) made.delete(key);
  for (const [key, row] of changed.set || []) made.set(key, row);
  return changed.order ? new Map(changed.order.map((key) => [key, made.get(key)])) : made;
}

// The tables at one event; a table that did not change stays the same object, so that its pane is left alone.
class Frames {
  constructor() {
    this.index = -1;
    this.tables = {};
  }

  seek(index) {
    const key = DATA.keys[upTo(DATA.keys, index, (one) => one[0]) - 1];
    if (this.index > index || this.index < key[0]) {
      this.tables = {};
      for (const name of Object.keys(key[1])) this.tables[name] = new Map(key[1][name]);
      this.index = key[0];
    }
    while (this.index < index) {
      this.index += 1;
      const changes = DATA.steps[this.index] || {};
      for (const name of Object.keys(changes)) this.tables[name] = put(this.tables[name], changes[name]);
    }
    return this.tables;
  }
}

// The bubbles shown after event `seq`, newest first, at most so many; whether there are older ones.
function bubblesAt(seq, most) {
  const found = [];
  for (let at = upTo(DATA.bubbles, seq, (row) => row[2].seq) - 1; at >= 0; at -= 1) {
    const [since, until] = DATA.bubbles[at];
    if (since > seq || (until && until <= seq)) continue;
    if (found.length === most) return { found, older: true };
    found.push(at);
  }
  return { found, older: false };
}

// The nearest of these events before or after `seq`; 0 when there is none.
function nearest(stops, seq, forward) {
  if (forward) return stops[upTo(stops, seq, (one) => one)] || 0;
  return stops[upTo(stops, seq - 1, (one) => one) - 1] || 0;
}
