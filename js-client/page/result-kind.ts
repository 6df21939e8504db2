/** What a result is, and so how it is best shown: pure, no DOM. */

import type { NdArray } from "../src/core/arrays.js";
import { writeJson } from "../src/core/json.js";
import { FileSource, RpcFile } from "../src/file.js";
import { arrayOf, arrayWords } from "./array-kind.js";
import { isRecord } from "./openrpc.js";
import { byteSize, label } from "./text.js";

/** How to show a result. */
export type Shape =
  | { readonly type: "nothing" }
  | { readonly type: "scalar"; readonly text: string }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "instant"; readonly value: Date }
  | { readonly type: "bytes"; readonly bytes: Uint8Array; readonly image: ImageType | null }
  | { readonly type: "array"; readonly array: NdArray }
  | { readonly type: "file"; readonly file: RpcFile }
  | {
      readonly type: "table";
      readonly columns: readonly string[];
      readonly rows: readonly { readonly [column: string]: unknown }[];
    }
  | { readonly type: "pairs"; readonly entries: readonly (readonly [string, unknown])[] }
  | { readonly type: "tree"; readonly value: unknown };

export interface ImageType {
  readonly mime: string;
  readonly extension: string;
}

const MAX_COLUMNS = 12;
const MAX_PAIRS = 20;

// Only formats that a browser decodes as pixels. No SVG: that is a document.
const IMAGES: readonly (ImageType & { readonly magic: readonly (number | null)[] })[] = [
  { mime: "image/png", extension: "png", magic: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] },
  { mime: "image/jpeg", extension: "jpg", magic: [0xff, 0xd8, 0xff] },
  { mime: "image/gif", extension: "gif", magic: [0x47, 0x49, 0x46, 0x38] },
  { mime: "image/webp", extension: "webp", magic: [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50] },
  { mime: "image/bmp", extension: "bmp", magic: [0x42, 0x4d, null, null, null, null, 0, 0, 0, 0] },
];

/** The image format of `bytes` by its first bytes; null for anything else. */
export function imageType(bytes: Uint8Array): ImageType | null {
  return IMAGES.find(({ magic }) => magic.every((byte, at) => byte === null || bytes[at] === byte)) ?? null;
}

/** Whether a value fits in one cell or one line. */
export function isFlat(value: unknown): boolean {
  return (
    value === null ||
    value === undefined ||
    ["string", "number", "bigint", "boolean"].includes(typeof value) ||
    value instanceof Date
  );
}

/** How to show `value`. */
export function shapeOf(value: unknown): Shape {
  if (value === null || value === undefined) {
    return { type: "nothing" };
  }
  if (value instanceof Date) {
    return { type: "instant", value };
  }
  if (value instanceof Uint8Array) {
    return { type: "bytes", bytes: value, image: imageType(value) };
  }
  if (value instanceof RpcFile) {
    return { type: "file", file: value };
  }
  const array = arrayOf(value);
  if (array !== undefined) {
    return { type: "array", array };
  }
  if (typeof value === "string") {
    return { type: "text", text: value };
  }
  if (isFlat(value)) {
    return { type: "scalar", text: scalarText(value) };
  }
  if (Array.isArray(value)) {
    const columns = columnsOf(value);
    return columns === null
      ? { type: "tree", value }
      : { type: "table", columns, rows: value as { [column: string]: unknown }[] };
  }
  if (isRecord(value)) {
    const entries = Object.entries(value);
    if (entries.length > 0 && entries.length <= MAX_PAIRS && entries.every(([, one]) => isFlat(one))) {
      return { type: "pairs", entries };
    }
  }
  return { type: "tree", value };
}

/** A file in a few words. */
export function fileWords(name: string, size: number): string {
  return `file ${JSON.stringify(label(name, 40))}, ${byteSize(size)}`;
}

/** The columns of a list of flat objects, in the order they first appear; null when it is not that. */
function columnsOf(list: readonly unknown[]): readonly string[] | null {
  if (list.length === 0) {
    return null;
  }
  const columns = new Set<string>();
  for (const row of list) {
    if (!isRecord(row)) {
      return null;
    }
    for (const [name, value] of Object.entries(row)) {
      columns.add(name);
      if (!isFlat(value) || columns.size > MAX_COLUMNS) {
        return null;
      }
    }
  }
  return columns.size === 0 ? null : [...columns];
}

/** A flat value as text. Numbers read as the language writes them; an integer keeps all its digits. */
export function scalarText(value: unknown): string {
  if (value === null || value === undefined) {
    return "null";
  }
  if (value instanceof Date) {
    return Number.isNaN(value.getTime()) ? "no such date" : value.toISOString();
  }
  return Object.is(value, -0) ? "-0" : String(value as string | number | bigint | boolean);
}

/** Whether a file stands anywhere in `value`: that has no JSON. */
export function holdsFile(value: unknown): boolean {
  if (value instanceof RpcFile) {
    return true;
  }
  return (Array.isArray(value) || isRecord(value)) && Object.values(value as object).some(holdsFile);
}

/** Any value as the JSON of the protocol (section 10), for the clipboard. */
export function asJson(value: unknown): string {
  return JSON.stringify(JSON.parse(writeJson(value)), null, 2);
}

/** The first line of an outcome, for the history: text of at most about `most` characters. */
export function inShort(value: unknown, most = 60): string {
  if (typeof value === "string") {
    return JSON.stringify(value.slice(0, most));
  }
  if (isFlat(value)) {
    return scalarText(value);
  }
  if (value instanceof Uint8Array) {
    return `${value.byteLength} bytes`;
  }
  if (value instanceof RpcFile) {
    return fileWords(value.name, value.size);
  }
  if (value instanceof FileSource) {
    return fileWords(value.blob instanceof File ? value.blob.name : "", value.blob.size);
  }
  const array = arrayOf(value);
  if (array !== undefined) {
    return `array (${arrayWords(array)})`;
  }
  const size = Array.isArray(value) ? value.length : isRecord(value) ? Object.keys(value).length : 0;
  const open = Array.isArray(value) ? "[" : "{";
  const close = Array.isArray(value) ? "]" : "}";
  if (size === 0) {
    return open + close;
  }
  const parts: string[] = [];
  let length = 0;
  for (const [name, one] of Object.entries(value as object)) {
    const part =
      (Array.isArray(value) ? "" : `${name.slice(0, 30)}: `) +
      (isFlat(one) || one instanceof Uint8Array || one instanceof RpcFile || arrayOf(one) !== undefined ? inShort(one, 20) : Array.isArray(one) ? "[…]" : "{…}");
    length += part.length + 2;
    if (length > most) {
      parts.push("…");
      break;
    }
    parts.push(part);
  }
  return open + parts.join(", ") + close;
}
