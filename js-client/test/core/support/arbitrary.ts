/** Values, as fast-check makes them: whatever may travel, and what it comes back as. */

import fc from "fast-check";

import { type DType, DTYPES, NdArray, type TypedArray } from "../../../src/core/arrays.js";
import { StreamRef } from "../../../src/core/values.js";

/** Text without lone surrogates, now and then beyond ASCII, long, or a name that objects inherit. */
export const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
  { weight: 1, arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "$", "$int", "$$bytes", "\ufeffbom", "x".repeat(300)) },
);

type Constructor = new (buffer: ArrayBuffer) => TypedArray;
const HALVES = (globalThis as { Float16Array?: Constructor }).Float16Array ?? Uint16Array;

/** What holds the items of each dtype. */
export const HOLDERS: Record<DType, Constructor> = {
  b1: Uint8Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  f2: HALVES,
  f4: Float32Array,
  f8: Float64Array,
};

/** An array of any dtype and shape, in the form in which it comes back. */
export const array: fc.Arbitrary<TypedArray | NdArray> = fc
  .tuple(fc.constantFrom(...DTYPES), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const count = shape.reduce((product, length) => product * length, 1);
    const bytes = count * Number(dtype[1]);
    const item = fc.integer({ min: 0, max: dtype === "b1" ? 1 : 255 });
    return fc.array(item, { minLength: bytes, maxLength: bytes }).map((content) => {
      const data = new HOLDERS[dtype](Uint8Array.from(content).buffer);
      const isBare = shape.length === 1 && dtype !== "b1" && dtype !== "u1" && (dtype !== "f2" || HALVES !== Uint16Array);
      return isBare ? data : new NdArray(dtype, shape, data);
    });
  });

const scalar = fc.oneof(
  { arbitrary: array, weight: 2 },
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map((id) => new StreamRef(id)),
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
