// One answer on the page: its text as it grows, and what it cost.

import { Prose } from "./markdown.js";
import { grouped, worth } from "./numbers.js";

/** One answer on the page. */
export class Answer {
  /** `texts` are the page's; `grown` is called when there is more to see. */
  constructor(turn, texts, grown = () => {}) {
    this.turn = turn;
    this.texts = texts;
    this.grown = grown;
    this.id = turn.id;
    this.written = "";
    this.prose = new Prose(turn.querySelector("[data-said]"), {
      copy: texts.textCopy,
      copied: texts.textCopied,
      picture: texts.textPicture,
      task: texts.textTask,
    });
  }

  part(name) {
    return this.turn.querySelector(`[data-${name}]`);
  }

  begin(id, model) {
    this.id = this.turn.id = id;
    this.turn.classList.add("writing");
    this.part("model").textContent = model;
  }

  /** Drawn once per frame, however many pieces came. */
  write(piece) {
    this.written += piece;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.prose.grow(this.written);
      this.grown();
    });
  }

  /** The whole text. */
  show(all) {
    this.turn.classList.remove("writing", "waiting");
    this.turn.classList.add("rendered");
    this.written = all;
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.prose.show(all);
    this.part("copy-answer").dataset.copy = all;
  }

  /** How much of it is here, as the server counts: not in halves of characters. */
  get length() {
    return [...this.written].length;
  }

  /** An answer that was being written when the page was sent. */
  goOn() {
    this.turn.classList.add("writing");
    this.part("note").hidden = true;
  }

  /** It ended early: by our wish, or broken off. */
  stopped(note = this.texts.textStopped) {
    this.show(this.written);
    this.part("foot").hidden = false;
    this.part("note").hidden = false;
    this.part("note").textContent = note;
    this.part("open").hidden = !this.id;
  }

  cost(quota) {
    this.part("foot").hidden = false;
    this.part("open").hidden = true;
    this.part("spent").hidden = false;
    this.part("quota").textContent = this.texts.textCost.replace("{quota}", grouped(quota));
    this.part("worth").textContent = worth(quota, this.texts.rate);
  }
}
