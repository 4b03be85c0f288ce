// What can be done with a turn: its question edited, its answer given again or gone on with. Each begins a branch, and
// what stood there before is a version of it.

export class Turns {
  /** `ask(question, {mine, parent, continues, restore})` puts a question; `restore` brings back what had to go. */
  constructor(turns, texts, { ask, add, busy }) {
    this.turns = turns;
    this.texts = texts;
    Object.assign(this, { ask, add, busy });
    turns.addEventListener("click", (event) => this.clicked(event));
    turns.addEventListener("submit", (event) => this.submitted(event));
  }

  clicked(event) {
    const link = event.target.closest("[data-edit-turn]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (!this.busy()) this.edit(link.closest("[data-turn]"));
  }

  submitted(event) {
    if (!event.target.matches("[data-again-form]")) return;
    event.preventDefault();
    if (this.busy()) return;
    const answer = event.target.closest("[data-turn]");
    if (event.submitter?.matches("[data-go-on]")) this.goOn(answer);
    else this.again(answer);
  }

  /** Another answer to the same question. */
  again(answer) {
    const mine = questionOf(answer);
    if (!mine) return;
    const restore = this.cut(mine.nextElementSibling);
    this.ask(wordsOf(mine), { mine, parent: mine.dataset.parent, continues: mine.hidden, restore });
  }

  /** More of an answer that ended early, below it. */
  goOn(answer) {
    const restore = this.cut(answer.nextElementSibling);
    const mine = this.add("mine");
    mine.hidden = true;
    this.ask("", { mine, parent: answer.id, continues: true, restore });
  }

  edit(mine) {
    const said = mine.querySelector("[data-said]");
    const form = this.editor(wordsOf(mine));
    const close = () => {
      form.remove();
      mine.classList.remove("editing");
      mine.querySelector("[data-edit-turn]").focus();
    };
    mine.classList.add("editing");
    said.after(form);
    const field = form.querySelector("textarea");
    field.focus();
    form.querySelector("[data-close]").addEventListener("click", close);
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const words = field.value.trim();
      if (!words || this.busy()) return;
      close();
      const restore = this.cut(mine);
      const fresh = this.add("mine", words);
      const [from, to] = [mine, fresh].map((turn) => turn.querySelector("[data-attached]"));
      // What went along with it goes along again.
      to.replaceChildren(...[...from.children].map((chip) => chip.cloneNode(true)));
      to.hidden = from.hidden;
      this.ask(words, { mine: fresh, parent: mine.dataset.parent, restore });
    });
  }

  editor(words) {
    const form = document.createElement("form");
    form.className = "editor";
    const field = Object.assign(document.createElement("textarea"), { value: words, required: true, maxLength: 32_000 });
    field.rows = Math.min(12, words.split("\n").length + 1);
    field.setAttribute("aria-label", this.texts.textEdit);
    const close = button("secondary small", this.texts.textCancel, "button");
    close.dataset.close = "";
    const row = document.createElement("p");
    row.className = "next";
    row.append(close, button("primary small", this.texts.textSave, "submit"));
    form.append(field, row);
    return form;
  }

  /** Takes a turn and all after it off the page; returns what brings them back. */
  cut(first) {
    const gone = [];
    for (let next = first; next; next = next.nextElementSibling) gone.push(next);
    for (const each of gone) each.remove();
    return () => this.turns.append(...gone);
  }
}

function button(look, words, type) {
  return Object.assign(document.createElement("button"), { className: look, textContent: words, type });
}

function questionOf(answer) {
  let before = answer.previousElementSibling;
  while (before && !before.matches(".turn.mine")) before = before.previousElementSibling;
  return before;
}

function wordsOf(mine) {
  return mine.querySelector("[data-said]").textContent;
}
