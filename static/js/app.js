// What every page has: the menu that closes, copy buttons, forms that are sent once. Nothing imports this file.

import { announce } from "./say.js";

document.documentElement.classList.add("js");

const menu = document.querySelector("[data-menu]");

document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // No permission: select the number, so that the person can copy it.
    getSelection().selectAllChildren(button.parentElement.querySelector("[data-order-number]"));
    return;
  }
  button.dataset.copied = button.dataset.done;
  announce(button.dataset.done);
  setTimeout(() => delete button.dataset.copied, 2_000);
}
