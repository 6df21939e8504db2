/** The other end, as a user holds it: `remote.call.add(1, 2)`. */

import { CallCancelled, DeadlineExceeded, RtcRpcError } from "../errors.js";
import { DIAL_SECONDS } from "../limits.js";
import type { Link } from "../link.js";
import { type CallNamespace, type CallOptions, type Invoker, type NotifyMethod, type Params, callNamespace, notifyNamespace } from "../proxy.js";
import type { Trust } from "../service/context.js";
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
  readonly notify: { readonly [name: string]: NotifyMethod };
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
   * did not run; `Unavailable` where there was no link and none could be made; `EncodeError` or `TooLarge` where an argument can't travel.
   */
  async invoke(method: string, params: Params, options: CallOptions = {}): Promise<unknown> {
    const { timeout, signal } = options;
    if (timeout !== undefined && !(timeout > 0)) {
      throw new RangeError(`timeout: expected a number of milliseconds above 0, got ${timeout}`);
    }
    if (signal?.aborted === true) {
      throw cancelled(method, signal, false);
    }
    const link = this.#link;
    if (link !== null) {
      return this.#invokeOn(link, method, params, timeout, signal);
    }
    const started = performance.now();
    const dialed = await this.#connected(method, timeout, signal);
    const left = timeout === undefined ? undefined : Math.max(timeout - (performance.now() - started), 1);
    return this.#invokeOn(dialed, method, params, left, signal);
  }

  /** Sends a notification; resolves when it is in the link's queue. Rejects as `invoke` does where it can't be sent. */
  async sendNotification(method: string, params: Params): Promise<void> {
    (this.#link ?? (await this.#driver.connect(this.peerId))).sendNotification(method, params);
  }

  get #link(): Link | null {
    return this.#driver.linkTo(this.peerId);
  }

  #invokeOn(link: Link, method: string, params: Params, timeout: number | undefined, signal: AbortSignal | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let aborted: (() => void) | null = null;
      const id = link.startCall(method, params, timeout, (error, result) => {
        if (aborted !== null) {
          signal?.removeEventListener("abort", aborted);
        }
        if (error === null) {
          resolve(result);
        } else {
          reject(error);
        }
      });
      if (id !== null && signal !== undefined) {
        aborted = () => {
          link.cancelCall(id);
          reject(cancelled(method, signal, null));
        };
        signal.addEventListener("abort", aborted, { once: true });
      }
    });
  }

  /** A link, dialed; gives up when the time of the call has passed or the caller no longer wants it. */
  #connected(method: string, timeout: number | undefined, signal: AbortSignal | undefined): Promise<Link> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const aborted = (): void => settle(() => reject(cancelled(method, signal, false)));
      const settle = (take: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
        take();
      };
      if (timeout !== undefined && timeout < DIAL_SECONDS * 1000 && timeout <= LONGEST_TIMER) {
        const error = new DeadlineExceeded(`${method}: the ${timeout} ms of the call passed before there was a link to ${this.name}`, false);
        timer = setTimeout(() => settle(() => reject(error)), timeout);
      }
      signal?.addEventListener("abort", aborted, { once: true });
      this.#driver.connect(this.peerId).then(
        (link) => settle(() => resolve(link)),
        (error: unknown) => settle(() => reject(error instanceof Error ? error : new RtcRpcError(String(error)))),
      );
    });
  }
}

function cancelled(method: string, signal: AbortSignal | undefined, ran: false | null): CallCancelled {
  const error = new CallCancelled(`${method}: the call was cancelled`, ran);
  error.cause = signal?.reason as unknown;
  return error;
}
