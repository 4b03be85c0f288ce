// The Markdown that models write: CommonMark with tables, formulas between dollars or TeX's own brackets, and task lists.

import MarkdownIt from "../vendor/markdown-it.js";

export const parser = new MarkdownIt({ html: false, linkify: true, breaks: true });
// "chat.py" is a file, not a site in Paraguay.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
// Before anything takes a backslash for an escape.
parser.inline.ruler.before("escape", "math", inlineMath);
parser.block.ruler.before("fence", "math", blockMath, { alt: ["paragraph", "reference", "blockquote", "list"] });
parser.core.ruler.after("inline", "tasks", tasks);

// Writings without spaces between words, and their punctuation.
const UNSPACED = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff00-\uffef“”‘’…—]/u;
const { scanDelims } = parser.inline.State.prototype;

/** "**一句话：**先用" is bold, though no space stands between the punctuation and the next word. */
parser.inline.State.prototype.scanDelims = function scan(start, withinWords) {
  const found = scanDelims.call(this, start, withinWords);
  const [before, after] = [this.src.slice(Math.max(0, start - 2), start), this.src.slice(start + found.length)];
  if (!withinWords || !before || !after) return found;
  if (!/^\s/.test(after) && UNSPACED.test([...before].at(-1))) found.can_open = true;
  if (!/\s$/.test(before) && UNSPACED.test(after)) found.can_close = true;
  return found;
};

const BRACKETS = [
  ["$$", "$$", true],
  ["\\[", "\\]", true],
  ["\\(", "\\)", false],
];
const BLOCKS = BRACKETS.filter(([, , display]) => display);
// No formula is longer; or a thousand that are not closed would be looked for a thousand times.
const LONGEST = 4000;

function inlineMath(state, silent) {
  const found = bracketed(state) ?? priced(state);
  if (!found || found.end > state.posMax) return false;
  if (!silent) push(state, "math_inline", found);
  state.pos = found.end;
  return true;
}

function push(state, type, { tex, source, display }) {
  const token = state.push(type, "", 0);
  token.content = tex;
  token.markup = source;
  token.meta = { display };
  return token;
}

function bracketed(state) {
  const { src: text, pos: at } = state;
  for (const [open, close, display] of BRACKETS) {
    if (!text.startsWith(open, at)) continue;
    const ends = closing(state, at + open.length, close);
    if (ends > at + open.length) return formula(text, at, ends + close.length, open.length, display);
  }
  return null;
}

/** Between single dollars, unless they are money: nothing but the formula touches its dollars from inside, and no letter
 * or digit from outside. */
function priced(state) {
  const { src: text, pos: at } = state;
  if (text[at] !== "$" || text[at + 1] === "$" || /[\w$]/.test(text[at - 1] ?? "") || !/\S/.test(text[at + 1] ?? " ")) return null;
  const ends = closing(state, at + 1, "$");
  if (ends < 0 || /\s/.test(text[ends - 1]) || /[\w$]/.test(text[ends + 1] ?? "")) return null;
  return formula(text, at, ends + 1, 1, false);
}

function formula(text, begin, end, width, display) {
  return { tex: text.slice(begin + width, end - width), source: text.slice(begin, end), display, end };
}

/** Where `close` stands first, not escaped; -1 without it. What was found stays with the state: a text full of what
 * opens is not searched again for each of them. */
function closing(state, from, close, to = state.src.length) {
  const text = state.src;
  const ends = (state.ends ??= {});
  if (!(close in ends) || (ends[close] >= 0 && ends[close] < from)) ends[close] = text.indexOf(close, from);
  const last = Math.min(to, from + LONGEST);
  for (let at = ends[close]; at >= 0 && at < last; at = text.indexOf(close, at + 1)) {
    let escapes = 0;
    while (at - escapes > from && text[at - escapes - 1] === "\\") escapes++;
    if (escapes % 2 === 0) return at;
  }
  return -1;
}

/** A formula that begins a line and ends one. One that does not end is no formula. */
function blockMath(state, startLine, endLine, silent) {
  const begin = state.bMarks[startLine] + state.tShift[startLine];
  if (state.sCount[startLine] - state.blkIndent >= 4) return false;
  const pair = BLOCKS.find(([open]) => state.src.startsWith(open, begin));
  if (!pair) return false;
  const [open, close] = pair;
  for (let line = startLine; line < endLine && state.eMarks[line] - begin <= LONGEST; line++) {
    if (line > startLine && state.sCount[line] < state.blkIndent) return false;
    const from = line === startLine ? begin + open.length : state.bMarks[line];
    const ends = closing(state, from, close, state.eMarks[line]);
    if (ends < 0) continue;
    if (state.src.slice(ends + close.length, state.eMarks[line]).trim()) return false;
    if (silent) return true;
    const text = state.getLines(startLine, line + 1, state.blkIndent, false).trim();
    const token = push(state, "math_block", formula(text, 0, text.length, open.length, true));
    token.block = true;
    token.map = [startLine, line + 1];
    state.line = line + 1;
    return true;
  }
  return false;
}

/** "[ ] to do" and "[x] done" at the beginning of an item. */
function tasks({ tokens, Token }) {
  for (let at = 2; at < tokens.length; at++) {
    const first = tokens[at].type === "inline" && tokens[at - 2].type === "list_item_open" && tokens[at].children[0];
    const mark = first && first.type === "text" && /^\[([ xX])\] /.exec(first.content);
    if (!mark) continue;
    first.content = first.content.slice(mark[0].length);
    const box = new Token("task", "", 0);
    box.meta = { done: mark[1] !== " " };
    tokens[at].children.unshift(box);
    tokens[at - 2].meta = { task: true };
  }
}
