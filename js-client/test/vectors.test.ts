/** Every case of `schemas/vectors` that is about the core; `schemas/vectors/README.md` says what each asks for. */

import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { JsonCodec, MessagePackCodec } from "../src/core/codec.js";
import { type Envelope, errorResponse, type Message, notification, request, response } from "../src/core/envelope.js";
import { FrameReader } from "../src/core/frames.js";
import { checkHello, makeHello, parseHello, roleOf, type Side, speaksMessagePack, transcript } from "../src/core/handshake.js";
import { b64urlDecode, b64urlEncode, lp, parsePeerId, signaturePayload } from "../src/core/identity.js";
import { Invite } from "../src/core/invite.js";
import { Session } from "../src/core/session.js";
import { decodeVarint, encodeVarint } from "../src/core/varint.js";
import { DecodeError, InviteError, ProtocolError, RtcRpcError } from "../src/errors.js";
import { verifySignature } from "../src/identity.js";
import { MAX_METHOD_LENGTH } from "../src/limits.js";
import { authorityOf, joinPayload, roomOf } from "../src/signaling/messages.js";
import { parsePayload, parseSignal, signalPayload } from "../src/signaling/signals.js";
import { hex, unhex } from "./core/support/bytes.js";
import { readySession } from "./core/support/sessions.js";

// The files are our own; each test reads the members that its group is documented to have.
type Case = any;

function load(name: string): Record<string, Case[]> & { methods?: unknown } {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`../../schemas/vectors/${name}.json`, import.meta.url)), "utf8"));
}

function each(file: string, group: string, run: (c: Case) => void | Promise<void>): void {
  const cases = load(file)[group];
  assert.ok(cases !== undefined && cases.length > 0, `${file}.json has no group ${group}`);
  describe(`${file}.${group}`, () => {
    for (const c of cases) it(c.name, () => run(c));
  });
}

function signWith(seed: string, payload: Uint8Array): Uint8Array {
  // PKCS #8 of an Ed25519 key is this header and the seed (RFC 8410 section 7).
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex");
  return new Uint8Array(sign(null, payload, createPrivateKey({ key: der, format: "der", type: "pkcs8" })));
}

const json = new JsonCodec();
const msgpack = new MessagePackCodec();

const inJson = (value: string): string => `{"jsonrpc":"2.0","id":1,"result":${value}}`;
const inMessagePack = (value: string): Uint8Array => unhex(`930101${value}`);
const resultOf = (envelopes: Envelope[]): unknown => {
  assert.equal(envelopes.length, 1);
  assert.equal(envelopes[0]!.type, "Response");
  return (envelopes[0] as { result: unknown }).result;
};

/** The JSON of a value with everything free of choice taken out. */
const plain = (text: string): unknown => JSON.parse(text);

function staysGood(): void {
  assert.deepEqual(resultOf(json.decode(inJson("[1]"))), [1]);
  assert.deepEqual(resultOf(msgpack.decode(inMessagePack("9101"))), [1]);
}

each("values", "valid", (c) => {
  const fromJson = resultOf(json.decode(inJson(c.json)));
  const fromMessagePack = resultOf(msgpack.decode(inMessagePack(c.msgpack)));
  assert.deepStrictEqual(fromJson, fromMessagePack);
  if (c.millisecondClock !== undefined) {
    assert.equal((fromJson as Date).toISOString(), c.millisecondClock);
    return;
  }
  const written = c.oneNumberType ?? c;
  assert.equal(hex(msgpack.encode(response(1, fromJson))), `930101${written.msgpack}`);
  assert.deepStrictEqual(plain(json.encode(response(1, fromJson))), plain(inJson(written.json)));
});

each("values", "readable", (c) => {
  const expected = resultOf(json.decode(inJson(c.value)));
  const got = c.json === undefined ? msgpack.decode(inMessagePack(c.msgpack)) : json.decode(inJson(c.json));
  assert.deepStrictEqual(resultOf(got), expected);
});

each("values", "refusedJson", (c) => {
  assert.throws(() => json.decode(inJson(c.json)), DecodeError);
  staysGood();
});

each("values", "refusedMessagePack", (c) => {
  assert.throws(() => msgpack.decode(inMessagePack(c.msgpack)), DecodeError);
  staysGood();
});

function envelopeOf({ type, id, method, params, meta, result, code, message, data }: Case): Message {
  switch (type) {
    case "request":
      return request(id, method, params, meta);
    case "response":
      return response(id, result);
    case "error":
      return errorResponse(id, code, message, data);
    default:
      return notification(method, params, meta);
  }
}

/** Maps without prototype compare as those of the vectors. */
const ordinary = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

each("envelopes", "valid", (c) => {
  const envelope = envelopeOf(c.envelope);
  assert.deepStrictEqual(ordinary(json.decode(c.json)), [ordinary(envelope)]);
  assert.deepStrictEqual(ordinary(msgpack.decode(unhex(c.msgpack))), [ordinary(envelope)]);
  assert.deepStrictEqual(plain(json.encode(envelope)), plain(c.json));
  assert.equal(hex(msgpack.encode(envelope)), c.msgpack);
});

each("envelopes", "readable", (c) => {
  const got = c.json === undefined ? msgpack.decode(unhex(c.msgpack)) : json.decode(c.json);
  assert.deepStrictEqual(ordinary(got), [ordinary(envelopeOf(c.envelope))]);
});

each("envelopes", "refusedJson", (c) => {
  if (c.code === -32700) {
    assert.throws(() => json.decode(c.json), { code: -32700 });
  } else {
    const [got, ...rest] = json.decode(c.json);
    assert.deepEqual(rest, []);
    assert.equal(got?.type, "Malformed");
    assert.deepStrictEqual([(got as { code: number }).code, (got as { id: unknown }).id], [c.code, c.id]);
  }
  staysGood();
});

each("envelopes", "refusedMessagePack", (c) => {
  assert.throws(() => msgpack.decode(unhex(c.msgpack)), { code: c.code, constructor: DecodeError });
  staysGood();
});

each("frames", "varints", (c) => {
  assert.equal(hex(encodeVarint(c.value)), c.hex);
  assert.deepEqual(decodeVarint(unhex(c.hex), 0, 2 ** 32 - 1), [c.value, c.hex.length / 2]);
});

const frameOf = (frame: Case): Uint8Array | string => frame.text ?? unhex(frame.hex);
const messageOf = (message: Uint8Array | string): Case => (typeof message === "string" ? { text: message } : { hex: hex(message) });

each("frames", "valid", (c) => {
  const reader = new FrameReader(c.limits);
  const messages = c.frames.map((frame: Case) => reader.feed(frameOf(frame), 0)).filter((message: unknown) => message !== null);
  assert.deepEqual(messages.map(messageOf), c.messages);
  assert.equal(reader.held, 0);
});

each("frames", "refused", (c) => {
  const reader = new FrameReader(c.limits);
  const messages: Case[] = [];
  const feed = (frame: Case): void => {
    const message = reader.feed(frameOf(frame), 0);
    if (message !== null) messages.push(messageOf(message));
  };
  for (const frame of c.frames.slice(0, -1)) feed(frame);
  assert.throws(() => feed(c.frames.at(-1)), (error) => error instanceof ProtocolError && error.code === c.code);
  assert.deepEqual(messages, c.messages);
});

each("identity", "keys", (c) => {
  assert.equal(b64urlEncode(unhex(c.public)), c.peerId);
  assert.equal(hex(parsePeerId(c.peerId)), c.public);
});
each("identity", "order", (c) => {
  assert.equal(roleOf(c.a, c.b), "A");
  assert.equal(roleOf(c.b, c.a), "B");
});
each("identity", "refusedPeerIds", (c) => {
  assert.throws(() => parsePeerId(c.text), DecodeError);
});
each("identity", "base64url", (c) => {
  assert.equal(b64urlEncode(unhex(c.hex)), c.text);
  assert.equal(hex(b64urlDecode(c.text)), c.hex);
});
each("identity", "refusedBase64url", (c) => {
  assert.throws(() => b64urlDecode(c.text), DecodeError);
});
each("identity", "lp", (c) => {
  assert.equal(hex(lp(...c.fields.map(unhex))), c.hex);
});
each("identity", "signatures", async (c) => {
  const payload = signaturePayload(c.domain, ...c.fields.map(unhex));
  assert.equal(hex(payload), c.payload);
  assert.equal(b64urlEncode(signWith(c.seed, payload)), c.signature);
  assert.equal(await verifySignature(c.peerId, payload, b64urlDecode(c.signature)), true);
});
each("identity", "refusedSignatures", async (c) => {
  const payload = signaturePayload(c.domain, ...c.fields.map(unhex));
  assert.equal(await verifySignature(c.peerId, payload, b64urlDecode(c.signature)), false);
});

const sideOf = (peer: Case): Side => ({
  key: peer.peerId,
  nonce: unhex(peer.nonce),
  fingerprint: unhex(peer.fingerprint),
  hello: peer.hello,
});

each("handshake", "proofs", async (c) => {
  const [a, b] = [sideOf(c.a), sideOf(c.b)];
  assert.equal(roleOf(a.key, b.key), "A");
  assert.equal(hex(transcript(a, b, c.room)), c.transcriptA);
  assert.equal(hex(transcript(b, a, c.room)), c.transcriptB);
  assert.equal(await verifySignature(a.key, transcript(a, b, c.room), b64urlDecode(c.signatureA)), true);
  assert.equal(await verifySignature(b.key, transcript(b, a, c.room), b64urlDecode(c.signatureB)), true);
  assert.equal(hex(parseHello((json.decode(b.hello)[0] as { params: unknown }).params).nonce), c.b.nonce);
});

/** The session of a peer of the vectors, its hello already on its way. */
function sessionOf(peer: Case, { room = "lab", pin = null, remote = "00".repeat(32) }: Case): Session {
  const session = new Session({
    peerId: peer.peerId,
    name: "robot",
    room,
    entropy: () => unhex(peer.nonce),
    now: 0,
    pin,
    localFingerprint: unhex(peer.fingerprint),
    remoteFingerprint: unhex(remote),
    maxMessageSize: 262144,
  });
  session.dataToSend(1);
  return session;
}

each("handshake", "refusedProofs", async (c) => {
  const [{ a, b, room }] = load("handshake")["proofs"] as [Case];
  const session = sessionOf(a, { room, remote: b.fingerprint });
  session.receiveData(b.hello, 0);
  session.receiveData(JSON.stringify({ jsonrpc: "2.0", method: "rpc.prove", params: { signature: c.signature } }), 0);
  for (const event of session.eventsReceived()) {
    if (event.type === "VerifyRequired") {
      session.verified(await verifySignature(b64urlEncode(event.key), event.payload, event.signature), 0);
    }
  }
  assert.equal(session.state, "closed");
  assert.deepEqual(session.eventsReceived().filter(({ type }) => type === "SessionReady"), []);
});

each("handshake", "negotiated", (c) => {
  const [{ a, b }] = load("handshake")["proofs"] as [Case];
  const helloOf = (peer: Case, members: Case) => parseHello({ ...JSON.parse(peer.hello).params, ...members });
  const [ours, theirs] = [helloOf(a, c.ours), helloOf(b, c.theirs)];
  assert.equal(checkHello(ours, theirs, null), c.version);
  assert.equal(speaksMessagePack(ours, theirs) ? "msgpack" : "json", c.encoding);
  if (c.sendFrame !== undefined) {
    const session = readySession({ config: { maxFrame: ours.maxFrame }, theirs: makeHello({ ...theirs, name: "b" }) });
    session.sendRequest("echo", ["x".repeat(100_000)], { now: 0 });
    const sizes = session.dataToSend(1_000_000).map((frame) => frame.length);
    assert.equal(Math.max(...sizes), c.sendFrame);
  }
});

each("handshake", "refusedHellos", (c) => {
  const session = sessionOf(c.own, { pin: c.pin });
  session.receiveData(c.hello, 0);
  const events = session.eventsReceived();
  assert.deepEqual(events.map(({ type }) => type), ["SessionClosed"]);
  const [closed] = events as [Case];
  assert.deepEqual([closed.code, closed.by], [c.code, "local"]);
  const [bye] = session.dataToSend(1) as [string];
  assert.deepEqual([JSON.parse(bye).method, JSON.parse(bye).params.code], ["rpc.bye", c.code]);
});

each("signaling", "authorities", (c) => {
  assert.equal(authorityOf(c.url), c.authority);
  assert.equal(roomOf(c.url), c.room);
});
each("signaling", "joins", async (c) => {
  const payload = joinPayload(b64urlDecode(c.nonce), c.room, c.authority);
  assert.equal(hex(payload), c.payload);
  assert.equal(b64urlEncode(signWith(c.seed, payload)), c.proof);
});
each("signaling", "signals", async (c) => {
  const signal = parseSignal(c.params);
  const payload = signalPayload(c.room, signal);
  assert.equal(hex(payload), c.signed);
  assert.equal(await verifySignature(signal.sender, payload, signal.signature), true);
});
each("signaling", "refusedSignals", async (c) => {
  let signal;
  try {
    signal = parseSignal(c.params);
  } catch (error) {
    assert.ok(error instanceof RtcRpcError);
    return;
  }
  assert.equal(await verifySignature(signal.sender, signalPayload(c.room, signal), signal.signature), false);
});
each("signaling", "payloads", (c) => {
  parsePayload(c.payload);
});
each("signaling", "refusedPayloads", (c) => {
  assert.throws(() => parsePayload(c.payload), RtcRpcError);
});

/** What the peer of the specification's examples serves. */
function serve(method: string, params: Case): unknown {
  switch (method) {
    case "subtract":
      return Array.isArray(params) ? params[0] - params[1] : params.minuend - params.subtrahend;
    case "sum":
      return params.reduce((sum: number, item: number) => sum + item, 0);
    case "get_data":
      return ["hello", 5];
    default:
      return undefined;
  }
}

const answersOf = (response: Case): Case[] => {
  const shorn = (Array.isArray(response) ? response : [response]).map((answer) =>
    answer.error === undefined ? answer : { ...answer, error: { code: answer.error.code } },
  );
  return shorn.map((answer) => JSON.stringify(Object.entries(answer).sort())).sort();
};

each("jsonrpc", "exchanges", (c) => {
  for (const session of [readySession({ level: 0 }), readySession({ encodings: ["json"] }), readySession({})]) {
    session.receiveData(c.request, 1);
    for (const event of session.eventsReceived()) {
      if (event.type !== "RequestReceived") continue;
      const result = serve(event.method, event.params);
      if (result === undefined) session.sendError(event.id, -32601, "Method not found");
      else session.sendResponse(event.id, result);
    }
    assert.equal(session.state, "ready");
    const sent = session.dataToSend(100_000);
    assert.equal(sent.length, c.response === null ? 0 : 1);
    if (c.response !== null) {
      const answer = JSON.parse(sent[0] as string);
      assert.equal(Array.isArray(answer), Array.isArray(c.response));
      assert.deepEqual(answersOf(answer), answersOf(c.response));
    }
  }
});

describe("jsonrpc.exchanges, as the client", () => {
  for (const c of load("jsonrpc")["exchanges"] as Case[]) {
    if (c.response === null || Array.isArray(c.response) || c.response.id === null) continue;
    it(c.name, () => {
      const session = readySession({ encodings: ["json"] });
      const { method, params = [] } = JSON.parse(c.request);
      const id = session.sendRequest(method, params, { now: 0 });
      session.receiveData(JSON.stringify({ ...c.response, id, ...(c.response.error && { error: { message: "no", ...c.response.error } }) }), 1);
      const [event] = session.eventsReceived() as [Case];
      if (c.response.error === undefined) assert.deepEqual([event.type, event.id, event.result], ["ResponseReceived", id, c.response.result]);
      else assert.deepEqual([event.type, event.id, event.error.code], ["ErrorReceived", id, c.response.error.code]);
    });
  }
});

each("invites", "valid", (c) => {
  const invite = Invite.parse(c.link);
  assert.deepEqual(
    { url: invite.url, room: invite.room, pin: invite.pin, peerName: invite.name, token: invite.token },
    { url: c.url, room: c.room, pin: c.pin, peerName: c.peerName, token: c.token },
  );
  const again = Invite.parse(invite.toLink("https://page.example/where/"));
  assert.deepEqual({ ...again }, { ...invite });
});
each("invites", "refused", (c) => {
  assert.throws(() => Invite.parse(c.link), InviteError);
});

it("the longest method of the vectors is maxMethodLength characters", () => {
  const longest = (load("envelopes")["valid"] as Case[]).map(({ envelope }) => [...(envelope.method ?? "")].length);
  assert.equal(Math.max(...longest), MAX_METHOD_LENGTH);
});
