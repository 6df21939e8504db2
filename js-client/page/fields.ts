/**
 * JSON Schema -> what to ask the user: pure, no DOM.
 *
 * A schema comes from the peer, so reading it must end whatever it holds: references are followed a bounded number of times,
 * nesting is bounded, and what has no form of its own becomes a box for JSON.
 */

import { kindName, valueName } from "./kind-words.js";
import { type Param, type Schema, isRecord, member } from "./openrpc.js";
import { type Place, deeper, resolve, startAt } from "./references.js";

export interface Choice {
  readonly label: string;
  readonly value: unknown;
}

export interface Variant {
  readonly label: string;
  readonly kind: Kind;
}

export interface NumberKind {
  readonly type: "integer" | "number";
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly above: number | null;
  readonly below: number | null;
}

export interface TextKind {
  readonly type: "text";
  readonly format: string;
  readonly minLength: number | null;
  readonly maxLength: number | null;
  /** Shown, never run: a pattern made by the peer can keep a browser busy for ever. The peer checks it. */
  readonly pattern: string;
}

export interface ListKind {
  readonly type: "list";
  readonly item: Kind;
  readonly minItems: number | null;
  readonly maxItems: number | null;
}

/** How a value is asked for. */
export type Kind =
  | NumberKind
  | TextKind
  | ListKind
  | { readonly type: "boolean" | "bytes" | "file" | "instant" | "date" | "time" }
  | { readonly type: "choice"; readonly options: readonly Choice[] }
  | { readonly type: "fixed"; readonly value: unknown }
  | { readonly type: "group"; readonly fields: readonly Field[] }
  | { readonly type: "tuple"; readonly fields: readonly Field[] }
  | { readonly type: "union"; readonly variants: readonly Variant[] }
  | { readonly type: "stream"; readonly item: Kind }
  | { readonly type: "json"; readonly expects: "array" | "object" | "any" };

/** One thing to fill in. */
export interface Field {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly required: boolean;
  readonly nullable: boolean;
  /** The default as the peer names it; undefined when it names none. */
  readonly default: unknown;
  readonly kind: Kind;
}

/** Fieldsets nest this deep; below that JSON is easier to write. */
const MAX_NESTING = 2;
const MAX_FIELDS = 16;
const MAX_CHOICES = 200;
const MAX_VARIANTS = 8;

/** The field of one parameter of a method. `root` is the OpenRPC document. */
export function fieldOf(param: Param, root: unknown): Field {
  const place = startAt([param.schema, root]);
  return {
    ...fieldFrom(param.name, param.schema, param.required, place),
    ...(param.description && { description: param.description }),
  };
}

function fieldFrom(name: string, given: unknown, required: boolean, place: Place): Field {
  const { schema, place: inner } = resolve(given, place);
  const { nullable, rest } = splitNull(schema, inner);
  return {
    name,
    title: text(schema, "title"),
    description: text(schema, "description"),
    required,
    nullable,
    default: member(schema, "default"),
    kind: kindOf(rest, inner),
  };
}

function kindOf(given: unknown, place: Place): Kind {
  const { schema, place: inner } = resolve(given, place);
  if (Object.hasOwn(schema, "const")) {
    return { type: "fixed", value: schema["const"] };
  }
  if (member(schema, "x-file") === true) {
    return { type: "file" };
  }
  if (member(schema, "x-stream") === true) {
    return { type: "stream", item: kindOf(member(schema, "items"), deeper(inner)) };
  }
  const options = choices(schema);
  if (options !== null) {
    return { type: "choice", options };
  }
  const alternatives = member(schema, "anyOf") ?? member(schema, "oneOf");
  if (Array.isArray(alternatives)) {
    return unionOf(alternatives, inner);
  }
  switch (typeOf(schema)) {
    case "integer":
    case "number":
      return {
        type: typeOf(schema) as "integer" | "number",
        minimum: number(schema, "minimum"),
        maximum: number(schema, "maximum"),
        above: number(schema, "exclusiveMinimum"),
        below: number(schema, "exclusiveMaximum"),
      };
    case "boolean":
      return { type: "boolean" };
    case "string":
      return stringKind(schema);
    case "array":
      return arrayKind(schema, inner);
    case "object":
      return objectKind(schema, inner);
    case "null":
      return { type: "fixed", value: null };
    default:
      return { type: "json", expects: "any" };
  }
}

function stringKind(schema: Schema): Kind {
  const format = text(schema, "format");
  if (["binary", "byte", "bytes", "base64", "base64url"].includes(format) || Object.hasOwn(schema, "contentEncoding")) {
    return { type: "bytes" };
  }
  if (format === "date-time") {
    return { type: "instant" };
  }
  if (format === "date" || format === "time") {
    return { type: format };
  }
  return {
    type: "text",
    format,
    minLength: number(schema, "minLength"),
    maxLength: number(schema, "maxLength"),
    pattern: text(schema, "pattern"),
  };
}

function arrayKind(schema: Schema, place: Place): Kind {
  const below = deeper(place);
  const items = member(schema, "items");
  const prefix = member(schema, "prefixItems");
  if (
    Array.isArray(prefix) &&
    prefix.length > 0 &&
    prefix.length <= MAX_FIELDS &&
    place.nesting < MAX_NESTING &&
    !isRecord(items)
  ) {
    const fields = prefix.map((item: unknown, index) => fieldFrom(String(index), item, true, below));
    if (fields.every((field) => !field.nullable)) {
      return { type: "tuple", fields };
    }
  }
  if (place.nesting < MAX_NESTING && isRecord(items)) {
    const item = fieldFrom("", items, true, below);
    // A list in a list, or one with holes, is easier to write than to click together.
    if (!item.nullable && item.kind.type !== "json" && item.kind.type !== "list") {
      return { type: "list", item: item.kind, minItems: number(schema, "minItems"), maxItems: number(schema, "maxItems") };
    }
  }
  return { type: "json", expects: "array" };
}

function objectKind(schema: Schema, place: Place): Kind {
  const properties = member(schema, "properties");
  const open = member(schema, "additionalProperties");
  if (!isRecord(properties) || isRecord(open) || open === true || place.nesting >= MAX_NESTING) {
    return { type: "json", expects: "object" };
  }
  const entries = Object.entries(properties);
  if (entries.length === 0 || entries.length > MAX_FIELDS) {
    return { type: "json", expects: "object" };
  }
  const listed = member(schema, "required");
  const required = new Set(Array.isArray(listed) ? listed : []);
  const below = deeper(place);
  return { type: "group", fields: entries.map(([name, value]) => fieldFrom(name, value, required.has(name), below)) };
}

function unionOf(alternatives: readonly unknown[], place: Place): Kind {
  if (alternatives.length === 1) {
    return kindOf(alternatives[0], place);
  }
  if (alternatives.length > MAX_VARIANTS || place.nesting >= MAX_NESTING) {
    return { type: "json", expects: "any" };
  }
  const variants = alternatives.map((alternative) => {
    const kind = kindOf(alternative, deeper(place));
    const named = text(resolve(alternative, place).schema, "title");
    return { label: named === "" ? kindName(kind) : named, kind };
  });
  return { type: "union", variants };
}

/** The options of an `enum`, or of alternatives that are all constants; null for any other schema. */
function choices(schema: Schema): readonly Choice[] | null {
  const listed = member(schema, "enum");
  if (Array.isArray(listed)) {
    return listed.slice(0, MAX_CHOICES).map((value: unknown) => ({ label: valueName(value), value }));
  }
  const alternatives = member(schema, "oneOf") ?? member(schema, "anyOf");
  if (
    !Array.isArray(alternatives) ||
    alternatives.length === 0 ||
    !alternatives.every((one) => isRecord(one) && Object.hasOwn(one, "const"))
  ) {
    return null;
  }
  return alternatives
    .slice(0, MAX_CHOICES)
    .map((one: Schema) => ({ label: text(one, "title") || valueName(one["const"]), value: one["const"] }));
}

/** Whether null is allowed, and the schema without that. */
function splitNull(schema: Schema, place: Place): { readonly nullable: boolean; readonly rest: Schema } {
  const type = member(schema, "type");
  if (Array.isArray(type) && type.includes("null") && type.length > 1) {
    const others = type.filter((one) => one !== "null");
    return { nullable: true, rest: { ...schema, type: others.length === 1 ? others[0] : others } };
  }
  for (const keyword of ["anyOf", "oneOf"]) {
    const alternatives = member(schema, keyword);
    if (Array.isArray(alternatives)) {
      const others = alternatives.filter((one) => member(resolve(one, place).schema, "type") !== "null");
      return {
        nullable: others.length < alternatives.length && others.length > 0,
        rest: others.length === 0 ? schema : { ...schema, [keyword]: others },
      };
    }
  }
  return { nullable: false, rest: schema };
}

function typeOf(schema: Schema): string {
  const type = member(schema, "type");
  if (typeof type === "string") {
    return type;
  }
  return isRecord(member(schema, "properties")) ? "object" : "any";
}

function text(schema: Schema, keyword: string): string {
  const value = member(schema, keyword);
  return typeof value === "string" ? value : "";
}

function number(schema: Schema, keyword: string): number | null {
  const value = member(schema, keyword);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
