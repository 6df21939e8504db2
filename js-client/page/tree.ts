/** A value as a tree that opens and closes. Branches are built when they are opened, so that a big value costs what is looked at. */

import { RpcFile } from "../src/file.js";
import { arrayOf, arrayWords } from "./array-kind.js";
import { append, button, el, longText, peerText } from "./dom.js";
import { fileView } from "./file-view.js";
import { isRecord } from "./openrpc.js";
import { inShort, isFlat, scalarText } from "./result-kind.js";
import { byteSize, count, label } from "./text.js";

const BATCH = 100;
const MAX_TEXT = 400;

/** A flat value, coloured by its type. */
export function flatValue(value: unknown): HTMLElement {
  if (typeof value === "string") {
    return longText(JSON.stringify(value), MAX_TEXT, { class: "peer-text value text" });
  }
  if (value instanceof Date) {
    return el("time", { class: "value number", title: scalarText(value) }, shortTime(value));
  }
  const type = value === null || value === undefined ? "null" : typeof value === "boolean" ? "flag" : "number";
  return el("span", { class: `value ${type}` }, scalarText(value));
}

/** In the user's own time zone; ISO order, which nobody misreads. */
export function shortTime(time: Date): string {
  return Number.isNaN(time.getTime()) ? "no such date" : time.toLocaleString("sv-SE");
}

/** The tree of `value`; its first level is open. */
export function tree(value: unknown): HTMLElement {
  return el("div", { class: "tree" }, node(null, value, true));
}

function node(name: string | null, value: unknown, open: boolean): HTMLElement {
  const key = name === null ? null : el("span", { class: "key" }, peerText(label(name, 120)), ": ");
  if (isFlat(value)) {
    return el("div", { class: "leaf" }, key, flatValue(value));
  }
  if (value instanceof Uint8Array) {
    return el(
      "div",
      { class: "leaf" },
      key,
      el("span", { class: "value number" }, `${byteSize(value.byteLength)} of binary data`),
    );
  }
  if (value instanceof RpcFile) {
    return el("div", { class: "leaf" }, key, fileView(value).element);
  }
  const array = arrayOf(value);
  if (array !== undefined) {
    return el("div", { class: "leaf" }, key, el("span", { class: "value number" }, `array (${arrayWords(array)})`));
  }
  const entries = Array.isArray(value)
    ? value.map((one, index) => [String(index), one] as const)
    : isRecord(value)
      ? Object.entries(value)
      : [];
  const size = Array.isArray(value) ? count(entries.length, "item") : count(entries.length, "member");
  const details = el(
    "details",
    { open },
    el("summary", {}, key, el("span", { class: "preview" }, peerText(inShort(value)), ` ${size}`)),
  );
  const children = el("div", { class: "branch" });
  details.append(children);
  let built = false;
  const build = (): void => {
    if (details.open && !built) {
      built = true;
      grow(children, entries, 0);
    }
  };
  details.addEventListener("toggle", build);
  build();
  return details;
}

function grow(place: HTMLElement, entries: readonly (readonly [string, unknown])[], from: number): void {
  append(
    place,
    entries.slice(from, from + BATCH).map(([name, one]) => node(name, one, false)),
  );
  const left = entries.length - from - BATCH;
  if (left > 0) {
    const more = button(`Show ${Math.min(left, BATCH)} more of ${entries.length.toLocaleString("en")}`, "link", () => {
      more.remove();
      grow(place, entries, from + BATCH);
    });
    place.append(more);
  }
}
