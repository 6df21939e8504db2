/** Sessions for tests: one that is ready, with the test playing the other side; and two joined, with real keys. */

import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from "node:crypto";

import type { SessionEvent } from "../../../src/core/events.js";
import { buildHello, type Hello, makeHello } from "../../../src/core/handshake.js";
import { b64urlEncode } from "../../../src/core/identity.js";
import { Session, type SessionConfig } from "../../../src/core/session.js";

export const [OWN_ID, OTHER_ID] = [key(1).peerId, key(2).peerId];

/** An Ed25519 key made from a small number. */
export function key(seed: number): { readonly peerId: string; readonly privateKey: KeyObject } {
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, seed)]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return { peerId: createPublicKey(privateKey).export({ format: "jwk" }).x!, privateKey };
}

/** SHA-256 of nothing in particular. */
export function fingerprint(seed: number): Uint8Array {
  return new Uint8Array(32).fill(seed);
}

interface ReadyOptions {
  readonly config?: Partial<SessionConfig>;
  /** The other side's encodings. */
  readonly encodings?: readonly string[];
  /** 0: the other side is a peer of level 0. */
  readonly level?: number;
  /** The other side's hello, instead of a usual one. */
  readonly theirs?: Hello;
}

/** A session that is ready at time 0, its events and its first frames taken. The test speaks for the other side. */
export function readySession({ config = {}, encodings = ["msgpack", "json"], level = 2, theirs }: ReadyOptions): Session {
  const session = new Session({
    peerId: OWN_ID,
    name: "own",
    room: "lab",
    config: { allowAnonymous: level === 0, ...config },
    entropy: (size) => new Uint8Array(size).fill(1),
    now: 0,
    localFingerprint: fingerprint(1),
    remoteFingerprint: fingerprint(2),
    maxMessageSize: 262144,
  });
  if (level === 0) {
    session.receiveData('{"jsonrpc":"2.0","method":"hello"}', 0);
  } else {
    const hello = makeHello({ key: OTHER_ID, nonce: new Uint8Array(32).fill(2), name: "other", encodings: new Set(encodings) });
    session.receiveData(buildHello(theirs ?? hello), 0);
    session.signed(new Uint8Array(64));
    session.receiveData(proveText(new Uint8Array(64)), 0);
    session.verified(true, 0);
  }
  assert.equal(session.state, "ready");
  session.eventsReceived();
  session.dataToSend(1_000_000);
  return session;
}

export function proveText(signature: Uint8Array): string {
  return JSON.stringify({ jsonrpc: "2.0", method: "rpc.prove", params: { signature: b64urlEncode(signature) } });
}

/** One end of a `Pair`: the session, and what an owner does for it. */
export class End {
  readonly events: SessionEvent[] = [];

  constructor(
    readonly session: Session,
    readonly privateKey: KeyObject,
  ) {}

  /** Takes the events, and answers the crypto questions among them with real keys. */
  turn(now: number): void {
    for (let events = this.session.eventsReceived(); events.length > 0; events = this.session.eventsReceived()) {
      for (const event of events) this.#handle(event, now);
    }
  }

  #handle(event: SessionEvent, now: number): void {
    this.events.push(event);
    if (event.type === "SignRequired") this.session.signed(new Uint8Array(sign(null, event.payload, this.privateKey)));
    if (event.type === "VerifyRequired") {
      const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: b64urlEncode(event.key) }, format: "jwk" });
      this.session.verified(verify(null, event.payload, publicKey, event.signature), now);
    }
  }

  /** The events of one type, taken off the list. */
  take<Type extends SessionEvent["type"]>(type: Type): Extract<SessionEvent, { type: Type }>[] {
    const taken = this.events.filter((event) => event.type === type);
    this.events.splice(0, this.events.length, ...this.events.filter((event) => event.type !== type));
    return taken as Extract<SessionEvent, { type: Type }>[];
  }
}

interface PairOptions {
  readonly a?: Partial<SessionConfig>;
  readonly b?: Partial<SessionConfig>;
  readonly rooms?: readonly [string, string];
  readonly pins?: readonly [string | null, string | null];
  /** What each side sees as the other's certificate. */
  readonly seen?: readonly [Uint8Array, Uint8Array];
  readonly maxMessageSize?: number;
}

/** Two sessions on one channel that delivers at once. */
export function pair(options: PairOptions = {}): { readonly a: End; readonly b: End; run(now?: number): void } {
  const { rooms = ["lab", "lab"], pins = [null, null], seen = [fingerprint(2), fingerprint(1)], maxMessageSize = 262144 } = options;
  const [a, b] = ([0, 1] as const).map((side) => {
    const { peerId, privateKey } = key(side + 1);
    const session = new Session({
      peerId,
      name: side === 0 ? "a" : "b",
      room: rooms[side],
      config: (side === 0 ? options.a : options.b) ?? {},
      entropy: (size) => new Uint8Array(randomBytes(size)),
      now: 0,
      pin: pins[side],
      localFingerprint: fingerprint(side + 1),
      remoteFingerprint: seen[side],
      maxMessageSize,
    });
    return new End(session, privateKey);
  }) as [End, End];
  return {
    a,
    b,
    /** Delivers until nothing moves. */
    run(now = 0): void {
      for (let moved = true; moved; ) {
        moved = false;
        for (const [from, to] of [
          [a, b],
          [b, a],
        ] as const) {
          for (const frame of from.session.dataToSend(65536)) {
            to.session.receiveData(frame, now);
            moved = true;
          }
          from.turn(now);
          to.turn(now);
        }
      }
    },
  };
}

/** Two sessions that are ready, their events taken. */
export function readyPair(options: PairOptions = {}): ReturnType<typeof pair> {
  const both = pair(options);
  both.run();
  for (const end of [both.a, both.b]) {
    assert.equal(end.session.state, "ready", JSON.stringify(end.events));
    end.events.length = 0;
  }
  return both;
}
