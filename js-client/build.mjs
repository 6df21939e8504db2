// Builds what ships: the client as one ES module with its types, and the page.
//
//   dist/rtcrpc.js   the client, with its dependencies inside
//   dist/types/      its declarations (tsc writes them, see the build script of package.json)
//   dist/page/       the page, whole: every host that serves files can serve it

import { cp, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");
const page = join(dist, "page");

const common = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  platform: "browser",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "linked",
  logLevel: "warning",
  minify: true,
  // Node prints the line of an uncaught error, which must not be the whole file.
  lineLimit: 160,
  // Errors are told apart by the name of their class, also in what people read.
  keepNames: true,
  sourcemap: "linked",
};

await rm(dist, { recursive: true, force: true });
await mkdir(page, { recursive: true });
await build({ ...common, entryPoints: ["src/index.ts"], outfile: join(dist, "rtcrpc.js") });
await build({ ...common, entryPoints: ["page/page.ts"], outfile: join(page, "page.js") });

// The page's host serves the client too, so that a page of one's own can import it from there.
for (const name of ["rtcrpc.js", "rtcrpc.js.map"]) {
  await cp(join(dist, name), join(page, name));
}
for (const entry of await readdir(join(root, "page"))) {
  if (!entry.endsWith(".ts")) {
    await cp(join(root, "page", entry), join(page, entry), { recursive: true });
  }
}

const { size } = await stat(join(dist, "rtcrpc.js"));
console.log(`built dist/rtcrpc.js (${(size / 1024).toFixed(1)} KiB) and dist/page/`);
