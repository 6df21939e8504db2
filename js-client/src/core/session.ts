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
  ResourceExhausted,
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
  type ErrorResponse,
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
import { LOSSY, LossyLane } from "./lossy.js";
import { streamsIn } from "./stream-values.js";
import { StreamTable } from "./streams.js";

const SIGNATURE_BYTES = 64;
const MAX_REASON = 500; // characters of a bye's reason, ours and theirs; and of what is said about progress
const MAX_WAITING_CONTROL = 64;
const MAX_REFUSALS = 1 << 20; // bytes of refusals that wait in the lanes, for a peer that asks and does not read

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

/** The defaults, from `schemas/limits.json`. */
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
  /** Bytes that the channel takes as one message; 0: any. */
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
  /** The ids of the batch that it travels in, and can't be taken out of; null where it travels alone. */
  readonly batch: Group | null;
  /** Those in its params. */
  readonly streams: readonly number[];
}

/** The ids of calls that go out together: those of a batch, or one. */
type Group = readonly number[];

/** A call that was answered, and the streams in its params. */
interface Settled {
  readonly id: number;
  readonly streams: readonly number[];
}

/** The answers to one batch, until all of them are there. */
interface BatchAnswer {
  readonly answers: string[];
  /** Those that stand in them. */
  readonly streams: number[];
  missing: number;
}

/** How an answer goes: one that was asked for in text goes in text, as its id may be one that MessagePack has no place for. */
interface Reply {
  readonly isText: boolean;
  readonly batch: BatchAnswer | null;
}

/** A request that we owe an answer. */
interface Served {
  readonly reply: Reply;
  /** When an `rpc.progress` of it last went out, and one that waits until it may. */
  progressAt: number;
  progress: Envelope | null;
}

const AS_BYTES: Reply = { isText: false, batch: null };
const AS_TEXT: Reply = { isText: true, batch: null };

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
  /** Bytes that the channel takes as one message. */
  readonly #channelLimit: number;
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
  readonly #waiting = new Set<Group>();
  /** Calls that we gave up and the other side may still be at: they take up room there until it answers. */
  readonly #abandoned = new Set<number>();
  #open = 0;
  /** No call's deadline is before this. */
  #firstDeadline = Infinity;
  /** The requests that we owe an answer. (A peer of level 0 may use an id again while it is open.) */
  readonly #serving = new Map<Id, Served[]>();
  #servingCount = 0;
  #refusalBytes = 0;
  /** The requests whose progress waits for its time. */
  readonly #late = new Set<Served>();
  readonly #streams: StreamTable;
  /** Null where the two have no such channel in common. */
  #lossy: LossyLane | null = null;
  #lossyStrays = 0;
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
    // A `max-message-size` of 0 means that there is none (RFC 8841 section 6.1).
    this.#channelLimit = maxMessageSize || config.maxMessage;
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
    this.#lanes = new Lanes({ maxFrame: Math.min(config.maxFrame, this.#channelLimit), coalesce: config.coalesceBytes });
    this.#streams = new StreamTable(this.#lanes, (event) => this.#events.push(event), config);
    this.#reader = new FrameReader(config);
    this.#handshakeDeadline = now + config.handshakeSeconds;
    this.#heardAt = now;
    this.#pingSentAt = now;
    this.#now = now;
    this.#lanes.pushControl(this.#ours.hello);
  }

  /** How far the two have come. */
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

  /** A frame came on the lossy channel. What is not news there is dropped, and nothing of it ends the session. */
  receiveLossy(frame: Uint8Array | string, now: number): void {
    if (this.#state !== "ready" || this.#lossy === null) {
      this.#lossyStrays++;
      return;
    }
    this.#now = now;
    this.#heardAt = now;
    this.#unanswered = 0;
    const news = this.#lossy.receive(frame);
    if (news !== null) this.#events.push({ type: "LossyReceived", method: news.method, params: news.params, meta: news.meta });
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

  /** Whether something waits for room in the lossy channel. */
  get hasLossyToSend(): boolean {
    return this.#lossy !== null && !this.#lossy.isEmpty;
  }

  /** The frame to put on the lossy channel now, where there is room in it; null where nothing waits. */
  nextLossy(): Uint8Array | null {
    return this.#state === "ready" ? (this.#lossy?.nextFrame() ?? null) : null;
  }

  /** Frames of the lossy channel that came and were not taken: late, repeated, or not what belongs there. */
  get lossyDropped(): number {
    return this.#lossyStrays + (this.#lossy?.dropped ?? 0);
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
    const data = this.#encode(request(id, checkedMethod(method), params, this.#metaOf(meta, timeout)));
    this.#nextId++;
    this.#now = now;
    const call = this.#addCall(id, data, timeout, null, streams);
    if (this.#open < this.#theirWindow && this.#waiting.size === 0) {
      call.outgoing = this.#lanes.pushCall(data);
      this.#open++;
      this.#streams.announce(call.outgoing, streams);
    } else {
      this.#waiting.add([id]);
    }
    return id;
  }

  /**
   * Several calls in one JSON-RPC batch, where the session speaks JSON; returns the ids of those that want an answer.
   *
   * Waits as a whole until the other's `maxInFlight` has room for all of it. Throws as `sendRequest` does, and `ResourceExhausted` for more
   * than fit a batch or the other's window.
   */
  sendBatch(items: readonly BatchItem[], { now, timeout = null }: { readonly now: number; readonly timeout?: number | null }): number[] {
    this.#requireReady("a batch");
    if (this.#msgpack !== null) throw new ProtocolError("batches are of JSON only: in MessagePack calls share frames by themselves");
    const most = Math.min(limits.MAX_BATCH, this.#theirWindow);
    if (items.length < 1 || items.length > most) throw new ResourceExhausted(`expected 1 to ${most} messages in a batch, got ${items.length}`, false);
    const ids: number[] = [];
    const messages = items.map(({ method, params, notify = false }) => {
      if (notify) return notification(checkedMethod(method), params);
      const id = this.#nextId + ids.length;
      ids.push(id);
      return request(id, checkedMethod(method), params, this.#metaOf(NO_META, timeout));
    });
    const data = this.#encode(batch(messages));
    this.#nextId += ids.length;
    this.#now = now;
    for (const id of ids) this.#addCall(id, data, timeout, ids);
    if (ids.length === 0) {
      this.#lanes.pushCall(data);
    } else {
      this.#waiting.add(ids);
      this.#release();
    }
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
    this.#streams.announce(this.#lanes.pushCall(this.#encode(notification(checkedMethod(method), params, this.#metaOf(meta, null)))), streams);
  }

  /**
   * Tells, where only the latest counts: it may be lost, and is replaced by a newer one of the method while it waits. Goes like any notification
   * where the two have no lossy channel in common. Throws as `sendRequest` does, `TooLarge` beyond `LOSSY_FRAME`, `ResourceExhausted` for more
   * than `MAX_LOSSY_METHODS` methods. There may be no streams in the params.
   */
  sendLossy(method: string, params: Params): void {
    this.#requireReady(method);
    if (this.#lossy === null) this.sendNotification(method, params);
    else this.#lossy.send(checkedMethod(method), params);
  }

  /**
   * Tells the caller how far its request `id` has come, in whatever unit the function counts. At most once in `progressSeconds`: of those
   * in between the last one counts. Nothing for a caller that takes none, nor once the request was answered.
   */
  sendProgress(id: Id, done: number, total: number | null, message: string | null, now: number): void {
    const served = this.#serving.get(id)?.[0];
    if (served === undefined || this.#state !== "ready" || this.remote?.features.has("progress") !== true) return;
    this.#now = Math.max(now, this.#now);
    const text = message === null ? undefined : wellFormed(cut(message, MAX_REASON));
    served.progress = notification("rpc.progress", { id, done, total: total ?? undefined, message: text });
    if (now >= served.progressAt + this.#config.progressSeconds) this.#flushProgress(served);
    else this.#late.add(served);
  }

  /** Presents what entitles us; goes out before any call made later (protocol section 6.1). Throws `TooLarge` for what is no token. */
  sendToken(token: string): void {
    this.#requireReady("rpc.token");
    if (utf8Length(token) > limits.TOKEN_LENGTH) throw new TooLarge(`token: expected at most ${limits.TOKEN_LENGTH} bytes, got more`, false);
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
    if (code === 0) {
      // A good end: what is small and was said before goes out before the bye. Calls that nobody will wait for don't.
      for (const { outgoing } of this.#calls.values()) {
        if (outgoing !== null) this.#lanes.withdraw(outgoing);
      }
    }
    this.#sayBye(code, reason, code === 0);
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
    // The first frame of a level 0 peer may be a request, whole in one frame.
    const most = this.#state === "hello" && this.#admitsLevel0 ? Math.max(handshakeBytes, limits.MAX_MESSAGE_ANONYMOUS) : handshakeBytes;
    if (this.#handshakeMessages > handshakeMessages || this.#handshakeBytes > most) {
      throw new HandshakeError(`expected the other side to prove its key within ${handshakeMessages} messages and ${handshakeBytes} bytes`);
    }
    if (typeof frame !== "string") throw new HandshakeError("expected a text frame before the proof, got a binary one");
    if (this.#state === "hello") this.#receiveFirst(frame);
    else this.#receiveProve(frame);
  }

  #receiveFirst(frame: string): void {
    let envelope: Envelope | undefined;
    try {
      envelope = this.#json.decode(frame)[0];
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (!this.#admitsLevel0) throw new HandshakeError("expected rpc.hello first, got no JSON-RPC message");
    }
    if (envelope?.type === "Notification" && envelope.method === "rpc.hello") {
      this.#receiveHello(frame, envelope.params);
    } else if (envelope?.type === "Notification" && envelope.method === "rpc.bye") {
      this.#receiveBye(asMap(envelope.params)); // it left before it began
    } else if (this.#admitsLevel0) {
      this.#move("level 0 message");
      this.remote = { peerId: null, name: "", level: 0, features: new Set(), version: 1 };
      // It was told no maxFrame, and knows no parts.
      this.#reader.maxMessage = Math.min(this.#config.maxMessage, limits.MAX_MESSAGE_ANONYMOUS);
      this.#reader.maxFrame = this.#reader.maxMessage;
      this.#lanes.maxFrame = this.#channelLimit;
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
    if (this.#msgpack !== null && this.#config.features.has(LOSSY) && theirs.features.has(LOSSY)) this.#lossy = new LossyLane(this.#lanes.maxFrame);
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

  get #admitsLevel0(): boolean {
    // A pinned peer has a key to prove: whoever shows none is not it.
    return this.#config.allowAnonymous && this.#pin === null;
  }

  /** Whether the other side knows the reserved notifications. */
  get #speaks(): boolean {
    return this.#theirHello !== null;
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
      this.#receiveMessage(message, AS_BYTES, sizes[i]!);
    }
  }

  #receiveText(text: string): void {
    let envelopes: Envelope[];
    try {
      envelopes = this.#json.decode(text);
    } catch (error) {
      // It may have been the answer to one of our calls, which would then wait for ever.
      if (!(error instanceof DecodeError) || (this.#msgpack === null && this.#open > 0)) throw error;
      this.#refuseRequest(null, error.code, error.message, AS_TEXT);
      return;
    }
    for (const envelope of envelopes) {
      if (envelope.type === "Batch") {
        this.#receiveBatch(envelope.items);
      } else {
        const isNext = envelope.type === "Notification" && envelope.method === "rpc.next";
        this.#receiveMessage(envelope, AS_TEXT, isNext ? utf8Length(text) : 0);
      }
    }
  }

  #receiveBatch(items: readonly Message[]): void {
    const reply: Reply = { isText: true, batch: { answers: [], streams: [], missing: items.filter(isOwedAnAnswer).length } };
    const answered = new Set<Group>();
    for (const item of items) {
      if (this.#isOver()) return;
      const group = item.type === "Response" || item.type === "ErrorResponse" ? this.#calls.get(item.id as number)?.batch : null;
      if (group) answered.add(group);
      this.#receiveMessage(item, reply, 0);
    }
    // A batch is answered by one batch (JSON-RPC 2.0 section 6): what is missing from it never comes.
    for (const id of [...answered].flat()) {
      const missing = this.#settle(id);
      if (missing !== null) this.#fail(missing.id, new ProtocolError("the answer to the batch has none for this call"));
    }
  }

  /** `size`: the length of the envelope, where it stands alone. */
  #receiveMessage(message: Message, reply: Reply, size: number): void {
    switch (message.type) {
      case "Request":
        return this.#receiveRequest(message, reply);
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
      case "ErrorResponse":
        return this.#receiveError(message);
      case "Notification": {
        const { method, params, meta } = message;
        if (method.startsWith("rpc.")) return this.#receiveReserved(method, asMap(params), size);
        const streams = streamsIn(params);
        if (this.#streams.arrive(streams) === null) this.#events.push({ type: "NotificationReceived", method, params, meta, streams });
        return;
      }
      case "Malformed":
        return this.#receiveMalformed(message, reply);
    }
  }

  #receiveError({ id, code, message, data }: ErrorResponse): void {
    const settled = id === null ? this.#settleUnnamed(message) : [this.#settle(id)];
    for (const call of settled) {
      if (call === null) continue;
      const error = errorFromWire(code, message, data);
      this.#events.push({ type: "ErrorReceived", id: call.id, error });
      // What was never taken can't be read either.
      if (error.ran === false) this.#streams.giveUp(call.streams, new CallCancelled("the call that the stream was an argument of was refused"));
    }
  }

  /** The calls that an error without id is for: the other side could not read the id of something that we sent. */
  #settleUnnamed(message: string): (Settled | null)[] {
    const sent = new Map<Outgoing, number[]>();
    for (const [id, { outgoing }] of this.#calls) {
      if (outgoing !== null) sent.set(outgoing, [...(sent.get(outgoing) ?? []), id]);
    }
    // Where only one thing is open, it was that.
    if (sent.size > 1 || (sent.size > 0 && this.#abandoned.size > 0)) {
      throw new ProtocolError(`the other side could not read one of our calls, and can't say which: ${cut(message, 200)}`);
    }
    return [...sent.values()].flat().map((id) => this.#settle(id));
  }

  #receiveMalformed({ id, code, message, isAnswer }: Malformed, reply: Reply): void {
    if (!isAnswer) return this.#refuseRequest(id, code, message, reply);
    const call = this.#settle(id);
    if (call !== null) this.#fail(call.id, new ProtocolError(`the answer can't be read: ${message}`));
  }

  #receiveRequest({ id, method, params, meta }: Request, reply: Reply): void {
    const served = this.#serving.get(id);
    if (served !== undefined && id !== null && this.#speaks) {
      throw new ProtocolError(`expected the id of a request to be used once, got ${JSON.stringify(id).slice(0, 60)} again`);
    }
    const { maxInFlight } = this.#config;
    const streams = streamsIn(params);
    if (this.#servingCount >= maxInFlight) {
      this.#streams.turnAway(streams);
      const message = `expected at most ${maxInFlight} requests at a time; wait for an answer, then try again`;
      return this.#refuseRequest(id, codes.RESOURCE_EXHAUSTED, message, reply);
    }
    if (method.startsWith("rpc.") && method !== "rpc.discover") {
      this.#streams.turnAway(streams);
      return this.#refuseRequest(id, codes.METHOD_NOT_FOUND, `there is no method ${JSON.stringify(method)}`, reply);
    }
    const error = this.#streams.arrive(streams);
    if (error !== null) return this.#refuseRequest(id, error.code, error.message, reply);
    const one: Served = { reply, progressAt: -Infinity, progress: null };
    if (served === undefined) this.#serving.set(id, [one]);
    else served.push(one);
    this.#servingCount++;
    this.#events.push({ type: "RequestReceived", id, method, params, meta, streams });
  }

  /** Answers what is not served. */
  #refuseRequest(id: Id, code: number, message: string, reply: Reply): void {
    if (!this.#lanes.hasCalls) this.#refusalBytes = 0;
    const before = this.#lanes.queuedBytes;
    this.#deliver(errorResponse(id, code, message, { ran: false }), reply);
    this.#refusalBytes += this.#lanes.queuedBytes - before;
    if (this.#refusalBytes > MAX_REFUSALS) throw new ResourceExhausted("expected refusals to be read, got only more to refuse");
  }

  #receiveReserved(method: string, members: WireMap, size: number): void {
    if (!this.#speaks) return;
    switch (method) {
      case "rpc.hello":
      case "rpc.prove":
        throw new ProtocolError(`expected ${method} once, before the first call`);
      case "rpc.ping": {
        // A number, not whatever it sent: that would come back at any length. And none for a peer that doesn't read them.
        const n = members["n"];
        if (isCount(n) && this.#lanes.waitingControl < MAX_WAITING_CONTROL) this.#pushControl("rpc.pong", { n });
        return;
      }
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
    const text = message ?? null;
    if (!isAmount(done) || ((total ?? null) !== null && !isAmount(total)) || (text !== null && typeof text !== "string")) {
      throw new ProtocolError("rpc.progress: expected done, and total where it is told, to be numbers, and message to be text");
    }
    const call = typeof id === "number" ? this.#calls.get(id) : undefined;
    if (call === undefined || call.outgoing === null) return;
    this.#events.push({
      type: "ProgressReceived",
      id: id as number,
      done: Number(done),
      total: isAmount(total) ? Number(total) : null,
      message: text === null ? null : cut(text, MAX_REASON),
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
    // It ends up in logs and terminals, where an escape sequence could rewrite the line.
    const reason = typeof members["reason"] === "string" ? cut(members["reason"], MAX_REASON).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd") : "";
    this.#lanes.clear();
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

  #metaOf(meta: Meta, timeout: number | null): Meta {
    if (!this.#speaks) return NO_META; // JSON-RPC 2.0 has no such member, and a level 0 peer may refuse it
    return timeout === null ? meta : { ...meta, timeout: Math.max(1, Math.round(timeout * 1000)) };
  }

  #addCall(id: number, data: Uint8Array | string, timeout: number | null, batch: Group | null, streams: readonly number[] = NO_STREAMS): Call {
    const call: Call = { data, timeout, deadline: timeout === null ? Infinity : this.#now + timeout, outgoing: null, batch, streams };
    this.#calls.set(id, call);
    this.#firstDeadline = Math.min(this.#firstDeadline, call.deadline);
    return call;
  }

  /** Sends what waits, as far as the other side's window goes. */
  #release(): void {
    for (const group of this.#waiting) {
      if (this.#open + group.length > this.#theirWindow) return;
      this.#waiting.delete(group);
      const first = group.map((id) => this.#calls.get(id)).find((call) => call !== undefined);
      if (first === undefined) continue;
      const outgoing = this.#lanes.pushCall(first.data);
      this.#open += group.length;
      this.#streams.announce(outgoing, first.streams);
      for (const id of group) {
        const call = this.#calls.get(id);
        if (call !== undefined) call.outgoing = outgoing;
        else this.#abandon(id, outgoing); // given up while its batch waited: it can't be taken out of that any more
      }
    }
  }

  /** Takes the call that was answered off the list; null where nobody waits for the answer: it crossed our cancel. */
  #settle(id: Id): Settled | null {
    if (typeof id !== "number") return null;
    let settled: Settled | null = null;
    if (!this.#abandoned.delete(id)) {
      const call = this.#calls.get(id);
      if (call === undefined || call.outgoing === null) return null;
      this.#calls.delete(id);
      settled = { id, streams: call.streams };
    }
    this.#open--;
    this.#release();
    return settled;
  }

  #fail(id: number, error: LocalError): void {
    this.#events.push({ type: "CallFailed", id, error });
  }

  /** Tells the other side that nobody waits any more. It owes an answer still, and counts the call until it gives one. */
  #abandon(id: number, outgoing: Outgoing): void {
    this.#abandoned.add(id);
    // A cancel that overtook its request would cancel nothing.
    if (this.#speaks) this.#lanes.pushBehind(outgoing, this.#encodeUnchecked(notification("rpc.cancel", { id })));
  }

  /** Takes a call back, and the streams in its params, for `error`; true where the other side can't have heard of it. */
  #withdraw(id: number, { outgoing, batch, streams }: Call, error: LocalError): boolean {
    if (outgoing === null) {
      this.#streams.forget(streams, error);
      return true; // its group is passed over when its turn comes
    }
    if (batch === null && this.#lanes.withdraw(outgoing)) {
      this.#streams.forget(streams, error);
      this.#open--;
      this.#release();
      return true;
    }
    this.#streams.giveUp(streams, error);
    this.#abandon(id, outgoing);
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
      const ran = this.#withdraw(id, call, new CallCancelled("the call that the stream was an argument of took too long")) ? false : null;
      this.#fail(id, new DeadlineExceeded(`no answer within ${call.timeout} s, by this side's clock`, ran));
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
    this.#deliver(answer, first.reply, streams);
    // Only now: where the answer could not be encoded, another may be given.
    served.shift();
    if (served.length === 0) this.#serving.delete(id);
    this.#servingCount--;
  }

  /** Sends an answer, or keeps it until the others of its batch are there. */
  #deliver(answer: Message, { isText, batch: of }: Reply, streams: readonly number[] = NO_STREAMS): void {
    if (!isText) {
      this.#streams.announce(this.#lanes.pushCall(this.#encode(answer)), streams);
      return;
    }
    const text = this.#checkSize(this.#json.encode(answer));
    if (of === null) {
      this.#streams.announce(this.#lanes.pushCall(text), streams);
      return;
    }
    of.answers.push(text);
    of.streams.push(...streams);
    of.missing--;
    if (of.missing > 0) return;
    const whole = `[${of.answers.join(",")}]`;
    try {
      this.#streams.announce(this.#lanes.pushCall(this.#checkSize(whole)), of.streams);
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      // Each fits, all of them don't: one answer for the batch, as JSON-RPC has it for a batch that is no good.
      this.#streams.forget(of.streams, error);
      this.#lanes.pushCall(this.#json.encode(errorResponse(null, error.code, error.message)));
    }
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

  #sayBye(code: number, reason: string, afterCalls = false): void {
    if (this.#state === "closed") return;
    this.#lanes.clear({ keepControl: true, keepCalls: afterCalls });
    const bye = notification("rpc.bye", { code, reason: wellFormed(cut(reason, MAX_REASON)) });
    if (this.#state !== "ready") this.#lanes.pushControl(this.#json.encode(bye));
    else if (this.#speaks && afterCalls) this.#lanes.pushCall(this.#encodeUnchecked(bye));
    else if (this.#speaks) this.#lanes.pushControl(this.#encodeUnchecked(bye));
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
    const limit = this.#theirHello?.maxMessage ?? this.#channelLimit;
    if (typeof data === "string" && data.length * 3 <= limit) return data;
    const size = typeof data === "string" ? utf8Length(data) : data.length;
    if (size > limit) throw new TooLarge(`the message has ${size} bytes, the other side takes at most ${limit}; send it in pieces`, false);
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

/** A number of anything; a large integer of another language is a bigint here. */
function isAmount(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
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
