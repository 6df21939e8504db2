/**
 * Reads values and writes them again, for tests in another language: `node --import tsx test/echo-codec.ts`.
 *
 * A line of standard input holds one value in either encoding, `{"json": "<JSON text>"}` or `{"msgpack": "<hexadecimal>"}`; the line of standard
 * output for it holds what was read in both, `{"json": …, "msgpack": …}`, or `{"refused": "<why>"}`. The value stands alone, without an envelope.
 */

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { JsonCodec, MessagePackCodec } from "../src/core/codec.js";
import { type Envelope, response } from "../src/core/envelope.js";
import { RtcRpcError } from "../src/errors.js";

const HEAD = { json: '{"jsonrpc":"2.0","id":1,"result":', msgpack: "930101" };

const json = new JsonCodec();
const msgpack = new MessagePackCodec();

/** The answer to one line. */
export function echo(line: string): string {
  try {
    const question = JSON.parse(line) as { json?: string; msgpack?: string };
    const envelopes: Envelope[] =
      question.json !== undefined ? json.decode(`${HEAD.json}${question.json}}`) : msgpack.decode(bytes(question.msgpack));
    const [envelope] = envelopes;
    if (envelopes.length !== 1 || envelope?.type !== "Response") throw new RtcRpcError("expected one value");
    const answer = response(1, envelope.result);
    return JSON.stringify({
      json: json.encode(answer).slice(HEAD.json.length, -1),
      msgpack: Buffer.from(msgpack.encode(answer)).toString("hex").slice(HEAD.msgpack.length),
    });
  } catch (error) {
    if (error instanceof RtcRpcError) return JSON.stringify({ refused: error.message });
    throw error;
  }
}

function bytes(hex: string | undefined): Uint8Array {
  if (hex === undefined) throw new TypeError('expected a line with "json" or "msgpack"');
  return new Uint8Array(Buffer.from(HEAD.msgpack + hex, "hex"));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${echo(line)}\n`);
  }
}
