/**
 * Signals (protocol section 9): what is signed, what is checked, and the memory that makes a replay worthless. The WebSocket is one carrier
 * of them; a relay or pasted text may be another. No sockets and no keys here.
 */

import { b64urlEncode, signaturePayload } from "../core/identity.js";
import { DecodeError, SignalingError } from "../errors.js";
import { MAX_SDP, SIGNALING_MESSAGE } from "../limits.js";
import type { SignalPayload } from "./base.js";
import { binaryField, member, objectField, peerIdField, refuseField, textField } from "./fields.js";

const ATTEMPT_BYTES = 16;
const SIGNATURE_BYTES = 64;
const MAX_CANDIDATE = 1024; // the longest real candidate line, with an IPv6 relay and every extension, is under 300
const MAX_MID = 16;
const MAX_REASON = 256;

/** The params of a well-formed `rpc.signal`; `payload` is the text that was signed. */
export interface SignalMessage {
  readonly to: string;
  readonly sender: string;
  readonly attempt: string;
  readonly payload: string;
  readonly signature: Uint8Array;
}

/** What the signature of a signal covers. */
export function signalPayload(room: string, signal: Omit<SignalMessage, "signature">): Uint8Array {
  return signaturePayload("rtcrpc-signal-v1", room, signal.sender, signal.to, signal.attempt, signal.payload);
}

/** The params of a signal as they travel. */
export function signalParams(signal: SignalMessage): object {
  const { to, sender, attempt, payload, signature } = signal;
  return { to, from: sender, attempt, payload, signature: b64urlEncode(signature) };
}

/** The text of a payload, checked as its receiver will check it. `SignalingError` when that would refuse it. */
export function encodePayload(payload: SignalPayload): string {
  const text = JSON.stringify(payload);
  try {
    parsePayload(text);
  } catch (error) {
    throw new SignalingError(`this signal can't be sent: ${error instanceof Error ? error.message : String(error)}`);
  }
  return text;
}

/** The params of an `rpc.signal`. Its signature is not verified yet. */
export function parseSignal(params: unknown): SignalMessage {
  const members = objectField(params, "params");
  const attempt = textField(member(members, "attempt"), "attempt", ATTEMPT_BYTES * 2);
  binaryField(attempt, "attempt", ATTEMPT_BYTES);
  return {
    to: peerIdField(member(members, "to"), "to"),
    sender: peerIdField(member(members, "from"), "from"),
    attempt,
    payload: textField(member(members, "payload"), "payload", SIGNALING_MESSAGE, true),
    signature: binaryField(member(members, "signature"), "signature", SIGNATURE_BYTES),
  };
}

/** The JSON of a payload: one of the four kinds, its members checked, others left out. */
export function parsePayload(text: string): SignalPayload {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new DecodeError("payload: expected a JSON object, got something else");
  }
  const payload = objectField(value, "payload");
  const kind = member(payload, "kind");
  switch (kind) {
    case "offer":
    case "answer": {
      const sdp = textField(member(payload, "sdp"), "sdp", MAX_SDP, true);
      if (new TextEncoder().encode(sdp).length > MAX_SDP) {
        refuseField("sdp", `at most ${MAX_SDP} bytes`, sdp);
      }
      return { kind, sdp };
    }
    case "candidate":
      return {
        kind,
        candidate: textField(member(payload, "candidate"), "candidate", MAX_CANDIDATE),
        mid: textField(member(payload, "mid"), "mid", MAX_MID),
      };
    case "refuse": {
      const code = member(payload, "code");
      if (!Number.isSafeInteger(code)) {
        refuseField("code", "an integer", code);
      }
      return { kind, code: code as number, reason: textField(member(payload, "reason") ?? "", "reason", MAX_REASON) };
    }
    default:
      return refuseField("kind", "offer, answer, candidate or refuse", kind);
  }
}

/**
 * Remembers what was received, so that no signal is taken twice and no offer's attempt either: a replayed offer would tear down a good
 * connection. Memory is bounded: `perSender` attempts for each of `senders` peers, those silent for longest forgotten first, and the
 * `recent` last signatures of other signals.
 */
export class SeenSignals {
  readonly #offers = new Map<string, Set<string>>();
  readonly #recent = new Set<string>();

  constructor(
    private readonly senders = 1024,
    private readonly perSender = 64,
    private readonly recent = 4096,
  ) {}

  /** Whether this signal, or another offer of the same attempt, was recorded before. */
  isKnown(signal: SignalMessage, kind: SignalPayload["kind"]): boolean {
    return kind === "offer"
      ? (this.#offers.get(signal.sender)?.has(signal.attempt) ?? false)
      : this.#recent.has(b64urlEncode(signal.signature));
  }

  /** Remembers a signal whose signature holds. (Recording others would let anyone push out the memory.) */
  record(signal: SignalMessage, kind: SignalPayload["kind"]): void {
    if (kind !== "offer") {
      remember(this.#recent, b64urlEncode(signal.signature), this.recent);
      return;
    }
    const attempts = this.#offers.get(signal.sender) ?? new Set<string>();
    remember(attempts, signal.attempt, this.perSender);
    this.#offers.delete(signal.sender);
    this.#offers.set(signal.sender, attempts);
    if (this.#offers.size > this.senders) {
      this.#offers.delete(this.#offers.keys().next().value ?? "");
    }
  }
}

function remember(set: Set<string>, item: string, limit: number): void {
  set.add(item);
  if (set.size > limit) {
    set.delete(set.values().next().value ?? "");
  }
}
