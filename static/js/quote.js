// The price follows the amount. The server prices; here nothing is calculated but the quota. The last answer wins, and
// the pay buttons work only while the price shown belongs to the amount shown.

import { askJson, Offline } from "./http.js";
import { grouped } from "./numbers.js";

const DEBOUNCE_MS = 300;

export function followAmount(root) {
  const field = root.querySelector("#amount");
  const summary = root.querySelector("[data-summary]");
  const pay = root.querySelector("[data-pay]");
  const problem = root.querySelector("[data-problem]");
  const buttons = [...root.querySelectorAll("[data-least]")];
  const savings = JSON.parse(document.getElementById("savings").textContent);
  const bonuses = JSON.parse(document.getElementById("bonuses").textContent);
  const text = root.dataset;
  let latest = 0;
  let timer;

  const cell = (name) => root.querySelector(`[data-price="${name}"]`);

  function lock() {
    for (const button of buttons) button.disabled = true;
  }

  function unlock(amount, money, quota) {
    pay.elements.amount.value = amount;
    pay.elements.quoted.value = money;
    pay.elements.quoted_quota.value = quota;
    for (const button of buttons) button.disabled = amount < BigInt(button.dataset.least);
  }

  function mark(amount) {
    for (const preset of root.querySelectorAll("[data-amount]")) {
      if (preset.dataset.amount === String(amount)) preset.setAttribute("aria-current", "true");
      else preset.removeAttribute("aria-current");
    }
  }

  function complain(words) {
    summary.removeAttribute("aria-busy");
    summary.classList.add("nothing");
    for (const name of ["amount", "credit", "original", "pay"]) cell(name).textContent = "–";
    root.querySelector("[data-discount]").hidden = true;
    cell("bonus").textContent = "";
    field.setAttribute("aria-invalid", "true");
    problem.textContent = words;
  }

  // Tiers come with the smallest first: the last one that is reached counts.
  function bonusOf(amount) {
    const reached = bonuses.filter(([least]) => BigInt(least) <= amount).at(-1);
    return reached ? BigInt(reached[1]) : 0n;
  }

  function show(amount, money) {
    const saved = savings[amount];
    const perUnit = "inTokens" in text ? 1n : BigInt(text.perUnit);
    summary.removeAttribute("aria-busy");
    summary.classList.remove("nothing");
    cell("amount").textContent = grouped(amount);
    const bonus = bonusOf(amount);
    const quota = (amount + bonus) * perUnit;
    cell("credit").textContent = grouped(quota);
    cell("bonus").textContent = bonus ? text.textBonus.replace("{bonus}", grouped(bonus * perUnit)) : "";
    cell("original").textContent = `¥${saved ? saved.original : grouped(money)}`;
    cell("saving").textContent = saved ? `−¥${saved.saving}` : "";
    root.querySelector("[data-discount]").hidden = !saved;
    cell("pay").textContent = `¥${grouped(money)}`;
    unlock(amount, money, quota);
  }

  async function fetchPrice(amount) {
    const mine = ++latest;
    // The way to pay with the lowest minimum: the price is the same for all.
    const method = buttons.reduce((a, b) => (BigInt(b.dataset.least) < BigInt(a.dataset.least) ? b : a)).value;
    try {
      const answer = await askJson(text.quoteUrl, { body: { amount: Number(amount), payment_method: method } });
      if (mine !== latest) return;
      if (answer.status === 401) return location.reload();
      if (answer.status === 200) show(amount, answer.body.data);
      else complain(answer.status === 400 ? text.textRange : answer.body.data ?? text.textOffline);
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      if (mine === latest) complain(text.textOffline);
    }
  }

  function change(wait = DEBOUNCE_MS) {
    clearTimeout(timer);
    latest++;
    lock();
    const typed = field.value.normalize("NFKC").replace(/[\s,]/g, "");
    const amount = /^\d{1,19}$/.test(typed) ? BigInt(typed) : null;
    mark(amount);
    problem.textContent = "";
    pay.querySelector("[data-pay-problem]").hidden = true;
    field.removeAttribute("aria-invalid");
    if (amount === null) return complain(text.textWhole);
    if (amount < BigInt(text.least)) return complain(text.textLeast);
    if (amount > BigInt(Number.MAX_SAFE_INTEGER)) return complain(text.textRange);
    summary.setAttribute("aria-busy", "true");
    timer = setTimeout(fetchPrice, wait, amount);
  }

  field.addEventListener("input", () => change());
  root.addEventListener("click", (event) => {
    const preset = event.target.closest("[data-amount]");
    if (!preset || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    field.value = preset.dataset.amount;
    change(0);
  });
  root.querySelector("[data-amount-form]").addEventListener("submit", (event) => {
    event.preventDefault();
    change(0);
  });
  addEventListener("online", () => {
    if (field.hasAttribute("aria-invalid")) change(0);
  });
  root.classList.add("live");
  // A browser may have kept what was typed before a reload.
  if (field.value !== field.defaultValue) change(0);
}
