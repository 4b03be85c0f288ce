// Answers aloud: one at a time, each paid once.

import { askModel, Offline } from "./http.js";
import { grouped, worth } from "./numbers.js";
import { announce } from "./say.js";

/** Plays answers; a second press stops. */
export class Player {
  /** `texts` are the page's; `spent` is called when something was paid. */
  constructor(turns, texts, { spent }) {
    this.texts = texts;
    this.spent = spent;
    this.audio = new Audio();
    this.audio.addEventListener("playing", () => this.show("playing"));
    // Called once when what is played ends: whether it was heard to its end.
    this.then = null;
    this.audio.addEventListener("ended", () => this.stop(true));
    this.audio.addEventListener("error", () => {
      if (this.button && this.audio.src) this.fail(texts.textPlayFailed);
    });
    turns.addEventListener("click", (event) => {
      const button = event.target.closest("[data-play]");
      if (button) this.press(button);
    });
    for (const turn of turns.querySelectorAll(".turn.answer:not([data-live])")) this.price(turn);
  }

  /** Says what reading an answer aloud costs at the most, before one presses. */
  price(turn) {
    const per1k = Number(this.texts.speechPer1k);
    const place = turn.querySelector("[data-play-cost]");
    const length = turn.querySelector("[data-copy-answer]").dataset.copy?.length;
    if (!per1k || !place || !length) return;
    const about = worth(Math.max(1, (per1k * length) / 1000), this.texts.rate);
    place.textContent = `≈ ¥${about}`;
    place.hidden = false;
    turn.querySelector("[data-play]").title = place.title = this.texts.textPlayPrice.replace("{yuan}", about);
  }

  press(button) {
    const again = button === this.button;
    this.stop();
    if (!again) this.play(button).catch((error) => this.failed(button, error));
  }

  async play(button) {
    this.button = button;
    this.show("loading");
    const { status, body, sound } = await askModel(this.texts.speech, { messageId: button.closest("[data-turn]").id });
    if (body?.quota || sound) this.spent();
    if (body?.quota) this.cost(button, body.quota);
    if (this.button !== button) return;
    if (status !== 200) {
      this.fail(body?.message || this.texts.textPlayFailed);
      return;
    }
    this.audio.src = sound ? URL.createObjectURL(sound) : `${this.texts.files}${body.path}?download=1`;
    await this.audio.play();
  }

  failed(button, error) {
    // Stopped before it began: no failure.
    if (this.button !== button || error.name === "AbortError") return;
    this.fail(error instanceof Offline ? this.texts.textPlayOffline : this.texts.textPlayFailed);
  }

  /** What it has cost. */
  cost(button, quota) {
    const place = button.parentElement.querySelector("[data-play-cost]");
    place.textContent = this.texts.textPlayCost.replace("{quota}", grouped(quota)).replace("{yuan}", worth(quota, this.texts.rate));
    place.hidden = false;
    place.title = "";
    announce(place.textContent);
  }

  stop(whole = false) {
    const { then } = this;
    this.then = null;
    if (this.button) this.end();
    then?.(whole);
  }

  end() {
    this.audio.pause();
    if (this.audio.src.startsWith("blob:")) URL.revokeObjectURL(this.audio.src);
    this.audio.removeAttribute("src");
    this.show("idle");
    this.button = null;
  }

  fail(words) {
    const { button } = this;
    this.stop();
    note(button, words);
    announce(words);
  }

  /** The button says what it would do now, and a reader hears what happens. */
  show(state) {
    const words = { idle: this.texts.textPlay, loading: this.texts.textPlayLoading, playing: this.texts.textPlayStop }[state];
    this.button.dataset.state = state;
    this.button.querySelector("[data-play-words]").textContent = words;
    note(this.button, "");
    if (state === "loading") announce(this.texts.textPlayLoading);
    if (state === "playing") announce(this.texts.textPlaying);
  }
}

function note(button, words) {
  const place = button.parentElement.querySelector("[data-play-note]");
  place.textContent = words;
  place.hidden = !words;
}
