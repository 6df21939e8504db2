/** The other end, as a user holds it: `remote.call.add(1, 2)`. */

import { CallCancelled, DeadlineExceeded, RtcRpcError } from "../errors.js";
import { DIAL_SECONDS } from "../limits.js";
import type { Link } from "../link.js";
import { type CallNamespace, type CallOptions, CallPromise, type Invoker, type NotifyNamespace, type NotifyOptions, type Params, callNamespace, notifyNamespace } from "../proxy.js";
import type { Trust } from "../service/context.js";
import type { RpcStream } from "../stream.js";
import type { Path } from "../transport/base.js";
import type { RoomDriver } from "./driver.js";
import type { PeerState } from "./membership.js";

const DISCOVER_TIMEOUT = 10_000;
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; `setTimeout` takes a longer one for no wait at all

/** A peer of the room. It stays the same object while links come and go; a call dials where there is no link. */
export class RemotePeer implements Invoker {
  /** Its public key: 43 characters. Proved, once a link was up. */
  readonly peerId: string;
  /** What it calls itself; proves nothing. */
  name: string;
  state: PeerState = "new";
  /** Why it is in this state; a sentence, or empty. */
  reason = "";
  /** Its functions: `await remote.call.add(1, 2)`. */
  readonly call: CallNamespace;
  /** The same without answers. */
  readonly notify: NotifyNamespace;
  readonly #driver: RoomDriver;

  /** Made by `Room` only. */
  constructor(peerId: string, name: string, driver: RoomDriver) {
    this.peerId = peerId;
    this.name = name;
    this.#driver = driver;
    this.call = callNamespace(this);
    this.notify = notifyNamespace(this);
  }

  /** `pinned`: its key was known beforehand. `anonymous`: only its key is known, not whose it is. */
  get trust(): Trust {
    return this.#link?.caller?.trust ?? "anonymous";
  }

  /** The last measured round trip of a heartbeat, in milliseconds; null before the first. */
  get rtt(): number | null {
    const rtt = this.#link?.rtt ?? null;
    return rtt === null ? null : rtt * 1000;
  }

  /** The way the packets take now (direct or relayed, candidate types); null without a link. */
  async path(): Promise<Path | null> {
    return (await this.#link?.connection.path()) ?? null;
  }

  /** What we may call there: an OpenRPC 1.3 document (protocol section 7). */
  async discover(options: CallOptions = {}): Promise<{ readonly [key: string]: unknown }> {
    const timeout = options.timeout ?? DISCOVER_TIMEOUT;
    return (await this.invoke("rpc.discover", [], { ...options, timeout })) as { readonly [key: string]: unknown };
  }

  /**
   * Calls `method` with params as a list (by position) or an object (by name).
   *
   * Rejects with a `RemoteError` that the other side answered; `DeadlineExceeded` when `timeout` milliseconds passed first; `CallCancelled`
   * when `signal` was aborted, whose reason is its `cause`; `ConnectionLost` when the link went, whose `ran` is false if the call certainly
   * did not run; `Unavailable` where there was no link and none could be made; `EncodeError` or `TooLarge` where an argument can't travel;
   * `ResourceExhausted` where it is one stream too many.
   */
  invoke(method: string, params: Params, options: CallOptions = {}): CallPromise<unknown> {
    return CallPromise.begin(method, (resolve, reject) => {
      const { timeout, signal } = options;
      if (timeout !== undefined && !(timeout > 0)) {
        reject(new RangeError(`timeout: expected a number of milliseconds above 0, got ${timeout}`));
        return () => undefined;
      }
      const invocation = new Invocation(method, params, options, { resolve, reject });
      if (signal?.aborted === true) {
        reject(cancelled(method, signal.reason, false));
      } else if (this.#link !== null) {
        invocation.start(this.#link, timeout);
      } else {
        this.#connectFor(invocation, timeout);
      }
      return (reason) => invocation.cancel(reason);
    });
  }

  /** Sends a notification; resolves when it is in the link's queue. Rejects as `invoke` does where it can't be sent. */
  async sendNotification(method: string, params: Params, { reliable = true }: NotifyOptions = {}): Promise<void> {
    const link = this.#link ?? (await this.#driver.connect(this.peerId));
    if (reliable) {
      link.sendNotification(method, params);
    } else {
      link.sendLossy(method, params);
    }
  }

  get #link(): Link | null {
    return this.#driver.linkTo(this.peerId);
  }

  /** Starts a call when there is a link; gives up when its time has passed or the caller no longer wants it. */
  #connectFor(invocation: Invocation, timeout: number | undefined): void {
    const started = performance.now();
    if (timeout !== undefined && timeout < DIAL_SECONDS * 1000 && timeout <= LONGEST_TIMER) {
      const message = `${invocation.method}: the ${timeout} ms of the call passed before there was a link to ${this.name}`;
      const timer = setTimeout(() => invocation.fail(new DeadlineExceeded(message, false)), timeout);
      invocation.whenStarted(() => clearTimeout(timer));
    }
    this.#driver.connect(this.peerId).then(
      (link) => invocation.start(link, timeout === undefined ? undefined : Math.max(timeout - (performance.now() - started), 1)),
      (error: unknown) => invocation.fail(error instanceof Error ? error : new RtcRpcError(String(error))),
    );
  }
}

/** What settles the promise of a call. */
interface Settle {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** One call, from before there is a link to the end of the streams in its result. */
class Invocation {
  #stage: "waiting" | "started" | "over" = "waiting";
  #link: Link | null = null;
  #id: number | null = null;
  /** Weak: a program that lost a stream must not be kept from losing it. */
  #streams: readonly WeakRef<RpcStream>[] = [];
  #wasStarted: (() => void) | null = null;
  /** Null once it is settled: they hold the promise, and that holds the streams. */
  #settle: Settle | null;
  #aborted: (() => void) | null = null;

  constructor(
    readonly method: string,
    readonly params: Params,
    readonly options: CallOptions,
    settle: Settle,
  ) {
    this.#settle = settle;
    const { signal } = options;
    if (signal !== undefined) {
      this.#aborted = () => this.cancel(signal.reason);
      signal.addEventListener("abort", this.#aborted, { once: true });
    }
  }

  /** Has `then` called when it has started, or never will. */
  whenStarted(then: () => void): void {
    this.#wasStarted = then;
  }

  start(link: Link, timeout: number | undefined): void {
    if (this.#stage !== "waiting") {
      return;
    }
    this.#stage = "started";
    this.#leaveStart();
    this.#link = link;
    this.#id = link.startCall(
      this.method,
      this.params,
      timeout,
      (error, result, streams = []) => {
        this.#stage = "over";
        if (error === null) {
          this.#watch(streams);
          this.#settle?.resolve(result);
          this.#settle = null;
        } else {
          this.#reject(error);
        }
      },
      this.options.progress,
    );
  }

  fail(error: Error): void {
    if (this.#stage === "waiting") {
      this.#stage = "over";
      this.#leaveStart();
      this.#reject(error);
    }
  }

  cancel(reason: unknown): void {
    const error = cancelled(this.method, reason, this.#stage === "waiting" ? false : null);
    if (this.#stage === "over") {
      this.#streams.forEach((stream) => stream.deref()?.cancel(reason === undefined ? null : error));
      return;
    }
    if (this.#id !== null) {
      this.#link?.cancelCall(this.#id);
    }
    this.#stage = "over";
    this.#leaveStart();
    this.#reject(error);
  }

  #reject(error: unknown): void {
    this.#unlisten();
    this.#settle?.reject(error);
    this.#settle = null;
  }

  /** The signal of the call is that of the streams in its result too, while they are open. */
  #watch(streams: readonly RpcStream[]): void {
    let open = streams.length;
    if (open === 0) {
      this.#unlisten();
      return;
    }
    this.#streams = streams.map((stream) => new WeakRef(stream));
    for (const stream of streams) {
      stream.whenClosed(() => {
        open -= 1;
        if (open === 0) {
          this.#unlisten();
        }
      });
    }
  }

  #unlisten(): void {
    if (this.#aborted !== null) {
      this.options.signal?.removeEventListener("abort", this.#aborted);
    }
  }

  #leaveStart(): void {
    this.#wasStarted?.();
    this.#wasStarted = null;
  }
}

function cancelled(method: string, reason: unknown, ran: false | null): CallCancelled {
  const error = new CallCancelled(`${method}: the call was cancelled`, ran);
  error.cause = reason;
  return error;
}
