/**
 * The protocol between two peers on one connection, as a state machine without I/O (protocol sections 2 to 8).
 *
 * Feed it what comes (`receiveData`, `receiveEof`), the time (`tick`), the answers to its crypto questions (`signed`, `verified`) and what is to
 * be said (`send…`); take out what happened (`eventsReceived`) and what to put on the channel (`dataToSend`). After each call look at both.
 * `now` is always a time in seconds on one clock that never goes back, and so are all other times.
 *
 * ```
 * HELLO --hello--> PROVING --prove--> VERIFYING --holds--> SIGNING --signed--> READY
 *   `--level 0 message----------------------------------------------------------^
 * any state --bye, refusal, silence, end of the connection--> CLOSED
 * ```
 */

import * as codes from "../codes.js";
import {
  CallCancelled,
  ConnectionLost,
  DeadlineExceeded,
  DecodeError,
  errorFromWire,
  HandshakeError,
  IdentityMismatch,
  type LocalError,
  ProtocolError,
  RtcRpcError,
  StreamBroken,
  TooLarge,
  VersionMismatch,
  type WireError,
} from "../errors.js";
import * as limits from "../limits.js";
import { JsonCodec, MessagePackCodec } from "./codec.js";
import {
  batch,
  type Envelope,
  errorResponse,
  type Id,
  type Malformed,
  type Message,
  type Meta,
  NO_META,
  NO_STREAMS,
  notification,
  type Params,
  request,
  type Request,
  response,
  type WireMap,
} from "./envelope.js";
import type { RemoteInfo, SessionClosed, SessionEvent } from "./events.js";
import { FrameReader, utf8Length } from "./frames.js";
import { buildHello, checkHello, type Hello, makeHello, NONCE_BYTES, parseHello, type Side, speaksMessagePack, transcript } from "./handshake.js";
import { b64urlDecode, b64urlEncode, parsePeerId } from "./identity.js";
import { JsonItems, MessagePackItems } from "./items.js";
import { Lanes, type Outgoing } from "./lanes.js";
import { streamsIn } from "./stream-values.js";
import { StreamTable } from "./streams.js";

const SIGNATURE_BYTES = 64;
const MAX_REASON = 500; // characters of a bye's reason, ours and theirs; and of what is said about progress

/** How far the two have come. */
export type SessionState = "hello" | "proving" | "verifying" | "signing" | "ready" | "closed";

/** What moves a session from one state to the next. */
export type SessionInput = "hello" | "level 0 message" | "prove" | "the proof holds" | "our proof is sent" | "the end";

/** Every move there is; an input that is not listed for a state breaks the protocol. */
export const TRANSITIONS: Readonly<Record<SessionState, Readonly<Partial<Record<SessionInput, SessionState>>>>> = {
  hello: { hello: "proving", "level 0 message": "ready", "the end": "closed" },
  proving: { prove: "verifying", "the end": "closed" },
  verifying: { "the proof holds": "signing", "the end": "closed" },
  signing: { "our proof is sent": "ready", "the end": "closed" },
  ready: { "the end": "closed" },
  closed: {},
};

/** What a peer allows and offers. Bytes and seconds; the reasons are in `schemas/limits.json`. */
export interface SessionConfig {
  readonly level: number;
  readonly features: ReadonlySet<string>;
  readonly encodings: ReadonlySet<string>;
  /** Whether peers of level 0, which prove nothing, are let in. */
  readonly allowAnonymous: boolean;
  readonly maxFrame: number;
  readonly maxMessage: number;
  readonly maxInFlight: number;
  /** Bytes of each stream that the other side may send ahead of the program that reads it. */
  readonly streamWindow: number;
  /** Streams open at a time, each way. */
  readonly maxStreams: number;
  /** The shortest time between two `rpc.progress` of a request. */
  readonly progressSeconds: number;
  readonly maxTransfers: number;
  readonly transferSeconds: number;
  readonly coalesceBytes: number;
  readonly verifyBacklog: number;
  readonly handshakeMessages: number;
  readonly handshakeBytes: number;
  readonly handshakeSeconds: number;
  readonly heartbeatInterval: number;
  readonly heartbeatMisses: number;
}

export const DEFAULT_CONFIG: SessionConfig = {
  level: 2,
  features: new Set(["cancel", "parts", "streams", "progress"]),
  encodings: new Set(["msgpack", "json"]),
  allowAnonymous: false,
  maxFrame: limits.MAX_FRAME,
  maxMessage: limits.MAX_MESSAGE,
  maxInFlight: limits.MAX_IN_FLIGHT,
  streamWindow: limits.STREAM_WINDOW,
  maxStreams: limits.MAX_STREAMS,
  progressSeconds: limits.PROGRESS_MILLIS / 1000,
  maxTransfers: limits.MAX_TRANSFERS,
  transferSeconds: limits.TRANSFER_SECONDS,
  coalesceBytes: limits.COALESCE_BYTES,
  verifyBacklog: limits.VERIFY_BACKLOG,
  handshakeMessages: limits.HANDSHAKE_MESSAGES,
  handshakeBytes: limits.HANDSHAKE_BYTES,
  handshakeSeconds: limits.HANDSHAKE_SECONDS,
  heartbeatInterval: limits.HEARTBEAT_MILLIS / 1000,
  heartbeatMisses: limits.HEARTBEAT_MISSES,
};

/** What a session has to know when its channel opens. */
export interface SessionOptions {
  /** Our own peer id. */
  readonly peerId: string;
  readonly name: string;
  readonly room: string;
  readonly config?: Partial<SessionConfig>;
  /** That many bytes that nobody can guess. */
  readonly entropy: (size: number) => Uint8Array;
  readonly now: number;
  /** The peer ids that the other side may have; null: any. */
  readonly pin?: string | ReadonlySet<string> | null;
  /** SHA-256 of the DTLS certificates in use, 32 bytes each. */
  readonly localFingerprint: Uint8Array;
  readonly remoteFingerprint: Uint8Array;
  /** Bytes that the channel takes as one message. */
  readonly maxMessageSize: number;
}

/** One item of a batch; `notify`: it wants no answer. */
export interface BatchItem {
  readonly method: string;
  readonly params: Params;
  readonly notify?: boolean;
}

/** One of our calls that has no answer yet. */
interface Call {
  readonly data: Uint8Array | string;
  readonly timeout: number | null;
  readonly deadline: number;
  /** Null while it waits for room at the other side. */
  outgoing: Outgoing | null;
  /** It travels with others, and can't be taken back without them. */
  readonly isInBatch: boolean;
  /** Those in its params. */
  readonly streams: readonly number[];
}

/** The answers to one batch, until all of them are there. */
interface BatchAnswer {
  readonly answers: string[];
  /** Those that stand in them. */
  readonly streams: number[];
  missing: number;
}

/** A request that we owe an answer. */
interface Served {
  /** It came as text, and is answered as text: its id may be one that MessagePack has no place for. */
  readonly isText: boolean;
  readonly batch: BatchAnswer | null;
  /** When an `rpc.progress` of it last went out, and one that waits until it may. */
  progressAt: number;
  progress: Envelope | null;
}

/** One session on one connection. */
export class Session {
  /** The other side, once its hello was read; proved when the state is `ready`. */
  remote: RemoteInfo | null = null;
  readonly #config: SessionConfig;
  readonly #room: string;
  readonly #pin: ReadonlySet<string> | null;
  readonly #ours: Side;
  readonly #theirFingerprint: Uint8Array;
  readonly #hello: Hello;
  readonly #maxMessageSize: number;
  readonly #json = new JsonCodec();
  #msgpack: MessagePackCodec | null = null;
  #state: SessionState = "hello";
  #events: SessionEvent[] = [];
  readonly #lanes: Lanes;
  readonly #reader: FrameReader;
  #theirHello: Hello | null = null;
  #theirs: Side | null = null;
  #signatureSent = false;
  #backlog: (Uint8Array | string)[] = [];
  #backlogBytes = 0;
  #handshakeMessages = 0;
  #handshakeBytes = 0;
  readonly #handshakeDeadline: number;
  #nextId = 1;
  readonly #calls = new Map<number, Call>();
  /** Calls that wait for room at the other side, in order. */
  readonly #waiting = new Set<number>();
  /** Calls that we gave up and the other side may still be at: they take up room there until it answers. */
  readonly #abandoned = new Set<number>();
  #open = 0;
  /** No call's deadline is before this. */
  #firstDeadline = Infinity;
  readonly #serving = new Map<Id, Served[]>();
  #servingCount = 0;
  /** The requests whose progress waits for its time. */
  readonly #late = new Set<Served>();
  readonly #streams: StreamTable;
  #tokens = 0;
  #heardAt: number;
  #pingNumber = 0;
  #pingSentAt: number;
  #unanswered = 0;
  #now: number;

  constructor(options: SessionOptions) {
    const { peerId, name, room, entropy, now, pin = null, localFingerprint, remoteFingerprint, maxMessageSize } = options;
    const config = { ...DEFAULT_CONFIG, ...options.config };
    this.#config = config;
    this.#room = room;
    this.#pin = typeof pin === "string" ? new Set([pin]) : pin;
    this.#maxMessageSize = maxMessageSize;
    this.#hello = makeHello({
      key: peerId,
      nonce: entropy(NONCE_BYTES),
      name,
      level: config.level,
      features: config.features,
      encodings: config.encodings,
      maxFrame: config.maxFrame,
      maxMessage: config.maxMessage,
      maxInFlight: config.maxInFlight,
      streamWindow: config.streamWindow,
    });
    this.#ours = { key: peerId, nonce: this.#hello.nonce, fingerprint: localFingerprint, hello: buildHello(this.#hello) };
    this.#theirFingerprint = remoteFingerprint;
    this.#lanes = new Lanes({ maxFrame: Math.min(config.maxFrame, maxMessageSize), coalesce: config.coalesceBytes });
    this.#streams = new StreamTable(this.#lanes, (event) => this.#events.push(event), config);
    this.#reader = new FrameReader(config);
    this.#handshakeDeadline = now + config.handshakeSeconds;
    this.#heardAt = now;
    this.#pingSentAt = now;
    this.#now = now;
    this.#lanes.pushControl(this.#ours.hello);
  }

  get state(): SessionState {
    return this.#state;
  }

  // -- input --------------------------------------------------------------------------------------------

  /** A frame came. Whatever is in it, nothing is thrown: what breaks the protocol ends the session with an event. */
  receiveData(frame: Uint8Array | string, now: number): void {
    if (this.#state === "closed") return;
    this.#now = now;
    this.#heardAt = now;
    this.#unanswered = 0;
    this.#guard(() => {
      if (this.#state === "ready") this.#receiveFrame(frame);
      else this.#receiveBeforeReady(frame);
    });
  }

  /** The connection is gone. */
  receiveEof(now: number, reason: string): void {
    this.#now = now;
    this.#end(codes.CONNECTION_LOST, reason, "broken", new ConnectionLost(reason || "the connection was lost"));
  }

  /** The answer to `SignRequired`. */
  signed(signature: Uint8Array): void {
    if (this.#state === "closed" || this.#state === "ready" || this.#signatureSent) return;
    this.#lanes.pushControl(this.#json.encode(notification("rpc.prove", { signature: b64urlEncode(signature) })));
    this.#signatureSent = true;
    if (this.#state === "signing") this.#guard(() => this.#becomeReady());
  }

  /** The answer to `VerifyRequired`. */
  verified(holds: boolean, now: number): void {
    if (this.#state !== "verifying") return;
    this.#now = now;
    this.#guard(() => {
      if (!holds) {
        throw new HandshakeError(
          "the other side's proof does not hold: it does not own the key it named, or somebody in the middle " +
            "changed the DTLS fingerprints or the hellos; nothing was called",
        );
      }
      this.#move("the proof holds");
      if (this.#signatureSent) this.#becomeReady();
    });
  }

  /** Time has passed. Call it at `nextTick()`, or later, or earlier. */
  tick(now: number): void {
    this.#now = Math.max(now, this.#now);
    if (this.#state === "closed") return;
    this.#guard(() => {
      if (this.#state === "ready") {
        this.#expireCalls(now);
        if (this.#late.size > 0) this.#sendLateProgress(now);
        this.#reader.expire(now);
        if (this.#speaks) this.#heartbeat(now);
      } else if (now >= this.#handshakeDeadline) {
        const { handshakeSeconds } = this.#config;
        throw new HandshakeError(`expected the other side to prove its key within ${handshakeSeconds} s`, codes.DEADLINE_EXCEEDED);
      }
    });
  }

  /** When to call `tick`, at the latest; null when there is nothing to wait for. */
  nextTick(): number | null {
    if (this.#state === "closed") return null;
    if (this.#state !== "ready") return this.#handshakeDeadline;
    const heartbeat = this.#speaks ? this.#nextHeartbeat() : Infinity;
    let next = Math.min(heartbeat, this.#firstDeadline, this.#reader.nextExpiry() ?? Infinity);
    for (const { progressAt } of this.#late) next = Math.min(next, progressAt + this.#config.progressSeconds);
    return next === Infinity ? null : next;
  }

  // -- output -------------------------------------------------------------------------------------------

  /** What happened since the last call, in order. */
  eventsReceived(): SessionEvent[] {
    const happened = this.#events;
    if (happened.length > 0) this.#events = [];
    return happened;
  }

  /** Frames to put on the channel now, about `budget` bytes; none where `budget` is not positive. */
  dataToSend(budget: number): (Uint8Array | string)[] {
    return this.#lanes.dataToSend(budget);
  }

  /** Whether something waits for room in the channel. */
  get hasDataToSend(): boolean {
    return !this.#lanes.isEmpty;
  }

  /** Bytes that wait for room in the channel. */
  get queuedBytes(): number {
    return this.#lanes.queuedBytes;
  }

  // -- what is to be said -------------------------------------------------------------------------------

  /**
   * Calls; returns the id under which `ResponseReceived`, `ErrorReceived` or `CallFailed` will come, once.
   *
   * `timeout`: seconds, null for none. Throws `EncodeError` or `TooLarge` before anything is sent, `ConnectionLost` where there is no session.
   * Beyond the other's `maxInFlight` requests wait here. `streams`: those that stand in the params, from `openStream`.
   */
  sendRequest(
    method: string,
    params: Params,
    {
      now,
      timeout = null,
      meta = NO_META,
      streams = NO_STREAMS,
    }: { readonly now: number; readonly timeout?: number | null; readonly meta?: Meta; readonly streams?: readonly number[] },
  ): number {
    this.#requireReady(method);
    const id = this.#nextId;
    const all = timeout === null || !this.#speaks ? meta : { ...meta, timeout: Math.max(1, Math.round(timeout * 1000)) };
    const data = this.#encode(request(id, checkedMethod(method), params, all));
    this.#nextId++;
    this.#now = now;
    const deadline = timeout === null ? Infinity : now + timeout;
    const call: Call = { data, timeout, deadline, outgoing: null, isInBatch: false, streams };
    this.#calls.set(id, call);
    this.#firstDeadline = Math.min(this.#firstDeadline, call.deadline);
    if (this.#open < this.#theirWindow) this.#sendCall(call);
    else this.#waiting.add(id);
    return id;
  }

  /** Several calls in one JSON-RPC batch, where the session speaks JSON; returns the ids of those that want an answer. */
  sendBatch(items: readonly BatchItem[], { now }: { readonly now: number }): number[] {
    this.#requireReady("a batch");
    if (this.#msgpack !== null) throw new ProtocolError("batches are of JSON only: in MessagePack calls share frames by themselves");
    const ids: number[] = [];
    const messages = items.map(({ method, params, notify = false }) => {
      if (notify) return notification(checkedMethod(method), params);
      const id = this.#nextId + ids.length;
      ids.push(id);
      return request(id, checkedMethod(method), params);
    });
    const data = this.#encode(batch(messages));
    this.#nextId += ids.length;
    this.#now = now;
    const outgoing = this.#lanes.pushCall(data);
    for (const id of ids) this.#calls.set(id, { data, timeout: null, deadline: Infinity, outgoing, isInBatch: true, streams: NO_STREAMS });
    this.#open += ids.length;
    return ids;
  }

  /** Gives one of our calls up, and the streams in its params; no event will come for it. The other side is told, where it may have heard of it. */
  sendCancel(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined || this.#state !== "ready") return;
    this.#calls.delete(id);
    this.#withdraw(id, call, new CallCancelled("the call that the stream was an argument of was cancelled"));
  }

  /** Answers a request. `EncodeError` or `TooLarge` where the result can't go: then answer with an error. Nothing once the session is closed. */
  sendResponse(id: Id, result: unknown, streams: readonly number[] = NO_STREAMS): void {
    this.#answer(response(id, result), streams);
  }

  /** Answers a request with an error. */
  sendError(id: Id, code: number, message: string, data: WireMap | null = null): void {
    this.#answer(errorResponse(id, code, wellFormed(message), data));
  }

  /** Tells; nothing comes back. Throws as `sendRequest` does. */
  sendNotification(method: string, params: Params, meta: Meta = NO_META, streams: readonly number[] = NO_STREAMS): void {
    this.#requireReady(method);
    this.#streams.announce(this.#lanes.pushCall(this.#encode(notification(checkedMethod(method), params, meta))), streams);
  }

  /**
   * Tells the caller how far its request `id` has come, in whatever unit the function counts. At most once in `progressSeconds`: of those
   * in between the last one counts. Nothing for a caller that takes none, nor once the request was answered.
   */
  sendProgress(id: Id, done: number, total: number | null, message: string, now: number): void {
    const served = this.#serving.get(id)?.[0];
    if (served === undefined || this.#state !== "ready" || this.remote?.features.has("progress") !== true) return;
    this.#now = Math.max(now, this.#now);
    const text = message === "" ? undefined : wellFormed(cut(message, MAX_REASON));
    served.progress = notification("rpc.progress", { id, done, total: total ?? undefined, message: text });
    if (now >= served.progressAt + this.#config.progressSeconds) this.#flushProgress(served);
    else this.#late.add(served);
  }

  /** Presents what entitles us; goes out before any call made later (protocol section 6.1). */
  sendToken(token: string): void {
    this.#requireReady("rpc.token");
    this.#lanes.pushCall(this.#encode(notification("rpc.token", { token })));
  }

  // -- streams ------------------------------------------------------------------------------------------

  /**
   * A stream of ours; returns its id, for a `StreamRef` in a value. Send that value next, with the id among its `streams`; `StreamWritable` says
   * when items may follow. Where the value can't be sent, `dropStream` forgets the stream.
   *
   * `EncodeError` where the other side takes no streams, `ResourceExhausted` where too many are open.
   */
  openStream(): number {
    this.#requireReady("a stream");
    return this.#streams.open();
  }

  /** Forgets a stream of ours whose value was not sent. */
  dropStream(stream: number): void {
    this.#streams.forget([stream], null);
  }

  /**
   * Sends the next items of a stream of ours, in order; they wait here while the reader has no room. `streams`: those that stand in them.
   *
   * `EncodeError` or `TooLarge` for an item that can't travel: those before it are on their way. Nothing for a stream that was stopped.
   */
  sendItems(stream: number, items: readonly unknown[], streams: readonly number[] = NO_STREAMS): void {
    this.#streams.put(stream, items, streams);
  }

  /** Whether a stream of ours has enough to send; `StreamWritable` says when it has not any more. Also true for one that was stopped. */
  isStreamFull(stream: number): boolean {
    return this.#streams.isFull(stream);
  }

  /** Bytes of a stream of ours that wait, with something for each item. */
  queuedBytesOf(stream: number): number {
    return this.#streams.queuedBytesOf(stream);
  }

  /** There are no more items; `error`: the stream broke behind the last one. */
  endStream(stream: number, error: WireError | null = null): void {
    this.#streams.end(stream, error);
  }

  /** We want no more of a stream of the other side's. Nothing more will come of it. */
  stopStream(stream: number): void {
    this.#streams.stop(stream);
  }

  /** The program has taken items of a stream of the other side's that came in a message of `size` bytes. */
  creditStream(stream: number, size: number): void {
    this.#streams.take(stream, size);
  }

  /** Streams that are open: ours, and the other side's. */
  get openStreams(): { readonly ours: number; readonly theirs: number } {
    return this.#streams.counts;
  }

  /** Says bye and ends; send what `dataToSend` still gives, then close the connection. */
  close(code: number, reason: string, now: number): void {
    this.#now = now;
    this.#sayBye(code, reason);
    this.#end(code, reason, "local", new ConnectionLost(reason || "the session was closed on this side"));
  }

  // -- before the session is ready ----------------------------------------------------------------------

  #receiveBeforeReady(frame: Uint8Array | string): void {
    const { handshakeMessages, handshakeBytes, verifyBacklog } = this.#config;
    const size = typeof frame === "string" ? utf8Length(frame) : frame.length;
    if (this.#state === "verifying" || this.#state === "signing") {
      // The other side may have verified us already and be calling: kept as it came until its own proof holds.
      this.#backlogBytes += size;
      if (this.#backlogBytes > verifyBacklog) {
        throw new ProtocolError(`expected at most ${verifyBacklog} bytes while a proof is verified`, codes.RESOURCE_EXHAUSTED);
      }
      this.#backlog.push(frame);
      return;
    }
    this.#handshakeMessages++;
    this.#handshakeBytes += size;
    if (this.#handshakeMessages > handshakeMessages || this.#handshakeBytes > handshakeBytes) {
      throw new HandshakeError(`expected the other side to prove its key within ${handshakeMessages} messages and ${handshakeBytes} bytes`);
    }
    if (typeof frame !== "string") throw new HandshakeError("expected a text frame before the proof, got a binary one");
    if (this.#state === "hello") this.#receiveFirst(frame);
    else this.#receiveProve(frame);
  }

  #receiveFirst(frame: string): void {
    const { allowAnonymous } = this.#config;
    let envelope: Envelope | undefined;
    try {
      envelope = this.#json.decode(frame)[0];
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (!allowAnonymous) throw new HandshakeError("expected rpc.hello first, got no JSON-RPC message");
    }
    if (envelope?.type === "Notification" && envelope.method === "rpc.hello") {
      this.#receiveHello(frame, envelope.params);
    } else if (envelope?.type === "Notification" && envelope.method === "rpc.bye") {
      this.#receiveBye(asMap(envelope.params)); // it left before it began
    } else if (allowAnonymous && this.#pin === null) {
      this.#move("level 0 message");
      this.remote = { peerId: null, name: "", level: 0, features: new Set(), version: 0 };
      this.#reader.maxMessage = Math.min(this.#config.maxMessage, limits.MAX_MESSAGE_ANONYMOUS);
      this.#lanes.maxFrame = this.#maxMessageSize; // it knows no parts
      this.#events.push({ type: "SessionReady", peer: this.remote });
      this.#receiveFrame(frame);
    } else {
      for (const { id } of requestsIn(envelope)) {
        const message = "expected rpc.hello first: this peer serves only peers that prove a key";
        this.#lanes.pushControl(this.#json.encode(errorResponse(id, codes.UNAUTHENTICATED, message, { ran: false })));
      }
      throw new HandshakeError("expected rpc.hello first, got another message", codes.UNAUTHENTICATED);
    }
  }

  #receiveHello(frame: string, params: Params): void {
    const theirs = parseHello(params);
    const version = checkHello(this.#hello, theirs, this.#pin);
    this.#move("hello");
    this.#theirHello = theirs;
    this.#theirs = { key: theirs.key, nonce: theirs.nonce, fingerprint: this.#theirFingerprint, hello: frame };
    this.remote = { peerId: theirs.key, name: theirs.name, level: theirs.level, features: theirs.features, version };
    this.#events.push({ type: "SignRequired", payload: transcript(this.#ours, this.#theirs, this.#room) });
  }

  #receiveProve(frame: string): void {
    let envelope: Envelope | undefined;
    try {
      envelope = this.#json.decode(frame)[0];
    } catch (error) {
      throw error instanceof DecodeError ? new HandshakeError(`expected rpc.prove: ${error.message}`) : error;
    }
    if (envelope?.type !== "Notification" || !envelope.method.startsWith("rpc.") || envelope.method === "rpc.hello") {
      throw new HandshakeError("expected rpc.prove after rpc.hello, got another message");
    }
    const members = asMap(envelope.params);
    if (envelope.method === "rpc.bye") return this.#receiveBye(members);
    if (envelope.method !== "rpc.prove") return; // a reserved notification that this version doesn't know
    const { signature } = members as { signature?: unknown };
    let bytes: Uint8Array;
    try {
      bytes = b64urlDecode(typeof signature === "string" ? signature : "", SIGNATURE_BYTES);
    } catch (error) {
      throw error instanceof DecodeError ? new HandshakeError(`prove: ${error.message}`) : error;
    }
    this.#move("prove");
    const theirs = this.#theirs!;
    this.#events.push({
      type: "VerifyRequired",
      key: parsePeerId(theirs.key),
      payload: transcript(theirs, this.#ours, this.#room),
      signature: bytes,
    });
  }

  #becomeReady(): void {
    this.#move("our proof is sent");
    const theirs = this.#theirHello!;
    this.#lanes.maxFrame = Math.min(this.#lanes.maxFrame, theirs.maxFrame);
    if (speaksMessagePack(this.#hello, theirs)) this.#msgpack = new MessagePackCodec();
    if (this.#config.features.has("streams") && theirs.features.has("streams")) {
      const items = this.#msgpack === null ? new JsonItems() : new MessagePackItems();
      this.#streams.begin(items, (envelope) => this.#encode(envelope), theirs.streamWindow, theirs.maxMessage);
    }
    this.#events.push({ type: "SessionReady", peer: this.remote! });
    this.#sendPing(); // the first round trip is measured at once
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const frame of backlog) {
      if (this.#isOver()) return;
      this.#receiveFrame(frame);
    }
  }

  #move(input: SessionInput): void {
    const after = TRANSITIONS[this.#state][input];
    if (after === undefined) throw new ProtocolError(`"${input}" does not belong in state "${this.#state}"`);
    this.#state = after;
  }

  // A method, so that the compiler does not hold the state for what it was before a call.
  #isOver(): boolean {
    return this.#state === "closed";
  }

  /** Whether the other side knows the reserved notifications. */
  get #speaks(): boolean {
    return this.remote !== null && this.remote.level > 0;
  }

  // -- once it is ready ---------------------------------------------------------------------------------

  #receiveFrame(frame: Uint8Array | string): void {
    const whole = this.#reader.feed(frame, this.#now);
    if (whole === null) return;
    if (typeof whole === "string") {
      this.#receiveText(whole);
      return;
    }
    if (this.#msgpack === null) throw new ProtocolError("expected text frames: MessagePack was not agreed");
    const sizes: number[] = [];
    for (const [i, message] of this.#msgpack.decode(whole, sizes).entries()) {
      if (this.#isOver()) return;
      this.#receiveMessage(message, false, null, sizes[i]!);
    }
  }

  #receiveText(text: string): void {
    let envelopes: Envelope[];
    try {
      envelopes = this.#json.decode(text);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#pushAnswer(errorResponse(null, error.code, error.message), true);
      return;
    }
    for (const envelope of envelopes) {
      if (envelope.type !== "Batch") {
        const isNext = envelope.type === "Notification" && envelope.method === "rpc.next";
        this.#receiveMessage(envelope, true, null, isNext ? utf8Length(text) : 0);
        continue;
      }
      const answer: BatchAnswer = { answers: [], streams: [], missing: envelope.items.filter(isOwedAnAnswer).length };
      for (const item of envelope.items) {
        if (this.#isOver()) return;
        this.#receiveMessage(item, true, answer, 0);
      }
    }
  }

  /** `size`: the length of the envelope, where it stands alone. */
  #receiveMessage(message: Message, isText: boolean, of: BatchAnswer | null, size: number): void {
    switch (message.type) {
      case "Request":
        return this.#receiveRequest(message, isText, of);
      case "Response": {
        const { result } = message;
        const id = this.#settle(message.id)?.id;
        const streams = streamsIn(result);
        if (id === undefined) {
          this.#streams.turnAway(streams);
        } else {
          const error = this.#streams.arrive(streams);
          this.#events.push(error === null ? { type: "ResponseReceived", id, result, streams } : { type: "CallFailed", id, error });
        }
        return;
      }
      case "ErrorResponse": {
        const call = this.#settle(message.id);
        if (call === null) return;
        const error = errorFromWire(message.code, message.message, message.data);
        this.#events.push({ type: "ErrorReceived", id: call.id, error });
        // What was never taken can't be read either.
        if (error.ran === false) this.#streams.giveUp(call.streams, new CallCancelled("the call that the stream was an argument of was refused"));
        return;
      }
      case "Notification": {
        const { method, params, meta } = message;
        if (method.startsWith("rpc.")) return this.#receiveReserved(method, asMap(params), size);
        const streams = streamsIn(params);
        if (this.#streams.arrive(streams) === null) this.#events.push({ type: "NotificationReceived", method, params, meta, streams });
        return;
      }
      case "Malformed":
        return this.#receiveMalformed(message, isText, of);
    }
  }

  #receiveMalformed({ id, code, message, isAnswer }: Malformed, isText: boolean, of: BatchAnswer | null): void {
    if (!isAnswer) {
      this.#deliver(errorResponse(id, code, message, { ran: false }), isText, of);
      return;
    }
    const call = this.#settle(id);
    if (call !== null) this.#events.push({ type: "CallFailed", id: call.id, error: new ProtocolError(`the answer can't be read: ${message}`) });
  }

  #receiveRequest({ id, method, params, meta }: Request, isText: boolean, of: BatchAnswer | null): void {
    const served = this.#serving.get(id);
    if (served !== undefined && id !== null && this.#speaks) {
      throw new ProtocolError(`expected the id of a request to be used once, got ${JSON.stringify(id)} again`);
    }
    const one: Served = { isText, batch: of, progressAt: -Infinity, progress: null };
    if (served === undefined) this.#serving.set(id, [one]);
    else served.push(one);
    this.#servingCount++;
    const { maxInFlight } = this.#config;
    const streams = streamsIn(params);
    if (this.#servingCount > maxInFlight) {
      const message = `expected at most ${maxInFlight} requests at a time; wait for an answer, then try again`;
      this.#refuseRequest(id, codes.RESOURCE_EXHAUSTED, message, streams);
    } else if (method.startsWith("rpc.") && method !== "rpc.discover") {
      this.#refuseRequest(id, codes.METHOD_NOT_FOUND, `there is no method ${JSON.stringify(method)}`, streams);
    } else {
      const problem = this.#streams.arrive(streams);
      if (problem === null) this.#events.push({ type: "RequestReceived", id, method, params, meta, streams });
      else this.#refuseRequest(id, problem.code, problem.message, NO_STREAMS);
    }
  }

  /** Answers the request that came last under `id`. (Earlier ones of a level 0 peer may be open under the same id.) */
  #refuseRequest(id: Id, code: number, message: string, streams: readonly number[]): void {
    this.#streams.turnAway(streams);
    const served = this.#serving.get(id)!;
    const last = served.pop()!;
    if (served.length === 0) this.#serving.delete(id);
    this.#servingCount--;
    this.#deliver(errorResponse(id, code, message, { ran: false }), last.isText, last.batch);
  }

  #receiveReserved(method: string, members: WireMap, size: number): void {
    if (!this.#speaks) return;
    switch (method) {
      case "rpc.hello":
      case "rpc.prove":
        throw new ProtocolError(`expected ${method} once, before the first call`);
      case "rpc.ping":
        return this.#pushControl("rpc.pong", { n: members["n"] ?? null });
      case "rpc.pong":
        if (members["n"] === this.#pingNumber) this.#events.push({ type: "PongReceived", rtt: this.#now - this.#pingSentAt });
        return;
      case "rpc.cancel": {
        const id = members["id"];
        if ((typeof id === "number" || typeof id === "string") && this.#serving.has(id)) this.#events.push({ type: "CancelReceived", id });
        return;
      }
      case "rpc.progress":
        return this.#receiveProgress(members);
      case "rpc.next":
      case "rpc.end":
      case "rpc.credit":
      case "rpc.stop":
        return this.#streams.receive(method, members, size);
      case "rpc.token":
        return this.#receiveToken(members["token"]);
      case "rpc.bye":
        return this.#receiveBye(members);
    }
  }

  #receiveProgress({ id, done, total, message }: WireMap & { id?: unknown; done?: unknown; total?: unknown; message?: unknown }): void {
    // To be told less than one could be harms nobody: what is no progress is not worth the session.
    if (typeof id !== "number" || typeof done !== "number") return;
    const call = this.#calls.get(id);
    if (call === undefined || call.outgoing === null) return;
    this.#events.push({
      type: "ProgressReceived",
      id,
      done,
      total: typeof total === "number" ? total : null,
      message: typeof message === "string" ? cut(message, MAX_REASON) : "",
    });
  }

  #receiveToken(token: unknown): void {
    if (typeof token !== "string" || token === "") throw new ProtocolError("token: expected text");
    if (utf8Length(token) > limits.TOKEN_LENGTH) {
      throw new ProtocolError(`token: expected at most ${limits.TOKEN_LENGTH} bytes`, codes.TOO_LARGE);
    }
    if (++this.#tokens > limits.MAX_TOKENS) {
      throw new ProtocolError(`expected at most ${limits.MAX_TOKENS} tokens`, codes.RESOURCE_EXHAUSTED);
    }
    this.#events.push({ type: "TokenReceived", token });
  }

  #receiveBye(members: WireMap): void {
    const code = Number.isSafeInteger(members["code"]) ? (members["code"] as number) : 0;
    const reason = typeof members["reason"] === "string" ? cut(members["reason"], MAX_REASON) : "";
    this.#lanes.clearCalls();
    const name = reason || (codes.CODE_NAMES.get(code) ?? String(code));
    const error =
      code === 0
        ? new ConnectionLost(`the other side left${reason === "" ? "" : `: ${reason}`}`)
        : errorOfBye(code, `the other side ended the session: ${name}`);
    this.#end(code, reason, "remote", error);
  }

  // -- calls --------------------------------------------------------------------------------------------

  get #theirWindow(): number {
    return this.#theirHello?.maxInFlight ?? this.#config.maxInFlight;
  }

  #sendCall(call: Call): void {
    call.outgoing = this.#lanes.pushCall(call.data);
    this.#open++;
    this.#streams.announce(call.outgoing, call.streams);
  }

  /** Takes the call that was answered off the list; null where nobody waits for the answer: it crossed our cancel. */
  #settle(id: Id): { readonly id: number; readonly streams: readonly number[] } | null {
    if (typeof id !== "number") return null;
    if (this.#abandoned.delete(id)) {
      this.#closeOne();
      return null;
    }
    const call = this.#calls.get(id);
    if (call === undefined || call.outgoing === null) return null;
    this.#calls.delete(id);
    this.#closeOne();
    return { id, streams: call.streams };
  }

  #closeOne(): void {
    this.#open--;
    for (const id of this.#waiting) {
      if (this.#open >= this.#theirWindow) return;
      this.#waiting.delete(id);
      this.#sendCall(this.#calls.get(id)!);
    }
  }

  /** Takes a call back, and the streams in its params, for `error`; true where the other side can't have heard of it. */
  #withdraw(id: number, { outgoing, isInBatch, streams }: Call, error: LocalError): boolean {
    if (outgoing === null) {
      this.#waiting.delete(id);
      this.#streams.forget(streams, error);
      return true;
    }
    if (!isInBatch && this.#lanes.withdraw(outgoing)) {
      this.#streams.forget(streams, error);
      this.#closeOne();
      return true;
    }
    this.#streams.giveUp(streams, error);
    // The other side owes an answer still, and counts the call until then.
    this.#abandoned.add(id);
    // A cancel that overtook its request would cancel nothing.
    if (this.#speaks) this.#lanes.pushBehind(outgoing, this.#encodeUnchecked(notification("rpc.cancel", { id })));
    return false;
  }

  #expireCalls(now: number): void {
    if (now < this.#firstDeadline) return;
    let next = Infinity;
    for (const [id, call] of this.#calls) {
      if (call.deadline > now) {
        next = Math.min(next, call.deadline);
        continue;
      }
      this.#calls.delete(id);
      const message = `no answer within ${call.timeout} s, by this side's clock`;
      const ran = this.#withdraw(id, call, new DeadlineExceeded(message)) ? false : null;
      this.#events.push({ type: "CallFailed", id, error: new DeadlineExceeded(message, ran) });
    }
    this.#firstDeadline = next;
  }

  // -- answers ------------------------------------------------------------------------------------------

  #answer(answer: Message & { readonly id: Id }, streams: readonly number[] = NO_STREAMS): void {
    if (this.#state !== "ready") return;
    const { id } = answer;
    const served = this.#serving.get(id);
    const first = served?.[0];
    if (served === undefined || first === undefined) {
      throw new RangeError(`request ${JSON.stringify(id)} was answered before, or never came`);
    }
    if (first.progress !== null) this.#flushProgress(first);
    this.#deliver(answer, first.isText, first.batch, streams);
    // Only now: where the answer could not be encoded, another may be given.
    served.shift();
    if (served.length === 0) this.#serving.delete(id);
    this.#servingCount--;
  }

  /** Sends an answer, or keeps it until the others of its batch are there. */
  #deliver(answer: Message, isText: boolean, of: BatchAnswer | null, streams: readonly number[] = NO_STREAMS): void {
    if (of === null) {
      this.#streams.announce(this.#pushAnswer(answer, isText), streams);
      return;
    }
    of.answers.push(this.#json.encode(answer));
    of.streams.push(...streams);
    of.missing--;
    if (of.missing === 0) this.#streams.announce(this.#lanes.pushCall(this.#checkSize(`[${of.answers.join(",")}]`)), of.streams);
  }

  #pushAnswer(answer: Message, isText: boolean): Outgoing {
    return this.#lanes.pushCall(isText ? this.#checkSize(this.#json.encode(answer)) : this.#encode(answer));
  }

  #flushProgress(served: Served): void {
    this.#late.delete(served);
    if (served.progress === null) return;
    this.#lanes.pushCall(this.#encodeUnchecked(served.progress));
    served.progress = null;
    served.progressAt = this.#now;
  }

  #sendLateProgress(now: number): void {
    for (const served of this.#late) {
      if (now >= served.progressAt + this.#config.progressSeconds) this.#flushProgress(served);
    }
  }

  // -- heartbeats ---------------------------------------------------------------------------------------

  #nextHeartbeat(): number {
    return Math.max(this.#heardAt, this.#pingSentAt) + this.#config.heartbeatInterval;
  }

  #heartbeat(now: number): void {
    if (now < this.#nextHeartbeat()) return;
    if (this.#unanswered >= this.#config.heartbeatMisses) {
      const silence = (now - this.#heardAt).toFixed(1);
      const reason = `nothing was heard for ${silence} s: ${this.#unanswered} heartbeats went unanswered`;
      this.#end(codes.CONNECTION_LOST, reason, "broken", new ConnectionLost(reason));
      return;
    }
    this.#unanswered++;
    this.#sendPing();
  }

  #sendPing(): void {
    this.#pingNumber++;
    this.#pingSentAt = this.#now;
    this.#pushControl("rpc.ping", { n: this.#pingNumber });
  }

  // -- the end ------------------------------------------------------------------------------------------

  /** Runs what the other side caused; what it did wrong ends the session instead of reaching our caller. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof RtcRpcError)) throw error;
      this.#sayBye(error.code, error.message);
      this.#end(error.code, error.message, "local", error);
    }
  }

  #sayBye(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#lanes.clearCalls();
    if (this.#state !== "ready") {
      this.#lanes.pushControl(this.#json.encode(notification("rpc.bye", { code, reason: wellFormed(cut(reason, MAX_REASON)) })));
    } else if (this.#speaks) {
      this.#pushControl("rpc.bye", { code, reason: wellFormed(cut(reason, MAX_REASON)) });
    }
  }

  #end(code: number, reason: string, by: SessionClosed["by"], error: RtcRpcError): void {
    if (this.#state === "closed") return;
    this.#move("the end");
    for (const [id, { outgoing }] of this.#calls) {
      const ran = outgoing?.isStarted === true ? null : false;
      this.#events.push({ type: "CallFailed", id, error: new ConnectionLost(`the session ended before the answer came: ${error.message}`, ran) });
    }
    this.#calls.clear();
    this.#waiting.clear();
    this.#abandoned.clear();
    this.#backlog = [];
    this.#serving.clear();
    this.#late.clear();
    this.#streams.close(new StreamBroken(`the session ended before the stream did: ${error.message}`));
    this.#events.push({ type: "SessionClosed", code, reason, by, error });
  }

  // -- encoding -----------------------------------------------------------------------------------------

  #requireReady(what: string): void {
    if (this.#state !== "ready") {
      throw new ConnectionLost(`${what}: there is no session (it is ${this.#state}); nothing was sent`, false);
    }
  }

  #encode(envelope: Envelope): Uint8Array | string {
    return this.#checkSize(this.#encodeUnchecked(envelope));
  }

  #encodeUnchecked(envelope: Envelope): Uint8Array | string {
    return this.#msgpack === null ? this.#json.encode(envelope) : this.#msgpack.encode(envelope);
  }

  #checkSize<Data extends Uint8Array | string>(data: Data): Data {
    // A level 0 peer knows no parts: what it gets must fit the channel.
    const limit = this.#theirHello?.maxMessage ?? this.#maxMessageSize;
    if (typeof data === "string" && data.length * 3 <= limit) return data;
    const size = typeof data === "string" ? utf8Length(data) : data.length;
    if (size > limit) throw new TooLarge(`the message has ${size} bytes, the other side takes at most ${limit}; send it in pieces`);
    return data;
  }

  /** Sends what is ours alone and short: no limit of the other side's stands in its way. */
  #pushControl(method: string, params: WireMap): void {
    this.#lanes.pushControl(this.#encodeUnchecked(notification(method, params)));
  }
}

function checkedMethod(method: string): string {
  const length = [...method].length;
  if (length < 1 || length > limits.MAX_METHOD_LENGTH) {
    throw new ProtocolError(`expected the name of a method to have 1 to ${limits.MAX_METHOD_LENGTH} characters, got ${length}`);
  }
  return method;
}

function isOwedAnAnswer(message: Message): boolean {
  return message.type === "Request" || (message.type === "Malformed" && !message.isAnswer);
}

function requestsIn(envelope: Envelope | undefined): Request[] {
  const items = envelope === undefined ? [] : envelope.type === "Batch" ? envelope.items : [envelope];
  return items.filter((item) => item.type === "Request");
}

function asMap(params: Params): WireMap {
  return Array.isArray(params) ? (Object.create(null) as WireMap) : (params as WireMap);
}

/** The first `most` characters of a text for people, never half of one. */
function cut(text: string, most: number): string {
  return text.length <= most ? text : [...text.slice(0, most * 2)].slice(0, most).join("");
}

/** A text for people whose lone surrogates, which have no UTF-8, are replaced. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

function errorOfBye(code: number, message: string): RtcRpcError {
  switch (code) {
    case codes.IDENTITY_MISMATCH:
      return new IdentityMismatch(message);
    case codes.VERSION_MISMATCH:
      return new VersionMismatch(message);
    case codes.HANDSHAKE_FAILED:
    case codes.UNAUTHENTICATED:
      return new HandshakeError(message, code);
    default:
      return new ConnectionLost(message, null, code);
  }
}
