/** A stream of the other side's, as a program reads it (protocol section 7.2). */

import type { RtcRpcError } from "./errors.js";

/** What a stream tells whoever feeds it (`LinkStreams`). */
export interface StreamFeed {
  /** The program took the items of a message of `size` bytes. */
  taken(stream: number, size: number): void;
  /** The program wants no more of it. */
  stopped(stream: number): void;
}

interface Waiter {
  resolve(result: IteratorResult<unknown, undefined>): void;
  reject(error: unknown): void;
}

interface Chunk {
  readonly items: readonly unknown[];
  readonly size: number;
}

const DONE: IteratorResult<never, undefined> = Object.freeze({ done: true, value: undefined });

/**
 * What came of a stream and was not taken yet. The link holds this and not the `RpcStream`, so that the engine can tell when a program has lost
 * the stream without reading it to its end.
 */
export class Inbox {
  /** Throws for an item that is not what the reader expects; then the stream is stopped. */
  check: ((item: unknown) => void) | null = null;
  readonly #chunks: Chunk[] = [];
  #at = 0;
  readonly #waiters: Waiter[] = [];
  /** No more will come: an error, or null for a good end. */
  #end: { readonly error: unknown } | null = null;
  readonly #closed: (() => void)[] = [];

  constructor(
    readonly stream: number,
    private readonly feed: StreamFeed,
  ) {}

  get isOpen(): boolean {
    return this.#end === null;
  }

  /** Calls `then` when nothing more will come; at once where that is so. */
  whenClosed(then: () => void): void {
    if (this.#end === null) this.#closed.push(then);
    else then();
  }

  received(items: readonly unknown[], size: number): void {
    if (this.#end !== null) return;
    this.#chunks.push({ items, size });
    while (this.#waiters.length > 0 && this.#chunks.length > 0) this.#serve(this.#waiters.shift()!);
  }

  /** The items that are here can be read still. */
  ended(error: RtcRpcError | null): void {
    this.#close(error);
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      if (this.#chunks.length > 0 || this.#end !== null) this.#serve(waiter);
      else this.#waiters.push(waiter);
    });
  }

  /** The program wants no more, for `error` or for none; what is here is dropped. */
  stop(error: unknown = null): void {
    const isOpen = this.#end === null;
    this.#chunks.length = 0;
    this.#at = 0;
    if (isOpen) {
      this.feed.stopped(this.stream);
      this.#close(error);
    } else {
      this.#end = { error };
    }
  }

  #close(error: unknown): void {
    if (this.#end !== null) return;
    this.#end = { error };
    for (const waiter of this.#waiters.splice(0)) this.#serve(waiter);
    for (const then of this.#closed.splice(0)) then();
  }

  #serve(waiter: Waiter): void {
    const chunk = this.#chunks[0];
    if (chunk === undefined) {
      const error = this.#end?.error ?? null;
      // Told once; whoever asks again is told that it is over.
      this.#end = { error: null };
      if (error === null) waiter.resolve(DONE);
      else waiter.reject(error);
      return;
    }
    const value = chunk.items[this.#at++];
    if (this.#at === chunk.items.length) {
      this.#chunks.shift();
      this.#at = 0;
      if (this.#end === null) this.feed.taken(this.stream, chunk.size);
    }
    try {
      this.check?.(value);
    } catch (error) {
      this.stop();
      waiter.reject(error);
      return;
    }
    waiter.resolve({ done: false, value });
  }
}

// A program may lose a stream: then nobody will ever read it, and its owner must not wait for that.
const lost = new FinalizationRegistry<Inbox>((inbox) => inbox.stop());

/**
 * A stream that the other side sends: `for await (const item of stream)`.
 *
 * Leaving the loop ends the source on the other side, where its `finally` runs. What broke the stream is thrown behind the items that came before: a
 * `RemoteError` of the source's own, `StreamBroken` where the connection went.
 */
export class RpcStream<T = unknown> implements AsyncIterableIterator<T, undefined> {
  readonly #inbox: Inbox;

  /** Made by `LinkStreams` only. */
  constructor(inbox: Inbox) {
    this.#inbox = inbox;
    lost.register(this, inbox, this);
  }

  /** False once nothing more will come. Items may wait still. */
  get isOpen(): boolean {
    return this.#inbox.isOpen;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#inbox.next() as Promise<IteratorResult<T, undefined>>;
  }

  /** Ends the stream; what has come and was not read is dropped. A loop that is left calls it. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.cancel();
    return DONE;
  }

  /** The same, at any time and from anywhere: whoever waits for an item is told `reason`, or without one that it is over. */
  cancel(reason: unknown = null): void {
    lost.unregister(this);
    this.#inbox.stop(reason);
  }

  /** Calls `then` once nothing more will come. */
  whenClosed(then: () => void): void {
    this.#inbox.whenClosed(then);
  }

  /** Has each item looked at before it is taken; what `check` throws is thrown to the reader, and ends the stream. */
  checkItems(check: (item: unknown) => void): void {
    this.#inbox.check = check;
  }

  /** The same stream as a `ReadableStream`, with no buffer of its own. Read one of the two. */
  get readable(): ReadableStream<T> {
    return new ReadableStream<T>(
      {
        pull: async (controller) => {
          const { done, value } = await this.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        cancel: (reason: unknown) => this.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
