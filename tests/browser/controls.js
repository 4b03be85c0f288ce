// What a finger misses, and what lies outside the window or the frame around it. Names are for the browser to say: see test_every_page.py.
const SMALLEST = 24;
const problems = [];
const width = document.documentElement.clientWidth;

/** Where one can touch: a label belongs to its field. */
function area(control) {
  const label = control.matches("input[type=radio], input[type=checkbox]") ? control.closest("label") : null;
  return (label ?? control).getBoundingClientRect();
}

/** A link in a sentence is as high as its line. */
function inText(control) {
  const sentence = control.closest("p, li")?.textContent.trim() ?? "";
  return getComputedStyle(control).display === "inline" && sentence.length > control.textContent.trim().length;
}

/** Cut off at a side by something around it that is no scrolling frame of its own. */
function cutOff(control, { left, right }) {
  for (let each = control.parentElement; each; each = each.parentElement) {
    if (each.matches(".frame, .drawing, pre") || each.popover) return false;
    const box = each.getBoundingClientRect();
    if (getComputedStyle(each).overflowX !== "visible" && (left < box.left - 1 || right > box.right + 1)) return true;
  }
  return left < 0 || right > width;
}

for (const control of document.querySelectorAll("a[href], button, input, select, textarea, summary")) {
  if (!control.checkVisibility({ visibilityProperty: true }) || control.closest(".unseen, .skip") || control.type === "hidden") continue;
  const box = area(control);
  const what = control.textContent.trim() || control.getAttribute("aria-label") || control.name;
  if (cutOff(control, box)) problems.push(`${what}: cut off`);
  if (Math.min(box.width, box.height) < SMALLEST && !inText(control)) {
    problems.push(`${what}: ${Math.round(box.width)} × ${Math.round(box.height)}`);
  }
}
for (const list of document.querySelectorAll(".flush")) {
  if (list.scrollWidth > list.clientWidth) problems.push(`${list.scrollWidth - list.clientWidth} px of a list are cut off`);
}
const over = document.documentElement.scrollWidth - width;
if (over > 0) problems.push(`the page is ${over} px too wide`);
return problems;
