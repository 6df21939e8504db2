import assert from "node:assert/strict";
import { it } from "node:test";

import fc from "fast-check";

import { b64urlDecode, b64urlEncode, isPeerId, lp, parsePeerId, PEER_ID_LENGTH, signaturePayload } from "../../src/core/identity.js";
import { DecodeError } from "../../src/errors.js";
import { OWN_ID } from "./support/sessions.js";

it("base64url is that of Buffer, and every text stands for bytes in one way only", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = Buffer.from(bytes).toString("base64url");
      assert.equal(b64urlEncode(bytes), text);
      assert.deepEqual(b64urlDecode(text), bytes);
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (text) => {
      let bytes: Uint8Array;
      try {
        bytes = b64urlDecode(text);
      } catch (error) {
        assert.ok(error instanceof DecodeError);
        return;
      }
      assert.equal(b64urlEncode(bytes), text);
    }),
    { numRuns: 1000 },
  );
});

it("base64url says which length it wanted", () => {
  assert.throws(() => b64urlDecode("AAAA", 2), /expected 2 bytes as base64url, got 3/);
  assert.equal(b64urlDecode("AAAA", 3).length, 3);
});

it("a peer id has one spelling", () => {
  assert.equal(OWN_ID.length, PEER_ID_LENGTH);
  assert.equal(b64urlEncode(parsePeerId(OWN_ID)), OWN_ID);
  assert.ok(isPeerId(OWN_ID));
  for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
    const other = OWN_ID.slice(0, -1) + character;
    // Of the 64 last characters only those without bits left over are ids, each of another key.
    assert.equal(isPeerId(other), "AEIMQUYcgkosw048".includes(character), other);
  }
  assert.ok(!isPeerId(5 as unknown as string));
});

it("lp tells fields apart, whatever is in them", () => {
  const fields = fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 4 });
  fc.assert(
    fc.property(fields, fields, (one, other) => {
      const same = JSON.stringify(one.map(b64urlEncode)) === JSON.stringify(other.map(b64urlEncode));
      assert.equal(b64urlEncode(lp(...one)) === b64urlEncode(lp(...other)), same);
    }),
  );
  assert.deepEqual(signaturePayload("d", "é"), lp("d", new TextEncoder().encode("é")));
});
