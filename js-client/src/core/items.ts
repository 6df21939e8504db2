/**
 * The items of streams on their way out: each is encoded once, when it is given, and the messages are joined from the pieces (`rpc.next`,
 * protocol section 7.2). So the size of what waits is known, and an item that can't travel is told of where it was made.
 */

import type { EncodedItem } from "./flow.js";
import { utf8Length } from "./frames.js";
import { writeJson } from "./json.js";
import { Writer } from "./msgpack.js";
import { asEncodeError } from "./values.js";

// An item stands in a list in a map: it may be that much less deep than a value may.
const DEPTH = 2;

/** What is around the items of a message, in bytes, at most. */
export const AROUND_ITEMS = 96;

/** One encoding of items. `encode` throws `EncodeError`. */
export interface ItemCodec {
  encode(item: unknown, streams: readonly number[]): EncodedItem;
  /** The envelope of an `rpc.next` of `stream`. */
  join(stream: number, items: readonly EncodedItem[]): Uint8Array | string;
}

/** Items as JSON text. */
export class JsonItems implements ItemCodec {
  encode(item: unknown, streams: readonly number[]): EncodedItem {
    try {
      const data = writeJson(item ?? null, DEPTH);
      return { data, size: utf8Length(data), streams };
    } catch (error) {
      throw asEncodeError(error);
    }
  }

  join(stream: number, items: readonly EncodedItem[]): string {
    const list = items.map(({ data }) => data).join(",");
    return `{"jsonrpc":"2.0","method":"rpc.next","params":{"stream":${stream},"items":[${list}]}}`;
  }
}

/** Items as MessagePack. */
export class MessagePackItems implements ItemCodec {
  #idle: Writer | null = new Writer();

  encode(item: unknown, streams: readonly number[]): EncodedItem {
    // A getter in an item may run code that sends another: it must not find our half-written buffer.
    const writer = this.#idle ?? new Writer();
    this.#idle = null;
    try {
      writer.value(item ?? null, DEPTH);
      const data = writer.take();
      return { data, size: data.length, streams };
    } catch (error) {
      writer.clear();
      throw asEncodeError(error);
    } finally {
      this.#idle = writer;
    }
  }

  join(stream: number, items: readonly EncodedItem[]): Uint8Array {
    const writer = new Writer();
    writer.arrayHeader(3);
    writer.integer(3);
    writer.text("rpc.next");
    writer.mapHeader(2);
    writer.text("stream");
    writer.integer(stream);
    writer.text("items");
    writer.arrayHeader(items.length);
    const header = writer.take();
    let size = header.length;
    for (const item of items) size += item.size;
    const joined = new Uint8Array(size);
    joined.set(header);
    let at = header.length;
    for (const { data, size: length } of items) {
      joined.set(data as Uint8Array, at);
      at += length;
    }
    return joined;
  }
}
