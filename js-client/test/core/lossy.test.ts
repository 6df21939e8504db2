/** The lossy lane by itself and in a session: the latest wins, and nothing that comes there ends anything. */

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { MessagePackCodec } from "../../src/core/codec.js";
import { type Envelope, notification, request, response } from "../../src/core/envelope.js";
import { makeHello } from "../../src/core/handshake.js";
import { LOSSY, LossyLane } from "../../src/core/lossy.js";
import { DEFAULT_CONFIG, type Session } from "../../src/core/session.js";
import { StreamRef } from "../../src/core/values.js";
import { ConnectionLost, ResourceExhausted, TooLarge } from "../../src/errors.js";
import { LOSSY_FRAME, MAX_LOSSY_METHODS } from "../../src/limits.js";
import { OTHER_ID, readySession } from "./support/sessions.js";

const features = new Set([...DEFAULT_CONFIG.features, LOSSY]);

function frame(...envelopes: Envelope[]): Uint8Array {
  const codec = new MessagePackCodec();
  return Uint8Array.from([0, ...envelopes.flatMap((envelope) => [...codec.encode(envelope)])]);
}

function pose(seq: unknown, params: unknown[] = [], method = "pose"): Uint8Array {
  return frame(notification(method, params, { seq }));
}

function lossySession(theirs: ReadonlySet<string> = features, encodings = ["msgpack", "json"], maxFrame = 16384): Session {
  const hello = makeHello({ key: OTHER_ID, nonce: new Uint8Array(32).fill(2), name: "other", encodings: new Set(encodings), features: theirs, maxFrame });
  return readySession({ config: { features }, theirs: hello });
}

test("the newest replaces the one that waits, and methods take turns", () => {
  const lane = new LossyLane();
  for (let i = 0; i < 5; i++) {
    lane.send("pose", [i]);
    lane.send("speed", [-i]);
  }
  assert.deepEqual(lane.nextFrame(), pose(5, [4]));
  lane.send("pose", [9]);
  assert.deepEqual(lane.nextFrame(), pose(5, [-4], "speed"));
  assert.deepEqual(lane.nextFrame(), pose(6, [9]));
  assert.equal(lane.nextFrame(), null);
  assert.ok(lane.isEmpty);
});

test("never an older one after a newer", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 })), (order) => {
      const lane = new LossyLane();
      const taken = order.flatMap((seq) => (lane.receive(pose(seq, [seq])) as { params: number[] } | null)?.params ?? []);
      assert.deepEqual(taken, [...new Set(taken)].sort((a, b) => a - b));
      assert.equal(taken.at(-1) ?? 0, Math.max(0, ...order));
      assert.equal(lane.dropped, order.length - taken.length);
    }),
  );
});

test("what does not belong there is dropped", () => {
  const lane = new LossyLane();
  const good = pose(1, ["x"]);
  const bad = [
    new Uint8Array(0),
    new Uint8Array(1),
    Uint8Array.from([1, ...good.subarray(1)]),
    "a text",
    '{"jsonrpc":"2.0","method":"pose","params":[]}',
    Uint8Array.from([...good, 0x93]),
    frame(notification("pose", [], { seq: 1 }), notification("pose", [], { seq: 2 })),
    frame(request(1, "pose", [], { seq: 1 })),
    frame(response(1, "x")),
    frame(notification("pose")),
    frame(notification("rpc.bye", { code: 0, reason: "" }, { seq: 1 })),
    pose(1, [new StreamRef(1)]),
    ...[0, -1, 1.5, "1", null, true, 2n ** 53n].map((seq) => pose(seq)),
    pose(1, [new Uint8Array(LOSSY_FRAME)]),
  ];
  for (const one of bad) assert.equal(lane.receive(one), null, String(one));
  assert.equal(lane.dropped, bad.length);
  assert.deepEqual(lane.receive(good)?.params, ["x"]);
});

test("any bytes are dropped at worst", () => {
  const lane = new LossyLane();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void lane.receive(Uint8Array.from([0, ...bytes]))), { numRuns: 3000 });
  assert.notEqual(lane.receive(pose(Number.MAX_SAFE_INTEGER)), null);
});

test("a frame of the limit, and one byte more", () => {
  const lane = new LossyLane();
  const room = LOSSY_FRAME - pose(1, [new Uint8Array(0)]).length - 1; // a header of 3 bytes, where that of nothing has 2
  lane.send("pose", [new Uint8Array(room)]);
  assert.throws(() => lane.send("pose", [new Uint8Array(room + 1)]), (error) => error instanceof TooLarge && error.ran === false);
  const last = lane.nextFrame()!;
  assert.equal(last.length, LOSSY_FRAME);
  assert.notEqual(new LossyLane().receive(last), null);
});

test("the methods are bounded, at n and n + 1", () => {
  const [ours, theirs] = [new LossyLane(), new LossyLane()];
  for (let i = 0; i < MAX_LOSSY_METHODS; i++) {
    ours.send(`m${i}`, []);
    assert.notEqual(theirs.receive(pose(1, [], `m${i}`)), null);
  }
  assert.throws(() => ours.send("one more", []), ResourceExhausted);
  assert.equal(theirs.receive(pose(1, [], "one more")), null);
  ours.send("m0", []);
  assert.notEqual(theirs.receive(pose(2, [], "m0")), null);
});

test("in a session: sent, taken once, and a sign of life", () => {
  const session = lossySession();
  session.sendLossy("pose", [1]);
  session.sendLossy("pose", [2]);
  assert.deepEqual(session.dataToSend(1000), []);
  assert.deepEqual(session.nextLossy(), pose(2, [2]));
  assert.equal(session.hasLossyToSend, false);
  for (let i = 0; i < 2; i++) session.receiveLossy(pose(7, ["x"]), 60);
  const [event, ...more] = session.eventsReceived();
  assert.ok(event?.type === "LossyReceived" && more.length === 0);
  assert.deepEqual([event.method, event.params], ["pose", ["x"]]);
  assert.equal(session.lossyDropped, 1);
  assert.ok(session.nextTick()! > 60);
  session.receiveLossy("text", 60);
  session.receiveLossy(frame(notification("rpc.bye", { code: 0, reason: "" }, { seq: 1 })), 60);
  assert.equal(session.state, "ready");
  session.close(0, "", 60);
  assert.throws(() => session.sendLossy("pose", []), ConnectionLost);
  session.receiveLossy(pose(8), 60);
  assert.deepEqual(session.eventsReceived().map(({ type }) => type), ["SessionClosed"]);
});

test("without a lane in common it goes like any other, and nothing is taken", () => {
  for (const session of [lossySession(DEFAULT_CONFIG.features), lossySession(features, ["json"]), readySession({ level: 0 })]) {
    session.sendLossy("pose", [1]);
    session.sendLossy("pose", [2]);
    assert.equal(session.nextLossy(), null);
    assert.ok(session.dataToSend(1000).length > 0);
    session.receiveLossy(pose(1), 0);
    assert.deepEqual(session.eventsReceived(), []);
    assert.equal(session.lossyDropped, 1);
  }
});

test("a peer that takes shorter frames gets those", () => {
  const session = lossySession(features, ["msgpack"], 64);
  assert.throws(() => session.sendLossy("pose", [new Uint8Array(60)]), TooLarge);
  session.sendLossy("pose", [new Uint8Array(30)]);
  assert.notEqual(session.nextLossy(), null);
});
