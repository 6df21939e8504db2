import assert from "node:assert/strict";
import { test } from "node:test";

import { ProtocolError } from "../../src/errors.js";
import { MAX_CANDIDATES, MAX_SDP } from "../../src/limits.js";
import { bareCandidate, checkDescription, fingerprintOf, isOfLibdatachannel, isUsefulCandidate, withoutCandidates } from "../../src/transport/sdp.js";

const PRINT = Array.from({ length: 32 }, (_, i) => (i + 160).toString(16).toUpperCase()).join(":");
const OTHER = Array.from({ length: 32 }, () => "0C").join(":");
const SECTION = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel";

function sdp(...lines: string[]): string {
  return ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", SECTION, "a=mid:0", ...lines, ""].join("\r\n");
}

test("the sha-256 fingerprint is found, and the others are taken out", () => {
  const checked = checkDescription(sdp(`a=fingerprint:sha-512 ${OTHER}:${OTHER}`, `a=fingerprint:sha-256 ${PRINT}`, "a=setup:actpass"));
  assert.equal(checked.fingerprint.length, 32);
  assert.equal(checked.fingerprint[0], 160);
  assert.deepEqual(checked.sdp.match(/a=fingerprint.*/g), [`a=fingerprint:sha-256 ${PRINT}`]);
  assert.match(checked.sdp, /a=setup:actpass\r\n$/);
});

test("the same fingerprint twice, in either case, is one", () => {
  const twice = sdp(`a=fingerprint:sha-256 ${PRINT}`, `a=fingerprint:SHA-256 ${PRINT.toLowerCase()}`);
  assert.deepEqual(fingerprintOf(twice), checkDescription(twice).fingerprint);
});

test("a description with no sha-256 fingerprint, or with two different ones, is refused", () => {
  for (const lines of [
    [],
    [`a=fingerprint:sha-512 ${OTHER}`],
    [`a=fingerprint:sha-256 ${OTHER}`, `a=fingerprint:sha-256 ${PRINT}`],
    [`a=fingerprint:sha-256 ${PRINT}:00`],
    [`a=fingerprint:sha-256 ${PRINT.slice(3)}`],
  ]) {
    assert.throws(() => checkDescription(sdp(...lines)), ProtocolError, lines.join());
  }
});

test("what a stack might take for a fingerprint, though it is none to us, does not get through", () => {
  for (const line of [
    `a= fingerprint:sha-256 ${OTHER}`,
    `a=fingerprint :sha-256 ${OTHER}`,
    `a=Fingerprint:sha-256 ${OTHER} ${OTHER}`,
    `a=fingerprint:sha-256,${OTHER}`,
    "a=fingerprint",
  ]) {
    const checked = checkDescription(sdp(`a=fingerprint:sha-256 ${PRINT}`, line));
    assert.equal(checked.sdp.includes(OTHER), false, line);
    assert.equal(checked.sdp.match(/fingerprint/gi)?.length, 1, line);
  }
  for (const line of [`a=x\ra=fingerprint:sha-256 ${OTHER}`, `a=x\u0000a=fingerprint:sha-256 ${OTHER}`, ` a=fingerprint:sha-256 ${OTHER}`, "A=x"]) {
    assert.throws(() => checkDescription(sdp(`a=fingerprint:sha-256 ${PRINT}`, line)), ProtocolError, JSON.stringify(line));
  }
});

test("the end of the candidates is taken out, and so are candidates beyond the limit", () => {
  const candidates = Array.from({ length: MAX_CANDIDATES + 1 }, (_, i) => `a=candidate:${i} 1 udp 1 192.0.2.1 ${i + 1} typ host`);
  const checked = checkDescription(sdp(`a=fingerprint:sha-256 ${PRINT}`, ...candidates, "a=end-of-candidates"));
  assert.equal(checked.sdp.match(/a=candidate/g)?.length, MAX_CANDIDATES);
  assert.equal(checked.sdp.includes("end-of-candidates"), false);
});

test("lines may end with LF alone; they leave with CR LF", () => {
  const checked = checkDescription(sdp(`a=fingerprint:sha-256 ${PRINT}`).replaceAll("\r\n", "\n"));
  assert.equal(checked.sdp.replaceAll("\r\n", "").includes("\n"), false);
});

test("only one section, of a data channel, is taken", () => {
  const good = sdp(`a=fingerprint:sha-256 ${PRINT}`);
  for (const bad of [
    good.replace(SECTION, "m=audio 9 UDP/TLS/RTP/SAVPF 111"),
    `${good}${SECTION}\r\n`,
    good.replace(`${SECTION}\r\n`, ""),
    good.replace("v=0\r\n", ""),
    "",
  ]) {
    assert.throws(() => checkDescription(bad), ProtocolError);
  }
});

test("a description may have exactly maxSdp bytes", () => {
  const base = sdp(`a=fingerprint:sha-256 ${PRINT}`);
  const filler = (size: number): string => `${base}a=x:${"é".repeat(Math.floor((size - base.length - 6) / 2))}`;
  const size = (text: string): number => new TextEncoder().encode(text).length;
  const exact = `${filler(MAX_SDP)}${"e".repeat(MAX_SDP - size(filler(MAX_SDP)) - 2)}\r\n`;
  assert.equal(size(exact), MAX_SDP);
  checkDescription(exact);
  assert.throws(() => checkDescription(exact.replace("\r\n", "e\r\n")), ProtocolError);
});

test("candidates travel bare, and active TCP candidates not at all", () => {
  assert.equal(bareCandidate("a=candidate:1 1 UDP 1 192.0.2.1 9 typ host"), "candidate:1 1 UDP 1 192.0.2.1 9 typ host");
  assert.equal(bareCandidate("candidate:1"), "candidate:1");
  assert.equal(isUsefulCandidate("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active generation 0"), false);
  assert.equal(isUsefulCandidate("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype passive"), true);
  assert.equal(isUsefulCandidate("candidate:1 1 udp 1 192.0.2.1 9 typ host"), true);
});

test("a description can be sent without its candidates", () => {
  const bare = sdp(`a=fingerprint:sha-256 ${PRINT}`);
  const full = bare.replace("a=mid:0\r\n", "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=candidate:2 1 udp 1 192.0.2.1 9 typ host\r\n");
  assert.equal(withoutCandidates(full), bare);
  assert.equal(isOfLibdatachannel(bare), false);
  assert.equal(isOfLibdatachannel(bare.replace("o=-", "o=rtc")), true);
});
