import assert from "node:assert/strict";
import { test } from "node:test";

import { b64urlEncode } from "../../src/core/identity.js";
import { ProtocolError, SignalingError } from "../../src/errors.js";
import { MAX_PEERS_PER_ROOM, MAX_ROOM_LENGTH, MAX_SDP } from "../../src/limits.js";
import * as messages from "../../src/signaling/messages.js";
import { SeenSignals, type SignalMessage, encodePayload, parsePayload, parseSignal, signalParams } from "../../src/signaling/signals.js";

const id = (byte: number): string => b64urlEncode(new Uint8Array(32).fill(byte));
const ATTEMPT = b64urlEncode(new Uint8Array(16).fill(7));
const SIGNAL: SignalMessage = {
  to: id(1),
  sender: id(2),
  attempt: ATTEMPT,
  payload: '{"kind":"offer","sdp":"v=0"}',
  signature: new Uint8Array(64).fill(3),
};

test("a message is one JSON-RPC object of four kinds", () => {
  assert.deepEqual(messages.decodeMessage('{"jsonrpc":"2.0","method":"rpc.left","params":{"peer":"x"}}'), {
    type: "notification",
    method: "rpc.left",
    params: { peer: "x" },
  });
  assert.equal(messages.decodeMessage('{"jsonrpc":"2.0","id":1,"result":null}').type, "response");
  assert.equal(messages.decodeMessage('{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"no"}}').type, "error");
  assert.equal(messages.decodeMessage('{"jsonrpc":"2.0","id":1,"method":"x"}').type, "request");
  for (const text of [
    "",
    "{",
    "null",
    "[]",
    '[{"jsonrpc":"2.0","method":"x"}]',
    '{"method":"x"}',
    '{"jsonrpc":"2.0"}',
    '{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"no"}}',
    '{"jsonrpc":"2.0","id":1,"error":null}',
    " ".repeat(messages.MAX_RESULT + 1),
  ]) {
    assert.throws(() => messages.decodeMessage(text), ProtocolError, text.slice(0, 60));
  }
});

test("the authority is the Host header of the URL", () => {
  for (const [url, authority] of [
    ["wss://Example.ORG/room/lab", "example.org"],
    ["wss://example.org:443/room/lab", "example.org"],
    ["ws://example.org:80/room/lab", "example.org"],
    ["ws://example.org:443/room/lab", "example.org:443"],
    ["ws://127.0.0.1:8123/x/room/lab", "127.0.0.1:8123"],
    ["ws://[::1]:8123/room/lab", "[::1]:8123"],
  ] as const) {
    assert.equal(messages.authorityOf(url), authority);
  }
  for (const url of ["http://example.org/room/lab", "wss://", "x", "wss://user@example.org/room/lab", "wss://example.org/room/lab#x"]) {
    assert.throws(() => messages.authorityOf(url), SignalingError, url);
  }
});

test("the room is the end of the URL, decoded", () => {
  assert.equal(messages.roomOf("ws://h/room/lab"), "lab");
  assert.equal(messages.roomOf("ws://h/a/b/room/a%2Fb%20%C3%A9"), "a/b é");
  for (const url of ["ws://h/", "ws://h/room/", "ws://h/room/a/b", "ws://h/room/%ff", "ws://h/room/%00", "ws://h/lab"]) {
    assert.throws(() => messages.roomOf(url), SignalingError, url);
  }
});

test("rooms have 1 to maxRoomLength characters", () => {
  assert.equal(messages.checkRoom("é".repeat(MAX_ROOM_LENGTH)), "é".repeat(MAX_ROOM_LENGTH));
  for (const room of ["", ".", "..", "x".repeat(MAX_ROOM_LENGTH + 1), "a\nb", "\ud800", 5, null]) {
    assert.throws(() => messages.checkRoom(room), ProtocolError);
  }
});

test("the answer to a join is checked member by member", () => {
  const good = { peers: [{ peer: id(1), name: "me" }, { peer: id(2), name: "robot" }], iceServers: [{ urls: ["stun:h"] }], ttl: 60 };
  assert.deepEqual(messages.parseJoined(good, id(1)), {
    members: [{ peerId: id(2), name: "robot" }],
    iceServers: [{ urls: ["stun:h"] }],
    ttl: 60,
  });
  const full = Array.from({ length: MAX_PEERS_PER_ROOM }, () => ({ peer: id(2), name: "" }));
  assert.equal(messages.parseJoined({ peers: full }, id(1)).members.length, 1);
  for (const bad of [
    null,
    [],
    {},
    { peers: {} },
    { peers: [...full, full[0]] },
    { peers: [{ peer: "x", name: "" }] },
    { peers: [{ peer: `${id(1).slice(0, 42)}B`, name: "" }] },
    { peers: [{ peer: id(2), name: "x".repeat(65) }] },
    { peers: [{ peer: id(2), name: "\u001b[2J" }] },
    { peers: [], ttl: -1 },
    { peers: [], ttl: "60" },
    { peers: [], iceServers: [{ urls: "stun:h" }] },
    { peers: [], iceServers: [{ urls: ["https://h"] }] },
    { peers: [], iceServers: [{ urls: ["turn:h"], username: 5 }] },
    Object.create({ peers: [] }) as object,
  ]) {
    assert.throws(() => messages.parseJoined(bad, id(1)), ProtocolError, JSON.stringify(bad)?.slice(0, 80));
  }
});

test("a signal survives its form, and each member is checked", () => {
  const params = signalParams(SIGNAL);
  assert.deepEqual(parseSignal(JSON.parse(JSON.stringify(params))), SIGNAL);
  for (const change of [
    { to: "x" },
    { from: undefined },
    { attempt: "x" },
    { attempt: b64urlEncode(new Uint8Array(15)) },
    { payload: {} },
    { signature: b64urlEncode(new Uint8Array(63)) },
    { signature: `${b64urlEncode(new Uint8Array(64))}=` },
  ]) {
    assert.throws(() => parseSignal({ ...params, ...change }), ProtocolError, JSON.stringify(change));
  }
});

test("payloads are of four kinds", () => {
  for (const payload of [
    { kind: "offer", sdp: "v=0\r\n" },
    { kind: "answer", sdp: "x".repeat(MAX_SDP) },
    { kind: "candidate", candidate: "candidate:1", mid: "0" },
    { kind: "refuse", code: -32005, reason: "busy" },
  ] as const) {
    assert.deepEqual(parsePayload(encodePayload(payload)), payload);
  }
  for (const text of [
    "",
    "[]",
    "null",
    '{"kind":"bye"}',
    '{"kind":"offer"}',
    '{"kind":"offer","sdp":5}',
    `{"kind":"offer","sdp":"${"é".repeat(MAX_SDP / 2 + 1)}"}`,
    '{"kind":"candidate","candidate":"a\\nb","mid":"0"}',
    '{"kind":"candidate","candidate":"x"}',
    '{"kind":"refuse","code":"1","reason":""}',
  ]) {
    assert.throws(() => parsePayload(text), ProtocolError, text.slice(0, 60));
  }
  assert.throws(() => encodePayload({ kind: "offer", sdp: "x".repeat(MAX_SDP + 1) }), SignalingError);
});

test("replays are known, within bounds that outsiders can't fill", () => {
  const seen = new SeenSignals(2, 2, 2);
  const offer = (sender: number, attempt: string): SignalMessage => ({ ...SIGNAL, sender: id(sender), attempt });
  seen.record(offer(1, "a"), "offer");
  assert.equal(seen.isKnown(offer(1, "a"), "offer"), true);
  assert.equal(seen.isKnown(offer(2, "a"), "offer"), false, "attempts belong to their sender");
  assert.equal(seen.isKnown({ ...offer(1, "a"), signature: new Uint8Array(64) }, "offer"), true, "another signature, the same attempt");
  for (let i = 0; i < 100; i++) {
    seen.record(offer(2, String(i)), "offer");
  }
  assert.equal(seen.isKnown(offer(1, "a"), "offer"), true, "one sender can't push out another's");
  assert.equal(seen.isKnown(SIGNAL, "candidate"), false);
  seen.record(SIGNAL, "candidate");
  assert.equal(seen.isKnown(SIGNAL, "candidate"), true);
});
