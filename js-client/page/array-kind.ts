/** What an array of numbers holds, in words, as a picture, as a line, as a file: pure, no DOM. */

import { type DType, NdArray, asArray, bytesOf } from "../src/core/arrays.js";

/** A picture: one byte a pixel and channel; 1 channel is grey, 3 are red, green and blue, 4 have the opacity too. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3 | 4;
}

/** What is told of the items: those that are finite, of all. */
export interface Summary {
  readonly least: number;
  readonly greatest: number;
  readonly mean: number;
  readonly finite: number;
}

const MAX_PIXELS = 32_000_000;
const MAX_SIDE = 16_384;
const WORDS: Record<DType, string> = {
  b1: "bool",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  f2: "float16",
  f4: "float32",
  f8: "float64",
};

/** The array that `value` is; undefined for all else, bytes among it. */
export function arrayOf(value: unknown): NdArray | undefined {
  return typeof value === "object" && value !== null ? asArray(value) : undefined;
}

/** Its type and size: `float64, 2 × 3`. */
export function arrayWords({ dtype, shape }: NdArray): string {
  const size = shape.map((length) => length.toLocaleString("en")).join(" × ");
  return size === "" ? WORDS[dtype] : `${WORDS[dtype]}, ${size}`;
}

/** A function that gives the items as numbers; those beyond 2^53 lose their last digits. */
export function reader(array: NdArray): (index: number) => number {
  const { data, dtype } = array;
  if (dtype === "f2" && data instanceof Uint16Array) {
    return (index) => half(data[index] ?? 0);
  }
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? (index) => Number(data[index])
    : (index) => data[index] ?? 0;
}

/** The number whose bits as a 16-bit float (IEEE 754) are `bits`. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) {
    return fraction === 0 ? sign * Infinity : Number.NaN;
  }
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** The summary of the items; null where none is finite. */
export function summaryOf(array: NdArray): Summary | null {
  const at = reader(array);
  let [least, greatest, sum, finite] = [Infinity, -Infinity, 0, 0];
  for (let index = 0; index < array.data.length; index++) {
    const value = at(index);
    if (Number.isFinite(value)) {
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
      sum += value;
      finite += 1;
    }
  }
  return finite === 0 ? null : { least, greatest, mean: sum / finite, finite };
}

/** How to draw the array as a picture; null where it doesn't look like one. */
export function pictureOf({ dtype, shape }: NdArray): Picture | null {
  const [height = 0, width = 0, channels = 1] = shape;
  const fits = width > 1 && height > 1 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS;
  if ((dtype !== "u1" && dtype !== "b1") || (shape.length !== 2 && shape.length !== 3) || !fits) {
    return null;
  }
  return channels === 1 || channels === 3 || channels === 4 ? { width, height, channels } : null;
}

/** The pixels of a picture, as a canvas takes them: red, green, blue, opacity. */
export function pixelsOf(array: NdArray, { width, height, channels }: Picture): Uint8ClampedArray<ArrayBuffer> {
  const bytes = bytesOf(array);
  const pixels = new Uint8ClampedArray(width * height * 4);
  const scale = array.dtype === "b1" ? 255 : 1;
  for (let from = 0, to = 0; from < bytes.length; from += channels, to += 4) {
    const first = (bytes[from] ?? 0) * scale;
    pixels[to] = first;
    pixels[to + 1] = channels === 1 ? first : (bytes[from + 1] ?? 0) * scale;
    pixels[to + 2] = channels === 1 ? first : (bytes[from + 2] ?? 0) * scale;
    pixels[to + 3] = channels === 4 ? (bytes[from + 3] ?? 0) * scale : 255;
  }
  return pixels;
}

/**
 * The items as lines in a box of `width` times `height`, one for each run of finite items: the points of SVG polylines. Where there are more
 * items than columns each column shows its least and its greatest, so that no peak is lost.
 */
export function plotLines(array: NdArray, { least, greatest }: Summary, width: number, height: number): string[] {
  const at = reader(array);
  const { length } = array.data;
  const span = greatest - least || 1;
  const y = (value: number): string => (greatest === least ? height / 2 : height - ((value - least) / span) * height).toFixed(1);
  const columns = Math.min(length, width);
  const lines: string[] = [];
  let line: string[] = [];
  for (let column = 0; column < columns; column++) {
    const end = Math.ceil(((column + 1) * length) / columns);
    let [low, high] = [Infinity, -Infinity];
    for (let index = Math.floor((column * length) / columns); index < end; index++) {
      const value = at(index);
      if (Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (high < low) {
      lines.push(line.join(" "));
      line = [];
      continue;
    }
    const x = (columns === 1 ? width / 2 : (column * width) / (columns - 1)).toFixed(1);
    line.push(`${x},${y(low)}`);
    if (high !== low) {
      line.push(`${x},${y(high)}`);
    }
  }
  lines.push(line.join(" "));
  return lines.filter((points) => points !== "");
}

/** The first items as text, in the brackets of their dimensions' product: `0, 1, 2, …`. */
export function firstItems({ data, dtype }: NdArray, most: number): string {
  const items: string[] = [];
  for (let index = 0; index < Math.min(data.length, most); index++) {
    const item = data[index];
    const value = dtype === "f2" && data instanceof Uint16Array ? half(Number(item)) : item;
    items.push(dtype === "b1" ? String(value !== 0) : Object.is(value, -0) ? "-0" : String(value));
  }
  return items.join(", ") + (data.length > most ? ", …" : "");
}

/** The array as a file of numpy's, which `numpy.load` reads (NEP 1, version 1.0). */
export function npyOf(array: NdArray): Uint8Array {
  const { dtype, shape } = array;
  const order = dtype[1] === "1" ? "|" : "<";
  const tuple = shape.length === 1 ? `${String(shape[0])},` : shape.join(", ");
  const header = `{'descr': '${order}${dtype}', 'fortran_order': False, 'shape': (${tuple}), }`;
  // Magic, version and length take 10 bytes; the items begin at a multiple of 64.
  const size = Math.ceil((10 + header.length + 1) / 64) * 64 - 10;
  const head = new TextEncoder().encode(`\u0000NUMPY\u0001\u0000\u0000\u0000${header.padEnd(size - 1)}\n`);
  head[0] = 0x93;
  head[8] = size & 255;
  head[9] = size >> 8;
  const items = bytesOf(array);
  const file = new Uint8Array(head.length + items.length);
  file.set(head);
  file.set(items, head.length);
  return file;
}
