/** Serves requests: who may call, which function, with which arguments, for how long; and what of its errors the caller is told. */

import * as codes from "../codes.js";
import type { NotificationReceived, RequestReceived } from "../core/events.js";
import { CallCancelled, ConnectionLost, DeadlineExceeded, type ErrorData, type Issue, errorToWire } from "../errors.js";
import { MAX_IN_FLIGHT } from "../limits.js";
import type { Log } from "../log.js";
import type { Admit, Caller } from "./context.js";
import { type Method, type Registry, bindArguments } from "./registry.js";

/** Where the answers to one peer's requests go. */
export interface Responder {
  readonly caller: Caller | null;
  respond(id: RequestReceived["id"], result: unknown): void;
  respondError(id: RequestReceived["id"], code: number, message: string, data: ErrorData | null): void;
}

interface Running {
  readonly abort: AbortController;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Serving {
  /** The calls that wait for their answer, by request id. */
  readonly open: Map<RequestReceived["id"], Running>;
  /** Functions that run, those included whose caller no longer waits: JavaScript can't stop them. */
  running: number;
}

const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; `setTimeout` takes a longer one for no wait at all

/** Serves the requests of every peer of a room from one registry. */
export class Dispatcher {
  readonly #serving = new Map<Responder, Serving>();

  constructor(
    readonly registry: Registry,
    private readonly admit: Admit,
    private readonly title: string,
    private readonly log: Log,
  ) {}

  /** Serves a request or a notification; the answer goes to `from`, once, unless the connection goes first. */
  dispatch(from: Responder, received: RequestReceived | NotificationReceived): void {
    const id = received.type === "RequestReceived" ? received.id : undefined;
    const serving = this.#servingOf(from);
    const refusal = this.#refusal(from, received.method, serving);
    if (refusal !== null) {
      this.#refuse(from, id, refusal.code, refusal.message);
    } else if (received.method === "rpc.discover") {
      if (id !== undefined) {
        from.respond(id, this.registry.openrpc(this.title));
      }
    } else {
      this.#call(from, serving, id, received);
    }
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
      serving = { open: new Map(), running: 0 };
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

  #call(from: Responder, serving: Serving, id: RequestReceived["id"] | undefined, received: RequestReceived | NotificationReceived): void {
    const method = this.registry.method(received.method);
    if (method === undefined) {
      return;
    }
    const issues: Issue[] = [];
    const args = bindArguments(method, received.params, issues);
    if (issues.length > 0) {
      const first = issues[0];
      const message = `${method.name}: ${placeOf(first?.path ?? [])}expected ${first?.expected}, got ${first?.got}`;
      this.#refuse(from, id, codes.INVALID_PARAMS, message, issues);
      return;
    }
    const running: Running = { abort: new AbortController(), timer: undefined };
    if (id !== undefined) {
      serving.open.set(id, running);
      const timeout = received.meta["timeout"];
      if (typeof timeout === "number" && timeout <= LONGEST_TIMER) {
        const error = new DeadlineExceeded(`deadline exceeded: the ${timeout} ms of the call passed at the callee`);
        running.timer = setTimeout(() => this.#stop(from, id, error), Math.max(timeout, 0));
      }
    }
    serving.running += 1;
    void this.#run(from, method, args, running).then((outcome) => {
      serving.running -= 1;
      if (id === undefined) {
        return;
      }
      if (serving.open.get(id) === running) {
        serving.open.delete(id);
        clearTimeout(running.timer);
        if (this.#serving.get(from) === serving) {
          outcome(id);
        }
      }
    });
  }

  /** Runs the function to its end; what is returned sends the answer. Never rejects. */
  async #run(from: Responder, method: Method, args: unknown[], running: Running): Promise<(id: RequestReceived["id"]) => void> {
    try {
      if (method.contextAt !== null && from.caller !== null) {
        args.push(Object.freeze({ caller: from.caller, method: method.name, signal: running.abort.signal }));
      }
      const result = await method.handler.apply(undefined, args);
      return (id) => from.respond(id, result === undefined ? null : result);
    } catch (error) {
      const { code, message, data } = errorToWire(error);
      if (code === codes.INTERNAL_ERROR && !running.abort.signal.aborted) {
        this.log.error(`the function ${JSON.stringify(method.name)} failed; the caller is told "internal error"`, error);
      }
      return (id) => from.respondError(id, code, message, data);
    }
  }

  #stop(from: Responder, id: RequestReceived["id"], error: CallCancelled | DeadlineExceeded): void {
    const open = this.#serving.get(from)?.open;
    const running = open?.get(id);
    if (running !== undefined) {
      open?.delete(id);
      clearTimeout(running.timer);
      running.abort.abort(error);
      from.respondError(id, error.code, error.message, null);
    }
  }

  #refuse(from: Responder, id: RequestReceived["id"] | undefined, code: number, message: string, issues?: Issue[]): void {
    if (id === undefined) {
      this.log.debug(`a notification was not served: ${message}`);
      return;
    }
    from.respondError(id, code, message, issues === undefined ? { ran: false } : { ran: false, issues });
  }
}

/** A path as one would write it: `boxes[2].width: `. */
function placeOf(path: Issue["path"]): string {
  const steps = typeof path === "string" ? [path] : path;
  const text = steps.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
  return text === "" ? "" : `${text}: `;
}
