/** All functions of the peer: the cards, and beside them an index with a filter. */

import { Card, type CardOwner } from "./card.js";
import { button, byId, el, fill, peerText, show } from "./dom.js";
import { type Offer, matching } from "./openrpc.js";
import { count, label } from "./text.js";

/** With more functions than this the cards start closed, and there is a filter. */
const OPEN_AT_MOST = 8;

export class FunctionList {
  readonly #cards = byId("cards", HTMLElement);
  readonly #index = byId("index", HTMLElement);
  readonly #filter = byId("filter", HTMLInputElement);
  readonly #filterPlace = byId("filter-place", HTMLElement);
  readonly #found = byId("found", HTMLElement);
  readonly #owner: CardOwner;
  #shown: readonly { readonly card: Card; readonly item: HTMLElement }[] = [];
  #fingerprint = "";

  constructor(owner: CardOwner) {
    this.#owner = owner;
    this.#filter.addEventListener("input", () => this.#narrow());
    this.#filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        this.#filter.value = "";
        this.#narrow();
      } else if (event.key === "Enter") {
        this.#shown.find(({ card }) => !card.element.hidden)?.card.reveal();
      }
    });
  }

  /** Shows what is offered. After a reconnect the same offer leaves forms and results as they are. */
  show(offer: Offer): void {
    const fingerprint = JSON.stringify(offer.methods, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    if (fingerprint === this.#fingerprint) {
      return;
    }
    this.#fingerprint = fingerprint;
    for (const { card } of this.#shown) {
      card.dispose();
    }
    const open = offer.methods.length <= OPEN_AT_MOST;
    this.#shown = offer.methods.map((method) => {
      const card = new Card(method, offer.root, open, this.#owner);
      const entry = button("", "link", () => card.reveal());
      fill(entry, peerText(label(method.name, 60)));
      return { card, item: el("li", {}, entry) };
    });
    fill(this.#cards, ...this.#shown.map(({ card }) => card.element), this.#note(offer));
    fill(this.#index, ...this.#shown.map(({ item }) => item));
    show(this.#filterPlace, !open);
    this.#filter.value = "";
    this.#narrow();
  }

  /** Shows nothing, as before the first offer. */
  clear(): void {
    for (const { card } of this.#shown) {
      card.dispose();
    }
    this.#shown = [];
    this.#fingerprint = "";
    fill(this.#cards);
    fill(this.#index);
    this.#found.textContent = "";
    show(this.#filterPlace, false);
  }

  #note(offer: Offer): HTMLElement | null {
    if (offer.methods.length === 0) {
      return el(
        "p",
        { class: "empty" },
        "This peer offers you no functions. Its owner exposes them with @expose; some may need a link with more rights.",
      );
    }
    return offer.leftOut === 0 ? null : el("p", { class: "empty" }, `${count(offer.leftOut, "function")} more are not shown.`);
  }

  #narrow(): void {
    const wanted = matching(
      this.#shown.map(({ card }) => card.method),
      this.#filter.value,
    );
    for (const { card, item } of this.#shown) {
      show(card.element, wanted.has(card.method));
      show(item, wanted.has(card.method));
    }
    this.#found.textContent =
      this.#filter.value.trim() === ""
        ? count(this.#shown.length, "function")
        : `${wanted.size} of ${count(this.#shown.length, "function")}`;
  }
}
