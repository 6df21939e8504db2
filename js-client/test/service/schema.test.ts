import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import type { Issue } from "../../src/errors.js";
import { RpcFile } from "../../src/file.js";
import { type JsonSchema, checkValue } from "../../src/service/schema.js";

function issuesOf(schema: JsonSchema, value: unknown): Issue[] {
  const issues: Issue[] = [];
  checkValue(schema, value, ["v"], issues);
  return issues;
}

test("each keyword takes what it says and refuses the rest", () => {
  const cases: [JsonSchema, unknown[], unknown[]][] = [
    [{ type: "null" }, [null], [0, undefined, ""]],
    [{ type: "boolean" }, [true], ["true", 1]],
    [{ type: "integer" }, [1, -0, 10n ** 30n, 2 ** 53 - 1], [1.5, "1", true, NaN, Infinity]],
    [{ type: "number" }, [1.5, 1n, NaN], ["1"]],
    [{ type: "string" }, ["", "x"], [new Uint8Array(1), 1, new Date()]],
    [{ type: "string", format: "binary" }, [new Uint8Array(1)], [[1]]],
    [{ type: "string", format: "date-time" }, [new Date()], [1]],
    [{ type: "array" }, [[]], [{}, "x", new Uint8Array(1)]],
    [{ type: "object" }, [{}, Object.create(null)], [[], null, new Uint8Array(1), new Date()]],
    [{ type: ["integer", "null"] }, [1, null], ["x"]],
    [{ enum: ["a", 1] }, ["a", 1], ["1", null]],
    [{ const: 5 }, [5], ["5"]],
    [{ minimum: 1, maximum: 3 }, [1, 3, 2n, "not a number"], [0.99, 4n]],
    [{ exclusiveMinimum: 1, exclusiveMaximum: 3 }, [2], [1, 3]],
    [{ minLength: 1, maxLength: 2 }, ["é", "🤖🤖"], ["", "abc"]],
    [{ minItems: 1, maxItems: 2, items: { type: "integer" } }, [[1]], [[], [1, 2, 3], ["x"]]],
    [{ properties: { a: { type: "integer" } }, required: ["a"] }, [{ a: 1, b: 2 }, []], [{}, { a: "x" }]],
    [{ properties: { a: {} }, additionalProperties: false }, [{ a: 1 }, {}], [{ b: 1 }]],
    [{ additionalProperties: { type: "integer" } }, [{ b: 1 }], [{ b: "x" }]],
    [{ anyOf: [{ type: "integer" }, { type: "string" }] }, [1, "x"], [null]],
    [{ type: "object", "x-file": true }, [new RpcFile({ name: "a", size: 0, type: "" })], [{}, "x", null, undefined]],
  ];
  for (const [schema, good, bad] of cases) {
    for (const value of good) {
      assert.deepEqual(issuesOf(schema, value), [], `${JSON.stringify(schema)} takes ${inspect(value)}`);
    }
    for (const value of bad) {
      assert.notEqual(issuesOf(schema, value).length, 0, `${JSON.stringify(schema)} refuses ${inspect(value)}`);
    }
  }
});

test("the path leads to what is wrong", () => {
  const schema = { properties: { rows: { items: { properties: { x: { type: "integer" } } } } } };
  assert.deepEqual(issuesOf(schema, { rows: [{ x: 1 }, { x: "two" }] }), [{ path: ["v", "rows", 1, "x"], expected: "integer", got: '"two"' }]);
});

test("what came is told in a few words, whatever it is", () => {
  const got = (value: unknown): string | undefined => issuesOf({ const: 0 }, value)[0]?.got;
  assert.equal(got("x".repeat(1000))?.length, 42);
  assert.equal(got([1, 2]), "a list of 2");
  assert.equal(got(new Uint8Array(3)), "3 bytes");
  assert.equal(got({}), "an object");
  assert.equal(got(5n), "5");
});

test("the first issues are enough", () => {
  assert.equal(issuesOf({ items: { type: "integer" } }, new Array(1000).fill("x")).length, 16);
});
