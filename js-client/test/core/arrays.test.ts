import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import { type DType, DTYPES, NdArray, type TypedArray } from "../../src/core/arrays.js";
import { JsonCodec, MessagePackCodec } from "../../src/core/codec.js";
import { type Envelope, response } from "../../src/core/envelope.js";
import { DecodeError, EncodeError } from "../../src/errors.js";
import { MAX_DIMENSIONS } from "../../src/limits.js";
import { array, HOLDERS } from "./support/arbitrary.js";
import { hex, unhex } from "./support/bytes.js";

const json = new JsonCodec();
const msgpack = new MessagePackCodec();

function resultOf([envelope]: Envelope[]): any {
  assert.equal(envelope?.type, "Response");
  return envelope.result;
}

const vias = [
  (item: unknown): any => resultOf(json.decode(json.encode(response(1, item)))),
  (item: unknown): any => resultOf(msgpack.decode(msgpack.encode(response(1, item)))),
];

describe("arrays", () => {
  it("come back as they were, of every dtype and shape, wherever they stand", () => {
    fc.assert(
      fc.property(array, fc.constantFrom(0, 1, 2, 3), (item, before) => {
        for (const via of vias) assert.deepStrictEqual(via([new Uint8Array(before), item])[1], item);
      }),
      { numRuns: 1000 },
    );
  });

  it("of one dimension are typed arrays, except where those mean something else", () => {
    for (const dtype of DTYPES) {
      const item = new NdArray(dtype, [2], new HOLDERS[dtype](new ArrayBuffer(2 * Number(dtype[1]))));
      for (const via of vias) {
        const got = via(item);
        // Bytes are a Uint8Array; and a Uint16Array of halves would be taken for integers if it were sent back.
        const isBare = dtype !== "b1" && dtype !== "u1" && !(dtype === "f2" && HOLDERS.f2 === Uint16Array);
        assert.deepStrictEqual(got, isBare ? item.data : item);
        assert.equal(hex(msgpack.encode(response(1, got))), hex(msgpack.encode(response(1, item))));
      }
    }
  });

  it("leave bytes bytes, and take the pixels of a canvas", () => {
    for (const via of vias) {
      assert.deepStrictEqual(via(Uint8Array.of(1, 2)), Uint8Array.of(1, 2));
      assert.deepStrictEqual(via(Buffer.from([1, 2])), Uint8Array.of(1, 2));
      assert.deepStrictEqual(via(Uint8ClampedArray.of(1, 2)), new NdArray("u1", [2], Uint8Array.of(1, 2)));
      assert.deepStrictEqual(via(new NdArray("u1", [1, 2], Uint8ClampedArray.of(1, 2))), new NdArray("u1", [1, 2], Uint8Array.of(1, 2)));
    }
  });

  it("may be parts of larger memory", () => {
    const whole = Float64Array.of(1, 2, 3, 4);
    for (const via of vias) assert.deepStrictEqual(via(whole.subarray(1, 3)), Float64Array.of(2, 3));
  });

  it("take halves as bits where there is no better", () => {
    const bits = new NdArray("f2", [2], Uint16Array.of(0x3c00, 0xbe00));
    for (const via of vias) {
      const got = via(bits);
      const data: TypedArray = got instanceof NdArray ? got.data : got;
      assert.equal(hex(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), "003c00be");
    }
  });

  it("stay in the memory of their message when they are most of it", () => {
    const bytes = msgpack.encode(response(1, new NdArray("u1", [1000], new Uint8Array(1000).fill(7))));
    const message = new Uint8Array(bytes);
    assert.equal((resultOf(msgpack.decode(message)) as NdArray).data.buffer, message.buffer);
    const small = new Uint8Array(msgpack.encode(response(1, [new Uint8Array(5000), new NdArray("u1", [1], Uint8Array.of(7))])));
    const [, one] = resultOf(msgpack.decode(small)) as [unknown, NdArray];
    assert.equal(one.data.buffer.byteLength, 1);
  });

  it("are copied where their items would not be aligned", () => {
    const item = Float64Array.from({ length: 100 }, (_, i) => i);
    const bytes = msgpack.encode(response(1, item));
    for (let offset = 0; offset < 8; offset++) {
      const frame = new Uint8Array(offset + bytes.length);
      frame.set(bytes, offset);
      assert.deepStrictEqual(resultOf(msgpack.decode(frame.subarray(offset))), item);
    }
  });

  it("cut at every byte are refused", () => {
    const whole = msgpack.encode(response(1, new NdArray("i2", [2, 3], Int16Array.of(1, 2, 3, 4, 5, 6))));
    for (let size = 0; size < whole.length; size++) assert.throws(() => msgpack.decode(whole.subarray(0, size)), DecodeError);
  });

  it("of any content give an array or a DecodeError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (content) => {
        try {
          msgpack.decode(Buffer.concat([unhex("930101c7"), Uint8Array.of(content.length, 2), content]));
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("say how large they ought to be before they take memory for it", () => {
    const started = process.memoryUsage().arrayBuffers;
    assert.throws(() => msgpack.decode(unhex("930101c710020501808080808008000000000000000000")), DecodeError);
    assert.throws(() => json.decode('{"jsonrpc":"2.0","id":1,"result":{"$array":["f8",[1000000000],""]}}'), /expected 8000000000 bytes/);
    assert.ok(process.memoryUsage().arrayBuffers - started < 1e6);
  });

  it("of 20 MB take one copy to write", () => {
    const item = new NdArray("u1", [20_000_000], new Uint8Array(20_000_000));
    const bytes = msgpack.encode(response(1, item));
    assert.ok(bytes.buffer.byteLength < item.data.byteLength + 100_000);
    assert.deepEqual(msgpack.encode(response(1, 1)), unhex("93010101"));
  });
});

describe("an NdArray", () => {
  it("refuses parts that don't fit each other", () => {
    const cases: [dtype: unknown, shape: number[], data: unknown, message: RegExp][] = [
      ["f16", [1], new Float64Array(1), /one of b1 /],
      ["constructor", [1], new Float64Array(1), /one of b1 /],
      ["f8", [1], new Float32Array(1), /in a Float64Array, got Float32Array/],
      ["u1", [1], [1], /got object/],
      ["u1", [1], new DataView(new ArrayBuffer(1)), /got DataView/],
      ["u1", [2], new Uint8Array(1), /expected 2 items/],
      ["u1", [1, 0], new Uint8Array(1), /expected 0 items/],
      ["u1", [-1, -1], new Uint8Array(1), /0 to 2/],
      ["u1", [0.5, 2], new Uint8Array(1), /0 to 2/],
      ["u1", [2 ** 32, 2 ** 32], new Uint8Array(0), /2\^53-1 bytes/],
      ["u1", [0, 2 ** 52, 2], new Uint8Array(0), /2\^53-1 bytes/],
      ["u1", Array<number>(MAX_DIMENSIONS + 1).fill(1), new Uint8Array(1), /32 dimensions, got 33/],
    ];
    for (const [dtype, shape, data, message] of cases) {
      assert.throws(() => new NdArray(dtype as DType, shape, data as TypedArray), message);
    }
    assert.doesNotThrow(() => new NdArray("u1", Array<number>(MAX_DIMENSIONS).fill(1), new Uint8Array(1)));
  });

  it("keeps its shape", () => {
    const shape = [1, 2];
    const item = new NdArray("u1", shape, new Uint8Array(2));
    shape.push(3);
    assert.deepEqual(item.shape, [1, 2]);
    assert.throws(() => (item.shape as number[]).push(3), TypeError);
  });

  it("is refused with its place where a boolean is neither 0 nor 1", () => {
    const item = new NdArray("b1", [1], Uint8Array.of(2));
    for (const codec of [json, msgpack]) {
      assert.throws(() => codec.encode(response(1, [item])), (error) => error instanceof EncodeError && error.path === "result[0]");
    }
  });
});
