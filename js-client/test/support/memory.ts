/** Connections without a network: pairs of ends in this process, with real descriptions and fingerprints, that can be cut or listened in on. */

import { randomBytes } from "node:crypto";

import { ConnectionLost } from "../../src/errors.js";
import type { Candidate, Connection, ConnectionEvents, Path, Transport } from "../../src/transport/base.js";
import { checkDescription, fingerprintOf } from "../../src/transport/sdp.js";

const LOW_MARK = 32768;

/** All ends that can reach each other. */
export class MemoryNetwork {
  readonly ends = new Map<string, MemoryConnection>();
  /** What an end believes the other's fingerprint to be; a test that plays the relay in the middle changes it. */
  seenFingerprint = (fingerprint: Uint8Array): Uint8Array => fingerprint;
  /** Whether frames get through; see `cut`. */
  open = true;

  transport(): Transport {
    return { name: "memory", create: (events) => new MemoryConnection(this, events) };
  }

  /** Whether connections have a lossy channel, and what becomes of a frame there: how often it arrives, and after how many turns of the loop. */
  lossy = true;
  fate: () => { readonly copies: number; readonly turns: number } = () => ({ copies: 1, turns: 1 });

  /** Frames vanish from now on, and nobody is told: what a pulled cable looks like. */
  cut(): void {
    this.open = false;
  }

  /** Frames get through again. */
  heal(): void {
    this.open = true;
  }

  /** Every connection breaks, and both ends are told. */
  crash(): void {
    for (const end of [...this.ends.values()]) {
      end.breakDown("the network is gone");
    }
  }
}

/** One end. */
export class MemoryConnection implements Connection {
  localFingerprint: Uint8Array = randomBytes(32);
  remoteFingerprint: Uint8Array = new Uint8Array(32);
  maxMessageSize = 65536;
  bufferedAmount = 0;
  lossyBufferedAmount = 0;
  readonly address = randomBytes(8).toString("hex");
  candidates: Candidate[] = [];
  sent = 0;
  #remote: MemoryConnection | null = null;
  #described = false;
  #closed = false;

  constructor(
    private readonly network: MemoryNetwork,
    private readonly events: ConnectionEvents,
  ) {
    network.ends.set(this.address, this);
  }

  async createOffer(): Promise<string> {
    this.#gather();
    return this.#description();
  }

  async acceptOffer(sdp: string): Promise<string> {
    this.#take(sdp);
    this.#gather();
    return this.#description();
  }

  async acceptAnswer(sdp: string): Promise<void> {
    this.#take(sdp);
    const remote = this.#remote;
    if (remote !== null) {
      setImmediate(() => {
        remote.#open();
        this.#open();
      });
    }
  }

  async addCandidate(candidate: Candidate): Promise<void> {
    this.candidates.push(candidate);
  }

  send(data: Uint8Array | string): void {
    const remote = this.#remote;
    if (this.#closed || remote === null) {
      throw new ConnectionLost("the memory connection is closed");
    }
    this.sent += 1;
    const copy = typeof data === "string" ? data : data.slice();
    this.bufferedAmount += copy.length;
    setImmediate(() => {
      const before = this.bufferedAmount;
      this.bufferedAmount -= copy.length;
      if (!remote.#closed && this.network.open) {
        remote.events.messageReceived(copy);
      }
      if (before > LOW_MARK && this.bufferedAmount <= LOW_MARK && !this.#closed) {
        this.events.bufferedAmountLow();
      }
    });
  }

  get lossy(): boolean {
    return this.network.lossy;
  }

  sendLossy(data: Uint8Array): void {
    const remote = this.#remote;
    if (this.#closed || remote === null || !this.lossy) {
      return;
    }
    const copy = data.slice();
    this.lossyBufferedAmount += copy.length;
    setImmediate(() => {
      this.lossyBufferedAmount -= copy.length;
      if (!this.#closed) {
        this.events.bufferedAmountLow();
      }
    });
    for (let { copies } = this.network.fate(); copies > 0; copies--) {
      let { turns } = this.network.fate();
      const arrive = (): void => {
        if (--turns > 0) {
          setImmediate(arrive);
        } else if (!remote.#closed && this.network.open) {
          remote.events.lossyReceived(copy);
        }
      };
      setImmediate(arrive);
    }
  }

  async close(drain: number | null): Promise<void> {
    if (drain !== null) {
      // What was sent is on its way already: it was queued before this.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const remote = this.#remote;
    this.#end("closed by this side", true);
    if (this.network.open && remote !== null) {
      remote.#end("the other side closed the channel", true);
    }
  }

  async path(): Promise<Path | null> {
    return { relayed: false, localType: "host", remoteType: "host", protocol: "memory", family: "unknown", rtt: 0 };
  }

  /** The connection breaks, and both sides are told. */
  breakDown(reason: string): void {
    const remote = this.#remote;
    if (remote !== null) {
      remote.#end(reason, false);
    }
    this.#end(reason, false);
  }

  #take(sdp: string): void {
    const checked = checkDescription(sdp);
    const address = /^a=ice-ufrag:([0-9a-f]+)/m.exec(checked.sdp)?.[1] ?? "";
    this.#remote = this.network.ends.get(address) ?? null;
    this.remoteFingerprint = this.network.seenFingerprint(fingerprintOf(sdp));
  }

  #gather(): void {
    this.events.localCandidate({ candidate: `candidate:1 1 udp 1 192.0.2.1 9 typ host ufrag ${this.address}`, mid: "0" });
    this.events.localCandidate(null);
  }

  #description(): string {
    const pairs = [...this.localFingerprint].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase());
    return [
      "v=0",
      "o=- 1 1 IN IP4 127.0.0.1",
      "s=-",
      "t=0 0",
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
      "a=mid:0",
      `a=ice-ufrag:${this.address}`,
      "a=setup:actpass",
      `a=fingerprint:sha-256 ${pairs.join(":")}`,
      "",
    ].join("\r\n");
  }

  #open(): void {
    if (!this.#closed && !this.#described) {
      this.#described = true;
      this.events.channelOpened();
    }
  }

  #end(reason: string, clean: boolean): void {
    if (!this.#closed) {
      this.#closed = true;
      this.network.ends.delete(this.address);
      this.events.connectionClosed(reason, clean);
    }
  }
}
