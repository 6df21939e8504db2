// A peer in Node, for the tests that join Node with other languages.
//
//   node test/peers/node-peer.mjs LINK [--name NAME] [--peer NAME_OR_ID] [--open]
//
// It joins the room of LINK with the built client, and serves `double(x)`, `fail()` and `slow(ms)`: to peers whose key LINK pins, or with
// --open to everybody in the room. It reads one JSON object a line and writes one a line:
//
//   reads   {"id": 1, "method": "add", "params": [1, 2], "timeout": 500}     a call; params may be an object, timeout (ms) may be left out
//           {"id": 2, "op": "discover" | "path" | "connect" | "peers"}
//   writes  {"event": "joined", "peerId": …}, {"event": "connected" | "disconnected" | "failed", "peer": …, "name": …, "trust": …, "reason": …}
//           {"id": 1, "result": 3} or {"id": 1, "error": {"name": …, "code": …, "message": …, "ran": …}}
//
// It leaves the room and ends when its input ends. Exit code 1: it could not join.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { RTCPeerConnection } from "node-datachannel/polyfill";
import { WebSocket } from "ws";

import { ApplicationError, Registry, admitPinned, admitProved, join } from "../../dist/rtcrpc.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: "string", default: "node" }, peer: { type: "string" }, open: { type: "boolean", default: false } },
});

// What JSON has no form for is written as text: bytes as base64, big integers as digits.
const write = (message) => {
  const plain = (_key, value) =>
    typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
  process.stdout.write(`${JSON.stringify(message, plain)}\n`);
};

const number = { type: "number" };
const registry = new Registry();
registry.expose("double", (x) => x * 2, {
  description: "Twice the number.",
  params: { type: "object", properties: { x: number }, required: ["x"] },
  result: number,
});
registry.expose("fail", () => {
  throw new ApplicationError("failed on purpose", { detail: { why: "asked to" } });
});
registry.expose(
  "slow",
  (ms, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve("done"), ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        write({ event: "aborted", reason: signal.reason.message });
        reject(signal.reason);
      });
    }),
  { description: "Answers after that many milliseconds.", context: true, params: { type: "object", properties: { ms: number }, required: ["ms"] } },
);

let room;
try {
  room = await join(positionals[0] ?? "", {
    name: values.name,
    registry,
    admit: values.open ? admitProved : admitPinned,
    RTCPeerConnection,
    WebSocket,
  });
} catch (error) {
  write({ event: "error", error: { name: error.name, code: error.code, message: error.message } });
  process.exit(1);
}
for (const type of ["connected", "disconnected", "failed"]) {
  room.addEventListener(type, ({ peer, reason }) => {
    write({ event: type, peer: peer.peerId, name: peer.name, trust: peer.trust, reason });
  });
}
write({ event: "joined", peerId: room.peerId });

const peer = () => room.peer(values.peer);
const operations = new Map([
  ["connect", async () => (await peer()).peerId],
  ["discover", async () => (await peer()).discover()],
  ["path", async () => (await peer()).path()],
  ["peers", async () => room.peers.map((each) => each.name)],
]);

async function answer({ id, op, method, params = [], timeout }) {
  try {
    const result = op === undefined ? await (await peer()).invoke(method, params, { timeout }) : await operations.get(op)();
    write({ id, result });
  } catch (error) {
    write({ id, error: { name: error.name, code: error.code, message: error.message, ran: error.ran ?? null, data: error.data ?? null } });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  void answer(JSON.parse(line));
}
await room.close("the input ended");
