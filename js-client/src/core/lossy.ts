/**
 * Notifications that may be lost: the latest wins (protocol section 7.3).
 *
 * Each is numbered by its method. What waits for room in the channel is replaced by what is newer; what comes after something newer is
 * dropped. Nothing that arrives here can end a session: it is taken, or it is dropped and counted.
 */

import { ProtocolError, ResourceExhausted, TooLarge } from "../errors.js";
import { LOSSY_FRAME, MAX_LOSSY_METHODS } from "../limits.js";
import { MessagePackCodec } from "./codec.js";
import { type Message, type Meta, type Notification, notification, type Params } from "./envelope.js";
import { FrameType } from "./frames.js";
import { streamsIn } from "./stream-values.js";

/** What a peer with a lossy channel announces. */
export const LOSSY = "lossy";

/** Both directions of the lossy channel of one session. */
export class LossyLane {
  /** Frames that came and were not taken: late, repeated, or not what belongs there. */
  dropped = 0;
  readonly #maxFrame: number;
  readonly #codec = new MessagePackCodec();
  readonly #sent = new Map<string, number>();
  readonly #waiting = new Map<string, Uint8Array>();
  readonly #seen = new Map<string, number>();

  /** `maxFrame`: bytes, what the other side takes. */
  constructor(maxFrame: number = LOSSY_FRAME) {
    this.#maxFrame = Math.min(maxFrame, LOSSY_FRAME);
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Has a notification go out next, in the place of one of the same method that waits. Throws `EncodeError`, `TooLarge` for more than fits a
   * frame, `ResourceExhausted` for one method too many.
   */
  send(method: string, params: Params): void {
    const seq = (this.#sent.get(method) ?? 0) + 1;
    if (seq === 1 && this.#sent.size >= MAX_LOSSY_METHODS) {
      throw new ResourceExhausted(`${method}: expected at most ${MAX_LOSSY_METHODS} methods that are told with {reliable: false}`, false);
    }
    const envelope = this.#codec.encode(notification(method, params, { seq } as Meta));
    const size = envelope.length + 1;
    if (size > this.#maxFrame) {
      throw new TooLarge(
        `${method}: the notification has ${size} bytes, one that may be lost has at most ${this.#maxFrame}; send less, or without {reliable: false}`,
        false,
      );
    }
    const frame = new Uint8Array(size);
    frame[0] = FrameType.ENVELOPES;
    frame.set(envelope, 1);
    this.#sent.set(method, seq);
    this.#waiting.delete(method);
    this.#waiting.set(method, frame);
  }

  /** The frame to put on the channel now: that of the method which has waited longest. Null where nothing waits. */
  nextFrame(): Uint8Array | null {
    for (const [method, frame] of this.#waiting) {
      this.#waiting.delete(method);
      return frame;
    }
    return null;
  }

  /** What a frame holds, where that is news; else null. */
  receive(frame: Uint8Array | string): Notification | null {
    const read = this.#read(frame);
    const seq = read?.meta["seq"];
    if (read !== null && Number.isSafeInteger(seq) && (seq as number) > 0) {
      const newest = this.#seen.get(read.method) ?? (this.#seen.size < MAX_LOSSY_METHODS ? 0 : Infinity);
      if ((seq as number) > newest) {
        this.#seen.set(read.method, seq as number);
        return read;
      }
    }
    this.dropped++;
    return null;
  }

  #read(frame: Uint8Array | string): Notification | null {
    if (typeof frame === "string" || frame.length < 2 || frame.length > LOSSY_FRAME || frame[0] !== FrameType.ENVELOPES) return null;
    let messages: Message[];
    try {
      messages = this.#codec.decode(frame.subarray(1));
    } catch (error) {
      if (error instanceof ProtocolError) return null;
      throw error;
    }
    const [message] = messages;
    // (A request there could come twice; and what is reserved belongs to the channel that keeps its order.)
    if (messages.length !== 1 || message?.type !== "Notification" || message.method.startsWith("rpc.")) return null;
    return streamsIn(message.params).length === 0 ? message : null;
  }
}
