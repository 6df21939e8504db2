/** The messages two peers exchange: JSON-RPC 2.0 requests, answers and notifications (protocol section 5). */

/** What names a request. Ours count up from 1; in text frames a peer may choose any number, string or null. */
export type Id = number | string | null;

/** A map as it comes from the wire: without prototype, so that no key of it means anything to the language. */
export type WireMap = { readonly [key: string]: unknown };

/** By position or by name. */
export type Params = readonly unknown[] | WireMap;

/** `timeout` (milliseconds that remain), `trace` (W3C traceparent), `key` (idempotency key), and what is unknown to this version. */
export type Meta = WireMap;

/** A call that wants an answer. */
export interface Request {
  readonly type: "Request";
  readonly id: Id;
  readonly method: string;
  readonly params: Params;
  readonly meta: Meta;
}

/** The result of a call. */
export interface Response {
  readonly type: "Response";
  readonly id: Id;
  readonly result: unknown;
}

/** The error of a call; `id` null where the request could not be read. */
export interface ErrorResponse {
  readonly type: "ErrorResponse";
  readonly id: Id;
  readonly code: number;
  readonly message: string;
  readonly data: WireMap | null;
}

/** A call that wants no answer. */
export interface Notification {
  readonly type: "Notification";
  readonly method: string;
  readonly params: Params;
  readonly meta: Meta;
}

/** Something that is well-formed but no envelope. Nothing of it runs; its sender is told `code` and `message`. */
export interface Malformed {
  readonly type: "Malformed";
  readonly id: Id;
  readonly code: number;
  readonly message: string;
  /** It was meant as an answer to `id`. Then nothing is sent back: our error would pass for the answer to the other side's own call `id`. */
  readonly isAnswer: boolean;
}

/** Several messages in one text frame, answered together. */
export interface Batch {
  readonly type: "Batch";
  readonly items: readonly Message[];
}

/** One message. */
export type Message = Request | Response | ErrorResponse | Notification | Malformed;

/** What a frame may hold. */
export type Envelope = Message | Batch;

/** The meta of an envelope that has none; absent is the same as empty. */
export const NO_META: Meta = Object.freeze(Object.create(null) as WireMap);

/** A `Request`; without `params` an empty list. */
export function request(id: Id, method: string, params: Params = [], meta: Meta = NO_META): Request {
  return { type: "Request", id, method, params, meta };
}

/** A `Response`. */
export function response(id: Id, result: unknown): Response {
  return { type: "Response", id, result };
}

/** An `ErrorResponse`. */
export function errorResponse(id: Id, code: number, message: string, data: WireMap | null = null): ErrorResponse {
  return { type: "ErrorResponse", id, code, message, data };
}

/** A `Notification`; without `params` an empty list. */
export function notification(method: string, params: Params = [], meta: Meta = NO_META): Notification {
  return { type: "Notification", method, params, meta };
}

/** A `Malformed`. */
export function malformed(id: Id, code: number, message: string, isAnswer = false): Malformed {
  return { type: "Malformed", id, code, message, isAnswer };
}

/** A `Batch`. */
export function batch(items: readonly Message[]): Batch {
  return { type: "Batch", items };
}
