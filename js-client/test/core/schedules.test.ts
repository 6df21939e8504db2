/** Two sessions under random schedules: frames late but in order, answers in any order, cancels, deadlines, a cut at any time. */

import assert from "node:assert/strict";
import { it } from "node:test";

import fc from "fast-check";

import type { Id } from "../../src/core/envelope.js";
import type { Session, SessionConfig } from "../../src/core/session.js";
import { End, pair } from "./support/sessions.js";

/** What happens next; `who` is the side that it happens at. */
type Step =
  | { readonly do: "call"; readonly who: 0 | 1; readonly size: number; readonly timeout: number | null }
  | { readonly do: "cancel" | "answer" | "fail"; readonly who: 0 | 1; readonly which: number }
  | { readonly do: "batch"; readonly who: 0 | 1; readonly sizes: readonly number[]; readonly timeout: number | null }
  | { readonly do: "notify"; readonly who: 0 | 1; readonly size: number }
  | { readonly do: "send"; readonly who: 0 | 1; readonly budget: number }
  | { readonly do: "deliver"; readonly who: 0 | 1; readonly count: number }
  | { readonly do: "wait"; readonly seconds: number }
  | { readonly do: "close"; readonly who: 0 | 1 }
  | { readonly do: "cut" };

const who = fc.constantFrom<0 | 1>(0, 1);
const size = fc.oneof({ weight: 5, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: fc.nat(3000) });
const which = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("call" as const), who, size, timeout: fc.option(fc.constantFrom(0.5, 2, 5)) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), who, which }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("answer" as const), who, which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fail" as const), who, which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("notify" as const), who, size }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("batch" as const),
      who,
      sizes: fc.array(size, { minLength: 1, maxLength: 2 }),
      timeout: fc.option(fc.constantFrom(0.5, 2)),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("send" as const), who, budget: fc.integer({ min: 1, max: 2000 }) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("deliver" as const), who, count: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), seconds: fc.double({ min: 0, max: 1.5, noNaN: true }) }) },
);
const last = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.record({ do: fc.constant("close" as const), who }), fc.constant<Step>({ do: "cut" }));

/** One side: its session, what it called, what it serves. */
class Peer {
  readonly called = new Map<number, { readonly size: number; settled: string[]; cancelled: boolean }>();
  readonly serving = new Map<Id, number>();
  readonly ran = new Set<Id>();
  closed = 0;

  constructor(
    readonly end: End,
    readonly inbox: (Uint8Array | string)[],
    readonly outbox: (Uint8Array | string)[],
  ) {}

  get session(): Session {
    return this.end.session;
  }

  turn(now: number): void {
    this.end.turn(now);
    for (const event of this.end.events.splice(0)) {
      assert.equal(this.closed, 0, `${event.type} after SessionClosed`);
      switch (event.type) {
        case "RequestReceived":
          assert.ok(!this.ran.has(event.id), "ran twice");
          this.ran.add(event.id);
          this.serving.set(event.id, (event.params as string[])[0]!.length);
          break;
        case "CancelReceived":
          assert.ok(this.serving.has(event.id), "cancelled what was answered");
          break;
        case "ResponseReceived":
        case "ErrorReceived":
        case "CallFailed": {
          const call = this.called.get(event.id)!;
          call.settled.push(event.type);
          assert.deepEqual([call.settled.length, call.cancelled], [1, false], `call ${event.id}: ${call.settled.join()}`);
          if (event.type === "ResponseReceived") assert.equal(event.result, call.size);
          break;
        }
        case "SessionClosed":
          this.closed++;
          break;
      }
    }
  }
}

function run(steps: readonly Step[], end: Step | null, config: Partial<SessionConfig>): void {
  const both = pair({ a: config, b: config });
  const wires: [(Uint8Array | string)[], (Uint8Array | string)[]] = [[], []];
  const peers = [new Peer(both.a, wires[1], wires[0]), new Peer(both.b, wires[0], wires[1])] as const;
  let now = 0;
  both.run();
  for (const peer of peers) peer.turn(now);

  const pick = <Key>(keys: Iterable<Key>, which: number): Key | undefined => {
    const all = [...keys];
    return all[which % all.length];
  };
  const take = (one: Step): void => {
    if (one.do === "wait") {
      now += one.seconds;
      for (const { session } of peers) session.tick(now);
      return;
    }
    if (one.do === "cut") {
      for (const { session } of peers) session.receiveEof(now, "cut");
      return;
    }
    const peer = peers[one.who];
    const { session } = peer;
    if (one.do === "send") peer.outbox.push(...session.dataToSend(one.budget));
    else if (one.do === "deliver") for (const frame of peer.inbox.splice(0, one.count)) session.receiveData(frame, now);
    else if (session.state !== "ready") return;
    else if (one.do === "close") session.close(0, "done", now);
    else if (one.do === "notify") session.sendNotification("n", ["x".repeat(one.size)]);
    else if (one.do === "batch") {
      if (config.encodings === undefined) return;
      const ids = session.sendBatch(one.sizes.map((size) => ({ method: "m", params: ["x".repeat(size)] })), { now, timeout: one.timeout });
      for (const [i, id] of ids.entries()) peer.called.set(id, { size: one.sizes[i]!, settled: [], cancelled: false });
    } else if (one.do === "call") {
      const id = session.sendRequest("m", ["x".repeat(one.size)], { now, timeout: one.timeout });
      peer.called.set(id, { size: one.size, settled: [], cancelled: false });
    } else if (one.do === "cancel") {
      const id = pick([...peer.called].flatMap(([id, call]) => (call.settled.length === 0 ? [id] : [])), one.which);
      if (id === undefined) return;
      session.sendCancel(id);
      peer.called.get(id)!.cancelled = true;
    } else {
      const id = pick(peer.serving.keys(), one.which);
      if (id === undefined) return;
      if (one.do === "answer") session.sendResponse(id, peer.serving.get(id));
      else session.sendError(id, -32000, "no");
      peer.serving.delete(id);
    }
  };
  const settle = (): void => {
    for (const peer of peers) peer.turn(now);
  };

  for (const one of steps) {
    take(one);
    settle();
  }
  if (end !== null) take(end);
  settle();
  // Whatever is under way arrives, and what can be answered is.
  while (peers.some(({ session, inbox, serving }) => session.hasDataToSend || inbox.length > 0 || (session.state === "ready" && serving.size > 0))) {
    for (const side of [0, 1] as const) {
      take({ do: "send", who: side, budget: 100_000 });
      take({ do: "deliver", who: side, count: 1000 });
      settle();
      while (peers[side].serving.size > 0 && peers[side].session.state === "ready") take({ do: "answer", who: side, which: 0 });
    }
  }
  if (end === null) {
    for (const { session } of peers) {
      assert.equal(session.state, "ready");
      assert.equal(session.hasDataToSend, false);
    }
  } else {
    for (const { session, closed } of peers) assert.deepEqual([session.state, closed], ["closed", 1]);
  }
  for (const [side, peer] of peers.entries()) {
    for (const [id, call] of peer.called) {
      assert.deepEqual([call.settled.length, call.cancelled], call.cancelled ? [0, true] : [1, false], `call ${id}`);
      // "Did not run" is a promise.
      if (call.settled[0] === "ResponseReceived") assert.ok(peers[1 - side]!.ran.has(id));
    }
  }
}

it("every call settles once and runs at most once, and nothing is left behind", () => {
  const config = fc.constantFrom<Partial<SessionConfig>>(
    {},
    { maxInFlight: 2, maxFrame: 500 },
    { encodings: new Set(["json"]), maxInFlight: 3 },
    { maxFrame: 600, coalesceBytes: 60 },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), last, config, (steps, end, limits) => {
      run(steps, end, { heartbeatInterval: 1e6, transferSeconds: 1e6, ...limits });
    }),
    { numRuns: Number(process.env["SCHEDULES"] ?? 1000) },
  );
});
