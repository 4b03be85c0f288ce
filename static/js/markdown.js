// Markdown that may still be growing, shown in a place of the page. While it grows, only its last block is read and drawn
// again: a frame takes as long at the thousandth line as at the tenth.

import { build } from "./nodes.js";
import { parser } from "./syntax.js";

// Blocks stand in groups of so many: a layout looks at each child of the place, and not at those of a group in which
// nothing has changed.
const GROUP = 32;

/** A place that shows Markdown. `words` are the page's texts: copy, copied, picture, task. */
export class Prose {
  constructor(place, words) {
    this.place = place;
    this.words = words;
    // Of each block what it was made of, and its node.
    this.shown = [];
    this.nodes = [];
    this.startOver();
  }

  startOver() {
    // The blocks that nothing which follows can change, and where the text behind them begins.
    this.settled = 0;
    this.at = 0;
    this.readTo = 0;
    this.references = {};
  }

  /** The whole text. Blocks that have not changed keep their nodes, so that a selection in them survives. */
  show(text) {
    const lines = normal(text);
    this.startOver();
    // What a reference leads to may come after the text that uses it.
    const env = {};
    this.draw(0, blocks(lines, env), env);
  }

  /** A text of which more will follow. */
  grow(text) {
    // The other half of a line's end may follow.
    const lines = normal(text.endsWith("\r") ? text.slice(0, -1) : text);
    if (lines.length < this.readTo) this.startOver();
    this.settle(lines);
    const env = { references: { ...this.references } };
    this.draw(this.settled, blocks(lines.slice(this.at), env), env, true);
  }

  /** A block is over when lines that are complete have begun the next one. */
  settle(lines) {
    const whole = lines.lastIndexOf("\n") + 1;
    if (whole <= this.readTo) return;
    this.readTo = whole;
    const text = lines.slice(this.at, whole);
    const env = { references: { ...this.references } };
    const found = blocks(text, env);
    if (found.length < 2) return;
    this.references = env.references;
    this.draw(this.settled, found.slice(0, -1), env);
    this.settled += found.length - 1;
    const last = found.at(-1).line;
    for (let line = 0, from = 0; line < last; line++) {
      from = text.indexOf("\n", from) + 1;
      if (line === last - 1) this.at += from;
    }
  }

  /** Blocks from the one of that number on, in place of what is there. `open`: the last may go on. */
  draw(first, found, env, open = false) {
    const context = JSON.stringify(env.references ?? {});
    const keys = found.map((block, at) => context + (open && at === found.length - 1 ? unfinished(block) : "") + block.source);
    let same = 0;
    while (same < keys.length && keys[same] === this.shown[first + same]) same++;
    const last = found.length - 1;
    const grown = open && same === last && this.goOn(first + last, found[last]);
    if (!grown) {
      while (this.nodes.length > first + same) this.removeLast();
      // What the server wrote there before.
      if (first + same === 0) this.place.replaceChildren();
      for (let at = same; at <= last; at++) this.append(found[at], open && at === last);
    }
    this.shown.splice(first, Infinity, ...keys);
  }

  append(block, open) {
    if (this.nodes.length % GROUP === 0) this.place.append(document.createElement("div"));
    const group = this.place.lastChild;
    build(block.tokens, group, this.words, open);
    const node = group.lastChild;
    this.nodes.push(node);
    if (open && isList(block)) items.set(node, itemsOf(block.tokens).map(({ key }) => key));
  }

  removeLast() {
    const node = this.nodes.pop();
    const group = node.parentNode;
    node.remove();
    if (!group.firstChild) group.remove();
  }

  /** Adds to the block that is open what it has more than before. False: it has changed in another way. */
  goOn(number, block) {
    const node = this.nodes[number];
    if (!node || this.nodes.length > number + 1) return false;
    if (block.tokens[0].type === "fence") return moreCode(node, block.tokens[0]);
    return isList(block) && moreItems(node, block.tokens, this.words);
  }
}

/** Code gets its colours when it is complete. */
function unfinished({ tokens }) {
  return tokens.some(({ type }) => type === "fence" || type === "code_block") ? "unfinished " : "";
}

function isList({ tokens }) {
  return tokens[0].type.endsWith("_list_open");
}

function normal(text) {
  // As the parser counts lines.
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}

/** The blocks at the top, each with its tokens, the line it begins at and its source. Each becomes one node. */
function blocks(text, env) {
  const lines = text.split("\n");
  return split(parser.parse(text, env), lines);
}

function split(tokens, lines) {
  const found = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) {
      found.push({ source: token.type + lines.slice(...token.map).join("\n"), line: token.map[0], tokens: [] });
    }
    found.at(-1).tokens.push(token);
    depth += token.nesting;
  }
  return found;
}

function moreCode(figure, { content, info }) {
  const code = figure.querySelector?.("pre > code");
  const [label, before] = [figure.querySelector?.("figcaption > span")?.textContent, code?.textContent];
  if (label !== (info.trim().split(/\s/)[0].slice(0, 32) ?? "") || !content.startsWith(before)) return false;
  if (code.firstChild) code.firstChild.appendData(content.slice(before.length));
  else code.textContent = content;
  return true;
}

// What each item of a list that grows was made of.
const items = new WeakMap();

function moreItems(list, tokens, words) {
  const found = itemsOf(tokens);
  const before = items.get(list);
  items.set(list, found.map(({ key }) => key));
  if (!before || list.localName !== tokens[0].tag || list.children.length !== before.length) return false;
  let same = 0;
  while (same < found.length - 1 && found[same].key === before[same]) same++;
  while (list.children.length > same) list.lastChild.remove();
  for (let at = same; at < found.length; at++) build(found[at].tokens, list, words, at === found.length - 1);
  return true;
}

function itemsOf(tokens) {
  return split(tokens.slice(1, -1), []).map((item) => ({ ...item, key: item.tokens.map(keyOf).join("\n") }));
}

/** In a list whose items stand apart, paragraphs are no longer hidden. */
function keyOf({ type, hidden, content, markup }) {
  return `${type} ${hidden} ${markup} ${content}`;
}
