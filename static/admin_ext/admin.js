/* Rows that can be added and removed, prices that follow what is typed, and copy buttons. Without it all of it still
   works, with a few blank rows. Money is computed in BigInt, as topup/pricing.py does: exact, rounded once, half up. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-rows]").forEach(prepareRows);
  document.querySelectorAll("[data-copy]").forEach(prepareCopy);
  document.querySelectorAll("[data-files]").forEach(prepareFiles);
  document.querySelectorAll("[data-all]").forEach(prepareAll);
  document.querySelector(".vh-error, .vh-errors")?.scrollIntoView({ block: "center" });
  if (document.querySelector("[data-rows]")) {
    document.addEventListener("input", showPrices);
    showPrices();
  }
});

function prepareRows(box) {
  const body = box.querySelector("tbody");
  const template = box.querySelector("template");
  body.querySelectorAll("tr[data-blank]").forEach((row) => row.remove());
  body.querySelectorAll(".vh-remove").forEach((button) => { button.hidden = false; });
  const add = box.querySelector(".vh-add");
  add.hidden = false;
  add.addEventListener("click", () => {
    const row = template.content.firstElementChild.cloneNode(true);
    row.removeAttribute("data-blank");
    row.querySelector(".vh-remove").hidden = false;
    body.append(row);
    row.querySelector("input, select").focus();
  });
  body.addEventListener("click", (event) => {
    const button = event.target.closest(".vh-remove");
    if (!button) return;
    button.closest("tr").remove();
    add.focus();
    add.dispatchEvent(new Event("change", { bubbles: true }));
    showPrices();
  });
}

function prepareCopy(button) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const source = button.parentElement.querySelector(".vh-mono");
    getSelection().selectAllChildren(source);
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      document.execCommand("copy");
    }
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

/* Key files that are chosen together go each into the field whose file begins with the same name. They are read here. */
function prepareFiles(box) {
  const fields = [...box.closest("form").querySelectorAll("textarea[data-file]")];
  const stem = (field) => field.dataset.file.split(/[….]/)[0].toLowerCase();
  box.hidden = false;
  box.querySelector("input").addEventListener("change", async (event) => {
    const unknown = [];
    const texts = new Map();
    for (const file of event.target.files) {
      const field = fields.find((each) => file.name.toLowerCase().startsWith(stem(each)));
      if (!field || file.size > 65536) unknown.push(file.name);
      else texts.set(field, [...(texts.get(field) || []), (await file.text()).trim()]);
    }
    texts.forEach((found, field) => fillIn(field, found.join("\n")));
    const filled = [...texts.keys()].map((field) => field.labels[0].textContent.trim());
    const output = box.querySelector("output");
    output.textContent = filled.length ? `✓ ${filled.join(" · ")}` : "";
    if (unknown.length) output.append(...(filled.length ? [document.createElement("br")] : []), `${box.dataset.unknown} ${unknown.join(" · ")}`);
    output.classList.toggle("vh-error", unknown.length > 0);
    event.target.value = "";
  });
}

/* Also chooses what shows the field, of a group that only one choice wants. */
function fillIn(field, text) {
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
  const only = /vh-only-(\S+)/.exec(field.closest("fieldset").className);
  const select = only && field.form.querySelector(`select:has(option[value="${only[1]}"])`);
  if (!select || select.value === only[1]) return;
  select.value = only[1];
  select.dispatchEvent(new Event("change", { bubbles: true }));
}

function prepareAll(box) {
  box.addEventListener("change", () => {
    for (const each of box.closest("form").querySelectorAll(`input[name="${box.dataset.all}"]`)) each.checked = box.checked;
  });
}

const MICRO = 1000000n;

/* "7.3" as millionths, or null for what is not a plain decimal with at most six places. */
function micros(text) {
  const found = /^([0-9]{1,9})(?:\.([0-9]{1,6}))?$/.exec(text.trim());
  return found ? BigInt(found[1]) * MICRO + BigInt((found[2] || "").padEnd(6, "0")) : null;
}

function rowsOf(kind) {
  return [...document.querySelectorAll(`[data-rows="${kind}"] tbody tr`)].map((row) => ({
    cells: [...row.querySelectorAll("input")].map((input) => input.value.trim()),
    output: row.querySelector("output"),
  }));
}

function yuan(fen) {
  return `¥${grouped(fen / 100n)}.${(fen % 100n).toString().padStart(2, "0")}`;
}

/* units × price × ratio × discount × 100, half up; each factor but the units in millionths. */
function fen(units, price, ratio, discount) {
  const scale = MICRO * MICRO * MICRO;
  return (2n * units * price * ratio * discount * 100n + scale) / (2n * scale);
}

function priceOf(text, price, ratio, discounts, bonuses) {
  if (price === null || !/^[1-9][0-9]{0,8}$/.test(text)) return ["", ""];
  const units = BigInt(text);
  const full = fen(units, price, ratio, MICRO);
  const discount = discounts.get(text);
  const pay = discount ? fen(units, price, ratio, discount) : full;
  return pay > 0n ? [yuan(pay) + bonusOf(units, bonuses), full > pay ? yuan(full) : ""] : ["", ""];
}

/* ", +10" of the highest threshold that the units reach; nothing below the first. */
function bonusOf(units, bonuses) {
  let best = [0n, 0n];
  for (const tier of bonuses) if (tier[0] <= units && tier[0] > best[0]) best = tier;
  return best[1] ? `, +${grouped(best[1])}` : "";
}

function grouped(number) {
  return number.toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

function show(output, [price, before]) {
  output.replaceChildren();
  if (before) {
    const struck = document.createElement("s");
    struck.textContent = before;
    output.append(struck, " ");
  }
  output.append(price);
}

function unitPrice(price, ratio) {
  if (price === null || ratio === null) return "";
  const digits = (price * (ratio || MICRO)).toString().padStart(13, "0");
  return `¥${digits.slice(0, -12)}.${digits.slice(-12)}`.replace(/\.?0+$/, "");
}

function showPrices() {
  const unit = document.getElementById("id_price");
  if (!unit) return;
  const price = micros(unit.value);
  const ratios = rowsOf("ratios");
  const own = ratios.find((row) => row.cells[0] === "default");
  const ratio = (own && micros(own.cells[1])) || MICRO;
  const discounts = new Map();
  for (const row of rowsOf("discounts")) {
    const rate = micros(row.cells[1]);
    if (rate !== null && rate > 0n && rate <= MICRO) discounts.set(row.cells[0], rate);
  }
  const whole = /^[1-9][0-9]{0,9}$/;
  const bonuses = rowsOf("bonuses")
    .filter((row) => row.cells.every((cell) => whole.test(cell)))
    .map((row) => row.cells.map(BigInt));
  for (const row of [...rowsOf("options"), ...rowsOf("discounts"), ...rowsOf("bonuses")]) {
    show(row.output, priceOf(row.cells[0], price, ratio, discounts, bonuses));
  }
  for (const row of ratios) {
    row.output.textContent = row.cells[0] ? unitPrice(price, micros(row.cells[1])) : "";
  }
}

// What unfold's pages lack for those who hear them, or have no mouse.
document.addEventListener("DOMContentLoaded", () => {
  (document.getElementById("main") ?? document.getElementById("page"))?.setAttribute("role", "main");
  // A header within it is none of the whole page.
  for (const header of document.querySelectorAll("#main header")) header.setAttribute("role", "presentation");
  nameTicks();
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) letKeysScroll(target);
  });
  for (const frame of document.querySelectorAll(".vh-scroll, .vh-pre")) watch.observe(frame);
});

// Each frame that scrolls is called by what it holds.
addEventListener("load", () => {
  for (const [number, frame] of document.querySelectorAll(".simplebar-content-wrapper[role=region]").entries()) {
    const heading = frame.closest("fieldset, section, nav")?.querySelector("h2, legend")?.textContent.trim();
    frame.setAttribute("aria-label", [heading, number + 1].filter(Boolean).join(" "));
  }
});

/** What is wider or higher than its frame is scrolled with the arrow keys, too; what fits is no stop of the Tab key. */
function letKeysScroll(frame) {
  if (frame.scrollWidth > frame.clientWidth || frame.scrollHeight > frame.clientHeight) frame.tabIndex = 0;
  else frame.removeAttribute("tabindex");
}

/** The boxes and fields in a list are called by their row and column. */
function nameTicks() {
  for (const field of document.querySelectorAll("#result_list td :is(input:not([type=hidden]), select)")) {
    const [row, column] = [field.closest("tr").querySelector("th")?.textContent.trim(), field.closest("td").dataset.label];
    if (!field.labels?.length && !field.ariaLabel) field.ariaLabel = [row, column].filter(Boolean).join(": ");
  }
}
