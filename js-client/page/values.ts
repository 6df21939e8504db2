/** What a user filled in -> the typed value to send, or what is wrong with it: pure, no DOM. */

import { readJson } from "../src/core/json.js";
import type { FileSource } from "../src/file.js";
import type { Field, Kind, ListKind, NumberKind, TextKind } from "./fields.js";
import { type Method, isRecord } from "./openrpc.js";
import { count } from "./text.js";

/** Where a value stands in the arguments: names of members, indexes of lists. */
export type Path = readonly (string | number)[];

export interface Problem {
  readonly path: Path;
  readonly message: string;
}

/** What a control holds. Text is as typed; a choice is the index of its option. */
export type Input =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "flag"; readonly on: boolean }
  | { readonly type: "chosen"; readonly index: number | null }
  | { readonly type: "file"; readonly bytes: Uint8Array | null; readonly name: string }
  | { readonly type: "source"; readonly source: FileSource | null }
  | { readonly type: "entries"; readonly entries: readonly Entry[] }
  | { readonly type: "variant"; readonly index: number; readonly input: Input };

/** A field as filled in: left out, null, or a value. */
export interface Entry {
  readonly mode: Mode;
  readonly input: Input;
}

export type Mode = "omit" | "null" | "value";

/** The field is not sent, and the peer takes its own default. */
export const OMITTED: unique symbol = Symbol("omitted");

/** The modes between which a user may choose for a field, the one to start with first. */
export function modesOf(field: Field): readonly Mode[] {
  const modes: Mode[] = field.required ? ["value"] : ["omit", "value"];
  // Leaving out a field whose default is null and sending null is the same thing: one way is enough.
  if (field.nullable && (field.required || field.default !== null)) {
    modes.push("null");
  }
  return modes;
}

/** Whether an empty control can't say which mode is meant, so that the user must be asked. */
export function asksMode(field: Field): boolean {
  const modes = modesOf(field);
  if (modes.length === 1) {
    return false;
  }
  // A control that starts with the default in it needs no second way to say "the default".
  if (!field.nullable && startsFilled(field)) {
    return false;
  }
  // An empty text, list or object is a value; a box that is not ticked is one too.
  const emptyIsValue = ["text", "boolean", "list", "group", "tuple", "union"].includes(field.kind.type);
  return modes.length > 2 || emptyIsValue;
}

/** Whether the control can show the field's default as if the user had typed it. */
export function startsFilled(field: Field): boolean {
  switch (field.kind.type) {
    case "boolean":
      return typeof field.default === "boolean";
    case "text":
      return typeof field.default === "string";
    case "integer":
    case "number":
      return typeof field.default === "number" || typeof field.default === "bigint";
    case "choice":
      return field.kind.options.some((option) => option.value === field.default);
    default:
      return false;
  }
}

/** The value of `entry`, or OMITTED. What is wrong is pushed to `problems`, and the value returned means nothing then. */
export function readEntry(field: Field, entry: Entry, path: Path, problems: Problem[]): unknown {
  if (entry.mode === "null") {
    return null;
  }
  if (field.kind.type === "fixed") {
    return field.kind.value;
  }
  const empty = isEmpty(field.kind, entry.input);
  if (entry.mode === "omit" || (empty && !asksMode(field))) {
    if (!field.required) {
      return OMITTED;
    }
    if (field.nullable) {
      return null;
    }
  }
  if (empty) {
    problems.push({ path, message: emptyWords(field.kind) });
    return OMITTED;
  }
  return readInput(field.kind, entry.input, path, problems);
}

/** The value of a control that is not empty. */
export function readInput(kind: Kind, input: Input, path: Path, problems: Problem[]): unknown {
  switch (input.type) {
    case "flag":
      return input.on;
    case "chosen":
      return kind.type === "choice" && input.index !== null ? kind.options[input.index]?.value : undefined;
    case "file":
      return input.bytes;
    case "source":
      return input.source;
    case "variant": {
      const variant = kind.type === "union" ? kind.variants[input.index] : undefined;
      if (variant === undefined) {
        problems.push({ path, message: "choose one" });
        return undefined;
      }
      return readEntry(unnamed(variant.kind), { mode: "value", input: input.input }, path, problems);
    }
    case "entries":
      return readEntries(kind, input.entries, path, problems);
    case "text":
      return readText(kind, input.text, path, problems);
  }
}

function readEntries(kind: Kind, entries: readonly Entry[], path: Path, problems: Problem[]): unknown {
  if (kind.type === "list") {
    const field = unnamed(kind.item);
    checkCount(kind, entries.length, path, problems);
    return entries.map((entry, index) => readEntry(field, entry, [...path, index], problems));
  }
  if (kind.type === "tuple") {
    return kind.fields.map((field, index) => readEntry(field, entries[index] ?? NOTHING, [...path, index], problems));
  }
  const fields = kind.type === "group" ? kind.fields : [];
  return readFields(fields, entries, path, problems);
}

/** A value of this kind where no field stands for it: an item of a list, a variant of a union. */
function unnamed(kind: Kind): Field {
  return { name: "", title: "", description: "", required: true, nullable: false, default: undefined, kind };
}

const NOTHING: Entry = { mode: "value", input: { type: "text", text: "" } };

/** The members of an object, or the named arguments of a call; those left out are not in it. No prototype: names come from the peer. */
export function readFields(
  fields: readonly Field[],
  entries: readonly Entry[],
  path: Path,
  problems: Problem[],
): { [name: string]: unknown } {
  const result = Object.create(null) as { [name: string]: unknown };
  for (const [index, field] of fields.entries()) {
    const value = readEntry(field, entries[index] ?? NOTHING, [...path, field.name], problems);
    if (value !== OMITTED) {
      result[field.name] = value;
    }
  }
  return result;
}

/**
 * The params of a call: by name where that is possible, otherwise as a list. Further arguments (`variadic`) have no name of their own:
 * those by position make the whole a list, those by name stand among the others.
 */
export function paramsOf(
  method: Method,
  fields: readonly Field[],
  named: { readonly [name: string]: unknown },
  problems: Problem[],
): readonly unknown[] | { readonly [name: string]: unknown } {
  const further = method.params.find((param) => param.variadic === "positional" && Object.hasOwn(named, param.name));
  const rest = further === undefined ? [] : named[further.name];
  const single = fields.filter((_, index) => method.params[index]?.variadic === null);
  if (method.byPosition || (Array.isArray(rest) && rest.length > 0)) {
    return [
      ...listed(single, named, Array.isArray(rest) && rest.length > 0, problems),
      ...(Array.isArray(rest) ? (rest as readonly unknown[]) : []),
    ];
  }
  const params = Object.create(null) as { [name: string]: unknown };
  for (const param of method.params) {
    const value = Object.hasOwn(named, param.name) ? named[param.name] : undefined;
    if (param.variadic === "named" && isRecord(value)) {
      for (const [name, one] of Object.entries(value)) {
        params[name] = one;
      }
    } else if (param.variadic === null && Object.hasOwn(named, param.name)) {
      params[param.name] = value;
    }
  }
  return params;
}

/** Arguments in their order, up to the last that is given (`all`: every one). A gap is filled with its default. */
function listed(
  fields: readonly Field[],
  named: { readonly [name: string]: unknown },
  all: boolean,
  problems: Problem[],
): readonly unknown[] {
  let last = fields.length;
  while (!all && last > 0 && !Object.hasOwn(named, fields[last - 1]?.name ?? "")) {
    last -= 1;
  }
  return fields.slice(0, last).map((field) => {
    if (Object.hasOwn(named, field.name)) {
      return named[field.name];
    }
    if (field.default === undefined) {
      problems.push({ path: [field.name], message: "needed, because a later argument is given" });
    }
    return field.default;
  });
}

function isEmpty(kind: Kind, input: Input): boolean {
  switch (input.type) {
    case "text":
      return kind.type !== "text" && input.text.trim() === "";
    case "chosen":
      return input.index === null;
    case "file":
      return input.bytes === null;
    case "source":
      return input.source === null;
    default:
      return false;
  }
}

function emptyWords(kind: Kind): string {
  switch (kind.type) {
    case "integer":
      return "expected an integer";
    case "number":
      return "expected a number";
    case "choice":
      return "choose one";
    case "bytes":
    case "file":
      return "choose a file";
    case "json":
      return "expected JSON";
    case "stream":
      return "only a program can give a stream";
    default:
      return "expected a value";
  }
}

function readText(kind: Kind, text: string, path: Path, problems: Problem[]): unknown {
  switch (kind.type) {
    case "integer":
      return readInteger(kind, text.trim(), path, problems);
    case "number":
      return readNumber(kind, text.trim(), path, problems);
    case "instant":
      return readInstant(text, path, problems);
    case "json":
      return readBox(kind.expects, text, path, problems);
    case "text":
      checkLength(kind, text, path, problems);
      return text;
    default:
      return text;
  }
}

function readInteger(kind: NumberKind, text: string, path: Path, problems: Problem[]): number | bigint | undefined {
  if (!/^[+-]?\d{1,1300}$/u.test(text)) {
    problems.push({ path, message: "expected an integer, such as 7 or -2" });
    return undefined;
  }
  const exact = BigInt(text.replace(/^\+/u, ""));
  const value = Number(exact);
  // Beyond 2^53 a number is no longer exact; a bigint travels as the integer it is.
  const result = Number.isSafeInteger(value) ? value : exact;
  checkRange(kind, result, path, problems);
  return result;
}

function readNumber(kind: NumberKind, text: string, path: Path, problems: Problem[]): number | undefined {
  const special = new Map([
    ["nan", Number.NaN],
    ["inf", Infinity],
    ["-inf", -Infinity],
  ]).get(text.toLowerCase());
  const value = special ?? (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu.test(text) ? Number(text) : null);
  if (value === null) {
    problems.push({ path, message: "expected a number, such as 1.5 or 2e-3" });
    return undefined;
  }
  checkRange(kind, value, path, problems);
  return value;
}

function checkRange(kind: NumberKind, value: number | bigint, path: Path, problems: Problem[]): void {
  const rules: readonly (readonly [boolean, string])[] = [
    [kind.minimum !== null && value < kind.minimum, `expected ${kind.minimum} or more`],
    [kind.maximum !== null && value > kind.maximum, `expected ${kind.maximum} or less`],
    [kind.above !== null && value <= kind.above, `expected more than ${kind.above}`],
    [kind.below !== null && value >= kind.below, `expected less than ${kind.below}`],
  ];
  const broken = rules.find(([isBroken]) => isBroken);
  if (broken !== undefined) {
    problems.push({ path, message: broken[1] });
  }
}

function checkLength(kind: TextKind, text: string, path: Path, problems: Problem[]): void {
  // JSON Schema counts characters, JavaScript UTF-16 units.
  const length = [...text].length;
  if (kind.minLength !== null && length < kind.minLength) {
    problems.push({ path, message: `expected at least ${count(kind.minLength, "character")}, got ${length}` });
  } else if (kind.maxLength !== null && length > kind.maxLength) {
    problems.push({ path, message: `expected at most ${count(kind.maxLength, "character")}, got ${length}` });
  }
}

function checkCount(kind: ListKind, length: number, path: Path, problems: Problem[]): void {
  if (kind.minItems !== null && length < kind.minItems) {
    problems.push({ path, message: `expected at least ${count(kind.minItems, "item")}, got ${length}` });
  } else if (kind.maxItems !== null && length > kind.maxItems) {
    problems.push({ path, message: `expected at most ${count(kind.maxItems, "item")}, got ${length}` });
  }
}

/** A local date and time, as `datetime-local` writes it, is an instant in this device's time zone. */
function readInstant(text: string, path: Path, problems: Problem[]): Date | undefined {
  const instant = new Date(text);
  if (Number.isNaN(instant.getTime())) {
    problems.push({ path, message: "expected a date and a time" });
    return undefined;
  }
  return instant;
}

function readBox(expects: "array" | "object" | "any", text: string, path: Path, problems: Problem[]): unknown {
  let value: unknown;
  try {
    // The client's own reader: big integers stay exact, $ forms become bytes and times, and no key reaches a prototype.
    ({ value } = readJson(text));
  } catch (error) {
    problems.push({ path, message: `expected JSON: ${error instanceof Error ? error.message : String(error)}` });
    return undefined;
  }
  if ((expects === "array" && !Array.isArray(value)) || (expects === "object" && !isRecord(value))) {
    problems.push({
      path,
      message: expects === "array" ? "expected a list, such as [1, 2]" : 'expected an object, such as {"a": 1}',
    });
  }
  return value;
}
