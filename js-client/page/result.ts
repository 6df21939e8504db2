/** Results and failures on the page. */

import { RpcFile } from "../src/file.js";
import { arrayOf } from "./array-kind.js";
import { arrayView } from "./array-view.js";
import { append, button, download, el, fill, longText, peerText } from "./dom.js";
import type { Failure } from "./failure.js";
import { fileView } from "./file-view.js";
import { type ImageType, asJson, holdsFile, shapeOf } from "./result-kind.js";
import { byteSize, count, label } from "./text.js";
import { flatValue, shortTime, tree } from "./tree.js";

const MAX_TEXT = 2_000;
const MAX_MESSAGE = 600;
const ROWS = 50;
const MAX_COPIED_ARRAY = 100_000; // bytes; a longer one is saved rather than pasted

/** What is shown of an outcome, and how to let go of what it holds (object URLs live as long as the page otherwise). */
export interface Outcome {
  readonly element: HTMLElement;
  release(): void;
}

/** `value`, shown as what it is. `name` names the file when it is saved. */
export function resultView(value: unknown, name: string): Outcome {
  if (value instanceof RpcFile) {
    const { element, release } = fileView(value);
    return { element: el("div", { class: "result" }, element), release };
  }
  const urls: string[] = [];
  const element = el("div", { class: "result" }, body(value, name, urls));
  const isLong = value instanceof Uint8Array || (arrayOf(value)?.data.byteLength ?? 0) > MAX_COPIED_ARRAY;
  if (value !== null && value !== undefined && !isLong && !holdsFile(value)) {
    element.append(copyButton(value));
  }
  return {
    element,
    release: () => {
      for (const url of urls) {
        URL.revokeObjectURL(url);
      }
    },
  };
}

function body(value: unknown, name: string, urls: string[]): HTMLElement {
  const shape = shapeOf(value);
  switch (shape.type) {
    case "nothing":
      return el("p", { class: "muted" }, "Done. It returned nothing.");
    case "scalar":
      return el("output", { class: "scalar" }, shape.text);
    case "text":
      if (shape.text === "") {
        return el("p", { class: "muted" }, "Done. It returned an empty text.");
      }
      return longText(shape.text, MAX_TEXT, {
        class: shape.text.length <= 60 && !shape.text.includes("\n") ? "peer-text scalar" : "peer-text prose",
      });
    case "instant":
      return el(
        "p",
        { class: "instant" },
        el("span", { class: "scalar" }, shortTime(shape.value)),
        el("span", { class: "muted" }, Intl.DateTimeFormat().resolvedOptions().timeZone),
      );
    case "bytes":
      return bytesView(shape.bytes, shape.image, name, urls);
    case "file":
      return fileView(shape.file).element;
    case "array":
      return arrayView(shape.array, fileStem(name), urls);
    case "table":
      return tableView(shape.columns, shape.rows);
    case "pairs":
      return el(
        "dl",
        { class: "pairs" },
        ...shape.entries.flatMap(([key, one]) => [el("dt", {}, peerText(label(key, 60))), el("dd", {}, flatValue(one))]),
      );
    case "tree":
      return tree(shape.value);
  }
}

function bytesView(bytes: Uint8Array, image: ImageType | null, name: string, urls: string[]): HTMLElement {
  const saved = download(bytes, `${fileStem(name)}.${image?.extension ?? "bin"}`, "Save", image?.mime);
  urls.push(saved.url);
  const about = el(
    "p",
    { class: "file-line" },
    el("span", {}, `${image === null ? "Binary data" : image.mime}, ${byteSize(bytes.byteLength)}`),
    saved.link,
  );
  if (image === null) {
    return el("div", { class: "bytes" }, about);
  }
  const picture = el("img", { class: "picture", alt: `The ${image.extension.toUpperCase()} image that was returned` });
  picture.src = saved.url;
  return el("div", { class: "bytes" }, picture, about);
}

/** What a file is called that holds the result of `name`: a method name may hold anything, a name on the user's disk must not. */
function fileStem(name: string): string {
  return name.replace(/[^\w-]+/gu, "_").slice(0, 40) || "result";
}

function tableView(columns: readonly string[], rows: readonly { readonly [column: string]: unknown }[]): HTMLElement {
  const cells = el("tbody", {});
  let shown = 0;
  const grow = (): void => {
    append(
      cells,
      rows
        .slice(shown, shown + ROWS)
        .map((row) => el("tr", {}, ...columns.map((column) => cell(Object.hasOwn(row, column) ? row[column] : undefined)))),
    );
    shown = Math.min(shown + ROWS, rows.length);
    more.hidden = shown >= rows.length;
    more.textContent = `Show ${Math.min(ROWS, rows.length - shown)} more of ${rows.length.toLocaleString("en")}`;
  };
  const more = button("", "link", grow);
  grow();
  const table = el(
    "table",
    {},
    el("caption", {}, `${count(rows.length, "row")}, ${count(columns.length, "column")}`),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ...columns.map((column) => el("th", { scope: "col", class: numeric(rows[0]?.[column]) }, peerText(label(column, 40)))),
      ),
    ),
    cells,
  );
  // A region that scrolls must take focus, or the keyboard can't scroll it.
  return el("div", {}, el("div", { class: "table", tabindex: 0, role: "region", "aria-label": "result table" }, table), more);
}

function numeric(value: unknown): string | null {
  return typeof value === "number" || typeof value === "bigint" ? "numeric" : null;
}

function cell(value: unknown): HTMLElement {
  if (value === undefined) {
    return el("td", { class: "muted" }, "");
  }
  if (typeof value === "string") {
    return el("td", {}, longText(value, 160));
  }
  return el("td", { class: numeric(value) }, flatValue(value));
}

function copyButton(value: unknown): HTMLElement {
  const copy = button("Copy", "link", () => {
    navigator.clipboard.writeText(typeof value === "string" ? value : asJson(value)).then(
      () => told("Copied"),
      () => told("The browser did not allow it"),
    );
  });
  const told = (words: string): void => {
    copy.textContent = words;
    setTimeout(() => {
      copy.textContent = "Copy";
    }, 1_500);
  };
  return copy;
}

/** A failed call, or a failed connection. */
export function failureView(failure: Failure, extra: readonly string[] = []): HTMLElement {
  const element = el(
    "div",
    { class: "failure" },
    el(
      "p",
      { class: "failure-title" },
      failure.title,
      failure.code === null
        ? null
        : el("span", { class: "code-number", title: "error code of the protocol" }, String(failure.code)),
      failure.type === "" ? null : el("span", { class: "code-number" }, peerText(label(failure.type, 60))),
    ),
  );
  if (failure.message !== "") {
    element.append(longText(failure.message, MAX_MESSAGE, { class: "peer-text failure-message" }));
  }
  if (extra.length > 0) {
    element.append(el("ul", {}, ...extra.slice(0, 20).map((line) => el("li", {}, peerText(line)))));
  }
  if (failure.hint !== "") {
    element.append(el("p", { class: "hint" }, failure.hint));
  }
  if (failure.detail !== null && failure.detail !== undefined) {
    element.append(el("details", {}, el("summary", {}, "Details from the function"), tree(failure.detail)));
  }
  return element;
}

/** Replaces what an outcome area shows, and lets go of what it showed before. */
export function swap(place: HTMLElement, before: Outcome | null, now: Outcome | null): Outcome | null {
  before?.release();
  fill(place, now?.element);
  return now;
}
