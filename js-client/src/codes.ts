// The error codes of the protocol, and a map of their names.
//
// Made from schemas/codes.json by tools/generate_constants.py: change that one and `make generate`.

/** The message is not well-formed: bad JSON, bad MessagePack, bad UTF-8. (JSON-RPC 2.0) */
export const PARSE_ERROR = -32700;

/** The message is well-formed but is no envelope, or breaks the protocol. (JSON-RPC 2.0) */
export const INVALID_REQUEST = -32600;

/** Nothing is exposed under exactly this name, or the caller may not know of it. (JSON-RPC 2.0) */
export const METHOD_NOT_FOUND = -32601;

/** The arguments do not fit the signature. `data.issues` says where. (JSON-RPC 2.0) */
export const INVALID_PARAMS = -32602;

/** The function failed in a way that it did not choose to tell. (JSON-RPC 2.0) */
export const INTERNAL_ERROR = -32603;

/** The caller asked for the call to be stopped, and it was. (Language Server Protocol) */
export const CANCELLED = -32800;

/** The function raised an error on purpose, to be told to the caller. (section 5.1) */
export const APPLICATION_ERROR = -32000;

/** The time the caller gave has passed. (section 7) */
export const DEADLINE_EXCEEDED = -32001;

/** The caller is known, and may not call this. (section 6.1) */
export const PERMISSION_DENIED = -32002;

/** The caller has not shown who it is, or what entitles it. (sections 2 and 6.1) */
export const UNAUTHENTICATED = -32003;

/** A limit on how much or how often was reached. `data.retryAfter` may say when to try again. (section 7) */
export const RESOURCE_EXHAUSTED = -32004;

/** The peer, the room or the service is not there, or takes no calls now. (section 9) */
export const UNAVAILABLE = -32005;

/** The connection ended before the answer came. Found on this side; never sent in an answer. (section 8) */
export const CONNECTION_LOST = -32006;

/** The message is longer than the receiver takes. (section 4) */
export const TOO_LARGE = -32007;

/** A stream ended before its end. (reserved) */
export const STREAM_BROKEN = -32008;

/** The reference was released, or its session is over. (reserved) */
export const STALE_REFERENCE = -32009;

/** The sandbox that ran the function was ended from outside. (reserved) */
export const SANDBOX_KILLED = -32010;

/** A hello or a proof was refused. (section 6) */
export const HANDSHAKE_FAILED = -32011;

/** The other's key is not the one that was pinned. (section 6) */
export const IDENTITY_MISMATCH = -32012;

/** The two peers have no version of the protocol in common. (section 6) */
export const VERSION_MISMATCH = -32013;

/** The text that goes with each code where there is no better one. */
export const CODE_NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [PARSE_ERROR, "parse error"],
  [INVALID_REQUEST, "invalid request"],
  [METHOD_NOT_FOUND, "method not found"],
  [INVALID_PARAMS, "invalid params"],
  [INTERNAL_ERROR, "internal error"],
  [CANCELLED, "cancelled"],
  [APPLICATION_ERROR, "application error"],
  [DEADLINE_EXCEEDED, "deadline exceeded"],
  [PERMISSION_DENIED, "permission denied"],
  [UNAUTHENTICATED, "unauthenticated"],
  [RESOURCE_EXHAUSTED, "resource exhausted"],
  [UNAVAILABLE, "unavailable"],
  [CONNECTION_LOST, "connection lost"],
  [TOO_LARGE, "too large"],
  [STREAM_BROKEN, "stream broken"],
  [STALE_REFERENCE, "stale reference"],
  [SANDBOX_KILLED, "sandbox killed"],
  [HANDSHAKE_FAILED, "handshake failed"],
  [IDENTITY_MISMATCH, "identity mismatch"],
  [VERSION_MISMATCH, "version mismatch"],
]);
