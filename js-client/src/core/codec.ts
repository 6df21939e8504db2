/** Envelopes to frames' contents and back: JSON-RPC 2.0 text, and MessagePack arrays (protocol section 5). */

import * as codes from "../codes.js";
import { DecodeError, EncodeError } from "../errors.js";
import { MAX_BATCH, MAX_DEPTH, MAX_METHOD_LENGTH } from "../limits.js";
import {

  batch,
  type Envelope,
  type ErrorResponse,
  errorResponse,
  type Id,
  malformed,
  type Message,
  type Meta,
  NO_META,
  notification,
  type Params,
  request,
  response,
  type WireMap,
} from "./envelope.js";
import { readJson, writeJson } from "./json.js";
import { Reader, Writer } from "./msgpack.js";
import { asEncodeError, isDeeper, isWellFormed, within } from "./values.js";

const MOST_ENVELOPES = 4096; // in one message; a frame of the default size can't hold more

/** One encoding. `encode` throws `EncodeError`, `decode` throws `DecodeError`, and after either the codec is as good as new. */
export interface Codec<Data extends Uint8Array | string> {
  /** The contents of one envelope. */
  encode(envelope: Envelope): Data;
  /** All envelopes in `data`, at least one. */
  decode(data: Data): Envelope[];
}

/** MessagePack envelopes one behind the other. One that is no envelope spoils all: `DecodeError` with the code `invalid request`. */
export class MessagePackCodec implements Codec<Uint8Array> {
  #idle: Writer | null = new Writer();

  encode(envelope: Envelope): Uint8Array {
    // A getter in a value may run code that encodes too: it must not find our half-written buffer.
    const writer = this.#idle ?? new Writer();
    this.#idle = null;
    try {
      writeEnvelope(writer, envelope);
      return writer.take();
    } catch (error) {
      writer.clear();
      throw asEncodeError(error);
    } finally {
      this.#idle = writer;
    }
  }

  /** `sizes`: gets the length of each envelope, which is what a message of a stream costs (section 7.2). */
  decode(data: Uint8Array, sizes?: number[]): Message[] {
    const reader = new Reader(data);
    const envelopes: Message[] = [];
    do {
      const start = reader.position;
      envelopes.push(readEnvelope(reader));
      sizes?.push(reader.position - start);
      if (envelopes.length > MOST_ENVELOPES) throw invalid(`expected at most ${MOST_ENVELOPES} envelopes in a message, got more`);
    } while (!reader.isAtEnd);
    return envelopes;
  }
}

function writeEnvelope(writer: Writer, envelope: Envelope): void {
  switch (envelope.type) {
    case "Request":
      writer.arrayHeader(hasMeta(envelope.meta) ? 5 : 4);
      writer.integer(0);
      writer.integer(wireId(envelope.id));
      return writeCall(writer, envelope);
    case "Response":
      writer.arrayHeader(3);
      writer.integer(1);
      writer.integer(wireId(envelope.id));
      return writeMember(writer, "result", envelope.result ?? null);
    case "ErrorResponse": {
      const { id, code, message, data } = envelope;
      writer.arrayHeader(3);
      writer.integer(2);
      if (id === null) writer.value(null);
      else writer.integer(wireId(id));
      writer.mapHeader(data === null ? 2 : 3);
      writer.text("code");
      writer.integer(code);
      writer.text("message");
      writeMember(writer, "message", message);
      if (data !== null) {
        writer.text("data");
        writeMember(writer, "data", data);
      }
      return;
    }
    case "Notification":
      writer.arrayHeader(hasMeta(envelope.meta) ? 4 : 3);
      writer.integer(3);
      return writeCall(writer, envelope);
    default:
      throw new EncodeError(`expected one envelope, got a ${envelope.type}; MessagePack has no batches`);
  }
}

function writeCall(writer: Writer, { method, params, meta }: { method: string; params: Params; meta: Meta }): void {
  writeMember(writer, "method", method);
  writeMember(writer, "params", params);
  if (hasMeta(meta)) writeMember(writer, "meta", meta);
}

function writeMember(writer: Writer, name: string, value: unknown): void {
  try {
    writer.value(value);
  } catch (error) {
    throw within(error, name);
  }
}

function wireId(id: Id): number {
  if (typeof id === "number" && Number.isSafeInteger(id) && id >= 0) return id;
  throw new EncodeError(`expected an id to be an unsigned integer below 2^53, got ${JSON.stringify(id)}`);
}

function hasMeta(meta: Meta): boolean {
  if (meta === NO_META) return false;
  for (const key in meta) {
    if (meta[key] !== undefined) return true;
  }
  return false;
}

function readEnvelope(reader: Reader): Message {
  const size = reader.arrayHeader();
  if (size < 0) {
    reader.value(); // bytes that are no MessagePack at all are a parse error first
    throw invalid("expected an envelope to be an array that starts with its type");
  }
  const type = size > 0 ? reader.integer() : undefined;
  if (type === 0 && (size === 4 || size === 5)) {
    const id = readId(reader);
    return request(id, readMethod(reader), asParams(reader.value()), size === 5 ? asMeta(reader.value()) : NO_META);
  }
  if (type === 1 && size === 3) return response(readId(reader), reader.value());
  if (type === 2 && size === 3) {
    const id = reader.integer(); // null where the request could not be read: no id of ours, and not to be answered
    return asError(id !== undefined && id >= 0 ? id : null, reader.value());
  }
  if (type === 3 && (size === 3 || size === 4)) {
    return notification(readMethod(reader), asParams(reader.value()), size === 4 ? asMeta(reader.value()) : NO_META);
  }
  for (let i = 1; i < size; i++) reader.value();
  throw invalid(`expected an envelope of protocol section 5, got type ${type ?? "none"} with ${size} items`);
}

function readId(reader: Reader): number {
  const id = reader.integer();
  if (id === undefined || id < 0) throw invalid("expected an id to be an unsigned integer below 2^53");
  return id;
}

function readMethod(reader: Reader): string {
  return asMethod(reader.value());
}

/** JSON-RPC 2.0 with `meta`. A batch decodes to a `Batch`; what is JSON but no message decodes to `Malformed`. */
export class JsonCodec implements Codec<string> {
  encode(envelope: Envelope): string {
    try {
      return envelope.type === "Batch" ? `[${envelope.items.map(writeMessage).join(",")}]` : writeMessage(envelope);
    } catch (error) {
      throw asEncodeError(error);
    }
  }

  decode(text: string): Envelope[] {
    const { value, nesting } = readJson(text);
    // Values of ordinary depth, envelope and all, need no second look.
    const check = nesting > MAX_DEPTH;
    if (!Array.isArray(value)) return [readMessage(value, check)];
    if (value.length === 0) return [malformed(null, codes.INVALID_REQUEST, "expected at least one message in a batch")];
    if (value.length > MAX_BATCH) {
      return [malformed(null, codes.INVALID_REQUEST, `expected at most ${MAX_BATCH} messages in a batch, got ${value.length}`)];
    }
    return [batch(value.map((item) => readMessage(item, check)))];
  }
}

function writeMessage(message: Message): string {
  switch (message.type) {
    case "Request":
      return `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},${callMembers(message)}}`;
    case "Notification":
      return `{"jsonrpc":"2.0",${callMembers(message)}}`;
    case "Response":
      return `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},${jsonMember("result", message.result ?? null)}}`;
    case "ErrorResponse":
      return `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"error":{${errorMembers(message)}}}`;
    case "Malformed":
      throw new EncodeError("expected an envelope that is sent, got a Malformed");
  }
}

function callMembers({ method, params, meta }: { method: string; params: Params; meta: Meta }): string {
  const members = `${jsonMember("method", method)},${jsonMember("params", params)}`;
  return hasMeta(meta) ? `${members},${jsonMember("meta", meta)}` : members;
}

function errorMembers({ code, message, data }: ErrorResponse): string {
  const members = `"code":${code},${jsonMember("message", message)}`;
  return data === null ? members : `${members},${jsonMember("data", data)}`;
}

function jsonMember(name: string, value: unknown): string {
  try {
    return `"${name}":${writeJson(value)}`;
  } catch (error) {
    throw within(error, name);
  }
}

function readMessage(value: unknown, check: boolean): Message {
  if (!isMap(value)) return malformed(null, codes.INVALID_REQUEST, "expected a JSON-RPC message to be an object");
  const given = value["id"];
  const id = typeof given === "number" || (typeof given === "string" && isWellFormed(given)) ? given : null;
  try {
    return readMembers(value, id, check);
  } catch (error) {
    // A value that is too deep is a parse error of the whole text; a wrong member is the business of this message alone.
    if (error instanceof DecodeError && error.code === codes.INVALID_REQUEST) {
      return malformed(id, error.code, error.message, !("method" in value) && ("result" in value || "error" in value));
    }
    throw error;
  }
}

function readMembers(value: WireMap, id: Id, check: boolean): Message {
  if (value["jsonrpc"] !== "2.0") throw invalid('expected the member "jsonrpc" to be "2.0"');
  if ("id" in value && id === null && value["id"] !== null) throw invalid("expected an id to be a number, a text or null");
  if ("method" in value) {
    const method = asMethod(value["method"]);
    const params = shallow(asParams("params" in value ? value["params"] : []), check);
    const meta = "meta" in value ? shallow(asMeta(value["meta"]), check) : NO_META;
    return "id" in value ? request(id, method, params, meta) : notification(method, params, meta);
  }
  if (!("id" in value) || "result" in value === "error" in value) {
    throw invalid("expected a method, or an id and either a result or an error");
  }
  if ("result" in value) return response(id, shallow(value["result"], check));
  const error = asError(id, value["error"]);
  shallow(error.data, check);
  return error;
}

function shallow<T>(value: T, check: boolean): T {
  if (check && isDeeper(value, MAX_DEPTH)) throw new DecodeError(`expected values at most ${MAX_DEPTH} deep`);
  return value;
}

function asMethod(value: unknown): string {
  // Characters are code points: those beyond 16 bits count once.
  if (typeof value !== "string" || value === "" || (value.length > MAX_METHOD_LENGTH && [...value].length > MAX_METHOD_LENGTH)) {
    throw invalid(`expected a method to be text of 1 to ${MAX_METHOD_LENGTH} characters`);
  }
  return value;
}

function asParams(value: unknown): Params {
  if (!Array.isArray(value) && !isMap(value)) throw invalid("expected params to be a list or a map");
  return value;
}

function asMeta(value: unknown): Meta {
  if (!isMap(value)) throw invalid("expected meta to be a map");
  return value;
}

function asError(id: Id, value: unknown): ErrorResponse {
  if (!isMap(value)) throw invalid("expected an error to be a map");
  const { code, message, data } = value as { code?: unknown; message?: unknown; data?: unknown };
  if (typeof code !== "number" || !Number.isSafeInteger(code) || typeof message !== "string") {
    throw invalid("expected an error to have a code, an integer, and a message, a text");
  }
  if (data === undefined || data === null) return errorResponse(id, code, message, null);
  return errorResponse(id, code, message, isMap(data) ? data : detail(data));
}

/** What another JSON-RPC peer put beside its message, where it is no map: any value may stand there in JSON-RPC. */
function detail(data: unknown): WireMap {
  const map = Object.create(null) as { [key: string]: unknown };
  map["detail"] = data;
  return map;
}

function isMap(value: unknown): value is WireMap {
  // Decoded maps have no prototype; lists, bytes and instants have one.
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}

function invalid(message: string): DecodeError {
  return new DecodeError(message, codes.INVALID_REQUEST);
}

