import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";

import { NdArray } from "../../src/core/arrays.js";
import { arrayOf, arrayWords, firstItems, half, npyOf, pictureOf, pixelsOf, plotLines, summaryOf } from "../../page/array-kind.js";
import { inShort, shapeOf } from "../../page/result-kind.js";

const floats = (...items: number[]): NdArray => arrayOf(Float64Array.from(items))!;
const bytes = (shape: number[], items: number[]): NdArray => new NdArray("u1", shape, Uint8Array.from(items));

describe("an array on the page", () => {
  it("is told from bytes, lists and maps", () => {
    assert.equal(shapeOf(Float32Array.of(1)).type, "array");
    assert.equal(shapeOf(bytes([1], [1])).type, "array");
    assert.equal(shapeOf(Uint8Array.of(1)).type, "bytes");
    assert.equal(shapeOf([1]).type, "tree");
    assert.equal(arrayOf({ dtype: "u1" }), undefined);
    assert.equal(arrayOf(null), undefined);
  });

  it("has a name in one line, also inside other values", () => {
    assert.equal(arrayWords(bytes([2, 1000, 3], new Array<number>(6000).fill(0))), "uint8, 2 × 1,000 × 3");
    assert.equal(arrayWords(new NdArray("f8", [], Float64Array.of(1))), "float64");
    assert.equal(inShort({ a: Float32Array.of(1, 2) }), "{a: array (float32, 2)}");
    assert.equal(inShort([bytes([1, 1], [0])]), "[array (uint8, 1 × 1)]");
  });

  it("is summed up, with what is not finite left aside", () => {
    assert.deepEqual(summaryOf(floats(1, Number.NaN, 4, Infinity)), { least: 1, greatest: 4, mean: 2.5, finite: 2 });
    assert.deepEqual(summaryOf(arrayOf(BigInt64Array.of(-1n, 3n))!), { least: -1, greatest: 3, mean: 1, finite: 2 });
    assert.equal(summaryOf(floats(Number.NaN)), null);
    assert.equal(summaryOf(floats()), null);
  });

  it("shows its first items, each as what it is", () => {
    assert.equal(firstItems(floats(1, -0, 2.5), 2), "1, -0, …");
    assert.equal(firstItems(arrayOf(BigUint64Array.of(2n ** 64n - 1n))!, 3), "18446744073709551615");
    assert.equal(firstItems(new NdArray("b1", [2], Uint8Array.of(1, 0)), 3), "true, false");
    assert.equal(firstItems(new NdArray("f2", [2], Uint16Array.of(0x3e00, 0xc000)), 3), "1.5, -2");
  });

  it("reads halves as IEEE 754 has them", () => {
    const bits = [0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0xfc00, 0x7e00];
    assert.deepEqual(bits.map(half), [0, -0, 1, -2, 65504, 2 ** -24, 2 ** -14, Infinity, -Infinity, Number.NaN]);
  });
});

describe("an array as a picture", () => {
  it("has two dimensions, or a third of one, three or four channels", () => {
    assert.deepEqual(pictureOf(bytes([2, 3], [1, 2, 3, 4, 5, 6])), { width: 3, height: 2, channels: 1 });
    assert.deepEqual(pictureOf(bytes([2, 2, 3], new Array<number>(12).fill(0))), { width: 2, height: 2, channels: 3 });
    assert.equal(pictureOf(bytes([2, 3, 2], new Array<number>(12).fill(0))), null);
    assert.equal(pictureOf(bytes([6], [1, 2, 3, 4, 5, 6])), null);
    assert.equal(pictureOf(bytes([1, 6], [1, 2, 3, 4, 5, 6])), null);
    assert.equal(pictureOf(bytes([0, 3], [])), null);
    assert.equal(pictureOf(new NdArray("f4", [2, 2], new Float32Array(4))), null);
    assert.equal(pictureOf(bytes([2, 20_000], new Array<number>(40_000).fill(0))), null);
  });

  it("has the pixels that a canvas takes", () => {
    const drawn = (array: NdArray): number[] => [...pixelsOf(array, pictureOf(array)!)].slice(0, 8);
    assert.deepEqual(drawn(bytes([2, 2], [7, 8, 0, 0])), [7, 7, 7, 255, 8, 8, 8, 255]);
    assert.deepEqual(drawn(bytes([2, 2, 3], [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0])), [1, 2, 3, 255, 4, 5, 6, 255]);
    assert.deepEqual(drawn(bytes([2, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0])), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual(drawn(new NdArray("b1", [2, 2], Uint8Array.of(1, 0, 0, 0))), [255, 255, 255, 255, 0, 0, 0, 255]);
  });
});

describe("an array as a line", () => {
  const lines = (array: NdArray, width: number): string[] => plotLines(array, summaryOf(array)!, width, 10);

  it("goes from edge to edge, the greatest at the top", () => {
    assert.deepEqual(lines(floats(0, 10, 5), 100), ["0.0,10.0 50.0,0.0 100.0,5.0"]);
    assert.deepEqual(lines(floats(3, 3), 100), ["0.0,5.0 100.0,5.0"]);
    assert.deepEqual(lines(arrayOf(BigInt64Array.of(0n, 1n))!, 10), ["0.0,10.0 10.0,0.0"]);
  });

  it("is broken where there is no number", () => {
    assert.deepEqual(lines(floats(0, Number.NaN, 1, 1), 90), ["0.0,10.0", "60.0,0.0 90.0,0.0"]);
  });

  it("loses no peak, however many items share a column", () => {
    const items = new Float64Array(1_000_000);
    items[500_001] = 9;
    const [points = ""] = lines(arrayOf(items)!, 100);
    assert.ok(points.split(" ").length <= 200);
    assert.ok(points.includes(",0.0"), "the peak is drawn");
  });
});

it("an array is saved as a file that numpy reads", () => {
  const array = new NdArray("i2", [2, 3], Int16Array.of(0, 1, 2, 3, 4, -5));
  for (const one of [array, floats(1), new NdArray("u1", [], Uint8Array.of(9))]) {
    const file = npyOf(one);
    assert.equal((file.length - one.data.byteLength) % 64, 0);
  }
  const program = "import io, sys, numpy; a = numpy.load(io.BytesIO(sys.stdin.buffer.read())); print(a.dtype, a.tolist())";
  const python = new URL("../../../.venv/bin/python", import.meta.url);
  const said = spawnSync(python.pathname, ["-c", program], { input: npyOf(array) });
  assert.equal(said.error, undefined, "this needs the Python that `make setup` puts beside it");
  assert.equal(said.stdout.toString().trim(), "int16 [[0, 1, 2], [3, 4, -5]]", said.stderr.toString());
});
