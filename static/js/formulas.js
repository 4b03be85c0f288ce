// Formulas, drawn by KaTeX, which is loaded when the first of them comes. Until then, and where KaTeX does not
// understand one, there is its source.

const KEPT = 500;
const OPTIONS = { trust: false, throwOnError: true, strict: "ignore", maxExpand: 500, maxSize: 20 };

let katex = null;
let loading = null;
const waiting = new Set();
// What was drawn, by its source: a text that grows is drawn again and again.
const drawn = new Map();

/** An element with a formula. */
export function formula({ content, markup, meta, block }) {
  const place = document.createElement(block ? "div" : "span");
  place.className = meta.display ? "math display" : "math";
  place.textContent = markup;
  const job = { place, tex: content, display: meta.display };
  if (katex) draw(job);
  else {
    waiting.add(job);
    load();
  }
  return place;
}

function load() {
  loading ??= import("../vendor/katex.js")
    .then(() => style())
    .then(() => {
      katex = window.katex;
      for (const job of waiting) if (job.place.isConnected) draw(job);
      waiting.clear();
    })
    .catch(() => {
      loading = null;
    });
}

function style() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("../vendor/katex.css", import.meta.url);
  return new Promise((done, failed) => {
    link.addEventListener("load", done);
    link.addEventListener("error", failed);
    document.head.append(link);
  });
}

function draw({ place, tex, display }) {
  const key = `${display}${tex}`;
  if (drawn.size >= KEPT) drawn.clear();
  if (!drawn.has(key)) drawn.set(key, rendered(tex, display));
  const made = drawn.get(key);
  if (made) place.replaceChildren(made.cloneNode(true));
}

/** Null where it is not understood. */
function rendered(tex, displayMode) {
  const made = document.createElement("span");
  try {
    katex.render(tex, made, { ...OPTIONS, displayMode });
  } catch {
    return null;
  }
  return made;
}
