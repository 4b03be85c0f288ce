// Tokens of Markdown as nodes of the page. Nothing a model wrote is ever parsed as HTML: tags appear as text, links lead
// only to the web and to mail, and only pictures that are ours or in the text itself are shown, so that an answer can
// neither run anything nor call home.

import { colour } from "./colours.js";
import { formula } from "./formulas.js";

const TAGS = new Set(
  "p h1 h2 h3 h4 h5 h6 ul ol li blockquote strong em s table thead tbody tr th td hr br".split(" "),
);
const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

/** `open`: the last of it may go on. */
export function build(tokens, place, words, open = false) {
  const inside = [place];
  for (const token of tokens) {
    const here = inside.at(-1);
    // The paragraphs of a list without empty lines.
    if (token.hidden) continue;
    if (token.type === "inline") build(token.children, here, words);
    else if (token.nesting > 0) inside.push(enter(token, here));
    else if (token.nesting < 0) inside.pop();
    else here.append(leaf(token, words, open));
  }
}

function enter(token, here) {
  if (token.type === "link_open") return here.appendChild(link(token.attrGet("href"), token.attrGet("title")));
  const element = document.createElement(tagFor(token));
  if (token.tag === "ol" && token.attrGet("start")) element.start = Number(token.attrGet("start"));
  if (token.meta?.task) element.className = "task";
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

function leaf(token, words, open) {
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
      return code(token, words, open);
    case "math_inline":
    case "math_block":
      return formula(token);
    case "task":
      return task(token.meta.done, words);
    case "image":
      return picture(token.attrGet("src"), token.attrGet("title"), token.content, words);
    default:
      return document.createTextNode(token.content);
  }
}

function task(done, words) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = done;
  box.disabled = true;
  box.setAttribute("aria-label", words.task);
  return box;
}

/** One of our own, or one that is in the text; any other is a link. */
function picture(address, title, text, words) {
  if (!PICTURE.test(address) && !isOurs(address)) {
    const anchor = link(address, title);
    anchor.append(words.picture.replace("{name}", text || address));
    return anchor;
  }
  const image = document.createElement("img");
  image.alt = text;
  image.loading = "lazy";
  image.decoding = "async";
  image.referrerPolicy = "no-referrer";
  image.src = address;
  return image;
}

/** A file of the store, at an address that is signed. Any other address here might do something. */
function isOurs(address) {
  if (!URL.canParse(address, location.href)) return false;
  const url = new URL(address, location.href);
  return url.origin === location.origin && url.pathname.startsWith("/files/") && url.searchParams.has("signature");
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

function code(token, words, open) {
  const language = token.info?.trim().split(/\s/)[0].slice(0, 32) ?? "";
  const figure = document.createElement("figure");
  figure.className = "code";
  figure.dataset.copyGroup = "";
  const head = figure.appendChild(document.createElement("figcaption"));
  head.append(textIn("span", language));
  const button = head.appendChild(textIn("button", words.copy));
  button.type = "button";
  button.className = "copy";
  button.dataset.copy = "";
  button.dataset.done = words.copied;
  const pre = figure.appendChild(document.createElement("pre"));
  pre.tabIndex = 0;
  pre.append(textIn("code", token.content));
  pre.firstChild.dataset.copyText = "";
  if (!open) colour(pre.firstChild, language.toLowerCase());
  return figure;
}

function textIn(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
