import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import { FrameReader } from "../../src/core/frames.js";
import { Lanes } from "../../src/core/lanes.js";

const bytes = (size: number, fill = 0xc0): Uint8Array => new Uint8Array(size).fill(fill);
const envelopesIn = (frame: Uint8Array | string): number[] => {
  assert.ok(typeof frame !== "string" && frame[0] === 0);
  return [...frame.subarray(1)];
};

describe("lanes", () => {
  it("send control before calls before parts", () => {
    const lanes = new Lanes({ maxFrame: 64, coalesce: 16 });
    lanes.pushCall(bytes(100, 3));
    lanes.pushCall(bytes(12, 2));
    lanes.pushControl(bytes(12, 1));
    const frames = lanes.dataToSend(1000) as Uint8Array[];
    assert.deepEqual(frames.map((frame) => [frame[0], frame.at(-1)]), [[0, 1], [0, 2], [1, 3], [2, 3]]);
    assert.ok(lanes.isEmpty);
    assert.equal(lanes.queuedBytes, 0);
  });

  it("let small envelopes share frames of the size to fill, control first", () => {
    const lanes = new Lanes({ maxFrame: 64, coalesce: 11 });
    for (let i = 1; i <= 5; i++) lanes.pushCall(bytes(4, i));
    lanes.pushControl(bytes(2, 9));
    const frames = lanes.dataToSend(1000);
    assert.deepEqual(frames.map(envelopesIn), [
      [9, 9, 1, 1, 1, 1, 2, 2, 2, 2],
      [3, 3, 3, 3, 4, 4, 4, 4],
      [5, 5, 5, 5],
    ]);
  });

  it("never let a call that fits pass something urgent that does not", () => {
    const lanes = new Lanes({ maxFrame: 64, coalesce: 11 });
    lanes.pushControl(bytes(4, 1));
    lanes.pushControl(bytes(20, 2));
    lanes.pushCall(bytes(2, 3));
    assert.deepEqual(lanes.dataToSend(1000).map((frame) => [...new Set(envelopesIn(frame))]), [[1], [2], [3]]);
  });

  it("send a middling envelope whole, and text frames one by one in their turn", () => {
    const lanes = new Lanes({ maxFrame: 64, coalesce: 11 });
    lanes.pushCall(bytes(1, 1));
    lanes.pushCall("text");
    lanes.pushCall(bytes(63, 2));
    lanes.pushCall(bytes(1, 3));
    const frames = lanes.dataToSend(1000);
    assert.deepEqual(frames.map((frame) => (typeof frame === "string" ? frame : frame.length)), [2, "text", 64, 2]);
  });

  it("split what is one byte too long, and text by its bytes", () => {
    const lanes = new Lanes({ maxFrame: 64 });
    lanes.pushCall(bytes(64));
    lanes.pushCall("x".repeat(64));
    lanes.pushCall("é".repeat(33));
    const frames = lanes.dataToSend(1000);
    assert.equal(frames[0], "x".repeat(64));
    assert.deepEqual(frames.slice(1).map((frame) => [frame[0], frame.length]), [[1, 64], [3, 64], [2, 4], [4, 6]]);
  });

  it("give each long message a part in turn, at most maxTransfers at once, ids rising as they start", () => {
    const lanes = new Lanes({ maxFrame: 12, maxTransfers: 2 });
    for (let i = 1; i <= 3; i++) lanes.pushCall(bytes(25, i));
    const frames = lanes.dataToSend(1000) as Uint8Array[];
    assert.deepEqual(
      frames.map((frame) => [frame[1], frame.at(-1)]),
      [[1, 1], [2, 2], [1, 1], [2, 2], [1, 1], [2, 2], [3, 3], [3, 3], [3, 3]],
    );
  });

  it("let a call pass a long message that is under way", () => {
    const lanes = new Lanes({ maxFrame: 12 });
    lanes.pushCall(bytes(25, 1));
    assert.deepEqual((lanes.dataToSend(1)[0] as Uint8Array)[0], 1);
    lanes.pushCall(bytes(3, 2));
    assert.deepEqual(envelopesIn(lanes.dataToSend(1)[0]!), [2, 2, 2]);
    assert.deepEqual((lanes.dataToSend(1)[0] as Uint8Array)[0], 1);
  });

  it("keep to the budget but for the last frame, and send nothing for none", () => {
    const lanes = new Lanes({ maxFrame: 100 });
    lanes.pushCall(bytes(1000));
    assert.deepEqual(lanes.dataToSend(0), []);
    assert.deepEqual(lanes.dataToSend(-5), []);
    assert.equal(lanes.dataToSend(1).length, 1);
    assert.equal(lanes.dataToSend(101).length, 2);
    assert.equal(lanes.queuedBytes, 1000);
    assert.equal(lanes.dataToSend(100_000).length, 8);
    assert.equal(lanes.queuedBytes, 0);
  });

  it("give back what has not begun to go out, and only that", () => {
    const lanes = new Lanes({ maxFrame: 12 });
    const small = lanes.pushCall(bytes(3));
    const long = lanes.pushCall(bytes(30));
    const later = lanes.pushCall(bytes(30));
    assert.equal(lanes.withdraw(small), true);
    assert.equal(lanes.queuedBytes, 60);
    lanes.dataToSend(1);
    assert.equal(lanes.withdraw(long), false);
    assert.equal(lanes.withdraw(later), true);
    const rest = lanes.dataToSend(1000) as Uint8Array[];
    assert.deepEqual([...new Set(rest.map((frame) => frame[1]))], [1]);
    assert.equal(lanes.queuedBytes, 0);
    assert.ok(lanes.isEmpty);
  });

  it("send what must not overtake a long message behind its last part", () => {
    const lanes = new Lanes({ maxFrame: 12 });
    const long = lanes.pushCall(bytes(25, 1));
    lanes.dataToSend(1);
    lanes.pushBehind(long, bytes(2, 7));
    const frames = lanes.dataToSend(1000) as Uint8Array[];
    assert.deepEqual(frames.map((frame) => frame[0]), [1, 2, 0]);
    assert.deepEqual(envelopesIn(frames.at(-1)!), [7, 7]);
    lanes.pushBehind(long, bytes(2, 8));
    assert.deepEqual(envelopesIn(lanes.dataToSend(1)[0]!), [8, 8]);
    const small = lanes.pushCall(bytes(2, 5));
    lanes.pushBehind(small, bytes(2, 6));
    assert.deepEqual(envelopesIn(lanes.dataToSend(1)[0]!), [5, 5, 6, 6]);
  });

  it("forget what is not to be kept, and always what travels in parts", () => {
    const fill = (): Lanes => {
      const lanes = new Lanes({ maxFrame: 12 });
      lanes.pushCall(bytes(30));
      lanes.dataToSend(5);
      lanes.pushCall(bytes(3, 8));
      lanes.pushControl(bytes(2, 9));
      assert.deepEqual([lanes.hasCalls, lanes.waitingControl], [true, 1]);
      return lanes;
    };
    for (const [keep, left] of [
      [{}, []],
      [{ keepControl: true }, [[9, 9]]],
      [{ keepControl: true, keepCalls: true }, [[9, 9, 8, 8, 8]]],
    ] as const) {
      const lanes = fill();
      lanes.clear(keep);
      assert.equal(lanes.queuedBytes, left.flat().length);
      assert.deepEqual(lanes.dataToSend(1000).map(envelopesIn), left);
      assert.ok(lanes.isEmpty);
    }
  });

  it("lose nothing, repeat nothing, and never pass the frame, whatever is pushed and however it is asked for", () => {
    const step = fc.oneof(
      fc.record({ push: fc.constantFrom("call", "control", "text"), size: fc.integer({ min: 1, max: 120 }) }),
      fc.record({ budget: fc.integer({ min: 1, max: 80 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 16, max: 64 }), (steps, maxFrame) => {
        const lanes = new Lanes({ maxFrame, coalesce: 40, maxTransfers: 3 });
        const reader = new FrameReader({ maxFrame, maxTransfers: 3 });
        const pushed: string[] = [];
        const got: string[] = [];
        let queued = 0;
        const take = (budget: number): void => {
          for (const frame of lanes.dataToSend(budget)) {
            const whole = reader.feed(frame, 0);
            if (whole === null) continue;
            // Each message is a run of one byte, so that frames can be taken apart again.
            const all = typeof whole === "string" ? [whole] : (Buffer.from(whole).toString("latin1").match(/\u0000[^\u0000]*/g) ?? []);
            got.push(...all);
          }
        };
        for (const one of steps) {
          if ("budget" in one) {
            take(one.budget);
            continue;
          }
          const text = `\u0000${String.fromCharCode(65 + (pushed.length % 26)).repeat(one.size)}`;
          pushed.push(text);
          queued += one.size + 1;
          if (one.push === "text") lanes.pushCall(text);
          else if (one.push === "call") lanes.pushCall(new Uint8Array(Buffer.from(text)));
          else lanes.pushControl(new Uint8Array(Buffer.from(text)));
          assert.ok(lanes.queuedBytes <= queued);
        }
        take(1_000_000);
        assert.deepEqual(got.sort(), pushed.sort());
        assert.equal(lanes.queuedBytes, 0);
        assert.ok(lanes.isEmpty);
        assert.equal(reader.held, 0);
      }),
      { numRuns: 300 },
    );
  });
});
