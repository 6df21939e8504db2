/**
 * Peer ids and what is signed (protocol sections 1, 6, 9). No keys here: signing and verifying take WebCrypto, which answers later, so the
 * session asks its owner for both (`SignRequired`, `VerifyRequired`).
 */

import { DecodeError } from "../errors.js";

/** Characters of a peer id. */
export const PEER_ID_LENGTH = 43;

const KEY_BYTES = 32;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CODES = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
const SEXTETS = new Uint8Array(128).fill(255);
CODES.forEach((code, sextet) => {
  SEXTETS[code] = sextet;
});

const ascii = new TextDecoder();
const utf8 = new TextEncoder();

/** Unpadded base64url (RFC 4648 section 5). */
export function b64urlEncode(data: Uint8Array): string {
  const out = new Uint8Array(Math.ceil((data.length * 4) / 3));
  let at = 0;
  for (let i = 0; i < data.length; i += 3) {
    const triple = (data[i]! << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0);
    // Past the end of `out` the writes of the last group do nothing, and that is what leaves the padding away.
    out[at++] = CODES[triple >> 18]!;
    out[at++] = CODES[(triple >> 12) & 63]!;
    out[at++] = CODES[(triple >> 6) & 63]!;
    out[at++] = CODES[triple & 63]!;
  }
  return ascii.decode(out);
}

/**
 * The bytes; `DecodeError` for padding, other alphabets, non-zero trailing bits, or a wrong `length` in bytes.
 *
 * Strict, because a second spelling of the same key would be a second peer id for one peer.
 */
export function b64urlDecode(text: string, length?: number): Uint8Array {
  const rest = text.length % 4;
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let at = 0;
  let bad = rest === 1 ? 255 : 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const sextet = code < 128 ? SEXTETS[code]! : 255;
    bad |= sextet & 128;
    bits = (bits << 6) | (sextet & 63);
    if ((i & 3) !== 0) out[at++] = (bits >> (6 - 2 * (i & 3))) & 255;
  }
  const trailing = rest === 2 ? bits & 15 : rest === 3 ? bits & 3 : 0;
  if (bad !== 0 || trailing !== 0) {
    throw new DecodeError(`expected unpadded base64url, got ${JSON.stringify(text.slice(0, 64))}`);
  }
  if (length !== undefined && out.length !== length) {
    throw new DecodeError(`expected ${length} bytes as base64url, got ${out.length}`);
  }
  return out;
}

/** The 32 bytes of the public key; `DecodeError` for anything but 43 characters of base64url. */
export function parsePeerId(peerId: string): Uint8Array {
  if (typeof peerId !== "string" || peerId.length !== PEER_ID_LENGTH) {
    throw new DecodeError(`expected a peer id of ${PEER_ID_LENGTH} characters, got ${JSON.stringify(String(peerId).slice(0, 64))}`);
  }
  return b64urlDecode(peerId, KEY_BYTES);
}

/** Whether `text` is written as a peer id is. */
export function isPeerId(text: string): boolean {
  try {
    parsePeerId(text);
  } catch {
    return false;
  }
  return true;
}

/** Each field behind its length as a 4-byte big-endian integer; text as UTF-8 (protocol section 1). */
export function lp(...fields: readonly (Uint8Array | string)[]): Uint8Array {
  const parts = fields.map((field) => (typeof field === "string" ? utf8.encode(field) : field));
  const out = new Uint8Array(parts.reduce((size, part) => size + 4 + part.length, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    out.set(part, at + 4);
    at += 4 + part.length;
  }
  return out;
}

/**
 * What a signature for one purpose covers: `lp(domain, ...fields)`. The domain comes first, so that no signature made for one purpose
 * passes for another.
 */
export function signaturePayload(domain: string, ...fields: readonly (Uint8Array | string)[]): Uint8Array {
  return lp(domain, ...fields);
}
