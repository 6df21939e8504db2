import assert from "node:assert/strict";
import { test } from "node:test";

import { ExposeError, type Issue } from "../../src/errors.js";
import { MAX_METHOD_LENGTH } from "../../src/limits.js";
import { type ExposeOptions, type Handler, Registry, bindArguments } from "../../src/service/registry.js";

const AB = { type: "object", properties: { a: { type: "integer" }, b: { type: "string" } }, required: ["a"] };

function bound(fn: Handler, options: ExposeOptions, params: unknown): { args: unknown[]; issues: Issue[] } {
  const registry = new Registry();
  registry.expose("f", fn, options);
  const issues: Issue[] = [];
  return { args: bindArguments(registry.method("f")!, params, issues), issues };
}

test("only the very name reaches a function", () => {
  const registry = new Registry();
  registry.expose("add", (a: number, b: number) => a + b);
  assert.equal(registry.method("add")?.name, "add");
  for (const name of ["Add", "add ", "add.call", "__proto__", "constructor", "toString", "hasOwnProperty", "", "add\u0000"]) {
    assert.equal(registry.method(name), undefined, JSON.stringify(name));
  }
});

test("names are 1 to maxMethodLength printable characters, none of the protocol's, each once", () => {
  const registry = new Registry();
  registry.expose("x".repeat(MAX_METHOD_LENGTH), () => 1);
  registry.expose("größe.µ", () => 1);
  for (const name of ["x".repeat(MAX_METHOD_LENGTH + 1), "", "a\nb", "rpc.x", "größe.µ", "\ud800", 7 as unknown as string]) {
    assert.throws(() => registry.expose(name, () => 1), ExposeError, JSON.stringify(name));
  }
  assert.throws(() => registry.expose("f", 7 as unknown as Handler), ExposeError);
});

test("a schema that can't be enforced is refused when the function is exposed", () => {
  for (const params of [
    { type: "array" },
    { type: "object", properties: { a: { $ref: "#/x" } } },
    { type: "object", properties: { a: { type: "int" } } },
    { type: "object", properties: { a: { pattern: ".*" } } },
    { type: "object", properties: {}, required: ["a"] },
    { type: "object", additionalProperties: true },
    { type: "object", minProperties: 1 },
    { type: "object", properties: { a: { minimum: "1" } } },
  ]) {
    assert.throws(() => new Registry().expose("f", () => 1, { params }), ExposeError, JSON.stringify(params));
  }
});

test("without a schema a function gets the arguments as they were sent", () => {
  assert.deepEqual(bound(() => 1, {}, [1, 2]).args, [1, 2]);
  assert.deepEqual(bound(() => 1, {}, { a: 1 }).args, [{ a: 1 }]);
});

test("with a schema it gets them by position, whichever way they were sent", () => {
  assert.deepEqual(bound(() => 1, { params: AB }, [1, "x"]), { args: [1, "x"], issues: [] });
  assert.deepEqual(bound(() => 1, { params: AB }, { b: "x", a: 1 }), { args: [1, "x"], issues: [] });
  assert.deepEqual(bound(() => 1, { params: AB }, [1]), { args: [1, undefined], issues: [] });
});

test("what does not fit is told with its path, what was expected and what came", () => {
  const cases: [unknown, Issue[]][] = [
    [[], [{ path: ["a"], expected: "a value", got: "nothing" }]],
    [["1"], [{ path: ["a"], expected: "integer", got: '"1"' }]],
    [[1.5], [{ path: ["a"], expected: "integer", got: "1.5" }]],
    [[true], [{ path: ["a"], expected: "integer", got: "true" }]],
    [[1, "x", 2], [{ path: [], expected: "at most 2 arguments", got: "3" }]],
    [{ a: 1, c: 2 }, [{ path: ["c"], expected: "one of a, b", got: "an unknown name" }]],
    [{ b: "x" }, [{ path: ["a"], expected: "a value", got: "nothing" }]],
    [JSON.parse('{"a":1,"__proto__":2}'), [{ path: ["__proto__"], expected: "one of a, b", got: "an unknown name" }]],
  ];
  for (const [params, issues] of cases) {
    assert.deepEqual(bound(() => 1, { params: AB }, params).issues, issues, JSON.stringify(params));
  }
});

test("the context has its place, and no argument can stand there", () => {
  const fn = (_ms: number, _context: unknown): number => 1;
  assert.deepEqual(bound(fn, { context: true }, [5]).args, [5]);
  assert.deepEqual(bound(fn, { context: true }, []).args, [undefined]);
  assert.deepEqual(bound(fn, { context: true }, [5, "forged"]).issues, [{ path: [], expected: "at most 1 arguments", got: "2" }]);
  assert.throws(() => new Registry().expose("f", () => 1, { context: true }), ExposeError);
});

test("discover describes what is offered", () => {
  const registry = new Registry();
  registry.expose("f", () => 1, { description: "Does it.", params: AB, result: { type: "integer" } });
  assert.deepEqual(registry.openrpc("page"), {
    openrpc: "1.3.2",
    info: { title: "page", version: "1" },
    methods: [
      {
        name: "f",
        description: "Does it.",
        paramStructure: "either",
        params: [
          { name: "a", required: true, schema: { type: "integer" } },
          { name: "b", required: false, schema: { type: "string" } },
        ],
        result: { name: "result", schema: { type: "integer" } },
      },
    ],
  });
});
