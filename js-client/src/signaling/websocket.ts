/** Signaling over a WebSocket to a bootstrap (protocol section 9): joins, stays joined, carries signals. */

import { b64urlEncode } from "../core/identity.js";
import { RtcRpcError, SignalingError } from "../errors.js";
import { type Identity, verifySignature } from "../identity.js";
import { HANDSHAKE_SECONDS, HEARTBEAT_MILLIS, HEARTBEAT_MISSES, SIGNALING_MESSAGE } from "../limits.js";
import type { Log } from "../log.js";
import type { Joined, Member, SignalPayload, Signaling, SignalingEvents, SignalingState } from "./base.js";
import { member, objectField } from "./fields.js";
import * as messages from "./messages.js";
import { SeenSignals, encodePayload, parsePayload, parseSignal, signalParams, signalPayload } from "./signals.js";

/** The part of a WebSocket that is used; a browser's own and that of the package `ws` both have it. */
export interface WebSocketLike {
  readonly protocol: string;
  /* eslint-disable @typescript-eslint/no-explicit-any */
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  /* eslint-enable @typescript-eslint/no-explicit-any */
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** The class that makes WebSockets. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** What a `WebSocketSignaling` needs to know. `url` ends in `/room/<room>`. */
export interface WebSocketSignalingOptions {
  readonly url: string;
  readonly identity: Identity;
  readonly name: string;
  readonly events: SignalingEvents;
  readonly log: Log;
  readonly token?: string | undefined;
  readonly WebSocket?: WebSocketClass | undefined;
  /** Milliseconds before the first new attempt after a loss, and at most between attempts. */
  readonly backoff?: { readonly first: number; readonly most: number };
}

const JOIN_ID = 1;
const MAX_WAITING_TEXTS = 64; // signals kept while we are between two connections
const MAX_INBOX = 1024; // messages waiting for a signature to be verified; an honest bootstrap never comes near it
const CLOSE_GOING = 1000;
const CLOSE_TIMEOUT = 4408;

/** One membership of one room, over as many WebSockets as it takes. */
export class WebSocketSignaling implements Signaling {
  readonly #options: WebSocketSignalingOptions;
  readonly #WebSocket: WebSocketClass;
  readonly #authority: string;
  readonly #room: string;
  readonly #seen = new SeenSignals();
  readonly #waiting: string[] = [];
  #members = new Map<string, Member>();
  #state: SignalingState = "connecting";
  #socket: WebSocketLike | null = null;
  #first: { resolve: (joined: Joined) => void; reject: (error: Error) => void } | null = null;
  #inbox: Promise<void> = Promise.resolve();
  #inboxLength = 0;
  #outbox: Promise<void> = Promise.resolve();
  #failure: RtcRpcError | null = null;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #heard = false;
  #pings = 0;
  #missed = 0;
  readonly #online = (): void => this.#retryNow();

  /** Throws `SignalingError` for a URL that names no room, or where there is no WebSocket. */
  constructor(options: WebSocketSignalingOptions) {
    const found = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket;
    if (found === undefined) {
      throw new SignalingError("expected a WebSocket: this runtime has none; pass the one of a package, such as ws");
    }
    this.#options = options;
    this.#WebSocket = found;
    this.#authority = messages.authorityOf(options.url);
    this.#room = messages.roomOf(options.url);
  }

  join(): Promise<Joined> {
    if (this.#first !== null || this.#state !== "connecting") {
      throw new SignalingError("join was called before; make another WebSocketSignaling");
    }
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject };
      this.#options.events.signalingState("connecting", "");
      (globalThis as Partial<EventTarget>).addEventListener?.("online", this.#online);
      this.#connect();
    });
  }

  sendSignal(to: string, attempt: string, payload: SignalPayload): void {
    if (this.#state === "closed") {
      throw new SignalingError("the signaling is closed; join the room again");
    }
    const sender = this.#options.identity.peerId;
    const unsigned = { to, sender, attempt, payload: encodePayload(payload) };
    // One after the other, so that signing never lets a candidate overtake its description.
    this.#outbox = this.#outbox.then(async () => {
      const signature = await this.#options.identity.sign(signalPayload(this.#room, unsigned));
      const text = messages.encodeNotification("rpc.signal", signalParams({ ...unsigned, signature }));
      if (text.length > SIGNALING_MESSAGE) {
        this.#options.log.warn(`a signal of ${text.length} characters was not sent: at most ${SIGNALING_MESSAGE} are taken`);
      } else {
        this.#sendOrKeep(text);
      }
    });
    this.#outbox = this.#outbox.catch((error: unknown) => this.#options.log.error("a signal could not be signed", error));
  }

  close(): void {
    if (this.#state === "closed") {
      return;
    }
    if (this.#state === "joined") {
      this.#socket?.send(messages.encodeNotification("rpc.leave", {}));
    }
    this.#finish("", new SignalingError("the room was closed on this side before it was joined"));
  }

  // -- one connection ---------------------------------------------------------------------------------

  #connect(): void {
    let socket: WebSocketLike;
    try {
      socket = new this.#WebSocket(this.#options.url, [messages.SUBPROTOCOL]);
    } catch (error) {
      this.#lost(0, String(error));
      return;
    }
    let problem = "";
    this.#socket = socket;
    socket.onerror = (event: { message?: unknown } | null) => {
      problem = typeof event?.message === "string" ? event.message : "";
    };
    socket.onclose = (event: { code?: number; reason?: unknown } | null) => {
      if (this.#socket === socket) {
        const reason = typeof event?.reason === "string" ? event.reason : "";
        // What came before the close is still being read: an error answer says more than the close.
        this.#enqueue(socket, () => this.#lost(event?.code ?? 0, reason || problem));
      }
    };
    socket.onmessage = (event: { data?: unknown }) => this.#enqueue(socket, () => this.#received(socket, event.data));
    this.#deadline = setTimeout(() => {
      this.#drop(socket, CLOSE_TIMEOUT, `no answer to the join within ${HANDSHAKE_SECONDS} s`);
    }, HANDSHAKE_SECONDS * 1000);
  }

  #enqueue(socket: WebSocketLike, work: () => void | Promise<void>): void {
    this.#heard = true;
    if (++this.#inboxLength > MAX_INBOX) {
      this.#inboxLength -= 1;
      this.#drop(socket, messages.CLOSE_REFUSED, "the bootstrap sends faster than signatures can be verified");
      return;
    }
    this.#inbox = this.#inbox.then(async () => {
      this.#inboxLength -= 1;
      if (this.#socket !== socket) {
        return;
      }
      try {
        await work();
      } catch (error) {
        this.#drop(socket, messages.CLOSE_REFUSED, error instanceof Error ? error.message : String(error));
      }
    });
  }

  async #received(socket: WebSocketLike, data: unknown): Promise<void> {
    if (typeof data !== "string") {
      throw new SignalingError("the bootstrap sent something other than text");
    }
    const message = messages.decodeMessage(data);
    if (message.type === "notification") {
      await this.#notified(socket, message.method, message.params);
    } else if (message.type === "response" && message.id === JOIN_ID && this.#state !== "joined") {
      this.#joined(messages.parseJoined(message.result, this.#options.identity.peerId));
    } else if (message.type === "error") {
      if (message.id === JOIN_ID && this.#state !== "joined") {
        this.#failure = new SignalingError(`the bootstrap refused the join: ${message.message}`, message.code);
        socket.close(CLOSE_GOING);
        this.#lost(0, message.message);
      } else {
        this.#options.log.warn(`the bootstrap answered with an error: ${message.message}`);
      }
    }
  }

  async #notified(socket: WebSocketLike, method: string, params: unknown): Promise<void> {
    const { events, identity, name, token } = this.#options;
    if (method === "rpc.ping") {
      socket.send(messages.encodeNotification("rpc.pong", { n: member(objectField(params, "params"), "n") }));
    } else if (method === "rpc.challenge" && this.#state !== "joined") {
      if (socket.protocol !== messages.SUBPROTOCOL) {
        throw new SignalingError(`expected the subprotocol ${messages.SUBPROTOCOL}, got ${JSON.stringify(socket.protocol)}`);
      }
      const nonce = messages.parseChallenge(params);
      const proof = await identity.sign(messages.joinPayload(nonce, this.#room, this.#authority));
      socket.send(
        messages.encodeRequest(JOIN_ID, "rpc.join", {
          versions: [1],
          room: this.#room,
          peer: identity.peerId,
          name,
          proof: b64urlEncode(proof),
          ...(token === undefined ? {} : { token }),
        }),
      );
    } else if (this.#state !== "joined") {
      this.#options.log.debug(`ignored ${method}: it came before the join was answered`);
    } else if (method === "rpc.joined") {
      const joined = messages.parseMember(params);
      if (joined.peerId !== identity.peerId) {
        this.#members.set(joined.peerId, joined);
        events.peerJoined(joined);
      }
    } else if (method === "rpc.left") {
      const peerId = messages.parsePeer(params);
      if (this.#members.delete(peerId)) {
        events.peerLeft(peerId);
      }
    } else if (method === "rpc.signal") {
      await this.#signalReceived(params);
    }
  }

  async #signalReceived(params: unknown): Promise<void> {
    const { events, identity, log } = this.#options;
    let signal, payload;
    try {
      signal = parseSignal(params);
      payload = parsePayload(signal.payload);
    } catch (error) {
      // Another peer's doing, not the bootstrap's: it costs that peer its signal and nobody the connection.
      log.warn(`a signal was dropped: ${String(error)}`);
      return;
    }
    if (signal.to !== identity.peerId || signal.sender === identity.peerId || this.#seen.isKnown(signal, payload.kind)) {
      log.debug(`a signal of ${signal.sender} was dropped: not for us, or seen before`);
    } else if (!(await verifySignature(signal.sender, signalPayload(this.#room, signal), signal.signature))) {
      log.warn(`a signal that claims to be of ${signal.sender} was dropped: its signature does not verify`);
    } else {
      this.#seen.record(signal, payload.kind);
      events.signalReceived({ sender: signal.sender, attempt: signal.attempt, payload });
    }
  }

  #joined(joined: Joined): void {
    const { events } = this.#options;
    const before = this.#members;
    const first = this.#first;
    this.#members = new Map(joined.members.map((each) => [each.peerId, each]));
    this.#attempts = 0;
    this.#first = null;
    this.#failure = null;
    clearTimeout(this.#deadline);
    this.#startHeartbeat();
    this.#setState("joined", "");
    events.joined(joined);
    if (first !== null) {
      first.resolve(joined);
    } else {
      for (const peerId of before.keys()) {
        if (!this.#members.has(peerId)) {
          events.peerLeft(peerId);
        }
      }
      for (const each of joined.members) {
        if (before.get(each.peerId)?.name !== each.name) {
          events.peerJoined(each);
        }
      }
    }
    for (const text of this.#waiting.splice(0)) {
      this.#sendOrKeep(text);
    }
  }

  #sendOrKeep(text: string): void {
    if (this.#state === "joined" && this.#socket !== null) {
      this.#socket.send(text);
    } else if (this.#state !== "closed" && this.#waiting.length < MAX_WAITING_TEXTS) {
      this.#waiting.push(text);
    }
  }

  // -- losses and new attempts ------------------------------------------------------------------------

  #drop(socket: WebSocketLike, code: number, reason: string): void {
    if (this.#socket === socket) {
      socket.close(CLOSE_GOING, reason.slice(0, 40).replace(/[^ -~]/g, "?"));
      this.#lost(code, reason);
    }
  }

  #lost(code: number, reason: string): void {
    this.#socket = null;
    clearTimeout(this.#deadline);
    clearInterval(this.#heartbeat);
    if (this.#state === "closed") {
      return;
    }
    const { url } = this.#options;
    if (code === messages.CLOSE_REPLACED) {
      const why = "the same peer id joined this room from somewhere else; use another identity there";
      this.#finish(why, new SignalingError(why));
      return;
    }
    const why = reason || `the connection to the bootstrap closed with code ${code}`;
    if (this.#first !== null) {
      const shown = `no way into the room through ${url}: ${why}; is the bootstrap running and reachable from here?`;
      this.#finish(why, this.#failure ?? new SignalingError(shown));
      return;
    }
    this.#setState("reconnecting", why);
    const { first, most } = this.#options.backoff ?? { first: 250, most: 15000 };
    // Half of the wait is by chance, so that the peers of a bootstrap that restarts don't come back all at once.
    const wait = Math.min(most, first * 2 ** this.#attempts++) * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #retryNow(): void {
    if (this.#state === "reconnecting" && this.#socket === null) {
      clearTimeout(this.#retry);
      this.#connect();
    }
  }

  #startHeartbeat(): void {
    clearInterval(this.#heartbeat);
    this.#heard = true;
    this.#missed = 0;
    this.#heartbeat = setInterval(() => {
      const socket = this.#socket;
      if (this.#heard || socket === null) {
        this.#heard = false;
        this.#missed = 0;
      } else if (this.#missed >= HEARTBEAT_MISSES) {
        this.#drop(socket, 0, `the bootstrap answered none of ${HEARTBEAT_MISSES} pings`);
      } else {
        this.#missed += 1;
        socket.send(messages.encodeNotification("rpc.ping", { n: ++this.#pings }));
      }
    }, HEARTBEAT_MILLIS);
  }

  #finish(reason: string, error: RtcRpcError): void {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    clearInterval(this.#heartbeat);
    (globalThis as Partial<EventTarget>).removeEventListener?.("online", this.#online);
    this.#waiting.length = 0;
    socket?.close(CLOSE_GOING);
    this.#setState("closed", reason);
    this.#first?.reject(error);
    this.#first = null;
  }

  #setState(state: SignalingState, reason: string): void {
    if (this.#state !== state) {
      this.#state = state;
      this.#options.events.signalingState(state, reason);
    }
  }
}
