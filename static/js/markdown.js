// Markdown of a model as nodes of the page. Nothing a model wrote is ever parsed as HTML: tags appear as text, links
// lead only to the web and to mail, and pictures become links, so that an answer can neither run anything nor call home.

import MarkdownIt from "../vendor/markdown-it.js";

const parser = new MarkdownIt({ html: false, linkify: true, breaks: true });
// "chat.py" is a file, not a site in Paraguay.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

const TAGS = new Set(
  "p h1 h2 h3 h4 h5 h6 ul ol li blockquote strong em s table thead tbody tr th td hr br".split(" "),
);
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** A place that shows Markdown which may still be growing. `words` are the page's texts: copy, copied, picture. */
export class Prose {
  constructor(place, words) {
    this.place = place;
    this.words = words;
    this.shown = [];
  }

  /** Blocks that have not changed keep their nodes, so that a selection in them survives and nothing flickers. */
  show(text) {
    const env = {};
    // As the parser counts lines.
    const lines = text.replace(/\r\n?/g, "\n").split("\n");
    const blocks = split(parser.parse(text, env), lines);
    // What a reference leads to may come after the text that uses it.
    const context = JSON.stringify(env.references ?? {});
    const keys = blocks.map((block) => context + block.source);
    let same = 0;
    while (same < keys.length && keys[same] === this.shown[same]) same++;
    while (this.place.childNodes.length > same) this.place.lastChild.remove();
    for (const block of blocks.slice(same)) build(block.tokens, this.place, this.words);
    this.shown = keys;
  }
}

/** The tokens by block at the top, each with the lines it came from. Each becomes one node. */
function split(tokens, lines) {
  const blocks = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) blocks.push({ source: token.type + lines.slice(...token.map).join("\n"), tokens: [] });
    blocks.at(-1).tokens.push(token);
    depth += token.nesting;
  }
  return blocks;
}

function build(tokens, place, words) {
  const open = [place];
  for (const token of tokens) {
    const here = open.at(-1);
    // The paragraphs of a list without empty lines.
    if (token.hidden) continue;
    if (token.type === "inline") build(token.children, here, words);
    else if (token.nesting > 0) open.push(enter(token, here));
    else if (token.nesting < 0) open.pop();
    else here.append(leaf(token, words));
  }
}

function enter(token, here) {
  if (token.type === "link_open") return here.appendChild(link(token.attrGet("href"), token.attrGet("title")));
  const element = document.createElement(tagFor(token));
  if (token.tag === "ol" && token.attrGet("start")) element.start = Number(token.attrGet("start"));
  const align = token.attrGet("style")?.match(/^text-align:(left|center|right)$/)?.[1];
  if (align) element.style.textAlign = align;
  if (token.tag === "table") {
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.tabIndex = 0;
    here.append(frame);
    frame.append(element);
  } else {
    here.append(element);
  }
  return element;
}

function tagFor(token) {
  if (!TAGS.has(token.tag)) return "span";
  // The page has an h1, each turn an h2.
  return token.type === "heading_open" ? `h${Math.min(6, Number(token.tag[1]) + 2)}` : token.tag;
}

function leaf(token, words) {
  switch (token.type) {
    case "softbreak":
    case "hardbreak":
      return document.createElement("br");
    case "hr":
      return document.createElement("hr");
    case "code_inline":
      return textIn("code", token.content);
    case "fence":
    case "code_block":
      return code(token, words);
    case "image": {
      const picture = link(token.attrGet("src"), token.attrGet("title"));
      picture.append(words.picture.replace("{name}", token.content || token.attrGet("src")));
      return picture;
    }
    default:
      return document.createTextNode(token.content);
  }
}

/** A link that says where it leads; a mere piece of text when that is nowhere we let a model send people. */
function link(address, title) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !SCHEMES.has(url.protocol)) return document.createElement("span");
  const anchor = document.createElement("a");
  anchor.href = url.href;
  anchor.title = title ? `${title}\n${url.href}` : url.href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
  return anchor;
}

function code(token, words) {
  const figure = document.createElement("figure");
  figure.className = "code";
  figure.dataset.copyGroup = "";
  const head = figure.appendChild(document.createElement("figcaption"));
  head.append(textIn("span", token.info?.trim().split(/\s/)[0].slice(0, 32) ?? ""));
  const button = head.appendChild(textIn("button", words.copy));
  button.type = "button";
  button.className = "copy";
  button.dataset.copy = "";
  button.dataset.done = words.copied;
  const pre = figure.appendChild(document.createElement("pre"));
  pre.tabIndex = 0;
  pre.append(textIn("code", token.content));
  pre.firstChild.dataset.copyText = "";
  return figure;
}

function textIn(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
