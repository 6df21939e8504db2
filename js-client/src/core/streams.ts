/** The streams of one session, both ways (protocol section 7.2): which there are, what is to be sent of them, and what comes of them. */

import * as codes from "../codes.js";
import {
  CallCancelled,
  EncodeError,
  errorFromWire,
  type LocalError,
  ProtocolError,
  ResourceExhausted,
  RtcRpcError,
  type StreamBroken,
  TooLarge,
  type WireError,
} from "../errors.js";
import { type Envelope, NO_STREAMS, notification, type WireMap } from "./envelope.js";
import type { SessionEvent } from "./events.js";
import { IncomingStream, OutgoingStream } from "./flow.js";
import { utf8Length } from "./frames.js";
import { AROUND_ITEMS, type ItemCodec } from "./items.js";
import type { Lanes, Outgoing, Source } from "./lanes.js";
import { streamsIn } from "./stream-values.js";

const BATCH_BYTES = 16384; // of items in a message, about; less where a frame is shorter
const MAX_STOPS = 1024; // messages of control that may wait while we turn streams away: else whoever sends them unread grows our queue

/** Bytes that wait in a stream's queue until its source is held back. */
export const HIGH_MARK = 65536;
/** Bytes in its queue at which the source goes on. */
export const LOW_MARK = HIGH_MARK / 4;

/** What both sides announced. */
interface Agreed {
  readonly items: ItemCodec;
  readonly encode: (envelope: Envelope) => Uint8Array | string;
  readonly theirWindow: number;
  readonly maxMessage: number;
}

/** A stream of ours, as the lanes see it. */
class StreamSource implements Source {
  behind: Outgoing | null = null;
  /** The streams that stand in the items of its next message. */
  carries = NO_STREAMS;

  constructor(
    readonly flow: OutgoingStream,
    private readonly table: StreamTable,
  ) {}

  next(): Uint8Array | string | null {
    return this.table.nextOf(this);
  }

  pushed(message: Outgoing): void {
    const { carries } = this;
    this.carries = NO_STREAMS;
    this.table.announce(message, carries);
  }
}

/** Bytes that a stream of the other side may send ahead, and how many streams each side may have open. */
export interface StreamLimits {
  readonly streamWindow: number;
  readonly maxStreams: number;
}

/** All of them. What breaks the protocol throws `ProtocolError`. */
export class StreamTable {
  #agreed: Agreed | null = null;
  /** Ours, by our ids, until their end has left; theirs, by their ids. */
  readonly #outgoing = new Map<number, StreamSource>();
  readonly #incoming = new Map<number, IncomingStream>();
  #nextId = 1;

  constructor(
    private readonly lanes: Lanes,
    private readonly emit: (event: SessionEvent) => void,
    private readonly limits: StreamLimits,
  ) {}

  /** Both sides know streams. `maxMessage`: bytes of a message that the other takes. */
  begin(items: ItemCodec, encode: Agreed["encode"], theirWindow: number, maxMessage: number): void {
    this.#agreed = { items, encode, theirWindow, maxMessage };
  }

  /** The session ended, and all its streams with it. */
  close(error: StreamBroken): void {
    this.#agreed = null;
    for (const stream of this.#incoming.keys()) this.emit({ type: "StreamEnded", stream, error });
    for (const [stream, { flow }] of this.#outgoing) {
      if (!flow.isEnding) this.emit({ type: "StreamStopped", stream, error });
    }
    this.#incoming.clear();
    this.#outgoing.clear();
  }

  get counts(): { readonly ours: number; readonly theirs: number } {
    return { ours: this.#outgoing.size, theirs: this.#incoming.size };
  }

  // -- ours: what the owner of the session does ---------------------------------------------------------

  /** See `Session.openStream`. */
  open(): number {
    if (this.#agreed === null) throw new EncodeError("expected a value, got a stream: the other side takes none; send a list");
    const { maxStreams } = this.limits;
    if (this.#outgoing.size >= maxStreams) {
      throw new ResourceExhausted(`expected at most ${maxStreams} streams of this side at a time; end one first`, false);
    }
    const id = this.#nextId++;
    this.#outgoing.set(id, new StreamSource(new OutgoingStream(id, this.#agreed.theirWindow), this));
    return id;
  }

  /** See `Session.sendItems`. */
  put(stream: number, items: readonly unknown[], streams: readonly number[]): void {
    const source = this.#outgoing.get(stream);
    if (source === undefined || source.flow.isEnding || this.#agreed === null) return;
    const { flow } = source;
    const { items: codec, maxMessage } = this.#agreed;
    try {
      for (const [i, item] of items.entries()) {
        const encoded = codec.encode(item, i === items.length - 1 ? streams : NO_STREAMS);
        if (encoded.size + AROUND_ITEMS > maxMessage) {
          throw new TooLarge(`an item of the stream has ${encoded.size} bytes, the other side takes messages of at most ${maxMessage}; send it in pieces`);
        }
        flow.push(encoded);
      }
    } finally {
      flow.isHeld ||= flow.queuedBytes >= HIGH_MARK;
      if (flow.isReady) this.lanes.addSource(source);
    }
  }

  isFull(stream: number): boolean {
    return this.#outgoing.get(stream)?.flow.isHeld ?? true;
  }

  queuedBytesOf(stream: number): number {
    return this.#outgoing.get(stream)?.flow.queuedBytes ?? 0;
  }

  /** See `Session.endStream`. */
  end(stream: number, error: WireError | null): void {
    const source = this.#outgoing.get(stream);
    if (source === undefined || source.flow.isEnding) return;
    const { flow } = source;
    flow.isEnding = true;
    flow.error = error;
    if (flow.isReady) this.lanes.addSource(source);
  }

  // -- ours: the messages that hold them ----------------------------------------------------------------

  /** The value that holds these is `message`: their items go out behind it. */
  announce(message: Outgoing, streams: readonly number[]): void {
    for (const id of streams) {
      const source = this.#outgoing.get(id);
      if (source === undefined) continue;
      const { flow } = source;
      flow.isCarried = true;
      flow.isHeld = flow.queuedBytes >= HIGH_MARK;
      this.lanes.addBehind(message, source);
      if (!flow.isEnding && !flow.isHeld) this.emit({ type: "StreamWritable", stream: id });
    }
  }

  /** The value that holds these will not be sent: the other side never hears of them. Null: the owner of the session knows. */
  forget(streams: readonly number[], error: LocalError | null): void {
    for (const id of streams) {
      const source = this.#outgoing.get(id);
      if (source === undefined) continue;
      const { flow } = source;
      this.#outgoing.delete(id);
      if (!flow.isEnding && error !== null) this.emit({ type: "StreamStopped", stream: id, error });
      this.forget(flow.drop(), error);
    }
  }

  /** The other side may be reading these, and is told that they broke. */
  giveUp(streams: readonly number[], error: LocalError): void {
    for (const id of streams) {
      const source = this.#outgoing.get(id);
      if (source === undefined) continue;
      const { flow } = source;
      this.forget(flow.drop(), error);
      if (!flow.isEnding) this.emit({ type: "StreamStopped", stream: id, error });
      flow.isEnding = true;
      flow.error = { code: error.code, message: error.message, data: null };
      this.lanes.addSource(source);
    }
  }

  // -- ours: out ----------------------------------------------------------------------------------------

  /** The next message of a stream of ours, made when it is its turn. */
  nextOf(source: StreamSource): Uint8Array | string | null {
    const { flow } = source;
    if (this.#agreed === null || this.#outgoing.get(flow.id) !== source) return null;
    const items = flow.take(Math.max(Math.min(BATCH_BYTES, this.lanes.maxFrame) - AROUND_ITEMS, 1));
    if (items.length === 0) {
      if (!flow.isReady) return null;
      this.#outgoing.delete(flow.id);
      return encodeEnd(this.#agreed.encode, flow);
    }
    const data = this.#agreed.items.join(flow.id, items);
    flow.spend(typeof data === "string" ? utf8Length(data) : data.length);
    for (const { streams } of items) {
      if (streams.length > 0) source.carries = [...source.carries, ...streams];
    }
    if (flow.isHeld && !flow.isEnding && flow.queuedBytes <= LOW_MARK) {
      flow.isHeld = false;
      this.emit({ type: "StreamWritable", stream: flow.id });
    }
    return data;
  }

  // -- theirs: what the owner of the session does -------------------------------------------------------

  /** See `Session.stopStream`. */
  stop(stream: number): void {
    if (this.#incoming.delete(stream)) this.#pushControl("rpc.stop", { stream });
  }

  /** See `Session.creditStream`. */
  take(stream: number, size: number): void {
    const bytes = this.#incoming.get(stream)?.take(size) ?? 0;
    if (bytes > 0) this.#pushControl("rpc.credit", { stream, bytes });
  }

  // -- theirs: in ---------------------------------------------------------------------------------------

  /** These came in a value, and are ours to read from here. Where that can't be, the error, and the value is not to be taken. */
  arrive(streams: readonly number[]): LocalError | null {
    if (streams.length === 0) return null;
    const { maxStreams, streamWindow } = this.limits;
    if (this.#agreed === null) return new ProtocolError("expected no streams: both sides must announce that they know them", codes.INVALID_PARAMS);
    if (this.#incoming.size + streams.length > maxStreams) {
      this.turnAway(streams);
      return new ResourceExhausted(`expected at most ${maxStreams} streams of one side at a time; end one first`);
    }
    for (const id of streams) {
      if (this.#incoming.has(id)) throw new ProtocolError(`expected the id of a stream to be used once, got ${id} again`);
      this.#incoming.set(id, new IncomingStream(id, streamWindow));
    }
    return null;
  }

  /** The value that held these was not taken. */
  turnAway(streams: readonly number[]): void {
    if (streams.length === 0 || this.#agreed === null) return;
    if (streams.length > this.limits.maxStreams || this.lanes.waitingControl > MAX_STOPS) {
      throw new ProtocolError("expected stops of streams to be read, got more and more streams", codes.RESOURCE_EXHAUSTED);
    }
    for (const stream of streams) this.#pushControl("rpc.stop", { stream });
  }

  /** A message about a stream came; `size`: the length of its envelope, 0 in a batch. */
  receive(method: string, members: WireMap, size: number): void {
    if (this.#agreed === null) return;
    const id = members["stream"];
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 1) throw new ProtocolError(`${method}: expected stream to be an id from 1 to 2^53-1`);
    switch (method) {
      case "rpc.next":
        return this.#receiveItems(id, members["items"], size);
      case "rpc.end":
        if (this.#incoming.delete(id)) this.emit({ type: "StreamEnded", stream: id, error: endOf(members["error"]) });
        return;
      case "rpc.credit":
        return this.#receiveCredit(id, members["bytes"]);
      case "rpc.stop":
        return this.forget([id], new CallCancelled("the reader stopped the stream"));
    }
  }

  #receiveItems(id: number, items: unknown, size: number): void {
    if (!Array.isArray(items) || items.length === 0) throw new ProtocolError("rpc.next: expected items to be a list of at least one");
    if (size === 0) throw new ProtocolError("expected rpc.next to stand alone, got it in a batch");
    const streams = streamsIn(items);
    const stream = this.#incoming.get(id);
    if (stream === undefined) return this.turnAway(streams); // it crossed our stop
    stream.receive(size);
    const error = this.arrive(streams);
    if (error === null) {
      this.emit({ type: "StreamItems", stream: id, items: items as unknown[], size, streams });
    } else {
      this.stop(id);
      this.emit({ type: "StreamEnded", stream: id, error });
    }
  }

  #receiveCredit(id: number, bytes: unknown): void {
    if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 1) {
      throw new ProtocolError("rpc.credit: expected bytes to be an integer from 1 to 2^53-1");
    }
    const source = this.#outgoing.get(id);
    if (source === undefined) return; // it crossed our end
    source.flow.grant(bytes);
    if (source.flow.isReady) this.lanes.addSource(source);
  }

  #pushControl(method: string, params: WireMap): void {
    if (this.#agreed !== null) this.lanes.pushControl(this.#agreed.encode(notification(method, params)));
  }
}

function encodeEnd(encode: Agreed["encode"], { id, error }: OutgoingStream): Uint8Array | string {
  if (error === null) return encode(notification("rpc.end", { stream: id }));
  const { code, message, data } = error;
  try {
    return encode(notification("rpc.end", { stream: id, error: { code, message, data: data ?? undefined } }));
  } catch (problem) {
    if (!(problem instanceof RtcRpcError)) throw problem;
    // What it tells can't travel; that it broke must.
    return encode(notification("rpc.end", { stream: id, error: { code, message: codes.CODE_NAMES.get(code) ?? "stream broken" } }));
  }
}

/** How an `rpc.end` says that the stream ended. */
function endOf(error: unknown): RtcRpcError | null {
  if (error === undefined || error === null) return null;
  const { code, message, data } = error as { code?: unknown; message?: unknown; data?: unknown };
  if (typeof code !== "number" || !Number.isSafeInteger(code) || typeof message !== "string") {
    throw new ProtocolError("rpc.end: expected error to have a code, an integer, and a message, a text");
  }
  const isMap = typeof data === "object" && data !== null && Object.getPrototypeOf(data) === null;
  return errorFromWire(code, message, isMap ? (data as WireMap) : null);
}
