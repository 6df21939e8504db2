import assert from "node:assert/strict";
import { describe, it } from "node:test";

import * as codes from "../../src/codes.js";
import { JsonCodec, MessagePackCodec } from "../../src/core/codec.js";
import { type Message, notification, request, response } from "../../src/core/envelope.js";
import type { SessionEvent } from "../../src/core/events.js";
import { makeHello } from "../../src/core/handshake.js";
import type { Session, SessionConfig } from "../../src/core/session.js";
import { StreamRef } from "../../src/core/values.js";
import { EncodeError, RemoteApplicationError, ResourceExhausted, StreamBroken, TooLarge } from "../../src/errors.js";
import * as limits from "../../src/limits.js";
import { type End, OTHER_ID, readyPair, readySession } from "./support/sessions.js";

const codec = new MessagePackCodec();
const json = new JsonCodec();

/** A session whose other side, which the test plays, knows streams. */
function ready(config: Partial<SessionConfig> = {}, theirs: { streamWindow?: number; maxMessage?: number; encodings?: Set<string> } = {}): Session {
  const hello = makeHello({ key: OTHER_ID, nonce: new Uint8Array(32).fill(2), name: "other", features: new Set(["streams", "progress"]), ...theirs });
  return readySession({ config, theirs: hello });
}

function frame(...messages: Message[]): Uint8Array {
  return new Uint8Array(Buffer.concat([Uint8Array.of(0), ...messages.map((message) => codec.encode(message))]));
}

/** What the session sends now, in short: methods with their params. */
function sent(session: Session, budget = 1_000_000): unknown[] {
  return session.dataToSend(budget).flatMap((data) => {
    const messages = typeof data === "string" ? json.decode(data) : codec.decode((data as Uint8Array).subarray(1));
    return messages.map((message) => ("method" in message ? [message.method, plain(message.params)] : message.type));
  });
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof StreamRef) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

const types = (events: SessionEvent[]): string[] => events.map(({ type }) => type);

/** A stream of `from`, in a notification that `to` has got. */
function stream(from: End, run: (now?: number) => void): number {
  const id = from.session.openStream();
  from.session.sendNotification("take", [new StreamRef(id)], undefined, [id]);
  run();
  return id;
}

describe("a stream", () => {
  it("goes item by item, in order, to its end, in both encodings", () => {
    for (const encodings of [new Set(["msgpack", "json"]), new Set(["json"])]) {
      const { a, b, run } = readyPair({ a: { encodings } });
      const id = stream(a, run);
      assert.deepEqual(b.take("NotificationReceived").map(({ streams }) => streams), [[id]]);
      assert.deepEqual(types(a.take("StreamWritable")), ["StreamWritable"]);
      a.session.sendItems(id, [1, "two"]);
      a.session.sendItems(id, [{ three: 3 }]);
      a.session.endStream(id);
      run();
      assert.deepEqual(b.events.map((event) => [event.type, plain((event as { items?: unknown }).items)]), [
        ["StreamItems", [1, "two", { three: 3 }]],
        ["StreamEnded", undefined],
      ]);
      assert.deepEqual([a.session.openStreams, b.session.openStreams], [{ ours: 0, theirs: 0 }, { ours: 0, theirs: 0 }]);
      assert.equal(a.session.hasDataToSend || b.session.hasDataToSend, false);
    }
  });

  it("in a result goes the other way, with ids of its own", () => {
    const { a, b, run } = readyPair();
    const first = stream(b, run);
    const call = a.session.sendRequest("ticks", [], { now: 0 });
    run();
    const [served] = b.take("RequestReceived");
    const second = b.session.openStream();
    b.session.sendResponse(served!.id, { ticks: new StreamRef(second) }, [second]);
    b.session.sendItems(second, [1]);
    b.session.endStream(second, { code: codes.APPLICATION_ERROR, message: "out of ticks", data: { detail: 7 } });
    run();
    assert.deepEqual([first, second], [1, 2]);
    assert.deepEqual(a.take("ResponseReceived").map(({ id, streams }) => [id, streams]), [[call, [2]]]);
    assert.deepEqual(a.take("StreamItems").map(({ items }) => items), [[1]]);
    const [ended] = a.take("StreamEnded");
    assert.ok(ended!.error instanceof RemoteApplicationError);
    assert.deepEqual([ended!.error.message, ended!.error.detail], ["out of ticks", 7]);
  });

  it("that the reader stops is over at once on both sides; what crossed that is ignored", () => {
    const { a, b, run } = readyPair();
    const id = stream(a, run);
    a.session.sendItems(id, [1]);
    const crossing = a.session.dataToSend(10_000);
    b.session.stopStream(id);
    b.events.length = 0;
    for (const data of crossing) b.session.receiveData(data, 0);
    run();
    assert.deepEqual(types(b.events), []);
    assert.deepEqual(types(a.take("StreamStopped")), ["StreamStopped"]);
    a.session.sendItems(id, [2]);
    a.session.endStream(id);
    run();
    assert.deepEqual([types(b.events), a.session.openStreams.ours, a.session.isStreamFull(id)], [[], 0, true]);
    // And credit for a stream that has ended.
    b.session.creditStream(id, 1_000_000);
    run();
    assert.equal(a.session.state, "ready");
  });

  it("waits behind the message that holds it, however long that is", () => {
    const { a, b, run } = readyPair({ b: { maxFrame: 1000 } });
    const id = a.session.openStream();
    a.session.sendNotification("take", [new Uint8Array(50_000), new StreamRef(id)], undefined, [id]);
    a.session.sendItems(id, ["first"]);
    a.session.endStream(id);
    a.session.sendNotification("small", []);
    run();
    assert.deepEqual(types(b.events), ["NotificationReceived", "NotificationReceived", "StreamItems", "StreamEnded"]);
    assert.equal((b.events[0] as { method: string }).method, "small");
  });

  it("of long items keeps their order and its end", () => {
    const { a, b, run } = readyPair({ b: { maxFrame: 1000, streamWindow: 3_000_000 } });
    const id = stream(a, run);
    b.events.length = 0;
    a.session.sendItems(id, [new Uint8Array(100_000), 1]);
    a.session.sendItems(id, [2, new Uint8Array(3000), 3]);
    a.session.endStream(id);
    run();
    const items = b.take("StreamItems").flatMap(({ items }) => items.map((item) => (typeof item === "number" ? item : (item as Uint8Array).length)));
    assert.deepEqual(items, [100_000, 1, 2, 3000, 3]);
    assert.deepEqual(types(b.events), ["StreamEnded"]);
  });

  it("may stand in an item of another, and ends with that where nobody hears of it", () => {
    const { a, b, run } = readyPair({ b: { streamWindow: 100 } });
    const outer = stream(a, run);
    a.events.length = 0;
    const inner = a.session.openStream();
    a.session.sendItems(outer, [{ inner: new StreamRef(inner) }], [inner]);
    a.session.sendItems(inner, ["deep"]);
    run();
    assert.deepEqual(b.take("StreamItems").map(({ stream, items, streams }) => [stream, plain(items), streams]), [
      [outer, [{ inner: new StreamRef(inner) }], [inner]],
      [inner, ["deep"], []],
    ]);
    // No credit is left for the next ones.
    a.session.sendItems(outer, ["x".repeat(200)]);
    run();
    const unheard = a.session.openStream();
    a.session.sendItems(outer, [new StreamRef(unheard)], [unheard]);
    b.session.stopStream(outer);
    run();
    assert.deepEqual(a.take("StreamStopped").map(({ stream }) => stream), [outer, unheard]);
    assert.deepEqual(a.session.openStreams.ours, 1);
  });

  it("breaks with the session, on both sides", () => {
    const { a, b, run } = readyPair();
    const id = stream(a, run);
    b.events.length = 0;
    a.session.sendItems(id, [1]);
    run();
    a.events.length = 0;
    for (const { session } of [a, b]) session.receiveEof(1, "cut");
    for (const end of [a, b]) end.turn(1);
    assert.deepEqual(types(a.events), ["StreamStopped", "SessionClosed"]);
    assert.deepEqual(types(b.events), ["StreamItems", "StreamEnded", "SessionClosed"]);
    assert.ok((b.events[1] as { error: unknown }).error instanceof StreamBroken);
  });
});

describe("credit", () => {
  it("holds the owner until the program has taken what came, and no message holds more than fits a frame", () => {
    const { a, b, run } = readyPair({ b: { streamWindow: 50_000 } });
    const id = stream(a, run);
    for (let n = 0; n < 1000; n++) a.session.sendItems(id, ["x".repeat(200)]);
    run();
    const came = b.take("StreamItems");
    const bytes = came.reduce((sum, { size }) => sum + size, 0);
    assert.ok(bytes >= 50_000 && bytes < 50_000 + limits.MAX_FRAME, `${bytes} bytes came`);
    assert.ok(Math.max(...came.map(({ size }) => size)) < limits.MAX_FRAME);
    assert.equal(a.session.hasDataToSend, false);
    assert.equal(a.session.isStreamFull(id), true);
    // Half a window is given back in one message, and as much comes again.
    a.events.length = 0;
    for (const { size } of came) b.session.creditStream(id, size);
    assert.equal(b.session.hasDataToSend, true);
    run();
    assert.ok(b.take("StreamItems").length > 0);
  });

  it("makes room in the queue, and says so once", () => {
    const { a, b, run } = readyPair({ b: { streamWindow: 1000 } });
    const id = stream(a, run);
    a.take("StreamWritable");
    let given = 0;
    while (!a.session.isStreamFull(id)) {
      a.session.sendItems(id, ["x".repeat(1000)]);
      given++;
    }
    assert.ok(given < 80 && a.session.queuedBytesOf(id) < 70_000);
    let taken = 0;
    while (taken < given) {
      run();
      for (const { items, size } of b.take("StreamItems")) {
        taken += items.length;
        b.session.creditStream(id, size);
      }
    }
    assert.equal(a.take("StreamWritable").length, 1);
  });

  it("costs the length of the envelope, in MessagePack and in JSON", () => {
    for (const encodings of [new Set(["msgpack", "json"]), new Set(["json"])]) {
      const { a, b, run } = readyPair({ a: { encodings } });
      const id = stream(a, run);
      b.events.length = 0;
      a.session.sendItems(id, ["é".repeat(100), 2n ** 60n]);
      const [data] = a.session.dataToSend(100_000);
      const length = typeof data === "string" ? Buffer.byteLength(data) : data!.length - 1;
      b.session.receiveData(data!, 0);
      b.turn(0);
      assert.deepEqual(b.take("StreamItems").map(({ size }) => size), [length]);
    }
  });

  it("that an owner does not wait for ends the session", () => {
    const session = ready({ streamWindow: 100 });
    session.receiveData(frame(notification("take", [new StreamRef(1)])), 0);
    const next = notification("rpc.next", { stream: 1, items: ["x".repeat(100)] });
    session.receiveData(frame(next), 0);
    assert.deepEqual(types(session.eventsReceived()), ["NotificationReceived", "StreamItems"]);
    session.receiveData(frame(notification("rpc.next", { stream: 1, items: [1] })), 0);
    const closed = session.eventsReceived().at(-1);
    assert.ok(closed?.type === "SessionClosed" && closed.code === codes.RESOURCE_EXHAUSTED, JSON.stringify(closed));
  });

  it("is not needed for the end", () => {
    const session = ready({}, { streamWindow: 1 });
    const id = session.openStream();
    session.sendNotification("take", [new StreamRef(id)], undefined, [id]);
    session.sendItems(id, [1]);
    session.endStream(id);
    assert.deepEqual(sent(session), [
      ["take", [new StreamRef(1)]],
      ["rpc.next", { stream: 1, items: [1] }],
      ["rpc.end", { stream: 1 }],
    ]);
  });
});

describe("a call with streams in its params", () => {
  const withStream = (session: Session, timeout: number | null = null): [call: number, stream: number] => {
    const stream = session.openStream();
    return [session.sendRequest("take", [new StreamRef(stream)], { now: 0, timeout, streams: [stream] }), stream];
  };

  it("that is cancelled, or too late, breaks them", () => {
    for (const end of [(s: Session, call: number) => s.sendCancel(call), (s: Session) => s.tick(2)]) {
      const session = ready();
      const [call, stream] = withStream(session, 1);
      session.sendItems(stream, [1]);
      sent(session);
      session.sendItems(stream, [2]);
      session.eventsReceived();
      end(session, call);
      const messages = (sent(session) as [string, { error?: { code: number } }][]).filter(([method]) => method !== "rpc.ping");
      assert.deepEqual(messages.map(([method]) => method), ["rpc.cancel", "rpc.end"]);
      assert.equal(messages[1]![1].error!.code, codes.CANCELLED);
      assert.ok(types(session.eventsReceived()).includes("StreamStopped"));
      assert.equal(session.openStreams.ours, 0);
    }
  });

  it("that was never sent takes them back without a word", () => {
    const session = ready();
    const [call] = withStream(session);
    session.sendCancel(call);
    assert.deepEqual([sent(session), types(session.eventsReceived()), session.openStreams.ours], [[], ["StreamWritable", "StreamStopped"], 0]);
  });

  it("that waits for room at the other side holds them too, and starts them with it", () => {
    const { a, b, run } = readyPair({ b: { maxInFlight: 1 } });
    a.session.sendRequest("first", [], { now: 0 });
    const [call, id] = withStream(a.session);
    const [gone] = withStream(a.session);
    run();
    assert.deepEqual([types(a.events), types(b.events)], [[], ["RequestReceived"]]);
    a.session.sendCancel(gone);
    b.session.sendResponse(1, null);
    run();
    assert.deepEqual(types(a.events), ["StreamStopped", "StreamWritable", "ResponseReceived"]);
    assert.deepEqual(b.take("RequestReceived").map(({ id }) => id), [1, call]);
    assert.equal(id, a.take("StreamWritable")[0]!.stream);
  });

  it("that the other side did not take ends them", () => {
    const session = ready();
    const [call] = withStream(session);
    sent(session);
    session.eventsReceived();
    session.receiveData(frame({ type: "ErrorResponse", id: call, code: -32602, message: "no", data: { ran: false } }), 0);
    assert.deepEqual(types(session.eventsReceived()), ["ErrorReceived", "StreamStopped"]);
    sent(session);
    assert.equal(session.openStreams.ours, 0);
  });

  it("that was answered leaves them open", () => {
    const session = ready();
    const [call, id] = withStream(session);
    session.receiveData(frame(response(call, null)), 0);
    session.sendItems(id, [1]);
    assert.deepEqual((sent(session) as unknown[][]).map(([method]) => method), ["take", "rpc.next"]);
  });
});

describe("limits", () => {
  it(`of ${limits.MAX_STREAMS} streams: one more is refused here`, () => {
    const session = ready();
    for (let n = 0; n < limits.MAX_STREAMS; n++) session.openStream();
    assert.throws(() => session.openStream(), (error: unknown) => error instanceof ResourceExhausted && error.ran === false);
    session.dropStream(1);
    assert.equal(session.openStream(), limits.MAX_STREAMS + 1, "ids are never used twice");
  });

  it(`of ${limits.MAX_STREAMS} streams: one more from the other side is refused, and stopped`, () => {
    const session = ready();
    for (let n = 1; n <= limits.MAX_STREAMS; n++) session.receiveData(frame(notification("take", [new StreamRef(n)])), 0);
    session.eventsReceived();
    session.receiveData(frame(request(1, "take", [new StreamRef(100)])), 0);
    assert.deepEqual(types(session.eventsReceived()), []);
    const [stop, error] = sent(session) as [unknown, string];
    assert.deepEqual([stop, error], [["rpc.stop", { stream: 100 }], "ErrorResponse"]);
    // In a result.
    session.sendRequest("give", [], { now: 0 });
    session.receiveData(frame(response(1, new StreamRef(101))), 0);
    const [failed] = session.eventsReceived();
    assert.ok(failed?.type === "CallFailed" && failed.error instanceof ResourceExhausted);
    // In an item.
    session.receiveData(frame(notification("rpc.next", { stream: 1, items: [new StreamRef(102)] })), 0);
    const [ended] = session.eventsReceived();
    assert.ok(ended?.type === "StreamEnded" && ended.error instanceof ResourceExhausted);
    assert.equal(session.openStreams.theirs, limits.MAX_STREAMS - 1);
    assert.equal(session.state, "ready");
  });

  it("of a message: a longer item is refused, those before it go", () => {
    const session = ready({}, { maxMessage: 1000 });
    const id = session.openStream();
    session.sendNotification("take", [new StreamRef(id)], undefined, [id]);
    assert.throws(() => session.sendItems(id, [1, "x".repeat(1000)]), TooLarge);
    assert.deepEqual((sent(session) as unknown[][]).map(([method]) => method), ["take", "rpc.next"]);
  });

  it("of stops that nobody reads", () => {
    const session = ready();
    let n = 0;
    while (session.state === "ready" && n < 1_000_000) session.receiveData(frame(notification("rpc.next", { stream: 9, items: [new StreamRef(++n)] })), 0);
    assert.ok(n < 2000, `${n} stops wait`);
  });
});

describe("a stream that was not agreed", () => {
  it("is not sent", () => {
    const session = readySession({});
    assert.throws(() => session.openStream(), EncodeError);
  });

  it("is not taken, and the call not served", () => {
    const session = readySession({});
    session.receiveData(frame(request(1, "take", [new StreamRef(1)]), notification("take", [new StreamRef(2)])), 0);
    assert.deepEqual(types(session.eventsReceived()), []);
    assert.deepEqual(sent(session), ["ErrorResponse"]);
  });
});

describe("messages about streams", () => {
  const wrong: [string, object][] = [
    ["rpc.next", { stream: 1, items: [] }],
    ["rpc.next", { stream: 1, items: 5 }],
    ["rpc.next", { stream: 0, items: [1] }],
    ["rpc.next", { items: [1] }],
    ["rpc.end", { stream: 1, error: "broken" }],
    ["rpc.end", { stream: 1, error: { code: 1.5, message: "" } }],
    ["rpc.end", { stream: "1" }],
    ["rpc.credit", { stream: 1, bytes: 0 }],
    ["rpc.credit", { stream: 1, bytes: -1 }],
    ["rpc.credit", { stream: 1, bytes: 1.5 }],
    ["rpc.credit", { stream: 1, bytes: 2n ** 60n }],
    ["rpc.stop", {}],
  ];
  for (const [method, params] of wrong) {
    it(`that are wrong end the session: ${method} ${JSON.stringify(params, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`, () => {
      const session = ready();
      session.receiveData(frame(notification("take", [new StreamRef(1)])), 0);
      session.receiveData(frame(notification(method, params as Record<string, unknown>)), 0);
      const closed = session.eventsReceived().at(-1);
      assert.ok(closed?.type === "SessionClosed" && closed.code === codes.INVALID_REQUEST, JSON.stringify(closed));
    });
  }

  it("about streams that are not there are ignored", () => {
    const session = ready();
    session.receiveData(frame(notification("rpc.next", { stream: 9, items: [1, new StreamRef(10)] })), 0);
    session.receiveData(frame(notification("rpc.end", { stream: 9 }), notification("rpc.credit", { stream: 9, bytes: 1 })), 0);
    session.receiveData(frame(notification("rpc.stop", { stream: 9 })), 0);
    assert.deepEqual([session.eventsReceived(), session.state], [[], "ready"]);
    assert.deepEqual(sent(session), [["rpc.stop", { stream: 10 }]], "what it would have held is told that nobody reads it");
  });

  it("may not name a stream twice", () => {
    for (const value of [[new StreamRef(1), new StreamRef(1)], [new StreamRef(2)]]) {
      const session = ready();
      session.receiveData(frame(notification("take", [new StreamRef(2)])), 0);
      session.receiveData(frame(notification("take", value)), 0);
      assert.equal(session.state, "closed");
    }
  });

  it("may not pass 2^53-1 of credit", () => {
    const session = ready();
    const id = session.openStream();
    session.sendNotification("take", [new StreamRef(id)], undefined, [id]);
    session.receiveData(frame(notification("rpc.credit", { stream: id, bytes: Number.MAX_SAFE_INTEGER })), 0);
    assert.equal(session.state, "closed");
  });
});

it("a call, and a long message, get their turn beside a stream that never pauses", () => {
  const { a, b, run } = readyPair({ b: { streamWindow: 10_000_000 } });
  const id = stream(a, run);
  b.events.length = 0;
  for (let n = 0; n < 5000; n++) a.session.sendItems(id, ["x".repeat(200)]);
  a.session.sendRequest("long", [new Uint8Array(200_000)], { now: 0 });
  a.session.sendRequest("short", [], { now: 0 });
  let bytes = 0;
  while (!b.events.some((event) => event.type === "RequestReceived" && event.method === "long")) {
    for (const data of a.session.dataToSend(1)) {
      bytes += data.length;
      b.session.receiveData(data, 0);
    }
    b.turn(0);
  }
  assert.equal(b.events[0]!.type, "RequestReceived", "the short one first");
  assert.ok(bytes < 500_000, `the long one came after ${bytes} bytes`);
});

describe("progress", () => {
  it("comes at most each tenth of a second, and the last before the answer always", () => {
    const session = ready();
    session.receiveData(frame(request(7, "work")), 0);
    session.sendProgress(7, 1, 10, null, 0);
    session.sendProgress(7, 2, 10, null, 0.05);
    session.sendProgress(7, 3, null, "half a \ud800", 0.06);
    assert.deepEqual(sent(session), [["rpc.progress", { id: 7, done: 1, total: 10 }]]);
    assert.equal(session.nextTick(), 0.1);
    session.tick(0.099);
    assert.deepEqual(sent(session), []);
    session.tick(0.1);
    assert.deepEqual(sent(session), [["rpc.progress", { id: 7, done: 3, message: "half a \ufffd" }]]);
    session.sendProgress(7, 4, 10, null, 0.15);
    session.sendResponse(7, null);
    assert.deepEqual(sent(session), [["rpc.progress", { id: 7, done: 4, total: 10 }], "Response"]);
    session.sendProgress(7, 5, 10, null, 1);
    assert.deepEqual(sent(session), [], "nothing behind the answer");
  });

  it("is told of a call that waits, and else ignored", () => {
    const session = ready();
    const id = session.sendRequest("work", [], { now: 0 });
    sent(session);
    const tell = (params: Record<string, unknown>): void => session.receiveData(frame(notification("rpc.progress", params)), 0);
    tell({ id, done: 1, total: 4, message: "one" });
    tell({ id, done: 0.5 });
    tell({ id, done: 2n ** 60n, total: null, message: null });
    tell({ id: 99, done: 1 });
    tell({ id: null, done: 1 });
    assert.deepEqual(session.eventsReceived(), [
      { type: "ProgressReceived", id, done: 1, total: 4, message: "one" },
      { type: "ProgressReceived", id, done: 0.5, total: null, message: null },
      { type: "ProgressReceived", id, done: 2 ** 60, total: null, message: null },
    ]);
  });

  it("that is none ends the session", () => {
    for (const wrong of [{ done: "1" }, { total: 1 }, { done: 1, total: "2" }, { done: 1, message: 5 }]) {
      const session = ready();
      session.receiveData(frame(notification("rpc.progress", { id: 1, ...wrong })), 0);
      assert.equal(session.state, "closed", JSON.stringify(wrong));
    }
  });

  it("is not sent to a peer that takes none", () => {
    const session = readySession({});
    session.receiveData(frame(request(7, "work")), 0);
    session.sendProgress(7, 1, 10, null, 0);
    assert.deepEqual(sent(session), []);
  });
});
