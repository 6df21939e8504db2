/** What a session tells its owner. Times are in seconds, as everywhere in the core. */

import type { LocalError, RemoteError, RtcRpcError } from "../errors.js";
import type { Id, Meta, Params } from "./envelope.js";

/** The other side, as its hello said and its proof confirmed. */
export interface RemoteInfo {
  /** Null for a peer of level 0, which proves nothing. */
  readonly peerId: string | null;
  /** A label that the peer chose; it proves nothing. */
  readonly name: string;
  readonly level: number;
  readonly features: ReadonlySet<string>;
  /** The version of the protocol in use. */
  readonly version: number;
}

/** Sign `payload` with our key, then call `session.signed(signature)`. */
export interface SignRequired {
  readonly type: "SignRequired";
  readonly payload: Uint8Array;
}

/** Verify `signature` over `payload` with the public `key` (32 bytes), then call `session.verified(ok, now)`. */
export interface VerifyRequired {
  readonly type: "VerifyRequired";
  readonly key: Uint8Array;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** The other side is who it says; calls go both ways from here. */
export interface SessionReady {
  readonly type: "SessionReady";
  readonly peer: RemoteInfo;
}

/** A call to serve. Answer it once, with `sendResponse` or `sendError`. */
export interface RequestReceived {
  readonly type: "RequestReceived";
  readonly id: Id;
  readonly method: string;
  readonly params: Params;
  readonly meta: Meta;
}

/** A notification to serve. */
export interface NotificationReceived {
  readonly type: "NotificationReceived";
  readonly method: string;
  readonly params: Params;
  readonly meta: Meta;
}

/** The caller of the open request `id` no longer wants the answer. Stop it if possible, and answer. */
export interface CancelReceived {
  readonly type: "CancelReceived";
  readonly id: Id;
}

/** Our call `id` was answered with a result. */
export interface ResponseReceived {
  readonly type: "ResponseReceived";
  readonly id: number;
  readonly result: unknown;
}

/** Our call `id` was answered with an error. */
export interface ErrorReceived {
  readonly type: "ErrorReceived";
  readonly id: number;
  readonly error: RemoteError;
}

/** Our call `id` ended without an answer. */
export interface CallFailed {
  readonly type: "CallFailed";
  readonly id: number;
  readonly error: LocalError;
}

/** The other side presents what entitles it; the policy decides what it is worth. */
export interface TokenReceived {
  readonly type: "TokenReceived";
  readonly token: string;
}

/** Our ping came back after `rtt` seconds. */
export interface PongReceived {
  readonly type: "PongReceived";
  readonly rtt: number;
}

/** The end, exactly once. Send what is queued (a bye, perhaps), then close the channel. */
export interface SessionClosed {
  readonly type: "SessionClosed";
  readonly code: number;
  readonly reason: string;
  /** Who ended it: we, the other side, or nobody (the connection broke). */
  readonly by: "local" | "remote" | "broken";
  readonly error: RtcRpcError;
}

/** Told apart by `type`. */
export type SessionEvent =
  | SignRequired
  | VerifyRequired
  | SessionReady
  | RequestReceived
  | NotificationReceived
  | CancelReceived
  | ResponseReceived
  | ErrorReceived
  | CallFailed
  | TokenReceived
  | PongReceived
  | SessionClosed;
