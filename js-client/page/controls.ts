/** One control for each plain kind of value: what the user types, ticks, picks or chooses. */

import { el, newId } from "./dom.js";
import type { Field, Kind } from "./fields.js";
import { fileSourceControl } from "./file-control.js";
import { valueName } from "./kind-words.js";
import { byteSize } from "./text.js";
import type { Input, Path } from "./values.js";

/** A control on the page, of one part or many. */
export interface Control {
  readonly element: HTMLElement;
  /** What a label points to and what is focused; null for a control of several parts, which a legend names. */
  readonly target: HTMLElement | null;
  read(): Promise<Input>;
  write(input: Input): void;
  /** Says what is wrong at `path` inside this control; false when there is no such place in it. */
  point(path: Path, message: string): boolean;
  clear(): void;
}

/** Called when the user changes something. */
export type Changed = () => void;

type Simple = Exclude<Kind, { readonly type: "group" | "tuple" | "union" | "list" | "fixed" | "stream" }>;

const TEXT: Readonly<Record<string, string>> = { autocomplete: "off", autocapitalize: "off", spellcheck: "false" };

/** The control of a kind that has no parts. `field` gives it its default and what it says while empty. */
export function simpleControl(kind: Simple, field: Field, changed: Changed): Control {
  switch (kind.type) {
    case "boolean":
      return flagControl(field, changed);
    case "choice":
      return choiceControl(
        kind.options.map((option) => option.label),
        kind.options.findIndex((option) => option.value === field.default),
        changed,
      );
    case "bytes":
      return fileControl(changed);
    case "file":
      return fileSourceControl(changed);
    case "json":
      return textControl(jsonBox(kind.expects, field), changed);
    case "text":
      return textControl(textBox(kind.format, field), changed);
    case "integer":
    case "number":
      return textControl(numberBox(kind.type, field), changed);
    case "instant":
      return textControl(el("input", { type: "datetime-local", step: 1 }), changed);
    case "date":
    case "time":
      return textControl(el("input", { type: kind.type }), changed);
  }
}

function startText(field: Field): string {
  return typeof field.default === "string" || typeof field.default === "number" || typeof field.default === "bigint"
    ? String(field.default)
    : "";
}

function emptyWords(field: Field): string {
  if (field.default !== undefined) {
    return valueName(field.default);
  }
  return field.required ? "" : "not given";
}

function numberBox(type: "integer" | "number", field: Field): HTMLInputElement {
  // type=number brings the right keys on a phone, minus included, and arrow keys. What it takes is checked again when it is read.
  const box = el("input", { ...TEXT, type: "number", step: type === "integer" ? 1 : "any", placeholder: emptyWords(field) });
  box.value = startText(field);
  return box;
}

function textBox(format: string, field: Field): HTMLInputElement | HTMLTextAreaElement {
  if (format === "password") {
    return el("input", { ...TEXT, type: "password", autocomplete: "new-password" });
  }
  const box = el("textarea", { ...TEXT, rows: 1, class: "one-line", placeholder: emptyWords(field) });
  box.value = startText(field);
  // Enter calls, as in a one-line field; Shift and Enter starts a new line.
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      box.form?.requestSubmit();
    }
  });
  return box;
}

function jsonBox(expects: "array" | "object" | "any", field: Field): HTMLTextAreaElement {
  const example = expects === "array" ? "[1, 2]" : expects === "object" ? '{"key": "value"}' : "42";
  return el("textarea", {
    ...TEXT,
    rows: 3,
    class: "code",
    placeholder: field.default === undefined ? example : valueName(field.default),
  });
}

function textControl(box: HTMLInputElement | HTMLTextAreaElement, changed: Changed): Control {
  box.id = newId("field");
  box.addEventListener("input", changed);
  return {
    element: box,
    target: box,
    // A number box hides text that is no number: its value is empty then, but its validity tells.
    read: async () => ({ type: "text", text: box.validity.badInput ? "?" : box.value }),
    write: (input) => {
      box.value = input.type === "text" ? input.text : "";
    },
    ...markable(box),
  };
}

function flagControl(field: Field, changed: Changed): Control {
  const box = el("input", { type: "checkbox", id: newId("field") });
  box.checked = field.default === true;
  box.addEventListener("change", changed);
  return {
    element: el("span", { class: "check" }, box),
    target: box,
    read: async () => ({ type: "flag", on: box.checked }),
    write: (input) => {
      box.checked = input.type === "flag" && input.on;
    },
    ...markable(box),
  };
}

/** A select of `labels`; `start` below 0: nothing is chosen yet. */
export function choiceControl(labels: readonly string[], start: number, changed: Changed): Control {
  const box = el(
    "select",
    { id: newId("field") },
    el("option", { value: "" }, "Choose…"),
    ...labels.map((label, index) => el("option", { value: index }, label)),
  );
  box.value = start < 0 ? "" : String(start);
  box.addEventListener("change", changed);
  return {
    element: box,
    target: box,
    read: async () => ({ type: "chosen", index: box.value === "" ? null : Number(box.value) }),
    write: (input) => {
      box.value = input.type === "chosen" && input.index !== null ? String(input.index) : "";
    },
    ...markable(box),
  };
}

function fileControl(changed: Changed): Control {
  const box = el("input", { type: "file", id: newId("field") });
  const note = el("span", { class: "hint" });
  // What an earlier call sent; a file box can't be filled by a script.
  let kept: { readonly bytes: Uint8Array; readonly name: string } | null = null;
  box.addEventListener("change", () => {
    kept = null;
    const file = box.files?.[0];
    note.textContent = file === undefined ? "" : byteSize(file.size);
    changed();
  });
  return {
    element: el("span", { class: "file" }, box, note),
    target: box,
    read: async () => {
      const file = box.files?.[0];
      if (file !== undefined) {
        return { type: "file", bytes: new Uint8Array(await file.arrayBuffer()), name: file.name };
      }
      return { type: "file", bytes: kept?.bytes ?? null, name: kept?.name ?? "" };
    },
    write: (input) => {
      box.value = "";
      kept = input.type === "file" && input.bytes !== null ? { bytes: input.bytes, name: input.name } : null;
      note.textContent = kept === null ? "" : `${kept.name}, ${byteSize(kept.bytes.byteLength)}`;
    },
    ...markable(box),
  };
}

/** A control without parts says only that it is wrong; its field shows the words. */
function markable(box: HTMLElement): Pick<Control, "point" | "clear"> {
  return {
    point: () => false,
    clear: () => {
      box.removeAttribute("aria-invalid");
    },
  };
}
