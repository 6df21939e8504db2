/**
 * Who is in the room, and how each of them stands with us. No network here.
 *
 * Presence comes from signaling and proves nothing; the state of a link comes from the link, which proves keys. The two are kept apart: a peer
 * that left the bootstrap may well still be connected, and the other way round.
 */

import { isPeerId } from "../core/identity.js";
import { IdentityMismatch, Unavailable } from "../errors.js";
import type { Member } from "../signaling/base.js";

/** How a peer stands with us. */
export type PeerState = "new" | "connecting" | "connected" | "disconnected" | "failed" | "closed";

/** One peer: `present` in the room or not, the `state` of its link and the `reason` of that state. */
export interface Entry {
  readonly peerId: string;
  name: string;
  present: boolean;
  state: PeerState;
  reason: string;
}

/** The table of the peers of one room, our own left out; `pins` are the keys that names are allowed to stand for. */
export class Membership {
  readonly #entries = new Map<string, Entry>();

  constructor(
    readonly ownId: string,
    readonly pins: ReadonlySet<string> = new Set(),
  ) {}

  /** The entry of `peerId`, or undefined. */
  get(peerId: string): Entry | undefined {
    return this.#entries.get(peerId);
  }

  /** Every entry: those in the room, and those that are linked. */
  all(): Entry[] {
    return [...this.#entries.values()];
  }

  /** Those in the room now, as far as the bootstrap says. */
  present(): Entry[] {
    return this.all().filter((entry) => entry.present);
  }

  /** A peer came in, or came again, maybe under another name; undefined for ourselves. */
  add(member: Member): Entry | undefined {
    if (member.peerId === this.ownId) {
      return undefined;
    }
    const entry = this.#entry(member.peerId, member.name);
    entry.name = member.name;
    entry.present = true;
    return entry;
  }

  /** A peer left the room; its link, if there is one, is not touched. */
  remove(peerId: string): Entry | undefined {
    const entry = this.#entries.get(peerId);
    if (entry !== undefined) {
      entry.present = false;
      this.#forget(entry);
    }
    return entry;
  }

  /** A link changed; a peer that is linked is kept even when the bootstrap doesn't list it. */
  setState(peerId: string, state: PeerState, reason: string, name = ""): Entry {
    const entry = this.#entry(peerId, name);
    entry.state = state;
    entry.reason = reason;
    entry.name = name || entry.name;
    this.#forget(entry);
    return entry;
  }

  /**
   * The entry that `wanted` means; undefined while there is none yet.
   *
   * `wanted` is a peer id, a name, or undefined for "the pinned peer, or the only other one". A name reaches only a pinned key where
   * there are pins: names are anyone's choice. Throws `IdentityMismatch` when only other keys carry the name, and `Unavailable` when
   * the words fit several peers.
   */
  resolve(wanted: string | undefined): Entry | undefined {
    if (wanted !== undefined && isPeerId(wanted)) {
      return this.#entries.get(wanted);
    }
    const named = this.all().filter(
      (entry) => (entry.present || entry.state === "connected") && (wanted === undefined || entry.name === wanted),
    );
    const fitting = this.pins.size === 0 ? named : named.filter((entry) => this.pins.has(entry.peerId));
    if (fitting.length > 1) {
      const listing = fitting.map((entry) => `${entry.name} (${entry.peerId})`).join(", ");
      throw new Unavailable(
        `expected one peer to fit ${wanted === undefined ? "any name" : JSON.stringify(wanted)}, got ${fitting.length}: ${listing}; pass the peer id`,
      );
    }
    if (fitting.length === 0 && wanted !== undefined && named.length > 0) {
      const shown = JSON.stringify(wanted);
      throw new IdentityMismatch(
        `${shown} is in the room with another key: expected ${[...this.pins].sort().join(" or ")}, got ` +
          `${named.map((entry) => entry.peerId).join(", ")}; ask for a new link if the key has changed, else somebody poses as ${shown}`,
      );
    }
    return fitting[0];
  }

  #entry(peerId: string, name: string): Entry {
    let entry = this.#entries.get(peerId);
    if (entry === undefined) {
      entry = { peerId, name, present: false, state: "new", reason: "" };
      this.#entries.set(peerId, entry);
    }
    return entry;
  }

  #forget(entry: Entry): void {
    if (!entry.present && entry.state !== "connecting" && entry.state !== "connected") {
      this.#entries.delete(entry.peerId);
    }
  }
}
