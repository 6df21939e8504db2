/** The lossy lane between rooms, over a network that loses, repeats and reorders. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { EncodeError, ExposeError, TooLarge } from "../../src/errors.js";
import type { RemotePeer } from "../../src/mesh/remote-peer.js";
import { admitProved } from "../../src/service/context.js";
import { Meeting } from "../support/rooms.js";
import { until } from "../support/wait.js";

let meeting: Meeting;
let told: number[] = [];
let running = 0;
let most = 0;

beforeEach(async () => {
  meeting = await Meeting.start();
  told = [];
  most = 0;
});

afterEach(async () => {
  await meeting.end();
});

async function withRobot(): Promise<RemotePeer> {
  const robot = await meeting.join("robot", { admit: admitProved });
  const pose = async (x: number): Promise<void> => {
    most = Math.max(most, ++running);
    told.push(x);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  };
  robot.expose("pose", pose, { reliable: false });
  robot.expose("note", (x: number) => void told.push(x));
  const user = await meeting.join("user", { pin: robot.peerId });
  return user.peer("robot");
}

test("never an older one after a newer, whatever the network does", async () => {
  const robot = await withRobot();
  let seed = 1;
  const chance = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  meeting.network.fate = () => ({ copies: chance() < 0.3 ? 0 : chance() < 0.2 ? 2 : 1, turns: 1 + Math.floor(chance() * 6) });
  const lossy = robot.notify.with({ reliable: false });
  for (let i = 1; i <= 500; i++) {
    await lossy["pose"]!(i);
    if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  meeting.network.fate = () => ({ copies: 1, turns: 1 });
  await lossy["pose"]!(501);
  await until(() => told.at(-1) === 501, "the last one");
  assert.deepEqual(told, [...new Set(told)].sort((a, b) => a - b));
  assert.equal(most, 1);
  assert.ok(told.length > 50 && told.length < 501, String(told.length));
});

test("only what is meant for it is run; what is too long or a stream is refused at once", async () => {
  const robot = await withRobot();
  const lossy = robot.notify.with({ reliable: false });
  await lossy["note"]!(1);
  await lossy["unknown"]!(2);
  await assert.rejects(lossy["pose"]!(new Uint8Array(1100)), TooLarge);
  await assert.rejects(lossy["pose"]!((async function* () { yield 1; })()), EncodeError);
  await robot.notify["pose"]!(3);
  await robot.notify.with({ reliable: true })["note"]!(4);
  await robot.call["pose"]!(5);
  assert.deepEqual(told, [3, 4, 5]);
  const { methods } = (await robot.discover()) as { methods: { name: string; "x-reliable"?: boolean }[] };
  assert.deepEqual(methods.map((method) => [method.name, method["x-reliable"]]), [["pose", false], ["note", undefined]]);
  const room = meeting.rooms[0]!;
  assert.throws(() => room.expose("ticks", function* () { yield 1; }, { reliable: false }), ExposeError);
});

test("without a lossy channel they go over the other", async () => {
  meeting.network.lossy = false;
  const robot = await withRobot();
  const lossy = robot.notify.with({ reliable: false });
  await lossy["note"]!(1);
  await lossy["note"]!(2);
  await until(() => told.length === 2, "both");
  assert.deepEqual(told, [1, 2]);
});

test("wrong arguments don't keep the next from being run", async () => {
  const robot = await meeting.join("robot", { admit: admitProved });
  robot.expose("pose", (x: number) => void told.push(x), {
    reliable: false,
    params: { type: "object", properties: { x: { type: "number" } }, required: ["x"] },
  });
  const user = await meeting.join("user", { pin: robot.peerId });
  const lossy = (await user.peer("robot")).notify.with({ reliable: false });
  for (const value of ["text", 7]) {
    await lossy["pose"]!(value);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until(() => told.length === 1, "the right one");
  assert.deepEqual(told, [7]);
});
