/** The network half of a room: signaling, dials and links. `Room` is what a user holds of it. */

import { b64urlEncode } from "../core/identity.js";
import { ConnectionLost, RtcRpcError, Unavailable } from "../errors.js";
import { randomBytes } from "../identity.js";
import { DIAL_SECONDS, MAX_CANDIDATES } from "../limits.js";
import { Link, type LinkEvents, type LinkSettings, type Service } from "../link.js";
import type { Joined, Member, Signal, SignalPayload, Signaling, SignalingEvents, SignalingState } from "../signaling/base.js";
import type { Candidate, IceServer, Transport } from "../transport/base.js";
import { type Entry, Membership } from "./membership.js";
import { Negotiation } from "./negotiation.js";

/** What the driver tells. */
export interface DriverObserver {
  memberChanged(entry: Entry, kind: "joined" | "left"): void;
  /** `entry.state` and `entry.reason` are new; `link` is the one that is ready, or null. */
  linkChanged(entry: Entry, link: Link | null): void;
  signalingChanged(state: SignalingState, reason: string): void;
}

/** What a driver needs to know. `iceServers`: used instead of those that the bootstrap hands out. */
export interface DriverOptions {
  readonly settings: Omit<LinkSettings, "expected">;
  readonly transport: Transport;
  readonly makeSignaling: (events: SignalingEvents) => Signaling;
  readonly service: Service;
  readonly observer: DriverObserver;
  readonly iceServers: readonly IceServer[] | null;
}

interface Waiter {
  resolve(link: Link): void;
  reject(error: Error): void;
}

/** One attempt to get a link. */
interface Dial {
  readonly link: Link;
  readonly attempt: string;
  /** Whether the other side has said anything to it. */
  answered: boolean;
  /** Our candidates until our description has been sent, then null: no candidate may overtake it. */
  held: Candidate[] | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** What the driver holds of one other peer. */
interface Remote {
  readonly peerId: string;
  readonly negotiation: Negotiation;
  readonly waiters: Set<Waiter>;
  link: Link | null;
  dial: Dial | null;
  early: { readonly attempt: string; readonly candidate: Candidate }[];
}

/** Joins a room, dials and answers, and keeps what is known of each peer. */
export class RoomDriver implements SignalingEvents, LinkEvents {
  readonly membership: Membership;
  readonly #options: DriverOptions;
  readonly #remotes = new Map<string, Remote>();
  readonly #owners = new Map<Link, Remote>();
  readonly #arrivals = new Set<() => void>();
  readonly #signaling: Signaling;
  #iceServers: readonly IceServer[];
  #joinedBefore = false;
  #closed = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#iceServers = options.iceServers ?? [];
    this.membership = new Membership(options.settings.identity.peerId, options.settings.pins);
    this.#signaling = options.makeSignaling(this);
  }

  // -- what the public half asks for ------------------------------------------------------------------

  /** Joins the room. `SignalingError` where the bootstrap can't be reached or refuses. */
  async open(): Promise<void> {
    await this.#signaling.join();
  }

  /** Leaves: every link says bye before this returns; resolves when they have drained. */
  async close(reason: string): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    const ends: Promise<void>[] = [];
    for (const remote of this.#remotes.values()) {
      this.#failWaiters(remote, this.#closedError());
      clearTimeout(remote.dial?.timer);
      for (const link of [remote.dial?.link, remote.link]) {
        if (link !== undefined && link !== null) {
          ends.push(link.close(0, reason));
        }
      }
      const state = this.membership.get(remote.peerId)?.state;
      if (state !== undefined && state !== "new") {
        this.#setState(remote, "closed", reason);
      }
    }
    this.#wake();
    this.#signaling.close();
    await Promise.all(ends);
  }

  /** The peer that `wanted` means (see `Membership.resolve`), waiting up to `timeout` milliseconds for it to come in. */
  async find(wanted: string | undefined, timeout: number): Promise<Entry> {
    return this.#await(timeout, () => this.membership.resolve(wanted), () => this.#nobody(wanted, timeout));
  }

  /**
   * The ready link to `peerId`, dialed where there is none. `Unavailable` when nothing answers in `timeout` milliseconds, a
   * `HandshakeError` when the other can't prove its key.
   */
  async connect(peerId: string, timeout: number = DIAL_SECONDS * 1000): Promise<Link> {
    const deadline = performance.now() + timeout;
    const here = (): true | undefined => {
      const remote = this.#remotes.get(peerId);
      return this.membership.get(peerId)?.present || remote?.link || remote?.dial ? true : undefined;
    };
    await this.#await(timeout, here, () => `${this.#describe(peerId)} is not in the room, and did not come within ${seconds(timeout)} s`);
    const remote = this.#remote(peerId);
    if (remote.link !== null) {
      return remote.link;
    }
    return new Promise((resolve, reject) => {
      const left = Math.max(deadline - performance.now(), 0);
      const timer = setTimeout(() => waiter.reject(new Unavailable(this.#noLink(remote, timeout))), left);
      const settle = <T>(take: (value: T) => void) => (value: T): void => {
        clearTimeout(timer);
        remote.waiters.delete(waiter);
        take(value);
      };
      const waiter: Waiter = { resolve: settle(resolve), reject: settle(reject) };
      remote.waiters.add(waiter);
      if (remote.dial === null) {
        this.#dial(remote);
      }
    });
  }

  /** The ready link to `peerId`, or null. */
  linkTo(peerId: string): Link | null {
    return this.#remotes.get(peerId)?.link ?? null;
  }

  // -- SignalingEvents --------------------------------------------------------------------------------

  joined(joined: Joined): void {
    if (this.#options.iceServers === null) {
      this.#iceServers = joined.iceServers;
    }
    // After a later join the adapter tells what has changed, peer by peer.
    if (!this.#joinedBefore) {
      this.#joinedBefore = true;
      joined.members.forEach((member) => this.peerJoined(member));
    }
  }

  peerJoined(member: Member): void {
    const entry = this.membership.add(member);
    if (entry !== undefined) {
      this.#options.observer.memberChanged(entry, "joined");
      this.#wake();
      const remote = this.#remotes.get(member.peerId);
      if (remote?.dial?.answered === false) {
        // Our offer went to where it was before, or to nobody: both come back at about the same time when a bootstrap restarts.
        this.#dropDial(remote, "the other side joined anew");
        this.#dial(remote);
      }
    }
  }

  peerLeft(peerId: string): void {
    const entry = this.membership.remove(peerId);
    if (entry !== undefined) {
      this.#options.observer.memberChanged(entry, "left");
    }
    const remote = this.#remotes.get(peerId);
    if (remote !== undefined) {
      this.#forget(remote);
    }
  }

  signalingState(state: SignalingState, reason: string): void {
    this.#options.observer.signalingChanged(state, reason);
  }

  signalReceived(signal: Signal): void {
    if (this.#closed) {
      return;
    }
    const { attempt, payload } = signal;
    const remote = this.#remote(signal.sender);
    const dial = remote.negotiation.isCurrent(attempt) ? remote.dial : null;
    switch (payload.kind) {
      case "offer":
        this.#offerReceived(remote, attempt, payload.sdp);
        break;
      case "answer":
        if (dial !== null && remote.negotiation.expectsAnswer(attempt)) {
          dial.answered = true;
          this.#try(remote, dial, dial.link.connection.acceptAnswer(payload.sdp));
        }
        break;
      case "candidate":
        if (dial !== null) {
          this.#addCandidate(dial.link, payload);
        } else if (remote.early.length < MAX_CANDIDATES) {
          remote.early.push({ attempt, candidate: payload });
        }
        break;
      case "refuse":
        if (dial !== null) {
          this.#abandon(remote, new Unavailable(`${this.#describe(remote.peerId)} refused: ${payload.reason}`));
        }
        break;
    }
  }

  // -- dialing and answering --------------------------------------------------------------------------

  #dial(remote: Remote): void {
    const attempt = b64urlEncode(randomBytes(16));
    remote.negotiation.dial(attempt);
    const dial = this.#begin(remote, attempt, "dialing");
    if (dial !== null) {
      this.#try(remote, dial, dial.link.connection.createOffer(), (sdp) => this.#describeTo(remote, dial, { kind: "offer", sdp }));
    }
  }

  #offerReceived(remote: Remote, attempt: string, sdp: string): void {
    const verdict = remote.negotiation.receiveOffer(attempt);
    this.#options.settings.log.debug(`offer of ${this.#describe(remote.peerId)}: ${verdict}`);
    if (verdict !== "answer" && verdict !== "answer and drop ours") {
      return;
    }
    this.#dropDial(remote, "gave way to the offer of the other side");
    const dial = this.#begin(remote, attempt, "answering");
    if (dial !== null) {
      const answer = dial.link.connection.acceptOffer(sdp);
      this.#try(remote, dial, answer, (own) => this.#describeTo(remote, dial, { kind: "answer", sdp: own }));
    }
  }

  #begin(remote: Remote, attempt: string, reason: string): Dial | null {
    const { settings, transport, service } = this.#options;
    let link: Link;
    try {
      link = new Link({ ...settings, expected: remote.peerId }, transport, this.#iceServers, this, service);
    } catch (error) {
      this.#failed(remote, asError(error));
      return null;
    }
    const dial: Dial = { link, attempt, answered: reason === "answering", held: [], timer: undefined };
    dial.timer = setTimeout(() => {
      this.#abandon(remote, new Unavailable(this.#noLink(remote, DIAL_SECONDS * 1000)));
    }, DIAL_SECONDS * 1000);
    remote.dial = dial;
    this.#owners.set(link, remote);
    const early = remote.early;
    remote.early = [];
    for (const each of early.filter((candidate) => candidate.attempt === attempt)) {
      this.#addCandidate(link, each.candidate);
    }
    if (remote.link === null) {
      this.#setState(remote, "connecting", reason);
    }
    return dial;
  }

  /** Goes on with a dial when the stack is done; gives it up, and tells the other side, when the stack refuses. */
  #try<T>(remote: Remote, dial: Dial, work: Promise<T>, next: (value: T) => void = () => undefined): void {
    work.then(
      (value) => {
        if (remote.dial === dial) {
          next(value);
        }
      },
      (error: unknown) => {
        if (remote.dial === dial) {
          const { code, message } = asError(error);
          this.#send(remote, dial.attempt, { kind: "refuse", code, reason: message.slice(0, 200) });
          this.#abandon(remote, asError(error));
        }
      },
    );
  }

  #describeTo(remote: Remote, dial: Dial, payload: SignalPayload): void {
    this.#send(remote, dial.attempt, payload);
    const held = dial.held ?? [];
    dial.held = null;
    for (const candidate of held) {
      this.#send(remote, dial.attempt, { kind: "candidate", ...candidate });
    }
  }

  #addCandidate(link: Link, { candidate, mid }: Candidate): void {
    link.connection.addCandidate({ candidate, mid }).catch((error: unknown) => {
      this.#options.settings.log.debug(`a candidate was not taken: ${String(error)}`);
    });
  }

  // -- LinkEvents -------------------------------------------------------------------------------------

  localCandidate(link: Link, { candidate, mid }: Candidate): void {
    const remote = this.#owners.get(link);
    const dial = remote?.dial;
    if (remote === undefined || dial?.link !== link) {
      return;
    }
    if (dial.held !== null) {
      dial.held.push({ candidate, mid });
    } else {
      this.#send(remote, dial.attempt, { kind: "candidate", candidate, mid });
    }
  }

  linkReady(link: Link): void {
    const remote = this.#owners.get(link);
    if (remote?.dial?.link !== link) {
      void link.close(0, "another attempt took its place");
      return;
    }
    const older = remote.link;
    clearTimeout(remote.dial.timer);
    remote.link = link;
    remote.dial = null;
    remote.negotiation.settle();
    void older?.close(0, "replaced by a newer link to the same peer");
    this.#setState(remote, "connected", "", link.remote?.name);
    for (const waiter of [...remote.waiters]) {
      waiter.resolve(link);
    }
    this.#wake();
  }

  linkClosed(link: Link, error: RtcRpcError): void {
    const remote = this.#owners.get(link);
    this.#owners.delete(link);
    if (remote?.dial?.link === link) {
      this.#failed(remote, error);
    } else if (remote?.link === link) {
      remote.link = null;
      if (!this.#closed) {
        this.#setState(remote, "disconnected", error.message);
        this.#forget(remote);
      }
    }
  }

  // -- inside -----------------------------------------------------------------------------------------

  #remote(peerId: string): Remote {
    let remote = this.#remotes.get(peerId);
    if (remote === undefined) {
      const negotiation = new Negotiation(this.membership.ownId, peerId);
      remote = { peerId, negotiation, waiters: new Set(), link: null, dial: null, early: [] };
      this.#remotes.set(peerId, remote);
    }
    return remote;
  }

  /** Drops what is held of a peer that is neither in the room nor linked: a room may outlive thousands of visitors. */
  #forget(remote: Remote): void {
    const busy = remote.link !== null || remote.dial !== null || remote.waiters.size > 0;
    if (!busy && this.membership.get(remote.peerId)?.present !== true) {
      this.#remotes.delete(remote.peerId);
    }
  }

  #abandon(remote: Remote, error: RtcRpcError): void {
    this.#dropDial(remote, error.message);
    this.#failed(remote, error);
  }

  #dropDial(remote: Remote, reason: string): void {
    const dial = remote.dial;
    remote.dial = null;
    if (dial !== null) {
      clearTimeout(dial.timer);
      void dial.link.close(0, reason);
    }
  }

  #failed(remote: Remote, error: RtcRpcError): void {
    clearTimeout(remote.dial?.timer);
    remote.dial = null;
    remote.negotiation.settle();
    const shown =
      error instanceof ConnectionLost ? new Unavailable(`no link to ${this.#describe(remote.peerId)}: ${error.message}`) : error;
    if (remote.link === null && !this.#closed) {
      this.#setState(remote, "failed", shown.message);
    }
    this.#failWaiters(remote, shown);
    this.#forget(remote);
  }

  #failWaiters(remote: Remote, error: Error): void {
    for (const waiter of [...remote.waiters]) {
      waiter.reject(error);
    }
  }

  #setState(remote: Remote, state: Entry["state"], reason: string, name?: string): void {
    const entry = this.membership.setState(remote.peerId, state, reason, name);
    this.#options.observer.linkChanged(entry, remote.link);
  }

  #send(remote: Remote, attempt: string, payload: SignalPayload): void {
    try {
      this.#signaling.sendSignal(remote.peerId, attempt, payload);
    } catch (error) {
      this.#options.settings.log.warn(`a signal to ${this.#describe(remote.peerId)} was not sent: ${String(error)}`);
    }
  }

  /** Waits until `look` finds something; it is asked again whenever a peer came in. */
  async #await<T>(timeout: number, look: () => T | undefined, complaint: () => string): Promise<T> {
    const deadline = performance.now() + timeout;
    for (;;) {
      if (this.#closed) {
        throw this.#closedError();
      }
      const found = look();
      if (found !== undefined) {
        return found;
      }
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new Unavailable(complaint());
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        const arrivals = this.#arrivals;
        function done(): void {
          clearTimeout(timer);
          arrivals.delete(done);
          resolve();
        }
        arrivals.add(done);
      });
    }
  }

  #wake(): void {
    for (const arrived of [...this.#arrivals]) {
      arrived();
    }
  }

  #closedError(): ConnectionLost {
    return new ConnectionLost("the room was closed on this side", false);
  }

  #describe(peerId: string): string {
    const name = this.membership.get(peerId)?.name;
    return name ? `${JSON.stringify(name)} (${peerId.slice(0, 8)}…)` : `${peerId.slice(0, 8)}…`;
  }

  #nobody(wanted: string | undefined, timeout: number): string {
    const here = this.membership.present().map((entry) => `${entry.name} (${entry.peerId.slice(0, 8)}…)`);
    const expected = wanted === undefined ? (this.membership.pins.size > 0 ? "the pinned peer" : "a peer") : JSON.stringify(wanted);
    const room = JSON.stringify(this.#options.settings.room);
    return (
      `expected ${expected} to be in room ${room} within ${seconds(timeout)} s; there: ${here.join(", ") || "nobody else"}. ` +
      "Is it running, and in the same room?"
    );
  }

  #noLink(remote: Remote, timeout: number): string {
    const who = this.#describe(remote.peerId);
    if (remote.dial?.link.stage === "proving") {
      return `the channel to ${who} opened, but its proof did not come within ${seconds(timeout)} s`;
    }
    return (
      `no link to ${who} within ${seconds(timeout)} s: either it did not answer, or no path between the two was found. ` +
      "Behind strict NATs a TURN server is needed"
    );
  }
}

function seconds(milliseconds: number): string {
  return String(Math.round(milliseconds / 100) / 10);
}

function asError(error: unknown): RtcRpcError {
  return error instanceof RtcRpcError ? error : new Unavailable(`the WebRTC stack failed: ${String(error)}`);
}
