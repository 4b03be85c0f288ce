// Where one writes: a field that grows, Enter that sends, the choice of a model, what goes along, and a draft that
// survives a reload.

import { Attachments } from "./attachments.js";
import { grouped, worth } from "./numbers.js";
import { announce } from "./say.js";

export class Composer {
  /** `send` is called with the text. */
  constructor(form, { send }) {
    this.form = form;
    this.field = form.elements.content;
    this.menu = form.querySelector("[data-menu]");
    this.send = send;
    form.addEventListener("submit", (event) => this.submit(event));
    this.attached = new Attachments(form, form.closest("[data-chat]"), { changed: () => this.look() });
    form.querySelector("[data-see]").addEventListener("click", () => this.chooseOneThatSees());
    form.querySelector("[data-stop]").addEventListener("click", () => this.stop());
    this.field.addEventListener("input", () => this.changed());
    this.field.addEventListener("keydown", (event) => this.key(event));
    form.addEventListener("change", (event) => {
      if (event.target.name === "model") this.chose();
    });
    this.menu.addEventListener("click", (event) => this.picked(event));
    this.menu.addEventListener("keydown", (event) => this.picked(event));
    // Or the browser, going back, would put in what was there when the page was left.
    this.field.autocomplete = "off";
    if (!this.field.value) this.field.value = sessionStorage.getItem(this.draft) ?? "";
    this.remember();
    this.grow();
  }

  get draft() {
    return `draft ${location.pathname}`;
  }

  get model() {
    return this.form.elements.model.value;
  }

  write(text) {
    this.field.value = text;
    this.changed();
    this.field.focus();
  }

  /** What was said, behind what is there already. */
  add(words) {
    this.write([this.field.value.trimEnd(), words].filter(Boolean).join(" "));
  }

  /** What was said, at once. */
  sendNow(words) {
    this.write(words);
    this.form.requestSubmit();
  }

  /** What understanding it has cost. */
  cost(quota, { textHeardCost, rate }) {
    const place = this.form.querySelector("[data-voice-cost]");
    place.textContent = textHeardCost.replace("{quota}", grouped(quota)).replace("{yuan}", worth(quota, rate));
    place.hidden = !quota;
  }

  /** While an answer is written there is a button that stops it instead of one that sends. */
  working(stop) {
    this.stop = stop ?? (() => {});
    const [send, halt] = [this.form.querySelector("[data-send]"), this.form.querySelector("[data-stop]")];
    const focused = [send, halt].includes(document.activeElement);
    send.hidden = Boolean(stop);
    halt.hidden = !stop;
    if (focused) (stop ? halt : this.field).focus();
  }

  submit(event) {
    event.preventDefault();
    const text = this.field.value.trim();
    if (!text || this.form.querySelector("[data-send]").hidden || !this.ready()) return;
    this.field.value = "";
    this.grow();
    this.send(text);
  }

  /** What goes along goes along with the question in this turn. */
  attachTo(turn) {
    return this.attached.moveTo(turn);
  }

  /** Whether all that goes along is here, and the model can look at it; says what is missing. */
  ready() {
    const { text } = this.attached;
    if (this.attached.busy) this.attached.say(text.textWait);
    const blind = this.look();
    if (blind) announce(this.form.querySelector("[data-blind-words]").textContent);
    return !this.attached.busy && !blind;
  }

  /** Says before anything is sent that the model does not look at pictures, and which one does. */
  look() {
    const chosen = this.form.querySelector("[name=model]:checked");
    const blind = this.attached.withPictures && !("sees" in chosen.dataset);
    const other = this.form.querySelector("[name=model][data-sees]");
    const { text } = this.attached;
    this.form.querySelector("[data-blind]").hidden = !blind;
    this.form.querySelector("[data-blind-words]").textContent = (other ? text.textBlind : text.textAllBlind).replace("{model}", chosen.dataset.name);
    const button = this.form.querySelector("[data-see]");
    button.hidden = !other;
    if (other) button.textContent = text.textUse.replace("{model}", other.dataset.name);
    return blind;
  }

  chooseOneThatSees() {
    this.form.querySelector("[name=model][data-sees]").checked = true;
    this.chose();
    this.field.focus();
  }

  /** Enter also ends the input of a Chinese word, which must not send; on a phone it is the only way to a new line. */
  key(event) {
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing || matchMedia("(pointer: coarse)").matches) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  changed() {
    this.keep(this.field.value);
    this.grow();
  }

  /** What is written here comes back after a reload. Empty: what was written is safe elsewhere. */
  keep(text) {
    if (text) sessionStorage.setItem(this.draft, text);
    else sessionStorage.removeItem(this.draft);
  }

  grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }

  // The model
  chose() {
    const option = this.form.querySelector("[name=model]:checked");
    this.form.querySelector("[data-chosen]").textContent = option.dataset.name;
    localStorage.setItem("model", option.value);
    this.look();
  }

  /** A click or Enter is a decision, arrow keys only look around. */
  picked(event) {
    const clicked = event.type === "click" && event.detail > 0;
    if (!event.target.matches("[name=model]") || !(clicked || event.key === "Enter")) return;
    if (!clicked) event.preventDefault();
    this.menu.open = false;
    this.field.focus();
  }

  /** A new conversation begins with the model that was chosen last. */
  remember() {
    const last = localStorage.getItem("model");
    const option = [...this.form.querySelectorAll("[name=model]")].find((each) => each.value === last);
    if (!option || !("fresh" in this.form.dataset)) return;
    option.checked = true;
    this.chose();
  }
}
