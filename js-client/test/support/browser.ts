/** Real browsers for tests, and a web server for the built client. The browsers are those of the PATH. */

import { createServer, type Server } from "node:http";
import { access, readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";

import { type Browser, launch } from "puppeteer-core";

const NAMES = { chrome: ["chromium", "google-chrome"], firefox: ["firefox-esr", "firefox"] } as const;
const CHROME_ARGS = [
  // The sandbox needs a user other than root, which test machines often have not.
  "--no-sandbox",
  // Two tabs of one machine, with or without a network.
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/** Starts a browser without a window. */
export async function startBrowser(kind: keyof typeof NAMES): Promise<Browser> {
  return launch({
    browser: kind,
    executablePath: await found(NAMES[kind]),
    headless: true,
    args: kind === "chrome" ? CHROME_ARGS : [],
    extraPrefsFirefox: { "media.peerconnection.ice.obfuscate_host_addresses": false, "media.peerconnection.ice.loopback": true },
  });
}

/** Serves the built client at `/rtcrpc.js` and an empty page at every other path. */
export async function serveClient(): Promise<{ url: string; stop: () => Promise<void> }> {
  const script = await readFile(new URL("../../dist/rtcrpc.js", import.meta.url));
  const server: Server = createServer((request, response) => {
    if (request.url === "/rtcrpc.js") {
      response.setHeader("content-type", "text/javascript").end(script);
    } else {
      response.setHeader("content-type", "text/html").end("<!doctype html><title>test</title>");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function found(names: readonly string[]): Promise<string> {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of names) {
      const path = join(directory, name);
      if (await access(path).then(() => true, () => false)) {
        return path;
      }
    }
  }
  throw new Error(`expected one of ${names.join(", ")} in the PATH; install it, or run only the other tests`);
}
