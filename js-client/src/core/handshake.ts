/** The hello and the proof: who is there, bound to this connection and to nothing else (protocol section 6). */

import { DecodeError, HandshakeError, IdentityMismatch, VersionMismatch } from "../errors.js";
import { MAX_FRAME, MAX_IN_FLIGHT, MAX_MESSAGE, MAX_NAME_LENGTH } from "../limits.js";
import { b64urlDecode, b64urlEncode, parsePeerId, signaturePayload } from "./identity.js";

/** What keeps a proof from passing as any other signature. */
export const DOMAIN = "rtcrpc-id-v1";
/** Bytes of a nonce. */
export const NONCE_BYTES = 32;
/** The versions of the protocol that this implementation speaks. */
export const VERSIONS: readonly number[] = [1];

const MAX_WORDS = 64; // entries in a list of a hello
const MAX_FIELD = 128; // characters of a field that has no limit of its own
const LEAST_FRAME = 16; // a part's header has up to 6 bytes; a smaller frame would carry next to nothing

/** The params of `rpc.hello`; sizes in bytes, `key` a peer id, `nonce` raw. */
export interface Hello {
  readonly key: string;
  readonly nonce: Uint8Array;
  readonly name: string;
  readonly versions: readonly number[];
  readonly level: number;
  readonly features: ReadonlySet<string>;
  readonly encodings: ReadonlySet<string>;
  readonly maxFrame: number;
  readonly maxMessage: number;
  readonly maxInFlight: number;
}

/** A hello with the defaults of this implementation. */
export function makeHello(hello: Pick<Hello, "key" | "nonce" | "name"> & Partial<Hello>): Hello {
  return {
    versions: VERSIONS,
    level: 2,
    features: new Set(),
    encodings: new Set(["msgpack", "json"]),
    maxFrame: MAX_FRAME,
    maxMessage: MAX_MESSAGE,
    maxInFlight: MAX_IN_FLIGHT,
    ...hello,
  };
}

/** The text frame. Its exact bytes are what both sides sign. */
export function buildHello(hello: Hello): string {
  const params = {
    versions: hello.versions,
    key: hello.key,
    nonce: b64urlEncode(hello.nonce),
    level: hello.level,
    features: [...hello.features].sort(),
    encodings: [...hello.encodings].sort().reverse(),
    maxFrame: hello.maxFrame,
    maxMessage: hello.maxMessage,
    maxInFlight: hello.maxInFlight,
    name: hello.name,
  };
  return JSON.stringify({ jsonrpc: "2.0", method: "rpc.hello", params });
}

/** Reads the params of an `rpc.hello`; `HandshakeError` says which member is wrong. */
export function parseHello(params: unknown): Hello {
  if (typeof params !== "object" || params === null || Array.isArray(params)) throw new HandshakeError("hello: expected named params");
  const members = params as { readonly [key: string]: unknown };
  try {
    const key = text(members, "key", MAX_FIELD);
    parsePeerId(key);
    return {
      key,
      nonce: b64urlDecode(text(members, "nonce", MAX_FIELD), NONCE_BYTES),
      name: text(members, "name", MAX_NAME_LENGTH),
      versions: list(members, "versions").map((version) => integer("versions", version, 0)),
      level: integer("level", members["level"], 1),
      features: new Set(words(members, "features")),
      encodings: new Set(words(members, "encodings")),
      maxFrame: integer("maxFrame", members["maxFrame"], LEAST_FRAME),
      maxMessage: integer("maxMessage", members["maxMessage"], 1),
      maxInFlight: integer("maxInFlight", members["maxInFlight"], 1),
    };
  } catch (error) {
    throw error instanceof DecodeError ? new HandshakeError(`hello: ${error.message}`) : error;
  }
}

function text(members: { readonly [key: string]: unknown }, name: string, most: number): string {
  const value = members[name];
  if (typeof value !== "string" || (value.length > most && [...value].length > most)) {
    throw new HandshakeError(`hello: expected ${name} to be text of at most ${most} characters`);
  }
  return value;
}

function list(members: { readonly [key: string]: unknown }, name: string): unknown[] {
  const value = members[name];
  if (!Array.isArray(value) || value.length > MAX_WORDS) {
    throw new HandshakeError(`hello: expected ${name} to be a list of at most ${MAX_WORDS}`);
  }
  return value;
}

function words(members: { readonly [key: string]: unknown }, name: string): string[] {
  return list(members, name).map((word) => {
    if (typeof word !== "string") throw new HandshakeError(`hello: expected ${name} to be a list of texts`);
    return word;
  });
}

function integer(name: string, value: unknown, least: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least) {
    throw new HandshakeError(`hello: expected ${name} to be an integer of at least ${least}`);
  }
  return value;
}

/**
 * Whether to go on with this peer, before anything is signed; the version to speak.
 *
 * `HandshakeError` for our own key or nonce, `IdentityMismatch` for a key that is not pinned where there are pins, `VersionMismatch` for no
 * common version.
 */
export function checkHello(ours: Hello, theirs: Hello, pin: ReadonlySet<string> | null): number {
  if (theirs.key === ours.key || b64urlEncode(theirs.nonce) === b64urlEncode(ours.nonce)) {
    throw new HandshakeError("hello: expected another peer's key and nonce, got our own back: somebody reflects our messages");
  }
  if (pin !== null && !pin.has(theirs.key)) {
    throw new IdentityMismatch(
      `expected the key ${[...pin].sort().join(" or ") || "(none)"}, got ${theirs.key}; ` +
        "if the peer has a new key, get a new link from its owner; else somebody poses as it",
    );
  }
  const common = ours.versions.filter((version) => theirs.versions.includes(version));
  if (common.length === 0) {
    throw new VersionMismatch(
      `expected one of the protocol versions ${ours.versions.join(", ")}, got ${theirs.versions.slice(0, 8).join(", ") || "none"}; ` +
        "update the older side",
    );
  }
  return Math.max(...common);
}

/** Whether envelopes go as MessagePack once both have proved themselves; otherwise as JSON. */
export function speaksMessagePack(ours: Hello, theirs: Hello): boolean {
  return ours.encodings.has("msgpack") && theirs.encodings.has("msgpack");
}

/** `A` for the smaller peer id. (Ids are ASCII, where the order of strings is the order of bytes.) */
export function roleOf(ownKey: string, peerKey: string): "A" | "B" {
  return ownKey < peerKey ? "A" : "B";
}

/** One side of a handshake, as both sides know it. */
export interface Side {
  /** The peer id. */
  readonly key: string;
  readonly nonce: Uint8Array;
  /** The SHA-256 of its DTLS certificate, 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** The text frame of its hello, as it was sent. */
  readonly hello: string;
}

/** T, what `signer` signs, `other` being the peer it proves itself to. */
export function transcript(signer: Side, other: Side, room: string): Uint8Array {
  const role = roleOf(signer.key, other.key);
  const [a, b] = role === "A" ? [signer, other] : [other, signer];
  return signaturePayload(
    DOMAIN,
    role,
    parsePeerId(signer.key),
    parsePeerId(other.key),
    a.nonce,
    b.nonce,
    a.fingerprint,
    b.fingerprint,
    room,
    a.hello,
    b.hello,
  );
}
