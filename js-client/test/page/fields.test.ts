import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { type Field, type Kind, fieldOf } from "../../page/fields.js";
import { boundsOf, kindName, valueName } from "../../page/kind-words.js";

const ROOT = {
  components: {
    schemas: {
      Direction: { title: "Direction", description: "Where to go.", enum: ["north", "south"], type: "string" },
      Position: { type: "object", properties: { x: { type: "number", default: 0 }, y: { type: "number" } }, required: ["y"] },
      Tree: { type: "object", properties: { left: { $ref: "#/components/schemas/Tree" } } },
      Loop: { $ref: "#/components/schemas/Loop" },
      "odd/na~me": { type: "boolean" },
    },
  },
};

function field(schema: unknown, required = true): Field {
  return fieldOf({ name: "it", description: "", required, schema, variadic: null }, ROOT);
}

function kind(schema: unknown): Kind {
  return field(schema).kind;
}

describe("a schema becomes a field", () => {
  for (const [schema, type] of [
    [{ type: "integer" }, "integer"],
    [{ type: "number" }, "number"],
    [{ type: "boolean" }, "boolean"],
    [{ type: "string" }, "text"],
    [{ type: "string", format: "binary" }, "bytes"],
    [{ type: "string", contentEncoding: "base64" }, "bytes"],
    [{ type: "object", "x-file": true }, "file"],
    [{ type: "string", format: "date-time" }, "instant"],
    [{ type: "string", format: "date" }, "date"],
    [{ type: "string", format: "time" }, "time"],
    [{ enum: [1, "two", null] }, "choice"],
    [{ oneOf: [{ const: 1, title: "one" }, { const: 2 }] }, "choice"],
    [{ const: "always" }, "fixed"],
    [{ type: "null" }, "fixed"],
    [{ type: "array", items: { type: "integer" } }, "list"],
    [{ type: "array", prefixItems: [{ type: "integer" }, { type: "string" }] }, "tuple"],
    [{ type: "array", items: { type: "array", items: { type: "integer" } } }, "json"],
    [{ type: "array" }, "json"],
    [{ type: "object", additionalProperties: { type: "integer" } }, "json"],
    [{ $ref: "#/components/schemas/Position" }, "group"],
    [{ $ref: "#/components/schemas/Direction" }, "choice"],
    [{ $ref: "#/components/schemas/odd~1na~0me" }, "boolean"],
    [{ anyOf: [{ type: "integer" }, { type: "string" }] }, "union"],
    [{ anyOf: [{ type: "integer" }] }, "integer"],
    [{ allOf: [{ type: "integer", minimum: 1 }] }, "integer"],
    [{}, "json"],
    [true, "json"],
    ["no schema", "json"],
    [null, "json"],
    [{ type: 7, enum: "x", anyOf: 3, $ref: 9 }, "json"],
    [{ $ref: "https://example.org/elsewhere" }, "json"],
    [{ $ref: "#/nowhere" }, "json"],
    [{ $ref: "#/components/schemas/Loop" }, "json"],
    [{ $ref: "#/__proto__/constructor" }, "json"],
  ] as const) {
    it(`${JSON.stringify(schema)} is asked for as ${type}`, () => {
      assert.equal(kind(schema).type, type);
    });
  }

  it("null beside another type makes it nullable, whichever way it is written", () => {
    for (const schema of [
      { type: ["integer", "null"] },
      { anyOf: [{ type: "integer" }, { type: "null" }] },
      { oneOf: [{ type: "null" }, { type: "integer" }] },
    ]) {
      assert.equal(field(schema).nullable, true);
      assert.equal(field(schema).kind.type, "integer");
    }
    assert.equal(field({ type: "integer" }).nullable, false);
  });

  it("what stands beside a reference counts over what it leads to", () => {
    const it = field({ $ref: "#/components/schemas/Direction", default: "south", description: "Which way." });
    assert.equal(it.default, "south");
    assert.equal(it.description, "Which way.");
  });

  it("the members of an object keep their own defaults and needs", () => {
    const it = kind({ $ref: "#/components/schemas/Position" });
    assert.ok(it.type === "group");
    assert.deepEqual(
      it.fields.map(({ name, required, default: given }) => [name, required, given]),
      [
        ["x", false, 0],
        ["y", true, undefined],
      ],
    );
  });

  it("definitions inside the schema itself are found", () => {
    assert.equal(kind({ $ref: "#/$defs/A", $defs: { A: { type: "boolean" } } }).type, "boolean");
  });

  it("a type that holds itself ends in a box for JSON", () => {
    const outer = kind({ $ref: "#/components/schemas/Tree" });
    assert.ok(outer.type === "group");
    assert.equal(outer.fields[0]?.kind.type, "json");
  });

  it("references that branch without end cost a bounded number of steps", () => {
    const schemas: Record<string, unknown> = {};
    for (let level = 0; level < 12; level += 1) {
      schemas[`L${level}`] = { allOf: Array.from({ length: 12 }, () => ({ $ref: `#/s/L${level + 1}` })) };
    }
    const started = performance.now();
    fieldOf({ name: "it", description: "", required: true, schema: { $ref: "#/s/L0" }, variadic: null }, { s: schemas });
    assert.ok(performance.now() - started < 1_000);
  });

  it("bounds and kinds read as words", () => {
    assert.equal(boundsOf(kind({ type: "integer", minimum: 1, maximum: 5 })), "from 1 to 5");
    assert.equal(boundsOf(kind({ type: "number", exclusiveMinimum: 0 })), "more than 0");
    assert.equal(boundsOf(kind({ type: "number", maximum: 5 })), "at most 5");
    assert.equal(boundsOf(kind({ type: "string", maxLength: 3, pattern: "^a" })), "at most 3 characters, pattern ^a");
    assert.equal(kindName(kind({ type: "array", items: { type: "number" } })), "list of number");
    assert.equal(valueName(""), "(empty text)");
    assert.equal(valueName(12n), '"12"');
  });
});
