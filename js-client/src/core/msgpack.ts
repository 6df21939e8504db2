/**
 * MessagePack to values and back, in the subset of protocol section 10.
 *
 * Not `@msgpack/msgpack`, against which the tests compare this file: it can't refuse a key that stands twice, text that is not UTF-8, or
 * depth; it makes maps with a prototype; and where it reads 64-bit integers exactly it writes those above 2^32 as floats.
 */

import { DecodeError } from "../errors.js";
import { MAX_DEPTH } from "../limits.js";
import { arrayFromExt, asArray, bytesOf, extHead, type NdArray } from "./arrays.js";
import {
  dateOf,
  entriesOf,
  intFromBytes,
  intToBytes,
  normalInt,
  refusal,
  refuseDepth,
  refuseLongInt,
  refuseSurrogates,
  refuseUnsound,
  streamOf,
  StreamRef,
  timestampOf,
  Unencodable,
  type Value,
  within,
} from "./values.js";
import { decodeVarint, encodeVarint } from "./varint.js";

const EXT_INT = 1;
const EXT_ARRAY = 2;
const EXT_STREAM = 3;
const EXT_TIME = -1;
const SHORT_TEXT = 64; // characters up to which a loop beats the call into the engine's encoder and decoder
const KEPT_BUFFER = 65536; // a buffer that grew beyond this is not kept for the next message
const TWO_32 = 0x1_0000_0000;

const encoder = new TextEncoder();
// A byte order mark is text like any other; without ignoreBOM the decoder would swallow it.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Writes values one behind the other; `take` gives the bytes and starts anew. Its methods throw `Unencodable`. */
export class Writer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #size = 0;

  /** What was written, in memory of its own. */
  take(): Uint8Array {
    // What is long is handed over with the buffer that it is in, which is not kept for the next message anyway.
    const out = this.#bytes.length > KEPT_BUFFER ? this.#bytes.subarray(0, this.#size) : this.#bytes.slice(0, this.#size);
    this.clear();
    return out;
  }

  /** Forgets what was written. */
  clear(): void {
    this.#size = 0;
    if (this.#bytes.length > KEPT_BUFFER) this.#allocate(1024);
  }

  /** Any value; `depth` says inside how many containers. */
  value(value: unknown, depth = 0): void {
    switch (typeof value) {
      case "string":
        return this.text(value);
      case "number":
        return Number.isSafeInteger(value) && !Object.is(value, -0) ? this.integer(value) : this.#float(value);
      case "boolean":
        return this.#byte(value ? 0xc3 : 0xc2);
      case "bigint":
        return this.#bigint(value);
      case "object":
        return value === null ? this.#byte(0xc0) : this.#object(value, depth);
      default:
        throw refusal(value);
    }
  }

  /** The header of an array of `length` items, which the caller writes next. */
  arrayHeader(length: number): void {
    this.#header(length, 0x90, 16, 0, 0xdc);
  }

  /** The header of a map of `length` entries. */
  mapHeader(length: number): void {
    this.#header(length, 0x80, 16, 0, 0xde);
  }

  /** An integer within ±(2^53-1), in its shortest form. */
  integer(value: number): void {
    if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value < 0x100) this.#tagged8(0xcc, value);
      else if (value < 0x10000) this.#tagged16(0xcd, value);
      else if (value < TWO_32) this.#tagged32(0xce, value);
      else this.#tagged64(0xcf, value);
    } else if (value >= -0x20) this.#byte(value & 0xff);
    else if (value >= -0x80) this.#tagged8(0xd0, value & 0xff);
    else if (value >= -0x8000) this.#tagged16(0xd1, value & 0xffff);
    else if (value >= -0x8000_0000) this.#tagged32(0xd2, value >>> 0);
    else this.#tagged64(0xd3, value);
  }

  /** Text, which must be well-formed. */
  text(text: string): void {
    const { length } = text;
    if (length <= SHORT_TEXT) {
      // Where every character takes one byte, the header is known before the text is written.
      const start = this.#size;
      this.#header(length, 0xa0, 32, 0xd9, 0xda);
      this.#reserve(length);
      const bytes = this.#bytes;
      let at = this.#size;
      let i = 0;
      for (; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code >= 0x80) break;
        bytes[at++] = code;
      }
      if (i === length) {
        this.#size = at;
        return;
      }
      this.#size = start;
    }
    refuseSurrogates(text);
    const bytes = encoder.encode(text);
    this.#header(bytes.length, 0xa0, 32, 0xd9, 0xda);
    this.#raw(bytes);
  }

  #bigint(value: bigint): void {
    if (value >= -0x8000_0000_0000_0000n && value <= 0xffff_ffff_ffff_ffffn) {
      const small = normalInt(value);
      if (typeof small === "number") return this.integer(small);
      this.#reserve(9);
      this.#bytes[this.#size] = value < 0n ? 0xd3 : 0xcf;
      this.#view.setBigUint64(this.#size + 1, BigInt.asUintN(64, value));
      this.#size += 9;
      return;
    }
    refuseLongInt(value);
    this.#ext(EXT_INT, intToBytes(value));
  }

  #float(value: number): void {
    this.#reserve(9);
    this.#bytes[this.#size] = 0xcb;
    // Every NaN is written as the same bytes, whatever the engine has in it.
    this.#view.setFloat64(this.#size + 1, Number.isNaN(value) ? NaN : value);
    this.#size += 9;
  }

  #object(value: object, depth: number): void {
    if (Array.isArray(value)) this.#list(value, depth);
    else if (value instanceof Uint8Array) this.#blob(value);
    else if (value instanceof Date) this.#date(value);
    else if (value instanceof ArrayBuffer) this.#blob(new Uint8Array(value));
    else if (value instanceof StreamRef) this.#ext(EXT_STREAM, encodeVarint(value.id));
    else {
      const array = asArray(value);
      if (array === undefined) this.#map(value, depth);
      else this.#array(array);
    }
  }

  #array(array: NdArray): void {
    refuseUnsound(array);
    const [head, items] = [extHead(array), bytesOf(array)];
    this.#ext(EXT_ARRAY, head, items);
  }

  #list(list: readonly unknown[], depth: number): void {
    refuseDepth(depth);
    const { length } = list;
    this.arrayHeader(length);
    let i = 0;
    try {
      for (; i < length; i++) this.value(list[i], depth + 1);
    } catch (error) {
      throw within(error, i);
    }
  }

  #map(map: object, depth: number): void {
    const [keys, values] = entriesOf(map);
    refuseDepth(depth);
    this.mapHeader(keys.length);
    let i = 0;
    try {
      for (; i < keys.length; i++) {
        this.text(keys[i]!);
        this.value(values[i], depth + 1);
      }
    } catch (error) {
      throw within(error, keys[i]!);
    }
  }

  #blob(bytes: Uint8Array): void {
    this.#header(bytes.length, 0, 0, 0xc4, 0xc5);
    this.#raw(bytes);
  }

  /** The timestamp extension, in the shortest of its three forms. */
  #date(date: Date): void {
    const { seconds, nanoseconds } = timestampOf(date);
    const isShort = seconds >= 0 && seconds < 4 * TWO_32;
    const bytes = new Uint8Array(!isShort ? 12 : nanoseconds === 0 && seconds < TWO_32 ? 4 : 8);
    const view = new DataView(bytes.buffer);
    if (bytes.length === 4) view.setUint32(0, seconds);
    else if (bytes.length === 8) {
      view.setUint32(0, nanoseconds * 4 + Math.floor(seconds / TWO_32));
      view.setUint32(4, seconds % TWO_32);
    } else {
      view.setUint32(0, nanoseconds);
      view.setBigInt64(4, BigInt(seconds));
    }
    this.#ext(EXT_TIME, bytes);
  }

  #ext(type: number, data: Uint8Array, more?: Uint8Array): void {
    const length = data.length + (more?.length ?? 0);
    if (length === 1 || length === 2 || length === 4 || length === 8 || length === 16) this.#byte(0xd4 + Math.log2(length));
    else this.#header(length, 0, 0, 0xc7, 0xc8);
    this.#byte(type & 0xff);
    this.#raw(data);
    if (more !== undefined) this.#raw(more);
  }

  /** A length in its shortest form: `fix` up to `fixLimit`, one byte behind `tag8` where there is such a tag, then two or four behind the next. */
  #header(length: number, fix: number, fixLimit: number, tag8: number, tag16: number): void {
    if (length < fixLimit) this.#byte(fix | length);
    else if (tag8 !== 0 && length < 0x100) this.#tagged8(tag8, length);
    else if (length < 0x10000) this.#tagged16(tag16, length);
    else if (length < TWO_32) this.#tagged32(tag16 + 1, length);
    else throw new Unencodable("expected fewer than 2^32 bytes or items");
  }

  #byte(value: number): void {
    if (this.#size >= this.#bytes.length) this.#reserve(1);
    this.#bytes[this.#size++] = value;
  }

  #tagged8(tag: number, value: number): void {
    this.#reserve(2);
    this.#bytes[this.#size] = tag;
    this.#bytes[this.#size + 1] = value;
    this.#size += 2;
  }

  #tagged16(tag: number, value: number): void {
    this.#reserve(3);
    this.#bytes[this.#size] = tag;
    this.#view.setUint16(this.#size + 1, value);
    this.#size += 3;
  }

  #tagged32(tag: number, value: number): void {
    this.#reserve(5);
    this.#bytes[this.#size] = tag;
    this.#view.setUint32(this.#size + 1, value);
    this.#size += 5;
  }

  #tagged64(tag: number, value: number): void {
    this.#reserve(9);
    this.#bytes[this.#size] = tag;
    this.#view.setInt32(this.#size + 1, Math.floor(value / TWO_32));
    this.#view.setUint32(this.#size + 5, value % TWO_32);
    this.#size += 9;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  #reserve(more: number): void {
    const need = this.#size + more;
    if (need > this.#bytes.length) {
      const old = this.#bytes;
      // Twice as much, so that many small writes cost no more than few; but behind something long there comes little.
      this.#allocate(more > KEPT_BUFFER ? need + 1024 : Math.max(need, old.length * 2));
      this.#bytes.set(old.subarray(0, this.#size));
    }
  }

  #allocate(size: number): void {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }
}

/** Reads values one behind the other. Its methods throw `DecodeError` for whatever is not one. Bytes are copied out of the input; a large array may stay in it. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor({ buffer, byteOffset, byteLength }: Uint8Array) {
    // Of the plain class, whatever came: `slice` copies there, but not in Node's Buffer.
    this.bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.#view = new DataView(buffer, byteOffset, byteLength);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  /** Whether all is read. */
  get isAtEnd(): boolean {
    return this.#at === this.bytes.length;
  }

  /** The length of the array that comes next, its items to be read by the caller; -1 where something else comes, and nothing is read. */
  arrayHeader(): number {
    const tag = this.bytes[this.#at];
    if (tag === undefined) throw cutShort();
    if ((tag & 0xf0) === 0x90) {
      this.#at++;
      return tag & 0x0f;
    }
    if (tag !== 0xdc && tag !== 0xdd) return -1;
    this.#at++;
    return this.#length(tag === 0xdc ? 2 : 4, 1);
  }

  /** An integer within ±(2^53-1); undefined where something else came, which is then read all the same. */
  integer(): number | undefined {
    const tag = this.bytes[this.#at];
    const value = this.value();
    // A float may hold an integral number, but it is no integer.
    return typeof value === "number" && tag !== 0xca && tag !== 0xcb ? value : undefined;
  }

  /** Any value; `depth` says inside how many containers. */
  value(depth = 0): Value {
    if (this.#at >= this.bytes.length) throw cutShort();
    const tag = this.bytes[this.#at++]!;
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.#list(tag & 0x0f, depth);
    if (tag < 0xc0) return this.#text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#blob(this.#length(1 << (tag - 0xc4), 1));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#ext(this.#length(1 << (tag - 0xc7), 1));
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#uint(1 << (tag - 0xcc));
      case 0xcf:
        return this.#int64(false);
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return this.#int64(true);
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#ext(1 << (tag - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#length(1 << (tag - 0xd9), 1));
      case 0xdc:
      case 0xdd:
        return this.#list(this.#length(tag === 0xdc ? 2 : 4, 1), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#length(tag === 0xde ? 2 : 4, 2), depth);
      default:
        throw new DecodeError(`MessagePack: expected a value, got the byte 0x${tag.toString(16)}`);
    }
  }

  #list(length: number, depth: number): Value[] {
    this.#refuse(length, depth);
    const list: Value[] = [];
    for (let i = 0; i < length; i++) list.push(this.value(depth + 1));
    return list;
  }

  #map(length: number, depth: number): { [key: string]: Value } {
    this.#refuse(length * 2, depth);
    const map = Object.create(null) as { [key: string]: Value };
    for (let i = 0; i < length; i++) {
      const key = this.#key();
      if (i > 0 && key in map) throw new DecodeError(`MessagePack: the key ${JSON.stringify(key.slice(0, 64))} stands twice in a map`);
      map[key] = this.value(depth + 1);
    }
    return map;
  }

  #key(): string {
    const tag = this.bytes[this.#at] ?? 0;
    if ((tag & 0xe0) !== 0xa0 && (tag < 0xd9 || tag > 0xdb)) {
      throw this.isAtEnd ? cutShort() : new DecodeError("MessagePack: expected text for the keys of a map");
    }
    return this.value() as string;
  }

  #text(length: number): string {
    const start = this.#skip(length);
    if (length <= SHORT_TEXT) {
      const { bytes } = this;
      let text = "";
      let i = 0;
      for (; i < length; i++) {
        const byte = bytes[start + i]!;
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (i === length) return text;
    }
    try {
      return decoder.decode(this.bytes.subarray(start, this.#at));
    } catch {
      throw new DecodeError("MessagePack: expected text in UTF-8");
    }
  }

  #blob(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.bytes.slice(start, this.#at);
  }

  #uint(size: number): number {
    const at = this.#skip(size);
    return size === 1 ? this.bytes[at]! : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #int64(isSigned: boolean): number | bigint {
    const at = this.#skip(8);
    const high = isSigned ? this.#view.getInt32(at) : this.#view.getUint32(at);
    const value = high * TWO_32 + this.#view.getUint32(at + 4);
    if (Number.isSafeInteger(value)) return value;
    return isSigned ? this.#view.getBigInt64(at) : this.#view.getBigUint64(at);
  }

  #ext(length: number): Value {
    const type = this.#view.getInt8(this.#skip(1));
    const start = this.#skip(length);
    if (type === EXT_INT) return intFromBytes(this.bytes.subarray(start, this.#at));
    if (type === EXT_ARRAY) return arrayFromExt(this.bytes.subarray(start, this.#at));
    if (type === EXT_STREAM) return streamFromBytes(this.bytes.subarray(start, this.#at));
    if (type !== EXT_TIME) throw new DecodeError(`MessagePack: expected extension ${EXT_INT}, ${EXT_ARRAY}, ${EXT_STREAM} or ${EXT_TIME}, got ${type}`);
    const view = this.#view;
    switch (length) {
      case 4:
        return dateOf({ seconds: view.getUint32(start), nanoseconds: 0 });
      case 8: {
        const high = view.getUint32(start);
        return dateOf({ seconds: (high & 3) * TWO_32 + view.getUint32(start + 4), nanoseconds: high >>> 2 });
      }
      case 12:
        return dateOf({ seconds: Number(view.getBigInt64(start + 4)), nanoseconds: view.getUint32(start) });
      default:
        throw new DecodeError(`MessagePack: expected a timestamp of 4, 8 or 12 bytes, got ${length}`);
    }
  }

  /** A length in `size` bytes of what takes at least `least` bytes each: what can't be there is refused before memory is set aside. */
  #length(size: number, least: number): number {
    const length = this.#uint(size);
    if (length * least > this.bytes.length - this.#at) throw cutShort();
    return length;
  }

  #refuse(least: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new DecodeError(`MessagePack: expected values at most ${MAX_DEPTH} deep`);
    if (least > this.bytes.length - this.#at) throw cutShort();
  }

  /** Where the next `size` bytes begin; they count as read. */
  #skip(size: number): number {
    const at = this.#at;
    if (size > this.bytes.length - at) throw cutShort();
    this.#at = at + size;
    return at;
  }
}

function cutShort(): DecodeError {
  return new DecodeError("MessagePack: expected more bytes, got the end");
}

function streamFromBytes(bytes: Uint8Array): StreamRef {
  const [id, end] = decodeVarint(bytes, 0, Number.MAX_SAFE_INTEGER);
  if (end !== bytes.length) throw new DecodeError("MessagePack: expected the id of a stream and nothing after it");
  return streamOf(id);
}
