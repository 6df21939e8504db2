/** Checks of single members of a signaling message: each returns the value in its own type or throws `ProtocolError`. */

import { b64urlDecode, parsePeerId } from "../core/identity.js";
import { ProtocolError } from "../errors.js";

/** An object of parsed JSON. Its members are read with `member` only, so that none comes from a prototype. */
export type JsonObject = { readonly [key: string]: unknown };

/** Throws the `ProtocolError` that says what was expected and what came. */
export function refuseField(field: string, expected: string, got: unknown): never {
  // Cut and escaped: what came goes into logs and error messages.
  throw new ProtocolError(`${field}: expected ${expected}, got ${(JSON.stringify(got) ?? "nothing").slice(0, 80)}`);
}

/** A member of an object; undefined when the object itself has none of that name. */
export function member(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** A JSON object. */
export function objectField(value: unknown, field: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    refuseField(field, "an object", value);
  }
  return value as JsonObject;
}

/** A list of at most `limit` items. */
export function listField(value: unknown, field: string, limit: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > limit) {
    refuseField(field, `a list of at most ${limit}`, value);
  }
  return value;
}

/**
 * Well-formed text of at most `limit` characters, without control characters unless `control`. (Names end up in terminals and logs,
 * where an escape sequence could rewrite the line.)
 */
export function textField(value: unknown, field: string, limit: number, control = false): string {
  if (typeof value !== "string") {
    refuseField(field, "text", value);
  }
  let length = 0;
  for (const character of value) {
    const point = character.codePointAt(0) ?? 0;
    if (point >= 0xd800 && point <= 0xdfff) {
      refuseField(field, "well-formed Unicode", value);
    }
    if (!control && (point < 0x20 || (point >= 0x7f && point < 0xa0))) {
      refuseField(field, "no control characters", value);
    }
    length += 1;
  }
  if (length > limit) {
    throw new ProtocolError(`${field}: expected at most ${limit} characters, got ${length}`);
  }
  return value;
}

/** A peer id: 43 characters that are the base64url of 32 bytes. */
export function peerIdField(value: unknown, field: string): string {
  const text = textField(value, field, 43);
  try {
    parsePeerId(text);
  } catch (error) {
    throw new ProtocolError(`${field}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return text;
}

/** Exactly `size` bytes, written in unpadded base64url. */
export function binaryField(value: unknown, field: string, size: number): Uint8Array {
  const text = textField(value, field, size * 2);
  let data: Uint8Array;
  try {
    data = b64urlDecode(text);
  } catch (error) {
    throw new ProtocolError(`${field}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (data.length !== size) {
    throw new ProtocolError(`${field}: expected ${size} bytes in base64url, got ${data.length}`);
  }
  return data;
}
