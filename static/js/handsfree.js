// Taking turns without hands: what is said is sent when it ends, the answer is read aloud, and then one speaks again.

import { announce } from "./say.js";

export class HandsFree {
  /** `send` puts what was understood; `texts` are the page's. */
  constructor(button, { recorder, player, texts, send }) {
    Object.assign(this, { button, recorder, player, texts, send, on: false });
    button.addEventListener("click", () => (this.on ? this.stop() : this.start()));
    recorder.ended = () => this.on && this.stop();
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.on) this.stop();
    });
  }

  start() {
    this.show(true);
    announce(this.texts.textHandsfreeOn);
    this.listen();
  }

  /** Also what is being said, or read aloud, ends. */
  stop() {
    this.show(false);
    this.recorder.turnEnds = false;
    if (this.recorder.busy) this.recorder.cancel();
    this.player.stop();
    announce(this.texts.textHandsfreeOff);
  }

  show(on) {
    this.on = on;
    this.button.setAttribute("aria-pressed", String(on));
  }

  listen() {
    if (!this.on) return;
    this.recorder.turnEnds = true;
    this.recorder.begin();
  }

  /** Whether it took care of what was understood. */
  heard(words) {
    if (this.on) this.send(words);
    return this.on;
  }

  /** The answer is complete: it is read aloud, and the next turn begins. */
  answered(turn) {
    const button = turn.querySelector("[data-play]");
    if (!this.on || !button) return;
    this.player.press(button);
    this.player.then = (whole) => {
      if (whole) this.listen();
      else if (this.on) this.stop();
    };
  }

  /** There is no answer. */
  failed() {
    if (this.on) this.stop();
  }
}
