/** Errors in words: what happened, whether the function ran, what to do. Pure, no DOM. */

import {
  APPLICATION_ERROR,
  CANCELLED,
  CONNECTION_LOST,
  DEADLINE_EXCEEDED,
  HANDSHAKE_FAILED,
  IDENTITY_MISMATCH,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  METHOD_NOT_FOUND,
  PERMISSION_DENIED,
  RESOURCE_EXHAUSTED,
  STREAM_BROKEN,
  TOO_LARGE,
  UNAUTHENTICATED,
  UNAVAILABLE,
  VERSION_MISMATCH,
} from "../src/codes.js";
import { type Issue, RemoteError, RtcRpcError } from "../src/errors.js";
import { codeName, count, duration } from "./text.js";

/** An error, ready to be shown. `message` is the peer's own text where `remote` is true. */
export interface Failure {
  readonly title: string;
  readonly code: number | null;
  readonly message: string;
  readonly remote: boolean;
  /** The error's class at the peer, where it told; empty otherwise. */
  readonly type: string;
  readonly hint: string;
  readonly issues: readonly Issue[];
  readonly detail: unknown;
}

const HINTS: ReadonlyMap<number, string> = new Map([
  [METHOD_NOT_FOUND, "The peer no longer offers this. Reload to see what it offers now."],
  [INTERNAL_ERROR, "Something went wrong inside the function. The log of the peer says what; it is not told to callers."],
  [DEADLINE_EXCEEDED, "It took longer than the time that was given."],
  [PERMISSION_DENIED, "Your link does not allow this call. Ask whoever sent it for one that does."],
  [UNAUTHENTICATED, "The peer wants a valid invite. Ask for a new link: the one you have may have been withdrawn."],
  [RESOURCE_EXHAUSTED, "The peer is busy."],
  [UNAVAILABLE, "Check that the peer is running and reachable, then try again."],
  [CONNECTION_LOST, "The connection broke. Reconnect, then look whether the call had an effect before you repeat it."],
  [TOO_LARGE, "Send less at a time."],
  [STREAM_BROKEN, "What came before is complete up to here. Call again for more."],
  [
    IDENTITY_MISMATCH,
    "Someone else answered in place of the peer that this link names. Nothing was sent to it. Ask for a new link.",
  ],
  [HANDSHAKE_FAILED, "The peer could not prove who it is. Nothing was sent to it."],
  [VERSION_MISMATCH, "The page and the peer speak different versions. Update the older one."],
]);

// These end without the function, by definition; for the others only the answer's own word counts.
const NEVER_RAN: ReadonlySet<number> = new Set([METHOD_NOT_FOUND, INVALID_PARAMS]);

/** What to show for `error`, whatever was thrown. `called`: by calling a function, which may not have run. */
export function failureOf(error: unknown, { called = true } = {}): Failure {
  if (!(error instanceof RtcRpcError)) {
    return {
      title: "Error in this page",
      code: null,
      message: error instanceof Error ? error.message : String(error),
      remote: false,
      type: "",
      hint: "",
      issues: [],
      detail: null,
    };
  }
  const remote = error instanceof RemoteError ? error : null;
  const parts = [HINTS.get(error.code) ?? ""];
  if (error.code === INVALID_PARAMS && remote !== null && remote.issues.length > 0) {
    parts.push(`${count(remote.issues.length, "argument")} did not fit. The function did not run.`);
  } else if (called && ranOf(error) === false && !NEVER_RAN.has(error.code)) {
    parts.push("The function did not run.");
  }
  if (remote?.retryAfter != null) {
    parts.push(`Try again in ${duration(remote.retryAfter)}.`);
  }
  return {
    title:
      error.code === APPLICATION_ERROR || (error.code > -32000 && remote !== null)
        ? "The function reported an error"
        : codeName(error.code),
    code: error.code,
    message: error.message,
    remote: remote !== null,
    type: remote?.type ?? "",
    hint: parts.filter((part) => part !== "").join(" "),
    issues: remote?.issues ?? [],
    detail: remote?.detail ?? null,
  };
}

/** Whether the user stopped the call: an end, not a failure. */
export function wasStopped(error: unknown): boolean {
  return (
    (error instanceof RtcRpcError && error.code === CANCELLED) || (error instanceof DOMException && error.name === "AbortError")
  );
}

function ranOf(error: RtcRpcError): false | null {
  return error.data?.["ran"] === false ? false : null;
}
