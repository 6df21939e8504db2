/**
 * The names that a caller writes: `remote.call.add(1, 2)` becomes the request `add` with params `[1, 2]`.
 *
 * A proxy holds no connection. It collects a method name and options, and hands a finished call to an `Invoker`.
 */

/** The params of a request: all by position, or all by name. */
export type Params = readonly unknown[] | { readonly [name: string]: unknown };

/** Told how far a call has come: `done` of `total`, in the function's own unit, and a text for people; null where the function did not say. */
export type OnProgress = (done: number, total: number | null, message: string | null) => void;

/** What a caller may say about a call. */
export interface CallOptions {
  /** Milliseconds until we give up; the other side is told, and stops too (protocol section 7). */
  readonly timeout?: number | undefined;
  /** Aborting it cancels the call, there as well as here, and later the streams in its result. */
  readonly signal?: AbortSignal | undefined;
  /** Called as the function reports how far it has come. */
  readonly progress?: OnProgress | undefined;
}

/** What a caller may say about a notification. */
export interface NotifyOptions {
  /**
   * False: it may be lost, one that waits is replaced by the next of its method, and the other side serves it only where it exposed the function
   * with `reliable: false`: right for what is told many times a second. It has at most `LOSSY_FRAME` bytes and holds no streams. To a peer
   * without a lossy channel it goes like any other.
   */
  readonly reliable?: boolean | undefined;
}

/** The same, for a whole namespace. */
export interface ProxyOptions extends CallOptions {
  /** True: a call takes one object, whose members are the arguments by name. */
  readonly named?: boolean | undefined;
}

/**
 * A call on its way, begun already. Await it for the result; or, where that is a stream, iterate it directly:
 * `for await (const i of robot.call.ticks(5))`.
 */
export class CallPromise<T> extends Promise<T> {
  #method = "";
  #cancel: (reason?: unknown) => void = () => undefined;

  /** The call of `method` that `start` begins; it returns what gives it up. */
  static begin<T>(method: string, start: (resolve: (value: T) => void, reject: (error: unknown) => void) => (reason?: unknown) => void): CallPromise<T> {
    let cancel: (reason?: unknown) => void = () => undefined;
    const call = new CallPromise<T>((resolve, reject) => {
      cancel = start(resolve, reject);
    });
    call.#method = method;
    call.#cancel = cancel;
    return call;
  }

  /** Gives the call up, or the streams in its result where that has come: the other side stops too. `reason` becomes the `cause` of the error. */
  cancel(reason?: unknown): void {
    this.#cancel(reason);
  }

  /** The items of the stream that the result is; `TypeError` at the first where it is none. Leaving the loop ends the stream on the other side. */
  [Symbol.asyncIterator](): T extends AsyncIterable<infer Item> ? AsyncIterator<Item, undefined> : AsyncIterator<any, undefined> {
    let stream: AsyncIterator<unknown, undefined> | null = null;
    const open = async (): Promise<AsyncIterator<unknown, undefined>> => {
      const result: unknown = await this;
      if (typeof result !== "object" || result === null || !(Symbol.asyncIterator in result)) {
        throw new TypeError(`${this.#method}: expected a stream to iterate, got a result of type ${result === null ? "null" : typeof result}; await the call instead`);
      }
      return (result as AsyncIterable<unknown, undefined>)[Symbol.asyncIterator]();
    };
    const iterator: AsyncIterator<unknown, undefined> = {
      next: () => stream?.next() ?? open().then((opened) => (stream = opened).next()),
      return: async () => {
        this.cancel();
        return { done: true, value: undefined };
      },
    };
    return iterator as ReturnType<CallPromise<T>[typeof Symbol.asyncIterator]>;
  }
}

// What `then` makes is a promise like any other. And `await` goes by this member: it would wrap a promise of another class in one of its own, which
// costs each call three rounds of microtasks.
Object.defineProperty(CallPromise.prototype, "constructor", { value: Promise });

/** Whatever can carry a call to a peer and bring the answer back. */
export interface Invoker {
  invoke(method: string, params: Params, options?: CallOptions): CallPromise<unknown>;
  sendNotification(method: string, params: Params, options?: NotifyOptions): Promise<void>;
}

/** A function of the peer, and the functions below its name: `call.arm(…)`, `call.arm.move(…)`. */
export interface RemoteMethod {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  (...args: any[]): CallPromise<any>;
  readonly [name: string]: RemoteMethod;
}

/** `remote.call`. A function that is really called `with` is reached by `remote.invoke("with", [])`. */
export type CallNamespace = { readonly with: (options: ProxyOptions) => CallNamespace } & { readonly [name: string]: RemoteMethod };

/** `remote.notify`: like `call`, but nothing comes back, not even an error; resolves when it has been handed to the link. */
export interface NotifyMethod {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  (...args: any[]): Promise<void>;
  readonly [name: string]: NotifyMethod;
}

/** The root of `remote.notify`: `remote.notify.with({ reliable: false }).pose(x, y)`. */
export type NotifyNamespace = { readonly with: (options: NotifyOptions) => NotifyNamespace } & { readonly [name: string]: NotifyMethod };

// What the language itself asks objects for: `await` and promises ask for `then`, JSON for `toJSON`, `String()` for the rest. An answer
// would make a call of it, and an awaited namespace would never come back. (`inspect` and the like are symbols, and no symbol is a method.)
const LANGUAGE = new Set(["then", "catch", "finally", "toJSON", "toString", "valueOf", "constructor", "prototype", "__proto__"]);

/** The namespace whose calls go to `invoker`. */
export function callNamespace(invoker: Invoker, options: ProxyOptions = {}): CallNamespace {
  const start = (name: string): RemoteMethod => remoteMethod(name, (method, args) => call(invoker, method, args, options));
  const withOptions = (more: ProxyOptions): CallNamespace => callNamespace(invoker, { ...options, ...more });
  return namespace((name) => (name === "with" ? withOptions : start(name))) as CallNamespace;
}

/** The namespace whose notifications go to `invoker`. */
export function notifyNamespace(invoker: Invoker, options: NotifyOptions = {}): NotifyNamespace {
  const start = (name: string): NotifyMethod => remoteMethod<NotifyMethod>(name, (method, args) => invoker.sendNotification(method, args, options));
  const withOptions = (more: NotifyOptions): NotifyNamespace => notifyNamespace(invoker, { ...options, ...more });
  return namespace((name) => (name === "with" ? withOptions : start(name))) as NotifyNamespace;
}

function call(invoker: Invoker, method: string, args: readonly unknown[], options: ProxyOptions): CallPromise<unknown> {
  if (options.named !== true) {
    return invoker.invoke(method, args, options);
  }
  const [params] = args;
  if (args.length !== 1 || typeof params !== "object" || params === null || Array.isArray(params)) {
    return CallPromise.begin(method, (_resolve, reject) => {
      reject(new TypeError(`${method}: expected one object with the arguments by name, because of {named: true}`));
      return () => undefined;
    });
  }
  return invoker.invoke(method, params as Params, options);
}

function namespace(get: (name: string) => unknown): object {
  return new Proxy(Object.freeze(Object.create(null) as object), {
    get: (_target, name) => (isMethodName(name) ? get(name) : undefined),
  });
}

function remoteMethod<Method extends RemoteMethod | NotifyMethod = RemoteMethod>(
  name: string,
  send: (method: string, args: readonly unknown[]) => Promise<unknown>,
): Method {
  // An arrow function has no own `prototype`, `arguments` or `caller` that a proxy would have to be truthful about.
  const target = (): undefined => undefined;
  return new Proxy(target, {
    apply: (_target, _this, args: readonly unknown[]) => send(name, args),
    get: (_target, below) => (isMethodName(below) ? remoteMethod(`${name}.${below}`, send) : undefined),
  }) as unknown as Method;
}

function isMethodName(name: string | symbol): name is string {
  return typeof name === "string" && !LANGUAGE.has(name);
}
