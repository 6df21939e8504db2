import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { FileSource } from "../../src/file.js";
import { type Field, fieldOf } from "../../page/fields.js";
import type { Method, Param } from "../../page/openrpc.js";
import {
  type Entry,
  type Input,
  type Mode,
  OMITTED,
  type Problem,
  asksMode,
  modesOf,
  paramsOf,
  readEntry,
  readFields,
} from "../../page/values.js";

function field(schema: unknown, required = true, name = "it"): Field {
  return fieldOf({ name, description: "", required, schema, variadic: null }, {});
}

function text(value: string, mode: Mode = "value"): Entry {
  return { mode, input: { type: "text", text: value } };
}

function read(schema: unknown, entry: Entry, required = true): { value: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  const value = readEntry(field(schema, required), entry, ["it"], problems);
  return { value, problems };
}

function good(schema: unknown, entry: Entry, required = true): unknown {
  const { value, problems } = read(schema, entry, required);
  assert.deepEqual(problems, []);
  return value;
}

function bad(schema: unknown, entry: Entry, required = true): string {
  const { problems } = read(schema, entry, required);
  assert.equal(problems.length, 1);
  assert.deepEqual(problems[0]?.path, ["it"]);
  return problems[0]?.message ?? "";
}

describe("what is filled in becomes a typed value", () => {
  it("integers are integers, and stay exact beyond 2^53", () => {
    assert.equal(good({ type: "integer" }, text(" -7 ")), -7);
    assert.equal(good({ type: "integer" }, text("+7")), 7);
    assert.equal(good({ type: "integer" }, text("9007199254740991")), 9007199254740991);
    assert.equal(good({ type: "integer" }, text("9007199254740993")), 9007199254740993n);
    for (const wrong of ["1.5", "1e3", "x", "?", "--1", "0x10"]) {
      assert.match(bad({ type: "integer" }, text(wrong)), /expected an integer/);
    }
  });

  it("numbers take every way of writing them, NaN and infinities included", () => {
    for (const [given, value] of [
      ["1.5", 1.5],
      ["-2e-3", -0.002],
      [".5", 0.5],
      ["3", 3],
      ["inf", Infinity],
      ["-inf", -Infinity],
      ["nan", Number.NaN],
    ] as const) {
      assert.equal(good({ type: "number" }, text(given)), value);
    }
    assert.match(bad({ type: "number" }, text("1,5")), /expected a number/);
  });

  it("bounds are held at n and n+1", () => {
    const schema = { type: "integer", minimum: 1, maximum: 3 };
    assert.equal(good(schema, text("1")), 1);
    assert.equal(good(schema, text("3")), 3);
    assert.equal(bad(schema, text("0")), "expected 1 or more");
    assert.equal(bad(schema, text("4")), "expected 3 or less");
    assert.equal(bad({ type: "number", exclusiveMinimum: 0 }, text("0")), "expected more than 0");
    assert.equal(good({ type: "string", maxLength: 2 }, text("ab")), "ab");
    assert.match(bad({ type: "string", maxLength: 2 }, text("abc")), /at most 2 characters, got 3/);
    // Characters, not UTF-16 units.
    assert.equal(good({ type: "string", maxLength: 2 }, text("😀😀")), "😀😀");
  });

  it("an empty text is a text; other empty boxes are no value", () => {
    assert.equal(good({ type: "string" }, text("")), "");
    assert.match(bad({ type: "integer" }, text("")), /expected an integer/);
    assert.equal(good({ type: "integer", default: 3 }, text(""), false), OMITTED);
    assert.equal(good({ type: ["integer", "null"] }, text("")), null);
  });

  it("a default, null and a value are three things", () => {
    const schema = { anyOf: [{ type: "string" }, { type: "null" }], default: "x" };
    assert.deepEqual(modesOf(field(schema, false)), ["omit", "value", "null"]);
    assert.equal(asksMode(field(schema, false)), true);
    assert.equal(good(schema, text("", "omit"), false), OMITTED);
    assert.equal(good(schema, text("", "null"), false), null);
    assert.equal(good(schema, text("", "value"), false), "");
  });

  it("the mode is asked for only where an empty box could mean two things", () => {
    assert.equal(asksMode(field({ type: "integer", default: 1 }, false)), false);
    assert.equal(asksMode(field({ type: "boolean", default: true }, false)), false);
    assert.equal(asksMode(field({ type: "boolean" }, false)), true);
    assert.equal(asksMode(field({ anyOf: [{ type: "integer" }, { type: "null" }], default: null }, false)), false);
    assert.equal(asksMode(field({ type: "array", items: { type: "integer" }, default: [] }, false)), true);
    assert.equal(asksMode(field({ type: "string" })), false);
  });

  it("choices give the value of the option, of whatever type", () => {
    const chosen = (index: number | null): Entry => ({ mode: "value", input: { type: "chosen", index } });
    assert.equal(good({ enum: ["a", 2, false] }, chosen(1)), 2);
    assert.equal(good({ enum: ["a", 2, false] }, chosen(2)), false);
    assert.equal(bad({ enum: ["a"] }, chosen(null)), "choose one");
  });

  it("a file is bytes, an instant is a Date, a date stays text", () => {
    const bytes = new Uint8Array([1, 2]);
    const source = new FileSource(new File(["abc"], "a.txt"));
    const file = { type: "object", "x-file": true };
    assert.equal(good(file, { mode: "value", input: { type: "source", source } }), source);
    assert.match(bad(file, { mode: "value", input: { type: "source", source: null } }), /choose a file/);
    assert.equal(good(file, { mode: "value", input: { type: "source", source: null } }, false), OMITTED);
    assert.equal(good({ type: "string", format: "binary" }, { mode: "value", input: { type: "file", bytes, name: "a" } }), bytes);
    assert.match(
      bad({ type: "string", format: "binary" }, { mode: "value", input: { type: "file", bytes: null, name: "" } }),
      /choose a file/,
    );
    const instant = good({ type: "string", format: "date-time" }, text("2026-01-02T03:04:05"));
    assert.ok(instant instanceof Date);
    assert.equal(instant.getTime(), new Date(2026, 0, 2, 3, 4, 5).getTime());
    assert.equal(good({ type: "string", format: "date" }, text("2026-01-02")), "2026-01-02");
  });

  it("JSON is read by the client's own reader", () => {
    assert.deepEqual(good({ type: "array" }, text('[1, {"$bytes": "AQI"}]')), [1, new Uint8Array([1, 2])]);
    assert.equal(good({}, text('{"$int": "36893488147419103232"}')), 36893488147419103232n);
    assert.match(bad({ type: "array" }, text('{"a": 1}')), /expected a list/);
    assert.match(bad({ type: "object", additionalProperties: true }, text("[1]")), /expected an object/);
    assert.match(bad({}, text("{")), /expected JSON/);
    const value = good({ type: "object", additionalProperties: true }, text('{"__proto__": {"polluted": 1}}'));
    assert.equal(Object.getPrototypeOf(value), null);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
  });

  it("problems inside lists and objects say where they are", () => {
    const schema = {
      type: "array",
      items: { type: "object", properties: { x: { type: "integer" }, y: { type: "integer" } }, required: ["x"] },
      minItems: 2,
    };
    const item = (x: string): Entry => ({ mode: "value", input: { type: "entries", entries: [text(x), text("")] } });
    const given: Entry = { mode: "value", input: { type: "entries", entries: [item("1"), item("no")] } };
    const { value, problems } = read(schema, given);
    assert.deepEqual(
      problems.map(({ path }) => path),
      [["it", 1, "x"]],
    );
    assert.deepEqual((value as { x: number }[])[0]?.x, 1);
    assert.match(bad(schema, { mode: "value", input: { type: "entries", entries: [item("1")] } }), /at least 2 items, got 1/);
  });

  it("a union takes the variant that was picked", () => {
    const input: Input = { type: "variant", index: 1, input: { type: "text", text: "7" } };
    assert.equal(good({ anyOf: [{ type: "integer" }, { type: "string" }] }, { mode: "value", input }), "7");
    assert.equal(good({ anyOf: [{ type: "integer" }, { type: "string" }] }, { mode: "value", input: { ...input, index: 0 } }), 7);
  });

  it("arguments named as the language's own members are arguments", () => {
    const fields = ["__proto__", "constructor", "toString"].map((name) => field({ type: "integer" }, true, name));
    const named = readFields(fields, [text("1"), text("2"), text("3")], [], []);
    assert.deepEqual(Object.entries(named), [
      ["__proto__", 1],
      ["constructor", 2],
      ["toString", 3],
    ]);
    assert.equal(Object.getPrototypeOf(named), null);
  });
});

describe("the params of a call", () => {
  const param = (name: string, more: Partial<Param> = {}): Param => ({
    name,
    description: "",
    required: true,
    schema: { type: "integer" },
    variadic: null,
    ...more,
  });
  const method = (params: readonly Param[], byPosition = false): Method => ({
    name: "m",
    doc: "",
    params,
    byPosition,
    result: null,
  });
  const build = (given: Method, named: Record<string, unknown>): { params: unknown; problems: Problem[] } => {
    const problems: Problem[] = [];
    const fields = given.params.map((one) => fieldOf(one, {}));
    return { params: paramsOf(given, fields, named, problems), problems };
  };

  it("go by name, and what is left out stays out", () => {
    assert.deepEqual({ ...(build(method([param("a"), param("b", { required: false })]), { a: 1 }).params as object) }, { a: 1 });
  });

  it("go by position where the method says so, gaps filled with defaults", () => {
    const given = method(
      [param("a"), param("b", { required: false, schema: { type: "integer", default: 5 } }), param("c", { required: false })],
      true,
    );
    assert.deepEqual(build(given, { a: 1 }).params, [1]);
    assert.deepEqual(build(given, { a: 1, c: 3 }).params, [1, 5, 3]);
    const gap = method([param("a", { required: false }), param("b")], true);
    assert.deepEqual(
      build(gap, { b: 1 }).problems.map(({ path }) => path),
      [["a"]],
    );
  });

  it("further arguments by position make it a list, those by name join the others", () => {
    const rest = param("rest", {
      required: false,
      variadic: "positional",
      schema: { type: "array", items: { type: "integer" } },
    });
    assert.deepEqual(build(method([param("a"), rest]), { a: 1, rest: [2, 3] }).params, [1, 2, 3]);
    assert.deepEqual({ ...(build(method([param("a"), rest]), { a: 1, rest: [] }).params as object) }, { a: 1 });
    const more = param("more", { required: false, variadic: "named", schema: { type: "object" } });
    assert.deepEqual({ ...(build(method([param("a"), more]), { a: 1, more: { x: 2 } }).params as object) }, { a: 1, x: 2 });
  });
});
