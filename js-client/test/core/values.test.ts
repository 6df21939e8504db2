import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { decode as decodeOther, encode as encodeOther } from "@msgpack/msgpack";
import fc from "fast-check";

import { NdArray } from "../../src/core/arrays.js";
import { JsonCodec, MessagePackCodec } from "../../src/core/codec.js";
import { type Envelope, response } from "../../src/core/envelope.js";
import { DecodeError, EncodeError } from "../../src/errors.js";
import { MAX_DEPTH, MAX_INT_BITS } from "../../src/limits.js";
import { bare, travelled, value } from "./support/arbitrary.js";
import { hex, unhex } from "./support/bytes.js";

const json = new JsonCodec();
const msgpack = new MessagePackCodec();

function resultOf(envelopes: Envelope[]): unknown {
  const [envelope] = envelopes;
  assert.equal(envelope?.type, "Response");
  return envelope.result;
}

const viaJson = (item: unknown): unknown => resultOf(json.decode(json.encode(response(1, item))));
const viaMessagePack = (item: unknown): unknown => resultOf(msgpack.decode(msgpack.encode(response(1, item))));
const fromJson = (text: string): unknown => resultOf(json.decode(`{"jsonrpc":"2.0","id":1,"result":${text}}`));
const fromMessagePack = (bytes: string): unknown => resultOf(msgpack.decode(unhex(`930101${bytes}`)));

const nested = (depth: number): unknown => {
  let item: unknown = 1;
  for (let i = 0; i < depth; i++) item = i % 2 === 0 ? [item] : { a: item };
  return item;
};

describe("values", () => {
  it("come back as they were, in both encodings", () => {
    fc.assert(
      fc.property(value, (item) => {
        const expected = travelled(item);
        assert.deepStrictEqual(viaJson(item), expected);
        assert.deepStrictEqual(viaMessagePack(item), expected);
      }),
      { numRuns: 1000 },
    );
  });

  it("have one encoding: what was read is written as the same bytes", () => {
    fc.assert(
      fc.property(value, (item) => {
        const bytes = msgpack.encode(response(1, item));
        assert.equal(hex(msgpack.encode(response(1, resultOf(msgpack.decode(bytes))))), hex(bytes));
        const text = json.encode(response(1, item));
        assert.equal(json.encode(response(1, resultOf(json.decode(text)))), text);
      }),
      { numRuns: 500 },
    );
  });

  it("keep numbers apart that are not the same", () => {
    for (const number of [0, -0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, 2 ** 60, 1e21, 1e300, 0.1, 5e-324, NaN, Infinity, -Infinity]) {
      assert.ok(Object.is(viaJson(number), number), `${number} in JSON`);
      assert.ok(Object.is(viaMessagePack(number), number), `${number} in MessagePack`);
    }
  });

  it("are numbers up to 2^53-1 and bigints beyond, however they were written", () => {
    for (const [integer, expected] of [
      [5n, 5],
      [9007199254740991n, 9007199254740991],
      [9007199254740992n, 9007199254740992n],
      [-9007199254740992n, -9007199254740992n],
    ]) {
      assert.strictEqual(viaJson(integer), expected);
      assert.strictEqual(viaMessagePack(integer), expected);
    }
    assert.strictEqual(fromJson('{"$int":"7"}'), 7);
  });

  it("may be of ordinary objects, maps, buffers and subclasses of Uint8Array", () => {
    const bytes = Uint8Array.of(1, 2, 3);
    for (const via of [viaJson, viaMessagePack]) {
      assert.deepEqual({ ...(via({ a: 1, gone: undefined }) as object) }, { a: 1 });
      assert.deepEqual({ ...(via(new Map([["a", 1]])) as object) }, { a: 1 });
      assert.deepStrictEqual(via(bytes.buffer), bytes);
      assert.deepStrictEqual(via(Buffer.from(bytes)), bytes);
      assert.deepStrictEqual(via(new Uint8Array(bytes.buffer, 1, 1)), Uint8Array.of(2));
      assert.strictEqual(via(undefined), null);
    }
  });

  it("hold instants to the millisecond", () => {
    assert.deepStrictEqual(fromJson('{"$time":"2026-11-22T19:00:00.123999Z"}'), new Date("2026-11-22T19:00:00.123Z"));
    assert.deepStrictEqual(fromJson('{"$time":"0001-01-01T00:00:00Z"}'), new Date("0001-01-01T00:00:00Z"));
    assert.deepStrictEqual(fromMessagePack("c70cff3b9ac9ffffffffffffffffff"), new Date(-1));
    for (const bad of ["0000-01-01T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T23:59:60Z", "2026-11-22t19:00:00Z", "2026-11-22T19:00:00.Z"]) {
      assert.throws(() => fromJson(`{"$time":"${bad}"}`), DecodeError, bad);
    }
  });

  it("are refused with their place where they can't travel", () => {
    class Point {}
    const loop: unknown[] = [];
    loop.push(loop);
    const cases: [item: unknown, path: string, message: RegExp][] = [
      [[1, undefined], "result[1]", /undefined; use null/],
      [{ when: [new Date(NaN)] }, "result.when[0]", /valid Date/],
      [{ when: new Date(-1e14) }, "result.when", /years 1 to 9999/],
      [{ "a b": { f: () => 1 } }, 'result["a b"].f', /a function/],
      [[Symbol("s")], "result[0]", /a symbol/],
      [{ text: "a\ud800" }, "result.text", /lone surrogate/],
      [{ "\udc00": 1 }, 'result["\\udc00"]', /lone surrogate/],
      [{ at: new Point() }, "result.at", /instance of Point/],
      [[new DataView(new ArrayBuffer(1))], "result[0]", /DataView/],
      [{ a: new NdArray("b1", [2], Uint8Array.of(1, 2)) }, "result.a", /bytes 0 and 1/],
      [[new Set([1])], "result[0]", /instance of Set/],
      [new Map([[1, 2]]), "result", /text keys/],
      [2n ** BigInt(MAX_INT_BITS - 1), "result", /4096 bits/],
      [-(2n ** BigInt(MAX_INT_BITS - 1)) - 1n, "result", /4096 bits/],
      ["x".repeat(100) + "\ud800", "result", /lone surrogate/],
      [nested(MAX_DEPTH + 1), "", /64 deep/],
      [loop, "", /64 deep or one that contains itself|contains itself/],
    ];
    for (const [item, path, message] of cases) {
      for (const codec of [json, msgpack]) {
        assert.throws(
          () => codec.encode(response(1, item)),
          (error) => error instanceof EncodeError && message.test(error.message) && (path === "" || error.path === path),
          `${path} ${String(message)}`,
        );
        assert.deepEqual(viaJson([1]), [1]);
        assert.deepEqual(viaMessagePack([1]), [1]);
      }
    }
  });

  it("nest maxDepth deep, and no deeper", () => {
    assert.deepEqual(JSON.stringify(viaJson(nested(MAX_DEPTH))), JSON.stringify(nested(MAX_DEPTH)));
    assert.deepEqual(JSON.stringify(viaMessagePack(nested(MAX_DEPTH))), JSON.stringify(nested(MAX_DEPTH)));
    const deep = JSON.stringify(nested(MAX_DEPTH + 1));
    assert.throws(() => fromJson(deep), DecodeError);
    // Bytes are an object in JSON, and no level of their own.
    const withBytes = `${"[".repeat(MAX_DEPTH)}{"$bytes":"AA"}${"]".repeat(MAX_DEPTH)}`;
    assert.doesNotThrow(() => fromJson(withBytes));
    assert.throws(() => fromJson(`[${withBytes}]`), DecodeError);
  });

  it("pass on what a getter throws", () => {
    const item = {
      get bad() {
        throw new RangeError("mine");
      },
    };
    assert.throws(() => viaJson(item), RangeError);
    assert.throws(() => viaMessagePack(item), RangeError);
  });

  it("may encode while they are encoded", () => {
    const item = {
      get inner() {
        return msgpack.encode(response(2, "x".repeat(50))).length;
      },
      after: 1,
    };
    assert.deepEqual({ ...(viaMessagePack(item) as object) }, { inner: 55, after: 1 });
  });
});

describe("JSON text", () => {
  const refused: Record<string, string> = {
    "a key that stands twice": '{"a":1,"a":1}',
    "a key that stands twice, once escaped": '{"a":1,"\\u0061":2}',
    "__proto__ twice": '{"__proto__":1,"__proto__":2}',
    "a long integer": "9007199254740992",
    "a long negative integer": "-9007199254740992",
    "an integer of 400 digits": "1".repeat(400),
    "a float beyond 64 bits": "1e400",
    "a minus alone": "-",
    "a fraction without digits": "1.",
    "a fraction without integer": ".5",
    "an exponent without digits": "1e",
    "an exponent with a sign only": "1e+",
    "a plus": "+1",
    "hexadecimal": "0x10",
    "undefined": "undefined",
    "a word cut short": "tru",
    "a bad escape": '"\\x41"',
    "a bad hexadecimal escape": '"\\u00g0"',
    "a short hexadecimal escape": '"\\u00',
    "an open list": "[1",
    "an open map": '{"a":1',
    "a map without colon": '{"a" 1}',
    "a map without comma": '{"a":1 "b":2}',
    "a map with a comma too many": '{"a":1,}',
    "a key without quotes": "{a:1}",
    "a list without comma": "[1 2]",
    "a no-break space": "\u00a01",
    "a vertical tab": "\v1",
    "an unescaped lone surrogate": '"\ud800"',
    "$int of -0": '{"$int":"-0"}',
    "$int with leading zeros": '{"$int":"007"}',
  };
  for (const [name, text] of Object.entries(refused)) {
    it(`with ${name} is refused`, () => {
      assert.throws(() => fromJson(text), DecodeError);
      assert.deepEqual(fromJson("[1]"), [1]);
    });
  }

  it("is read as JSON.parse reads it, where JSON.parse is strict enough", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        let got: unknown;
        try {
          got = fromJson(text);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
          assert.match(error.message, /twice|surrogate|2\^53|escaped key|\$/);
          return;
        }
        if (!text.includes("$")) assert.equal(JSON.stringify(got), JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 500 },
    );
  });

  it("of any kind gives a value or a DecodeError", () => {
    const bits = fc.constantFrom("{", "}", "[", "]", '"', ":", ",", "\\", "\\u", "d800", "-", "1", ".5", "e9", "null", "true", " ", '"$int"', '"a"');
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.array(bits, { maxLength: 30 }).map((all) => all.join(""))), (text) => {
        try {
          json.decode(text);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("MessagePack", () => {
  it("reads what @msgpack/msgpack writes, and writes what it reads", () => {
    const common = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger(),
        fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
        fc.string({ unit: "grapheme", maxLength: 400 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.date({ min: new Date(0), max: new Date("9999-01-01"), noInvalidDate: true }),
        fc.array(tie("value"), { maxLength: 20 }),
        fc.dictionary(fc.string({ unit: "grapheme" }).filter((key) => key !== "__proto__"), tie("value"), { noNullPrototype: true }).map(bare),
      ),
    })).value;
    fc.assert(
      fc.property(common, (item) => {
        const theirs = encodeOther([1, 1, item]);
        assert.deepEqual(resultOf(msgpack.decode(theirs)), item);
        const ours = msgpack.encode(response(1, item));
        assert.equal(hex(ours), hex(theirs));
        assert.equal(hex(encodeOther(decodeOther(ours))), hex(ours));
      }),
      { numRuns: 1000 },
    );
  });

  it("of any kind gives envelopes or a DecodeError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom("", "930101", "940001a161", "9303a161"), (bytes, head) => {
        try {
          msgpack.decode(Buffer.concat([unhex(head), bytes]));
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("cut at every byte is refused, and whole it is read again", () => {
    const whole = msgpack.encode(response(1, { a: [1, -1, 300, 70000, 2n ** 60n, 2n ** 80n, 1.5], b: new Uint8Array(300), c: "é".repeat(200), d: new Date(1) }));
    for (let size = 0; size < whole.length; size++) {
      assert.throws(() => msgpack.decode(whole.subarray(0, size)), DecodeError);
    }
    assert.doesNotThrow(() => msgpack.decode(whole));
  });

  for (const [name, bytes] of Object.entries({
    "a key that stands twice": "82a16101a16102",
    "a key that stands twice, one with a longer header": "82a16101d9016102",
    "a list that says more than there is": "dcffff01",
    "a timestamp before the year 1": "c70cff00000000fffffff1886e08ff",
  })) {
    it(`with ${name} is refused`, () => {
      assert.throws(() => fromMessagePack(bytes), DecodeError);
    });
  }

  it("gives bytes in memory of their own", () => {
    const frame = msgpack.encode(response(1, Uint8Array.of(1, 2)));
    const bytes = resultOf(msgpack.decode(frame)) as Uint8Array;
    frame.fill(9);
    assert.deepEqual([...bytes], [1, 2]);
    assert.equal(bytes.buffer.byteLength, 2);
  });
});

describe("maps", () => {
  const keys = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "__defineGetter__", "valueOf", "isPrototypeOf", "__lookupSetter__", "then"];
  const payloads: string[] = keys.flatMap((key) => [
    `{"${key}":{"polluted":true}}`,
    `{"a":{"${key}":{"polluted":true}}}`,
    `[{"${key}":{"polluted":true},"b":1}]`,
    `{"${key}":{"${key}":{"polluted":true}}}`,
    `{"constructor":{"prototype":{"polluted":true}},"${key}.x":1}`,
    `{"\\u005f_proto__":{"polluted":true},"x${key}":null}`,
  ]);

  it(`can't reach Object.prototype (${payloads.length} payloads, both encodings)`, () => {
    const before = Object.getOwnPropertyNames(Object.prototype).sort();
    assert.equal(payloads.length, 60);
    for (const payload of payloads) {
      const item = fromJson(payload);
      for (const got of [item, viaMessagePack(item), viaJson(item)]) {
        assert.equal(JSON.stringify(got), JSON.stringify(JSON.parse(payload)));
        assertBare(got);
      }
      assert.equal(({} as { polluted?: unknown }).polluted, undefined);
      assert.deepEqual(Object.getOwnPropertyNames(Object.prototype).sort(), before);
    }
  });

  function assertBare(item: unknown): void {
    if (typeof item !== "object" || item === null) return;
    if (!Array.isArray(item)) assert.equal(Object.getPrototypeOf(item), null);
    for (const key of Object.keys(item)) {
      assert.ok(Object.hasOwn(item, key));
      assertBare((item as Record<string, unknown>)[key]);
    }
  }
});
