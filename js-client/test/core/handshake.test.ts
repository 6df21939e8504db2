import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import { type Side, transcript } from "../../src/core/handshake.js";
import { b64urlEncode } from "../../src/core/identity.js";
import { fingerprint, key, pair, proveText, readyPair, readySession } from "./support/sessions.js";

const side = (seed: number): Side => ({
  key: key(seed).peerId,
  nonce: new Uint8Array(32).fill(seed),
  fingerprint: fingerprint(seed),
  hello: `hello ${seed}`,
});

describe("the transcript", () => {
  it("differs for each signer, and in every field", () => {
    const [one, other] = [side(1), side(2)];
    const seen = new Set([b64urlEncode(transcript(one, other, "lab")), b64urlEncode(transcript(other, one, "lab"))]);
    for (const changed of [
      { ...one, key: key(3).peerId },
      { ...one, nonce: new Uint8Array(32) },
      { ...one, fingerprint: fingerprint(9) },
      { ...one, hello: "hello" },
    ]) {
      seen.add(b64urlEncode(transcript(changed, other, "lab")));
      seen.add(b64urlEncode(transcript(other, changed, "lab")));
    }
    seen.add(b64urlEncode(transcript(one, other, "lobby")));
    assert.equal(seen.size, 11);
  });
});

describe("two peers", () => {
  it("prove their keys to each other and learn what the other is", () => {
    const { a, b, run } = pair();
    run();
    assert.deepEqual([a.session.state, b.session.state], ["ready", "ready"]);
    const [ready] = a.take("SessionReady");
    assert.deepEqual(
      { ...ready!.peer, features: [...ready!.peer.features].sort() },
      { peerId: key(2).peerId, name: "b", level: 2, features: ["cancel", "parts", "progress", "streams"], version: 1 },
    );
    assert.equal(b.session.remote?.name, "a");
  });

  it("go on when the pins fit", () => {
    readyPair({ pins: [key(2).peerId, key(1).peerId] });
  });

  it("stop before any signature where the key is not the pinned one, and both sides say so", () => {
    const { a, b, run } = pair({ pins: [key(3).peerId, null] });
    run();
    const [ours] = a.take("SessionClosed");
    assert.deepEqual([ours!.code, ours!.by, ours!.error.name], [-32012, "local", "IdentityMismatch"]);
    assert.deepEqual(a.take("SignRequired"), []);
    const [theirs] = b.take("SessionClosed");
    assert.deepEqual([theirs!.code, theirs!.by, theirs!.error.name], [-32012, "remote", "IdentityMismatch"]);
    assert.match(theirs!.reason, /expected the key/);
  });

  it("refuse each other in different rooms", () => {
    const { a, b, run } = pair({ rooms: ["lab", "lobby"] });
    run();
    for (const end of [a, b]) assert.deepEqual(end.take("SessionReady"), []);
    assert.deepEqual([a.session.state, b.session.state], ["closed", "closed"]);
  });

  it("refuse each other through a relay with certificates of its own, and no call is sent", () => {
    const { a, b, run } = pair({ seen: [fingerprint(7), fingerprint(8)] });
    run();
    for (const end of [a, b]) {
      assert.equal(end.session.state, "closed");
      assert.deepEqual(end.take("SessionReady"), []);
      assert.equal(end.take("SessionClosed")[0]!.error.name, "HandshakeError");
      assert.throws(() => end.session.sendRequest("add", [1, 2], { now: 0 }), { name: "ConnectionLost", ran: false });
    }
  });

  it("are not fooled by one bit flipped in a hello or a proof", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 6 }), fc.boolean(), (place, bit, inProof) => {
        const { a, b } = pair();
        const flip = (frame: string): string => {
          const at = place % frame.length;
          return frame.slice(0, at) + String.fromCharCode(frame.charCodeAt(at) ^ (1 << bit)) + frame.slice(at + 1);
        };
        const [hello] = a.session.dataToSend(1) as [string];
        b.session.receiveData(inProof ? hello : flip(hello), 0);
        a.session.receiveData(b.session.dataToSend(1)[0]!, 0);
        for (const end of [a, b]) end.turn(0);
        const [prove] = a.session.dataToSend(1) as [string];
        const frame = inProof ? flip(prove) : prove;
        b.session.receiveData(frame, 0);
        b.turn(0);
        if (frame !== prove || !inProof) assert.deepEqual(b.take("SessionReady"), []);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a proof", () => {
  it("is not sent before the hello was read, and no call before the other's proof holds", () => {
    const { a } = pair();
    assert.deepEqual((a.session.dataToSend(100_000) as string[]).map((frame) => JSON.parse(frame).method), ["rpc.hello"]);
    assert.throws(() => a.session.sendRequest("add", [], { now: 0 }), /no session/);
    assert.throws(() => a.session.sendNotification("add", []), /no session/);
    assert.throws(() => a.session.sendToken("t"), /no session/);
  });

  it("reflected is refused", () => {
    const { a, b } = pair();
    a.session.receiveData(b.session.dataToSend(1)[0]!, 0);
    a.turn(0);
    const [, prove] = a.session.dataToSend(100_000) as [string, string];
    a.session.receiveData(prove, 0);
    a.turn(0);
    assert.equal(a.take("SessionClosed")[0]!.code, -32011);
  });

  it("recorded is refused in another session of the same two", () => {
    const first = pair();
    first.a.session.receiveData(first.b.session.dataToSend(1)[0]!, 0);
    first.b.session.receiveData(first.a.session.dataToSend(1)[0]!, 0);
    first.b.turn(0);
    const [recorded] = first.b.session.dataToSend(1) as [string];
    assert.equal(JSON.parse(recorded).method, "rpc.prove");
    const { a, b } = pair();
    a.session.receiveData(b.session.dataToSend(1)[0]!, 0);
    a.turn(0);
    a.session.receiveData(recorded, 0);
    a.turn(0);
    assert.equal(a.take("SessionClosed")[0]!.code, -32011);
  });

  it("may come before our own signature is made: the session waits for it", () => {
    const { a, b } = pair();
    a.session.receiveData(b.session.dataToSend(1)[0]!, 0);
    b.session.receiveData(a.session.dataToSend(1)[0]!, 0);
    b.turn(0);
    a.session.receiveData(b.session.dataToSend(1)[0]!, 0);
    const [sign, verify] = a.session.eventsReceived();
    assert.deepEqual([sign?.type, verify?.type], ["SignRequired", "VerifyRequired"]);
    a.session.verified(true, 0);
    assert.equal(a.session.state, "signing");
    a.session.signed(new Uint8Array(64));
    assert.equal(a.session.state, "ready");
    a.session.signed(new Uint8Array(64));
    a.session.verified(false, 0);
    assert.equal(a.session.state, "ready");
  });

  it("that comes twice ends the session", () => {
    const session = readySession({});
    session.receiveData(proveText(new Uint8Array(64)), 1);
    const [closed] = session.eventsReceived();
    assert.ok(closed?.type === "SessionClosed" && closed.code === -32600);
  });
});
