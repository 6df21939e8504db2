/** Streams as they stand in values: found, taken out, put in. */

import { NO_STREAMS } from "./envelope.js";
import { StreamRef } from "./values.js";

/** The ids of the streams in a value that came from the wire, in the order in which they stand in it. */
export function streamsIn(value: unknown): readonly number[] {
  if (typeof value !== "object" || value === null) return NO_STREAMS;
  const found: number[] = [];
  collect(value, found);
  return found.length === 0 ? NO_STREAMS : found;
}

function collect(value: object, found: number[]): void {
  if (value instanceof StreamRef) {
    found.push(value.id);
  } else if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      if (typeof item === "object" && item !== null) collect(item, found);
    }
  } else if (Object.getPrototypeOf(value) === null) {
    // Maps from the wire are the only objects without prototype; bytes, instants and arrays hold no streams.
    for (const key in value) {
      const item = (value as { readonly [key: string]: unknown })[key];
      if (typeof item === "object" && item !== null) collect(item, found);
    }
  }
}

/** The same value with what `make` gives in the place of each stream. The value came from the wire and is ours: it is changed in place. */
export function putStreams(value: unknown, make: (id: number) => unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof StreamRef) return make(value.id);
  if (Array.isArray(value)) {
    const list = value as unknown[];
    for (let i = 0; i < list.length; i++) list[i] = putStreams(list[i], make);
  } else if (Object.getPrototypeOf(value) === null) {
    const map = value as { [key: string]: unknown };
    for (const key in map) map[key] = putStreams(map[key], make);
  }
  return value;
}
