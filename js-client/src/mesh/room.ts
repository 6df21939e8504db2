/** A room, as a user holds it: who is there, who is connected, what happens. */

import { ConnectionLost } from "../errors.js";
import { DIAL_SECONDS } from "../limits.js";
import type { Link } from "../link.js";
import type { ExposeOptions, Handler, Registry } from "../service/registry.js";
import type { Member, SignalingState } from "../signaling/base.js";
import type { DriverObserver, RoomDriver } from "./driver.js";
import type { Entry, PeerState } from "./membership.js";
import { RemotePeer } from "./remote-peer.js";

/**
 * Something happened to a peer. `joined` and `left`: it came into the room, or went; a link may outlive that. `connecting`, `connected`,
 * `disconnected`, `failed` and `closed`: how our link to it stands now. `state`: the same five, for those who want them all.
 */
export class PeerEvent extends Event {
  constructor(
    type: "joined" | "left" | "state" | PeerState,
    readonly peer: RemotePeer,
    readonly state: PeerState,
    /** Why; a sentence for people, or empty. */
    readonly reason: string,
  ) {
    super(type);
  }
}

/** The way to the bootstrap changed. Links are not concerned: they need none. */
export class SignalingEvent extends Event {
  constructor(
    readonly state: SignalingState,
    /** Why; a sentence for people, or empty. */
    readonly reason: string,
  ) {
    super("signaling");
  }
}

/** The events of a room, by type. */
export interface RoomEvents {
  joined: PeerEvent;
  left: PeerEvent;
  connecting: PeerEvent;
  connected: PeerEvent;
  disconnected: PeerEvent;
  failed: PeerEvent;
  closed: PeerEvent;
  state: PeerEvent;
  signaling: SignalingEvent;
}

/** What a room needs to be made; `join` does it. */
export interface RoomOptions {
  readonly name: string;
  readonly peerId: string;
  readonly ownName: string;
  readonly registry: Registry;
  readonly makeDriver: (observer: DriverObserver) => RoomDriver;
  /** Called when the room is left, or was never entered. */
  readonly closed: () => void;
}

/** The typed half of `EventTarget`: which event comes with which name. */
export interface Room {
  addEventListener<Type extends keyof RoomEvents>(
    type: Type,
    listener: (event: RoomEvents[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Type extends keyof RoomEvents>(
    type: Type,
    listener: (event: RoomEvents[Type]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/** A joined room. When the page goes away every peer is told; `close()` does the same earlier. */
export class Room extends EventTarget implements DriverObserver {
  /** The name of the room. */
  readonly name: string;
  /** Who we are: our public key, 43 characters. */
  readonly peerId: string;
  /** The name we go by. */
  readonly ownName: string;
  /** What we offer to the others. */
  readonly registry: Registry;
  /** The way to the bootstrap, and a sentence about it. */
  signalingState: SignalingState = "connecting";
  signalingReason = "";
  readonly #driver: RoomDriver;
  readonly #remotes = new Map<string, RemotePeer>();
  readonly #left: () => void;
  #closed: Promise<void> | null = null;
  readonly #pageHides = (): void => void this.close("the page was closed");

  /** Made by `join` only, which then calls `open`. */
  constructor(options: RoomOptions) {
    super();
    this.name = options.name;
    this.peerId = options.peerId;
    this.ownName = options.ownName;
    this.registry = options.registry;
    this.#left = options.closed;
    this.#driver = options.makeDriver(this);
  }

  /** Joins; called once, by `join`. */
  async open(): Promise<void> {
    try {
      await this.#driver.open();
    } catch (error) {
      this.#left();
      throw error;
    }
    (globalThis as Partial<EventTarget>).addEventListener?.("pagehide", this.#pageHides);
  }

  /** Those whom the bootstrap says are in the room, ourselves left out; their names prove nothing. */
  get members(): readonly Member[] {
    return this.#driver.membership.present().map(({ peerId, name }) => ({ peerId, name }));
  }

  /** The peers that we are connected to. */
  get peers(): readonly RemotePeer[] {
    return [...this.#remotes.values()].filter((remote) => remote.state === "connected");
  }

  /**
   * The peer of that name or id, connected; waits up to `timeout` milliseconds for it to come and to answer.
   *
   * Without a name: the pinned peer, or the only other one in the room. Rejects with `Unavailable` when nobody came or nothing answered, and
   * with `IdentityMismatch` when the name is there with another key than the pinned one.
   */
  async peer(nameOrId?: string, options: { readonly timeout?: number } = {}): Promise<RemotePeer> {
    const timeout = options.timeout ?? DIAL_SECONDS * 1000;
    const deadline = performance.now() + timeout;
    if (this.#closed !== null) {
      throw new ConnectionLost("the room is closed: join again", false);
    }
    const entry = await this.#driver.find(nameOrId, timeout);
    await this.#driver.connect(entry.peerId, Math.max(deadline - performance.now(), 1));
    return this.#remote(entry);
  }

  /** Offers a function to the others; see `Registry.expose`. */
  expose(name: string, fn: Handler, options: ExposeOptions = {}): void {
    this.registry.expose(name, fn, options);
  }

  /** Leaves the room. Every peer has been told when this returns; the promise resolves when the channels have drained. */
  close(reason = "closed"): Promise<void> {
    if (this.#closed === null) {
      (globalThis as Partial<EventTarget>).removeEventListener?.("pagehide", this.#pageHides);
      this.#closed = this.#driver.close(reason).finally(this.#left);
    }
    return this.#closed;
  }

  // -- DriverObserver: called by the driver only ------------------------------------------------------

  /** @internal */
  memberChanged(entry: Entry, kind: "joined" | "left"): void {
    const remote = this.#remote(entry);
    remote.name = entry.name || remote.name;
    if (kind === "left" && remote.state === "new") {
      this.#remotes.delete(entry.peerId);
    }
    this.dispatchEvent(new PeerEvent(kind, remote, remote.state, ""));
  }

  /** @internal */
  linkChanged(entry: Entry, _link: Link | null): void {
    const remote = this.#remote(entry);
    remote.name = entry.name || remote.name;
    remote.state = entry.state;
    remote.reason = entry.reason;
    this.dispatchEvent(new PeerEvent(entry.state, remote, entry.state, entry.reason));
    this.dispatchEvent(new PeerEvent("state", remote, entry.state, entry.reason));
  }

  /** @internal */
  signalingChanged(state: SignalingState, reason: string): void {
    this.signalingState = state;
    this.signalingReason = reason;
    this.dispatchEvent(new SignalingEvent(state, reason));
  }

  #remote(entry: Entry): RemotePeer {
    let remote = this.#remotes.get(entry.peerId);
    if (remote === undefined) {
      remote = new RemotePeer(entry.peerId, entry.name, this.#driver);
      this.#remotes.set(entry.peerId, remote);
    }
    return remote;
  }
}
