/**
 * What a program gives as a stream: async iterables and async generators, `ReadableStream`s, generators. Found in the values that it sends, and
 * read from when the other side has room (protocol section 7.2).
 */

import * as codes from "./codes.js";
import { StreamRef } from "./core/values.js";
import { ConnectionLost, EncodeError, errorToWire, RtcRpcError, type WireError } from "./errors.js";
import { isFile, mapOf } from "./file.js";
import { MAX_DEPTH } from "./limits.js";
import type { Log } from "./log.js";

/** Whatever gives items one after the other, at once or later. `return`: no more are wanted. */
export interface Items {
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>;
  return?(): unknown;
}

/** Whether `value` is sent as a stream. */
export function isSource(value: object): boolean {
  const { [Symbol.asyncIterator]: iterate, [Symbol.iterator]: iterateNow } = value as { [name: symbol]: unknown };
  if (typeof iterate === "function" || value instanceof ReadableStream) return true;
  // Lists and maps are iterable too; what is both iterable and an iterator is a generator, or the like.
  return typeof iterateNow === "function" && !Array.isArray(value) && typeof (value as { next?: unknown }).next === "function";
}

/** The items of a source. `EncodeError` where somebody else reads it. */
export function itemsOf(source: object): Items {
  try {
    if (source instanceof ReadableStream) {
      // Not its async iterator: that can't be ended while it waits for an item, and not every browser has one.
      const reader = (source as ReadableStream<unknown>).getReader();
      return { next: () => reader.read() as Promise<IteratorResult<unknown>>, return: () => reader.cancel() };
    }
    const both = source as { [Symbol.asyncIterator]?: () => Items; [Symbol.iterator]?: () => Items };
    return both[Symbol.asyncIterator]?.() ?? both[Symbol.iterator]!();
  } catch (error) {
    throw new EncodeError(`expected a stream that nobody reads yet: ${String(error)}`);
  }
}

/** Whether an object may hold members that travel. */
function isPlain(value: object): value is { [key: string]: unknown } {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether a source stands anywhere in `value`. */
export function hasSource(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH || ArrayBuffer.isView(value)) return false;
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      if (typeof item === "object" && item !== null && hasSource(item, depth + 1)) return true;
    }
    return false;
  }
  if (isSource(value) || isFile(value)) return true;
  if (value instanceof Map) return [...value.values()].some((item) => hasSource(item, depth + 1));
  if (!isPlain(value)) return false;
  for (const key of Object.keys(value)) {
    const item = value[key];
    if (typeof item === "object" && item !== null && hasSource(item, depth + 1)) return true;
  }
  return false;
}

/** `value` with what `open` gives in the place of each source; the very same value where there is none. `EncodeError` for one that stands twice. */
export function takeSources(value: unknown, open: (source: object) => StreamRef): unknown {
  if (typeof value !== "object" || value === null) return value;
  let seen: Set<object> | null = null;
  return take(
    value,
    (source) => {
      if (seen?.has(source) === true) throw new EncodeError("expected each stream to stand once in a value");
      (seen ??= new Set()).add(source);
      return open(source);
    },
    0,
  );
}

function take(value: object, open: (source: object) => StreamRef, depth: number): unknown {
  // What is too deep, or contains itself, is refused when it is encoded.
  if (depth > MAX_DEPTH || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) {
    let copy: unknown[] | null = null;
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item !== "object" || item === null) continue;
      const taken = take(item, open, depth + 1);
      if (taken !== item) (copy ??= [...(value as unknown[])])[i] = taken;
    }
    return copy ?? value;
  }
  if (isFile(value)) return take(mapOf(value), open, depth);
  if (isSource(value)) return open(value);
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]): [unknown, unknown] => [key, takeAny(item, open, depth + 1)]);
    return entries.every(([key, item]) => item === value.get(key)) ? value : new Map(entries);
  }
  if (!isPlain(value)) return value;
  let copy: { [key: string]: unknown } | null = null;
  for (const key of Object.keys(value)) {
    const item = value[key];
    const taken = takeAny(item, open, depth + 1);
    if (taken !== item) {
      copy ??= Object.assign(Object.create(null) as { [key: string]: unknown }, value);
      copy[key] = taken;
    }
  }
  return copy ?? value;
}

function takeAny(value: unknown, open: (source: object) => StreamRef, depth: number): unknown {
  return typeof value === "object" && value !== null ? take(value, open, depth) : value;
}

/** Ends the sources in a value that will not be sent: a generator that nobody reads would never get to its `finally`. */
export function endSources(value: unknown, log: Log): void {
  try {
    takeSources(value, (source) => {
      endItems(itemsOf(source), log);
      return new StreamRef(1);
    });
  } catch (error) {
    log.debug(`a stream was not ended: ${String(error)}`);
  }
}

/** Says that no more items are wanted. What goes wrong in a `finally` is the log's. */
export function endItems(items: Items, log: Log): void {
  const failed = (error: unknown): void => log.error("the source of a stream failed when it was ended", error);
  try {
    Promise.resolve(items.return?.()).catch(failed);
  } catch (error) {
    failed(error);
  }
}

/** Where a pump puts what it gets (`LinkStreams`). */
export interface PumpSink {
  /** Throws where the item can't travel. */
  sendItem(stream: number, item: unknown): void;
  isStreamFull(stream: number): boolean;
  endStream(stream: number, error: WireError | null): void;
  readonly log: Log;
}

/** Moves the items of one source into one stream, no faster than the other side takes them. */
export class Pump {
  #stopped = false;
  #started = false;
  #room: (() => void) | null = null;

  constructor(
    readonly stream: number,
    private readonly items: Items,
    private readonly sink: PumpSink,
    /** Told when the source was ended before its time. */
    private readonly onStopped: ((error: RtcRpcError) => void) | null,
  ) {}

  /** There is room: the first time it starts. */
  writable(): void {
    if (!this.#started) {
      this.#started = true;
      void this.#run();
    } else {
      this.#room?.();
      this.#room = null;
    }
  }

  /** Nobody wants more: ends the source. */
  stop(error: RtcRpcError): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#room?.();
    // First: a source that waits for something else learns from its signal that it should not.
    this.onStopped?.(error);
    endItems(this.items, this.sink.log);
  }

  /** The value that holds the stream was not sent. */
  drop(): void {
    this.#stopped = true;
    endItems(this.items, this.sink.log);
  }

  async #run(): Promise<void> {
    const { stream, sink } = this;
    let isMine = true;
    try {
      for (;;) {
        const step = this.items.next();
        // A generator that is not async answers at once; to wait for that would cost more than the item.
        const { done, value } = "then" in step ? await step : step;
        if (this.#stopped || done === true) break;
        isMine = false;
        sink.sendItem(stream, value);
        isMine = true;
        if (sink.isStreamFull(stream)) await new Promise<void>((resume) => (this.#room = resume));
        if (this.#stopped) break;
      }
      sink.endStream(stream, null);
    } catch (error) {
      if (this.#stopped) return;
      sink.endStream(stream, this.#told(error));
      // An error of the source's own has ended it.
      if (!isMine) endItems(this.items, sink.log);
    } finally {
      this.#stopped = true;
    }
  }

  #told(error: unknown): WireError {
    if (error instanceof ConnectionLost) {
      return { code: codes.STREAM_BROKEN, message: "stream broken: what its owner reads it from is gone", data: null };
    }
    const wire = error instanceof EncodeError ? errorToWire(null) : errorToWire(error);
    if (wire.code === codes.INTERNAL_ERROR) this.sink.log.error('a stream broke; its reader is told "internal error"', error);
    return wire;
  }
}
