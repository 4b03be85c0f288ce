// Paying: the forms marked data-pay go through the API, and the payment card replaces what is on the stage.

import { askFragment, askJson, Offline } from "./http.js";
import { putCard, watchCard } from "./card.js";
import { handOver } from "./handover.js";
import { followAmount } from "./quote.js";

const stage = document.getElementById("stage");
let busy = false;
// The last click that got no answer. Repeating it repeats its key, so that it cannot make a second order.
let unanswered = null;

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function keyFor(what) {
  return unanswered?.what === what ? unanswered.key : newKey();
}

export function takeOverPayForms() {
  stage.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!event.target.matches("[data-pay]") || !button?.dataset.url) return;
    event.preventDefault();
    if (!busy) pay(event.target, button);
  });
}

async function pay(form, button) {
  const amount = Number(form.elements.amount.value);
  const quoted = form.elements.quoted.value;
  const quota = form.elements.quoted_quota.value;
  const tradeType = button.dataset.tradeType;
  const what = `${button.value} ${amount} ${quoted} ${quota} ${tradeType}`;
  const key = keyFor(what);
  working(button, true);
  complain(form, "");
  unanswered = { what, key };
  try {
    const answer = await askJson(button.dataset.url, {
      body: { amount, payment_method: button.value, trade_type: tradeType, quoted, quoted_quota: quota || null },
      headers: { "Idempotency-Key": key },
    });
    unanswered = null;
    await proceed(form, button, answer);
  } catch (error) {
    if (!(error instanceof Offline)) throw error;
    complain(form, stage.dataset.textFailed);
  } finally {
    working(button, false);
  }
}

async function proceed(form, button, answer) {
  if (answer.status === 401) return location.reload();
  // A refused payment has an order too: its card says what to do.
  const order = answer.status === 200 ? answer.body.data.order_id : answer.orderId;
  if (order) return openCard(`${stage.dataset.orders}/${order}`);
  if (answer.body.quoted) return showPrice(form, button, answer.body.data);
  complain(form, answer.waitS ? waitText(answer.waitS) : answer.body.data ?? stage.dataset.textFailed);
}

async function openCard(address) {
  let fragment = null;
  try {
    fragment = await askFragment(`${address}/card`);
  } catch {
    // The page itself is the second try.
  }
  if (!fragment) return location.assign(address);
  stage.replaceChildren(fragment.getElementById("card"));
  history.pushState({}, "", address);
  putCard(fragment, { fresh: true });
  handOver(document.getElementById("card"));
}

/** The price is another one by now: draws what shows it anew, so that the next click agrees to what is seen. */
async function showPrice(form, button, words) {
  const card = form.closest("#card");
  const { amount, show } = form.elements;
  const address = card?.dataset.cardUrl ?? `${form.action}?${new URLSearchParams({ amount: amount.value, show: show?.value ?? "" })}`;
  const fragment = await askFragment(address);
  const fresh = fragment?.querySelector(card ? "#card" : "[data-recharge]");
  const freshForm = fresh?.querySelector("[data-pay]");
  if (!freshForm) return location.reload();
  (card ?? form.closest("[data-recharge]")).replaceWith(fresh);
  if (card) watchCard();
  else followAmount(fresh);
  complain(freshForm, words);
  freshForm.querySelector(`[name=payment_method][value="${button.value}"]`)?.focus();
}

function waitText(seconds) {
  return stage.dataset.textWait.replace("{minutes}", Math.ceil(seconds / 60));
}

function working(button, on) {
  busy = on;
  button.toggleAttribute("aria-busy", on);
}

function complain(form, words) {
  const place = form.querySelector("[data-pay-problem]");
  place.textContent = words;
  place.hidden = !words;
}
