// What goes along with a question: pictures and texts by button, paste and drop, each sent to be kept as soon as it is
// chosen, and shown as a chip until the question is put.

import { forgetFile, Offline, sendFileTelling } from "./http.js";
import { announce } from "./say.js";
import { thumbnail } from "./thumbnails.js";

const PICTURE = /^image\/(png|jpeg|gif|webp)$/;
const TEXT = /^text\/plain/;

export class Attachments {
  /** `place` is where files may be dropped; `changed` is called when there are others. */
  constructor(form, place, { changed }) {
    this.form = form;
    this.text = form.querySelector("[data-attachments]").dataset;
    this.list = form.querySelector("[data-chips]");
    this.chips = [];
    this.changed = changed;
    const chooser = form.querySelector("[data-chooser]");
    form.querySelector("[data-attach]").addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      this.add(chooser.files);
      chooser.value = "";
    });
    form.elements.content.addEventListener("paste", (event) => this.taken(event, event.clipboardData));
    place.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      form.classList.add("dropping");
    });
    for (const over of ["dragleave", "drop"]) place.addEventListener(over, () => form.classList.remove("dropping"));
    place.addEventListener("drop", (event) => this.taken(event, event.dataTransfer));
  }

  /** A paste or a drop that holds files; text goes where it always goes. */
  taken(event, { files }) {
    if (!files.length) return;
    event.preventDefault();
    this.add(files);
  }

  get busy() {
    return this.chips.some((chip) => chip.sending);
  }

  get withPictures() {
    return this.chips.some((chip) => chip.kept && PICTURE.test(chip.kept.contentType));
  }

  add(files) {
    for (const file of files) {
      if (this.chips.length >= Number(this.text.most)) {
        this.say(this.text.textTooMany);
        return;
      }
      if (file.size > Number(this.text.mostBytes)) this.say(this.text.textTooLarge.replace("{name}", file.name));
      else this.send(file);
    }
  }

  async send(file) {
    const chip = { sending: true, kept: null, element: this.draw(file), stop: new AbortController() };
    this.chips.push(chip);
    this.say("");
    this.changed();
    const bar = chip.element.querySelector("progress");
    try {
      const { status, body } = await sendFileTelling(this.text.upload, file, file.name || this.text.textNameless, {
        told: (part) => (bar.value = part),
        signal: chip.stop.signal,
      });
      if (status !== 200) this.refuse(chip, body.message || this.text.textFailed);
      else if (!PICTURE.test(body.contentType) && !TEXT.test(body.contentType)) {
        this.forget(body.path);
        this.refuse(chip, this.text.textUnreadable.replace("{name}", body.name));
      } else this.keep(chip, body);
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      if (this.chips.includes(chip)) this.refuse(chip, this.text.textOffline);
    }
  }

  keep(chip, body) {
    if (!this.chips.includes(chip)) {
      this.forget(body.path);
      return;
    }
    chip.sending = false;
    chip.kept = body;
    chip.element.querySelector("progress").hidden = true;
    announce(this.text.textAttached.replace("{name}", body.name));
    this.changed();
  }

  refuse(chip, words) {
    this.drop(chip);
    this.say(words);
  }

  draw(file) {
    const element = document.querySelector("[data-template=chip]").content.cloneNode(true).firstElementChild;
    element.querySelector("[data-name]").textContent = file.name || this.text.textNameless;
    const remove = element.querySelector("[data-remove]");
    remove.setAttribute("aria-label", `${remove.title}: ${file.name}`);
    remove.addEventListener("click", () => this.remove(element));
    if (PICTURE.test(file.type)) thumbnail(file).then((address) => address && show(element.querySelector("img"), address));
    this.list.append(element);
    return element;
  }

  remove(element) {
    const chip = this.chips.find((each) => each.element === element);
    chip.stop.abort();
    if (chip.kept) this.forget(chip.kept.path);
    this.drop(chip);
    this.form.elements.content.focus();
  }

  drop(chip) {
    this.chips = this.chips.filter((each) => each !== chip);
    chip.element.remove();
    this.changed();
  }

  forget(path) {
    forgetFile(`${this.text.files}${path}`).catch(() => {});
  }

  /** What there is goes along with the question in this turn: it is shown there, and gone here. */
  moveTo(turn) {
    const kept = this.chips.filter((chip) => chip.kept);
    turn.kept = kept.map((chip) => chip.kept);
    const place = turn.querySelector("[data-attached]");
    if (place && kept.length) {
      place.hidden = false;
      for (const { element, kept: { path } } of kept) {
        element.dataset.path = path;
        element.querySelector("[data-remove]").remove();
        element.querySelector("progress").remove();
        place.append(element);
      }
    }
    this.chips = this.chips.filter((chip) => !chip.kept);
    this.changed();
    return turn;
  }

  /** The question in this turn was not put: what went along with it is here again. */
  takeBack(turn) {
    for (const kept of turn.kept ?? []) {
      const chip = { sending: false, kept, element: this.draw({ name: kept.name, type: "" }), stop: new AbortController() };
      chip.element.querySelector("progress").hidden = true;
      this.chips.push(chip);
    }
    this.changed();
  }

  say(words) {
    const place = this.form.querySelector("[data-attach-note]");
    place.textContent = words;
    place.hidden = !words;
    if (words) announce(words);
  }
}

/** Of the files that go along with the question in a turn. */
export function pathsOf(turn) {
  return [...turn.querySelectorAll("[data-path]")].map((each) => each.dataset.path);
}

function show(image, address) {
  image.src = address;
  image.hidden = false;
}
