/** References inside a JSON Schema, followed within bounds: the schema comes from the peer. */

import { type Schema, isRecord, member } from "./openrpc.js";

const MAX_REFERENCES = 16;
// References that branch (`allOf` of `allOf` …) grow without end although no single path is long: count them all.
const MAX_STEPS = 2_000;

/** Where in a schema we are. */
export interface Place {
  /** Where `$ref` may lead: the schema of the parameter first, then the whole document. */
  readonly roots: readonly unknown[];
  readonly nesting: number;
  /** The references on the way here, so that one that leads back to itself is noticed. */
  readonly seen: readonly string[];
  /** Shared by all places of one field. */
  readonly budget: { left: number };
}

export function startAt(roots: readonly unknown[]): Place {
  return { roots, nesting: 0, seen: [], budget: { left: MAX_STEPS } };
}

/** The same place, one fieldset further in. */
export function deeper(place: Place): Place {
  return { ...place, nesting: place.nesting + 1 };
}

/** Follows `$ref` and merges `allOf`, so that what comes back has neither. An unknown or endless reference is "anything". */
export function resolve(given: unknown, place: Place): { readonly schema: Schema; readonly place: Place } {
  let schema: Schema = isRecord(given) ? given : {};
  let seen = place.seen;
  for (;;) {
    place.budget.left -= 1;
    if (place.budget.left < 0) {
      return { schema: {}, place };
    }
    const reference = member(schema, "$ref");
    const all = member(schema, "allOf");
    if (typeof reference === "string") {
      if (seen.includes(reference) || seen.length >= MAX_REFERENCES) {
        return { schema: {}, place };
      }
      seen = [...seen, reference];
      const { $ref: _, ...beside } = schema;
      schema = { ...lookUp(reference, place.roots), ...beside };
    } else if (Array.isArray(all)) {
      const { allOf: _, ...beside } = schema;
      const parts = all.slice(0, MAX_REFERENCES).map((part) => resolve(part, { ...place, seen }).schema);
      schema = parts.length === 1 ? { ...parts[0], ...beside } : mergeAll(parts, beside);
    } else {
      return { schema, place: { ...place, seen } };
    }
  }
}

function mergeAll(parts: readonly Schema[], beside: Schema): Schema {
  const lists = parts.map((part) => member(part, "required")).filter((list) => Array.isArray(list));
  const properties: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const part of parts) {
    const own = member(part, "properties");
    for (const [name, value] of Object.entries(isRecord(own) ? own : {})) {
      properties[name] = value;
    }
  }
  const merged: Schema = Object.assign({}, ...parts, beside);
  return Object.keys(properties).length === 0 ? merged : { ...merged, properties, required: lists.flat() };
}

/** The schema that a local reference (`#/$defs/Name`, RFC 6901 in a fragment) names, in the first root that has it. */
function lookUp(reference: string, roots: readonly unknown[]): Schema {
  if (!reference.startsWith("#/")) {
    return {};
  }
  const steps = reference.slice(2).split("/").map(unescapePointer);
  for (const root of roots) {
    const found = steps.reduce<unknown>((at, step) => member(at, step), root);
    if (isRecord(found)) {
      return found;
    }
  }
  return {};
}

function unescapePointer(step: string): string {
  const plain = step.replaceAll("~1", "/").replaceAll("~0", "~");
  try {
    return decodeURIComponent(plain);
  } catch {
    // A stray percent sign is a name like any other.
    return plain;
  }
}
