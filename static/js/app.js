// What every page has: the menu that closes, copy buttons, forms that are sent once. Nothing imports this file.

import { announce } from "./say.js";

document.documentElement.classList.add("js");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
  if (event.target.closest("[data-print]")) print();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// What is being made elsewhere: the page says how far it is.
for (const each of document.querySelectorAll("[data-refresh]")) {
  setTimeout(() => location.reload(), Number(each.dataset.refresh));
}

function openMenus() {
  return document.querySelectorAll("[data-menu][open]");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  // Drafts are for whoever wrote them.
  if (form.matches("[data-forget]")) sessionStorage.clear();
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});

/** What a copy button copies: its own text, or else what its surroundings mark. */
async function copy(button) {
  const source = button.closest("[data-copy-group]")?.querySelector("[data-copy-text]");
  try {
    await navigator.clipboard.writeText(button.dataset.copy || source.textContent);
  } catch {
    // No permission: select it, so that the person can copy it.
    if (source) getSelection().selectAllChildren(source);
    return;
  }
  button.dataset.copied = button.dataset.done;
  announce(button.dataset.done);
  setTimeout(() => delete button.dataset.copied, 2_000);
}
