/** Words and numbers for people: pure functions, no DOM. What a peer chose to say goes through here before it is shown. */

import { CODE_NAMES } from "../src/codes.js";

/** Shown where a peer gave no usable name. */
export const NO_NAME = "(no name)";

// Bidirectional marks, embeddings, overrides and isolates reorder what stands around them (CVE-2021-42574); zero-width
// characters and controls make two different names look the same. A label needs none of them.
const INVISIBLE =
  /[\p{Cc}\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\uffff\u{e0000}-\u{e0fff}]/gu;

/** `text` on one line, without characters that can't be seen or that turn others around, at most `most` characters. */
export function label(text: string, most = 80): string {
  // Cut before cleaning: a name of a megabyte must not cost a megabyte of work.
  const cleaned = text
    .slice(0, most * 8)
    .replace(/[^\S\ufeff]+/gu, " ")
    .replace(INVISIBLE, "")
    .trim();
  return cleaned === "" ? NO_NAME : shorten(cleaned, most);
}

/** `text`, or its first `most - 1` characters and an ellipsis. Never cuts a surrogate pair in two. */
export function shorten(text: string, most: number): string {
  if (text.length <= most) {
    return text;
  }
  const cut = text.slice(0, most - 1);
  return `${/[\ud800-\udbff]$/u.test(cut) ? cut.slice(0, -1) : cut}…`;
}

/** The part of a peer id that two people compare by eye: three groups of four. */
export function shortKey(peerId: string): string {
  return (peerId.slice(0, 12).match(/.{1,4}/gu) ?? []).join(" ");
}

/** A peer id in groups of four, whole. */
export function wholeKey(peerId: string): string {
  return (peerId.match(/.{1,4}/gu) ?? []).join(" ");
}

/** A time span given in milliseconds: `0.42 ms`, `12 ms`, `1.24 s`, `2 min 5 s`. */
export function duration(millis: number): string {
  if (millis < 1) {
    return `${millis.toFixed(2)} ms`;
  }
  if (millis < 10) {
    return `${millis.toFixed(1)} ms`;
  }
  if (millis < 999.5) {
    return `${Math.round(millis)} ms`;
  }
  if (millis < 59_995) {
    return `${(millis / 1000).toFixed(millis < 9_995 ? 2 : 1)} s`;
  }
  const seconds = Math.round(millis / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** A number of bytes: `512 bytes`, `1.5 KiB`, `20.0 MiB`. */
export function byteSize(bytes: number): string {
  if (bytes === 1) {
    return "1 byte";
  }
  if (bytes < 1024) {
    return `${bytes} bytes`;
  }
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** `1 item`, `3 items`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** The name of an error code of the protocol, with a capital: `Invalid params`. */
export function codeName(code: number): string {
  const name = CODE_NAMES.get(code) ?? "error";
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** The first sentence or line of a docstring, and what follows it. */
export function splitDoc(text: string): { readonly first: string; readonly rest: string } {
  const trimmed = text.trim();
  const at = trimmed.search(/\n\s*\n/u);
  return at < 0 ? { first: trimmed, rest: "" } : { first: trimmed.slice(0, at).trim(), rest: trimmed.slice(at).trim() };
}
