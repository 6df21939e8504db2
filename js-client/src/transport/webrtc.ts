/**
 * The WebRTC transport: one RTCPeerConnection with negotiated DataChannels (protocol section 3), in browsers and in Node with a package
 * that has the same interface.
 */

import { ConnectionLost, ProtocolError, Unavailable } from "../errors.js";
import { CHANNEL_BUFFER, LOSSY_BUFFER, MAX_CANDIDATES } from "../limits.js";
import type { Candidate, Connection, ConnectionEvents, IceServer, Path, Transport } from "./base.js";
import { bareCandidate, checkDescription, fingerprintOf, isOfLibdatachannel, isUsefulCandidate, withoutCandidates } from "./sdp.js";

/**
 * The class that makes connections: a browser's own, or that of a Node package. Only some members are named here, because the types that the
 * packages ship differ from the browser's in details that don't matter.
 */
/* eslint-disable @typescript-eslint/no-explicit-any */
export type PeerConnectionClass = new (configuration: any) => {
  createDataChannel(label: string, options: any): any;
  createOffer(): Promise<any>;
  createAnswer(): Promise<any>;
  setLocalDescription(description?: any): Promise<void>;
  setRemoteDescription(description: any): Promise<void>;
  addIceCandidate(candidate: any): Promise<void>;
  getStats(): Promise<any>;
  close(): void;
};
/* eslint-enable @typescript-eslint/no-explicit-any */

const CHANNEL_LABEL = "rtcrpc";
const CHANNEL_OPTIONS: RTCDataChannelInit = { negotiated: true, id: 0, ordered: true, protocol: "rtcrpc.1" };
const LOSSY_LABEL = "rtcrpc.lossy";
const LOSSY_OPTIONS: RTCDataChannelInit = { negotiated: true, id: 2, ordered: false, maxRetransmits: 0, protocol: "rtcrpc.lossy.1" };
// RFC 8841 section 6.1: what a description without `max-message-size` means.
const DEFAULT_MESSAGE_SIZE = 65536;
// Milliseconds. How long the other side may take to read what is left and close the channel; how long our own close may take.
const LINGER = 1000;
const CLOSE_PATIENCE = 1000;

/** Makes connections with the class handed in, by default the browser's. `Unavailable` where there is none. */
export class WebRtcTransport implements Transport {
  readonly name = "webrtc";
  readonly #make: PeerConnectionClass;

  constructor(peerConnectionClass?: PeerConnectionClass) {
    const found = peerConnectionClass ?? (globalThis as { RTCPeerConnection?: PeerConnectionClass }).RTCPeerConnection;
    if (found === undefined) {
      throw new Unavailable(
        "expected an RTCPeerConnection: this runtime has none; in Node pass the one of a package, such as node-datachannel/polyfill",
      );
    }
    this.#make = found;
  }

  create(events: ConnectionEvents, iceServers: readonly IceServer[]): Connection {
    let pc: RTCPeerConnection;
    try {
      const configuration: RTCConfiguration = { iceServers: iceServers.map((server) => ({ ...server, urls: [server.urls].flat() })) };
      pc = new this.#make(configuration) as RTCPeerConnection;
    } catch (error) {
      throw new Unavailable(`an RTCPeerConnection could not be made; are the ICE servers well-formed? ${String(error)}`);
    }
    return new WebRtcConnection(pc, events);
  }
}

class WebRtcConnection implements Connection {
  localFingerprint: Uint8Array = new Uint8Array(32);
  remoteFingerprint: Uint8Array = new Uint8Array(32);
  readonly #pc: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  /** Null where the stack has none. */
  readonly #lossy: RTCDataChannel | null;
  readonly #events: ConnectionEvents;
  #earlyCandidates: Candidate[] | null = [];
  #remoteCandidates = 0;
  #localCandidates = 0;
  /** Our own candidates until they may be told; null from then on. */
  #held: (Candidate | null)[] | null = [];
  #opened = false;
  #told = false;
  #closing: Promise<void> | null = null;
  readonly #channelWaits = new Set<() => void>();

  constructor(pc: RTCPeerConnection, events: ConnectionEvents) {
    this.#pc = pc;
    this.#events = events;
    pc.onicecandidate = (event) => this.#gathered(event.candidate);
    pc.onconnectionstatechange = () => this.#stateChanged();
    // Only the channels agreed on beforehand may exist: another one is a peer that does something else than it says.
    pc.ondatachannel = () => this.#lost("the other side opened a channel that was not agreed", false);
    const channel = pc.createDataChannel(CHANNEL_LABEL, CHANNEL_OPTIONS);
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = CHANNEL_BUFFER / 2;
    channel.onopen = () => this.#channelOpened();
    channel.onmessage = (event: MessageEvent<unknown>) => this.#received(event.data);
    channel.onbufferedamountlow = () => this.#events.bufferedAmountLow();
    channel.onclose = () => {
      this.#channelWaits.forEach((done) => done());
      this.#lost("the other side closed the channel", true);
    };
    this.#channel = channel;
    this.#lossy = this.#makeLossy();
  }

  #makeLossy(): RTCDataChannel | null {
    let channel: RTCDataChannel;
    try {
      channel = this.#pc.createDataChannel(LOSSY_LABEL, LOSSY_OPTIONS);
    } catch {
      return null; // the other side is not told of one, and sends nothing there
    }
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOSSY_BUFFER / 2;
    channel.onbufferedamountlow = () => {
      if (!this.#told) this.#events.bufferedAmountLow();
    };
    channel.onmessage = (event: MessageEvent<unknown>) => {
      // What comes before the other channel is open is lost, as it may be.
      if (!this.#told && this.#opened && event.data instanceof ArrayBuffer) this.#events.lossyReceived(new Uint8Array(event.data));
    };
    return channel;
  }

  get lossy(): boolean {
    return this.#lossy !== null;
  }

  get lossyBufferedAmount(): number {
    return this.#lossy?.bufferedAmount ?? 0;
  }

  get maxMessageSize(): number {
    const size = this.#pc.sctp?.maxMessageSize;
    if (size === Infinity) {
      return Number.MAX_SAFE_INTEGER;
    }
    return typeof size === "number" && size > 0 ? size : DEFAULT_MESSAGE_SIZE;
  }

  get bufferedAmount(): number {
    return this.#channel.bufferedAmount;
  }

  async createOffer(): Promise<string> {
    return this.#stack("making an offer", async () => {
      await this.#pc.setLocalDescription(await this.#pc.createOffer());
      const sdp = this.#localDescription();
      if (isOfLibdatachannel(sdp)) {
        // It starts ICE with an answer before it has kept the fingerprint in it. If the other side could reach us by then, DTLS may be checking
        // the certificate against nothing, and fails. So the other side learns where we are after that.
        return withoutCandidates(sdp);
      }
      this.#release();
      return sdp;
    });
  }

  async acceptOffer(sdp: string): Promise<string> {
    await this.#applyRemote("offer", sdp);
    return this.#stack("answering the offer", async () => {
      await this.#pc.setLocalDescription(await this.#pc.createAnswer());
      this.#release();
      return this.#localDescription();
    });
  }

  async acceptAnswer(sdp: string): Promise<void> {
    await this.#applyRemote("answer", sdp);
    this.#release();
  }

  async addCandidate(candidate: Candidate): Promise<void> {
    if (++this.#remoteCandidates > MAX_CANDIDATES) {
      throw new ProtocolError(`expected at most ${MAX_CANDIDATES} candidates for one connection, got one more`);
    }
    if (this.#earlyCandidates !== null) {
      this.#earlyCandidates.push(candidate);
    } else {
      await this.#addNow(candidate);
    }
  }

  send(data: Uint8Array | string): void {
    try {
      // The overloads of `send` take a string or a view, not either.
      this.#channel.send(data as string);
    } catch (error) {
      throw new ConnectionLost(`the channel took no more: ${String(error)}`);
    }
  }

  sendLossy(data: Uint8Array): void {
    if (this.#lossy?.readyState !== "open") return;
    try {
      this.#lossy.send(data as Uint8Array<ArrayBuffer>);
    } catch {
      // Its buffer is full, or it has just closed: lost, as it may be.
    }
  }

  close(drain: number | null): Promise<void> {
    this.#closing ??= this.#close(drain);
    return this.#closing;
  }

  async path(): Promise<Path | null> {
    const reports = new Map<string, Record<string, unknown>>();
    (await this.#pc.getStats()).forEach((report: Record<string, unknown>, id: string) => reports.set(id, report));
    return pathFromStats(reports);
  }

  async #close(drain: number | null): Promise<void> {
    const channel = this.#channel;
    const isOpen = (): boolean => channel.readyState === "open" && !this.#told;
    if (drain !== null && isOpen()) {
      const end = performance.now() + drain * 1000;
      const left = (): number => Math.max(end - performance.now(), 0);
      await this.#drained(left());
      // What left our buffer may still wait inside the stack, and libdatachannel drops it when the channel is closed. The other side
      // closes the channel when it has read our bye, and by then it has everything.
      await this.#channelEnd(Math.min(left(), LINGER));
      if (isOpen()) {
        channel.close();
        await this.#channelEnd(CLOSE_PATIENCE);
      }
    }
    this.#pc.close();
    this.#tell("closed by this side", true);
  }

  /** Resolves when the channel's buffer is empty, or the channel is gone, or the time has passed. */
  #drained(milliseconds: number): Promise<void> {
    const channel = this.#channel;
    if (channel.bufferedAmount === 0 || milliseconds === 0) {
      return Promise.resolve();
    }
    channel.bufferedAmountLowThreshold = 0;
    return Promise.race([
      new Promise<void>((resolve) => (channel.onbufferedamountlow = () => resolve())),
      this.#channelEnd(milliseconds),
    ]);
  }

  /** Resolves when the channel is closed, or the time has passed. */
  #channelEnd(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#channelWaits.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#channelWaits.add(done);
    });
  }

  async #applyRemote(type: "offer" | "answer", sdp: string): Promise<void> {
    const checked = checkDescription(sdp);
    this.remoteFingerprint = checked.fingerprint;
    await this.#stack(`taking the ${type}`, () => this.#pc.setRemoteDescription({ type, sdp: checked.sdp }));
    const early = this.#earlyCandidates ?? [];
    this.#earlyCandidates = null;
    for (const candidate of early) {
      // One that the stack doesn't understand, of a kind yet to come, must not spoil the description that it came ahead of.
      await this.#addNow(candidate).catch(() => undefined);
    }
  }

  async #addNow(candidate: Candidate): Promise<void> {
    try {
      await this.#pc.addIceCandidate({ candidate: candidate.candidate, sdpMid: candidate.mid });
    } catch (error) {
      if (!this.#told) {
        throw new ProtocolError(`the candidate ${JSON.stringify(candidate.candidate.slice(0, 80))} was refused: ${String(error)}`);
      }
    }
  }

  #localDescription(): string {
    const sdp = this.#pc.localDescription?.sdp;
    if (sdp === undefined) {
      throw new Error("the stack has no local description");
    }
    this.localFingerprint = fingerprintOf(sdp);
    return sdp;
  }

  async #stack<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#told || this.#closing !== null) {
      throw new ConnectionLost(`${what}: the connection is closed`);
    }
    try {
      return await work();
    } catch (error) {
      throw error instanceof ProtocolError ? error : new Unavailable(`${what} failed: ${String(error)}`);
    }
  }

  #gathered(candidate: RTCIceCandidate | null): void {
    if (candidate === null || candidate.candidate === "") {
      this.#tellCandidate(null);
    } else if (isUsefulCandidate(candidate.candidate) && ++this.#localCandidates <= MAX_CANDIDATES) {
      this.#tellCandidate({ candidate: bareCandidate(candidate.candidate), mid: candidate.sdpMid ?? "0" });
    }
  }

  #tellCandidate(candidate: Candidate | null): void {
    if (this.#held !== null) {
      this.#held.push(candidate);
    } else {
      this.#events.localCandidate(candidate);
    }
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const candidate of held) {
      this.#events.localCandidate(candidate);
    }
  }

  #channelOpened(): void {
    if (!this.#told && !this.#opened) {
      this.#opened = true;
      this.#events.channelOpened();
    }
  }

  #received(data: unknown): void {
    if (this.#told) {
      return;
    }
    // A stack may hand over the first message before it says that the channel is open.
    this.#channelOpened();
    if (typeof data === "string") {
      this.#events.messageReceived(data);
    } else if (data instanceof ArrayBuffer) {
      this.#events.messageReceived(new Uint8Array(data));
    } else {
      this.#lost("the stack delivered neither text nor an ArrayBuffer", false);
    }
  }

  #stateChanged(): void {
    // `disconnected` may heal; heartbeats decide how long that may take.
    const state = this.#pc.connectionState;
    if (state === "failed") {
      const reason = this.#opened
        ? "the path to the other side broke"
        : "no path between the two was found; behind strict NATs a TURN server is needed";
      this.#lost(reason, false);
    } else if (state === "closed") {
      this.#lost("the connection was closed", false);
    }
  }

  #lost(reason: string, clean: boolean): void {
    if (this.#closing === null) {
      this.#tell(reason, clean);
      this.#closing = this.#close(null);
    }
  }

  #tell(reason: string, clean: boolean): void {
    if (!this.#told) {
      this.#told = true;
      this.#events.connectionClosed(reason, clean);
    }
  }
}

/** The path that the reports of `getStats` describe, or null while no pair of candidates is in use. */
export function pathFromStats(reports: ReadonlyMap<string, Readonly<Record<string, unknown>>>): Path | null {
  const all = [...reports.values()];
  const transport = all.find((report) => report["type"] === "transport" && report["selectedCandidatePairId"] !== undefined);
  const pairs = all.filter((report) => report["type"] === "candidate-pair");
  // Firefox has `selected` and no transport report; others are left with the pair that was nominated.
  const pair =
    (transport && reports.get(String(transport["selectedCandidatePairId"]))) ??
    pairs.find((report) => report["selected"] === true) ??
    pairs.find((report) => report["nominated"] === true && report["state"] === "succeeded");
  const local = pair && reports.get(String(pair["localCandidateId"]));
  const remote = pair && reports.get(String(pair["remoteCandidateId"]));
  if (pair === undefined || local === undefined || remote === undefined) {
    return null;
  }
  const localType = String(local["candidateType"] ?? "unknown");
  const remoteType = String(remote["candidateType"] ?? "unknown");
  const rtt = pair["currentRoundTripTime"];
  return {
    relayed: localType === "relay" || remoteType === "relay",
    localType,
    remoteType,
    // libdatachannel doesn't say: it has UDP only.
    protocol: String(local["protocol"] ?? "udp").toLowerCase(),
    family: familyOf(String(local["address"] ?? local["ip"] ?? remote["address"] ?? remote["ip"] ?? "")),
    rtt: typeof rtt === "number" ? rtt * 1000 : null,
  };
}

function familyOf(address: string): Path["family"] {
  if (address.includes(":")) {
    return "ipv6";
  }
  return /^[0-9]+(?:\.[0-9]+){3}$/.test(address) ? "ipv4" : "unknown";
}
