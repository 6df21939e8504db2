/** Streams and progress between two rooms in this process, as a program uses them. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import {
  ApplicationError,
  CallCancelled,
  DeadlineExceeded,
  EncodeError,
  RemoteApplicationError,
  RemoteInternalError,
  RemoteInvalidParams,
  RemoteStreamBroken,
  ResourceExhausted,
  StreamBroken,
} from "../src/errors.js";
import { MAX_STREAMS, STREAM_WINDOW } from "../src/limits.js";
import type { RemotePeer } from "../src/mesh/remote-peer.js";
import type { Room } from "../src/mesh/room.js";
import { CallPromise } from "../src/proxy.js";
import { type Context, admitProved } from "../src/service/context.js";
import { RpcStream } from "../src/stream.js";
import { Meeting } from "./support/rooms.js";
import { until } from "./support/wait.js";

let meeting: Meeting;
let robot: Room;
let remote: RemotePeer;
/** What generators did, in order. */
let told: string[];

beforeEach(async () => {
  meeting = await Meeting.start();
  told = [];
  robot = await meeting.join("robot", { admit: admitProved });
  robot.expose("ticks", async function* (n: number, every?: number) {
    try {
      for (let i = 0; i < n; i++) {
        yield i;
        if (every) await new Promise((resolve) => setTimeout(resolve, every));
      }
      told.push("done");
    } finally {
      told.push("finally");
    }
  });
  robot.expose("sum", async (numbers: RpcStream<number>) => {
    let sum = 0;
    for await (const number of numbers) sum += number;
    return sum;
  });
  const user = await meeting.join("user", { pin: robot.peerId });
  remote = await user.peer("robot");
});

afterEach(async () => {
  await meeting.end();
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test("an async generator is a stream: iterate the call, or its result", async () => {
  assert.deepEqual(await all(remote.call["ticks"]!(5)), [0, 1, 2, 3, 4]);
  const call = remote.call["ticks"]!(3);
  assert.ok(call instanceof CallPromise);
  const stream: unknown = await call;
  assert.ok(stream instanceof RpcStream);
  assert.deepEqual(await all(stream), [0, 1, 2]);
  assert.deepEqual([stream.isOpen, await stream.next()], [false, { done: true, value: undefined }]);
  assert.deepEqual(told, ["done", "finally", "done", "finally"]);
});

test("many items share frames, and all of them arrive", async () => {
  const before = [...meeting.network.ends.values()].reduce((sum, end) => sum + end.sent, 0);
  assert.deepEqual(await all(remote.call["ticks"]!(20_000)), upTo(20_000));
  const frames = [...meeting.network.ends.values()].reduce((sum, end) => sum + end.sent, 0) - before;
  assert.ok(frames < 100, `${frames} frames`);
});

test("whatever gives items is a stream, wherever it stands", async () => {
  robot.expose("several", () => ({
    readable: new ReadableStream<number>({
      start(controller) {
        for (const i of [1, 2]) controller.enqueue(i);
        controller.close();
      },
    }),
    list: [
      (function* () {
        yield* ["a", "b"];
      })(),
    ],
    iterable: { [Symbol.asyncIterator]: () => [true].values() },
    map: new Map([["inner", (async function* () {})()]]),
    plain: 5,
  }));
  const result = (await remote.call["several"]!()) as {
    readable: RpcStream;
    list: [RpcStream];
    iterable: RpcStream;
    map: { inner: RpcStream };
    plain: number;
  };
  assert.deepEqual(await all(result.readable), [1, 2]);
  assert.deepEqual(await all(result.list[0]), ["a", "b"]);
  assert.deepEqual(await all(result.iterable), [true]);
  assert.deepEqual(await all(result.map.inner), []);
  assert.equal(result.plain, 5);
});

test("a stream as an argument is read by the function", async () => {
  async function* numbers() {
    yield* [1, 2, 3];
  }
  assert.equal(await remote.call["sum"]!(numbers()), 6);
  assert.equal(await remote.call.with({ named: false })["sum"]!(new ReadableStream({ pull: (controller) => controller.close() })), 0);
  // A call whose result is a stream may be handed on as it is.
  assert.equal(await remote.call["sum"]!(remote.call["ticks"]!(10)), 45);
});

test("two-way: what comes of a stream goes back in another", async () => {
  robot.expose("double", async function* (numbers: RpcStream<number>) {
    for await (const number of numbers) yield 2 * number;
  });
  async function* numbers() {
    yield* upTo(1000);
  }
  assert.deepEqual(await all(remote.call["double"]!(numbers())), upTo(1000).map((n) => 2 * n));
});

test("items may be streams themselves", async () => {
  robot.expose("rows", async function* (n: number) {
    for (let row = 0; row < n; row++) yield upTo(row).values();
  });
  const rows: unknown[] = [];
  for await (const row of remote.call["rows"]!(4) as unknown as AsyncIterable<RpcStream<number>>) rows.push(await all(row));
  assert.deepEqual(rows, [[], [0], [0, 1], [0, 1, 2]]);
});

test("leaving the loop runs the generator's finally on the other side", async () => {
  for await (const i of remote.call["ticks"]!(1e9)) {
    if (i === 3) break;
  }
  await until(() => told.length > 0, "the finally");
  assert.deepEqual(told, ["finally"]);
});

test("a ReadableStream: cancelling it, and a reader in it, ends the source", async () => {
  const { readable } = (await remote.call["ticks"]!(1e9)) as RpcStream<number>;
  const reader = readable.getReader();
  assert.deepEqual(await reader.read(), { done: false, value: 0 });
  await reader.cancel();
  await until(() => told.includes("finally"), "the finally");

  let cancelled = false;
  robot.expose("endless", () => new ReadableStream({ pull: (controller) => controller.enqueue(1), cancel: () => void (cancelled = true) }));
  for await (const _ of remote.call["endless"]!()) break;
  await until(() => cancelled, "the cancel");
});

test("a generator that waits learns from its signal that nobody wants more", async () => {
  robot.expose(
    "waits",
    async function* (context: Context) {
      yield "first";
      await new Promise((_, reject) => context.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
      told.push("never");
    },
    { context: true },
  );
  for await (const _ of remote.call["waits"]!()) break;
  const stream = (await remote.call["waits"]!()) as RpcStream;
  const waiting = all(stream);
  await turn();
  stream.cancel();
  assert.deepEqual(await waiting, ["first"]);
  assert.deepEqual(told, []);
});

test("an error in the middle comes behind the items before it, as what it is", async () => {
  robot.expose("breaks", async function* (kind: string) {
    yield 1;
    yield 2;
    if (kind === "on purpose") throw new ApplicationError("no paper", { detail: { tray: 2 } });
    if (kind === "by mistake") throw new TypeError("secret");
    yield () => 1;
  });
  for (const [kind, Class] of [
    ["on purpose", RemoteApplicationError],
    ["by mistake", RemoteInternalError],
    ["what can't travel", RemoteInternalError],
  ] as const) {
    const got: unknown[] = [];
    await assert.rejects(
      async () => {
        for await (const item of remote.call["breaks"]!(kind)) got.push(item);
      },
      (error: unknown) => error instanceof Class && !error.message.includes("secret"),
      kind,
    );
    assert.deepEqual(got, [1, 2]);
  }
  assert.equal(meeting.log.lines.filter((line) => line.includes("a stream broke")).length, 2);
});

test("a slow reader holds the writer", async () => {
  let given = 0;
  const chunk = new Uint8Array(1000);
  robot.expose("endless", async function* () {
    for (;;) {
      given++;
      yield chunk;
    }
  });
  const stream = (await remote.call["endless"]!()) as RpcStream<Uint8Array>;
  await stream.next();
  let before = -1;
  await until(() => {
    const still = given === before;
    before = given;
    return still && given > 100;
  }, "the writer to stop");
  // A window, the queue at its owner, and what the channel holds.
  assert.ok(given * 1000 < STREAM_WINDOW + 65536 + 2 * 65536, `${given} items of 1000 bytes`);
  for (let n = 0; n < 1000; n++) await stream.next();
  await until(() => given > before, "the writer to go on");
});

test("a stream that the program lost is stopped", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await remote.call.with({ signal: new AbortController().signal })["ticks"]!(1e9);
  await until(() => {
    collect();
    return told.includes("finally");
  }, "the finally");
});

test("a signal cancels the call, and later the streams in its result", async () => {
  const abort = new AbortController();
  const got: unknown[] = [];
  await assert.rejects(
    async () => {
      for await (const i of remote.call.with({ signal: abort.signal })["ticks"]!(1e9, 1)) {
        got.push(i);
        if (got.length === 3) abort.abort("enough");
      }
    },
    (error: unknown) => error instanceof CallCancelled && error.cause === "enough",
  );
  assert.equal(got.length, 3);
  await until(() => told.includes("finally"), "the finally");
  // One that has ended lets go of its signal.
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = (...args: Parameters<AbortSignal["addEventListener"]>) => {
    listeners++;
    AbortSignal.prototype.addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<AbortSignal["removeEventListener"]>) => {
    listeners--;
    AbortSignal.prototype.removeEventListener.apply(signal, args);
  };
  await all(remote.call.with({ signal })["ticks"]!(3));
  assert.equal(listeners, 0);
});

test("a call that is given up before it answers closes its generators on both sides", async () => {
  let release = (): void => undefined;
  robot.expose("late", async (_numbers: RpcStream) => {
    await new Promise<void>((resolve) => (release = resolve));
    return (async function* () {
      try {
        yield 1;
      } finally {
        told.push("late finally");
      }
    })();
  });
  async function* numbers() {
    try {
      for (let i = 0; ; i++) {
        yield i;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } finally {
      told.push("argument finally");
    }
  }
  await assert.rejects(remote.call.with({ timeout: 30 })["late"]!(numbers()), DeadlineExceeded);
  await until(() => told.includes("argument finally"), "the argument to end");
  release();
  const call = remote.call["late"]!(numbers());
  await turn();
  call.cancel("no more");
  await assert.rejects(call, CallCancelled);
  await until(() => told.filter((line) => line === "argument finally").length === 2, "the second to end");
  release();
});

test("refused arguments: the function does not run, and the generator ends", async () => {
  robot.expose("strict", () => 1, { params: { type: "object", properties: { a: { type: "integer" } } } });
  async function* numbers() {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      told.push("argument finally");
    }
  }
  await assert.rejects(remote.call["strict"]!(numbers()), (error: unknown) => {
    return error instanceof RemoteInvalidParams && error.issues[0]?.got === "a stream";
  });
  await until(() => told.includes("argument finally"), "the argument to end");
});

test("a parameter may be declared a stream, and its items are checked as they are taken", async () => {
  robot.expose("total", async (numbers: RpcStream<number>) => (await all(numbers)).length, {
    params: { type: "object", properties: { numbers: { type: "object", "x-stream": true, items: { type: "integer" } } }, required: ["numbers"] },
  });
  const of = (...items: unknown[]) => items.values();
  assert.equal(await remote.call["total"]!(of(1, 2)), 2);
  await assert.rejects(remote.call["total"]!([1, 2]), (error: unknown) => error instanceof RemoteInvalidParams && /a stream/.test(error.message));
  await assert.rejects(remote.call["total"]!(of(1, "two")), (error: unknown) => {
    return error instanceof RemoteInvalidParams && /item 2 to be integer, got "two"/.test(error.message);
  });
  const methods = (await remote.discover())["methods"] as { name: string; result: { schema: unknown } }[];
  const schema = methods.find(({ name }) => name === "ticks")!.result.schema;
  assert.deepEqual({ ...(schema as object) }, { type: "object", "x-stream": true }, "a generator announces what it is");
});

test("the end of the link breaks streams on both sides", async () => {
  const stream = (await remote.call["ticks"]!(1e9, 1)) as RpcStream;
  await stream.next();
  meeting.network.crash();
  await assert.rejects(async () => void (await all(stream)), StreamBroken);
  await until(() => told.includes("finally"), "the finally");
});

test("what a stream is read from may break in its turn", async () => {
  const third = await meeting.join("third", { admit: admitProved });
  third.expose("far", async function* () {
    yield 1;
    await new Promise(() => undefined);
  });
  robot.expose("relay", async () => (await robot.peer("third")).call["far"]!());
  const stream = (await remote.call["relay"]!()) as RpcStream;
  assert.equal((await stream.next()).value, 1);
  await third.close();
  await assert.rejects(stream.next(), RemoteStreamBroken);
});

test(`${MAX_STREAMS} streams may be open, and one more is refused here`, async () => {
  const open = await Promise.all(upTo(MAX_STREAMS).map(() => remote.call["ticks"]!(1e9, 1000) as Promise<RpcStream>));
  await assert.rejects(remote.call["ticks"]!(1) as Promise<unknown>, (error: unknown) => String(error).includes("64 streams"));
  open.forEach((stream) => stream.cancel());
  await turn();
  assert.deepEqual(await all(remote.call["ticks"]!(1)), [0]);
  // Ours.
  const many = upTo(MAX_STREAMS + 1).map(() => [1].values());
  await assert.rejects(remote.call["sum"]!(many), ResourceExhausted);
  await assert.rejects(remote.call["sum"]!(many.slice(0, 2).map(() => many[0])), EncodeError);
});

test("what is no stream can't be iterated, and says so", async () => {
  robot.expose("five", () => 5);
  await assert.rejects(async () => void (await all(remote.call["five"]!())), /five: expected a stream to iterate, got a result of type number/);
});

test("progress is told as it comes, and the last before the answer", async () => {
  robot.expose(
    "work",
    async (n: number, context: Context) => {
      for (let i = 1; i <= n; i++) {
        context.progress(i, n, i === n ? "ready" : `step ${i}`);
        if (i === 3) await new Promise((resolve) => setTimeout(resolve, 150));
      }
      assert.throws(() => context.progress(NaN), TypeError);
      return "worked";
    },
    { context: true },
  );
  const reports: unknown[][] = [];
  const call = remote.call.with({ progress: (...report) => void reports.push(report) });
  assert.equal(await call["work"]!(10), "worked");
  assert.deepEqual(reports, [
    [1, 10, "step 1"],
    [3, 10, "step 3"],
    [10, 10, "ready"],
  ]);
  // A listener that throws harms nobody.
  const careless = () => {
    throw new Error("oh");
  };
  assert.equal(await remote.call.with({ progress: careless })["work"]!(1), "worked");
  assert.ok(meeting.log.lines.some((line) => line.includes("progress failed")));
});
