/**
 * The streams of one link: what feeds those of ours and what takes those of the other side, between the values of programs and the session, which
 * knows streams by their ids only.
 */

import { NO_STREAMS } from "./core/envelope.js";
import type { StreamEnded, StreamItems, StreamStopped, StreamWritable } from "./core/events.js";
import type { Session } from "./core/session.js";
import { putStreams } from "./core/stream-values.js";
import { StreamRef } from "./core/values.js";
import { type RtcRpcError, StreamBroken, type WireError } from "./errors.js";
import { putFiles } from "./file.js";
import type { Log } from "./log.js";
import { hasSource, itemsOf, Pump, type PumpSink, takeSources } from "./source.js";
import { Inbox, RpcStream, type StreamFeed } from "./stream.js";

/** A value with its streams taken out, ready for the session. */
export interface Packed {
  readonly value: unknown;
  readonly streams: readonly number[];
}

/** A value with streams to read in it, and a list of them. */
export interface Unpacked<T> {
  readonly value: T;
  readonly streams: readonly RpcStream[];
}

const NONE: readonly RpcStream[] = [];
// Rounds of microtasks without a new item after which what streams have said goes out: a generator that has more to say at once says it in between.
const QUIET_ROUNDS = 8;

/** All of them. `flushSoon`: the session has something to say; `flush`: now. */
export class LinkStreams implements PumpSink, StreamFeed {
  readonly #pumps = new Map<number, Pump>();
  readonly #inboxes = new Map<number, Inbox>();
  /** Items given to the session so far, and whether somebody watches that for a pause. */
  #itemsSent = 0;
  #watching = false;

  constructor(
    private readonly session: Session,
    readonly log: Log,
    private readonly flushSoon: () => void,
    private readonly flush: () => void,
  ) {}

  // -- values -----------------------------------------------------------------------------------------

  /**
   * Has `send` send `value` with its streams taken out; where it throws, they are forgotten, and their sources end. `onStopped`: called when one of
   * them was ended before its time.
   */
  pack<T>(value: unknown, send: (packed: Packed) => T, onStopped: ((error: RtcRpcError) => void) | null = null): T {
    if (!hasSource(value)) {
      return send({ value, streams: NO_STREAMS });
    }
    const pumps: Pump[] = [];
    try {
      const taken = takeSources(value, (source) => {
        const items = itemsOf(source);
        const stream = this.session.openStream();
        const pump = new Pump(stream, items, this, onStopped);
        pumps.push(pump);
        this.#pumps.set(stream, pump);
        return new StreamRef(stream);
      });
      return send({ value: taken, streams: pumps.map(({ stream }) => stream) });
    } catch (error) {
      for (const pump of pumps) {
        this.#pumps.delete(pump.stream);
        this.session.dropStream(pump.stream);
        pump.drop();
      }
      throw error;
    }
  }

  /** `value`, which came, with a stream to read in the place of each of `ids` that stands in it, and with files where those belong to some. */
  unpack<T>(value: T, ids: readonly number[]): Unpacked<T> {
    if (ids.length === 0) {
      return { value, streams: NONE };
    }
    const streams: RpcStream[] = [];
    const put = putStreams(value, (id) => {
      const inbox = new Inbox(id, this);
      const stream = new RpcStream(inbox);
      this.#inboxes.set(id, inbox);
      streams.push(stream);
      return stream;
    });
    putFiles(put);
    return { value: put as T, streams };
  }

  // -- what the session tells -------------------------------------------------------------------------

  handle(event: StreamItems | StreamEnded | StreamWritable | StreamStopped): void {
    const { stream } = event;
    switch (event.type) {
      case "StreamItems":
        this.#inboxes.get(stream)?.received(this.unpack(event.items, event.streams).value, event.size);
        break;
      case "StreamEnded": {
        const inbox = this.#inboxes.get(stream);
        this.#inboxes.delete(stream);
        inbox?.ended(event.error);
        break;
      }
      case "StreamWritable":
        this.#pumps.get(stream)?.writable();
        break;
      case "StreamStopped": {
        const pump = this.#pumps.get(stream);
        this.#pumps.delete(stream);
        pump?.stop(event.error);
        break;
      }
    }
  }

  /** The link ended, for `reason`: nothing comes or goes any more. */
  end(reason: RtcRpcError): void {
    const broken = new StreamBroken(`the link ended before the stream did: ${reason.message}`);
    const [pumps, inboxes] = [[...this.#pumps.values()], [...this.#inboxes.values()]];
    this.#pumps.clear();
    this.#inboxes.clear();
    pumps.forEach((pump) => pump.stop(broken));
    inboxes.forEach((inbox) => inbox.ended(broken));
  }

  // -- PumpSink: called by what feeds a stream of ours ------------------------------------------------

  sendItem(stream: number, item: unknown): void {
    if (typeof item === "object" && item !== null) {
      this.pack(item, ({ value, streams }) => this.session.sendItems(stream, [value], streams));
    } else {
      this.session.sendItems(stream, [item]);
    }
    this.#itemsSent += 1;
    this.#flushWhenQuiet();
  }

  isStreamFull(stream: number): boolean {
    return this.session.isStreamFull(stream);
  }

  endStream(stream: number, error: WireError | null): void {
    this.#pumps.delete(stream);
    this.session.endStream(stream, error);
    this.#flushWhenQuiet();
  }

  // -- StreamFeed: called by what reads a stream of the other side's ----------------------------------

  taken(stream: number, size: number): void {
    this.session.creditStream(stream, size);
    this.flushSoon();
  }

  stopped(stream: number): void {
    this.#inboxes.delete(stream);
    this.session.stopStream(stream);
    this.flushSoon();
  }

  /** Flushes when no more items come at once: the longer their messages, the fewer. */
  #flushWhenQuiet(): void {
    if (this.#watching) {
      return;
    }
    this.#watching = true;
    let sent = this.#itemsSent;
    let rounds = 0;
    const look = (): void => {
      rounds = this.#itemsSent === sent ? rounds + 1 : 0;
      sent = this.#itemsSent;
      if (rounds < QUIET_ROUNDS) {
        queueMicrotask(look);
      } else {
        this.#watching = false;
        this.flush();
      }
    };
    queueMicrotask(look);
  }
}
