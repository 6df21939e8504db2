/** The whole client over real WebRTC: two rooms in this process, a real WebSocket hub, DataChannels on loopback. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { RTCPeerConnection } from "node-datachannel/polyfill";

import { ConnectionLost, Unavailable } from "../src/errors.js";
import type { PeerEvent, Room } from "../src/mesh/room.js";
import { type Context, admitProved } from "../src/service/context.js";
import { WebRtcTransport } from "../src/transport/webrtc.js";
import { Meeting, inOrder } from "./support/rooms.js";
import { next, until } from "./support/wait.js";

const transport = new WebRtcTransport(RTCPeerConnection);
let meeting: Meeting;

beforeEach(async () => {
  meeting = await Meeting.start();
});

afterEach(async () => {
  await meeting.end();
});

async function withRobot(): Promise<{ robot: Room; user: Room }> {
  const robot = await meeting.join("robot", { transport, admit: admitProved });
  robot.expose("add", (a: number, b: number) => a + b);
  robot.expose("echo", (value: unknown) => value);
  const user = await meeting.join("user", { transport, pin: robot.peerId });
  return { robot, user };
}

test("a call and its answer, over a DataChannel", async () => {
  const { robot, user } = await withRobot();
  const remote = await user.peer("robot");
  assert.equal(await remote.call["add"]!(1, 2), 3);
  assert.equal(remote.trust, "pinned");
  const path = await remote.path();
  assert.deepEqual([path?.relayed, path?.localType, path?.protocol], [false, "host", "udp"]);
  user.expose("back", () => "and back");
  assert.equal(await (await robot.peer("user")).call["back"]!(), "and back");
});

test("many calls, and a value of megabytes beside them, all come back", async () => {
  const { user } = await withRobot();
  const remote = await user.peer("robot");
  const bulk = new Uint8Array(4_000_000).map((_, index) => index * 31);
  const [echoed, ...sums] = await Promise.all([
    remote.invoke("echo", [bulk]),
    ...Array.from({ length: 1000 }, (_, index) => remote.invoke("add", [index, 1])),
  ]);
  assert.ok(Buffer.from(bulk.buffer).equals(Buffer.from((echoed as Uint8Array).slice().buffer)));
  assert.deepEqual(sums, Array.from({ length: 1000 }, (_, index) => index + 1));
});

test("two that dial each other at once end up connected", async () => {
  const [first, second] = await inOrder();
  const a = await meeting.join("a", { transport, identity: first, admit: admitProved });
  const b = await meeting.join("b", { transport, identity: second, admit: admitProved });
  a.expose("who", () => "a");
  b.expose("who", () => "b");
  const [ofA, ofB] = await Promise.all([a.peer("b"), b.peer("a")]);
  assert.deepEqual(await Promise.all([ofA.call["who"]!(), ofB.call["who"]!()]), ["b", "a"]);
});

test("a bootstrap that changes fingerprints on the way gets no call through", async () => {
  const { robot, user } = await withRobot();
  let calls = 0;
  robot.expose("count", () => void calls++);
  meeting.hub.relay = (params) => {
    const swapped = (payload: string): string => payload.replace(/(fingerprint:sha-256 )(..)/i, (_all, head: string, byte: string) => head + (byte === "00" ? "01" : "00"));
    return { ...params, payload: swapped(String(params["payload"])) };
  };
  await assert.rejects(user.peer("robot", { timeout: 1000 }), Unavailable);
  assert.ok(meeting.log.lines.some((line) => line.includes("signature does not verify")));
  assert.equal(calls, 0);
});

test("leaving says so: what was answered arrives, the other side hears the reason at once", async () => {
  const { robot, user } = await withRobot();
  const remote = await user.peer("robot");
  const gone = next<PeerEvent>(user, "disconnected");
  robot.expose("last", (_context: Context) => {
    // Its own answer is still to be sent.
    setImmediate(() => void robot.close("out of power"));
    return "answer";
  });
  assert.equal(await remote.invoke("last", [null]), "answer");
  assert.match((await gone).reason, /out of power/);
  await assert.rejects(remote.invoke("add", [1, 2], { timeout: 50 }));
  await user.close();
  await assert.rejects(remote.invoke("add", [1, 2]), ConnectionLost);
  await until(() => meeting.hub.clients.size === 0, "both to have left");
});
