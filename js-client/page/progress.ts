/** How far a call has come, as a bar and in words. */

import { el, fill, peerText, show } from "./dom.js";
import { shortNumber } from "./plot.js";
import { byteSize, label } from "./text.js";

/** The bar of a call; hidden until the function reports something. */
export interface ProgressBar {
  readonly element: HTMLElement;
  tell(done: number, total: number | null, message: string | null): void;
  /** The call is over, or another begins. */
  clear(): void;
}

export function progressBar(of = "progress of the call", counted = countWords): ProgressBar {
  const bar = el("progress", { "aria-label": of });
  const words = el("p", { class: "hint" });
  const element = el("div", { class: "call-progress", hidden: true }, bar, words);
  return {
    element,
    tell: (done, total, message) => {
      const isKnown = total !== null && total > 0;
      if (isKnown) {
        bar.max = total;
        bar.value = Math.min(Math.max(done, 0), total);
      } else {
        // Without a value the bar says that something goes on, and not how far it is.
        bar.removeAttribute("value");
      }
      fill(words, counted(done, isKnown ? total : null), message === null || message === "" ? null : " · ", message ? peerText(label(message, 200)) : null);
      show(element, true);
    },
    clear: () => show(element, false),
  };
}

/** The same of bytes: `3.0 MB of 10 MB, 30 %`. */
export function bytesWords(done: number, total: number | null): string {
  return total === null ? byteSize(done) : `${byteSize(done)} of ${byteSize(total)}, ${Math.floor((done / total) * 100)} %`;
}

/** `3 of 10, 30 %`, or how far it is where nobody knows how far it goes. */
export function countWords(done: number, total: number | null): string {
  if (total === null) {
    return shortNumber(done);
  }
  return `${shortNumber(done)} of ${shortNumber(total)}, ${Math.floor((Math.min(Math.max(done, 0), total) / total) * 100)} %`;
}
