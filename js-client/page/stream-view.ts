/** A stream on the page: its items as they come, how many and how fast, its numbers as lines, its pictures as a picture. */

import { RpcFile } from "../src/file.js";
import { RpcStream } from "../src/stream.js";
import { button, el, peerText, show } from "./dom.js";
import { wasStopped } from "./failure.js";
import { type Item, KEPT, Live } from "./live.js";
import { isRecord } from "./openrpc.js";
import { type Plot, plot } from "./plot.js";
import { type Outcome, resultView } from "./result.js";
import { imageType, inShort, isFlat } from "./result-kind.js";
import { count, label } from "./text.js";
import { flatValue } from "./tree.js";

// Often enough to look like motion, seldom enough that a stream of a hundred thousand items a second leaves time for the rest of the page.
const PAINT_MILLIS = 60;
const MAX_WORDS = 160;

/** A stream of a result, and where in that it stands. */
export interface Found {
  readonly place: string;
  readonly stream: RpcStream;
}

/** The streams in a result. */
export function streamsIn(value: unknown, place = ""): readonly Found[] {
  if (value instanceof RpcStream) {
    return [{ place, stream: value }];
  }
  const entries = Array.isArray(value) || isRecord(value) ? Object.entries(value as object) : [];
  return entries.flatMap(([name, one]) => (typeof one === "object" && one !== null ? streamsIn(one, place === "" ? name : `${place}.${name}`) : []));
}

/** The same result with words in the place of its streams. */
function withoutStreams(value: unknown): unknown {
  if (value instanceof RpcStream) {
    return "a stream: see below";
  }
  if (Array.isArray(value)) {
    return value.map(withoutStreams);
  }
  if (!isRecord(value)) {
    return value;
  }
  const copy = Object.create(null) as { [name: string]: unknown };
  for (const [name, one] of Object.entries(value)) {
    copy[name] = withoutStreams(one);
  }
  return copy;
}

/** A result with streams, on the page. */
export interface Following extends Outcome {
  /** How many items came so far. */
  readonly count: number;
  /** Shows what comes until the streams have ended; rejects with what broke one of them, and then ends the others. */
  run(): Promise<void>;
}

/** `found`: the streams in `result`. `name` names files when they are saved. */
export function followView(result: unknown, found: readonly Found[], name: string): Following {
  const views = found.map(({ place, stream }) => ({ stream, view: new StreamView(place) }));
  const around = result instanceof RpcStream ? null : resultView(withoutStreams(result), name);
  return {
    element: el("div", { class: "following" }, around?.element, ...views.map(({ view }) => view.element)),
    get count() {
      return views.reduce((sum, { view }) => sum + view.count, 0);
    },
    run: async () => {
      try {
        await Promise.all(views.map(({ stream, view }) => view.follow(stream)));
      } finally {
        for (const { stream } of views) {
          stream.cancel();
        }
      }
    },
    release: () => {
      around?.release();
      for (const { view } of views) {
        view.release();
      }
    },
  };
}

class StreamView {
  readonly element: HTMLElement;
  readonly #live = new Live();
  readonly #count = el("span", { class: "count" }, count(0, "item"));
  readonly #rate = el("span", { class: "rate" });
  readonly #list = el("ol", { class: "items", "aria-label": "the last items, newest first", tabindex: 0, role: "region" });
  readonly #plotPlace = el("div", {});
  readonly #picture = el("img", { class: "picture", alt: "The last image of the stream", hidden: true });
  readonly #hold: HTMLButtonElement;
  #plot: Plot | null = null;
  #held = false;
  #painted = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #url: string | null = null;

  constructor(place: string) {
    this.#hold = button("Hold still", "link", () => {
      this.#held = !this.#held;
      this.#hold.textContent = this.#held ? "Go on showing" : "Hold still";
      this.#paint();
    });
    this.element = el(
      "div",
      { class: "result stream", "data-state": "open" },
      place === "" ? null : el("p", { class: "place" }, peerText(label(place, 60))),
      el("p", { class: "stream-head" }, el("span", { class: "dot", "aria-hidden": "true" }), this.#count, this.#rate, this.#hold),
      this.#plotPlace,
      this.#picture,
      this.#list,
    );
  }

  get count(): number {
    return this.#live.count;
  }

  async follow(stream: RpcStream): Promise<void> {
    let end = "ended";
    try {
      for await (const item of stream) {
        this.#live.add(item);
        // It is named, not kept: its content would wait here for nobody.
        if (item instanceof RpcFile) {
          item.cancel();
        }
        this.#timer ??= setTimeout(() => this.#paint(), PAINT_MILLIS);
      }
    } catch (error) {
      end = wasStopped(error) ? "stopped" : "broken";
      throw error;
    } finally {
      this.#held = false;
      this.#paint();
      this.element.dataset["state"] = end;
      this.#rate.textContent = "";
      show(this.#hold, false);
    }
  }

  release(): void {
    clearTimeout(this.#timer);
    if (this.#url !== null) {
      URL.revokeObjectURL(this.#url);
      this.#url = null;
    }
  }

  #paint(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const live = this.#live;
    this.#count.textContent = count(live.count, "item");
    const rate = live.rate(performance.now());
    this.#rate.textContent = rate === null ? "" : `${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en")} a second`;
    if (this.#held || live.count === this.#painted) {
      return;
    }
    this.#paintItems(live.count - this.#painted);
    this.#painted = live.count;
    this.#paintPlot();
    this.#paintPicture();
  }

  #paintItems(fresh: number): void {
    const list = this.#list;
    const items = this.#live.last().slice(0, Math.min(fresh, KEPT));
    if (fresh >= KEPT) {
      list.replaceChildren();
    }
    list.prepend(...items.map(itemView));
    while (list.childElementCount > KEPT) {
      list.lastElementChild?.remove();
    }
  }

  #paintPlot(): void {
    const { series } = this.#live;
    if (series !== null && this.#live.count > 1) {
      if (this.#plot === null) {
        this.#plot = plot();
        this.#plotPlace.append(this.#plot.element);
      }
      this.#plot.draw(series);
    }
    show(this.#plotPlace, series !== null);
  }

  #paintPicture(): void {
    const value = this.#live.items.at(-1)?.value;
    const image = value instanceof Uint8Array ? imageType(value) : null;
    if (image === null) {
      return;
    }
    const before = this.#url;
    this.#url = URL.createObjectURL(new Blob([value as Uint8Array<ArrayBuffer>], { type: image.mime }));
    this.#picture.src = this.#url;
    show(this.#picture, true);
    if (before !== null) {
      URL.revokeObjectURL(before);
    }
  }
}

function itemView({ number, value }: Item): HTMLElement {
  return el(
    "li",
    {},
    el("span", { class: "position" }, number.toLocaleString("en")),
    isFlat(value) ? flatValue(value) : peerText(inShort(value, MAX_WORDS), { class: "peer-text value" }),
  );
}
