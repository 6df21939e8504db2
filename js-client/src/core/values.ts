/**
 * What may travel, and in which form (protocol section 10). `json.ts` and `msgpack.ts` write and read these forms.
 *
 * | JavaScript | travels as |
 * |---|---|
 * | `null`, `boolean`, `string` | itself; a string with a lone surrogate is refused |
 * | `number` | an integer when it is integral, within ±(2^53-1) and not -0; a float otherwise |
 * | `bigint` | an integer, at most `maxIntBits` long; it comes back as `number` where it is within ±(2^53-1) |
 * | `Uint8Array`, `ArrayBuffer` | bytes; they come back as `Uint8Array` |
 * | other typed arrays, `NdArray` | an array of numbers; one dimension of other numbers than bytes comes back as the typed array, all else as `NdArray` |
 * | `Date` | an instant, to the millisecond, of the years 1 to 9999 |
 * | `Array` | a list; `undefined` in it is refused, because a list with holes has no other meaning than its author's |
 * | plain object, `Map` with text keys | a map; members that are `undefined` are left out, as in JSON; it comes back as an object without prototype |
 *
 * Everything else (functions, symbols, instances of classes) is refused with its place in the message.
 */

import { DecodeError, EncodeError } from "../errors.js";
import { MAX_DEPTH, MAX_INT_BITS } from "../limits.js";
import { arrayFromForm, isSound, NdArray, type TypedArray } from "./arrays.js";
import { b64urlDecode } from "./identity.js";

/** A value as it comes from the wire. */
export type Value = null | boolean | number | bigint | string | Uint8Array | Date | TypedArray | NdArray | StreamRef | Value[] | { [key: string]: Value };

/** Where a stream stands in a value (protocol section 7.2): the id that its owner gave it, 1 to 2^53-1. */
export class StreamRef {
  constructor(readonly id: number) {
    if (!Number.isSafeInteger(id) || id < 1) throw new RangeError(`expected the id of a stream, 1 to 2^53-1, got ${id}`);
  }
}

/** An instant in the parts that MessagePack has: whole seconds since the epoch, and nanoseconds after them. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

const INT_TEXT = /^(?:0|-?[1-9][0-9]*)$/;
// Digits of the longest integer, and its sign: longer text is refused before anyone computes with it.
const MAX_INT_TEXT = Math.ceil(MAX_INT_BITS * Math.log10(2)) + 1;
const INT_LIMIT = 1n << BigInt(MAX_INT_BITS - 1);
const TIME_TEXT = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z$/;
const FIRST_SECOND = Date.UTC(2001, 0, 1) / 1000 - 730485 * 86400; // 0001-01-01; Date.UTC takes years below 100 for 19xx
const LAST_SECOND = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;
const SURROGATE = /\p{Surrogate}/u;

/** Thrown while a value is written; each container on the way out adds where it was. `asEncodeError` makes the public error of it. */
export class Unencodable {
  readonly path: (string | number)[] = [];

  constructor(readonly message: string) {}
}

/** `error`, thrown by the member `key`, on its way out. */
export function within(error: unknown, key: string | number): unknown {
  if (error instanceof Unencodable) error.path.push(key);
  return error;
}

/** The `EncodeError` of an `Unencodable`; every other error as it is (a getter of the user's may throw anything). */
export function asEncodeError(error: unknown): unknown {
  if (!(error instanceof Unencodable)) return error;
  let path = "";
  for (const key of error.path.reverse()) {
    if (typeof key === "number") path += `[${key}]`;
    else if (/^[A-Za-z_$][\w$]*$/.test(key)) path += path === "" ? key : `.${key}`;
    else path += `[${JSON.stringify(key.slice(0, 64))}]`;
  }
  return new EncodeError(error.message, path);
}

/** Whether every surrogate in `text` has its other half. */
export function isWellFormed(text: string): boolean {
  return !SURROGATE.test(text);
}

/** Refuses text that has no UTF-8. */
export function refuseSurrogates(text: string): void {
  if (!isWellFormed(text)) throw new Unencodable("expected well-formed text, got a lone surrogate");
}

/** Refuses a container inside `depth` others where that is one too many. Values that contain themselves end here too. */
export function refuseDepth(depth: number): void {
  if (depth >= MAX_DEPTH) throw new Unencodable(`expected values at most ${MAX_DEPTH} deep, got a deeper one or one that contains itself`);
}

/** Whether `value` nests more than `limit` deep; a scalar has depth 0. */
export function isDeeper(value: unknown, limit: number): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  if (value instanceof Date || value instanceof NdArray || value instanceof StreamRef) return false;
  return limit === 0 || Object.values(value).some((item) => isDeeper(item, limit - 1));
}

/** The keys and values of a map, without those members that are `undefined`. Refuses what is no map. */
export function entriesOf(value: object): [string[], unknown[]] {
  const keys: string[] = [];
  const values: unknown[] = [];
  if (value instanceof Map) {
    for (const [key, item] of value as Map<unknown, unknown>) {
      if (typeof key !== "string") throw new Unencodable(`expected a Map with text keys, got a key of type ${typeof key}`);
      if (item !== undefined) {
        keys.push(key);
        values.push(item);
      }
    }
    return [keys, values];
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  // Objects of another realm (a frame, a vm) have another Object.prototype; it too is the end of its chain.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw refusal(value);
  for (const key of Object.keys(value)) {
    const item = (value as { [key: string]: unknown })[key];
    if (item !== undefined) {
      keys.push(key);
      values.push(item);
    }
  }
  return [keys, values];
}

/** What to throw for a value that has no form on the wire. */
export function refusal(value: unknown): Unencodable {
  if (value === undefined) return new Unencodable("expected a value, got undefined; use null");
  if (typeof value !== "object" || value === null) return new Unencodable(`expected a value that can travel, got a ${typeof value}`);
  if (ArrayBuffer.isView(value)) {
    return new Unencodable(`expected bytes as Uint8Array, got ${nameOf(value)}; wrap it: new Uint8Array(view.buffer, view.byteOffset, view.byteLength)`);
  }
  return new Unencodable(`expected a plain object, got an instance of ${nameOf(value)}; copy what should travel: {...value}`);
}

function nameOf(value: object): string {
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === "string" && name !== "" ? name.slice(0, 64) : "a class";
}

/** Refuses a bigint that is too long. */
export function refuseLongInt(value: bigint): void {
  if (value >= INT_LIMIT || value < -INT_LIMIT) throw new Unencodable(`expected an integer of at most ${MAX_INT_BITS} bits`);
}

/** Refuses an array whose items are not what its dtype says. */
export function refuseUnsound(array: NdArray): void {
  if (!isSound(array)) throw new Unencodable("expected the booleans of an array to be bytes 0 and 1, got others");
}

/** A bigint as JavaScript has it: a number where that is exact. */
export function normalInt(value: bigint): number | bigint {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

/** Reads what stands in `{"$int": …}`. */
export function parseInt$(text: unknown): number | bigint {
  if (typeof text === "string" && text.length <= MAX_INT_TEXT && INT_TEXT.test(text)) {
    const value = BigInt(text);
    if (value < INT_LIMIT && value >= -INT_LIMIT) return normalInt(value);
  }
  throw new DecodeError(`$int: expected an integer of at most ${MAX_INT_BITS} bits as decimal text`);
}

/** The shortest two's complement of `value`, big-endian. */
export function intToBytes(value: bigint): Uint8Array {
  const magnitude = value < 0n ? -value - 1n : value;
  const hexLength = magnitude.toString(16).length;
  // One bit more than the magnitude, for the sign.
  const size = Math.ceil((hexLength * 4 - (4 - bitLength(magnitude.toString(16)[0]!)) + 1) / 8);
  const hex = BigInt.asUintN(size * 8, value).toString(16).padStart(size * 2, "0");
  return Uint8Array.from({ length: size }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

function bitLength(hexDigit: string): number {
  return 32 - Math.clz32(Number.parseInt(hexDigit, 16));
}

/** Reads `intToBytes`; `DecodeError` for another length than the shortest. */
export function intFromBytes(bytes: Uint8Array): number | bigint {
  if (bytes.length === 0 || bytes.length > MAX_INT_BITS / 8) {
    throw new DecodeError(`integer: expected 1 to ${MAX_INT_BITS / 8} bytes, got ${bytes.length}`);
  }
  const [first, second] = [bytes[0]!, bytes[1] ?? 0];
  if (bytes.length > 1 && ((first === 0 && second < 128) || (first === 255 && second >= 128))) {
    throw new DecodeError("integer: expected the shortest two's complement");
  }
  let hex = "0x";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return normalInt(BigInt.asIntN(bytes.length * 8, BigInt(hex)));
}

/** The instant of a `Date`; refuses invalid ones and years that RFC 3339 has no form for. */
export function timestampOf(date: Date): Timestamp {
  const time = date.getTime();
  const seconds = Math.floor(time / 1000);
  if (!(seconds >= FIRST_SECOND && seconds <= LAST_SECOND)) {
    throw new Unencodable(Number.isNaN(time) ? "expected a valid Date" : "expected a Date of the years 1 to 9999");
  }
  return { seconds, nanoseconds: (time - seconds * 1000) * 1_000_000 };
}

/** The `Date` of an instant, what is below a millisecond cut off. */
export function dateOf({ seconds, nanoseconds }: Timestamp): Date {
  if (!(seconds >= FIRST_SECOND && seconds <= LAST_SECOND) || nanoseconds >= 1_000_000_000) {
    throw new DecodeError("instant: expected one of the years 1 to 9999, with less than a second of nanoseconds");
  }
  return new Date(seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
}

/** What stands in `{"$time": …}`. */
export function timeText(date: Date): string {
  timestampOf(date);
  return date.toISOString().replace(".000Z", "Z");
}

/** Reads what stands in `{"$time": …}`. */
export function parseTime(text: unknown): Date {
  const match = typeof text === "string" ? TIME_TEXT.exec(text) : null;
  if (match !== null) {
    const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [number, number, number, number, number, number];
    const date = new Date(0);
    date.setUTCFullYear(year, month - 1, day);
    date.setUTCHours(hour, minute, second, Number((match[7] ?? "").padEnd(3, "0").slice(0, 3)));
    // A Date rolls 30 February over to March, and 24:00 to the next day; what was written is then not what it holds.
    if (year > 0 && date.toISOString().slice(0, 19) === match[0].slice(0, 19)) return date;
  }
  throw new DecodeError(`$time: expected an instant such as 2026-11-22T19:00:00.250Z, got ${JSON.stringify(text)?.slice(0, 64)}`);
}

/** The stream of an id that came; `DecodeError` for what is none. */
export function streamOf(id: unknown): StreamRef {
  if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 1) throw new DecodeError("stream: expected an id from 1 to 2^53-1");
  return new StreamRef(id);
}

/** The value of the JSON object `{key: inner}`, `key` starting with `$`; undefined for one that is an escaped map. */
export function fromForm(key: string, inner: Value): Value | undefined {
  switch (key) {
    case "$int":
      return parseInt$(inner);
    case "$float":
      if (inner === "nan") return NaN;
      if (inner === "inf") return Infinity;
      if (inner === "-inf") return -Infinity;
      throw new DecodeError('$float: expected "nan", "inf" or "-inf"');
    case "$bytes":
      if (typeof inner !== "string") throw new DecodeError("$bytes: expected unpadded base64url");
      return b64urlDecode(inner);
    case "$time":
      return parseTime(inner);
    case "$array":
      return arrayFromForm(inner);
    case "$stream":
      return streamOf(inner);
    default:
      if (key.startsWith("$$")) return undefined;
      throw new DecodeError(`expected a known form or an escaped key, got ${JSON.stringify(key.slice(0, 64))}`);
  }
}
