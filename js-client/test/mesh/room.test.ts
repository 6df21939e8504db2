import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import {
  ApplicationError,
  CallCancelled,
  ConnectionLost,
  DeadlineExceeded,
  EncodeError,
  HandshakeError,
  IdentityMismatch,
  RemoteApplicationError,
  RemoteInternalError,
  RemoteInvalidParams,
  RemoteMethodNotFound,
  RemotePermissionDenied,
  SignalingError,
  Unavailable,
} from "../../src/errors.js";
import { generateIdentity } from "../../src/identity.js";
import type { PeerEvent, Room, SignalingEvent } from "../../src/mesh/room.js";
import { type Context, admitProved } from "../../src/service/context.js";
import { Meeting, inOrder } from "../support/rooms.js";
import { next, until } from "../support/wait.js";

let meeting: Meeting;

beforeEach(async () => {
  meeting = await Meeting.start();
});

afterEach(async () => {
  await meeting.end();
});

async function withRobot(): Promise<{ robot: Room; user: Room }> {
  const robot = await meeting.join("robot", { admit: admitProved });
  robot.expose("add", (a: number, b: number) => a + b);
  robot.expose("echo", (value: unknown) => value);
  robot.expose("forever", (context: Context) => new Promise((_, reject) => context.signal.addEventListener("abort", () => reject(new TypeError("stopped")))), {
    context: true,
  });
  const user = await meeting.join("user", { pin: robot.peerId });
  return { robot, user };
}

test("a peer is found by name, by id and by its pin, and its functions answer", async () => {
  const { robot, user } = await withRobot();
  const [byName, byId, byPin] = await Promise.all([user.peer("robot"), user.peer(robot.peerId), user.peer()]);
  assert.equal(byName, byId);
  assert.equal(byName, byPin);
  assert.equal(await byName.call["add"]!(1, 2), 3);
  assert.equal(await byName.invoke("add", [20, 22]), 42);
  assert.deepEqual([byName.name, byName.peerId, byName.trust, byName.state], ["robot", robot.peerId, "pinned", "connected"]);
  assert.deepEqual(user.peers, [byName]);
  assert.deepEqual(user.members, [{ peerId: robot.peerId, name: "robot" }]);
  assert.equal((await byName.path())?.relayed, false);
});

test("calls go both ways over the one link", async () => {
  const { robot, user } = await withRobot();
  user.expose("name", () => "user");
  await user.peer("robot");
  const [back] = robot.peers;
  // The user pinned the robot, not the other way round: by default only pinned keys are served.
  const seen = user.peers[0];
  assert.equal(seen?.trust, "pinned");
  assert.equal(await back!.call["name"]!(), "user");
  assert.equal(meeting.network.ends.size, 2, "no second connection");
});

test("errors of the other side come as what they are", async () => {
  const { robot, user } = await withRobot();
  robot.expose("refuse", () => {
    throw new ApplicationError("no paper", { detail: { tray: 2 } });
  });
  robot.expose("break", () => {
    throw new TypeError("secret");
  });
  robot.expose("strict", () => 1, { params: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } });
  robot.expose("odd", () => () => 1);
  const remote = await user.peer("robot");
  await assert.rejects(remote.invoke("refuse", []), (error: unknown) => error instanceof RemoteApplicationError && error.message === "no paper");
  await assert.rejects(remote.invoke("break", []), (error: unknown) => error instanceof RemoteInternalError && !error.message.includes("secret"));
  await assert.rejects(remote.invoke("odd", []), RemoteInternalError);
  await assert.rejects(remote.invoke("nope", []), (error: unknown) => error instanceof RemoteMethodNotFound && error.ran === false);
  await assert.rejects(remote.invoke("strict", ["x"]), (error: unknown) => {
    return error instanceof RemoteInvalidParams && error.ran === false && String(error.issues[0]?.path) === "a";
  });
  await assert.rejects(remote.invoke("add", [() => 1]), EncodeError);
  assert.equal(await remote.invoke("strict", { a: 5 }), 1);
});

test("values of every kind survive the way there and back", async () => {
  const { user } = await withRobot();
  const remote = await user.peer("robot");
  const values = [null, true, 1.5, 2 ** 53 - 1, 10n ** 40n, "é🤖", new Uint8Array([1, 2, 3]), new Date(1e12), [1, ["x"]], NaN, "y".repeat(300_000)];
  for (const value of values) {
    assert.deepEqual(await remote.invoke("echo", [value]), value);
  }
  const map = (await remote.invoke("echo", [{ a: { b: 1 } }])) as object;
  assert.equal(Object.getPrototypeOf(map), null);
});

test("calls of one turn share frames", async () => {
  const { user } = await withRobot();
  const remote = await user.peer("robot");
  const [end] = [...meeting.network.ends.values()].filter((each) => each.sent > 0);
  await remote.invoke("add", [0, 0]);
  const before = [...meeting.network.ends.values()].reduce((sum, each) => sum + each.sent, 0);
  const results = await Promise.all(Array.from({ length: 100 }, (_, i) => remote.invoke("add", [i, 1])));
  const frames = [...meeting.network.ends.values()].reduce((sum, each) => sum + each.sent, 0) - before;
  assert.deepEqual(results, Array.from({ length: 100 }, (_, i) => i + 1));
  assert.ok(end !== undefined && frames < 20, `100 calls and their answers took ${frames} frames`);
});

test("a timeout ends a call here and there", async () => {
  const { robot, user } = await withRobot();
  let stopped: unknown;
  robot.expose("slow", (context: Context) => new Promise(() => context.signal.addEventListener("abort", () => (stopped = context.signal.reason))), {
    context: true,
  });
  const remote = await user.peer("robot");
  await assert.rejects(remote.call.with({ timeout: 30 })["slow"]!(), (error: unknown) => /deadline|time/i.test(String(error)));
  await until(() => stopped !== undefined, "the function to be told");
  await assert.rejects(remote.invoke("add", [], { timeout: 0 }), RangeError);
});

test("an abort rejects here at once and stops the function there", async () => {
  const { robot, user } = await withRobot();
  let stopped: unknown;
  robot.expose("slow", (context: Context) => new Promise(() => context.signal.addEventListener("abort", () => (stopped = context.signal.reason))), {
    context: true,
  });
  const remote = await user.peer("robot");
  const abort = new AbortController();
  const call = remote.call.with({ signal: abort.signal })["slow"]!();
  await remote.invoke("add", [1, 1]);
  abort.abort("enough");
  await assert.rejects(call, (error: unknown) => error instanceof CallCancelled && error.cause === "enough");
  await until(() => stopped !== undefined, "the function to be told");
  await assert.rejects(remote.invoke("slow", [], { signal: abort.signal }), (error: unknown) => error instanceof CallCancelled && error.ran === false);
  assert.equal(await remote.invoke("add", [1, 1]), 2, "the link is as it was");
});

test("notifications arrive", async () => {
  const { robot, user } = await withRobot();
  const heard: unknown[] = [];
  robot.expose("tell", (value: unknown) => void heard.push(value));
  const remote = await user.peer("robot");
  await remote.notify["tell"]!("x");
  await until(() => heard.length === 1, "the notification");
});

test("discover tells what is offered", async () => {
  const { user } = await withRobot();
  const document = await (await user.peer("robot")).discover();
  assert.deepEqual((document["methods"] as { name: string }[]).map((method) => method.name), ["add", "echo", "forever"]);
});

test("by default a stranger is not served", async () => {
  const robot = await meeting.join("robot");
  robot.expose("add", (a: number, b: number) => a + b);
  const stranger = await meeting.join("stranger");
  const remote = await stranger.peer("robot");
  assert.equal(remote.trust, "anonymous");
  await assert.rejects(remote.invoke("add", [1, 2]), RemotePermissionDenied);
});

test("a token that the link carries reaches the policy before the first call", async () => {
  const robot = await meeting.join("robot", { admit: (caller) => caller.tokens.includes("secret") });
  robot.expose("add", (a: number, b: number) => a + b);
  const guest = await meeting.join("guest", { token: "secret" });
  assert.equal(await (await guest.peer("robot")).invoke("add", [1, 2]), 3);
  const other = await meeting.join("other", { token: "guess" });
  await assert.rejects((await other.peer("robot")).invoke("add", [1, 2]), RemotePermissionDenied);
});

test("peer() waits for a peer to come, and says who is there when it does not", async () => {
  const user = await meeting.join("user");
  const waiting = user.peer("late");
  await meeting.join("other");
  const late = await meeting.join("late");
  assert.equal((await waiting).peerId, late.peerId);
  await assert.rejects(user.peer("nobody", { timeout: 20 }), (error: unknown) => {
    return error instanceof Unavailable && error.message.includes("nobody") && error.message.includes("late") && error.message.includes("lab");
  });
});

test("the right name under another key is refused with both keys, before anything is sent to it", async () => {
  const expected = await generateIdentity();
  const impostor = await meeting.join("robot");
  const user = await meeting.join("user", { pin: expected.peerId });
  await assert.rejects(user.peer("robot"), (error: unknown) => {
    return error instanceof IdentityMismatch && error.message.includes(expected.peerId) && error.message.includes(impostor.peerId);
  });
  assert.deepEqual(meeting.hub.signals, []);
  await assert.rejects(user.peer(undefined, { timeout: 20 }), Unavailable);
});

test("a relay in the middle with its own certificate is found out by both, and nothing is called", async () => {
  const { robot, user } = await withRobot();
  let calls = 0;
  robot.expose("count", () => void calls++);
  meeting.network.seenFingerprint = (fingerprint) => fingerprint.map((byte) => byte ^ 1);
  const refused = next<PeerEvent>(robot, "failed");
  await assert.rejects(user.peer("robot"), (error: unknown) => error instanceof HandshakeError && /proof/.test(error.message));
  assert.match((await refused).reason, /proof/);
  assert.deepEqual([user.peers, robot.peers, calls], [[], [], 0]);
});

test("two that dial each other at once end up with one link", async () => {
  const [first, second] = await inOrder();
  const [a, b] = [await meeting.join("a", { identity: first, admit: admitProved }), await meeting.join("b", { identity: second, admit: admitProved })];
  a.expose("who", () => "a");
  b.expose("who", () => "b");
  // The offers are held until both are on their way, so that they do cross.
  const held: (() => void)[] = [];
  meeting.hub.relay = (params) => {
    if (held.length < 2 && String(params["payload"]).includes('"offer"')) {
      held.push(() => meeting.hub.notify(String(params["to"]), "rpc.signal", params));
      if (held.length === 2) {
        held.forEach((send) => send());
      }
      return null;
    }
    return params;
  };
  const [ofA, ofB] = await Promise.all([a.peer("b"), b.peer("a")]);
  assert.equal(held.length, 2, "both offered");
  assert.deepEqual(await Promise.all([ofA.call["who"]!(), ofB.call["who"]!()]), ["b", "a"]);
  await until(() => meeting.network.ends.size === 2, "the other attempt to be gone");
});

test("a replayed offer changes nothing", async () => {
  const { robot, user } = await withRobot();
  const remote = await user.peer("robot");
  const offer = meeting.hub.signals.find((params) => String(params["payload"]).includes('"offer"'));
  meeting.hub.notify(robot.peerId, "rpc.signal", offer ?? {});
  assert.equal(await remote.invoke("add", [1, 2]), 3);
  assert.equal(meeting.network.ends.size, 2);
});

test("an offer that can't be taken is refused, and the other side hears why", async () => {
  const { user } = await withRobot();
  const memory = meeting.network.transport();
  const broken = await meeting.join("broken", {
    transport: {
      name: "broken",
      create: (events, servers) => {
        const connection = memory.create(events, servers);
        connection.acceptOffer = () => Promise.reject(new Unavailable("no sockets left"));
        return connection;
      },
    },
  });
  await assert.rejects(user.peer(broken.peerId), (error: unknown) => /refused.*no sockets left/.test(String(error)));
});

test("the room tells what happens, with reasons", async () => {
  const user = await meeting.join("user");
  const told: string[] = [];
  for (const type of ["joined", "left", "connecting", "connected", "disconnected"] as const) {
    user.addEventListener(type, (event) => told.push(`${event.type} ${event.peer.name} ${event.reason}`.trim()));
  }
  const robot = await meeting.join("robot");
  const remote = await user.peer("robot");
  const gone = next<PeerEvent>(user, "disconnected");
  const left = next<PeerEvent>(user, "left");
  await robot.close("out of power");
  assert.match((await gone).reason, /out of power/);
  await left;
  assert.deepEqual(told.slice(0, 3), ["joined robot", "connecting robot dialing", "connected robot"]);
  assert.equal(remote.state, "disconnected");
  assert.deepEqual(user.peers, []);
});

test("a broken link fails the calls on it, and the next call dials anew", async () => {
  const { user } = await withRobot();
  const remote = await user.peer("robot");
  const call = remote.invoke("forever", []);
  await remote.invoke("add", [1, 1]);
  meeting.network.crash();
  await assert.rejects(call, (error: unknown) => error instanceof ConnectionLost && error.ran === null);
  assert.equal(remote.state, "disconnected");
  assert.equal(await remote.invoke("add", [1, 2]), 3);
  assert.equal(remote.state, "connected");
});

test("a call to a peer that left fails in its time, with its reason", async () => {
  const { robot, user } = await withRobot();
  const remote = await user.peer("robot");
  await robot.close();
  await until(() => user.members.length === 0 && remote.state === "disconnected", "the departure");
  await assert.rejects(remote.invoke("add", [1, 2], { timeout: 30 }), (error: unknown) => error instanceof DeadlineExceeded && error.ran === false);
  const abort = new AbortController();
  const waiting = remote.invoke("add", [1, 2], { signal: abort.signal });
  abort.abort();
  await assert.rejects(waiting, (error: unknown) => error instanceof CallCancelled && error.ran === false);
});

test("calls need no bootstrap once the link is up; a peer that comes back is reached again", async () => {
  const { robot, user } = await withRobot();
  const remote = await user.peer("robot");
  const lost = next<SignalingEvent>(user, "signaling", (event: SignalingEvent) => event.state === "reconnecting");
  meeting.hub.kick();
  await lost;
  assert.equal(await remote.invoke("add", [1, 2]), 3);
  await next<SignalingEvent>(user, "signaling", (event: SignalingEvent) => event.state === "joined");
  await until(() => robot.signalingState === "joined" && user.members.length === 1, "both to be back");
  meeting.network.crash();
  assert.equal(await remote.invoke("add", [2, 2]), 4);
});

test("an offer that was lost with the bootstrap is made again when the peer is back", async () => {
  const { robot, user } = await withRobot();
  meeting.hub.relay = (params) => (String(params["payload"]).includes('"offer"') ? null : params);
  const waiting = user.peer("robot");
  await until(() => meeting.hub.signals.length > 0, "the offer that is lost");
  meeting.hub.relay = (params) => params;
  meeting.hub.kick(robot.peerId);
  assert.equal((await waiting).peerId, robot.peerId);
});

test("closing the room ends what waits, tells the peers, and is for good", async () => {
  const { robot, user } = await withRobot();
  const remote = await user.peer("robot");
  const call = remote.invoke("forever", []);
  const waiting = user.peer("nobody");
  const gone = next<PeerEvent>(robot, "disconnected");
  const closing = user.close("done");
  await assert.rejects(call, ConnectionLost);
  await assert.rejects(waiting, ConnectionLost);
  await closing;
  assert.match((await gone).reason, /done/);
  await assert.rejects(user.peer("robot"), ConnectionLost);
  await assert.rejects(remote.invoke("add", [1, 2]), ConnectionLost);
  await user.close();
  await until(() => meeting.network.ends.size === 0, "the connections to be gone");
});

test("a join that is refused leaves nothing behind", async () => {
  meeting.hub.refusal = "this room is full";
  await assert.rejects(meeting.join("user"), (error: unknown) => error instanceof SignalingError && /full/.test(error.message));
});
