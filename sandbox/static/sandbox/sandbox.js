// Comfort only: everything on these pages works without this file.
"use strict";

for (const button of document.querySelectorAll("[data-paste]")) {
  if (!navigator.clipboard || !navigator.clipboard.readText) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const input = document.getElementById(button.dataset.paste);
    try {
      input.value = (await navigator.clipboard.readText()).trim();
    } catch {
      // The browser refused; the person can still paste by hand.
    }
    input.focus();
  });
}

for (const button of document.querySelectorAll("[data-once]")) {
  const text = button.textContent;
  button.form.addEventListener("submit", () => {
    button.disabled = true;
    button.textContent = button.dataset.once;
  });
  // Back from the browser's cache: the button must be usable again.
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = text;
  });
}
