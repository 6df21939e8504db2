/**
 * The credit of streams, in bytes of encoded envelopes (protocol section 7.2): what an owner may send, and what a reader has taken and gives back.
 *
 * The owner sends while its credit is above zero, so the last message may take it below; a reader therefore holds at most a window and a message.
 */

import * as codes from "../codes.js";
import { ProtocolError, type WireError } from "../errors.js";

/** What an item costs a queue beside its bytes: a queue of a million items of one byte is no small one. */
export const ITEM_OVERHEAD = 64;

/** An item as it travels. */
export interface EncodedItem {
  readonly data: Uint8Array | string;
  /** In bytes. */
  readonly size: number;
  /** The streams that stand in it: they may not start before it has left. */
  readonly streams: readonly number[];
}

/** A stream of ours: its items wait here, encoded, until the reader has room for them. */
export class OutgoingStream {
  /** The message that holds the stream as a value is on its way: the reader knows, or will before anything of the stream can come. */
  isCarried = false;
  /** Its owner was told to wait, and is not told otherwise yet. */
  isHeld = true;
  /** There will be no more items. */
  isEnding = false;
  /** What it ends with; null for a good end. */
  error: WireError | null = null;
  #items: EncodedItem[] = [];
  #first = 0;
  #queuedBytes = 0;

  constructor(
    readonly id: number,
    /** Bytes that may be sent; below zero once the last message was longer. */
    public credit: number,
  ) {}

  /** What waits, with `ITEM_OVERHEAD` for each item. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether a message of this stream could go out now. */
  get isReady(): boolean {
    return this.isCarried && (this.#first < this.#items.length ? this.credit > 0 : this.isEnding);
  }

  push(item: EncodedItem): void {
    this.#items.push(item);
    this.#queuedBytes += item.size + ITEM_OVERHEAD;
  }

  /** Takes the items of the next message off the queue: one at least, and as many as have `most` bytes together; none where none may go. */
  take(most: number): EncodedItem[] {
    const items: EncodedItem[] = [];
    if (!this.isCarried || this.credit <= 0) return items;
    let size = 0;
    for (; this.#first < this.#items.length; this.#first++) {
      const item = this.#items[this.#first]!;
      if (items.length > 0 && size + item.size > most) break;
      items.push(item);
      size += item.size + 1; // the comma, in JSON
      this.#queuedBytes -= item.size + ITEM_OVERHEAD;
    }
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return items;
  }

  /** A message of `size` bytes went out. */
  spend(size: number): void {
    this.credit -= size;
  }

  /** The reader has room for `bytes` more. */
  grant(bytes: number): void {
    const credit = this.credit + bytes;
    if (!Number.isSafeInteger(credit)) throw new ProtocolError(`stream ${this.id}: expected credit of at most 2^53-1 bytes in all, got more`);
    this.credit = credit;
  }

  /** Forgets what waits; the streams in it, which nobody will hear of. */
  drop(): number[] {
    const streams = this.#items.slice(this.#first).flatMap((item) => item.streams);
    this.#items = [];
    this.#first = 0;
    this.#queuedBytes = 0;
    return streams;
  }
}

/** A stream of the other side's, as its reader counts it. */
export class IncomingStream {
  /** What the owner may still send, as far as we know: it has at most that much. */
  #credit: number;
  /** Taken by the program, and not given back yet. */
  #taken = 0;
  readonly #step: number;

  /** `window`: the bytes that our hello announced. */
  constructor(
    readonly id: number,
    window: number,
  ) {
    this.#credit = window;
    this.#step = window / 2;
  }

  /** A message of `size` bytes came. `ProtocolError` where it should have waited for credit. */
  receive(size: number): void {
    if (this.#credit <= 0) {
      throw new ProtocolError(`stream ${this.id}: expected its owner to wait for credit, got ${size} bytes more`, codes.RESOURCE_EXHAUSTED);
    }
    this.#credit -= size;
  }

  /** The program took items that came in `size` bytes; the credit to give now, 0 for none yet. In steps: a message for each item would be a waste. */
  take(size: number): number {
    this.#taken += size;
    if (this.#taken < this.#step) return 0;
    const bytes = this.#taken;
    this.#taken = 0;
    this.#credit += bytes;
    return bytes;
  }
}
