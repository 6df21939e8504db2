/** Fields on the page: labels, modes, hints, problems beside the field they are about; fieldsets, lists and variants of fields. */

import { type Changed, type Control, choiceControl, simpleControl } from "./controls.js";
import { append, button, el, fill, newId, peerText, show } from "./dom.js";
import type { Field, Kind, ListKind, Variant } from "./fields.js";
import { boundsOf, kindName, valueName } from "./kind-words.js";
import { label, shorten } from "./text.js";
import { type Entry, type Input, type Mode, type Path, type Problem, asksMode, modesOf } from "./values.js";

/** A field on the page. */
export interface FieldView {
  readonly element: HTMLElement;
  read(): Promise<Entry>;
  write(entry: Entry): void;
  point(path: Path, message: string): void;
  clear(): void;
}

const MAX_ITEMS = 200;
const MAX_DOC = 400;

/** Several fields, as the arguments of a call or the members of an object. */
export interface FieldsView {
  readonly elements: readonly HTMLElement[];
  read(): Promise<readonly Entry[]>;
  write(entries: readonly Entry[]): void;
  /** Shows each problem beside its field; those that belong to no field come back. */
  point(problems: readonly Problem[]): readonly Problem[];
  clear(): void;
}

export function fieldsView(fields: readonly Field[], changed: Changed): FieldsView {
  const views = fields.map((field) => fieldView(field, changed));
  return {
    elements: views.map((view) => view.element),
    read: () => Promise.all(views.map((view) => view.read())),
    write: (entries) => {
      for (const [index, view] of views.entries()) {
        const entry = entries[index];
        if (entry !== undefined) {
          view.write(entry);
        }
      }
    },
    point: (problems) =>
      problems.filter(({ path: [head, ...rest], message }) => {
        // Members go by name; the parts of a tuple, named 0, 1, …, may come as numbers.
        const view = views[fields.findIndex((field) => field.name === String(head))];
        view?.point(rest, message);
        return view === undefined;
      }),
    clear: () => {
      for (const view of views) {
        view.clear();
      }
    },
  };
}

/** One field with all that belongs to it. */
export function fieldView(field: Field, changed: Changed): FieldView {
  const hintId = newId("hint");
  const problemId = newId("problem");
  const modes = asksMode(field) ? modesOf(field) : null;
  const control = controlOf(field.kind, field, () => {
    if (mode !== null && mode.value !== "value") {
      mode.value = "value";
    }
    changed();
  });
  const mode = modes === null ? null : modeBox(modes, field, () => refresh());
  const composite = control.target === null;
  const bounds = boundsOf(field.kind);
  const doc = [shorten(field.description.trim(), MAX_DOC), bounds].filter((part) => part !== "").join(" · ");
  const hint = doc === "" ? null : el("p", { class: "hint", id: hintId }, peerText(doc));
  const problem = el("p", { class: "problem", id: problemId, hidden: true });

  const name = field.name === "" ? null : el("span", { class: "name" }, peerText(label(field.name)));
  const kind = el("span", { class: "kind" }, `${kindName(field.kind)}${field.required || modes !== null ? "" : ", optional"}`);
  control.target?.setAttribute("aria-describedby", [hint === null ? "" : hintId, problemId].join(" ").trim());
  if (field.required && field.kind.type !== "boolean" && !field.nullable) {
    control.target?.setAttribute("aria-required", "true");
  }

  const element = composite
    ? el(
        "fieldset",
        { class: "field composite" },
        el("legend", { class: "field-head" }, name, kind, mode),
        hint,
        control.element,
        problem,
      )
    : el(
        "div",
        { class: field.kind.type === "boolean" ? "field flag" : field.kind.type === "json" ? "field wide" : "field" },
        el("div", { class: "field-head" }, el("label", { for: control.target?.id }, name ?? "value"), kind, mode),
        control.element,
        hint,
        problem,
      );

  const refresh = (): void => {
    show(control.element, !composite || mode === null || mode.value === "value");
  };
  refresh();

  return {
    element,
    read: async () => ({ mode: (mode?.value ?? "value") as Mode, input: await control.read() }),
    write: (entry) => {
      if (mode !== null) {
        mode.value = entry.mode;
      }
      control.write(entry.input);
      refresh();
    },
    point: (path, message) => {
      if (path.length > 0 && control.point(path, message)) {
        return;
      }
      // A place inside a JSON box has no field of its own: say where it is.
      const where = path.length === 0 ? "" : `${path.join(".")}: `;
      const told = shorten(`${where}${message}`, MAX_DOC);
      fill(problem, peerText(problem.hidden ? told : `${problem.textContent ?? ""}; ${told}`));
      show(problem, true);
      control.target?.setAttribute("aria-invalid", "true");
    },
    clear: () => {
      show(problem, false);
      problem.replaceChildren();
      control.clear();
    },
  };
}

function modeBox(modes: readonly Mode[], field: Field, changed: Changed): HTMLSelectElement {
  const words: Readonly<Record<Mode, string>> = {
    omit: field.default === undefined ? "leave out" : `default: ${shorten(valueName(field.default), 24)}`,
    value: "value",
    null: "null",
  };
  const box = el("select", { class: "mode", "aria-label": `how to send ${label(field.name || "this")}` });
  append(
    box,
    modes.map((mode) => el("option", { value: mode }, words[mode])),
  );
  box.addEventListener("change", changed);
  return box;
}

function controlOf(kind: Kind, field: Field, changed: Changed): Control {
  switch (kind.type) {
    case "group":
    case "tuple":
      return fieldsControl(kind.fields, changed);
    case "list":
      return listControl(kind, changed);
    case "union":
      return unionControl(kind.variants, changed);
    case "fixed":
      return wordsControl("always ", peerText(valueName(kind.value)));
    case "stream":
      return wordsControl("Programs can give a stream here; this page can't.");
    default:
      return simpleControl(kind, field, changed);
  }
}

/** A field that nobody fills in. */
function wordsControl(...words: readonly (string | HTMLElement)[]): Control {
  return {
    element: el("p", { class: "hint" }, ...words),
    target: null,
    read: async () => ({ type: "text", text: "" }),
    write: () => undefined,
    point: () => false,
    clear: () => undefined,
  };
}

function fieldsControl(fields: readonly Field[], changed: Changed): Control {
  const view = fieldsView(fields, changed);
  return {
    element: el("div", { class: "fields" }, ...view.elements),
    target: null,
    read: async () => ({ type: "entries", entries: await view.read() }),
    write: (input) => view.write(input.type === "entries" ? input.entries : []),
    point: (path, message) => view.point([{ path, message }]).length === 0,
    clear: () => view.clear(),
  };
}

/** A field without a name or default, for the items of a list and the variants of a union. */
function bare(kind: Kind): Field {
  return { name: "", title: "", description: "", required: true, nullable: false, default: undefined, kind };
}

function listControl(kind: ListKind, changed: Changed): Control {
  const rows = el("div", { class: "rows" });
  let items: { readonly view: FieldView; readonly row: HTMLElement }[] = [];
  const most = Math.min(kind.maxItems ?? MAX_ITEMS, MAX_ITEMS);

  const refresh = (): void => {
    adder.disabled = items.length >= most;
    for (const [index, { row }] of items.entries()) {
      row.querySelector(":scope > button")?.setAttribute("aria-label", `remove item ${index + 1}`);
      row.querySelector("label")?.replaceChildren(`item ${index + 1}`);
    }
  };
  const add = (): FieldView => {
    const view = fieldView(bare(kind.item), changed);
    const remover = button("✕", "plain", () => {
      items = items.filter((item) => item.view !== view);
      row.remove();
      refresh();
      changed();
      adder.focus();
    });
    const row = el("div", { class: "row" }, view.element, remover);
    items.push({ view, row });
    rows.append(row);
    refresh();
    return view;
  };
  const adder = button("Add an item", "plain", () => {
    add().element.querySelector<HTMLElement>("input, textarea, select")?.focus();
    changed();
  });
  for (let index = 0; index < Math.min(kind.minItems ?? 0, 8); index += 1) {
    add();
  }

  return {
    element: el("div", { class: "list" }, rows, adder),
    target: null,
    read: async () => ({ type: "entries", entries: await Promise.all(items.map(({ view }) => view.read())) }),
    write: (input) => {
      items = [];
      rows.replaceChildren();
      for (const entry of input.type === "entries" ? input.entries : []) {
        add().write(entry);
      }
      refresh();
    },
    point: ([head, ...rest], message) => {
      const item = typeof head === "number" ? items[head] : undefined;
      item?.view.point(rest, message);
      return item !== undefined;
    },
    clear: () => {
      for (const { view } of items) {
        view.clear();
      }
    },
  };
}

function unionControl(variants: readonly Variant[], changed: Changed): Control {
  const place = el("div", {});
  const picker = choiceControl(
    variants.map((variant) => label(variant.label)),
    0,
    () => {
      select();
      changed();
    },
  );
  picker.element.setAttribute("aria-label", "which form of value");
  // There is always one: the first stands until another is chosen.
  picker.element.querySelector("option[value='']")?.remove();
  let current: { readonly index: number; readonly view: FieldView } | null = null;

  const select = (wanted?: number): void => {
    const index = wanted ?? Number((picker.element as HTMLSelectElement).value);
    const variant = variants[index];
    if (variant !== undefined && current?.index !== index) {
      current = { index, view: fieldView(bare(variant.kind), changed) };
      fill(place, current.view.element);
    }
  };
  select(0);

  return {
    element: el("div", { class: "union" }, picker.element, place),
    target: null,
    read: async () => {
      const input: Input = current === null ? { type: "text", text: "" } : (await current.view.read()).input;
      return { type: "variant", index: current?.index ?? 0, input };
    },
    write: (input) => {
      if (input.type === "variant") {
        picker.write({ type: "chosen", index: input.index });
        select(input.index);
        current?.view.write({ mode: "value", input: input.input });
      }
    },
    point: (path, message) => {
      current?.view.point(path, message);
      return current !== null;
    },
    clear: () => current?.view.clear(),
  };
}
