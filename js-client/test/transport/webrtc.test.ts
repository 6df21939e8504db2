import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { RTCPeerConnection } from "node-datachannel/polyfill";

import { ConnectionLost, ProtocolError, Unavailable } from "../../src/errors.js";
import { CHANNEL_BUFFER, MAX_CANDIDATES } from "../../src/limits.js";
import type { Candidate, Connection, ConnectionEvents } from "../../src/transport/base.js";
import { WebRtcTransport, pathFromStats } from "../../src/transport/webrtc.js";
import { until } from "../support/wait.js";

const transport = new WebRtcTransport(RTCPeerConnection);

const ends: End[] = [];

// Native threads of an open connection keep the process alive.
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end.connection.close(null)));
});

class End implements ConnectionEvents {
  readonly connection: Connection;
  readonly received: (Uint8Array | string)[] = [];
  readonly lossy: (Uint8Array | string)[] = [];
  readonly candidates: Candidate[] = [];
  readonly closes: [string, boolean][] = [];
  opened = 0;
  low = 0;
  onLow: () => void = () => undefined;
  other: End | null = null;
  constructor(by: WebRtcTransport = transport) {
    this.connection = by.create(this, []);
    ends.push(this);
  }
  channelOpened(): void {
    this.opened += 1;
  }
  messageReceived(data: Uint8Array | string): void {
    this.received.push(data);
  }
  lossyReceived(data: Uint8Array | string): void {
    this.lossy.push(data);
  }
  bufferedAmountLow(): void {
    this.low += 1;
    this.onLow();
  }
  localCandidate(candidate: Candidate | null): void {
    if (candidate !== null) {
      this.candidates.push(candidate);
      void this.other?.connection.addCandidate(candidate);
    }
  }
  connectionClosed(reason: string, clean: boolean): void {
    this.closes.push([reason, clean]);
  }
}

async function pair(by: WebRtcTransport = transport): Promise<[End, End]> {
  const [a, b] = [new End(by), new End()];
  a.other = b;
  b.other = a;
  await a.connection.acceptAnswer(await b.connection.acceptOffer(await a.connection.createOffer()));
  await until(() => a.opened === 1 && b.opened === 1, "the channel");
  return [a, b];
}

test("two ends connect, and each knows the other's fingerprint", async () => {
  const [a, b] = await pair();
  assert.deepEqual(a.connection.remoteFingerprint, b.connection.localFingerprint);
  assert.deepEqual(b.connection.remoteFingerprint, a.connection.localFingerprint);
  assert.notDeepEqual(a.connection.localFingerprint, b.connection.localFingerprint);
  assert.ok(a.connection.maxMessageSize >= 16384);
  const path = await a.connection.path();
  assert.equal(path?.relayed, false);
  assert.equal(path?.localType, "host");
  assert.equal(path?.protocol, "udp");
  assert.ok(path?.family === "ipv4" || path?.family === "ipv6");
});

test("the lossy channel carries frames both ways, and its end is not the connection's", async () => {
  const [a, b] = await pair();
  assert.ok(a.connection.lossy && b.connection.lossy);
  for (const [from, to] of [[a, b], [b, a]] as const) {
    await until(() => {
      from.connection.sendLossy(new Uint8Array(1100).fill(7));
      return to.lossy.length > 0;
    }, "a frame that may be lost");
    assert.deepEqual(to.lossy[0], new Uint8Array(1100).fill(7));
    assert.deepEqual(to.received, []);
  }
  await a.connection.close(null);
  a.connection.sendLossy(new Uint8Array(1));
});

test("a stack without a lossy channel goes without", async () => {
  class Without extends RTCPeerConnection {
    override createDataChannel(...args: Parameters<RTCPeerConnection["createDataChannel"]>): ReturnType<RTCPeerConnection["createDataChannel"]> {
      if (args[0] !== "rtcrpc") throw new Error("one channel is all there is");
      return super.createDataChannel(...args);
    }
  }
  const [a, b] = await pair(new WebRtcTransport(Without));
  assert.equal(a.connection.lossy, false);
  assert.equal(b.connection.lossy, true);
  a.connection.sendLossy(new Uint8Array(1));
  b.connection.sendLossy(new Uint8Array(1));
  b.connection.send("fine");
  a.connection.send("fine");
  await until(() => a.received.length === 1 && b.received.length === 1, "both");
  assert.deepEqual([a.lossy, b.lossy, a.closes, b.closes], [[], [], [], []]);
});

test("frames arrive whole and in order, text as text; the low mark is told", async () => {
  const [a, b] = await pair();
  const count = 1000;
  let next = 0;
  const pump = (): void => {
    while (next < count && a.connection.bufferedAmount < CHANNEL_BUFFER) {
      // A view into something larger, as frames often are: only the view may travel.
      const frame = new Uint8Array(16000).subarray(8, 15008);
      new DataView(frame.buffer, frame.byteOffset).setUint32(0, next);
      a.connection.send(next % 2 === 0 ? frame : String(next));
      next += 1;
    }
  };
  a.onLow = pump;
  pump();
  await until(() => b.received.length === count, "all frames");
  b.received.forEach((data, index) => {
    if (typeof data === "string") {
      assert.equal(data, String(index));
    } else {
      assert.equal(data.length, 15000);
      assert.equal(new DataView(data.buffer, data.byteOffset).getUint32(0), index);
    }
  });
  assert.ok(a.low > 0);
});

test("closing with a drain lets out what was sent", async () => {
  const [a, b] = await pair();
  for (let i = 0; i < 100; i++) {
    a.connection.send(new Uint8Array(16384));
  }
  a.connection.send("last");
  // What the other side does at a bye, which is the last thing that it reads.
  b.messageReceived = (data) => {
    b.received.push(data);
    if (data === "last") {
      void b.connection.close(0);
    }
  };
  await a.connection.close(5);
  await until(() => b.closes.length === 1, "the other end to notice");
  assert.equal(b.received.length, 101);
  assert.equal(b.received.at(-1), "last");
  assert.deepEqual([a.closes.length, b.closes.length, b.closes[0]?.[1]], [1, 1, true]);
  assert.throws(() => a.connection.send("more"), ConnectionLost);
});

test("a channel that was not agreed ends the connection", async () => {
  const made: RTCPeerConnection[] = [];
  class Spying extends RTCPeerConnection {
    constructor(configuration: ConstructorParameters<typeof RTCPeerConnection>[0]) {
      super(configuration);
      made.push(this);
    }
  }
  const spying = new WebRtcTransport(Spying);
  const [a, b] = [new End(), new End()];
  const hostile = spying.create(a, []);
  a.other = b;
  b.localCandidate = (candidate) => void (candidate !== null && hostile.addCandidate(candidate));
  await hostile.acceptAnswer(await b.connection.acceptOffer(await hostile.createOffer()));
  await until(() => b.opened === 1 && a.opened === 1, "the channel");
  made[0]?.createDataChannel("extra");
  await until(() => b.closes.length === 1, "the end");
  assert.match(b.closes[0]?.[0] ?? "", /not agreed/);
  assert.equal(b.closes[0]?.[1], false);
  await hostile.close(null);
});

test("a certificate other than the one described never gets a channel", async () => {
  const [a, b] = [new End(), new End()];
  a.other = b;
  b.other = a;
  const answer = await b.connection.acceptOffer(await a.connection.createOffer());
  const forged = answer.replace(/(a=fingerprint:sha-256 )(..)/i, (_all, head: string, byte: string) => head + (byte === "00" ? "01" : "00"));
  await a.connection.acceptAnswer(forged);
  await until(() => a.closes.length === 1, "the end", 20);
  assert.equal(a.opened, 0);
  assert.equal(a.closes[0]?.[1], false);
});

test("candidates that come before the description are kept, within a bound", async () => {
  const end = new End();
  for (let i = 0; i < MAX_CANDIDATES; i++) {
    await end.connection.addCandidate({ candidate: `candidate:${i} 1 UDP 1 192.0.2.1 ${i + 1} typ host`, mid: "0" });
  }
  await assert.rejects(end.connection.addCandidate({ candidate: "candidate:1 1 UDP 1 192.0.2.1 9 typ host", mid: "0" }), ProtocolError);
});

test("a description that must be refused is, and a stack's own complaint has a name", async () => {
  const end = new End();
  await assert.rejects(end.connection.acceptOffer("v=0\r\n"), ProtocolError);
  await end.connection.close(null);
  await assert.rejects(end.connection.createOffer(), ConnectionLost);
  assert.throws(() => transport.create(new End(), [{ urls: "nonsense" }]), Unavailable);
  assert.throws(() => new WebRtcTransport(), Unavailable);
});

test("the path is read from what Chromium, Firefox and libdatachannel report", () => {
  const local = { type: "local-candidate", candidateType: "host", protocol: "udp", address: "192.0.2.1" };
  const remote = { type: "remote-candidate", candidateType: "relay", protocol: "udp", address: "2001:db8::1" };
  const pair = { type: "candidate-pair", localCandidateId: "l", remoteCandidateId: "r", state: "succeeded", currentRoundTripTime: 0.025 };
  const unused = { ...pair, localCandidateId: "x", nominated: false };
  const expected = { relayed: true, localType: "host", remoteType: "relay", protocol: "udp", family: "ipv4", rtt: 25 };
  const read = (more: [string, Record<string, unknown>][]): unknown =>
    pathFromStats(new Map<string, Record<string, unknown>>([["l", local], ["r", remote], ["unused", unused], ...more]));
  assert.deepEqual(read([["p", pair], ["t", { type: "transport", selectedCandidatePairId: "p" }]]), expected);
  assert.deepEqual(read([["p", { ...pair, selected: true }]]), expected);
  assert.deepEqual(read([["p", { ...pair, nominated: true }]]), expected);
  assert.equal(read([]), null);
  assert.equal(pathFromStats(new Map()), null);
});
