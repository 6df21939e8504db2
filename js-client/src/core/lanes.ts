/**
 * What goes out next: control before calls before parts of long messages (protocol sections 4 and 8).
 *
 * The channel below is first in, first out, so what is put into it can't be overtaken. The owner therefore asks for a little at a time, and
 * this decides, each time anew, what that little is.
 */

import { COALESCE_BYTES, MAX_FRAME, MAX_TRANSFERS } from "../limits.js";
import { encodeParts, FrameType, utf8Length } from "./frames.js";

const utf8 = new TextEncoder();

/** A message on its way out. */
export class Outgoing {
  /** Something of it is in the channel: the other side may have heard of it. */
  isStarted = false;
  /** It goes out in parts, and the last one has not left yet. */
  isUnfinished = false;
  /** Control messages that must not overtake it: they go out behind its last part. */
  readonly onSent: Outgoing[] = [];
  /** The frames that are still to come, once it is a transfer under way. */
  parts: Iterator<Uint8Array, void> | null = null;

  constructor(
    /** MessagePack envelopes as bytes, or the text of a text frame. */
    readonly data: Uint8Array | string,
    /** In bytes, without a frame's header. */
    readonly size: number,
  ) {}
}

/** The outgoing scheduler. Small envelopes share frames of about `coalesce` bytes; of at most `maxTransfers` long messages a part each in turn. */
export class Lanes {
  /** Bytes of a frame, at most; its header counted. */
  maxFrame: number;
  readonly #coalesce: number;
  readonly #maxTransfers: number;
  // Sets keep their order, and give up any member at once: calls are withdrawn from the middle.
  readonly #control = new Set<Outgoing>();
  readonly #calls = new Set<Outgoing>();
  readonly #bulk = new Set<Outgoing>();
  readonly #active: Outgoing[] = [];
  #nextTransferId = 1;
  #queuedBytes = 0;

  constructor({ maxFrame = MAX_FRAME, coalesce = COALESCE_BYTES, maxTransfers = MAX_TRANSFERS } = {}) {
    this.maxFrame = maxFrame;
    this.#coalesce = coalesce;
    this.#maxTransfers = maxTransfers;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#control.size === 0 && this.#calls.size === 0 && this.#bulk.size === 0 && this.#active.length === 0;
  }

  /** Bytes of the messages that wait or are under way; one under way counts whole until its last part has left. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether small messages wait behind those of control. */
  get hasCalls(): boolean {
    return this.#calls.size > 0;
  }

  /** Messages of control that wait. More than a few mean that the channel takes nothing. */
  get waitingControl(): number {
    return this.#control.size;
  }

  /** Something that may not wait: handshake, ping, pong, cancel, bye. */
  pushControl(data: Uint8Array | string): Outgoing {
    return this.#push(this.#control, data);
  }

  /** A request, an answer or a notification; a long one goes out in parts, behind everything that is small. */
  pushCall(data: Uint8Array | string): Outgoing {
    return this.#push(this.#calls, data);
  }

  /** Takes back a message of which nothing has gone out; false where something has. */
  withdraw(message: Outgoing): boolean {
    if (message.isStarted) return false;
    const turn = this.#active.indexOf(message);
    if (turn >= 0) this.#active.splice(turn, 1);
    if (turn >= 0 || this.#calls.delete(message) || this.#bulk.delete(message)) this.#queuedBytes -= message.size;
    return true;
  }

  /** Sends `data` as control, but not before `message` has left. */
  pushBehind(message: Outgoing, data: Uint8Array | string): void {
    if (message.isUnfinished) message.onSent.push(new Outgoing(data, sizeOf(data)));
    else if (message.isStarted) this.pushControl(data);
    else this.pushCall(data); // it waits among the calls, which leave in order
  }

  /** Forgets what waits, except what is to be kept; what travels in parts is never kept. */
  clear({ keepControl = false, keepCalls = false } = {}): void {
    if (!keepControl) this.#control.clear();
    if (!keepCalls) this.#calls.clear();
    this.#bulk.clear();
    this.#active.length = 0;
    this.#queuedBytes = 0;
    for (const { size } of [...this.#control, ...this.#calls]) this.#queuedBytes += size;
  }

  /** Frames of about `budget` bytes together: at least one where there is one and `budget` is positive; the last may pass the budget. */
  dataToSend(budget: number): (Uint8Array | string)[] {
    const frames: (Uint8Array | string)[] = [];
    while (budget > 0) {
      if (this.#control.size > 0 || this.#calls.size > 0) {
        const [frame, size] = this.#nextFrame();
        frames.push(frame);
        budget -= size;
      } else {
        const part = this.#nextPart();
        if (part === null) break;
        frames.push(part);
        budget -= part.length;
      }
    }
    return frames;
  }

  #push(lane: Set<Outgoing>, data: Uint8Array | string): Outgoing {
    const message = new Outgoing(data, sizeOf(data));
    const isShort = message.size + (typeof data === "string" ? 0 : 1) <= this.maxFrame;
    (isShort ? lane : this.#bulk).add(message);
    message.isUnfinished = !isShort;
    this.#queuedBytes += message.size;
    return message;
  }

  /** A text frame, or as many small envelopes as share a frame; what is urgent first, and never overtaken by what fits better. */
  #nextFrame(): [frame: Uint8Array | string, size: number] {
    const most = Math.min(this.#coalesce, this.maxFrame);
    const taken: Outgoing[] = [];
    let size = 1;
    for (const lane of [this.#control, this.#calls]) {
      for (const message of lane) {
        if (taken.length > 0 && (typeof message.data === "string" || size + message.size > most)) break;
        lane.delete(message);
        message.isStarted = true;
        this.#queuedBytes -= message.size;
        if (typeof message.data === "string") return [message.data, message.size];
        taken.push(message);
        size += message.size;
      }
      if (lane.size > 0) break;
    }
    const frame = new Uint8Array(size);
    frame[0] = FrameType.ENVELOPES;
    let at = 1;
    for (const { data, size: length } of taken) {
      frame.set(data as Uint8Array, at);
      at += length;
    }
    return [frame, size];
  }

  #nextPart(): Uint8Array | null {
    for (const message of this.#bulk) {
      if (this.#active.length >= this.#maxTransfers) break;
      this.#bulk.delete(message);
      this.#active.push(message);
    }
    const message = this.#active.shift();
    if (message === undefined) return null;
    message.parts ??= this.#start(message);
    const part = message.parts.next().value!;
    if (part[0] === FrameType.PART || part[0] === FrameType.TEXT_PART) {
      this.#active.push(message);
    } else {
      message.isUnfinished = false;
      this.#queuedBytes -= message.size;
      for (const behind of message.onSent) {
        this.#control.add(behind);
        this.#queuedBytes += behind.size;
      }
    }
    return part;
  }

  /** Numbered when the first part leaves: ids must rise in the order in which the other side sees them. */
  #start(message: Outgoing): Iterator<Uint8Array, void> {
    const { data } = message;
    const isText = typeof data === "string";
    message.isStarted = true;
    return encodeParts(this.#nextTransferId++, isText ? utf8.encode(data) : data, isText, this.maxFrame);
  }
}

function sizeOf(data: Uint8Array | string): number {
  return typeof data === "string" ? utf8Length(data) : data.length;
}
