import assert from "node:assert/strict";
import { test } from "node:test";
import { createPrivateKey, generateKeyPairSync, sign, verify } from "node:crypto";

import { generateIdentity, generateKey, importIdentity, verifySignature } from "../src/identity.js";
import { loadIdentity } from "../src/identity-store.js";

const PAYLOAD = new TextEncoder().encode("what is signed");

test("a new identity signs, and its peer id verifies", async () => {
  const identity = await generateIdentity();
  const signature = await identity.sign(PAYLOAD);
  assert.match(identity.peerId, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(signature.length, 64);
  assert.equal(await verifySignature(identity.peerId, PAYLOAD, signature), true);
  assert.equal(await verifySignature(identity.peerId, PAYLOAD.slice(1), signature), false);
  assert.equal(await verifySignature((await generateIdentity()).peerId, PAYLOAD, signature), false);
  assert.equal(await verifySignature(identity.peerId, PAYLOAD, signature.slice(1)), false);
});

test("the private key can't be read out", async () => {
  const key = await generateKey();
  assert.equal(key.privateKey.extractable, false);
});

test("a kept key comes back as its JWK, and signs as any other Ed25519 does", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const jwk = privateKey.export({ format: "jwk" }) as JsonWebKey;
  const identity = await importIdentity(jwk);
  assert.equal(identity.peerId, jwk.x);
  assert.equal(verify(null, PAYLOAD, publicKey, await identity.sign(PAYLOAD)), true);
  const theirs = sign(null, PAYLOAD, createPrivateKey({ key: jwk as never, format: "jwk" }));
  assert.equal(await verifySignature(identity.peerId, PAYLOAD, new Uint8Array(theirs)), true);
});

test("without IndexedDB every load is a new identity, and says that it is not kept", async () => {
  const [first, second] = [await loadIdentity(), await loadIdentity()];
  assert.notEqual(first.peerId, second.peerId);
  assert.equal(first.persistent, false);
  first.release();
});
