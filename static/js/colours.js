// The colours of code, by highlight.js, which is loaded when the first code in a language it knows comes. It writes HTML;
// what we take from it is the tree that it writes from.

const LONGEST = 60_000;
const SCOPE = /^[\w.-]+$/;

let library = null;

/** Colours what an element says, some time soon, if the language is known. */
export async function colour(element, language) {
  const text = element.textContent;
  if (!language || text.length > LONGEST) return;
  library ??= import("../vendor/highlight.js");
  const loaded = await library.catch(() => {
    library = null;
  });
  const highlighter = loaded?.default;
  if (!highlighter?.getLanguage(language)) return;
  const tree = highlighter.highlight(text, { language, ignoreIllegals: true })._emitter?.rootNode;
  // It has grown meanwhile, or it is a version that keeps its tree elsewhere.
  if (!tree || element.textContent !== text || said(tree) !== text) return;
  element.replaceChildren(...tree.children.map(node));
}

function said(part) {
  return typeof part === "string" ? part : part.children.map(said).join("");
}

function node(part) {
  if (typeof part === "string") return document.createTextNode(part);
  const span = document.createElement("span");
  const scope = part.scope ?? "";
  if (SCOPE.test(scope)) span.className = `hl-${scope.split(".")[0]}`;
  span.append(...part.children.map(node));
  return span;
}
