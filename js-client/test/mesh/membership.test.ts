import assert from "node:assert/strict";
import { test } from "node:test";

import { b64urlEncode } from "../../src/core/identity.js";
import { IdentityMismatch, Unavailable } from "../../src/errors.js";
import { Membership } from "../../src/mesh/membership.js";

const id = (byte: number): string => b64urlEncode(new Uint8Array(32).fill(byte));
const [SELF, ROBOT, OTHER] = [id(1), id(2), id(3)];

test("we are no member of our own list", () => {
  const membership = new Membership(SELF);
  assert.equal(membership.add({ peerId: SELF, name: "me" }), undefined);
  assert.deepEqual(membership.present(), []);
});

test("a peer is found by id, by name, and by being the only one", () => {
  const membership = new Membership(SELF);
  assert.equal(membership.resolve("robot"), undefined);
  membership.add({ peerId: ROBOT, name: "robot" });
  assert.equal(membership.resolve(ROBOT)?.peerId, ROBOT);
  assert.equal(membership.resolve("robot")?.peerId, ROBOT);
  assert.equal(membership.resolve(undefined)?.peerId, ROBOT);
  membership.add({ peerId: OTHER, name: "robot" });
  assert.throws(() => membership.resolve("robot"), Unavailable);
  assert.throws(() => membership.resolve(undefined), Unavailable);
});

test("where a key is pinned, a name under another key is an impostor, and the error says both keys", () => {
  const membership = new Membership(SELF, new Set([ROBOT]));
  membership.add({ peerId: OTHER, name: "robot" });
  assert.throws(
    () => membership.resolve("robot"),
    (error: unknown) => error instanceof IdentityMismatch && error.message.includes(ROBOT) && error.message.includes(OTHER),
  );
  assert.equal(membership.resolve(undefined), undefined);
  membership.add({ peerId: ROBOT, name: "robot" });
  assert.equal(membership.resolve("robot")?.peerId, ROBOT);
  assert.equal(membership.resolve(undefined)?.peerId, ROBOT);
});

test("a peer that left is kept while it is linked, and forgotten after", () => {
  const membership = new Membership(SELF);
  membership.add({ peerId: ROBOT, name: "robot" });
  membership.setState(ROBOT, "connected", "");
  membership.remove(ROBOT);
  assert.deepEqual(membership.present(), []);
  assert.equal(membership.resolve("robot")?.peerId, ROBOT);
  membership.setState(ROBOT, "disconnected", "gone");
  assert.equal(membership.get(ROBOT), undefined);
});

test("a peer may come again under another name", () => {
  const membership = new Membership(SELF);
  membership.add({ peerId: ROBOT, name: "old" });
  membership.add({ peerId: ROBOT, name: "new" });
  assert.equal(membership.resolve("old"), undefined);
  assert.equal(membership.resolve("new")?.name, "new");
});
