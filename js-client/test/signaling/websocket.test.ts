import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { WebSocket } from "ws";

import { b64urlEncode } from "../../src/core/identity.js";
import { SignalingError } from "../../src/errors.js";
import { type Identity, generateIdentity, randomBytes } from "../../src/identity.js";
import type { Joined, Member, Signal, SignalPayload, SignalingEvents } from "../../src/signaling/base.js";
import { WebSocketSignaling } from "../../src/signaling/websocket.js";
import { Hub } from "../support/hub.js";
import { keptLog, until } from "../support/wait.js";

const OFFER: SignalPayload = { kind: "offer", sdp: "v=0\r\n" };
const attempt = (): string => b64urlEncode(randomBytes(16));

class Told implements SignalingEvents {
  readonly joins: Joined[] = [];
  readonly came: Member[] = [];
  readonly went: string[] = [];
  readonly signals: Signal[] = [];
  readonly states: string[] = [];
  reason = "";
  joined = (joined: Joined): void => void this.joins.push(joined);
  peerJoined = (member: Member): void => void this.came.push(member);
  peerLeft = (peerId: string): void => void this.went.push(peerId);
  signalReceived = (signal: Signal): void => void this.signals.push(signal);
  signalingState = (state: string, reason: string): void => {
    this.states.push(state);
    this.reason = reason;
  };
}

let hub: Hub;
let open: WebSocketSignaling[] = [];

beforeEach(async () => {
  hub = await Hub.start();
});

afterEach(async () => {
  open.forEach((signaling) => signaling.close());
  open = [];
  await hub.stop();
});

async function client(name: string, options: { identity?: Identity; url?: string } = {}) {
  const identity = options.identity ?? (await generateIdentity());
  const told = new Told();
  const log = keptLog();
  const signaling = new WebSocketSignaling({
    url: options.url ?? hub.url(),
    identity,
    name,
    events: told,
    log,
    WebSocket,
    backoff: { first: 5, most: 40 },
  });
  open.push(signaling);
  return { identity, told, log, signaling };
}

test("two peers join one room, learn of each other, and pass signals", async () => {
  const a = await client("a");
  assert.deepEqual((await a.signaling.join()).members, []);
  const b = await client("b");
  const joined = await b.signaling.join();
  assert.deepEqual(joined.members, [{ peerId: a.identity.peerId, name: "a" }]);
  await until(() => a.told.came.length === 1, "the arrival");
  assert.deepEqual(a.told.came, [{ peerId: b.identity.peerId, name: "b" }]);
  const under = attempt();
  a.signaling.sendSignal(b.identity.peerId, under, OFFER);
  a.signaling.sendSignal(b.identity.peerId, under, { kind: "candidate", candidate: "candidate:1", mid: "0" });
  await until(() => b.told.signals.length === 2, "the signals");
  assert.deepEqual(b.told.signals[0], { sender: a.identity.peerId, attempt: under, payload: OFFER });
  assert.equal(b.told.signals[1]?.payload.kind, "candidate", "in the order they were sent");
  b.signaling.close();
  await until(() => a.told.went.length === 1, "the departure");
  assert.deepEqual(a.told.states, ["connecting", "joined"]);
  assert.deepEqual(b.told.states, ["connecting", "joined", "closed"]);
});

test("rooms with difficult names are reached", async () => {
  const a = await client("a", { url: hub.url("a/b é?#%") });
  await a.signaling.join();
  assert.equal([...hub.clients][0]?.room, "a/b é?#%");
});

test("a signal that the hub changed in any member is dropped", async () => {
  const [a, b, c] = [await client("a"), await client("b"), await client("c")];
  for (const each of [a, b, c]) {
    await each.signaling.join();
  }
  const changes: Record<string, unknown>[] = [
    { payload: '{"kind":"offer","sdp":"v=1\\r\\n"}' },
    { attempt: attempt() },
    { from: c.identity.peerId },
    { signature: b64urlEncode(randomBytes(64)) },
    { signature: "x" },
    { payload: 5 },
  ];
  hub.relay = (params) => ({ ...params, ...changes[hub.signals.length - 1] });
  for (let i = 0; i <= changes.length; i++) {
    a.signaling.sendSignal(b.identity.peerId, attempt(), OFFER);
  }
  await until(() => b.told.signals.length === 1, "the one that was left alone");
  assert.equal(b.told.signals[0]?.attempt, hub.signals.at(-1)?.["attempt"]);
  hub.relay = (params) => ({ ...params, to: c.identity.peerId });
  a.signaling.sendSignal(b.identity.peerId, attempt(), OFFER);
  hub.notify(c.identity.peerId, "rpc.joined", { peer: b.identity.peerId, name: "again" });
  await until(() => c.told.came.some((member) => member.name === "again"), "what came after it");
  assert.deepEqual(c.told.signals, []);
});

test("a replayed signal is dropped, and so is a second offer of one attempt", async () => {
  const [a, b] = [await client("a"), await client("b")];
  await a.signaling.join();
  await b.signaling.join();
  const under = attempt();
  a.signaling.sendSignal(b.identity.peerId, under, OFFER);
  a.signaling.sendSignal(b.identity.peerId, under, { kind: "offer", sdp: "v=0\r\nanother" });
  a.signaling.sendSignal(b.identity.peerId, under, { kind: "candidate", candidate: "candidate:1", mid: "0" });
  await until(() => hub.signals.length === 3, "the hub to have them");
  for (const params of [...hub.signals, ...hub.signals]) {
    hub.notify(b.identity.peerId, "rpc.signal", params);
  }
  hub.notify(b.identity.peerId, "rpc.left", { peer: a.identity.peerId });
  await until(() => b.told.went.length === 1, "what came after them");
  assert.deepEqual(b.told.signals.map((signal) => signal.payload.kind), ["offer", "candidate"]);
});

test("after a lost connection it joins again, tells what changed, and sends what waited", async () => {
  const [a, b] = [await client("a"), await client("b")];
  const c = await client("c");
  await a.signaling.join();
  await b.signaling.join();
  await c.signaling.join();
  await until(() => a.told.came.length === 2, "the arrivals");
  c.signaling.close();
  await until(() => a.told.went.length === 1, "the departure");
  hub.kick(a.identity.peerId);
  await until(() => a.told.states.at(-1) === "reconnecting", "the loss");
  a.signaling.sendSignal(b.identity.peerId, attempt(), OFFER);
  await until(() => b.told.signals.length === 1, "the way back");
  assert.equal(a.told.states.at(-1), "joined");
  assert.equal(a.told.joins.length, 2);
});

test("what went on during the loss is told afterwards", async () => {
  const [a, b] = [await client("a"), await client("b")];
  await a.signaling.join();
  await b.signaling.join();
  await until(() => a.told.came.length === 1, "the arrival");
  hub.refusal = "closed for a moment";
  hub.kick();
  await until(() => a.told.states.at(-1) === "reconnecting", "the loss");
  b.signaling.close();
  hub.refusal = null;
  await until(() => a.told.joins.length === 2 && a.told.went.length === 1, "the way back");
  assert.deepEqual(a.told.went, [b.identity.peerId]);
});

test("the same key from elsewhere replaces this one, for good", async () => {
  const a = await client("a");
  await a.signaling.join();
  const again = await client("again", { identity: a.identity });
  await again.signaling.join();
  await until(() => a.told.states.at(-1) === "closed", "the end");
  assert.match(a.told.reason, /same peer id joined/);
  assert.throws(() => a.signaling.sendSignal(again.identity.peerId, attempt(), OFFER), SignalingError);
  assert.equal(hub.joins, 2);
});

test("a refused join says what the bootstrap said", async () => {
  hub.refusal = "this room needs a token";
  const a = await client("a");
  await assert.rejects(a.signaling.join(), (error: unknown) => error instanceof SignalingError && /needs a token/.test(error.message) && error.code === -32003);
  assert.equal(a.told.states.at(-1), "closed");
});

test("a bootstrap that is not there, or is something else, is told as such", async () => {
  const nobody = await client("a", { url: "ws://127.0.0.1:9/room/lab" });
  await assert.rejects(nobody.signaling.join(), (error: unknown) => error instanceof SignalingError && /127\.0\.0\.1:9/.test(error.message));
  hub.subprotocol = "graphql";
  const other = await client("b");
  await assert.rejects(other.signaling.join(), SignalingError);
});

test("a proof for another authority does not pass: what is signed is the host of the URL", async () => {
  const a = await client("a", { url: hub.url().replace("127.0.0.1", "localhost") });
  await a.signaling.join();
  assert.equal(hub.joins, 1);
});

test("a hub that sends nonsense after the join is left, and joined again", async () => {
  const a = await client("a");
  await a.signaling.join();
  hub.notify(a.identity.peerId, "rpc.left", { peer: "nobody" });
  await until(() => a.told.joins.length === 2, "the second join");
});

test("pings are answered", async () => {
  const a = await client("a");
  await a.signaling.join();
  const [socket] = [...hub.clients].map((each) => each.socket);
  const pong = new Promise<string>((resolve) => socket!.on("message", (data: Buffer) => resolve(data.toString())));
  hub.notify(a.identity.peerId, "rpc.ping", { n: 7 });
  assert.deepEqual(JSON.parse(await pong), { jsonrpc: "2.0", method: "rpc.pong", params: { n: 7 } });
});

test("URLs that name no room are refused before anything is sent", async () => {
  for (const url of ["http://h/room/lab", "ws://h/", "nonsense"]) {
    await assert.rejects(client("a", { url }), SignalingError, url);
  }
});

test("join is for once, and close may come twice", async () => {
  const a = await client("a");
  await a.signaling.join();
  assert.throws(() => a.signaling.join(), SignalingError);
  a.signaling.close();
  a.signaling.close();
});
