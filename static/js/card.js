// The payment card: counts down, asks how the order stands, and is replaced by its next face when that changes.

import { payInWeChat } from "./handover.js";
import { askFragment, askJson, Offline } from "./http.js";
import { announce } from "./say.js";

const FAST_MS = 2_000;
const SLOW_MS = 5_000;
const FAST_FOR_MS = 60_000;
const BACK_OFF_MS = [2_000, 4_000, 8_000, 15_000, 30_000];
const SAY_AT_S = [300, 60];

let watch = null;

/** The card on the page, or nothing. */
export function watchCard() {
  watch?.stop();
  const card = document.getElementById("card");
  watch = card ? new Watch(card) : null;
}

/** Takes the head's figures out of a fragment; the card itself is on the page already. */
export function putCard(fragment, { fresh }) {
  const account = fragment.getElementById("account");
  if (account) document.getElementById("account")?.replaceWith(account);
  watchCard();
  const card = document.getElementById("card");
  const words = card.querySelector("[data-say]")?.textContent;
  if (words) announce(words);
  if (fresh) scrollTo({ top: 0 });
  card.focus({ preventScroll: true });
}

class Watch {
  constructor(card) {
    this.card = card;
    this.began = performance.now();
    this.misses = 0;
    this.ends = performance.now() + Number(card.dataset.left) * 1000;
    if (!("polling" in card.dataset)) return;
    this.on = new AbortController();
    const signal = this.on.signal;
    document.addEventListener("visibilitychange", () => this.seen(), { signal });
    addEventListener("online", () => this.now(), { signal });
    addEventListener("offline", () => this.offline(true), { signal });
    card.querySelector("[data-check]")?.addEventListener("click", (event) => this.check(event), { signal });
    card.querySelector("[data-in-wechat]")?.addEventListener("click", () => payInWeChat(card), { signal });
    this.clock = card.querySelector("[data-countdown]");
    if (this.clock) this.ticking = setInterval(() => this.tick(), 500);
    this.plan();
  }

  stop() {
    this.on?.abort();
    clearInterval(this.ticking);
    clearTimeout(this.timer);
  }

  get leftS() {
    return Math.max(0, Math.ceil((this.ends - performance.now()) / 1000));
  }

  tick() {
    const left = this.leftS;
    const text = `${String(Math.floor(left / 60)).padStart(2, "0")}:${String(left % 60).padStart(2, "0")}`;
    if (this.clock.textContent === text) return;
    this.clock.textContent = text;
    if (SAY_AT_S.includes(left)) announce(this.clock.parentElement.textContent);
    if (left === 0) this.now();
  }

  seen() {
    if (document.hidden) clearTimeout(this.timer);
    else this.now();
  }

  check(event) {
    event.preventDefault();
    event.currentTarget.setAttribute("aria-busy", "true");
    this.now();
  }

  now() {
    clearTimeout(this.timer);
    this.poll();
  }

  plan(waitMs = 0) {
    const young = performance.now() - this.began < FAST_FOR_MS;
    const pace = this.card.dataset.view === "waiting" && young ? FAST_MS : SLOW_MS;
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.poll(), Math.max(pace, waitMs));
  }

  async poll() {
    if (this.asking) return;
    this.asking = true;
    try {
      await this.ask();
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      this.offline(true);
      this.plan(BACK_OFF_MS[Math.min(this.misses++, BACK_OFF_MS.length - 1)]);
    } finally {
      this.asking = false;
    }
  }

  async ask() {
    const { status, body, waitS } = await askJson(this.card.dataset.pollUrl);
    if (this.on.signal.aborted) return;
    if (status === 401 || status === 404) return location.reload();
    if (status === 429) return this.plan(waitS * 1000);
    if (status !== 200) throw new Offline();
    this.misses = 0;
    this.offline(false);
    this.card.querySelector("[data-check]")?.removeAttribute("aria-busy");
    this.ends = performance.now() + body.data.seconds_left * 1000;
    const over = this.card.dataset.view === "waiting" && body.data.seconds_left === 0;
    const offered = this.card.dataset.view === "unanswered" && body.data.pay_url;
    if (body.data.status !== this.card.dataset.status || over || offered) await this.turn();
    else this.plan();
  }

  /** The next face, as the server draws it. */
  async turn() {
    const fragment = await askFragment(this.card.dataset.cardUrl);
    if (!fragment) return location.reload();
    if (this.on.signal.aborted) return;
    this.card.replaceWith(fragment.getElementById("card"));
    putCard(fragment, { fresh: false });
  }

  offline(on) {
    this.card.querySelector("[data-offline]").hidden = !on;
    this.card.classList.toggle("cut-off", on);
  }
}
