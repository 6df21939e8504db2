/**
 * Session descriptions as text (RFC 8866, RFC 8839, RFC 8122): what of the other side's description is kept before a stack sees it, and
 * the fingerprints in it. Pure functions.
 */

import { MAX_CANDIDATES, MAX_SDP } from "../limits.js";
import { ProtocolError } from "../errors.js";

/** A description that may be applied, and the one certificate fingerprint that is in it (SHA-256, 32 bytes). */
export interface CheckedDescription {
  readonly sdp: string;
  readonly fingerprint: Uint8Array;
}

const FINGERPRINT = /^a=fingerprint:sha-256[ \t]+([0-9a-f]{2}(?::[0-9a-f]{2}){31})[ \t]*$/i;
const LINE = /^[a-z]=/;
// Anything but tab and printable characters. A lone CR is the end of a line to one parser and part of it to another, so a
// fingerprint could hide behind it.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/**
 * The other side's description without what must not be applied (protocol sections 3 and 9): fingerprints other than sha-256 and
 * `a=end-of-candidates` are taken out, candidates beyond `MAX_CANDIDATES` too.
 *
 * Throws `ProtocolError` when it is longer than `MAX_SDP` bytes, is no SDP, holds anything but one data channel section, or when
 * there is no sha-256 fingerprint, or two different ones.
 */
export function checkDescription(sdp: string): CheckedDescription {
  const lines = splitLines(sdp);
  const fingerprint = singleFingerprint(lines);
  const kept: string[] = [];
  let candidates = 0;
  for (const line of lines) {
    const name = attributeName(line);
    if (name === "end-of-candidates") {
      continue;
    }
    if (name === "candidate" && ++candidates > MAX_CANDIDATES) {
      continue;
    }
    // What a stack might read as a fingerprint though we don't goes as well: only lines we have understood are left.
    if (name === "fingerprint" && !FINGERPRINT.test(line)) {
      continue;
    }
    kept.push(line);
  }
  const sections = kept.filter((line) => line.startsWith("m="));
  if (sections.length !== 1 || !/^m=application [0-9]+ [A-Z/]*DTLS\/SCTP webrtc-datachannel$/.test(sections[0] ?? "")) {
    throw new ProtocolError(
      `expected a description with one section, m=application … DTLS/SCTP webrtc-datachannel, got ${shown(sections.join(" | "))}`,
    );
  }
  return { sdp: kept.join("\r\n") + "\r\n", fingerprint };
}

/** The one sha-256 fingerprint in a description, 32 bytes. `ProtocolError` when there is none, or two different ones. */
export function fingerprintOf(sdp: string): Uint8Array {
  return singleFingerprint(splitLines(sdp));
}

/** A description without its candidates. */
export function withoutCandidates(sdp: string): string {
  return sdp.replace(/^a=candidate:.*\r?\n/gm, "");
}

/** Whether libdatachannel wrote a description: its sessions belong to the user `rtc`. */
export function isOfLibdatachannel(sdp: string): boolean {
  return /^o=rtc /m.test(sdp);
}

/** A candidate line as it travels: without `a=` in front, which one stack adds and others refuse. */
export function bareCandidate(line: string): string {
  return line.startsWith("a=") ? line.slice(2) : line;
}

/**
 * Whether a local candidate is worth sending. An active TCP candidate can only meet a passive one, which no browser has; those of
 * Chromium and Firefox would use up half of the other side's `MAX_CANDIDATES`.
 */
export function isUsefulCandidate(line: string): boolean {
  return !/ tcptype active(?: |$)/i.test(line);
}

function splitLines(sdp: string): string[] {
  const size = new TextEncoder().encode(sdp).length;
  if (size > MAX_SDP) {
    throw new ProtocolError(`expected a description of at most ${MAX_SDP} bytes, got ${size}`);
  }
  const lines = sdp.split(/\r?\n/);
  while (lines.at(-1) === "") {
    lines.pop();
  }
  for (const line of lines) {
    if (!LINE.test(line) || CONTROL.test(line)) {
      throw new ProtocolError(`expected lines of SDP such as a=mid:0, got ${shown(line)}`);
    }
  }
  if (lines[0] !== "v=0") {
    throw new ProtocolError(`expected a description that starts with v=0, got ${shown(lines[0] ?? "")}`);
  }
  return lines;
}

function attributeName(line: string): string {
  return (/^a=[ \t]*([^: \t]*)/i.exec(line)?.[1] ?? "").toLowerCase();
}

function singleFingerprint(lines: readonly string[]): Uint8Array {
  const found = new Set<string>();
  for (const line of lines) {
    const match = FINGERPRINT.exec(line);
    if (match?.[1] !== undefined) {
      found.add(match[1].toLowerCase());
    }
  }
  const [only] = found;
  if (only === undefined || found.size > 1) {
    throw new ProtocolError(`expected one sha-256 fingerprint in the description, got ${found.size} different ones`);
  }
  return Uint8Array.from(only.split(":"), (pair) => parseInt(pair, 16));
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
