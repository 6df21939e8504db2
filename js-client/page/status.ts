/** The panel that says who is at the other end, how sure that is, which way the packets go, and how long they take. */

import { button, byId, el, fill, longText, peerText, show } from "./dom.js";
import { failureView } from "./result.js";
import type { Measured, Phase, Standing, Who } from "./session.js";
import { spark } from "./spark.js";
import { duration, label, shortKey, wholeKey } from "./text.js";

const PHASES: Readonly<Record<Phase, string>> = {
  connecting: "Connecting",
  choosing: "Choose a peer",
  connected: "Connected",
  disconnected: "Disconnected",
  failed: "Not connected",
};

const CANDIDATES: ReadonlyMap<string, string> = new Map([
  ["host", "own address"],
  ["srflx", "address seen by a STUN server"],
  ["prflx", "address seen by the peer"],
  ["relay", "relay"],
]);

interface Trust {
  readonly word: string;
  readonly text: string;
  readonly level: "good" | "fair" | "none";
}

const TRUST: ReadonlyMap<string, Trust> = new Map([
  [
    "pinned",
    {
      word: "Verified",
      level: "good",
      text: "Your link names this key, and the peer has proved that it holds it. Nobody stands in between.",
    },
  ],
  ["tofu", { word: "Known", level: "fair", text: "It holds the same key as when you met before." }],
]);

const ANONYMOUS: Trust = {
  word: "Not verified",
  level: "none",
  text: "Your link names no key, so this may be anyone who is in the room. Compare the key with the peer's owner before you trust it.",
};

/** The panel; it fills the elements that `index.html` has for it. */
export class StatusPanel {
  readonly #panel = byId("status", HTMLElement);
  readonly #name = byId("peer-name", HTMLElement);
  readonly #phase = byId("phase", HTMLElement);
  readonly #why = byId("why", HTMLElement);
  readonly #facts = byId("facts", HTMLDetailsElement);
  readonly #announcer = byId("announcer", HTMLElement);
  readonly #reconnect: HTMLButtonElement;
  readonly #trust = el("span", { class: "badge", id: "trust" });
  readonly #direct = el("span", { class: "badge", id: "path" });
  readonly #brief = el("span", { class: "rtt", id: "rtt" });
  readonly #trustWords = el("p", { class: "hint" });
  readonly #key = el("dd", {});
  readonly #room = el("dd", {});
  readonly #path = el("dd", {}, "…");
  readonly #spark = spark();
  #said = "";

  constructor(reconnect: () => void) {
    this.#reconnect = button("Reconnect", "primary", reconnect);
    this.#reconnect.id = "reconnect";
    byId("reconnect-place", HTMLElement).append(this.#reconnect);
    // On a phone the functions come first: the details of the connection are one tap away.
    this.#facts.open = matchMedia("(width >= 60rem)").matches;
    fill(
      this.#facts,
      el("summary", {}, this.#trust, this.#direct, this.#brief),
      this.#trustWords,
      el(
        "dl",
        { class: "fact-list" },
        el("dt", {}, "Round trip"),
        el("dd", { class: "rtt-line" }, this.#spark.element),
        el("dt", {}, "Path"),
        this.#path,
        el("dt", {}, "Key"),
        this.#key,
        el("dt", {}, "Room"),
        this.#room,
      ),
    );
  }

  /** Before anyone answered: the name that the link gives. */
  expect(name: string | null, room: string): void {
    fill(this.#name, peerText(name === null ? "A peer" : label(name)));
    fill(this.#room, peerText(label(room, 60)));
    document.title = name === null ? "rtcrpc" : `${label(name, 40)} · rtcrpc`;
  }

  stood({ phase, words, failure, final = false }: Standing): void {
    this.#panel.dataset["phase"] = phase;
    this.#phase.textContent = PHASES[phase];
    if (failure !== null) {
      fill(this.#why, failureView(failure));
    } else if (words === "") {
      fill(this.#why);
    } else {
      // A reason may be the peer's own words.
      fill(this.#why, longText(words, 200));
    }
    show(this.#reconnect, !final && (phase === "disconnected" || phase === "failed"));
    show(this.#facts, phase === "connected" || phase === "disconnected");
    this.say(`${PHASES[phase]}${failure === null ? "" : `: ${failure.message}`}`);
  }

  met({ name, peerId, trust }: Who, room: string): void {
    this.expect(name === "" ? null : name, room);
    const told = TRUST.get(trust) ?? ANONYMOUS;
    this.#trust.className = `badge ${told.level}`;
    this.#trust.textContent = told.word;
    this.#trustWords.textContent = told.text;
    fill(
      this.#key,
      el(
        "details",
        { class: "key-details" },
        el("summary", {}, el("code", { id: "key" }, shortKey(peerId))),
        el("code", { class: "whole-key" }, wholeKey(peerId)),
      ),
    );
  }

  measured({ rtt, path }: Measured): void {
    if (rtt !== null) {
      this.#brief.textContent = duration(rtt);
      this.#spark.push(rtt);
    }
    if (path !== null) {
      this.#direct.className = path.relayed ? "badge fair" : "badge good";
      this.#direct.textContent = path.relayed ? "Relayed" : "Direct";
      const family = path.family === "unknown" ? "" : path.family === "ipv6" ? ", IPv6" : ", IPv4";
      fill(
        this.#path,
        path.relayed ? "Through a relay, which can't read what passes." : "Straight to the peer.",
        el(
          "span",
          { class: "hint candidates", title: `yours: ${meaning(path.localType)}; the peer's: ${meaning(path.remoteType)}` },
          `${path.localType} ↔ ${path.remoteType}, ${path.protocol.toUpperCase()}${family}`,
        ),
      );
    }
  }

  /** Says it to screen readers; not twice the same in a row. */
  say(words: string): void {
    if (words !== this.#said) {
      this.#said = words;
      this.#announcer.textContent = words;
    }
  }
}

function meaning(type: string): string {
  return CANDIDATES.get(type) ?? label(type, 20);
}
