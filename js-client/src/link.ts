/**
 * Drives one session over one connection.
 *
 * The session knows what to say and never when; the connection carries bytes and never reads them. The link stands between: it feeds the one
 * with what the other received, has WebCrypto sign and verify where the session asks, keeps its timer, and fills the channel up to
 * `CHANNEL_BUFFER` bytes, so that what is urgent never waits behind more than that.
 */

import * as codes from "./codes.js";
import { NO_STREAMS } from "./core/envelope.js";
import type { LossyReceived, NotificationReceived, ProgressReceived, RemoteInfo, RequestReceived, SessionEvent } from "./core/events.js";
import { LOSSY } from "./core/lossy.js";
import { DEFAULT_CONFIG, Session, type SessionConfig } from "./core/session.js";
import { ConnectionLost, EncodeError, type ErrorData, RtcRpcError } from "./errors.js";
import { fileFrom } from "./file.js";
import { type Identity, randomBytes, verifyWithKey } from "./identity.js";
import { CHANNEL_BUFFER, DRAIN_SECONDS, LOSSY_BUFFER, LOSSY_FRAME, MAX_TOKENS } from "./limits.js";
import { LinkStreams } from "./link-streams.js";
import type { Log } from "./log.js";
import type { OnProgress, Params } from "./proxy.js";
import type { Caller } from "./service/context.js";
import type { Responder } from "./service/dispatch.js";
import { endSources, takeSources } from "./source.js";
import type { RpcStream } from "./stream.js";
import type { Candidate, Connection, ConnectionEvents, IceServer, Transport } from "./transport/base.js";

/** How an answer comes back, exactly once: with an error, or with null and a result, and the streams that stand in that. */
export type OnAnswer = (error: RtcRpcError | null, result?: unknown, streams?: readonly RpcStream[]) => void;

/** A call that waits for its answer. */
interface Waiting {
  readonly onAnswer: OnAnswer;
  readonly onProgress: OnProgress | undefined;
}

/** What serves the requests of the other side (a `Dispatcher`). */
export interface Service {
  /** `streams`: those that stand in the params, as `RpcStream`s. */
  dispatch(from: Responder, received: RequestReceived | NotificationReceived, streams: readonly RpcStream[]): void;
  /** What came where messages may be lost: to be served only if its function is meant for that. */
  dispatchLossy(from: Responder, received: LossyReceived): void;
  cancel(from: Responder, id: RequestReceived["id"]): void;
  linkClosed(from: Responder): void;
}

/** What a link tells its owner. */
export interface LinkEvents {
  /** Both proofs hold; calls may be made. */
  linkReady(link: Link): void;
  /** The link ended; exactly once, also for one that never was ready. */
  linkClosed(link: Link, error: RtcRpcError): void;
  /** A candidate to be told to the other side. */
  localCandidate(link: Link, candidate: Candidate): void;
}

/** What a link needs to know: who we are, where we meet, whom we expect. */
export interface LinkSettings {
  readonly identity: Identity;
  readonly name: string;
  readonly room: string;
  /** The key that the other side must have. */
  readonly expected: string;
  /** The keys known beforehand: they make `trust` say `pinned`. */
  readonly pins: ReadonlySet<string>;
  /** Presented once the other's proof holds (protocol section 6.1). */
  readonly token: string | null;
  readonly session: Partial<SessionConfig>;
  readonly log: Log;
}

/** How far a link has come. */
export type LinkStage = "connecting" | "proving" | "ready" | "closed";

/** One session on one connection. */
export class Link implements ConnectionEvents, Responder {
  stage: LinkStage = "connecting";
  remote: RemoteInfo | null = null;
  caller: Caller | null = null;
  /** The last round trip of a heartbeat, in seconds; null before the first. */
  rtt: number | null = null;
  readonly connection: Connection;
  readonly #settings: LinkSettings;
  readonly #events: LinkEvents;
  readonly #service: Service;
  readonly #calls = new Map<number, Waiting>();
  #session: Session | null = null;
  /** Null without a session. */
  #streams: LinkStreams | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  #flushing = false;
  #processing = false;
  /** Signatures that WebCrypto is at. */
  #crypto = 0;
  /** Why the connection went, while that waits for WebCrypto. */
  #lost: string | null = null;
  #closed: Promise<void> = Promise.resolve();

  constructor(settings: LinkSettings, transport: Transport, iceServers: readonly IceServer[], events: LinkEvents, service: Service) {
    this.#settings = settings;
    this.#events = events;
    this.#service = service;
    this.connection = transport.create(this, iceServers);
  }

  // -- calls ------------------------------------------------------------------------------------------

  /** Sends a request. Returns its id, or null where it failed at once; then `onAnswer` has been told. */
  startCall(method: string, params: Params, timeout: number | undefined, onAnswer: OnAnswer, onProgress?: OnProgress): number | null {
    const session = this.#session;
    if (session === null || this.stage !== "ready") {
      onAnswer(new ConnectionLost(`${method}: the link is ${this.stage}; the call was not sent`, false));
      return null;
    }
    try {
      const seconds = timeout === undefined ? null : timeout / 1000;
      const id = this.#streams!.pack(params, ({ value, streams }) =>
        session.sendRequest(method, value as Params, { timeout: seconds, now: now(), streams }),
      );
      this.#calls.set(id, { onAnswer, onProgress });
      this.#flushSoon();
      return id;
    } catch (error) {
      onAnswer(asError(error));
      return null;
    }
  }

  /** Gives a call up: the other side is told, nobody here is. */
  cancelCall(id: number): void {
    if (this.#calls.delete(id) && this.stage === "ready") {
      this.#session?.sendCancel(id);
      this.#flushSoon();
    }
  }

  /** Sends a notification; throws where it can't be sent. */
  sendNotification(method: string, params: Params): void {
    if (this.#session === null || this.stage !== "ready") {
      throw new ConnectionLost(`${method}: the link is ${this.stage}; the notification was not sent`, false);
    }
    const session = this.#session;
    this.#streams!.pack(params, ({ value, streams }) => session.sendNotification(method, value as Params, undefined, streams));
    this.#flushSoon();
  }

  /** Sends a notification that may be lost, and replaces one of its method that waits; throws where it can't be sent. */
  sendLossy(method: string, params: Params): void {
    if (this.#session === null || this.stage !== "ready") {
      throw new ConnectionLost(`${method}: the link is ${this.stage}; the notification was not sent`, false);
    }
    const plain = takeSources(params, () => {
      throw new EncodeError("a stream can't be sent where messages may be lost; send it without {reliable: false}");
    });
    this.#session.sendLossy(method, plain as Params);
    this.#flushSoon();
  }

  // -- answers (called by the service) ----------------------------------------------------------------

  respond(id: RequestReceived["id"], result: unknown, onStopped?: (error: RtcRpcError) => void): void {
    const session = this.#session;
    if (session === null || this.stage !== "ready") {
      endSources(result, this.#settings.log);
      return;
    }
    try {
      this.#streams!.pack(result, ({ value, streams }) => session.sendResponse(id, value, streams), onStopped);
    } catch (error) {
      endSources(result, this.#settings.log);
      const { code, message } = asError(error);
      // What can't travel is the function's own business, and its caller is told no more than of any other failure in it.
      const isOurs = !(error instanceof EncodeError);
      this.#settings.log.error(`the result of a function can't be sent: ${message}`);
      session.sendError(id, isOurs ? code : codes.INTERNAL_ERROR, isOurs ? message : "internal error", null);
    }
    this.#flushSoon();
  }

  respondError(id: RequestReceived["id"], code: number, message: string, data: ErrorData | null): void {
    if (this.#session === null || this.stage !== "ready") {
      return;
    }
    try {
      this.#session.sendError(id, code, message, data);
    } catch (error) {
      this.#settings.log.error(`the error of a function can't be sent: ${asError(error).message}`);
      this.#session.sendError(id, code, message.slice(0, 256), null);
    }
    this.#flushSoon();
  }

  /** How far a request has come; nothing where nobody wants to know. */
  reportProgress(id: RequestReceived["id"], done: number, total: number | null, message: string | null): void {
    if (this.#session !== null && this.stage === "ready") {
      this.#session.sendProgress(id, done, total, message, now());
      this.#flushSoon();
    }
  }

  // -- the end ----------------------------------------------------------------------------------------

  /** Says bye, lets the channel drain, closes it; resolves when all of it is gone. */
  close(code = 0, reason = ""): Promise<void> {
    if (this.stage !== "closed") {
      const session = this.#session;
      if (session !== null) {
        session.close(code, reason, now());
        // Here and not only where the event is handled: this may be called from there, by a function that closes its own room.
        this.#send(session);
        this.#process();
      }
      this.#end(new ConnectionLost(reason || "closed by this side"), DRAIN_SECONDS);
    }
    return this.#closed;
  }

  #end(error: RtcRpcError, drain: number | null): void {
    if (this.stage === "closed") {
      return;
    }
    this.stage = "closed";
    clearTimeout(this.#timer);
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { onAnswer } of calls) {
      onAnswer(error);
    }
    this.#streams?.end(error);
    this.#service.linkClosed(this);
    this.#closed = this.connection.close(drain).catch((problem: unknown) => {
      this.#settings.log.error("closing a connection failed", problem);
    });
    this.#events.linkClosed(this, error);
  }

  // -- what the connection tells ----------------------------------------------------------------------

  channelOpened(): void {
    const { identity, name, room, expected, session } = this.#settings;
    this.stage = "proving";
    this.#session = new Session({
      peerId: identity.peerId,
      name,
      room,
      config: this.connection.lossy ? { ...session, features: new Set([...(session.features ?? DEFAULT_CONFIG.features), LOSSY]) } : session,
      entropy: randomBytes,
      now: now(),
      pin: expected,
      localFingerprint: this.connection.localFingerprint,
      remoteFingerprint: this.connection.remoteFingerprint,
      maxMessageSize: this.connection.maxMessageSize,
    });
    this.#streams = new LinkStreams(this.#session, this.#settings.log, () => this.#flushSoon(), () => this.#flush());
    this.#flush();
  }

  messageReceived(data: Uint8Array | string): void {
    if (this.#session !== null && this.stage !== "closed") {
      this.#session.receiveData(data, now());
      this.#process();
      this.#flushSoon();
    }
  }

  lossyReceived(data: Uint8Array | string): void {
    if (this.#session !== null && this.stage === "ready") {
      this.#session.receiveLossy(data, now());
      this.#process();
    }
  }

  bufferedAmountLow(): void {
    this.#flush();
  }

  localCandidate(candidate: Candidate | null): void {
    if (candidate !== null && this.stage !== "closed") {
      this.#events.localCandidate(this, candidate);
    }
  }

  connectionClosed(reason: string, _clean: boolean): void {
    if (this.#crypto > 0) {
      // What the other side said last, such as why it refused us, may be held back until its proof has been looked at.
      this.#lost ??= reason;
      return;
    }
    this.#session?.receiveEof(now(), reason);
    this.#process();
    this.#end(new ConnectionLost(reason), null);
  }

  // -- the session ------------------------------------------------------------------------------------

  #process(): void {
    const session = this.#session;
    // A function that is called from here may close the room: its events are for the loop that runs already.
    if (session === null || this.#processing) {
      return;
    }
    this.#processing = true;
    try {
      for (let events = session.eventsReceived(); events.length > 0; events = session.eventsReceived()) {
        for (const event of events) {
          this.#handle(session, event);
        }
      }
    } finally {
      this.#processing = false;
    }
  }

  #handle(session: Session, event: SessionEvent): void {
    switch (event.type) {
      case "ResponseReceived":
        this.#answer(event.id, null, event.result, event.streams);
        break;
      case "ErrorReceived":
      case "CallFailed":
        this.#answer(event.id, event.error);
        break;
      case "RequestReceived":
      case "NotificationReceived":
        if (this.stage === "ready") {
          const { value, streams } = this.#streams!.unpack(event.params, event.streams);
          this.#service.dispatch(this, streams.length === 0 ? event : { ...event, params: value }, streams);
        }
        break;
      case "LossyReceived":
        if (this.stage === "ready") {
          this.#service.dispatchLossy(this, event);
        }
        break;
      case "CancelReceived":
        this.#service.cancel(this, event.id);
        break;
      case "ProgressReceived":
        this.#tellProgress(event);
        break;
      case "StreamItems":
      case "StreamEnded":
      case "StreamWritable":
      case "StreamStopped":
        this.#streams?.handle(event);
        break;
      case "PongReceived":
        this.rtt = event.rtt;
        break;
      case "SignRequired":
        this.#resume(this.#settings.identity.sign(event.payload), (signature) => session.signed(signature));
        break;
      case "VerifyRequired":
        this.#resume(verifyWithKey(event.key, event.payload, event.signature), (holds) => session.verified(holds, now()));
        break;
      case "SessionReady":
        this.#ready(session, event.peer);
        break;
      case "TokenReceived":
        if (this.caller !== null && this.caller.tokens.length < MAX_TOKENS) {
          this.caller = { ...this.caller, tokens: [...this.caller.tokens, event.token] };
        }
        break;
      case "SessionClosed":
        // Our bye, if there is one, is in the session's queue: it goes out before the channel closes. After the other's bye nothing of
        // ours is wanted any more, and the other waits for us to close the channel. Where it can't go out, the reason below still counts.
        this.#send(session);
        this.#end(event.error, event.by === "local" ? DRAIN_SECONDS : 0);
        break;
    }
  }

  #answer(id: number, error: RtcRpcError | null, result?: unknown, ids: readonly number[] = NO_STREAMS): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (this.#streams !== null) {
      const { value, streams } = this.#streams.unpack(result, ids);
      call?.onAnswer(error, streams.length === 0 ? value : fileFrom(value), streams);
    }
  }

  #tellProgress({ id, done, total, message }: ProgressReceived): void {
    try {
      this.#calls.get(id)?.onProgress?.(done, total, message);
    } catch (error) {
      this.#settings.log.error("the function that is told of a call's progress failed", error);
    }
  }

  /** Goes on with the session when WebCrypto is done. */
  #resume<T>(work: Promise<T>, next: (value: T) => void): void {
    this.#crypto += 1;
    work.then(
      (value) => {
        this.#crypto -= 1;
        if (this.stage !== "closed") {
          next(value);
          this.#process();
          this.#flush();
        }
        if (this.#lost !== null) {
          this.connectionClosed(this.#lost, false);
        }
      },
      (error: unknown) => {
        this.#crypto -= 1;
        this.#settings.log.error("WebCrypto failed", error);
        void this.close(codes.HANDSHAKE_FAILED, "this side could not sign or verify");
      },
    );
  }

  #ready(session: Session, remote: RemoteInfo): void {
    const { pins, room, token } = this.#settings;
    this.remote = remote;
    this.stage = "ready";
    this.caller = {
      peerId: remote.peerId,
      name: remote.name,
      trust: remote.peerId !== null && pins.has(remote.peerId) ? "pinned" : "anonymous",
      room,
      tokens: [],
    };
    if (token !== null && remote.level > 0) {
      session.sendToken(token);
    }
    this.#events.linkReady(this);
  }

  // -- sending and time -------------------------------------------------------------------------------

  /**
   * Sends what the session holds, a little later: all calls and answers of one turn share frames. A few microtasks later, so that the functions
   * which wait for the answers of one frame get to make their next calls before it.
   */
  #flushSoon(): void {
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => this.#flush())));
    }
  }

  #flush(): void {
    this.#flushing = false;
    const session = this.#session;
    if (session === null || this.stage === "closed") {
      return;
    }
    this.#process(); // streams that may start
    const error = this.#send(session);
    this.#process(); // and those that have room again
    if (error !== null) {
      this.connectionClosed(error.message, false);
      return;
    }
    this.#setTimer(session);
  }

  /** Hands what there is room for to the channel; the error with which that would take no more, or null. */
  #send(session: Session): RtcRpcError | null {
    try {
      for (;;) {
        const frames = session.dataToSend(CHANNEL_BUFFER - this.connection.bufferedAmount);
        if (frames.length === 0) {
          break;
        }
        for (const frame of frames) {
          this.connection.send(frame);
        }
      }
      // Little at a time: what is in the channel's buffer can't be replaced any more.
      while (session.hasLossyToSend && this.connection.lossyBufferedAmount + LOSSY_FRAME <= LOSSY_BUFFER) {
        const frame = session.nextLossy();
        if (frame === null) {
          break;
        }
        this.connection.sendLossy(frame);
      }
      return null;
    } catch (error) {
      return asError(error);
    }
  }

  #setTimer(session: Session): void {
    const at = session.nextTick();
    // Every frame moves the next heartbeat a little: to wake up early costs less than a new timer for each.
    if (at === null || this.#timerAt <= at) {
      return;
    }
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#tick(), Math.max(at - now(), 0) * 1000);
  }

  #tick(): void {
    this.#timerAt = Infinity;
    if (this.#session !== null && this.stage !== "closed") {
      this.#session.tick(now());
      this.#process();
      this.#flush();
    }
  }
}

/** Seconds on a clock that never goes back. */
function now(): number {
  return performance.now() / 1000;
}

function asError(error: unknown): RtcRpcError {
  return error instanceof RtcRpcError ? error : new RtcRpcError(String(error));
}
