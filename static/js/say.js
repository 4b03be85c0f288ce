// Words for screen readers: every page has a place for them.

/** Has a screen reader say something. */
export function announce(text) {
  const place = document.getElementById("announce");
  place.textContent = "";
  setTimeout(() => (place.textContent = text), 50);
}
