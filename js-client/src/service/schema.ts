/**
 * JSON Schema for the parameters of exposed functions: the part of draft 2020-12 that is checked here. A schema with any other keyword is
 * refused when the function is exposed, so that what `rpc.discover` announces is what is enforced.
 */

import { ExposeError, type Issue } from "../errors.js";
import { RpcFile } from "../file.js";
import { RpcStream } from "../stream.js";

/** A JSON Schema, as it would be written in JSON. */
export type JsonSchema = { readonly [keyword: string]: unknown };

const TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"];
const ANNOTATIONS = ["$schema", "title", "description", "default", "examples", "format", "deprecated", "readOnly", "writeOnly"];
const MAX_ISSUES = 16; // a wrong argument of a thousand wrong items is told by its first few

/** Where in the arguments a value stands: names and indexes, from the name of the parameter on. */
export type Place = readonly (string | number)[];

type Check = (argument: unknown, value: unknown, path: Place, issues: Issue[], schema: JsonSchema) => void;

// One entry a keyword: what its argument must be, and what it checks.
const KEYWORDS = new Map<string, { readonly takes: (argument: unknown) => boolean; readonly check: Check }>([
  [
    "type",
    {
      takes: (argument) => [argument].flat().every((name) => TYPES.includes(name as string)),
      check: (argument, value, path, issues, schema) => {
        const names = [argument].flat() as string[];
        // What is wrong with a stream or a file is said below, in words that people know.
        if (schema["x-stream"] !== true && schema["x-file"] !== true && !names.some((name) => hasType(value, name, schema))) {
          refuse(issues, path, names.join(" or "), value);
        }
      },
    },
  ],
  [
    "enum",
    {
      takes: (argument) => Array.isArray(argument) && argument.every(isScalar),
      check: (argument, value, path, issues) => {
        if (!(argument as unknown[]).includes(value)) {
          refuse(issues, path, `one of ${JSON.stringify(argument)}`, value);
        }
      },
    },
  ],
  [
    "const",
    {
      takes: isScalar,
      check: (argument, value, path, issues) => {
        if (value !== argument) {
          refuse(issues, path, JSON.stringify(argument), value);
        }
      },
    },
  ],
  ["minimum", bound((value, limit) => value >= limit, "at least")],
  ["maximum", bound((value, limit) => value <= limit, "at most")],
  ["exclusiveMinimum", bound((value, limit) => value > limit, "more than")],
  ["exclusiveMaximum", bound((value, limit) => value < limit, "less than")],
  ["minLength", size((value) => (typeof value === "string" ? [...value].length : null), true, "characters")],
  ["maxLength", size((value) => (typeof value === "string" ? [...value].length : null), false, "characters")],
  ["minItems", size((value) => (Array.isArray(value) ? value.length : null), true, "items")],
  ["maxItems", size((value) => (Array.isArray(value) ? value.length : null), false, "items")],
  [
    // Ours: JSON Schema has no streams. Its `items` are looked at as they are taken.
    "x-stream",
    {
      takes: (argument) => argument === true,
      check: (_argument, value, path, issues) => {
        if (!(value instanceof RpcStream)) {
          refuse(issues, path, "a stream", value);
        }
      },
    },
  ],
  [
    // Ours, too.
    "x-file",
    {
      takes: (argument) => argument === true,
      check: (_argument, value, path, issues) => {
        if (!(value instanceof RpcFile)) {
          refuse(issues, path, "a file", value);
        }
      },
    },
  ],
  [
    "items",
    {
      takes: isSchema,
      check: (argument, value, path, issues) => {
        if (Array.isArray(value)) {
          value.forEach((item, index) => checkValue(argument as JsonSchema, item, [...path, index], issues));
        }
      },
    },
  ],
  [
    "properties",
    {
      takes: (argument) => isObject(argument) && Object.values(argument).every(isSchema),
      check: (argument, value, path, issues) => {
        if (isObject(value)) {
          for (const [name, schema] of Object.entries(argument as Record<string, JsonSchema>)) {
            if (Object.hasOwn(value, name)) {
              checkValue(schema, value[name], [...path, name], issues);
            }
          }
        }
      },
    },
  ],
  [
    "required",
    {
      takes: (argument) => Array.isArray(argument) && argument.every((name) => typeof name === "string"),
      check: (argument, value, path, issues) => {
        if (isObject(value)) {
          for (const name of argument as string[]) {
            if (!Object.hasOwn(value, name)) {
              refuse(issues, [...path, name], "a value", undefined);
            }
          }
        }
      },
    },
  ],
  [
    "additionalProperties",
    {
      takes: (argument) => argument === false || isSchema(argument),
      check: (argument, value, path, issues, schema) => {
        if (isObject(value)) {
          const known = (schema["properties"] ?? {}) as object;
          for (const name of Object.keys(value).filter((key) => !Object.hasOwn(known, key))) {
            if (argument === false) {
              refuse(issues, [...path, name], "no such member", value[name]);
            } else {
              checkValue(argument as JsonSchema, value[name], [...path, name], issues);
            }
          }
        }
      },
    },
  ],
  [
    "anyOf",
    {
      takes: (argument) => Array.isArray(argument) && argument.length > 0 && argument.every(isSchema),
      check: (argument, value, path, issues) => {
        const schemas = argument as JsonSchema[];
        const attempts = schemas.map((schema) => {
          const own: Issue[] = [];
          checkValue(schema, value, path, own);
          return own;
        });
        if (attempts.every((own) => own.length > 0)) {
          refuse(issues, path, attempts.map((own) => own[0]?.expected).join(" or "), value);
        }
      },
    },
  ],
]);

/** Throws `ExposeError` for a schema that is none, or that has a keyword which is not checked here. */
export function requireSchema(schema: unknown, where: string): asserts schema is JsonSchema {
  if (!isSchema(schema)) {
    const known = [...KEYWORDS.keys(), ...ANNOTATIONS].join(", ");
    throw new ExposeError(`${where}: expected a JSON Schema of these keywords, used as JSON Schema has them: ${known}`);
  }
}

/** What is wrong with `value`; nothing is pushed when it fits. */
export function checkValue(schema: JsonSchema, value: unknown, path: Place, issues: Issue[]): void {
  for (const [keyword, argument] of Object.entries(schema)) {
    if (issues.length >= MAX_ISSUES) {
      return;
    }
    KEYWORDS.get(keyword)?.check(argument, value, path, issues, schema);
  }
}

function isSchema(value: unknown): value is JsonSchema {
  return (
    isObject(value) &&
    Object.entries(value).every(([keyword, argument]) => KEYWORDS.get(keyword)?.takes(argument) ?? ANNOTATIONS.includes(keyword))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isBinary(value) && !(value instanceof Date);
}

function isBinary(value: unknown): value is ArrayBufferView {
  return ArrayBuffer.isView(value);
}

function isScalar(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

function hasType(value: unknown, type: string, schema: JsonSchema): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "integer":
      return Number.isInteger(value) || typeof value === "bigint";
    case "number":
      return typeof value === "number" || typeof value === "bigint";
    case "string":
      // JSON Schema has no bytes and no instants: these formats are how a schema says them.
      return (
        typeof value === "string" ||
        (schema["format"] === "binary" && isBinary(value)) ||
        (schema["format"] === "date-time" && value instanceof Date)
      );
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value) && !(value instanceof RpcStream) && !(value instanceof RpcFile);
    default:
      return typeof value === type;
  }
}

function bound(fits: (value: number | bigint, limit: number) => boolean, words: string): { takes: typeof isScalar; check: Check } {
  return {
    takes: (argument) => Number.isFinite(argument),
    check: (argument, value, path, issues) => {
      if ((typeof value === "number" || typeof value === "bigint") && !fits(value, argument as number)) {
        refuse(issues, path, `${words} ${String(argument)}`, value);
      }
    },
  };
}

function size(of: (value: unknown) => number | null, least: boolean, unit: string): { takes: typeof isScalar; check: Check } {
  return {
    takes: (argument) => Number.isSafeInteger(argument) && (argument as number) >= 0,
    check: (argument, value, path, issues) => {
      const length = of(value);
      if (length !== null && (least ? length < (argument as number) : length > (argument as number))) {
        refuse(issues, path, `${least ? "at least" : "at most"} ${String(argument)} ${unit}`, `${length} ${unit}`);
      }
    },
  };
}

function refuse(issues: Issue[], path: Place, expected: string, got: unknown): void {
  issues.push({ path, expected, got: shown(got) });
}

/** A value in a few words: it goes back to whoever sent it. */
function shown(value: unknown): string {
  if (value === undefined) {
    return "nothing";
  }
  if (isScalar(value) || typeof value === "bigint") {
    return typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
  }
  return Array.isArray(value) ? `a list of ${value.length}` : isBinary(value) ? `${value.byteLength} bytes` : value instanceof RpcStream ? "a stream" : value instanceof RpcFile ? "a file" : "an object";
}
