/** Kinds of fields in words, for the people who fill them in. */

import type { Kind } from "./fields.js";
import { shorten } from "./text.js";

/** A value in a few words. */
export function valueName(value: unknown): string {
  if (typeof value === "string") {
    return value === "" ? "(empty text)" : shorten(value, 80);
  }
  return shorten(
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner)) ?? String(value),
    80,
  );
}

const KIND_NAMES: Readonly<Record<Kind["type"], string>> = {
  integer: "integer",
  number: "number",
  text: "text",
  boolean: "true or false",
  bytes: "bytes",
  file: "file",
  instant: "date and time",
  date: "date",
  time: "time",
  choice: "choice",
  fixed: "fixed",
  group: "object",
  tuple: "tuple",
  union: "one of several",
  list: "list",
  stream: "stream",
  json: "JSON",
};

/** What a kind is called beside its label. */
export function kindName(kind: Kind): string {
  switch (kind.type) {
    case "list":
      return `list of ${kindName(kind.item)}`;
    case "stream":
      return `stream${streamOf(kind.item)}`;
    case "fixed":
      return valueName(kind.value);
    case "json":
      return kind.expects === "array" ? "list, as JSON" : kind.expects === "object" ? "object, as JSON" : "any value, as JSON";
    default:
      return KIND_NAMES[kind.type];
  }
}

function streamOf(item: Kind): string {
  if (item.type !== "json") {
    return ` of ${kindName(item)}`;
  }
  return item.expects === "any" ? "" : item.expects === "array" ? " of lists" : " of objects";
}

/** The bounds of a kind in words; empty when it has none. */
export function boundsOf(kind: Kind): string {
  switch (kind.type) {
    case "integer":
    case "number": {
      const low = kind.minimum !== null ? `from ${kind.minimum}` : kind.above !== null ? `more than ${kind.above}` : "";
      const high = kind.maximum !== null ? `to ${kind.maximum}` : kind.below !== null ? `less than ${kind.below}` : "";
      return [low, low === "" && high.startsWith("to") ? `at most ${high.slice(3)}` : high]
        .filter((part) => part !== "")
        .join(" ");
    }
    case "text":
      return [
        kind.minLength !== null && kind.minLength > 0 ? `at least ${kind.minLength} characters` : "",
        kind.maxLength !== null ? `at most ${kind.maxLength} characters` : "",
        kind.pattern === "" ? "" : `pattern ${shorten(kind.pattern, 60)}`,
        kind.format === "" ? "" : shorten(kind.format, 30),
      ]
        .filter((part) => part !== "")
        .join(", ");
    case "list":
      return [
        kind.minItems !== null && kind.minItems > 0 ? `at least ${kind.minItems}` : "",
        kind.maxItems !== null ? `at most ${kind.maxItems}` : "",
      ]
        .filter((part) => part !== "")
        .join(", ");
    default:
      return "";
  }
}
