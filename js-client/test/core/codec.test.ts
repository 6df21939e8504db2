import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import { JsonCodec, MessagePackCodec } from "../../src/core/codec.js";
import { batch, errorResponse, type Message, notification, request, response } from "../../src/core/envelope.js";
import { DecodeError, EncodeError } from "../../src/errors.js";
import { MAX_BATCH, MAX_DEPTH, MAX_METHOD_LENGTH } from "../../src/limits.js";
import { bare, text, travelled, value } from "./support/arbitrary.js";
import { unhex } from "./support/bytes.js";

const json = new JsonCodec();
const msgpack = new MessagePackCodec();

const map = fc.dictionary(text, value, { maxKeys: 4 }).map((members) => bare(members) as Record<string, unknown>);
const params = fc.oneof(fc.array(value, { maxLength: 4 }), map);
const method = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((name) => [...name].length <= MAX_METHOD_LENGTH);
const id = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const data = fc.option(map, { nil: null });

const envelope: fc.Arbitrary<Message> = fc.oneof(
  fc.tuple(id, method, params, map).map((all) => request(...all)),
  fc.tuple(id, value).map((all) => response(...all)),
  fc.tuple(id, fc.integer(), text, data).map((all) => errorResponse(...all)),
  fc.tuple(method, params, map).map((all) => notification(...all)),
);

/** The envelope as it is read. */
function read(message: Message): Message {
  const copy = { ...message } as Record<string, unknown>;
  for (const member of ["params", "meta", "result", "data"]) {
    if (member in copy) copy[member] = travelled(copy[member]);
  }
  return copy as unknown as Message;
}

describe("envelopes", () => {
  it("come back as they were, in both encodings, alone and several", () => {
    fc.assert(
      fc.property(fc.array(envelope, { minLength: 1, maxLength: 4 }), (envelopes) => {
        const expected = envelopes.map(read);
        assert.deepStrictEqual(msgpack.decode(Buffer.concat(envelopes.map((one) => msgpack.encode(one)))), expected);
        assert.deepStrictEqual(envelopes.flatMap((one) => json.decode(json.encode(one))), expected);
        assert.deepStrictEqual(json.decode(json.encode(batch(envelopes))), [batch(expected)]);
      }),
      { numRuns: 300 },
    );
  });

  it("name the member and the place that can't travel", () => {
    const bad = { to: [() => 1] };
    for (const codec of [json, msgpack]) {
      assert.throws(() => codec.encode(request(1, "m", [bad])), { path: "params[0].to[0]" });
      assert.throws(() => codec.encode(notification("m", [], { bad })), { path: "meta.bad.to[0]" });
      assert.throws(() => codec.encode(response(1, bad)), { path: "result.to[0]" });
      assert.throws(() => codec.encode(errorResponse(1, 1, "m", { bad })), { path: "data.bad.to[0]" });
      assert.throws(() => codec.encode(notification("m\ud800")), { path: "method" });
    }
  });

  it("of a batch, and ids that are no unsigned integer, have no MessagePack", () => {
    assert.throws(() => msgpack.encode(batch([])), EncodeError);
    for (const wrong of ["1", null, -1, 1.5, 2 ** 53]) {
      assert.throws(() => msgpack.encode(response(wrong, 1)), EncodeError);
    }
  });

  it("of a result that is undefined say null", () => {
    assert.equal(json.encode(response(1, undefined)), '{"jsonrpc":"2.0","id":1,"result":null}');
    assert.deepEqual(msgpack.decode(msgpack.encode(response(1, undefined))), [response(1, null)]);
  });

  it("leave an empty meta away, and one whose members are all undefined", () => {
    for (const meta of [{}, { timeout: undefined }]) {
      assert.equal(json.encode(notification("m", [], meta)), '{"jsonrpc":"2.0","method":"m","params":[]}');
      assert.equal(msgpack.encode(notification("m", [], meta))[0], 0x93);
    }
  });

  it("with an error whose data is no map keep it as detail", () => {
    const [error] = json.decode('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m","data":"why"}}');
    assert.deepEqual(error, errorResponse(1, 1, "m", bare({ detail: "why" }) as Record<string, unknown>));
    const [other] = msgpack.decode(unhex("93020183a4636f646501a76d657373616765a16da46461746105"));
    assert.deepEqual(other, errorResponse(1, 1, "m", bare({ detail: 5 }) as Record<string, unknown>));
  });

  it("with an error for a request that could not be read have no id", () => {
    const [error] = msgpack.decode(unhex("9302c082a4636f646501a76d657373616765a16d"));
    assert.deepEqual(error, errorResponse(null, 1, "m"));
    assert.deepEqual(msgpack.decode(msgpack.encode(errorResponse(null, 1, "m"))), [errorResponse(null, 1, "m")]);
  });
});

it("a MessagePack message holds 4,096 envelopes, and no more", () => {
  const many = (count: number): Uint8Array => new Uint8Array(Buffer.concat(Array.from({ length: count }, () => unhex("930101c0"))));
  assert.equal(msgpack.decode(many(4096)).length, 4096);
  assert.throws(() => msgpack.decode(many(4097)), { code: -32600 });
});

describe("a JSON batch", () => {
  const batchOf = (size: number): string => `[${Array.from({ length: size }, () => '{"jsonrpc":"2.0","method":"m"}').join(",")}]`;

  it(`has at most ${MAX_BATCH} messages`, () => {
    const [most] = json.decode(batchOf(MAX_BATCH));
    assert.equal(most?.type === "Batch" ? most.items.length : 0, MAX_BATCH);
    const [more] = json.decode(batchOf(MAX_BATCH + 1));
    assert.deepEqual([more?.type, more?.type === "Malformed" && more.code], ["Malformed", -32600]);
  });

  it("keeps its good messages where others are malformed", () => {
    const [got] = json.decode('[1,{"jsonrpc":"2.0","id":7,"method":5},{"jsonrpc":"2.0","method":"m"},{"jsonrpc":"2.0","id":8,"result":1,"error":2}]');
    assert.ok(got?.type === "Batch");
    assert.deepEqual(
      got.items.map((item) => [item.type, item.type === "Malformed" ? [item.id, item.isAnswer] : null]),
      [
        ["Malformed", [null, false]],
        ["Malformed", [7, false]],
        ["Notification", null],
        ["Malformed", [8, true]],
      ],
    );
  });

  it("leaves each value its whole depth", () => {
    const deep = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    const message = (depth: number): string => `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","data":{"a":${deep(depth - 1)}}}}`;
    assert.doesNotThrow(() => json.decode(`[${message(MAX_DEPTH)}]`));
    assert.throws(() => json.decode(`[${message(MAX_DEPTH + 1)}]`), DecodeError);
    assert.throws(() => json.decode(`{"jsonrpc":"2.0","id":1,"method":"m","params":${deep(MAX_DEPTH + 1)}}`), DecodeError);
    assert.throws(() => json.decode(deep(100_000)), DecodeError);
  });
});
