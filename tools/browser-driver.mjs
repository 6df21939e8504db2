// Drives one real browser for the tests: one JSON command a line on standard input, one JSON answer a line on standard output.
//
//   -> {"id": 1, "command": "launch", "browser": "chromium" | "firefox", "args": [], "dark": false}
//   <- {"id": 1, "result": {"pid": 4242, "version": "Chrome/156.0…"}}      or      {"id": 1, "error": "what went wrong"}
//
// Commands (page is the number newPage gave):
//   launch browser args? dark? executable?     newPage -> page                 closePage page         goto page url
//   reload page
//   evaluate page expression -> its value      waitFor page selector|expression timeout?              click page selector
//   type page selector text clear?             press page key                  select page selector value
//   upload page selector files                 setViewport page width height scale?                   screenshot page path full?
//   consoleMessages page -> [{type, text}]     cspViolations page -> [{directive, blocked, …}]         close
//
// Commands run one after the other. The end of standard input closes the browser, so no browser outlives its test.

import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// puppeteer-core is a development dependency of the client, and lives in its node_modules.
const require = createRequire(new URL("../js-client/package.json", import.meta.url));
const { default: puppeteer } = await import(pathToFileURL(require.resolve("puppeteer-core")).href);

const EXECUTABLES = {
  chromium: ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
  firefox: ["/usr/bin/firefox-esr", "/usr/bin/firefox"],
};
const WAIT_MILLIS = 15_000;
const POLL_MILLIS = 25;
// What the page's own listener prints for each violation. Printed, not stored in the page: a navigation would lose it.
const VIOLATION_MARK = `csp-violation-${process.pid}:`;

let browser = null;
let lastPage = 0;
const pages = new Map();

function executableOf(name) {
  const known = EXECUTABLES[name];
  if (known === undefined) {
    throw new Error(`expected browser "chromium" or "firefox", got ${JSON.stringify(name)}`);
  }
  const found = known.find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error(`no ${name} at ${known.join(", ")}: install it (Debian: apt-get install chromium firefox-esr)`);
  }
  return found;
}

async function launch({ browser: name, args = [], dark = false, executable }) {
  if (browser !== null) {
    throw new Error("a browser runs already: one driver drives one browser");
  }
  const executablePath = executable ?? executableOf(name);
  const common = {
    executablePath,
    headless: true,
    timeout: 60_000,
    protocolTimeout: 60_000,
    handleSIGINT: false,
    defaultViewport: { width: 1280, height: 900 },
  };
  if (name === "chromium") {
    // Chromium's own sandbox refuses to start as root; /dev/shm is small in containers.
    const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const flags = [...root, "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--no-first-run", ...args];
    // A preference of the whole browser, so that both browsers take it the same way.
    browser = await puppeteer.launch({
      ...common,
      browser: "chrome",
      pipe: true,
      args: dark ? [...flags, "--force-dark-mode"] : flags,
    });
  } else {
    const extraPrefsFirefox = {
      "ui.systemUsesDarkTheme": dark ? 1 : 0,
      "layout.css.prefers-color-scheme.content-override": dark ? 0 : 1,
      // No network that a test did not ask for.
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
      "app.normandy.enabled": false,
      "browser.safebrowsing.downloads.remote.enabled": false,
    };
    browser = await puppeteer.launch({ ...common, browser: "firefox", args, extraPrefsFirefox });
  }
  return { pid: browser.process()?.pid ?? null, version: await browser.version() };
}

function watchViolations(mark) {
  window.addEventListener(
    "securitypolicyviolation",
    (event) => {
      console.debug(
        mark +
          JSON.stringify({
            directive: event.effectiveDirective,
            blocked: event.blockedURI,
            source: event.sourceFile,
            line: event.lineNumber,
            sample: event.sample,
          }),
      );
    },
    true,
  );
}

async function newPage() {
  if (browser === null) {
    throw new Error("no browser: send launch first");
  }
  const page = await browser.newPage();
  const record = { page, messages: [], violations: [] };
  page.on("console", (message) => {
    const text = message.text();
    if (text.startsWith(VIOLATION_MARK)) {
      record.violations.push(JSON.parse(text.slice(VIOLATION_MARK.length)));
      return;
    }
    record.messages.push({ type: message.type(), text });
    // A violation before any script could listen (the page's first bytes) is told on the console only.
    if (message.type() === "error" && /content[- ]security[- ]policy|trusted ?type/i.test(text)) {
      record.violations.push({ directive: "console", blocked: text });
    }
  });
  page.on("pageerror", (error) => {
    record.messages.push({ type: "pageerror", text: String(error?.stack ?? error) });
  });
  await page.evaluateOnNewDocument(watchViolations, VIOLATION_MARK);
  lastPage += 1;
  pages.set(lastPage, record);
  return lastPage;
}

async function closePage({ page: number }) {
  const { page } = recordOf(number);
  pages.delete(number);
  await page.close();
}

function recordOf(number) {
  const record = pages.get(number);
  if (record === undefined) {
    throw new Error(`no page ${JSON.stringify(number)}: open one with newPage (open: ${[...pages.keys()].join(", ") || "none"})`);
  }
  return record;
}

// Our own loop: puppeteer's waitForFunction compiles text inside the page, which the page's policy rightly forbids.
async function waitFor({ page: number, selector, expression, timeout = WAIT_MILLIS }) {
  const { page } = recordOf(number);
  const wanted = expression ?? `document.querySelector(${JSON.stringify(selector)}) !== null`;
  const until = performance.now() + timeout;
  for (;;) {
    let value;
    try {
      value = await page.evaluate(wanted);
    } catch (error) {
      // A navigation in between takes the page's context away; the next one has an answer.
      if (!/context|navigat|destroyed|detached/i.test(String(error))) {
        throw error;
      }
    }
    if (value) {
      return value;
    }
    if (performance.now() > until) {
      throw new Error(`waited ${timeout} ms in vain for ${wanted}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
  }
}

const COMMANDS = {
  launch,
  newPage,
  closePage,
  waitFor,
  goto: async ({ page, url }) => {
    await recordOf(page).page.goto(url, { waitUntil: "load", timeout: 30_000 });
  },
  reload: async ({ page }) => {
    await recordOf(page).page.reload({ waitUntil: "load", timeout: 30_000 });
  },
  evaluate: async ({ page, expression }) => recordOf(page).page.evaluate(expression),
  click: async ({ page, selector }) => {
    await recordOf(page).page.click(selector);
  },
  type: async ({ page, selector, text, clear = true }) => {
    const target = recordOf(page).page;
    await target.focus(selector);
    if (clear) {
      await target.$eval(selector, (field) => field.select?.());
      await target.keyboard.press("Delete");
    }
    await target.keyboard.type(text);
  },
  press: async ({ page, key }) => {
    await recordOf(page).page.keyboard.press(key);
  },
  select: async ({ page, selector, value }) => {
    await recordOf(page).page.select(selector, value);
  },
  upload: async ({ page, selector, files }) => {
    const input = await recordOf(page).page.$(selector);
    if (input === null) {
      throw new Error(`no element ${selector} to give files to`);
    }
    await input.uploadFile(...files);
  },
  setViewport: async ({ page, width, height, scale = 1 }) => {
    await recordOf(page).page.setViewport({ width, height, deviceScaleFactor: scale });
  },
  screenshot: async ({ page, path, full = false }) => {
    await recordOf(page).page.screenshot({ path, fullPage: full });
  },
  consoleMessages: async ({ page }) => recordOf(page).messages,
  cspViolations: async ({ page }) => recordOf(page).violations,
  close: async () => {
    await closeBrowser();
  },
};

async function closeBrowser() {
  const closing = browser;
  browser = null;
  pages.clear();
  if (closing !== null) {
    await closing.close();
  }
}

function answer(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  let request;
  try {
    request = JSON.parse(line);
  } catch {
    answer({ id: null, error: "expected a JSON object on each line" });
    continue;
  }
  const { id, command, ...given } = request;
  try {
    if (!Object.hasOwn(COMMANDS, command)) {
      throw new Error(`expected one of ${Object.keys(COMMANDS).join(", ")}, got ${JSON.stringify(command)}`);
    }
    answer({ id, result: (await COMMANDS[command](given)) ?? null });
  } catch (error) {
    answer({ id, error: error instanceof Error ? error.message : String(error) });
  }
}
await closeBrowser();
