// One answer on the page: its text as it grows, and what it cost.

import { grouped, worth } from "./numbers.js";

// What draws Markdown is larger than the rest of the page, which does not wait for it.
let Prose = null;
let loading = null;

/** Fetches what draws answers. Where that cannot be had their source is shown, and it is tried again. */
export function fetchProse() {
  loading ??= import("./markdown.js").then(
    (module) => {
      Prose = module.Prose;
    },
    () => {
      loading = null;
    },
  );
  return loading;
}

/** One answer on the page. */
export class Answer {
  /** `texts` are the page's; `grown` is called when there is more to see. */
  constructor(turn, texts, grown = () => {}) {
    this.turn = turn;
    this.texts = texts;
    this.grown = grown;
    this.id = turn.id;
    this.written = "";
    this.place = turn.querySelector("[data-said]");
    this.prose = null;
    this.waits = null;
    this.over = false;
  }

  part(name) {
    return this.turn.querySelector(`[data-${name}]`);
  }

  get question() {
    return this.turn.previousElementSibling;
  }

  /** The answer that this one goes on with, and what came before that. */
  get before() {
    const { question } = this;
    if (!question?.matches(".turn.mine[hidden]")) return "";
    return question.previousElementSibling?.querySelector("[data-copy-answer]")?.dataset.copy ?? "";
  }

  begin(id, model) {
    this.id = this.turn.id = id;
    this.turn.classList.add("writing");
    this.part("model").textContent = model;
  }

  /** Drawn once per frame, however many pieces came. */
  write(piece) {
    this.written += piece;
    this.over = false;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    if (Prose) {
      this.turn.classList.add("rendered");
      this.prose ??= new Prose(this.place, this.words);
      if (this.over) this.prose.show(this.written);
      else this.prose.grow(this.written);
    } else {
      this.place.textContent = this.written;
      this.waits ??= fetchProse().then(() => {
        this.waits = null;
        if (Prose) this.draw();
      });
    }
    this.grown();
  }

  get words() {
    const { textCopy: copy, textCopied: copied, textPicture: picture, textTask: task } = this.texts;
    return { copy, copied, picture, task };
  }

  /** The whole text. */
  show(all) {
    this.turn.classList.remove("writing", "waiting");
    this.written = all;
    this.over = true;
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.draw();
    this.part("copy-answer").dataset.copy = joined(this.before, all);
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

/** As llm/chat/continued.py. */
function joined(before, after) {
  return /[a-z0-9]$/i.test(before) && /^[a-z0-9]/i.test(after) ? `${before} ${after}` : before + after;
}
