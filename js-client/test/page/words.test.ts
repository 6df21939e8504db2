import assert from "node:assert/strict";
import { describe, it } from "node:test";

import {
  ConnectionLost,
  DeadlineExceeded,
  RemoteApplicationError,
  RemoteInvalidParams,
  RemoteResourceExhausted,
  errorFromWire,
} from "../../src/errors.js";
import { FileSource, RpcFile } from "../../src/file.js";
import { failureOf, wasStopped } from "../../page/failure.js";
import { fieldOf } from "../../page/fields.js";
import { parsePath, problemsOf } from "../../page/issues.js";
import { matching, readOffer } from "../../page/openrpc.js";
import { asJson, holdsFile, imageType, inShort, shapeOf } from "../../page/result-kind.js";
import { sparkPoints } from "../../page/spark.js";
import { NO_NAME, byteSize, codeName, count, duration, label, shortKey, shorten, splitDoc } from "../../page/text.js";

describe("labels that a peer chose", () => {
  it("lose what turns or hides other text", () => {
    assert.equal(label("safe\u202egnp.exe\u202c"), "safegnp.exe");
    assert.equal(label("a\u2066b\u2069\u200b\u00ad\ufeffc"), "abc");
    assert.equal(label("  two\n\twords "), "two words");
    assert.equal(label("\u200b\u202e"), NO_NAME);
    assert.equal(label("naïve ☂ 名前 لا"), "naïve ☂ 名前 لا");
  });

  it("are cut without splitting a character in two", () => {
    assert.equal(shorten("abcdef", 4), "abc…");
    assert.equal(shorten("abc", 3), "abc");
    assert.equal(shorten("ab😀d", 4), "ab…");
    assert.equal(label("x".repeat(1_000_000), 10), `${"x".repeat(9)}…`);
  });
});

describe("numbers for people", () => {
  it("durations", () => {
    assert.deepEqual([0.416, 3.04, 12.4, 999.4, 1240, 12_340, 125_000].map(duration), [
      "0.42 ms",
      "3.0 ms",
      "12 ms",
      "999 ms",
      "1.24 s",
      "12.3 s",
      "2 min 5 s",
    ]);
  });

  it("sizes, counts, keys, codes", () => {
    assert.deepEqual([1, 512, 1536, 20 * 1024 * 1024].map(byteSize), ["1 byte", "512 bytes", "1.5 KiB", "20.0 MiB"]);
    assert.equal(count(1, "item"), "1 item");
    assert.equal(count(1200, "item"), "1,200 items");
    assert.equal(shortKey("abcdefghijklmnop"), "abcd efgh ijkl");
    assert.equal(codeName(-32602), "Invalid params");
    assert.equal(codeName(-1), "Error");
    assert.deepEqual(splitDoc("One.\n\nTwo.\n\nThree."), { first: "One.", rest: "Two.\n\nThree." });
  });

  it("a sparkline ends at the right edge and stays inside", () => {
    const points = sparkPoints([1, 2, 3])
      .split(" ")
      .map((point) => point.split(",").map(Number));
    assert.equal(points.at(-1)?.[0], 120);
    assert.ok(points.every(([, y]) => y !== undefined && y >= 0 && y <= 24));
  });
});

describe("the document of rpc.discover", () => {
  it("is read as far as it fits; the rest is left out", () => {
    for (const document of [
      null,
      7,
      "x",
      [],
      {},
      { methods: 3 },
      { methods: [null, 5, {}, { name: 7 }, { name: "rpc.discover" }] },
    ]) {
      assert.deepEqual(readOffer(document).methods, []);
    }
    const offer = readOffer({
      methods: [
        {
          name: "add",
          summary: "Add.",
          description: "More.",
          params: [{ name: "a", required: true, schema: { type: "integer" } }, null, {}],
        },
      ],
    });
    assert.equal(offer.methods.length, 1);
    assert.equal(offer.methods[0]?.doc, "Add.\n\nMore.");
    assert.deepEqual(
      offer.methods[0]?.params.map(({ name, required }) => [name, required]),
      [["a", true]],
    );
  });

  it("shows at most 500 methods, and counts the others", () => {
    const methods = Array.from({ length: 501 }, (_, index) => ({ name: `m${index}` }));
    assert.equal(readOffer({ methods: methods.slice(0, 500) }).leftOut, 0);
    assert.equal(readOffer({ methods }).methods.length, 500);
    assert.equal(readOffer({ methods }).leftOut, 1);
  });

  it("is filtered by every word, in names, docs and parameters", () => {
    const { methods } = readOffer({
      methods: [{ name: "arm.move", summary: "Rotate a joint.", params: [{ name: "degrees" }] }, { name: "add" }],
    });
    assert.deepEqual(
      [...matching(methods, "ARM degrees")].map(({ name }) => name),
      ["arm.move"],
    );
    assert.equal(matching(methods, "").size, 2);
    assert.equal(matching(methods, "arm nothing").size, 0);
  });
});

describe("results", () => {
  it("are shown as what they are", () => {
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]);
    for (const [value, type] of [
      [null, "nothing"],
      [undefined, "nothing"],
      [3, "scalar"],
      [12n, "scalar"],
      [false, "scalar"],
      ["x", "text"],
      [new Date(0), "instant"],
      [png, "bytes"],
      [{ a: 1, b: "x" }, "pairs"],
      [{}, "tree"],
      [{ a: [1] }, "tree"],
      [[], "tree"],
      [[1, 2], "tree"],
      [[{ a: 1 }, { a: 2, b: null }], "table"],
      [[{ a: 1 }, 2], "tree"],
      [[{ a: { b: 1 } }], "tree"],
    ] as const) {
      assert.equal(shapeOf(value).type, type);
    }
    assert.equal(imageType(png)?.mime, "image/png");
    assert.equal(imageType(new TextEncoder().encode("<svg onload=1>")), null);
  });

  it("a table has the columns of all its rows, own members only", () => {
    const rows = [JSON.parse('{"__proto__": 1}'), { b: 2 }] as unknown[];
    const shape = shapeOf(rows);
    assert.ok(shape.type === "table");
    assert.deepEqual(shape.columns, ["__proto__", "b"]);
  });

  it("are short in the history and whole on the clipboard", () => {
    assert.equal(inShort({ a: 1, b: [1, 2], c: { d: 1 } }), "{a: 1, b: […], c: {…}}");
    assert.equal(inShort(["x".repeat(500)]).length < 80, true);
    assert.equal(inShort(new Uint8Array(3)), "3 bytes");
    const file = new RpcFile({ name: "../a\u202e", size: 2048, type: "" });
    assert.equal(inShort({ file }), '{file: file "../a", 2.0 KiB}');
    assert.equal(inShort(new FileSource(new File(["abc"], "b"))), 'file "b", 3 bytes');
    assert.equal(shapeOf(file).type, "file");
    assert.deepEqual([holdsFile({ a: [{ file }] }), holdsFile({ a: [1, null] })], [true, false]);
    assert.equal(asJson({ a: new Uint8Array([1]) }), '{\n  "a": {\n    "$bytes": "AQ"\n  }\n}');
  });
});

describe("failures", () => {
  it("say what happened, whether it ran, and what to do", () => {
    const failure = failureOf(
      new RemoteInvalidParams("add: b: expected an integer", -32602, {
        issues: [{ path: ["b"], expected: "an integer", got: '"x"' }],
      }),
    );
    assert.equal(failure.title, "Invalid params");
    assert.equal(failure.hint, "1 argument did not fit. The function did not run.");
    assert.deepEqual(
      failure.issues.map(({ path }) => path),
      [["b"]],
    );
    assert.match(failureOf(new ConnectionLost("gone", false)).hint, /The function did not run\.$/);
    assert.doesNotMatch(failureOf(new ConnectionLost("gone")).hint, /did not run/);
    // Nobody called a function yet.
    assert.doesNotMatch(failureOf(new ConnectionLost("gone", false), { called: false }).hint, /did not run/);
    assert.match(
      failureOf(new RemoteResourceExhausted("busy", -32004, { ran: false, retryAfter: 1500 })).hint,
      /did not run\. Try again in 1\.50 s\./,
    );
    assert.equal(failureOf(new RemoteApplicationError("wall", -32000, { type: "Wall" })).type, "Wall");
    assert.equal(failureOf(errorFromWire(7, "of the function's own")).title, "The function reported an error");
    assert.equal(failureOf(new DeadlineExceeded("late")).title, "Deadline exceeded");
    assert.equal(failureOf(new TypeError("oops")).title, "Error in this page");
    assert.equal(failureOf("text").message, "text");
  });

  it("a stopped call is told apart from a failed one", () => {
    assert.equal(wasStopped(errorFromWire(-32800, "cancelled")), true);
    assert.equal(wasStopped(new DOMException("x", "AbortError")), true);
    assert.equal(wasStopped(new ConnectionLost("gone")), false);
  });

  it("issues find their field however the path is written", () => {
    for (const path of ["boxes[2].width", "boxes.2.width", "/boxes/2/width", "$.boxes[2]['width']", ["boxes", 2, "width"]]) {
      assert.deepEqual(parsePath(path), ["boxes", 2, "width"]);
    }
    const fields = ["a", "b"].map((name) => fieldOf({ name, description: "", required: true, schema: {}, variadic: null }, {}));
    const issue = (path: string | (string | number)[]) => ({ path, expected: "an integer", got: "1.5" });
    assert.deepEqual(problemsOf([issue("params.a"), issue([1]), issue(["b", 0])], fields), [
      { path: ["a"], message: "expected an integer, got 1.5" },
      { path: ["b"], message: "expected an integer, got 1.5" },
      { path: ["b", 0], message: "expected an integer, got 1.5" },
    ]);
  });
});
