/** What a peer offers: names, functions, and what is said about them. The table is exact: a name that is not in it reaches nothing. */

import { INVALID_PARAMS } from "../codes.js";
import { ExposeError, type Issue, ProtocolError } from "../errors.js";
import { MAX_METHOD_LENGTH } from "../limits.js";
import { RpcStream } from "../stream.js";
import { type JsonSchema, checkValue, requireSchema } from "./schema.js";

// Handlers take whatever their own signature says; what comes is checked by their schema.
/**
 * A function that can be exposed. What it returns, or resolves to, travels back. An async generator, a generator, another async iterable or a
 * `ReadableStream`, alone or anywhere in the result, is sent as a stream; a stream in the arguments comes as an `RpcStream`.
 */
export type Handler = (...args: any[]) => unknown;

/** What may be said about an exposed function. */
export interface ExposeOptions {
  /** One or more sentences for people. */
  readonly description?: string;
  /**
   * A JSON Schema of type object: its `properties`, in their order, are the parameters, `required` names those that must be there. Arguments
   * are checked before the function runs; it gets them by position, whichever way they were sent. Without it the
   * function gets what was sent: the items of a list as its arguments, or one object. A stream is
   * `{type: "object", "x-stream": true, items: {…}}`; its items are checked as they are taken. A file is
   * `{type: "object", "x-file": true}`.
   */
  readonly params?: JsonSchema;
  /** A JSON Schema of the result, for `rpc.discover`; it is not checked. */
  readonly result?: JsonSchema;
  /**
   * True: a `Context` is passed as the last parameter. Its place is after the `params`; without these it is the last of `fn.length`, which
   * counts parameters up to the first with a default.
   */
  readonly context?: boolean;
  /**
   * False: callers may tell it over the lossy channel (`remote.notify.with({reliable: false})`), where only the latest counts; it then runs once at
   * a time for each caller.
   */
  readonly reliable?: boolean;
}

/** One exposed function. */
export interface Method {
  readonly name: string;
  readonly handler: Handler;
  readonly description: string;
  readonly params: ParamsSchema | null;
  readonly result: JsonSchema | null;
  /** The index of the context among the arguments, or null. */
  readonly contextAt: number | null;
  readonly reliable: boolean;
}

/** The parameters of a function, taken out of its schema. */
export interface ParamsSchema {
  readonly names: readonly string[];
  readonly schemas: ReadonlyMap<string, JsonSchema>;
  readonly required: ReadonlySet<string>;
}

const GENERATORS = new Set(["[object AsyncGeneratorFunction]", "[object GeneratorFunction]"]);
const STREAM: JsonSchema = Object.freeze({ type: "object", "x-stream": true });
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SURROGATE = /\p{Surrogate}/u; // half a character: it has no UTF-8

/** The functions that a peer offers, by name. */
export class Registry {
  readonly #methods = new Map<string, Method>();

  /** Offers `fn` under `name`. `ExposeError` for a name that can't be one or is taken, and for a schema that can't be enforced. */
  expose(name: string, fn: Handler, options: ExposeOptions = {}): void {
    const length = typeof name === "string" ? [...name].length : 0;
    if (length < 1 || length > MAX_METHOD_LENGTH || CONTROL.test(name) || SURROGATE.test(name)) {
      throw new ExposeError(
        `expected a name of 1 to ${MAX_METHOD_LENGTH} printable characters, got ${JSON.stringify(String(name).slice(0, 80))}`,
      );
    }
    if (name.startsWith("rpc.")) {
      throw new ExposeError(`${name}: names that start with rpc. belong to the protocol; choose another`);
    }
    if (this.#methods.has(name)) {
      throw new ExposeError(`${name}: exposed already; choose another name`);
    }
    if (typeof fn !== "function") {
      throw new ExposeError(`${name}: expected a function, got ${typeof fn}`);
    }
    const params = options.params === undefined ? null : paramsOf(name, options.params);
    if (options.result !== undefined) {
      requireSchema(options.result, `${name}: result`);
    }
    if (options.context === true && params === null && fn.length === 0) {
      throw new ExposeError(
        `${name}: expected the context as a parameter without a default and with none before it; else say what the parameters are, with \`params\``,
      );
    }
    if (options.reliable === false && GENERATORS.has(Object.prototype.toString.call(fn))) {
      throw new ExposeError(
        `${name}: reliable: false is for functions that are told something and answer nothing; got a generator, whose items can't go where messages may be lost`,
      );
    }
    this.#methods.set(name, {
      name,
      handler: fn,
      description: options.description ?? "",
      params,
      result: options.result ?? (GENERATORS.has(Object.prototype.toString.call(fn)) ? STREAM : null),
      contextAt: options.context === true ? (params === null ? fn.length - 1 : params.names.length) : null,
      reliable: options.reliable ?? true,
    });
  }

  /** The function of that very name, or undefined. */
  method(name: string): Method | undefined {
    return this.#methods.get(name);
  }

  /** An OpenRPC 1.3 document of all that is offered (protocol section 7). */
  openrpc(title: string): object {
    return {
      openrpc: "1.3.2",
      info: { title, version: "1" },
      methods: [...this.#methods.values()].map((method) => ({
        name: method.name,
        ...(method.description === "" ? {} : { description: method.description }),
        paramStructure: method.params === null ? "by-position" : "either",
        params: (method.params?.names ?? []).map((name) => ({
          name,
          required: method.params?.required.has(name) ?? false,
          schema: method.params?.schemas.get(name) ?? {},
        })),
        result: { name: "result", schema: method.result ?? {} },
        ...(method.reliable ? {} : { "x-reliable": false }),
      })),
    };
  }
}

/** The arguments that the handler gets for `params`; what is wrong with them is pushed to `issues`. */
export function bindArguments(method: Method, params: unknown, issues: Issue[]): unknown[] {
  const { params: schema, contextAt } = method;
  const byPosition = Array.isArray(params) ? (params as unknown[]) : null;
  if (schema !== null) {
    return byPosition === null ? bindNamed(schema, params as object, issues) : bindPositions(schema, byPosition, issues);
  }
  const args = byPosition ?? [params];
  if (contextAt !== null) {
    // One argument too many would stand where the function expects its context.
    if (args.length > contextAt) {
      issues.push({ path: [], expected: `at most ${contextAt} arguments`, got: String(args.length) });
    }
    return [...args, ...new Array<undefined>(Math.max(contextAt - args.length, 0))];
  }
  return args;
}

function bindPositions(schema: ParamsSchema, args: readonly unknown[], issues: Issue[]): unknown[] {
  if (args.length > schema.names.length) {
    issues.push({ path: [], expected: `at most ${schema.names.length} arguments`, got: String(args.length) });
  }
  return schema.names.map((name, index) => bindOne(schema, name, index < args.length, args[index], issues));
}

function bindNamed(schema: ParamsSchema, given: object, issues: Issue[]): unknown[] {
  const known = new Set(schema.names);
  for (const name of Object.keys(given)) {
    if (!known.has(name)) {
      issues.push({ path: [name.slice(0, 80)], expected: `one of ${schema.names.join(", ") || "no arguments"}`, got: "an unknown name" });
    }
  }
  return schema.names.map((name) =>
    bindOne(schema, name, Object.hasOwn(given, name), (given as { [key: string]: unknown })[name], issues),
  );
}

function bindOne(schema: ParamsSchema, name: string, present: boolean, value: unknown, issues: Issue[]): unknown {
  if (!present) {
    if (schema.required.has(name)) {
      issues.push({ path: [name], expected: "a value", got: "nothing" });
    }
    return undefined;
  }
  const its = schema.schemas.get(name) ?? {};
  checkValue(its, value, [name], issues);
  if (value instanceof RpcStream && its["items"] !== undefined && issues.length === 0) {
    checkItems(value, name, its["items"] as JsonSchema);
  }
  return value;
}

function checkItems(stream: RpcStream, name: string, schema: JsonSchema): void {
  let index = 0;
  stream.checkItems((item) => {
    const issues: Issue[] = [];
    checkValue(schema, item, [name, index++], issues);
    const [first] = issues;
    if (first !== undefined) {
      throw new ProtocolError(`${name}: expected item ${index} to be ${first.expected}, got ${first.got}`, INVALID_PARAMS, { issues });
    }
  });
}

function paramsOf(name: string, schema: unknown): ParamsSchema {
  requireSchema(schema, `${name}: params`);
  const allowed = ["type", "properties", "required", "additionalProperties", "description", "title", "$schema"];
  const others = Object.keys(schema).filter((keyword) => !allowed.includes(keyword));
  if (schema["type"] !== "object" || others.length > 0 || (schema["additionalProperties"] ?? false) !== false) {
    throw new ExposeError(
      `${name}: expected params such as {type: "object", properties: {a: {type: "number"}}, required: ["a"]}; ` +
        `got ${JSON.stringify(schema).slice(0, 120)}`,
    );
  }
  const schemas = new Map(Object.entries((schema["properties"] ?? {}) as Record<string, JsonSchema>));
  const required = new Set((schema["required"] ?? []) as string[]);
  for (const each of required) {
    if (!schemas.has(each)) {
      throw new ExposeError(`${name}: params require ${JSON.stringify(each)}, which is not among their properties`);
    }
  }
  return { names: [...schemas.keys()], schemas, required };
}
