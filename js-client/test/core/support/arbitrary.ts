/** Values, as fast-check makes them: whatever may travel, and what it comes back as. */

import fc from "fast-check";

/** Text without lone surrogates, now and then beyond ASCII, long, or a name that objects inherit. */
export const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
  { weight: 1, arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "$", "$int", "$$bytes", "\ufeffbom", "x".repeat(300)) },
);

const scalar = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.bigInt({ min: -(2n ** 4095n), max: 2n ** 4095n - 1n }),
  text,
  fc.uint8Array({ maxLength: 40 }),
  fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true }),
);

/** Any value of protocol section 10. Maps are objects without prototype, as they come back. */
export const value: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(text, tie("value"), { maxKeys: 5, noNullPrototype: false }).map(bare),
  ),
})).value;

/** The same members in an object without prototype. */
export function bare(object: Record<string, unknown>): unknown {
  const map = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(object)) map[key] = object[key];
  return map;
}

/** What `value` is once it has travelled: a bigint that fits a number has become one. */
export function travelled(value: unknown): unknown {
  if (typeof value === "bigint") return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
  if (Array.isArray(value)) return value.map(travelled);
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null) {
    const map = Object.create(null) as Record<string, unknown>;
    for (const [key, item] of Object.entries(value)) map[key] = travelled(item);
    return map;
  }
  return value;
}
