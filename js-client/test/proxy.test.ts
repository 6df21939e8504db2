import assert from "node:assert/strict";
import { test } from "node:test";

import { type CallOptions, CallPromise, type NotifyOptions, type Params, callNamespace, notifyNamespace } from "../src/proxy.js";

function recorder() {
  const calls: [string, Params, CallOptions | NotifyOptions | undefined][] = [];
  return {
    calls,
    invoke: (method: string, params: Params, options?: CallOptions) => {
      calls.push([method, params, options]);
      return CallPromise.begin<unknown>(method, (resolve) => {
        resolve("answer");
        return () => undefined;
      });
    },
    sendNotification: async (method: string, params: Params, options?: NotifyOptions) => void calls.push([method, params, options]),
  };
}

test("a call is a request by that name, its arguments by position", async () => {
  const invoker = recorder();
  assert.equal(await callNamespace(invoker)["add"]!(1, 2), "answer");
  assert.deepEqual(invoker.calls, [["add", [1, 2], {}]]);
});

test("names nest with dots", async () => {
  const invoker = recorder();
  await callNamespace(invoker)["arm"]!["left"]!["move"]!(1);
  assert.equal(invoker.calls[0]?.[0], "arm.left.move");
});

test("options are added to those there are, and change nothing of the namespace they came from", async () => {
  const invoker = recorder();
  const call = callNamespace(invoker);
  const { signal } = new AbortController();
  await call.with({ timeout: 5 }).with({ signal })["slow"]!();
  await call["slow"]!();
  assert.deepEqual(invoker.calls[0]?.[2], { timeout: 5, signal });
  assert.deepEqual(invoker.calls[1]?.[2], {});
});

test("named arguments are one object", async () => {
  const invoker = recorder();
  const call = callNamespace(invoker).with({ named: true });
  await call["add"]!({ a: 1, b: 2 });
  assert.deepEqual(invoker.calls[0]?.[1], { a: 1, b: 2 });
  for (const args of [[], [1], [null], [[1]], [{}, {}]]) {
    await assert.rejects(call["add"]!(...args), TypeError);
  }
});

test("what the language asks for on its own is no method", async () => {
  const invoker = recorder();
  const call = callNamespace(invoker);
  assert.equal(await call, call);
  const method = call["add"]!;
  assert.equal(await Promise.resolve(method), method);
  for (const name of ["then", "catch", "finally", "toJSON", "toString", "valueOf", "constructor", "prototype", "__proto__"]) {
    assert.equal(call[name], undefined, name);
    assert.equal(method[name], undefined, name);
  }
  assert.equal((call as unknown as Record<symbol, unknown>)[Symbol.iterator], undefined);
  assert.equal((method as unknown as Record<symbol, unknown>)[Symbol.toPrimitive], undefined);
  assert.deepEqual(invoker.calls, []);
});

test("notifications have the same names", async () => {
  const invoker = recorder();
  await notifyNamespace(invoker)["arm"]!["stop"]!("now");
  await notifyNamespace(invoker).with({ reliable: false })["arm"]!["pose"]!(1);
  assert.deepEqual(invoker.calls, [["arm.stop", ["now"], {}], ["arm.pose", [1], { reliable: false }]]);
});
