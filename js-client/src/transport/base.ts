/**
 * What every way of carrying frames between two peers has in common: a connection with one ordered, reliable channel, perhaps a lossy one
 * beside it, and what it tells its owner. A connection carries bytes and never reads them.
 */

/** A network address that a peer may be reached at (RFC 8839 section 5.1): `candidate:…`, and the media section it is for. */
export interface Candidate {
  readonly candidate: string;
  readonly mid: string;
}

/** A STUN or TURN server, in the form that `RTCPeerConnection` takes. */
export interface IceServer {
  readonly urls: string | readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** The way that packets take between the two peers. `rtt` is in milliseconds; null where the stack doesn't measure it. */
export interface Path {
  readonly relayed: boolean;
  readonly localType: string;
  readonly remoteType: string;
  readonly protocol: string;
  readonly family: "ipv4" | "ipv6" | "unknown";
  readonly rtt: number | null;
}

/** What the owner of a connection hands in. None of these may throw. */
export interface ConnectionEvents {
  /** The channel can carry frames now; both fingerprints are known. */
  channelOpened(): void;
  /** A frame came, in the order it was sent: text frames as a string. */
  messageReceived(data: Uint8Array | string): void;
  /** A frame of the lossy channel came: in any order, perhaps twice. */
  lossyReceived(data: Uint8Array | string): void;
  /** The own buffer of either channel fell to its low mark: there is room for more. */
  bufferedAmountLow(): void;
  /** A candidate was gathered and must reach the other side; null: no more will come. */
  localCandidate(candidate: Candidate | null): void;
  /** The connection is gone; told exactly once. `clean`: it was closed on purpose, by either side. */
  connectionClosed(reason: string, clean: boolean): void;
}

/** One connection to one peer. It is used for one offer and its answer, never for a second. */
export interface Connection {
  /** SHA-256 of the own DTLS certificate, 32 bytes; valid once the channel has opened. */
  readonly localFingerprint: Uint8Array;
  /** SHA-256 of the other's certificate, 32 bytes, the one that DTLS checks; valid once the channel has opened. */
  readonly remoteFingerprint: Uint8Array;
  /** Bytes that one frame may have on this connection; valid once the channel has opened. */
  readonly maxMessageSize: number;
  /** Bytes in the channel's own buffer. */
  readonly bufferedAmount: number;
  /** Whether this side has a lossy channel (the other may have none: then all of it is lost); valid once the channel has opened. */
  readonly lossy: boolean;
  /** Bytes in the lossy channel's own buffer. */
  readonly lossyBufferedAmount: number;
  /** The description of an offer. Candidates may be in it, and follow through `localCandidate`. */
  createOffer(): Promise<string>;
  /** Takes the other side's offer; the answer's description. `ProtocolError` for a description that must be refused. */
  acceptOffer(sdp: string): Promise<string>;
  /** Takes the answer to our offer. `ProtocolError` for a description that must be refused. */
  acceptAnswer(sdp: string): Promise<void>;
  /** Takes a candidate of the other side; kept, within `MAX_CANDIDATES`, until its description has been taken. */
  addCandidate(candidate: Candidate): Promise<void>;
  /** Hands a frame to the channel. `ConnectionLost` when the channel is not open. */
  send(data: Uint8Array | string): void;
  /** Hands a frame, of at most `LOSSY_FRAME` bytes, to the lossy channel; it is lost where that is not open. */
  sendLossy(data: Uint8Array): void;
  /**
   * Closes the channel and then the connection. What was sent before gets `drain` seconds to leave; with 0 the channel is closed properly but
   * nothing is waited for, with null the connection ends as it stands.
   * Resolves when all of it is gone. May be called again.
   */
  close(drain: number | null): Promise<void>;
  /** The way the packets take now; null while there is none. */
  path(): Promise<Path | null>;
}

/** A way of making connections. */
export interface Transport {
  readonly name: string;
  create(events: ConnectionEvents, iceServers: readonly IceServer[]): Connection;
}
