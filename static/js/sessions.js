// The list of conversations: goes on as far as one scrolls, and is searched while one types.

import { askFragment } from "./http.js";

const PAUSE_MS = 250;

export class Sessions {
  /** `restore` draws the list as it is without a search. */
  constructor(aside, { restore }) {
    this.list = aside.querySelector("#session-list");
    this.form = aside.querySelector("[data-finder]");
    this.restore = restore;
    this.asked = 0;
    this.end = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.more(target);
    });
    new MutationObserver(() => this.watch()).observe(this.list, { childList: true });
    this.form.addEventListener("input", () => {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.search(), PAUSE_MS);
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    this.list.addEventListener("click", (event) => this.leave(event));
    this.watch();
  }

  get searching() {
    return Boolean(this.form.elements.q.value.trim());
  }

  watch() {
    const link = this.list.querySelector("[data-more]");
    this.end.disconnect();
    if (link) this.end.observe(link);
  }

  /** The next page, in place of the link to it; one that does not come is a link that can be followed. */
  async more(link) {
    this.end.unobserve(link);
    const fragment = await askFragment(link.href).catch(() => null);
    const fresh = fragment?.querySelector("#session-list");
    if (!fresh || !link.isConnected) return;
    const headings = this.list.querySelectorAll("h2");
    const [last, first] = [headings[headings.length - 1], fresh.querySelector("h2")];
    if (last && first && last.textContent === first.textContent) {
      last.nextElementSibling.append(...first.nextElementSibling.childNodes);
      first.nextElementSibling.remove();
      first.remove();
    }
    link.parentElement.replaceWith(...fresh.childNodes);
  }

  async search() {
    const number = ++this.asked;
    if (!this.searching) return this.restore();
    const address = new URL(this.form.action);
    address.searchParams.set("q", this.form.elements.q.value.trim());
    const fragment = await askFragment(address).catch(() => null);
    // Somebody types faster than we find.
    if (number === this.asked && fragment) this.list.replaceChildren(...fragment.querySelector("#session-list").childNodes);
  }

  leave(event) {
    if (!event.target.closest("[data-leave-search]")) return;
    event.preventDefault();
    this.form.elements.q.value = "";
    this.search();
    this.form.elements.q.focus();
  }
}
