/**
 * What every way of finding peers has in common: the room's members, signals, and the interface of an adapter.
 *
 * An adapter carries signed signals between the members of one room and tells its owner who comes and goes. It sees no calls
 * (protocol section 9).
 */

import type { IceServer } from "../transport/base.js";

/** Where an adapter stands. `closed` is final: the owner closed it, or its reason says why it will not try again. */
export type SignalingState = "connecting" | "joined" | "reconnecting" | "closed";

/** A peer that is in the room: its proved id (43 characters) and the name it chose, which proves nothing. */
export interface Member {
  readonly peerId: string;
  readonly name: string;
}

/** The answer to a join. `members` are the others, never oneself; `ttl` is how many seconds `iceServers` hold. */
export interface Joined {
  readonly members: readonly Member[];
  readonly iceServers: readonly IceServer[];
  readonly ttl: number;
}

/** What two peers tell each other to get connected. */
export type SignalPayload =
  | { readonly kind: "offer" | "answer"; readonly sdp: string }
  | { readonly kind: "candidate"; readonly candidate: string; readonly mid: string }
  | { readonly kind: "refuse"; readonly code: number; readonly reason: string };

/** A signal whose signature holds and which was not seen before; `attempt` names the offer that it belongs to. */
export interface Signal {
  readonly sender: string;
  readonly attempt: string;
  readonly payload: SignalPayload;
}

/** What the owner of an adapter hands in. None of these may throw. */
export interface SignalingEvents {
  /**
   * We are in the room, for the first time or again after the connection was lost. The members of the first `joined` are not announced
   * by `peerJoined` as well; after a later one `peerLeft` and `peerJoined` follow for what changed in between.
   */
  joined(joined: Joined): void;
  /** A peer came in; for one already known: it joined anew, perhaps under another name. */
  peerJoined(member: Member): void;
  /** A peer is no longer in the room. Connections with it may well be alive: they need no room. */
  peerLeft(peerId: string): void;
  /** A verified signal for us. */
  signalReceived(signal: Signal): void;
  /** The adapter's state changed; `reason` is a sentence for people, empty where there is nothing to say. */
  signalingState(state: SignalingState, reason: string): void;
}

/** One membership of one room. */
export interface Signaling {
  /** Enters the room; called once. `SignalingError` when that is refused or impossible. */
  join(): Promise<Joined>;
  /**
   * Signs a payload and sends it to a member, in the order of the calls, without waiting. It may be lost: dial deadlines notice that.
   * `SignalingError` when the payload is too long or the adapter is closed.
   */
  sendSignal(to: string, attempt: string, payload: SignalPayload): void;
  /** Leaves the room for good. May be called again. */
  close(): void;
}
