/** The issues of an "invalid params" answer -> the fields that they are about: pure, no DOM. */

import type { Issue } from "../src/errors.js";
import type { Field } from "./fields.js";
import type { Path, Problem } from "./values.js";

const MAX_STEPS = 32;

/** `a`, `a.b`, `a[0].b`, `/a/0/b`, `0` and `params.a` all name places; peers in several languages write them differently. */
export function parsePath(path: Issue["path"]): Path {
  if (typeof path !== "string") {
    return path.slice(0, MAX_STEPS);
  }
  const steps = path
    .slice(0, 1_000)
    .replace(/\[(\d+)\]/gu, ".$1")
    .replace(/\[["']([^"'\]]*)["']\]/gu, ".$1")
    .split(path.startsWith("/") ? "/" : ".")
    .filter((step) => step !== "" && step !== "$")
    .slice(0, MAX_STEPS);
  return steps.map((step) => (/^\d{1,9}$/u.test(step) ? Number(step) : step));
}

/** What to say beside which field. An issue about an argument that the form doesn't have keeps its path as the peer wrote it. */
export function problemsOf(issues: readonly Issue[], fields: readonly Field[]): readonly Problem[] {
  const names = new Set(fields.map((field) => field.name));
  return issues.map((issue) => {
    let path = parsePath(issue.path);
    const [first, second] = path;
    if (first === "params" && !names.has("params") && second !== undefined) {
      path = path.slice(1);
    }
    const head = path[0];
    const byIndex = typeof head === "number" ? fields[head]?.name : undefined;
    if (byIndex !== undefined && !names.has(String(head))) {
      path = [byIndex, ...path.slice(1)];
    }
    return { path, message: issue.got === "" ? `expected ${issue.expected}` : `expected ${issue.expected}, got ${issue.got}` };
  });
}
