/**
 * Arrays of numbers: typed arrays and `NdArray`, and how they look in MessagePack and in JSON (protocol section 10).
 *
 * The items are little-endian on the wire, and so are typed arrays wherever JavaScript runs today: no byte is turned round here.
 */

import { DecodeError } from "../errors.js";
import { MAX_DIMENSIONS } from "../limits.js";
import { b64urlDecode, b64urlEncode } from "./identity.js";
import { decodeVarint, encodeVarint } from "./varint.js";

/** Kinds of items, in the order of their numbers on the wire: `b` boolean, `i` and `u` integer, `f` float, and the bytes of an item. */
export const DTYPES = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"] as const;
/** One of them. */
export type DType = (typeof DTYPES)[number];

/** A `Float16Array`, of which not every engine knows. */
export interface HalfArray extends ArrayBufferView {
  readonly length: number;
  [index: number]: number;
}

/** What holds the items of an array. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | HalfArray
  | Float32Array
  | Float64Array;

interface Kind {
  /** The typed arrays that may hold such items; what arrives is the first that the engine has. */
  readonly tags: readonly string[];
  readonly size: number;
}

const KINDS = new Map<string, Kind>([
  ["b1", { tags: ["Uint8Array", "Uint8ClampedArray"], size: 1 }],
  ["i1", { tags: ["Int8Array"], size: 1 }],
  ["i2", { tags: ["Int16Array"], size: 2 }],
  ["i4", { tags: ["Int32Array"], size: 4 }],
  ["i8", { tags: ["BigInt64Array"], size: 8 }],
  ["u1", { tags: ["Uint8Array", "Uint8ClampedArray"], size: 1 }],
  ["u2", { tags: ["Uint16Array"], size: 2 }],
  ["u4", { tags: ["Uint32Array"], size: 4 }],
  ["u8", { tags: ["BigUint64Array"], size: 8 }],
  ["f2", { tags: ["Float16Array", "Uint16Array"], size: 2 }],
  ["f4", { tags: ["Float32Array"], size: 4 }],
  ["f8", { tags: ["Float64Array"], size: 8 }],
]);

// A Uint8Array by itself is bytes, not an array.
const DTYPE_OF_TAG = new Map<string, DType>([
  ["Int8Array", "i1"],
  ["Uint8ClampedArray", "u1"],
  ["Int16Array", "i2"],
  ["Uint16Array", "u2"],
  ["Int32Array", "i4"],
  ["Uint32Array", "u4"],
  ["BigInt64Array", "i8"],
  ["BigUint64Array", "u8"],
  ["Float16Array", "f2"],
  ["Float32Array", "f4"],
  ["Float64Array", "f8"],
]);

type Constructor = new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => TypedArray;
const { Float16Array: Half = Uint16Array } = globalThis as { Float16Array?: Constructor };
const CONSTRUCTORS: Record<DType, Constructor> = {
  b1: Uint8Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  f2: Half,
  f4: Float32Array,
  f8: Float64Array,
};
// What an array of one dimension arrives as by itself; any other would be taken for something else if it were sent back.
const BARE = new Set<DType>(DTYPES.filter((dtype) => DTYPE_OF_TAG.get(CONSTRUCTORS[dtype].name) === dtype));

/**
 * An array of any number of dimensions.
 *
 * `shape` is the length of each; `data` holds the items, the last index fastest: a `Float64Array` for `f8`, a `BigInt64Array` for `i8` and so on; a
 * `Uint8Array` of 0 and 1 for `b1`; for `f2` a `Float16Array`, or a `Uint16Array` of the bits. Throws `TypeError` or `RangeError` where they don't
 * fit each other. An array that arrives may share the memory of its message: mind `data.byteOffset` when using `data.buffer`.
 */
export class NdArray {
  readonly shape: readonly number[];

  constructor(
    readonly dtype: DType,
    shape: Iterable<number>,
    readonly data: TypedArray,
  ) {
    const kind = KINDS.get(dtype);
    if (kind === undefined) throw new TypeError(`expected the dtype of an array to be one of ${DTYPES.join(" ")}, got ${String(dtype).slice(0, 40)}`);
    if (!kind.tags.includes(tagOf(data))) throw new TypeError(`expected the items of an array of ${dtype} in a ${kind.tags.join(" or ")}, got ${tagOf(data)}`);
    this.shape = Object.freeze([...shape]);
    const count = countItems(dtype, this.shape);
    if (data.length !== count) throw new RangeError(`expected ${count} items for an array of ${dtype} [${this.shape.join()}], got ${data.length}`);
  }
}

function tagOf(data: unknown): string {
  const tag: unknown = ArrayBuffer.isView(data) ? (data as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] : undefined;
  return typeof tag === "string" ? tag : typeof data;
}

/** The number of items. `RangeError` for a shape that no array has. */
function countItems(dtype: DType, shape: readonly number[]): number {
  if (shape.length > MAX_DIMENSIONS) throw new RangeError(`expected at most ${MAX_DIMENSIONS} dimensions, got ${shape.length}`);
  // Of an empty array too: numpy can't hold one of 0 times 2^52 times 2^52 items.
  let bytes = KINDS.get(dtype)!.size;
  let isEmpty = false;
  for (const length of shape) {
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError("expected each dimension of an array to be 0 to 2^53-1");
    if (length === 0) isEmpty = true;
    else bytes *= length;
    if (bytes > Number.MAX_SAFE_INTEGER) throw new RangeError("expected an array of at most 2^53-1 bytes, dimensions of 0 left aside");
  }
  return isEmpty ? 0 : bytes / KINDS.get(dtype)!.size;
}

/** The array that `value` is; undefined for what is none (bytes and a DataView among it). */
export function asArray(value: object): NdArray | undefined {
  if (value instanceof NdArray) return value;
  const dtype = ArrayBuffer.isView(value) ? DTYPE_OF_TAG.get(tagOf(value)) : undefined;
  return dtype === undefined ? undefined : new NdArray(dtype, [(value as TypedArray).length], value as TypedArray);
}

/** The items of `array` as they are sent: the same memory. */
export function bytesOf({ data }: NdArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Whether the items of `array` are what its dtype says: booleans are 0 and 1. */
export function isSound(array: NdArray): boolean {
  return array.dtype !== "b1" || isBoolean(bytesOf(array));
}

function isBoolean(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte <= 1);
}

/** What stands in extension 2 before the items; its length is a multiple of 8. */
export function extHead({ dtype, shape }: NdArray): Uint8Array {
  const head = [DTYPES.indexOf(dtype), shape.length];
  for (const length of shape) head.push(...encodeVarint(length));
  while (head.length % 8 !== 0) head.push(0);
  return Uint8Array.from(head);
}

/**
 * The array of an extension 2; `DecodeError` where it is none. The items stay where they are if they are most of the memory that `ext` is part of, and
 * stand where items of their size may; otherwise they are copied.
 */
export function arrayFromExt(ext: Uint8Array): NdArray | TypedArray {
  const dtype = DTYPES[ext[0] ?? -1];
  if (dtype === undefined) throw new DecodeError(`array: expected a dtype from 0 to ${DTYPES.length - 1}, got ${ext[0] ?? "the end"}`);
  const dimensions = ext[1];
  if (dimensions === undefined) throw new DecodeError("array: expected the number of dimensions, got the end");
  if (dimensions > MAX_DIMENSIONS) throw new DecodeError(`array: expected at most ${MAX_DIMENSIONS} dimensions, got ${dimensions}`);
  const shape: number[] = [];
  let at = 2;
  for (let i = 0; i < dimensions; i++) {
    const [length, rest] = decodeVarint(ext, at, Number.MAX_SAFE_INTEGER);
    shape.push(length);
    at = rest;
  }
  const start = Math.ceil(at / 8) * 8;
  if (ext.subarray(at, start).some((byte) => byte !== 0)) throw new DecodeError("array: expected zeros before the items");
  return arrive(dtype, shape, ext.length - start, () => ext.subarray(start));
}

/** What stands in `{"$array": …}`, as JSON text. */
export function arrayText(array: NdArray): string {
  return `["${array.dtype}",[${array.shape.join()}],"${b64urlEncode(bytesOf(array))}"]`;
}

/** Reads what stands in `{"$array": …}`. */
export function arrayFromForm(form: unknown): NdArray | TypedArray {
  if (Array.isArray(form) && form.length === 3) {
    const [dtype, shape, text] = form as unknown[];
    if (typeof dtype === "string" && KINDS.has(dtype) && Array.isArray(shape) && typeof text === "string") {
      return arrive(dtype as DType, shape as number[], Math.floor((text.length * 3) / 4), () => b64urlDecode(text));
    }
  }
  throw new DecodeError("$array: expected [dtype, [dimensions…], base64url of the items]");
}

/** The array whose items `take` gives; it is not called before their `size` is known to fit. */
function arrive(dtype: DType, shape: number[], size: number, take: () => Uint8Array): NdArray | TypedArray {
  const itemSize = KINDS.get(dtype)!.size;
  let count: number;
  try {
    count = countItems(dtype, shape);
  } catch (error) {
    throw new DecodeError(`array: ${(error as RangeError).message}`);
  }
  if (size !== count * itemSize) throw new DecodeError(`array: expected ${count * itemSize} bytes of items for ${dtype} [${shape.join()}], got ${size}`);
  let bytes = take();
  if (dtype === "b1" && !isBoolean(bytes)) throw new DecodeError("array: expected booleans to be bytes 0 and 1, got others");
  // A small array must not hold a large message in memory, and its neighbours there are nobody's business.
  if (bytes.byteOffset % itemSize !== 0 || bytes.byteLength * 2 < bytes.buffer.byteLength) bytes = bytes.slice();
  const data = new CONSTRUCTORS[dtype](bytes.buffer, bytes.byteOffset, count);
  return shape.length === 1 && BARE.has(dtype) ? data : new NdArray(dtype, shape, data);
}
