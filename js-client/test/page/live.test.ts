import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { fieldOf } from "../../page/fields.js";
import { kindName } from "../../page/kind-words.js";
import { KEPT, Live, POINTS, linesOf, numbersOf, rangeOf } from "../../page/live.js";
import { shortNumber } from "../../page/plot.js";
import { countWords } from "../../page/progress.js";
import { type Problem, readFields } from "../../page/values.js";

const feed = (live: Live, values: Iterable<unknown>): Live => {
  for (const value of values) live.add(value);
  return live;
};

describe("a stream on the page", () => {
  it("keeps the last items and their numbers, however many come", () => {
    const live = feed(new Live(), Array(100_000).keys());
    assert.equal(live.count, 100_000);
    assert.deepEqual([live.last().length, live.last()[0], live.last().at(-1)!.number], [KEPT, { number: 100_000, value: 99_999 }, 100_001 - KEPT]);
    assert.ok(live.items.length < 2 * KEPT && live.series![0]!.values.length < 2 * POINTS);
  });

  it("tells how fast they come, over the last seconds", () => {
    const live = new Live();
    assert.equal(live.rate(0), null);
    for (let second = 1; second <= 10; second++) {
      feed(live, Array(5).keys());
      assert.equal(live.rate(second * 1000), 5);
    }
    assert.equal(live.rate(14_000), 0);
  });

  it("plots numbers, and records and lists of a few", () => {
    assert.deepEqual(numbersOf(2.5), [["", 2.5]]);
    assert.deepEqual(numbersOf(2n ** 60n), [["", 2 ** 60]]);
    assert.deepEqual(numbersOf({ sensor: "lidar", x: 1, y: -2 }), [
      ["x", 1],
      ["y", -2],
    ]);
    assert.deepEqual(numbersOf([1, 2]), [
      ["0", 1],
      ["1", 2],
    ]);
    for (const other of ["1", null, true, [], [1, "a"], {}, { a: "b" }, [1, 2, 3, 4, 5], new Uint8Array(2), new Date()]) assert.equal(numbersOf(other), null);
    assert.deepEqual(feed(new Live(), [{ x: 1 }, { x: 2 }]).series, [{ name: "x", values: [1, 2] }]);
    for (const mixed of [[1, "a"], [1, { x: 1 }], [{ x: 1 }, { y: 1 }], ["a", 1]]) assert.equal(feed(new Live(), mixed).series, null);
  });

  it("draws lines that fill their box, with gaps where there is no number", () => {
    const range = { least: 0, greatest: 10 };
    assert.deepEqual(linesOf([0, 5, 10], range, 100, 50), ["0.0,50.0 50.0,25.0 100.0,0.0"]);
    assert.deepEqual(linesOf([0, NaN, 10], range, 100, 50), ["0.0,50.0 0.0,50.0", "100.0,0.0 100.0,0.0"]);
    assert.deepEqual(linesOf([3], { least: 3, greatest: 3 }, 100, 50), ["0.0,25.0 0.0,25.0"]);
    assert.equal(linesOf([...Array(3 * POINTS).keys()], range, 100, 50)[0]!.split(" ").length, POINTS);
    assert.deepEqual(rangeOf([{ name: "", values: [NaN, 2, -1, Infinity] }]), { least: -1, greatest: 2 });
    assert.equal(rangeOf([{ name: "", values: [NaN] }]), null);
  });
});

it("a parameter that is a stream is named so, and left to programs", () => {
  const stream = { type: "object", "x-stream": true, items: { type: "integer" } };
  const field = fieldOf({ name: "numbers", description: "", required: false, schema: stream, variadic: null }, {});
  assert.deepEqual([field.kind.type, kindName(field.kind)], ["stream", "stream of integer"]);
  assert.equal(kindName(fieldOf({ name: "r", description: "", required: true, schema: { "x-stream": true }, variadic: null }, {}).kind), "stream");
  const problems: Problem[] = [];
  const nothing = [{ mode: "value" as const, input: { type: "text" as const, text: "" } }];
  assert.deepEqual({ ...readFields([field], nothing, [], problems) }, {});
  assert.deepEqual(problems, []);
  readFields([{ ...field, required: true }], nothing, [], problems);
  assert.deepEqual(problems, [{ path: ["numbers"], message: "only a program can give a stream" }]);
});

it("progress is told in words", () => {
  assert.deepEqual([countWords(3, 10), countWords(12, 10), countWords(1.5, null)], ["3 of 10, 30 %", "12 of 10, 100 %", "1.5"]);
  assert.deepEqual([1234567, 0.123456, 1e12, -3].map(shortNumber), ["1,234,567", "0.1235", "1000000000000", "-3"]);
});
