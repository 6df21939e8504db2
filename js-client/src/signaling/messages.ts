/**
 * The messages of signaling (protocol section 9), signals apart: what they look like, what is signed, what is refused. No sockets here.
 *
 * A message is one JSON-RPC 2.0 text. `decodeMessage` tells its kind; the `parse…` functions check its params strictly and throw
 * `ProtocolError`.
 */

import { signaturePayload } from "../core/identity.js";
import { DecodeError, ProtocolError, SignalingError } from "../errors.js";
import { MAX_NAME_LENGTH, MAX_PEERS_PER_ROOM, MAX_ROOM_LENGTH, SIGNALING_MESSAGE } from "../limits.js";
import type { IceServer } from "../transport/base.js";
import type { Joined, Member } from "./base.js";
import { binaryField, listField, member, objectField, peerIdField, refuseField, textField } from "./fields.js";

/** The WebSocket subprotocol. */
export const SUBPROTOCOL = "rtcrpc.signal.1";
/** Characters of a message that a client takes: a full room of long names doesn't fit in one ordinary signaling message. */
export const MAX_RESULT = 4 * SIGNALING_MESSAGE;
/** The bootstrap's close code when the same peer id joined elsewhere. */
export const CLOSE_REPLACED = 4001;
/** Its close code when our message was refused. */
export const CLOSE_REFUSED = 4400;
/** Its close code when our proof or token was refused. */
export const CLOSE_UNAUTHENTICATED = 4401;

const NONCE_BYTES = 32;
const MAX_ICE_SERVERS = 16;
const MAX_ICE_FIELD = 512;
const MAX_TTL = 30 * 86400;
const MAX_ERROR_TEXT = 512;

/** A message of the bootstrap: an answer to our request `id`, or a notification. */
export type Message =
  | { readonly type: "response"; readonly id: unknown; readonly result: unknown }
  | { readonly type: "error"; readonly id: unknown; readonly code: number; readonly message: string }
  | { readonly type: "request"; readonly id: unknown; readonly method: string; readonly params: unknown }
  | { readonly type: "notification"; readonly method: string; readonly params: unknown };

/** The one message in a text. `DecodeError` for anything else. (Signaling has no batches.) */
export function decodeMessage(text: string): Message {
  if (text.length > MAX_RESULT) {
    throw new DecodeError(`expected a signaling message of at most ${MAX_RESULT} characters, got ${text.length}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DecodeError(`expected JSON, got something else: ${String(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new DecodeError("expected one JSON-RPC message, an object");
  }
  const object = value as { readonly [key: string]: unknown };
  if (member(object, "jsonrpc") !== "2.0") {
    throw new DecodeError('expected "jsonrpc":"2.0" in the message');
  }
  const method = member(object, "method");
  const id = member(object, "id");
  if (typeof method === "string") {
    const params = member(object, "params");
    return id === undefined ? { type: "notification", method, params } : { type: "request", id, method, params };
  }
  if (Object.hasOwn(object, "error")) {
    const error = objectField(member(object, "error"), "error");
    const code = member(error, "code");
    if (!Number.isSafeInteger(code)) {
      refuseField("code", "an integer", code);
    }
    const message = textField(member(error, "message"), "message", MAX_ERROR_TEXT, true);
    return { type: "error", id, code: code as number, message };
  }
  if (Object.hasOwn(object, "result")) {
    return { type: "response", id, result: object["result"] };
  }
  throw new DecodeError("expected a method, a result or an error in the message");
}

/** The text of a notification. */
export function encodeNotification(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params });
}

/** The text of a request. */
export function encodeRequest(id: number, method: string, params: object): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/**
 * Host and port of a WebSocket URL as its `Host` header has them, in lower case and without the default port. `SignalingError` for
 * anything but a ws: or wss: URL.
 */
export function authorityOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new SignalingError(`expected the URL of a room, such as wss://example.org/room/lab, got ${JSON.stringify(url)}`);
  }
  if ((parsed.protocol !== "ws:" && parsed.protocol !== "wss:") || parsed.username !== "" || parsed.hash !== "") {
    throw new SignalingError(
      `expected the URL of a room, such as wss://example.org/room/lab, without user or fragment; got ${JSON.stringify(url)}`,
    );
  }
  return parsed.host;
}

/** The room that a URL ending in `/room/<room>` names. `SignalingError` when there is none. */
export function roomOf(url: string): string {
  const match = /\/room\/([^/]+)$/.exec(new URL(url).pathname);
  try {
    return checkRoom(decodeURIComponent(match?.[1] ?? ""));
  } catch (error) {
    const why = error instanceof ProtocolError ? `: ${error.message}` : "";
    throw new SignalingError(`expected a URL that ends in /room/<room>, got ${JSON.stringify(url)}${why}`);
  }
}

/** `room`, when it is one: 1 to `maxRoomLength` characters, none of them a control character, not `.` or `..`. */
export function checkRoom(room: unknown): string {
  const text = textField(room, "room", MAX_ROOM_LENGTH);
  // URLs lose "." and ".." from their path even where they are percent-encoded, so nobody could ask for such a room.
  if (text === "" || text === "." || text === "..") {
    refuseField("room", `1 to ${MAX_ROOM_LENGTH} characters other than "." and ".."`, text);
  }
  return text;
}

/** What the proof of a join signs: this challenge, this room, this bootstrap, and nothing else. */
export function joinPayload(nonce: Uint8Array, room: string, authority: string): Uint8Array {
  return signaturePayload("rtcrpc-join-v1", nonce, room, authority);
}

/** The nonce of an `rpc.challenge`. */
export function parseChallenge(params: unknown): Uint8Array {
  return binaryField(member(objectField(params, "params"), "nonce"), "nonce", NONCE_BYTES);
}

/** The result of an `rpc.join`. Oneself, should the bootstrap list it, is left out. */
export function parseJoined(result: unknown, ownId: string): Joined {
  const members = objectField(result, "result");
  const ttl = member(members, "ttl") ?? 0;
  if (typeof ttl !== "number" || !(ttl >= 0 && ttl <= MAX_TTL)) {
    refuseField("ttl", `0 to ${MAX_TTL} seconds`, ttl);
  }
  const servers = listField(member(members, "iceServers") ?? [], "iceServers", MAX_ICE_SERVERS);
  return { members: parseMembers(result, ownId), iceServers: servers.map(parseIceServer), ttl };
}

/** The `peers` of a result, each id once, without oneself. */
export function parseMembers(result: unknown, ownId: string): readonly Member[] {
  const peers = listField(member(objectField(result, "result"), "peers"), "peers", MAX_PEERS_PER_ROOM);
  const members = new Map<string, Member>();
  for (const peer of peers.map(parseMember)) {
    members.set(peer.peerId, peer);
  }
  members.delete(ownId);
  return [...members.values()];
}

/** The params of an `rpc.joined`, or one of `peers`. */
export function parseMember(params: unknown): Member {
  const members = objectField(params, "params");
  const name = textField(member(members, "name") ?? "", "name", MAX_NAME_LENGTH);
  return { peerId: peerIdField(member(members, "peer"), "peer"), name };
}

/** The peer id in the params of an `rpc.left`. */
export function parsePeer(params: unknown): string {
  return peerIdField(member(objectField(params, "params"), "peer"), "peer");
}

function parseIceServer(value: unknown): IceServer {
  const members = objectField(value, "iceServers");
  const urls = listField(member(members, "urls"), "urls", MAX_ICE_SERVERS).map((url) => textField(url, "urls", MAX_ICE_FIELD));
  for (const url of urls) {
    if (!/^(?:stuns?|turns?):/.test(url)) {
      refuseField("urls", "stun:, stuns:, turn: or turns:", url);
    }
  }
  const username = member(members, "username");
  const credential = member(members, "credential");
  return {
    urls,
    ...(username === undefined ? {} : { username: textField(username, "username", MAX_ICE_FIELD) }),
    ...(credential === undefined ? {} : { credential: textField(credential, "credential", MAX_ICE_FIELD) }),
  };
}
