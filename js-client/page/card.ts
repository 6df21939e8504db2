/** One function of the peer: its documentation, its form, the call under way, what came of it, and of the calls before. */

import { button, el, newId, peerText, longText, show } from "./dom.js";
import { type Failure, failureOf, wasStopped } from "./failure.js";
import { type Field, fieldOf } from "./fields.js";
import { type FieldsView, fieldsView } from "./form.js";
import { History } from "./history.js";
import { problemsOf } from "./issues.js";
import { kindName, valueName } from "./kind-words.js";
import type { Method } from "./openrpc.js";
import { type ProgressBar, progressBar } from "./progress.js";
import { type Outcome, failureView, resultView, swap } from "./result.js";
import { inShort } from "./result-kind.js";
import { type Following, followView, streamsIn } from "./stream-view.js";
import { count, duration, label, shorten, splitDoc } from "./text.js";
import { type Entry, type Problem, paramsOf, readFields } from "./values.js";

const MAX_PARAMS = 64;
const TICK_MILLIS = 100;

/** What a card needs from the page. */
export interface CardOwner {
  invoke(
    method: string,
    params: readonly unknown[] | { readonly [name: string]: unknown },
    signal: AbortSignal,
    progress: (done: number, total: number | null, message: string | null) => void,
  ): Promise<unknown>;
  say(words: string): void;
}

interface Running {
  readonly abort: AbortController;
  readonly started: number;
  readonly timer: ReturnType<typeof setInterval>;
}

export class Card {
  readonly element: HTMLDetailsElement;
  readonly method: Method;
  readonly #owner: CardOwner;
  readonly #fields: readonly Field[];
  readonly #call = el(
    "button",
    { type: "submit", class: "button primary call" },
    el("span", { class: "spinner", "aria-hidden": "true" }),
    el("span", {}, "Call"),
  );
  readonly #stop: HTMLButtonElement;
  readonly #elapsed = el("span", { class: "elapsed", role: "timer", "aria-live": "off" });
  readonly #progress: ProgressBar = progressBar();
  readonly #place = el("div", { class: "outcome" });
  readonly #history: History;
  #view: FieldsView | null = null;
  #outcome: Outcome | null = null;
  #running: Running | null = null;

  constructor(method: Method, root: unknown, open: boolean, owner: CardOwner) {
    this.method = method;
    this.#owner = owner;
    this.#fields = method.params.slice(0, MAX_PARAMS).map((param) => fieldOf(param, root));
    this.#stop = button("Stop", "danger", () => this.#running?.abort.abort());
    this.#history = new History((entries) => {
      this.#view?.write(entries);
      this.#call.focus();
    });
    show(this.#stop, false);
    this.element = el("details", { class: "card", open, "data-method": method.name }, this.#heading(root));
    // Forms are made when a card is opened: a peer may offer hundreds of functions.
    this.element.addEventListener("toggle", () => this.#build());
    if (open) {
      this.#build();
    }
  }

  /** Opens the card and puts the focus where one starts. */
  reveal(): void {
    this.element.open = true;
    this.#build();
    this.element.scrollIntoView({ block: "start" });
    (this.element.querySelector<HTMLElement>("form input, form textarea, form select") ?? this.#call).focus({
      preventScroll: true,
    });
  }

  /** Ends what is under way; the card is about to go. */
  dispose(): void {
    this.#running?.abort.abort();
    this.#outcome?.release();
  }

  #heading(root: unknown): HTMLElement {
    const params = this.#fields.map((field) => {
      const given = field.default === undefined ? (field.required ? "" : "?") : ` = ${shorten(valueName(field.default), 16)}`;
      return `${label(field.name, 40)}${given}`;
    });
    const result =
      this.method.result === null
        ? null
        : fieldOf({ name: "result", description: "", required: true, schema: this.method.result, variadic: null }, root);
    return el(
      "summary",
      {},
      el(
        "h2",
        {},
        peerText(label(this.method.name, 128), { class: "method-name" }),
        el("span", { class: "signature" }, peerText(`(${shorten(params.join(", "), 120)})`)),
      ),
      result === null || result.kind.type === "json" || result.kind.type === "fixed"
        ? null
        : el("span", { class: "returns" }, "→ ", peerText(label(result.title || kindName(result.kind), 40))),
    );
  }

  #build(): void {
    if (this.#view !== null || !this.element.open) {
      return;
    }
    const view = fieldsView(this.#fields, () => undefined);
    this.#view = view;
    const { first, rest } = splitDoc(this.method.doc);
    const id = newId("doc");
    const form = el(
      "form",
      {
        novalidate: true,
        autocomplete: "off",
        "aria-label": `call ${label(this.method.name)}`,
        "aria-describedby": first === "" ? null : id,
      },
      view.elements.length === 0 ? null : el("div", { class: "fields" }, ...view.elements),
      el("div", { class: "actions" }, this.#call, this.#stop, this.#elapsed),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(view);
    });
    this.element.append(
      el(
        "div",
        { class: "card-body" },
        first === "" ? null : el("div", { class: "doc", id }, longText(first, 400)),
        rest === ""
          ? null
          : el(
              "details",
              { class: "more-doc" },
              el("summary", {}, "More about this function"),
              longText(rest, 2_000, { class: "peer-text prose" }),
            ),
        form,
        this.#progress.element,
        this.#place,
        this.#history.element,
      ),
    );
  }

  async #submit(view: FieldsView): Promise<void> {
    if (this.#running !== null) {
      return;
    }
    view.clear();
    const entries = await view.read();
    const problems: Problem[] = [];
    const named = readFields(this.#fields, entries, [], problems);
    const params = paramsOf(this.method, this.#fields, named, problems);
    if (problems.length > 0) {
      this.#refuse(view, problems);
      return;
    }
    await this.#run(
      view,
      entries,
      params,
      Object.entries(named)
        .map(([name, value]) => `${name}: ${inShort(value, 24)}`)
        .join(", "),
    );
  }

  #refuse(view: FieldsView, problems: readonly Problem[]): void {
    view.point(problems);
    this.element.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    this.#owner.say(`${label(this.method.name)} was not called: ${problems[0]?.message ?? ""}`);
  }

  async #run(
    view: FieldsView,
    entries: readonly Entry[],
    params: readonly unknown[] | { readonly [name: string]: unknown },
    told: string,
  ): Promise<void> {
    const started = performance.now();
    const tick = (): void => {
      this.#elapsed.textContent = duration(Math.max(performance.now() - started, 1));
    };
    const running: Running = { abort: new AbortController(), started, timer: setInterval(tick, TICK_MILLIS) };
    this.#busy(running);
    const at = new Date();
    let following: Following | null = null;
    try {
      const result = await this.#owner.invoke(this.method.name, params, running.abort.signal, (done, total, message) => {
        this.#progress.tell(done, total, message);
      });
      this.#progress.clear();
      const streams = streamsIn(result);
      if (streams.length > 0) {
        following = followView(result, streams, this.method.name);
        this.#outcome = swap(this.#place, this.#outcome, following);
        await following.run();
      }
      const millis = performance.now() - started;
      const outcome = following === null ? inShort(result) : count(following.count, "item");
      this.#elapsed.textContent = duration(millis);
      if (following === null) {
        this.#settle(resultView(result, this.method.name), millis);
      }
      this.#history.add({ at, entries, told, outcome, failed: false, millis });
      this.#owner.say(`${label(this.method.name)} returned ${following === null ? inShort(result, 200) : outcome}`);
    } catch (error) {
      const millis = performance.now() - started;
      const stopped = wasStopped(error) && running.abort.signal.aborted;
      const failure = failureOf(error);
      if (following === null) {
        this.#settle(stopped ? stoppedView() : this.#failed(view, failure), millis);
      } else {
        // What came stays; how it ended stands below.
        following.element.append(stopped ? stoppedView().element : failureView(failure));
        this.#elapsed.textContent = duration(millis);
      }
      const outcome = `${stopped ? "stopped" : failure.title}${following === null ? "" : ` after ${count(following.count, "item")}`}`;
      this.#history.add({ at, entries, told, outcome, failed: true, millis });
      this.#owner.say(
        stopped
          ? `${label(this.method.name)} was stopped`
          : `${label(this.method.name)}: ${failure.title}. ${shorten(failure.message, 200)}`,
      );
    } finally {
      clearInterval(running.timer);
      this.#progress.clear();
      this.#busy(null);
    }
  }

  #failed(view: FieldsView, failure: Failure): Outcome {
    const left = view.point(problemsOf(failure.issues, this.#fields));
    this.element.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    return {
      element: failureView(
        failure,
        left.map(({ path, message }) => `${path.join(".") || "arguments"}: ${message}`),
      ),
      release: () => undefined,
    };
  }

  #settle(outcome: Outcome, millis: number): void {
    this.#outcome = swap(this.#place, this.#outcome, outcome);
    this.#elapsed.textContent = duration(millis);
  }

  #busy(running: Running | null): void {
    this.#running = running;
    this.element.classList.toggle("busy", running !== null);
    // aria-disabled keeps the focus where it is; a disabled button would lose it.
    this.#call.setAttribute("aria-disabled", String(running !== null));
    show(this.#stop, running !== null);
  }
}

function stoppedView(): Outcome {
  return {
    element: el(
      "div",
      { class: "failure stopped" },
      el("p", { class: "failure-title" }, "Stopped"),
      el("p", { class: "hint" }, "You ended the call. What the function had done by then is done."),
    ),
    release: () => undefined,
  };
}
