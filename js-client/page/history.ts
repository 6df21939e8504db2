/** The last calls of one function, and a way to fill the form with one of them again. */

import { button, el, fill, peerText, show } from "./dom.js";
import { duration, shorten } from "./text.js";
import type { Entry } from "./values.js";

/** One call that ended. */
export interface Past {
  readonly at: Date;
  readonly entries: readonly Entry[];
  /** The arguments, in short. */
  readonly told: string;
  readonly outcome: string;
  readonly failed: boolean;
  readonly millis: number;
}

const KEPT = 8;

export class History {
  readonly element: HTMLDetailsElement;
  readonly #list = el("ol", { class: "history-list" });
  readonly #title = el("summary", {});
  readonly #again: (entries: readonly Entry[]) => void;
  #past: readonly Past[] = [];

  constructor(again: (entries: readonly Entry[]) => void) {
    this.#again = again;
    this.element = el("details", { class: "history" }, this.#title, this.#list);
    show(this.element, false);
  }

  add(past: Past): void {
    this.#past = [past, ...this.#past].slice(0, KEPT);
    // One call is what is shown above anyway.
    show(this.element, this.#past.length > 1);
    this.#title.textContent = `Last ${this.#past.length} calls`;
    fill(this.#list, ...this.#past.map((one) => this.#line(one)));
  }

  #line(past: Past): HTMLElement {
    return el(
      "li",
      { class: past.failed ? "failed" : "" },
      el("time", { datetime: past.at.toISOString() }, past.at.toLocaleTimeString()),
      el(
        "span",
        { class: "past-call" },
        peerText(shorten(past.told === "" ? "no arguments" : past.told, 120)),
        " → ",
        peerText(shorten(past.outcome, 80), { class: "past-outcome" }),
      ),
      el("span", { class: "muted" }, duration(past.millis)),
      past.told === "" ? null : button("Use again", "link", () => this.#again(past.entries)),
    );
  }
}
