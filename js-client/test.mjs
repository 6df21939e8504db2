// Runs the tests with Node's own runner: every test/**/*.test.ts, or those whose path holds one of the words given.
//
//   npm test              all of them
//   npm test -- frames    only test/**/*frames*.test.ts

import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2);
const entries = await readdir(join(root, "test"), { recursive: true, withFileTypes: true });
const files = entries
  .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
  .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();

if (files.length === 0) {
  console.error(`no test file matches ${words.join(", ") || "test/**/*.test.ts"}`);
  process.exit(1);
}

const child = spawn(process.execPath, ["--import", "tsx", "--test", ...files], { cwd: root, stdio: "inherit" });
child.on("exit", (code, signal) => {
  process.exit(signal === null ? (code ?? 1) : 1);
});
