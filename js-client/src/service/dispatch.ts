/** Serves requests: who may call, which function, with which arguments, for how long; and what of its errors the caller is told. */

import * as codes from "../codes.js";
import { NO_STREAMS } from "../core/envelope.js";
import type { LossyReceived, NotificationReceived, RequestReceived } from "../core/events.js";
import { CallCancelled, ConnectionLost, DeadlineExceeded, type ErrorData, type Issue, errorToWire, type RtcRpcError } from "../errors.js";
import { MAX_IN_FLIGHT } from "../limits.js";
import type { Log } from "../log.js";
import { endSources } from "../source.js";
import type { RpcStream } from "../stream.js";
import type { Admit, Caller, Context } from "./context.js";
import { type Method, type Registry, bindArguments } from "./registry.js";

/** Where the answers to one peer's requests go. */
export interface Responder {
  readonly caller: Caller | null;
  /** `onStopped`: called when the other side wants no more of a stream that stands in the result, and when the connection is gone before its end. */
  respond(id: RequestReceived["id"], result: unknown, onStopped?: (error: RtcRpcError) => void): void;
  respondError(id: RequestReceived["id"], code: number, message: string, data: ErrorData | null): void;
  reportProgress(id: RequestReceived["id"], done: number, total: number | null, message: string | null): void;
}

interface Running {
  readonly abort: AbortController;
  /** Those that stand in its arguments. */
  readonly streams: readonly RpcStream[];
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Serving {
  /** The calls that wait for their answer, by request id. */
  readonly open: Map<RequestReceived["id"], Running>;
  /** The functions that run for what came over the lossy channel, by name, and the latest that came meanwhile. */
  readonly lossy: Map<string, LossyReceived | null>;
  /** Functions that run, those included whose caller no longer waits: JavaScript can't stop them. */
  running: number;
}

/** What came of a function: how its caller is told, or what is left to do where nobody waits for it. */
interface Outcome {
  answer(id: RequestReceived["id"]): void;
  drop(): void;
}

const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; `setTimeout` takes a longer one for no wait at all

/** Serves the requests of every peer of a room from one registry. */
export class Dispatcher {
  /** Notifications that were not served. */
  droppedNotifications = 0;
  readonly #serving = new Map<Responder, Serving>();

  constructor(
    readonly registry: Registry,
    private readonly admit: Admit,
    private readonly title: string,
    private readonly log: Log,
  ) {}

  /** Serves a request or a notification, `streams` standing in its params; the answer goes to `from`, once, unless the connection goes first. */
  dispatch(from: Responder, received: RequestReceived | NotificationReceived, streams: readonly RpcStream[] = []): void {
    const id = received.type === "RequestReceived" ? received.id : undefined;
    const serving = this.#servingOf(from);
    const refusal = this.#refusal(from, received.method, serving);
    if (refusal !== null) {
      cancelAll(streams);
      this.#refuse(from, id, refusal.code, refusal.message);
    } else if (received.method === "rpc.discover") {
      cancelAll(streams);
      if (id !== undefined) {
        from.respond(id, this.registry.openrpc(this.title));
      }
    } else {
      this.#call(from, serving, id, received, streams);
    }
  }

  /**
   * Serves a notification of the lossy channel, if its function was exposed with `reliable: false`. While that runs for this caller the latest
   * waits, in the place of one that did: so none runs beside or after a newer one.
   */
  dispatchLossy(from: Responder, received: LossyReceived): void {
    const { method, params, meta } = received;
    const serving = this.#servingOf(from);
    if (serving.lossy.has(method)) {
      serving.lossy.set(method, received);
      return;
    }
    const refusal = this.#refusal(from, method, serving);
    if (refusal !== null || this.registry.method(method)?.reliable !== false) {
      this.#refuse(from, undefined, 0, refusal?.message ?? "it came over the lossy channel, and the function was not exposed with reliable: false");
      return;
    }
    serving.lossy.set(method, null);
    this.#call(from, serving, undefined, { type: "NotificationReceived", method, params, meta, streams: NO_STREAMS }, [], () => {
      const latest = serving.lossy.get(method) ?? null;
      serving.lossy.delete(method);
      if (latest !== null && this.#serving.get(from) === serving) {
        this.dispatchLossy(from, latest);
      }
    });
  }

  /** The caller gave up: its function is told through its signal, and the answer is `cancelled`. */
  cancel(from: Responder, id: RequestReceived["id"]): void {
    this.#stop(from, id, new CallCancelled("the caller cancelled the call"));
  }

  /** Nobody waits for answers on `from` any more. */
  linkClosed(from: Responder): void {
    const serving = this.#serving.get(from);
    this.#serving.delete(from);
    for (const { abort, timer } of serving?.open.values() ?? []) {
      clearTimeout(timer);
      abort.abort(new ConnectionLost("the connection to the caller is gone"));
    }
  }

  #servingOf(from: Responder): Serving {
    let serving = this.#serving.get(from);
    if (serving === undefined) {
      serving = { open: new Map(), lossy: new Map(), running: 0 };
      this.#serving.set(from, serving);
    }
    return serving;
  }

  #refusal(from: Responder, method: string, serving: Serving): { code: number; message: string } | null {
    const { caller } = from;
    if (caller === null || !this.admit(caller)) {
      return caller?.peerId == null
        ? { code: codes.UNAUTHENTICATED, message: "unauthenticated: this peer serves only peers that prove who they are" }
        : { code: codes.PERMISSION_DENIED, message: "permission denied: this peer doesn't serve the caller's key" };
    }
    // Cancelled functions run on and count no longer as in flight; without this, call and cancel in a loop would pile them up.
    if (serving.running >= 2 * MAX_IN_FLIGHT) {
      return { code: codes.RESOURCE_EXHAUSTED, message: `resource exhausted: ${serving.running} functions run for this caller` };
    }
    if (method !== "rpc.discover" && this.registry.method(method) === undefined) {
      return { code: codes.METHOD_NOT_FOUND, message: "method not found" };
    }
    return null;
  }

  #call(
    from: Responder,
    serving: Serving,
    id: RequestReceived["id"] | undefined,
    received: RequestReceived | NotificationReceived,
    streams: readonly RpcStream[],
    onEnd: () => void = () => undefined,
  ): void {
    const method = this.registry.method(received.method);
    if (method === undefined) {
      return;
    }
    const issues: Issue[] = [];
    const args = bindArguments(method, received.params, issues);
    if (issues.length > 0) {
      const first = issues[0];
      cancelAll(streams);
      const message = `${method.name}: ${placeOf(first?.path ?? [])}expected ${first?.expected}, got ${first?.got}`;
      this.#refuse(from, id, codes.INVALID_PARAMS, message, issues);
      onEnd();
      return;
    }
    const running: Running = { abort: new AbortController(), streams, timer: undefined };
    if (id !== undefined) {
      serving.open.set(id, running);
      const timeout = received.meta["timeout"];
      if (typeof timeout === "number" && timeout <= LONGEST_TIMER) {
        const error = new DeadlineExceeded(`deadline exceeded: the ${timeout} ms of the call passed at the callee`);
        running.timer = setTimeout(() => this.#stop(from, id, error), Math.max(timeout, 0));
      }
    }
    serving.running += 1;
    void this.#run(from, method, args, id, running).then((outcome) => {
      serving.running -= 1;
      const isAwaited = id !== undefined && serving.open.get(id) === running;
      if (isAwaited) {
        serving.open.delete(id);
        clearTimeout(running.timer);
      }
      if (isAwaited && this.#serving.get(from) === serving) {
        outcome.answer(id);
      } else {
        outcome.drop();
      }
      onEnd();
    });
  }

  /** Runs the function to its end. Never rejects. */
  async #run(from: Responder, method: Method, args: unknown[], id: RequestReceived["id"] | undefined, running: Running): Promise<Outcome> {
    const { abort, streams } = running;
    try {
      if (method.contextAt !== null && from.caller !== null) {
        args.push(contextOf(from, from.caller, method.name, id, abort.signal));
      }
      const result = (await method.handler.apply(undefined, args)) ?? null;
      return {
        answer: (request) => from.respond(request, result, (error) => abort.abort(error)),
        drop: () => endSources(result, this.log),
      };
    } catch (error) {
      // Nobody reads them now. (After a good end somebody may: streams live by themselves.)
      cancelAll(streams);
      const { code, message, data } = errorToWire(error);
      if (code === codes.INTERNAL_ERROR && !running.abort.signal.aborted) {
        this.log.error(`the function ${JSON.stringify(method.name)} failed; the caller is told "internal error"`, error);
      }
      return { answer: (request) => from.respondError(request, code, message, data), drop: () => undefined };
    }
  }

  #stop(from: Responder, id: RequestReceived["id"], error: CallCancelled | DeadlineExceeded): void {
    const open = this.#serving.get(from)?.open;
    const running = open?.get(id);
    if (running !== undefined) {
      open?.delete(id);
      clearTimeout(running.timer);
      running.abort.abort(error);
      cancelAll(running.streams);
      from.respondError(id, error.code, error.message, null);
    }
  }

  #refuse(from: Responder, id: RequestReceived["id"] | undefined, code: number, message: string, issues?: Issue[]): void {
    if (id === undefined) {
      this.droppedNotifications += 1;
      this.log.debug(`a notification was not served: ${message}`);
      return;
    }
    from.respondError(id, code, message, issues === undefined ? { ran: false } : { ran: false, issues });
  }
}

function cancelAll(streams: readonly RpcStream[]): void {
  for (const stream of streams) {
    stream.cancel();
  }
}

function contextOf(from: Responder, caller: Caller, method: string, id: RequestReceived["id"] | undefined, signal: AbortSignal): Context {
  return Object.freeze({
    caller,
    method,
    signal,
    progress: (done: number, total: number | null = null, message: string | null = null) => {
      if (!Number.isFinite(done) || (total !== null && !Number.isFinite(total))) {
        throw new TypeError(`progress: expected done and total to be finite numbers, got ${String(done)} and ${String(total)}`);
      }
      if (id !== undefined) {
        from.reportProgress(id, done, total, message === null ? null : String(message));
      }
    },
  });
}

/** A path as one would write it: `boxes[2].width: `. */
function placeOf(path: Issue["path"]): string {
  const steps = typeof path === "string" ? [path] : path;
  const text = steps.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
  return text === "" ? "" : `${text}: `;
}
