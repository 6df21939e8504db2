import assert from "node:assert/strict";
import { test } from "node:test";

import * as codes from "../../src/codes.js";
import { ApplicationError, CallCancelled, ConnectionLost, DeadlineExceeded, type ErrorData } from "../../src/errors.js";
import { MAX_IN_FLIGHT } from "../../src/limits.js";
import { type Admit, type Caller, type Context, admitPinned, admitProved } from "../../src/service/context.js";
import { Dispatcher, type Responder } from "../../src/service/dispatch.js";
import { Registry } from "../../src/service/registry.js";
import { keptLog, until } from "../support/wait.js";

const CALLER: Caller = { peerId: "A".repeat(43), name: "caller", trust: "pinned", room: "lab", tokens: [] };

class Answers implements Responder {
  readonly results = new Map<unknown, unknown>();
  readonly errors = new Map<unknown, { code: number; message: string; data: ErrorData | null }>();
  constructor(readonly caller: Caller | null = CALLER) {}
  respond(id: unknown, result: unknown): void {
    assert.equal(this.results.has(id) || this.errors.has(id), false, "answered twice");
    this.results.set(id, result);
  }
  respondError(id: unknown, code: number, message: string, data: ErrorData | null): void {
    assert.equal(this.results.has(id) || this.errors.has(id), false, "answered twice");
    this.errors.set(id, { code, message, data: data === null ? null : { ...data } });
  }
}

function served(admit: Admit = admitPinned) {
  const registry = new Registry();
  const log = keptLog();
  const dispatcher = new Dispatcher(registry, admit, "here", log);
  let ids = 0;
  const request = (to: Responder, method: string, params: unknown[] | Record<string, unknown> = [], meta = {}): number => {
    ids += 1;
    dispatcher.dispatch(to, { type: "RequestReceived", id: ids, method, params, meta });
    return ids;
  };
  return { registry, log, dispatcher, request };
}

test("results come back, of plain and of async functions; undefined as null", async () => {
  const { registry, request } = served();
  registry.expose("add", (a: number, b: number) => a + b);
  registry.expose("later", async () => "later");
  registry.expose("nothing", () => undefined);
  const to = new Answers();
  const ids = [request(to, "add", [1, 2]), request(to, "later"), request(to, "nothing")];
  await until(() => to.results.size === 3, "the results");
  assert.deepEqual(ids.map((id) => to.results.get(id)), [3, "later", null]);
});

test("an unexpected error is told as internal error, and logged here; one thrown on purpose travels whole", async () => {
  const { registry, log, request } = served();
  registry.expose("breaks", () => {
    throw new TypeError("the secret is 4711");
  });
  registry.expose("refuses", async () => {
    throw new ApplicationError("no paper", { code: -32050, detail: { tray: 2 } });
  });
  const to = new Answers();
  const [broken, refused] = [request(to, "breaks"), request(to, "refuses")];
  await until(() => to.errors.size === 2, "the errors");
  assert.deepEqual(to.errors.get(broken), { code: codes.INTERNAL_ERROR, message: "internal error", data: null });
  assert.deepEqual(to.errors.get(refused), { code: -32050, message: "no paper", data: { detail: { tray: 2 } } });
  assert.equal(log.lines.filter((line) => line.includes("4711")).length, 1);
});

test("the function does not run on arguments that don't fit", () => {
  const { registry, request } = served();
  let runs = 0;
  registry.expose("f", () => void runs++, { params: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } });
  const to = new Answers();
  const id = request(to, "f", ["x"]);
  assert.deepEqual(to.errors.get(id), {
    code: codes.INVALID_PARAMS,
    message: 'f: a: expected integer, got "x"',
    data: { ran: false, issues: [{ path: ["a"], expected: "integer", got: '"x"' }] },
  });
  assert.equal(runs, 0);
});

test("unknown names, those of the protocol too, are not found", () => {
  const { request } = served();
  const to = new Answers();
  for (const method of ["nope", "rpc.nope", "constructor", "__proto__"]) {
    assert.deepEqual(to.errors.get(request(to, method)), { code: codes.METHOD_NOT_FOUND, message: "method not found", data: { ran: false } });
  }
});

test("discover is answered", () => {
  const { registry, request } = served();
  registry.expose("f", () => 1);
  const to = new Answers();
  assert.deepEqual(to.results.get(request(to, "rpc.discover")), registry.openrpc("here"));
});

test("by default only pinned callers are served; nothing runs for others", async () => {
  const { registry, request } = served();
  let runs = 0;
  registry.expose("f", () => void runs++);
  const stranger = new Answers({ ...CALLER, trust: "anonymous" });
  const nobody = new Answers({ ...CALLER, trust: "anonymous", peerId: null });
  assert.equal(stranger.errors.get(request(stranger, "f"))?.code, codes.PERMISSION_DENIED);
  assert.equal(stranger.errors.get(request(stranger, "rpc.discover"))?.code, codes.PERMISSION_DENIED);
  assert.equal(nobody.errors.get(request(nobody, "f"))?.code, codes.UNAUTHENTICATED);
  assert.equal(runs, 0);
  const open = served(admitProved);
  open.registry.expose("f", () => 1);
  const again = new Answers(stranger.caller);
  const id = open.request(again, "f");
  await until(() => again.results.has(id), "the answer");
});

test("the context says who calls what, and its signal hears the cancel; the answer is `cancelled`, at once", async () => {
  const { registry, dispatcher, request } = served();
  let seen: Context | null = null;
  registry.expose("wait", (_first: number, context: Context) => {
    seen = context;
    return new Promise((resolve) => context.signal.addEventListener("abort", () => resolve("too late")));
  }, { context: true });
  const to = new Answers();
  const id = request(to, "wait", [1]);
  const context = await until(() => seen as Context | null, "the call");
  assert.deepEqual([context.caller, context.method, context.signal.aborted], [CALLER, "wait", false]);
  dispatcher.cancel(to, id);
  assert.equal(to.errors.get(id)?.code, codes.CANCELLED);
  assert.ok(context.signal.reason instanceof CallCancelled);
  dispatcher.cancel(to, id);
  dispatcher.cancel(to, 999);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(to.results.size, 0);
});

test("the callee's clock ends a call whose time has passed", async () => {
  const { registry, request } = served();
  let reason: unknown;
  registry.expose("forever", (context: Context) => new Promise(() => context.signal.addEventListener("abort", () => (reason = context.signal.reason))), {
    context: true,
  });
  const to = new Answers();
  const id = request(to, "forever", [], { timeout: 5 });
  await until(() => to.errors.has(id), "the deadline");
  assert.equal(to.errors.get(id)?.code, codes.DEADLINE_EXCEEDED);
  assert.ok(reason instanceof DeadlineExceeded);
});

test("when the link closes every function is told, and nothing is answered", async () => {
  const { registry, dispatcher, request } = served();
  const reasons: unknown[] = [];
  registry.expose("f", async (context: Context) => {
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    reasons.push(context.signal.reason);
  }, { context: true });
  const to = new Answers();
  request(to, "f");
  request(to, "f", [], { timeout: 60_000 });
  dispatcher.linkClosed(to);
  await until(() => reasons.length === 2, "both to be told");
  assert.ok(reasons.every((reason) => reason instanceof ConnectionLost));
  assert.equal(to.results.size + to.errors.size, 0);
});

test("a notification runs the function and is never answered", async () => {
  const { registry, dispatcher } = served();
  let runs = 0;
  registry.expose("f", () => void runs++);
  const to = new Answers();
  for (const method of ["f", "nope", "rpc.discover"]) {
    dispatcher.dispatch(to, { type: "NotificationReceived", method, params: [], meta: {} });
  }
  await until(() => runs === 1, "the run");
  assert.equal(to.results.size + to.errors.size, 0);
});

test("functions that run on after their cancel still count: call and cancel in a loop comes to an end", async () => {
  const { registry, dispatcher, request } = served();
  const finish: (() => void)[] = [];
  registry.expose("stuck", () => new Promise<void>((resolve) => finish.push(resolve)));
  const to = new Answers();
  for (let i = 0; i < 2 * MAX_IN_FLIGHT; i++) {
    dispatcher.cancel(to, request(to, "stuck"));
  }
  assert.equal(finish.length, 2 * MAX_IN_FLIGHT);
  const refused = request(to, "stuck");
  assert.equal(to.errors.get(refused)?.code, codes.RESOURCE_EXHAUSTED);
  assert.equal(to.errors.get(refused)?.data?.["ran"], false);
  finish.forEach((done) => done());
  await new Promise((resolve) => setImmediate(resolve));
  request(to, "stuck");
  assert.equal(finish.length, 2 * MAX_IN_FLIGHT + 1);
});
