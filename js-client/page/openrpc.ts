/** Reads the OpenRPC document of `rpc.discover`. It comes from the peer: whatever does not fit is left out, nothing throws. */

import { NdArray } from "../src/core/arrays.js";
import { isFile } from "../src/file.js";

export type Schema = { readonly [keyword: string]: unknown };

/** One parameter of a method. */
export interface Param {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly schema: unknown;
  /** Takes all further arguments: a list of those by position, or a map of those by name. */
  readonly variadic: "positional" | "named" | null;
}

/** One method that the peer offers. */
export interface Method {
  readonly name: string;
  /** The docstring; empty when there is none. */
  readonly doc: string;
  readonly params: readonly Param[];
  /** True when arguments must travel as a list. */
  readonly byPosition: boolean;
  /** The schema of the result; null when the document says nothing about it. */
  readonly result: unknown;
}

/** What a peer offers. `root` is the whole document: references of a schema may lead into it. */
export interface Offer {
  readonly title: string;
  readonly methods: readonly Method[];
  /** How many methods were left out because there are too many to show. */
  readonly leftOut: number;
  readonly root: unknown;
}

/** Cards beyond this make a page that nobody reads, and a browser that stalls. */
export const MAX_METHODS = 500;

export function isRecord(value: unknown): value is Schema {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value) &&
    !(value instanceof Date) &&
    !(value instanceof NdArray) &&
    !isFile(value)
  );
}

/** The own member `name` of a map; undefined for anything inherited, so that no name reaches `Object.prototype`. */
export function member(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function readParam(value: unknown): Param | null {
  const name = text(member(value, "name"));
  if (name === "") {
    return null;
  }
  const given = member(value, "schema") ?? true;
  const rest = member(value, "x-variadic");
  const variadic = rest === "positional" || rest === "named" ? rest : null;
  const schema =
    variadic === null
      ? given
      : variadic === "positional"
        ? { type: "array", items: given }
        : { type: "object", additionalProperties: given };
  return {
    name,
    description: text(member(value, "description")) || text(member(value, "summary")) || text(member(schema, "description")),
    required: member(value, "required") === true,
    schema,
    variadic,
  };
}

function readMethod(value: unknown): Method | null {
  const name = text(member(value, "name"));
  if (name === "") {
    return null;
  }
  const params = member(value, "params");
  const summary = text(member(value, "summary"));
  const description = text(member(value, "description"));
  return {
    name,
    // Makers of such documents put the first line in one and all of it, or the rest, in the other.
    doc: description.startsWith(summary) ? description : summary === "" ? description : `${summary}\n\n${description}`.trim(),
    params: Array.isArray(params) ? params.map(readParam).filter((param) => param !== null) : [],
    byPosition: member(value, "paramStructure") === "by-position",
    result: member(member(value, "result"), "schema") ?? null,
  };
}

/** The methods of `document`, in its order; reserved ones (`rpc.…`) are the protocol's own and are not shown. */
export function readOffer(document: unknown): Offer {
  const listed = member(document, "methods");
  const methods = (Array.isArray(listed) ? listed : [])
    .map(readMethod)
    .filter((method) => method !== null)
    .filter((method) => !method.name.startsWith("rpc."));
  return {
    title: text(member(member(document, "info"), "title")),
    methods: methods.slice(0, MAX_METHODS),
    leftOut: Math.max(0, methods.length - MAX_METHODS),
    root: document,
  };
}

/** Those of `methods` whose name, documentation or parameters hold every word of `words`. */
export function matching(methods: readonly Method[], words: string): ReadonlySet<Method> {
  const wanted = words
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== "");
  return new Set(
    methods.filter((method) => {
      const hay = [method.name, method.doc, ...method.params.map((param) => param.name)].join(" ").toLowerCase();
      return wanted.every((word) => hay.includes(word));
    }),
  );
}
