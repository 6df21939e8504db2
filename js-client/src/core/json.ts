/**
 * JSON text to values and back (RFC 8259, protocol section 10).
 *
 * Not `JSON.parse`: it keeps the last of two equal keys without a word, rounds the digits of a large integer, takes lone surrogates, nests
 * without bound and makes objects with a prototype. What a signature covers and what a policy checked must read alike in every language, so
 * this reader refuses what is ambiguous. And not `JSON.stringify` for the whole: it writes -0 as 0 and 2^60 as digits without a fraction.
 */

import { DecodeError } from "../errors.js";
import { MAX_DEPTH } from "../limits.js";
import { arrayText, asArray } from "./arrays.js";
import { b64urlEncode } from "./identity.js";
import { entriesOf, fromForm, isWellFormed, refusal, refuseDepth, refuseLongInt, refuseSurrogates, refuseUnsound, StreamRef, timeText, type Value, within } from "./values.js";

// What stands around a value: a batch, the envelope, its error; and inside the innermost list the object of a $ form, with the two lists of an array.
const MAX_NESTING = MAX_DEPTH + 6;

const PLAIN = /^[^"\\\u0000-\u001f\ud800-\udfff]*$/;

/** A value as JSON text. Throws `Unencodable`. */
export function writeJson(value: unknown, depth = 0): string {
  switch (typeof value) {
    case "string":
      return writeText(value);
    case "number":
      return writeNumber(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      refuseLongInt(value);
      return value >= -9007199254740991n && value <= 9007199254740991n ? `${value}` : `{"$int":"${value}"}`;
    case "object":
      return value === null ? "null" : writeObject(value, depth);
    default:
      throw refusal(value);
  }
}

function writeText(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  refuseSurrogates(text);
  return JSON.stringify(text);
}

function writeNumber(value: number): string {
  if (Number.isSafeInteger(value)) return Object.is(value, -0) ? "-0.0" : `${value}`;
  if (Number.isFinite(value)) {
    // An integral float beyond 2^53 gets an exponent, which says that it is a float.
    return Number.isInteger(value) ? value.toExponential() : `${value}`;
  }
  return Number.isNaN(value) ? '{"$float":"nan"}' : value > 0 ? '{"$float":"inf"}' : '{"$float":"-inf"}';
}

function writeObject(value: object, depth: number): string {
  if (Array.isArray(value)) return writeList(value, depth);
  if (value instanceof Uint8Array) return `{"$bytes":"${b64urlEncode(value)}"}`;
  if (value instanceof Date) return `{"$time":"${timeText(value)}"}`;
  if (value instanceof ArrayBuffer) return `{"$bytes":"${b64urlEncode(new Uint8Array(value))}"}`;
  if (value instanceof StreamRef) return `{"$stream":${value.id}}`;
  const array = asArray(value);
  if (array === undefined) return writeMap(value, depth);
  refuseUnsound(array);
  return `{"$array":${arrayText(array)}}`;
}

function writeList(list: readonly unknown[], depth: number): string {
  refuseDepth(depth);
  let out = "[";
  let i = 0;
  try {
    for (; i < list.length; i++) out += i === 0 ? writeJson(list[i], depth + 1) : `,${writeJson(list[i], depth + 1)}`;
  } catch (error) {
    throw within(error, i);
  }
  return `${out}]`;
}

function writeMap(map: object, depth: number): string {
  const [keys, values] = entriesOf(map);
  refuseDepth(depth);
  const escape = keys.length === 1 && keys[0]!.startsWith("$") ? "$" : "";
  let out = "{";
  let i = 0;
  try {
    for (; i < keys.length; i++) {
      out += `${i === 0 ? "" : ","}${writeText(escape + keys[i]!)}:${writeJson(values[i], depth + 1)}`;
    }
  } catch (error) {
    throw within(error, keys[i]!);
  }
  return `${out}}`;
}

/**
 * The value of a JSON text, `$` forms read. `DecodeError` for everything that is not exactly one.
 *
 * Nesting is bounded a little above `maxDepth`; `nesting` says how far it went, for the caller to look closer where that may be too deep.
 */
export function readJson(text: string): { value: Value; nesting: number } {
  const reader = new Reader(text);
  const value = reader.document();
  return { value, nesting: reader.nesting };
}

const QUOTE = 0x22;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;

class Reader {
  nesting = 0;
  #at = 0;
  #depth = 0;

  constructor(readonly text: string) {}

  document(): Value {
    const value = this.#value(this.#next());
    if (!Number.isNaN(this.#next())) throw this.#unexpected("the end");
    return value;
  }

  /** The character at the next place that is no white space, which is then the current place; NaN at the end. */
  #next(): number {
    let code = this.text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = this.text.charCodeAt(++this.#at);
    return code;
  }

  #value(code: number): Value {
    switch (code) {
      case QUOTE:
        return this.#string();
      case 0x7b:
        return this.#object();
      case 0x5b:
        return this.#array();
      case 0x74:
        return this.#word("true", true);
      case 0x66:
        return this.#word("false", false);
      case 0x6e:
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.#at)) throw this.#unexpected("a value");
    this.#at += word.length;
    return value;
  }

  #number(): number {
    const { text } = this;
    const start = this.#at;
    let code = text.charCodeAt(start);
    if (code === MINUS) code = text.charCodeAt(++this.#at);
    if (!isDigit(code)) throw this.#unexpected("a value");
    code = code === 0x30 ? text.charCodeAt(++this.#at) : this.#digits();
    let isInteger = true;
    if (code === 0x2e) {
      isInteger = false;
      if (!isDigit(text.charCodeAt(++this.#at))) throw this.#unexpected("a digit");
      code = this.#digits();
    }
    if (code === 0x65 || code === 0x45) {
      isInteger = false;
      code = text.charCodeAt(++this.#at);
      if (code === 0x2b || code === MINUS) code = text.charCodeAt(++this.#at);
      if (!isDigit(code)) throw this.#unexpected("a digit");
      this.#digits();
    }
    const value = Number(text.slice(start, this.#at));
    if (isInteger) {
      if (!Number.isSafeInteger(value)) throw this.#error('an integer beyond 2^53-1 must be written {"$int":"…"}');
      return value === 0 ? 0 : value; // "-0" is the integer 0
    }
    if (!Number.isFinite(value)) throw this.#error("expected a number within the range of a 64-bit float");
    return value;
  }

  /** Skips digits; returns what stands behind them. */
  #digits(): number {
    let code = this.text.charCodeAt(++this.#at);
    while (isDigit(code)) code = this.text.charCodeAt(++this.#at);
    return code;
  }

  #string(): string {
    const { text } = this;
    let start = ++this.#at;
    let done = "";
    let surrogates = false;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        done += text.slice(start, this.#at);
        const unit = this.#escape();
        surrogates ||= isSurrogate(unit);
        done += String.fromCharCode(unit);
        start = this.#at;
      } else {
        if (!(code >= 0x20)) throw this.#unexpected('text that ends with "'); // NaN, at the end, is not >= 0x20
        surrogates ||= isSurrogate(code);
        this.#at++;
      }
    }
    const value = done + text.slice(start, this.#at++);
    if (surrogates && !isWellFormed(value)) throw this.#error("expected well-formed text, got a lone surrogate");
    return value;
  }

  #escape(): number {
    const { text } = this;
    const code = text.charCodeAt(this.#at + 1);
    this.#at += 2;
    switch (code) {
      case QUOTE:
      case BACKSLASH:
      case 0x2f:
        return code;
      case 0x62:
        return 0x08;
      case 0x66:
        return 0x0c;
      case 0x6e:
        return 0x0a;
      case 0x72:
        return 0x0d;
      case 0x74:
        return 0x09;
      case 0x75: {
        const hex = text.slice(this.#at, this.#at + 4);
        if (!/^[0-9A-Fa-f]{4}$/.test(hex)) break;
        this.#at += 4;
        return Number.parseInt(hex, 16);
      }
    }
    this.#at -= 2;
    throw this.#unexpected("an escape of JSON");
  }

  #array(): Value[] {
    this.#enter();
    const list: Value[] = [];
    let code = this.#next();
    if (code !== 0x5d) {
      for (;;) {
        list.push(this.#value(code));
        code = this.#next();
        if (code === 0x5d) break;
        if (code !== 0x2c) throw this.#unexpected(", or ]");
        this.#at++;
        code = this.#next();
      }
    }
    this.#leave();
    return list;
  }

  #object(): Value {
    this.#enter();
    const map = Object.create(null) as { [key: string]: Value };
    let key = "";
    let size = 0;
    let code = this.#next();
    if (code !== 0x7d) {
      for (;;) {
        if (code !== QUOTE) throw this.#unexpected("a key in quotes");
        key = this.#string();
        if (this.#next() !== 0x3a) throw this.#unexpected(":");
        this.#at++;
        if (size > 0 && key in map) throw this.#error(`the key ${JSON.stringify(key.slice(0, 64))} stands twice in a map`);
        map[key] = this.#value(this.#next());
        size++;
        code = this.#next();
        if (code === 0x7d) break;
        if (code !== 0x2c) throw this.#unexpected(", or }");
        this.#at++;
        code = this.#next();
      }
    }
    this.#leave();
    return size === 1 && key.startsWith("$") ? this.#form(key, map[key]!) : map;
  }

  #form(key: string, inner: Value): Value {
    const value = fromForm(key, inner);
    if (value !== undefined) return value;
    const map = Object.create(null) as { [key: string]: Value };
    map[key.slice(1)] = inner;
    return map;
  }

  #enter(): void {
    this.#at++;
    this.#depth++;
    if (this.#depth > this.nesting) {
      if (this.#depth > MAX_NESTING) throw this.#error(`expected values at most ${MAX_DEPTH} deep`);
      this.nesting = this.#depth;
    }
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #unexpected(expected: string): DecodeError {
    const got = this.#at < this.text.length ? JSON.stringify(String.fromCodePoint(this.text.codePointAt(this.#at)!)) : "the end";
    return this.#error(`expected ${expected}, got ${got}`);
  }

  #error(message: string): DecodeError {
    return new DecodeError(`JSON, character ${this.#at}: ${message}`);
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

