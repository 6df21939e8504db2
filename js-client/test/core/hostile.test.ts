/** A scripted hostile peer: whatever it sends, the session throws nothing, ends with a documented code or goes on, and the next one works. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import * as codes from "../../src/codes.js";
import { MessagePackCodec } from "../../src/core/codec.js";
import { notification, request, response } from "../../src/core/envelope.js";
import { buildHello, makeHello } from "../../src/core/handshake.js";
import type { Session } from "../../src/core/session.js";
import { StreamRef } from "../../src/core/values.js";
import * as limits from "../../src/limits.js";
import { unhex } from "./support/bytes.js";
import { OTHER_ID, pair, proveText, readyPair, readySession } from "./support/sessions.js";

const codec = new MessagePackCodec();
const envelopes = (...bytes: (Uint8Array | string)[]): Uint8Array =>
  new Uint8Array(Buffer.concat([Uint8Array.of(0), ...bytes.map((one) => (typeof one === "string" ? unhex(one) : one))]));

/** Feeds it all; the code with which the session ended, or null where it goes on. */
function codeAfter(session: Session, frames: readonly (Uint8Array | string)[], now = 1): number | null {
  for (const frame of frames) session.receiveData(frame, now);
  const closed = session.eventsReceived().filter((event) => event.type === "SessionClosed");
  assert.ok(closed.length <= 1);
  assert.equal(session.state === "closed", closed.length === 1);
  for (const frame of session.dataToSend(10_000_000)) assert.ok(frame.length <= 262_144);
  return closed[0]?.code ?? null;
}

const hello = (members: Partial<Parameters<typeof makeHello>[0]> = {}): string =>
  buildHello(makeHello({ key: OTHER_ID, nonce: new Uint8Array(32).fill(2), name: "other", ...members }));
const fresh = (): Session => {
  const { a } = pair();
  a.session.dataToSend(100_000);
  return a.session;
};

describe("before the proof", () => {
  const proof = proveText(new Uint8Array(64));
  const notify = '{"jsonrpc":"2.0","method":"rpc.later","params":{}}';
  const cases: [name: string, frames: (Uint8Array | string)[], code: number | null][] = [
    ["nothing but a hello", [hello()], null],
    ["a call instead of a hello", ['{"jsonrpc":"2.0","id":1,"method":"m"}'], codes.UNAUTHENTICATED],
    ["a text that is no JSON", ["hi"], codes.HANDSHAKE_FAILED],
    ["a number", ["1"], codes.UNAUTHENTICATED],
    ["bytes first", [envelopes("9301")], codes.HANDSHAKE_FAILED],
    ["bytes after the hello", [hello(), envelopes(codec.encode(request(1, "m")))], codes.HANDSHAKE_FAILED],
    ["a call after the hello", [hello(), '{"jsonrpc":"2.0","id":1,"method":"m"}'], codes.HANDSHAKE_FAILED],
    ["a second hello", [hello(), hello()], codes.HANDSHAKE_FAILED],
    ["a hello in a batch", [`[${hello()}]`], codes.UNAUTHENTICATED],
    ["a hello that wants an answer", [hello().replace('"method"', '"id":1,"method"')], codes.UNAUTHENTICATED],
    ["a hello with a key twice", [hello().replace('"level":2', '"level":2,"level":1')], codes.HANDSHAKE_FAILED],
    ["a hello with a tiny maxFrame", [hello({ maxFrame: 15 })], codes.HANDSHAKE_FAILED],
    ["a proof without signature", [hello(), '{"jsonrpc":"2.0","method":"rpc.prove"}'], codes.HANDSHAKE_FAILED],
    ["a proof with a short signature", [hello(), proveText(new Uint8Array(63))], codes.HANDSHAKE_FAILED],
    ["a proof that is a number", [hello(), '{"jsonrpc":"2.0","method":"rpc.prove","params":{"signature":1}}'], codes.HANDSHAKE_FAILED],
    ["a reserved notification that nobody knows", [hello(), notify, proof], null],
    ["its goodbye at once", ['{"jsonrpc":"2.0","method":"rpc.bye","params":{"code":0,"reason":""}}'], 0],
    ["its goodbye after the hello", [hello(), '{"jsonrpc":"2.0","method":"rpc.bye","params":{"code":-32012,"reason":"x"}}'], -32012],
    ["8 frames", [hello(), ...Array<string>(limits.HANDSHAKE_MESSAGES - 1).fill(notify)], null],
    ["9 frames", [hello(), ...Array<string>(limits.HANDSHAKE_MESSAGES).fill(notify)], codes.HANDSHAKE_FAILED],
    ["16 KiB", [hello().padEnd(limits.HANDSHAKE_BYTES)], null],
    ["16 KiB and a byte", [hello().padEnd(limits.HANDSHAKE_BYTES - 1), notify.slice(0, 2)], codes.HANDSHAKE_FAILED],
    ["a long frame", ["x".repeat(100_000)], codes.HANDSHAKE_FAILED],
  ];
  for (const [name, frames, code] of cases) {
    it(`${name}: ${code ?? "goes on"}`, () => {
      assert.equal(codeAfter(fresh(), frames), code);
    });
  }

  it(`no proof within ${limits.HANDSHAKE_SECONDS} s: deadline exceeded`, () => {
    for (const frames of [[], [hello()], [hello(), proof]]) {
      const session = fresh();
      for (const frame of frames) session.receiveData(frame, 1);
      assert.equal(session.nextTick(), limits.HANDSHAKE_SECONDS);
      session.tick(limits.HANDSHAKE_SECONDS - 0.01);
      assert.notEqual(session.state, "closed");
      session.tick(limits.HANDSHAKE_SECONDS);
      assert.equal(codeAfter(session, []), codes.DEADLINE_EXCEEDED);
    }
  });

  it("what comes while the proof is verified is held up to verifyBacklog bytes, undecoded", () => {
    const session = fresh();
    session.receiveData(hello(), 1);
    session.receiveData(proof, 1);
    const junk = new Uint8Array(16384).fill(0xc1);
    for (let held = 0; held < limits.VERIFY_BACKLOG; held += junk.length) session.receiveData(junk, 1);
    assert.equal(session.state, "verifying");
    session.receiveData("x", 1);
    assert.equal(codeAfter(session, []), codes.RESOURCE_EXHAUSTED);
  });

  it("calls that wait for the verification are never served where it fails, and are where it holds", () => {
    for (const holds of [false, true]) {
      const session = fresh();
      session.receiveData(hello(), 1);
      session.signed(new Uint8Array(64));
      session.receiveData(proof, 1);
      session.receiveData(envelopes(codec.encode(request(1, "m"))), 1);
      session.eventsReceived();
      session.verified(holds, 1);
      const types = session.eventsReceived().map(({ type }) => type);
      assert.deepEqual(types, holds ? ["SessionReady", "RequestReceived"] : ["SessionClosed"]);
    }
  });

  it("a hello that allows next to nothing harms only its sender", () => {
    const session = readySession({ theirs: makeHello({ key: OTHER_ID, nonce: new Uint8Array(32), name: "", maxMessage: 1, maxInFlight: 1, maxFrame: 16 }) });
    assert.throws(() => session.sendRequest("m", [], { now: 0 }), { name: "TooLarge" });
    assert.equal(codeAfter(session, [envelopes(codec.encode(notification("rpc.ping", { n: 1 })))]), null);
    assert.equal(codeAfter(session, [envelopes(codec.encode(request(1, "rpc.other")))]), codes.TOO_LARGE);
  });
});

describe("once ready", () => {
  const one = codec.encode(request(1, "m"));
  const cases: [name: string, frames: (Uint8Array | string)[], code: number | null][] = [
    ["an empty frame", [new Uint8Array(0)], codes.PARSE_ERROR],
    ["an envelopes frame without envelope", [envelopes()], codes.PARSE_ERROR],
    ["an unknown frame type", [Uint8Array.of(5)], codes.PARSE_ERROR],
    ["half an envelope", [envelopes(one.subarray(0, 3))], codes.PARSE_ERROR],
    ["one envelope and a half", [envelopes(one, one.subarray(0, 3))], codes.PARSE_ERROR],
    ["an envelope of an unknown type", [envelopes("940401a16d90")], codes.INVALID_REQUEST],
    ["a response with a float for an id", [envelopes("9301cb3ff000000000000001")], codes.INVALID_REQUEST],
    ["a key that stands twice", [envelopes("940001a16d9182a16101a16102")], codes.PARSE_ERROR],
    ["text that is no JSON", ["{"], null],
    ["a text with a call", ['{"jsonrpc":"2.0","id":1,"method":"m"}'], null],
    ["an unknown reserved notification", [envelopes(codec.encode(notification("rpc.later")))], null],
    ["a hello once more", [hello()], codes.INVALID_REQUEST],
    ["a frame too long", [new Uint8Array(limits.MAX_FRAME + 1)], codes.TOO_LARGE],
    ["a text too long", ["x".repeat(limits.MAX_FRAME + 1)], codes.TOO_LARGE],
    ["a pong to no ping", [envelopes(codec.encode(notification("rpc.pong", { n: 99 })))], null],
    ["a pong that is odd", [envelopes(codec.encode(notification("rpc.pong", [1])))], null],
    ["a ping that is odd", [envelopes(codec.encode(notification("rpc.ping", [1])))], null],
    ["a cancel that is odd", [envelopes(codec.encode(notification("rpc.cancel", { id: [1] })))], null],
    ["a bye that is odd", [envelopes(codec.encode(notification("rpc.bye", { code: 1.5, reason: [] })))], 0],
    ["a response to nobody", [envelopes(codec.encode(response(5, 1)))], null],
    ["more transfers than allowed", Array.from({ length: limits.MAX_TRANSFERS + 1 }, (_, i) => Uint8Array.of(1, i + 1, 0xc0)), codes.RESOURCE_EXHAUSTED],
    ["a text in parts that is not UTF-8", [Uint8Array.of(4, 1, 0xff)], codes.PARSE_ERROR],
  ];
  for (const [name, frames, code] of cases) {
    it(`${name}: ${code ?? "goes on"}`, () => {
      const session = readySession({});
      assert.equal(codeAfter(session, frames), code);
      if (code !== null) return;
      session.receiveData(envelopes(codec.encode(request(77, "m"))), 2);
      assert.deepEqual(session.eventsReceived().map(({ type }) => type), ["RequestReceived"]);
    });
  }

  it("MessagePack that was not agreed: invalid request", () => {
    assert.equal(codeAfter(readySession({ encodings: ["json"] }), [envelopes(one)]), codes.INVALID_REQUEST);
  });

  it("a transfer that stops: deadline exceeded", () => {
    const session = readySession({ config: { heartbeatInterval: 1000 } });
    session.receiveData(Uint8Array.of(1, 1, 0xc0), 5);
    assert.equal(session.nextTick(), 5 + limits.TRANSFER_SECONDS);
    session.tick(5 + limits.TRANSFER_SECONDS);
    assert.equal(codeAfter(session, []), codes.DEADLINE_EXCEEDED);
  });

  it("a message past maxMessage, and past what an anonymous peer may send: too large", () => {
    const part = new Uint8Array(limits.MAX_FRAME).fill(0xc0);
    part.set([1, 1]);
    for (const [session, most] of [
      [readySession({ config: { maxMessage: 100_000 } }), 100_000],
      [readySession({ level: 0 }), limits.MAX_MESSAGE_ANONYMOUS],
    ] as const) {
      let sent = 0;
      while (session.state === "ready") {
        session.receiveData(part, 1);
        sent += part.length - 2;
      }
      assert.ok(sent > most && sent - part.length < most);
      assert.equal(codeAfter(session, []), codes.TOO_LARGE);
    }
  });

  it("requests without end from a peer that reads no refusal: resource exhausted, with little held", () => {
    const session = readySession({ config: { maxInFlight: 1 } });
    let id = 0;
    while (session.state === "ready") {
      session.receiveData(envelopes(codec.encode(request(++id, "m"))), 1);
      assert.ok(session.queuedBytes < (1 << 20) + 1000);
    }
    assert.equal(codeAfter(session, []), codes.RESOURCE_EXHAUSTED);
    const reading = readySession({ config: { maxInFlight: 1 } });
    for (let n = 1; n < 20_000; n++) {
      reading.receiveData(envelopes(codec.encode(request(n, "m"))), 1);
      reading.dataToSend(100_000);
    }
    assert.equal(reading.state, "ready");
  });

  it("pings without end from a peer that reads no pong cost little", () => {
    const session = readySession({});
    const frame = envelopes(codec.encode(notification("rpc.ping", { n: 1 })));
    for (let i = 0; i < 10_000; i++) session.receiveData(frame, 1);
    assert.ok(session.queuedBytes < 2000);
    assert.equal(session.state, "ready");
  });

  it("text that is no JSON, where it may have been an answer: parse error", () => {
    const session = readySession({ encodings: ["json"] });
    session.receiveData("{", 1);
    assert.equal(session.state, "ready");
    session.sendRequest("m", [], { now: 1 });
    session.receiveData("{", 1);
    assert.deepEqual(session.eventsReceived().map(({ type }) => type), ["CallFailed", "SessionClosed"]);
  });

  it("a hundred thousand notifications that nobody knows leave nothing behind", () => {
    const session = readySession({});
    const frame = envelopes(codec.encode(notification("rpc.later", {})));
    for (let i = 0; i < 100_000; i++) session.receiveData(frame, 1);
    assert.deepEqual([session.eventsReceived(), session.dataToSend(1000), session.state], [[], [], "ready"]);
  });
});

describe("any frames at any time", () => {
  const name = fc.constantFrom("code", "reason", "n", "id", "token", "signature", "key", "stream", "items", "bytes", "error", "done");
  const stream = fc.integer({ min: 1, max: 3 }).map((id) => new StreamRef(id));
  const value = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.integer({ min: 1, max: 3 }), stream, fc.array(stream, { maxLength: 2 }));
  const members = fc.dictionary(name, value, { noNullPrototype: true });
  const streaming = makeHello({ key: OTHER_ID, nonce: new Uint8Array(32).fill(2), name: "other", features: new Set(["streams", "progress"]) });
  const method = fc.constantFrom("rpc.hello", "rpc.prove", "rpc.ping", "rpc.pong", "rpc.bye", "rpc.cancel", "rpc.token", "rpc.discover", "rpc.x", "m", "rpc.progress", "rpc.next", "rpc.end", "rpc.credit", "rpc.stop");
  const text = fc.oneof(
    fc.tuple(method, fc.oneof(members, fc.array(fc.jsonValue())), fc.option(fc.oneof(fc.integer(), fc.string()))).map(([name, params, id]) =>
      JSON.stringify({ jsonrpc: "2.0", method: name, params, ...(id === null ? {} : { id }) }),
    ),
    fc.json(),
    fc.string(),
    fc.constant(hello()),
    fc.constant(proveText(new Uint8Array(64))),
  );
  const binary = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.tuple(method, members).map(([name, params]) => envelopes(codec.encode(notification(name, params)))),
    fc.tuple(fc.integer({ min: 0, max: 3 }), method).map(([id, name]) => envelopes(codec.encode(request(id, name)))),
    fc.integer({ min: 0, max: 3 }).map((id) => envelopes(codec.encode(response(id, id)))),
    fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), fc.uint8Array({ maxLength: 9 })).map(([type, id, rest]) => Uint8Array.of(type, id, ...rest)),
  );
  const documented = new Set<number>(codes.CODE_NAMES.keys());

  it("throw nothing, end with a documented code at most once, and leave other sessions alone", () => {
    const start = fc.constantFrom("new", "ready", "json", "level 0");
    fc.assert(
      fc.property(start, fc.array(fc.oneof(text, binary), { maxLength: 25 }), fc.boolean(), (state, frames, holds) => {
        const session = state === "new" ? fresh() : readySession(state === "json" ? { encodings: ["json"] } : state === "ready" ? { theirs: streaming } : { level: 0 });
        let closed = 0;
        let now = 1;
        const turn = (): void => {
          for (const event of session.eventsReceived()) {
            assert.equal(closed, 0, `${event.type} after the end`);
            if (event.type === "SignRequired") session.signed(new Uint8Array(64));
            else if (event.type === "VerifyRequired") session.verified(holds, now);
            else if (event.type === "RequestReceived") session.sendResponse(event.id, event.params);
            else if (event.type === "SessionClosed") {
              closed++;
              if (event.by === "local") assert.ok(documented.has(event.code), String(event.code));
            }
          }
        };
        for (const frame of frames) {
          now += 0.1;
          session.receiveData(frame, now);
          session.tick(now);
          turn();
          session.dataToSend(1000);
        }
        session.receiveEof(now, "done");
        turn();
        turn();
        assert.equal(closed, 1);
      }),
      { numRuns: 1500 },
    );
    const { a, b, run } = readyPair();
    a.session.sendRequest("m", [], { now: 0 });
    run();
    assert.equal(b.take("RequestReceived").length, 1);
  });
});
