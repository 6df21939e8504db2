/**
 * Streams of two sessions under random schedules: frames late but in order, readers that take when they like, stops and ends at any time, small
 * and long items, little credit. Whatever happens, items come in order and once, a reader never holds more than a window and a message, and
 * nobody waits for ever.
 */

import assert from "node:assert/strict";
import { it } from "node:test";

import fc from "fast-check";

import type { Session, SessionConfig } from "../../src/core/session.js";
import { StreamRef } from "../../src/core/values.js";
import { type End, pair } from "./support/sessions.js";

/** What happens next; `who` is the side that it happens at. */
type Step =
  | { readonly do: "open"; readonly who: 0 | 1; readonly beside: number }
  | { readonly do: "give"; readonly who: 0 | 1; readonly which: number; readonly size: number; readonly count: number; readonly nests: boolean }
  | { readonly do: "end" | "stop"; readonly who: 0 | 1; readonly which: number }
  | { readonly do: "take"; readonly who: 0 | 1; readonly which: number; readonly count: number }
  | { readonly do: "call"; readonly who: 0 | 1; readonly size: number }
  | { readonly do: "send"; readonly who: 0 | 1; readonly budget: number }
  | { readonly do: "deliver"; readonly who: 0 | 1; readonly count: number };

const who = fc.constantFrom<0 | 1>(0, 1);
const which = fc.nat(20);
const size = fc.oneof({ weight: 6, arbitrary: fc.nat(30) }, { weight: 2, arbitrary: fc.nat(1500) }, { weight: 1, arbitrary: fc.nat(6000) });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("open" as const), who, beside: size }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("give" as const), who, which, size, count: fc.integer({ min: 1, max: 5 }), nests: fc.nat(9).map((n) => n === 0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), who, which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stop" as const), who, which }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("take" as const), who, which, count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("call" as const), who, size }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("send" as const), who, budget: fc.integer({ min: 1, max: 3000 }) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("deliver" as const), who, count: fc.integer({ min: 1, max: 6 }) }) },
);

/** A stream as its owner knows it. */
interface Given {
  /** It stands in an item of that stream; null for one in a notification. */
  readonly inside: number | null;
  next: number;
  ended: boolean;
  stopped: boolean;
  writable: boolean;
}

/** A stream as its reader knows it: what came and was not taken. */
interface Read {
  expected: number;
  held: { readonly items: number; readonly size: number }[];
  ended: boolean;
  stopped: boolean;
}

class Peer {
  readonly given = new Map<number, Given>();
  readonly read = new Map<number, Read>();
  readonly inbox: (Uint8Array | string)[] = [];
  largest = 0;

  constructor(
    readonly end: End,
    readonly window: number,
  ) {}

  get session(): Session {
    return this.end.session;
  }

  turn(): void {
    this.end.turn(0);
    for (const event of this.end.events.splice(0)) {
      switch (event.type) {
        case "NotificationReceived":
          this.#arrived(event.streams);
          break;
        case "StreamItems": {
          const stream = this.read.get(event.stream)!;
          assert.ok(!stream.ended && !stream.stopped, "an item behind the end");
          for (const item of event.items as [number, ...unknown[]][]) assert.equal(item[0], stream.expected++, "in order, and once");
          stream.held.push({ items: event.items.length, size: event.size });
          this.largest = Math.max(this.largest, event.size);
          const holds = stream.held.reduce((sum, chunk) => sum + chunk.size, 0);
          assert.ok(holds < this.window + event.size, `holds ${holds} of a window of ${this.window} and a message of ${event.size}`);
          this.#arrived(event.streams);
          break;
        }
        case "StreamEnded": {
          const stream = this.read.get(event.stream)!;
          assert.ok(!stream.ended && !stream.stopped, "two ends");
          assert.equal(event.error, null);
          stream.ended = true;
          break;
        }
        case "StreamWritable":
          this.given.get(event.stream)!.writable = true;
          break;
        case "StreamStopped": {
          const stream = this.given.get(event.stream)!;
          assert.ok(!stream.stopped && !stream.ended, "stopped twice, or behind its end");
          stream.stopped = true;
          break;
        }
        case "SessionClosed":
          assert.fail(event.error.message);
      }
    }
  }

  #arrived(streams: readonly number[]): void {
    for (const id of streams) {
      assert.ok(!this.read.has(id), "an id twice");
      this.read.set(id, { expected: 0, held: [], ended: false, stopped: false });
    }
  }
}

function run(steps: readonly Step[], configs: readonly [Partial<SessionConfig>, Partial<SessionConfig>]): void {
  const both = pair({ a: configs[0], b: configs[1] });
  both.run();
  const peers = [new Peer(both.a, configs[0].streamWindow!), new Peer(both.b, configs[1].streamWindow!)] as const;
  for (const peer of peers) peer.turn();

  const open = (peer: Peer, inside: number | null): number => {
    const id = peer.session.openStream();
    peer.given.set(id, { inside, next: 0, ended: false, stopped: false, writable: false });
    return id;
  };
  const pick = <Value>(map: Map<number, Value>, fits: (value: Value) => boolean, which: number): [number, Value] | undefined => {
    const all = [...map].filter(([, value]) => fits(value));
    return all[which % all.length];
  };
  const take = (one: Step): void => {
    const peer = peers[one.who];
    const { session } = peer;
    switch (one.do) {
      case "open": {
        if (session.openStreams.ours >= 8) return;
        const id = open(peer, null);
        session.sendNotification("take", [new StreamRef(id), "x".repeat(one.beside)], undefined, [id]);
        return;
      }
      case "give": {
        const found = pick(peer.given, (stream) => !stream.ended && !stream.stopped && stream.writable, one.which);
        if (found === undefined) return;
        const [id, stream] = found;
        const nested = one.nests && session.openStreams.ours < 8 ? [open(peer, id)] : [];
        const items = Array.from({ length: one.count }, () => [stream.next++, "x".repeat(one.size)] as unknown[]);
        for (const inner of nested) items.at(-1)!.push(new StreamRef(inner));
        session.sendItems(id, items, nested);
        if (session.isStreamFull(id)) stream.writable = false;
        return;
      }
      case "end": {
        const found = pick(peer.given, (stream) => !stream.ended && !stream.stopped && stream.writable, one.which);
        if (found === undefined) return;
        found[1].ended = true;
        session.endStream(found[0]);
        return;
      }
      case "stop": {
        const found = pick(peer.read, (stream) => !stream.ended && !stream.stopped, one.which);
        if (found === undefined) return;
        found[1].stopped = true;
        session.stopStream(found[0]);
        return;
      }
      case "take": {
        const found = pick(peer.read, (stream) => stream.held.length > 0 && !stream.stopped, one.which);
        for (const { size } of found?.[1].held.splice(0, one.count) ?? []) session.creditStream(found![0], size);
        return;
      }
      case "call":
        session.sendNotification("n", ["x".repeat(one.size)]);
        return;
      case "send":
        peers[1 - one.who]!.inbox.push(...session.dataToSend(one.budget));
        return;
      case "deliver":
        for (const frame of peer.inbox.splice(0, one.count)) session.receiveData(frame, 0);
        return;
    }
  };
  const settle = (): void => {
    for (const peer of peers) peer.turn();
  };
  for (const one of steps) {
    take(one);
    settle();
  }
  // From here on everything arrives, readers take what comes, and owners end what they began.
  for (let moved = true; moved; ) {
    moved = false;
    for (const side of [0, 1] as const) {
      const peer = peers[side];
      for (const [id, stream] of peer.given) {
        if (!stream.ended && !stream.stopped && stream.writable) {
          stream.ended = true;
          peer.session.endStream(id);
        }
      }
      for (const [id, { held, stopped }] of peer.read) {
        if (!stopped) for (const { size } of held.splice(0)) peer.session.creditStream(id, size);
      }
      const frames = peer.session.dataToSend(100_000);
      peers[1 - side]!.inbox.push(...frames);
      moved ||= frames.length > 0 || peer.inbox.length > 0;
      take({ do: "deliver", who: side, count: 1000 });
      settle();
    }
  }
  for (const [side, { session, given }] of peers.entries()) {
    assert.deepEqual([session.state, session.hasDataToSend, session.queuedBytes], ["ready", false, 0]);
    assert.deepEqual(session.openStreams, { ours: 0, theirs: 0 });
    for (const [id, { inside, next, ended }] of given) {
      const seen = peers[1 - side]!.read.get(id);
      // Nobody reads what stands in an item of a stream that was stopped, or not read either.
      if (seen === undefined) assert.ok(inside !== null && peers[1 - side]!.read.get(inside)?.stopped !== false, `stream ${id} was lost`);
      else if (!seen.stopped) assert.deepEqual([seen.expected, seen.ended, ended], [next, true, true], `stream ${id}`);
    }
  }
}

it("come whole, in order, once, within their credit, and never wait for one another", () => {
  const config = fc.record({
    streamWindow: fc.constantFrom(1, 100, 1000, 20_000),
    maxFrame: fc.constantFrom(500, 1000, 16384),
    encodings: fc.constantFrom(new Set(["msgpack", "json"]), new Set(["json"])),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), config, config, (steps, a, b) => {
      const still = { heartbeatInterval: 1e6, transferSeconds: 1e6 };
      run(steps, [
        { ...a, ...still },
        { ...b, ...still },
      ]);
    }),
    { numRuns: Number(process.env["SCHEDULES"] ?? 1000) },
  );
});
