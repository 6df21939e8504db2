/** Unsigned LEB128 in its shortest form: transfer ids, stream ids, dimensions of arrays (protocol sections 4 and 10). */

import { DecodeError } from "../errors.js";

/** The bytes of `value`, an integer from 0 to 2^53-1. */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  // Arithmetic, not shifts: those are of 32 bits with a sign.
  while (value > 0x7f) {
    bytes.push((value % 128) | 0x80);
    value = Math.floor(value / 128);
  }
  bytes.push(value);
  return Uint8Array.from(bytes);
}

/** The value that begins at `start`, and where the rest begins. `DecodeError` for a long form, an unfinished one, and above `highest`. */
export function decodeVarint(data: Uint8Array, start: number, highest: number): [value: number, rest: number] {
  const most = Math.ceil(Math.log2(highest + 1) / 7);
  let value = 0;
  for (let i = 0; i < most; i++) {
    const byte = data[start + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if ((byte & 0x80) === 0) {
      if ((byte === 0 && i > 0) || value > highest) throw new DecodeError(`expected a varint in its shortest form, at most ${highest}`);
      return [value, start + i + 1];
    }
  }
  throw new DecodeError(`expected a varint of at most ${most} bytes, got one that does not end`);
}
