/** The page's one connection: from a link to a peer, what it offers, and how the way to it stands. No DOM of the page here. */

import { type Invite, type OnProgress, type Params, type Path, type RemotePeer, type Room, join } from "../src/index.js";
import { type Failure, failureOf } from "./failure.js";
import { type Offer, readOffer } from "./openrpc.js";

/** How it stands. `choosing`: the link names nobody, and several are in the room. */
export type Phase = "connecting" | "choosing" | "connected" | "disconnected" | "failed";

export interface Standing {
  readonly phase: Phase;
  /** What is going on, or why it ended; a sentence. */
  readonly words: string;
  readonly failure: Failure | null;
  /** Trying again can't help: nothing to press. */
  readonly final?: boolean;
}

/** Who is at the other end, as far as it is known. */
export interface Who {
  readonly name: string;
  readonly peerId: string;
  readonly trust: string;
}

export interface Measured {
  /** Milliseconds; null before the first measurement. */
  readonly rtt: number | null;
  readonly path: Path | null;
}

/** What the page wants to be told. */
export interface Observer {
  stood(standing: Standing): void;
  met(who: Who, room: Room): void;
  offered(offer: Offer): void;
  measured(measured: Measured): void;
  choose(members: readonly { readonly peerId: string; readonly name: string }[]): void;
}

const MEASURE_MILLIS = 1_000;

export class PageSession {
  readonly #link: string;
  readonly #invite: Invite;
  readonly #observer: Observer;
  #wanted: string | undefined;
  #room: Room | null = null;
  #robot: RemotePeer | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #working = false;
  #closed = false;

  constructor(link: string, invite: Invite, observer: Observer) {
    this.#link = link;
    this.#invite = invite;
    this.#observer = observer;
    this.#wanted = invite.pin ?? invite.name ?? undefined;
  }

  /** Connects, or connects again. What comes of it is told to the observer. */
  async connect(): Promise<void> {
    if (this.#working || this.#closed) {
      return;
    }
    this.#working = true;
    try {
      await this.#connect();
    } catch (error) {
      const failure = failureOf(error, { called: false });
      this.#stand("failed", failure.title, failure);
    } finally {
      this.#working = false;
    }
  }

  /** Takes this one of the peers in the room. */
  async take(peerId: string): Promise<void> {
    this.#wanted = peerId;
    await this.connect();
  }

  /** `signal` stops the call, and the streams in its result; `progress` is told how far it has come. */
  invoke(method: string, params: Params, signal: AbortSignal, progress: OnProgress): Promise<unknown> {
    if (this.#robot === null) {
      throw new Error("there is no peer yet");
    }
    return this.#robot.invoke(method, params, { signal, progress });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#room?.close("the page was left");
  }

  async #connect(): Promise<void> {
    if (this.#room === null) {
      this.#stand("connecting", "Reaching the meeting place…");
      const room = await join(this.#link, { name: "web page" });
      if (this.#closed) {
        await room.close();
        return;
      }
      this.#room = room;
      this.#watch(room);
    }
    const room = this.#room;
    if (this.#wanted === undefined && room.members.length > 1) {
      this.#stand("choosing", "Several peers are in this room.");
      this.#observer.choose(room.members);
      return;
    }
    this.#stand("connecting", this.#waitingFor(room));
    const robot = await room.peer(this.#wanted);
    this.#robot = robot;
    this.#wanted = robot.peerId;
    await this.#arrived();
  }

  #waitingFor(room: Room): string {
    const wanted = this.#wanted;
    if (wanted === undefined || room.members.some(({ peerId, name }) => peerId === wanted || name === wanted)) {
      return "Connecting to the peer…";
    }
    // Only a key in the link makes a namesake a stranger.
    const namesake = this.#invite.pin !== null && room.members.some(({ name }) => name === this.#invite.name);
    return namesake
      ? "Someone of this name is in the room, but with another key than your link names. Waiting for the right one…"
      : "The peer is not in the room. Waiting for it to come…";
  }

  #watch(room: Room): void {
    room.addEventListener("state", ({ peer, state, reason }) => {
      if (peer.peerId !== this.#robot?.peerId || this.#working || this.#closed) {
        return;
      }
      if (state === "connected") {
        // A call dialed by itself, or the other side came back.
        void this.connect();
      } else if (state === "connecting") {
        this.#stand("connecting", "Connecting to the peer…");
      } else if (state !== "new") {
        this.#stand(state === "failed" ? "failed" : "disconnected", reason);
      }
    });
    room.addEventListener("joined", ({ peer }) => {
      if (this.#closed) {
        return;
      }
      if (this.#working && this.#robot === null) {
        this.#stand("connecting", this.#waitingFor(room));
      } else if (peer.peerId === this.#wanted && peer.state !== "connected") {
        void this.connect();
      }
    });
  }

  async #arrived(): Promise<void> {
    const robot = this.#robot;
    const room = this.#room;
    if (robot === null || room === null) {
      return;
    }
    this.#observer.met({ name: robot.name || (this.#invite.name ?? ""), peerId: robot.peerId, trust: robot.trust }, room);
    this.#observer.offered(readOffer(await robot.discover()));
    this.#stand("connected", "");
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#measure(), MEASURE_MILLIS);
    await this.#measure();
  }

  async #measure(): Promise<void> {
    const robot = this.#robot;
    if (robot === null || robot.state !== "connected" || document.visibilityState === "hidden") {
      return;
    }
    const path = await robot.path();
    this.#observer.measured({ path, rtt: robot.rtt ?? path?.rtt ?? null });
  }

  #stand(phase: Phase, words: string, failure: Failure | null = null): void {
    if (phase !== "connected") {
      clearInterval(this.#timer);
    }
    this.#observer.stood({ phase, words, failure });
  }
}
