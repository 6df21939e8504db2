/** Files between two rooms in this process, as a program uses them; and what is made of hostile ones. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, test } from "node:test";

import { EncodeError, FileDamaged, RemoteInvalidParams, TooLarge } from "../src/errors.js";
import { safeName } from "../src/file-names.js";
import { FileSource, RpcFile } from "../src/file.js";
import type { RemotePeer } from "../src/mesh/remote-peer.js";
import type { Room } from "../src/mesh/room.js";
import { admitProved } from "../src/service/context.js";
import { RpcStream } from "../src/stream.js";
import { Meeting } from "./support/rooms.js";

const DATA = randomBytes(3_000_000);
const sum = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let meeting: Meeting;
let desk: Room;
let remote: RemotePeer;

beforeEach(async () => {
  meeting = await Meeting.start();
  desk = await meeting.join("desk", { admit: admitProved });
  desk.expose(
    "keep",
    async (file: RpcFile) => {
      const bytes = await file.bytes();
      return { name: file.name, size: file.size, type: file.type, modified: file.modified, sha256: sum(bytes) };
    },
    { params: { type: "object", properties: { file: { type: "object", "x-file": true } } } },
  );
  desk.expose("get", (from: number = 0) => new FileSource(new Blob([DATA]), { name: "data.bin", type: "", offset: from }));
  desk.expose("again", (file: RpcFile) => ({ files: [file] }));
  desk.expose("lie", (how: string) => ({
    name: "../lie",
    size: { long: 2, short: 3, checksum: 3, size: 4, twice: 3, text: 3 }[how],
    type: "",
    content: (async function* () {
      yield new Uint8Array([97, 98, 99]);
      if (how === "text") yield "text";
      const digest = createHash("sha256").update(how === "checksum" ? "xyz" : "abc").digest();
      if (how !== "short") yield { sha256: new Uint8Array(digest) };
      if (how === "twice") yield { sha256: new Uint8Array(digest) };
    })(),
  }));
  desk.expose("no_files", () => {
    const whole = { name: "a", size: 3, type: "" };
    const one = (): AsyncIterable<number> => (async function* () {})();
    return [
      { ...whole, content: one(), more: 1 },
      { ...whole, content: new Uint8Array(3) },
      { ...whole, size: -1, content: one() },
      { ...whole, size: 1.5, content: one() },
      { ...whole, offset: 4, content: one() },
      { ...whole, name: null, content: one() },
    ];
  });
  const user = await meeting.join("user", { pin: desk.peerId });
  remote = await user.peer("desk");
});

afterEach(async () => {
  await meeting.end();
});

const get = async (...args: unknown[]): Promise<RpcFile> => {
  const file = await remote.call["get"]!(...args);
  assert.ok(file instanceof RpcFile);
  return file;
};

test("a File is an argument, as it is or with something said of it", async () => {
  const modified = new Date("2026-11-22T19:00:00Z");
  const file = new File([DATA], "photo.jpg", { type: "image/jpeg", lastModified: modified.getTime() });
  const kept = { name: "photo.jpg", size: DATA.length, type: "image/jpeg", modified, sha256: sum(DATA) };
  assert.deepEqual({ ...((await remote.call["keep"]!(file)) as object) }, kept);
  const told: [number, number][] = [];
  const source = new FileSource(file, { name: "other", type: "x/y", progress: (done, total) => told.push([done, total]) });
  assert.deepEqual({ ...((await remote.call["keep"]!(source)) as object) }, { ...kept, name: "other", type: "x/y" });
  assert.deepEqual(told.at(-1), [DATA.length, DATA.length]);
  assert.equal(told.length, Math.ceil(DATA.length / 65_536));
  const empty = (await remote.call["keep"]!(new File([], "empty"))) as { size: number; sha256: string };
  assert.deepEqual([empty.size, empty.sha256], [0, sum(new Uint8Array())]);
});

test("a result is read whole or in chunks, once", async () => {
  const file = await get();
  assert.deepEqual([file.name, file.size, file.type, file.offset, file.safeName], ["data.bin", DATA.length, "", 0, "data.bin"]);
  const told: [number, number][] = [];
  const blob = await file.blob({ progress: (done, total) => told.push([done, total]) });
  assert.equal(sum(new Uint8Array(await blob.arrayBuffer())), sum(DATA));
  assert.deepEqual(told.at(-1), [DATA.length, DATA.length]);
  await assert.rejects(file.blob(), /once/);

  const chunks: Uint8Array[] = [];
  for await (const chunk of await get()) chunks.push(chunk);
  assert.equal(sum(Buffer.concat(chunks)), sum(DATA));
  assert.equal(sum(new Uint8Array(await new Response((await get()).stream).arrayBuffer())), sum(DATA));
  assert.equal(sum(await (await get(2_900_000)).bytes()), sum(DATA.subarray(2_900_000)));
  assert.equal((await (await get(DATA.length)).bytes()).length, 0);
  const early = await get();
  for await (const chunk of early) {
    assert.equal(chunk.length, 65_536);
    break;
  }
  await assert.rejects((await get()).blob({ limit: DATA.length - 1 }), TooLarge);
});

test("a file is passed on without being kept", async () => {
  const there = (await remote.call["again"]!(new File([DATA], "x"))) as { files: RpcFile[] };
  const kept = (await remote.call["keep"]!(there.files[0])) as { sha256: string };
  assert.equal(kept.sha256, sum(DATA));
});

test("what did not come whole is told", async () => {
  for (const how of ["long", "short", "checksum", "size", "twice", "text"]) {
    const file = await remote.call["lie"]!(how);
    assert.ok(file instanceof RpcFile, how);
    assert.equal(file.safeName, "lie");
    await assert.rejects(file.blob(), FileDamaged, how);
  }
});

test("what only looks like a file stays a map", async () => {
  const values = (await remote.call["no_files"]!()) as { content: unknown }[];
  assert.equal(values.length, 6);
  for (const value of values) {
    assert.ok(!(value instanceof RpcFile));
    if (value.content instanceof RpcStream) value.content.cancel();
  }
  // Arguments by name are no file, whatever their names.
  desk.expose("named", (name: string, size: number, type: string, content: RpcStream) => [name, size, type, content instanceof RpcStream], {
    params: { type: "object", properties: { name: {}, size: {}, type: {}, content: {} } },
  });
  const args = { name: "a", size: 1, type: "", content: (async function* () {})() };
  assert.deepEqual(await remote.invoke("named", args), ["a", 1, "", true]);
});

test("a schema may ask for a file", async () => {
  for (const wrong of ["text", { name: "a" }, null, new Uint8Array(1)]) {
    await assert.rejects(remote.call["keep"]!(wrong), (error) => error instanceof RemoteInvalidParams && error.message.includes("expected a file"));
  }
  const document = JSON.stringify(await remote.discover());
  assert.match(document, /"x-file":true/);
});

test("a file to send has a name and an offset inside it", async () => {
  await assert.rejects(remote.call["keep"]!(new Blob([DATA])), EncodeError);
  assert.throws(() => new FileSource(new Blob([DATA]), { offset: DATA.length + 1 }), RangeError);
  assert.throws(() => new FileSource(new Blob([DATA]), { offset: -1 }), RangeError);
});

test("hostile names become harmless, as they do in Python", () => {
  const cases: [string, string][] = [
    ["notes.txt", "notes.txt"],
    ["../../.ssh/authorized_keys", "authorized_keys"],
    ["..\\..\\boot.ini", "boot.ini"],
    ["C:evil.exe", "C_evil.exe"],
    ["..", "file"],
    ["", "file"],
    ["folder/", "file"],
    ["a\0b\r\nc\x1b[31m.txt", "abc[31m.txt"],
    ["invoice\u202efdp.exe", "invoicefdp.exe"],
    [".bashrc", "bashrc"],
    ["name. . ", "name"],
    ["NUL", "_NUL"],
    ["lpt9 .log", "_lpt9 .log"],
    ["console.txt", "console.txt"],
    ["a".repeat(300) + ".tar.gz", "a".repeat(197) + ".gz"],
    ["b".repeat(300), "b".repeat(200)],
    ["ä".repeat(300) + ".txt", "ä".repeat(98) + ".txt"],
  ];
  for (const [name, safe] of cases) assert.equal(safeName(name), safe);
});
