import assert from "node:assert/strict";
import { describe, it } from "node:test";

import * as codes from "../../src/codes.js";
import { type EncodedItem, IncomingStream, ITEM_OVERHEAD, OutgoingStream } from "../../src/core/flow.js";
import { JsonItems, MessagePackItems } from "../../src/core/items.js";
import { MessagePackCodec, JsonCodec } from "../../src/core/codec.js";
import { putStreams, streamsIn } from "../../src/core/stream-values.js";
import { StreamRef } from "../../src/core/values.js";
import { EncodeError, ProtocolError } from "../../src/errors.js";
import { MAX_DEPTH } from "../../src/limits.js";

const item = (size: number, streams: readonly number[] = []): EncodedItem => ({ data: new Uint8Array(size), size, streams });

function outgoing(credit: number): OutgoingStream {
  const stream = new OutgoingStream(1, credit);
  stream.isCarried = true;
  return stream;
}

describe("what an owner may send", () => {
  it("is nothing before the value that holds the stream is on its way", () => {
    const stream = new OutgoingStream(1, 100);
    stream.push(item(1));
    assert.deepEqual([stream.isReady, stream.take(100)], [false, []]);
    stream.isCarried = true;
    assert.deepEqual([stream.isReady, stream.take(100).length], [true, 1]);
  });

  it("is whatever fits a message, while there is credit, which the last one may pass", () => {
    const stream = outgoing(10);
    for (let n = 0; n < 4; n++) stream.push(item(8));
    assert.equal(stream.queuedBytes, 4 * (8 + ITEM_OVERHEAD));
    assert.equal(stream.take(20).length, 2);
    stream.spend(30);
    assert.deepEqual([stream.credit, stream.isReady, stream.take(20).length], [-20, false, 0]);
    stream.grant(20);
    assert.equal(stream.isReady, false, "zero is not above zero");
    stream.grant(1);
    assert.equal(stream.take(1).length, 1, "one at least");
    assert.equal(stream.queuedBytes, 8 + ITEM_OVERHEAD);
  });

  it("is the end, credit or not, behind all items", () => {
    const stream = outgoing(1);
    stream.push(item(1));
    stream.isEnding = true;
    stream.take(1);
    stream.spend(5);
    assert.equal(stream.isReady, true);
  });

  it("is bounded by what all languages can count", () => {
    const stream = outgoing(1);
    stream.grant(Number.MAX_SAFE_INTEGER - 1);
    assert.throws(() => stream.grant(1), ProtocolError);
  });

  it("names the streams in what it drops", () => {
    const stream = outgoing(1000);
    stream.push(item(1, [5]));
    stream.push(item(1, [6, 7]));
    stream.take(1);
    assert.deepEqual([stream.drop(), stream.queuedBytes, stream.isReady], [[6, 7], 0, false]);
  });
});

describe("what a reader gives back", () => {
  it("goes in steps of half a window", () => {
    const stream = new IncomingStream(1, 100);
    stream.receive(60);
    assert.deepEqual([stream.take(49), stream.take(1), stream.take(10)], [0, 50, 0]);
  });

  it("is what it then takes: more breaks the protocol", () => {
    const stream = new IncomingStream(1, 100);
    stream.receive(100_000);
    assert.throws(() => stream.receive(1), (error: unknown) => error instanceof ProtocolError && error.code === codes.RESOURCE_EXHAUSTED);
    assert.equal(stream.take(100_000), 100_000);
    stream.receive(1);
  });
});

describe("items", () => {
  const values = [1, "é", [1, [2]], { a: null }, new Uint8Array([1]), new Date(0), 2n ** 70n];

  it("join to the very message that a codec would make", () => {
    for (const [items, codec] of [
      [new MessagePackItems(), new MessagePackCodec()],
      [new JsonItems(), new JsonCodec()],
    ] as const) {
      const encoded = values.map((value) => items.encode(value, []));
      const joined = items.join(300, encoded);
      const whole = codec.encode({ type: "Notification", method: "rpc.next", params: { stream: 300, items: values }, meta: {} });
      assert.deepEqual(joined, whole);
    }
  });

  it("that can't travel are refused, also for their depth in the message", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    for (const items of [new MessagePackItems(), new JsonItems()]) {
      assert.throws(() => items.encode({ a: [() => 1] }, []), (error: unknown) => error instanceof EncodeError && error.path === "a[0]");
      assert.throws(() => items.encode(nested(MAX_DEPTH - 1), []), EncodeError);
      assert.ok(items.encode(nested(MAX_DEPTH - 2), []).size > 0);
      assert.deepEqual(items.encode(undefined, []), items.encode(null, []));
    }
  });
});

it("streams are found in values, and replaced there", () => {
  const map = Object.assign(Object.create(null) as object, { a: new StreamRef(1), b: [2, new StreamRef(3)], c: new Uint8Array(4) });
  assert.deepEqual(streamsIn([map, null, "x", new StreamRef(9)]), [1, 3, 9]);
  assert.deepEqual(streamsIn(new StreamRef(2)), [2]);
  for (const without of [1, null, "x", [], [[1], new Date()]]) assert.equal(streamsIn(without).length, 0);
  assert.deepEqual({ ...(putStreams(map, (id) => `stream ${id}`) as object) }, { a: "stream 1", b: [2, "stream 3"], c: new Uint8Array(4) });
  assert.equal(putStreams(new StreamRef(2), (id) => id), 2);
});
