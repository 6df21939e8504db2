/** DataChannel messages to whole messages and back: frame types, parts, bounded reassembly (protocol section 4). */

import * as codes from "../codes.js";
import { DecodeError, ProtocolError } from "../errors.js";
import { MAX_FRAME, MAX_MESSAGE, MAX_TRANSFERS, TRANSFER_SECONDS } from "../limits.js";
import { decodeVarint, encodeVarint } from "./varint.js";

/** The first byte of a binary frame. */
export const FrameType = Object.freeze({
  ENVELOPES: 0,
  PART: 1,
  LAST_PART: 2,
  TEXT_PART: 3,
  LAST_TEXT_PART: 4,
});

const MAX_TRANSFER_ID = 0xffff_ffff;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes of `text` as UTF-8; a lone surrogate counts as the three bytes that it would be replaced by. */
export function utf8Length(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    if (code < 0x800) size += 1;
    else if (code >= 0xd800 && code < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      size += 2; // two units, four bytes
      i++;
    } else size += 2;
  }
  return size;
}

/** The frames, each at most `maxFrame` bytes, that carry `data` (not empty) as transfer `transferId`. `isText`: it is the UTF-8 of a text. */
export function* encodeParts(transferId: number, data: Uint8Array, isText: boolean, maxFrame: number): Generator<Uint8Array, void> {
  const id = encodeVarint(transferId);
  const header = 1 + id.length;
  const room = maxFrame - header;
  for (let start = 0; start < data.length; start += room) {
    const end = Math.min(start + room, data.length);
    const isLast = end === data.length;
    const frame = new Uint8Array(header + end - start);
    frame[0] = (isLast ? FrameType.LAST_PART : FrameType.PART) + (isText ? 2 : 0);
    frame.set(id, 1);
    frame.set(data.subarray(start, end), header);
    yield frame;
  }
}

/** What a `FrameReader` allows. Bytes and seconds. */
export interface FrameLimits {
  readonly maxFrame?: number;
  readonly maxMessage?: number;
  readonly maxTransfers?: number;
  readonly transferSeconds?: number;
}

/** A message whose parts are still coming. One buffer that doubles: an object per part would cost more than the part when parts are tiny. */
class Transfer {
  size = 0;
  #bytes = new Uint8Array(0);

  constructor(
    readonly isText: boolean,
    public deadline: number,
  ) {}

  append(part: Uint8Array, most: number): void {
    const size = this.size + part.length;
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(Math.max(size, this.#bytes.length * 2), most));
      grown.set(this.#bytes.subarray(0, this.size));
      this.#bytes = grown;
    }
    this.#bytes.set(part, this.size);
    this.size = size;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.size);
  }
}

/** Joins what comes. Throws `ProtocolError` (or `DecodeError`) once the sender has broken a rule; the session ends then. */
export class FrameReader {
  /** Bytes of a frame, and of a joined message, at most. */
  maxFrame: number;
  maxMessage: number;
  readonly #maxTransfers: number;
  readonly #transferSeconds: number;
  readonly #transfers = new Map<number, Transfer>();
  #highestId = 0;

  constructor({ maxFrame, maxMessage, maxTransfers, transferSeconds }: FrameLimits = {}) {
    this.maxFrame = maxFrame ?? MAX_FRAME;
    this.maxMessage = maxMessage ?? MAX_MESSAGE;
    this.#maxTransfers = maxTransfers ?? MAX_TRANSFERS;
    this.#transferSeconds = transferSeconds ?? TRANSFER_SECONDS;
  }

  /** Bytes of unfinished transfers. */
  get held(): number {
    let held = 0;
    for (const transfer of this.#transfers.values()) held += transfer.size;
    return held;
  }

  /** Takes a frame. What is whole now: a text, or MessagePack envelopes as bytes; null where parts are missing. */
  feed(frame: Uint8Array | string, now: number): Uint8Array | string | null {
    if (typeof frame === "string") {
      // No text has fewer bytes than characters, nor more than three times as many.
      if (frame.length * 3 > this.maxFrame) this.#checkSize(utf8Length(frame));
      return frame;
    }
    this.#checkSize(frame.length);
    const type = frame[0];
    if (type === FrameType.ENVELOPES) return frame.subarray(1);
    if (type === undefined) throw new DecodeError("expected a frame to have a type, got an empty one");
    if (type > FrameType.LAST_TEXT_PART) throw new DecodeError(`expected a frame of type 0 to ${FrameType.LAST_TEXT_PART}, got ${type}`);
    const [id, rest] = decodeVarint(frame, 1, MAX_TRANSFER_ID);
    const isText = type >= FrameType.TEXT_PART;
    const transfer = this.#takePart(id, frame.subarray(rest), isText, now);
    if (type === FrameType.PART || type === FrameType.TEXT_PART) return null;
    this.#transfers.delete(id);
    return isText ? textOf(transfer.bytes) : transfer.bytes;
  }

  /** When the transfer that waits longest has had its time; null where there is none. */
  nextExpiry(): number | null {
    let next = Infinity;
    for (const { deadline } of this.#transfers.values()) next = Math.min(next, deadline);
    return next === Infinity ? null : next;
  }

  /** Throws `ProtocolError` when a transfer got no part for too long: a slow sender may not hold memory. */
  expire(now: number): void {
    if ((this.nextExpiry() ?? Infinity) <= now) {
      throw new ProtocolError(`expected a part of each open transfer within ${this.#transferSeconds} s`, codes.DEADLINE_EXCEEDED);
    }
  }

  #takePart(id: number, body: Uint8Array, isText: boolean, now: number): Transfer {
    let transfer = this.#transfers.get(id);
    if (transfer === undefined) {
      if (id <= this.#highestId) throw new ProtocolError(`expected a transfer id above ${this.#highestId}, got ${id}`);
      if (this.#transfers.size >= this.#maxTransfers) {
        throw new ProtocolError(`expected at most ${this.#maxTransfers} transfers at a time`, codes.RESOURCE_EXHAUSTED);
      }
      this.#highestId = id;
      transfer = new Transfer(isText, now + this.#transferSeconds);
      this.#transfers.set(id, transfer);
    } else if (transfer.isText !== isText) {
      throw new ProtocolError(`expected the parts of transfer ${id} to be of one kind`);
    }
    if (transfer.size + body.length > this.maxMessage) {
      throw new ProtocolError(`expected a message of at most ${this.maxMessage} bytes`, codes.TOO_LARGE);
    }
    if (body.length > 0) {
      // A part without bytes brings the message no nearer to its end: it buys no time.
      transfer.append(body, this.maxMessage);
      transfer.deadline = now + this.#transferSeconds;
    }
    return transfer;
  }

  #checkSize(size: number): void {
    if (size > this.maxFrame) {
      throw new ProtocolError(`expected a frame of at most ${this.maxFrame} bytes, got ${size}`, codes.TOO_LARGE);
    }
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new DecodeError("expected the parts of a text to be UTF-8");
  }
}
