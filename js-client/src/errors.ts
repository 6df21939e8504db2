/**
 * Every error of the package, in one tree.
 *
 * ```
 * RtcRpcError                     the root: `code`, `message`, `data`, `ran`
 * ├─ LocalError                   found on this side
 * │  ├─ ProtocolError             the other side broke the protocol
 * │  │  └─ DecodeError            bytes that are no message
 * │  ├─ HandshakeError            the other side could not prove who it is
 * │  │  ├─ IdentityMismatch       it proved to be someone else than the pinned peer
 * │  │  └─ VersionMismatch        no version of the protocol in common
 * │  ├─ ConnectionLost            the connection went before the answer came: see `ran`
 * │  │  └─ StreamBroken           it went before a stream had come to its end
 * │  ├─ DeadlineExceeded          our own timeout passed
 * │  ├─ CallCancelled             we cancelled the call
 * │  ├─ TooLarge                  a message is longer than the receiver takes
 * │  ├─ Unavailable               nobody there to ask
 * │  ├─ ResourceExhausted         a bound of this side was reached
 * │  ├─ FileDamaged               a file that came is not, in size or checksum, the one that was sent
 * │  ├─ EncodeError               a value that can't travel: see `path`
 * │  ├─ SignalingError            the bootstrap could not be used
 * │  ├─ InviteError               a link or fragment that is no invite
 * │  └─ ExposeError               a function that can't be exposed
 * ├─ RemoteError                  the other side answered with an error: `type`, `issues`, `retryAfter`, `detail`
 * │  └─ Remote…                   one class for each code that a caller tells apart
 * └─ ApplicationError             thrown on purpose by an exposed function; travels whole. Also exported as `Error`
 * ```
 */

import * as codes from "./codes.js";

/** A map as it comes from the wire: no prototype, so no key of it can reach `Object.prototype`. */
export type ErrorData = { readonly [key: string]: unknown };

/** One wrong argument, as the callee describes it (protocol section 5.1). */
export interface Issue {
  /** Names and indexes from the name of the parameter on; some peers write them as one text, `boxes[2].width`. */
  readonly path: string | readonly (string | number)[];
  readonly expected: string;
  readonly got: string;
}

/** The root: `catch (e) { if (e instanceof RtcRpcError) … }` catches all that this package throws. */
export class RtcRpcError extends Error {
  /** A code of `schemas/codes.json`. */
  readonly code: number;
  /** What travels beside the message, or null. */
  readonly data: ErrorData | null;

  constructor(message = "", code: number = codes.INTERNAL_ERROR, data: ErrorData | null = null) {
    super(message || (codes.CODE_NAMES.get(code) ?? "error"));
    this.code = code;
    this.data = data;
  }

  override get name(): string {
    return this.constructor.name;
  }

  /** False when the call certainly did not run, so that it may be tried again; null when it may have run. */
  get ran(): false | null {
    return this.data?.["ran"] === false ? false : null;
  }
}

/** What `ran` puts into an error's data. */
function ranData(ran: false | null): ErrorData | null {
  return ran === false ? { ran } : null;
}

/** Found on this side: nothing was said about it by the other. */
export class LocalError extends RtcRpcError {}

/** The other side broke the protocol; the session ends with this as its reason. */
export class ProtocolError extends LocalError {
  constructor(message: string, code: number = codes.INVALID_REQUEST, data: ErrorData | null = null) {
    super(message, code, data);
  }
}

/** Bytes or text that are no message of the protocol. */
export class DecodeError extends ProtocolError {
  constructor(message: string, code: number = codes.PARSE_ERROR) {
    super(message, code);
  }
}

/** The other side did not prove its key, or refused our proof. */
export class HandshakeError extends LocalError {
  constructor(message: string, code: number = codes.HANDSHAKE_FAILED, data: ErrorData | null = null) {
    super(message, code, data);
  }
}

/** The other side holds another key than the one in the invite. */
export class IdentityMismatch extends HandshakeError {
  constructor(message: string) {
    super(message, codes.IDENTITY_MISMATCH);
  }
}

/** The two sides have no version of the protocol in common. */
export class VersionMismatch extends HandshakeError {
  constructor(message: string) {
    super(message, codes.VERSION_MISMATCH);
  }
}

/** The connection went before the answer came. */
export class ConnectionLost extends LocalError {
  /** `code` differs where the other side said in its bye why it leaves. */
  constructor(message: string, ran: false | null = null, code: number = codes.CONNECTION_LOST) {
    super(message, code, ranData(ran));
  }
}

/** The connection went before a stream had come to its end. What came before can be read still. */
export class StreamBroken extends ConnectionLost {
  constructor(message: string) {
    super(message, null, codes.STREAM_BROKEN);
  }
}

/** Our own timeout passed before the answer came. The call may have run unless `ran` is false. */
export class DeadlineExceeded extends LocalError {
  constructor(message: string, ran: false | null = null) {
    super(message, codes.DEADLINE_EXCEEDED, ranData(ran));
  }
}

/** We cancelled the call. It may have run unless `ran` is false. */
export class CallCancelled extends LocalError {
  constructor(message = "the call was cancelled", ran: false | null = null) {
    super(message, codes.CANCELLED, ranData(ran));
  }
}

/** A message longer than its receiver takes; nothing of it was sent. */
export class TooLarge extends LocalError {
  constructor(message: string, ran: false | null = null) {
    super(message, codes.TOO_LARGE, ranData(ran));
  }
}

/** Nobody there to ask: no such peer, or not connected. */
export class Unavailable extends LocalError {
  constructor(message: string, ran: false | null = null) {
    super(message, codes.UNAVAILABLE, ranData(ran));
  }
}

/** A bound of this side was reached. */
export class ResourceExhausted extends LocalError {
  constructor(message: string, ran: false | null = null) {
    super(message, codes.RESOURCE_EXHAUSTED, ranData(ran));
  }
}

/** The content of a file that came is not, in size or SHA-256, what its sender said (protocol section 10.1). */
export class FileDamaged extends LocalError {
  constructor(message: string) {
    super(message, codes.STREAM_BROKEN);
  }
}

/** A value that can't travel. `path` says where in the message it stands, as `params[0].when`. */
export class EncodeError extends LocalError {
  readonly path: string;

  constructor(message: string, path = "") {
    super(path === "" ? message : `${path}: ${message}`, codes.INVALID_PARAMS);
    this.path = path;
  }
}

/** The bootstrap could not be reached, or refused. */
export class SignalingError extends LocalError {
  constructor(message: string, code: number = codes.UNAVAILABLE, data: ErrorData | null = null) {
    super(message, code, data);
  }
}

/** A link or fragment that is no invite. */
export class InviteError extends LocalError {
  constructor(message: string) {
    super(message, codes.INVALID_PARAMS);
  }
}

/** A function that can't be exposed; the message says why and what to do. */
export class ExposeError extends LocalError {
  constructor(message: string) {
    super(message, codes.INTERNAL_ERROR);
  }
}

/** The other side answered a call with an error. */
export class RemoteError extends RtcRpcError {
  /** The name of the error's class at the callee, where it chose to show it. */
  get type(): string | null {
    const type = this.data?.["type"];
    return typeof type === "string" ? type : null;
  }

  /** What was wrong with the arguments; empty when nothing was said about them. */
  get issues(): readonly Issue[] {
    const issues = this.data?.["issues"];
    return Array.isArray(issues) ? issues.filter(isIssue) : [];
  }

  /** Milliseconds after which to try again, where the callee named a time. */
  get retryAfter(): number | null {
    const after = this.data?.["retryAfter"];
    return typeof after === "number" && after >= 0 ? after : null;
  }

  /** Whatever the function chose to tell. */
  get detail(): unknown {
    return this.data?.["detail"] ?? null;
  }
}

function isIssue(item: unknown): item is Issue {
  if (typeof item !== "object" || item === null) return false;
  const { path, expected, got } = item as Record<string, unknown>;
  const isPath = typeof path === "string" || (Array.isArray(path) && path.every((step) => typeof step === "string" || typeof step === "number"));
  return isPath && typeof expected === "string" && typeof got === "string";
}

/** The other side has no such method, or does not show it to us. */
export class RemoteMethodNotFound extends RemoteError {}
/** The arguments were refused; the function did not run. See `issues`. */
export class RemoteInvalidParams extends RemoteError {}
/** The other side does not let us call this. */
export class RemotePermissionDenied extends RemoteError {}
/** The other side wants to know who we are first. */
export class RemoteUnauthenticated extends RemoteError {}
/** A bound of the other side was reached. See `retryAfter`. */
export class RemoteResourceExhausted extends RemoteError {}
/** The callee's clock ended the call. */
export class RemoteDeadlineExceeded extends RemoteError {}
/** The callee stopped the call because it was cancelled. */
export class RemoteCancelled extends RemoteError {}
/** The function threw an error on purpose. See `detail`. */
export class RemoteApplicationError extends RemoteError {}
/** Something went wrong inside the function; the callee's log knows more. */
export class RemoteInternalError extends RemoteError {}
/** The callee can't serve now. */
export class RemoteUnavailable extends RemoteError {}
/** The call or its answer is longer than the callee takes. */
export class RemoteTooLarge extends RemoteError {}

/** The stream broke at its owner: what it reads from went away. */
export class RemoteStreamBroken extends RemoteError {}

/** Thrown on purpose by an exposed function: code, message and detail reach the caller whole, and the name of a subclass as `type`. */
export class ApplicationError extends RtcRpcError {
  constructor(message: string, options: { readonly code?: number; readonly detail?: unknown } = {}) {
    const { code = codes.APPLICATION_ERROR, detail } = options;
    const data = { ...(new.target === ApplicationError ? {} : { type: new.target.name }), ...(detail === undefined ? {} : { detail }) };
    super(message, code, Object.keys(data).length === 0 ? null : data);
  }

  get detail(): unknown {
    return this.data?.["detail"] ?? null;
  }
}

// The name it has in Python. Inside this module `Error` must stay the language's own, hence two names.
export { ApplicationError as Error };

type RemoteClass = new (message: string, code: number, data: ErrorData | null) => RemoteError;

// A Map, not an object: the code comes from the wire.
const remoteClasses = new Map<number, RemoteClass>([
  [codes.METHOD_NOT_FOUND, RemoteMethodNotFound],
  [codes.INVALID_PARAMS, RemoteInvalidParams],
  [codes.PERMISSION_DENIED, RemotePermissionDenied],
  [codes.UNAUTHENTICATED, RemoteUnauthenticated],
  [codes.RESOURCE_EXHAUSTED, RemoteResourceExhausted],
  [codes.DEADLINE_EXCEEDED, RemoteDeadlineExceeded],
  [codes.CANCELLED, RemoteCancelled],
  [codes.APPLICATION_ERROR, RemoteApplicationError],
  [codes.INTERNAL_ERROR, RemoteInternalError],
  [codes.UNAVAILABLE, RemoteUnavailable],
  [codes.TOO_LARGE, RemoteTooLarge],
  [codes.STREAM_BROKEN, RemoteStreamBroken],
]);

/** The error of an answer, in the class that its code names; a plain `RemoteError` for other codes. */
export function errorFromWire(code: number, message: string, data: ErrorData | null = null): RemoteError {
  const Class = remoteClasses.get(code) ?? RemoteError;
  return new Class(message, code, data);
}

/** An error as it travels. */
export interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data: ErrorData | null;
}

/**
 * What the caller is told when a function ended with `error`.
 *
 * An `ApplicationError` travels whole, and so do our own refusals. Everything else becomes `internal error`: the text of an unexpected error
 * may hold paths, secrets, or arguments of someone else (protocol section 5.1), and so may that of an error which this side was itself
 * answered with, or of a connection it lost. Pass `ran` false when the function certainly did not run; what `error` itself says about that
 * belongs to another call.
 */
export function errorToWire(error: unknown, ran: false | null = null): WireError {
  const isTold = error instanceof ApplicationError || (error instanceof LocalError && !(error instanceof ConnectionLost));
  const told = isTold ? error : new RtcRpcError(codes.CODE_NAMES.get(codes.INTERNAL_ERROR));
  const data = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(told.data ?? {})) {
    if (key !== "ran") data[key] = value;
  }
  if (ran === false) data["ran"] = false;
  return { code: told.code, message: told.message, data: Object.keys(data).length === 0 ? null : data };
}
