/** The built client in real browsers: where it keeps its key, and calls between two tabs over real WebRTC. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import type { Browser, Page } from "puppeteer-core";

import type * as rtcrpc from "../../src/index.js";
import { serveClient, startBrowser } from "../support/browser.js";
import { Hub } from "../support/hub.js";

// What pages keep between the steps of a test.
declare global {
  interface Window {
    client: typeof rtcrpc;
    room: rtcrpc.Room;
  }
}

for (const kind of ["chrome", "firefox"] as const) {
  describe(kind, () => {
    let browser: Browser;
    let hub: Hub;
    let site: { url: string; stop: () => Promise<void> };

    before(async () => {
      site = await serveClient();
      hub = await Hub.start();
      browser = await startBrowser(kind);
    });

    after(async () => {
      await browser.close();
      await hub.stop();
      await site.stop();
    });

    async function open(): Promise<Page> {
      const page = await browser.newPage();
      await page.goto(site.url);
      await page.evaluate(async () => {
        const path = "/rtcrpc.js";
        window.client = (await import(path)) as typeof rtcrpc;
      });
      return page;
    }

    const load = (page: Page): Promise<[string, boolean]> =>
      page.evaluate(async () => {
        const identity = await window.client.loadIdentity();
        return [identity.peerId, identity.persistent] as [string, boolean];
      });

    test("the key stays over visits; two tabs at once don't share it", async () => {
      const first = await open();
      const [kept, persistent] = await load(first);
      assert.equal(persistent, true);
      const second = await open();
      const [other, otherPersistent] = await load(second);
      assert.notEqual(other, kept);
      assert.equal(otherPersistent, false);
      await first.close();
      await second.close();
      const third = await open();
      assert.deepEqual(await load(third), [kept, true]);
      await third.close();
    });

    test("two tabs that start together agree on the one key", async () => {
      const page = await open();
      const [one, two] = await page.evaluate(async () => {
        const both = await Promise.all([window.client.loadIdentity({ database: "race" }), window.client.loadIdentity({ database: "race" })]);
        return both.map((identity) => identity.persistent);
      });
      assert.deepEqual([one, two].sort(), [false, true]);
      await page.close();
    });

    test("calls, values and errors between two tabs; a closed tab is noticed at once", async () => {
      const [robot, user] = [await open(), await open()];
      const link = await robot.evaluate(async (bootstrap) => {
        const { admitProved, join } = window.client;
        window.room = await join({ bootstrap, room: "lab", name: "robot", admit: admitProved });
        window.room.expose("add", (a: number, b: number) => a + b);
        window.room.expose("size", (data: Uint8Array) => data.length);
        window.room.expose("fail", () => {
          throw new window.client.ApplicationError("no paper");
        });
        return `${bootstrap}/room/lab#pin=${window.room.peerId}`;
      }, hub.base);
      const results = await user.evaluate(async (where) => {
        window.room = await window.client.join(where, { name: "user" });
        const remote = await window.room.peer();
        const path = await remote.path();
        return {
          sum: (await remote.invoke("add", [1, 2])) as number,
          size: (await remote.invoke("size", [new Uint8Array(1_000_000)])) as number,
          error: await remote.invoke("fail", []).catch((error: Error) => `${error.name}: ${error.message}`),
          trust: remote.trust,
          path: path?.localType,
          relayed: path?.relayed,
        };
      }, link);
      assert.deepEqual(results, { sum: 3, size: 1_000_000, error: "RemoteApplicationError: no paper", trust: "pinned", path: "host", relayed: false });
      const reason = user.evaluate(
        () => new Promise<string>((resolve) => window.room.addEventListener("disconnected", (event) => resolve(event.reason))),
      );
      await robot.close({ runBeforeUnload: false });
      // Firefox ends a page's connections before its last words have left.
      assert.match(await reason, kind === "chrome" ? /page was closed/ : /page was closed|closed the channel/);
      await user.close();
    });
  });
}
