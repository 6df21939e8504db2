/** The page: with a link in its address it connects and shows the peer's functions; without one it asks for it. */

import { Invite } from "../src/index.js";
import { button, byId, fill, el, peerText, show } from "./dom.js";
import { failureOf } from "./failure.js";
import { refuseStrayDrops } from "./file-control.js";
import { FunctionList } from "./functions.js";
import { PageSession } from "./session.js";
import { missing, startScreen } from "./start.js";
import { StatusPanel } from "./status.js";
import { label, shortKey } from "./text.js";

let session: PageSession | null = null;
let shownFor = location.href;
const status = new StatusPanel(() => void session?.connect());
const functions = new FunctionList({
  invoke: (method, params, signal, progress) => {
    if (session === null) {
      throw new Error("there is no connection");
    }
    return session.invoke(method, params, signal, progress);
  },
  say: (words) => status.say(words),
});

function showScreen(name: "start" | "session"): void {
  show(byId("start", HTMLElement), name === "start");
  show(byId("session", HTMLElement), name === "session");
}

async function open(): Promise<void> {
  await session?.close();
  session = null;
  if (shownFor !== location.href) {
    // What another link led to is not what this one offers.
    functions.clear();
    shownFor = location.href;
  }
  const lacking = missing();
  const note = byId("lacking", HTMLElement);
  note.textContent = lacking ?? "";
  show(note, lacking !== null);
  if (location.hash.length <= 1 || lacking !== null) {
    document.title = "rtcrpc";
    showScreen("start");
    return;
  }
  showScreen("session");
  let invite: Invite;
  try {
    // The fragment stays in the address, so that reloading works; browsers send it to nobody.
    invite = Invite.parse(location.href);
  } catch (error) {
    const failure = failureOf(error);
    status.expect(null, "");
    status.stood({
      phase: "failed",
      words: "",
      final: true,
      failure: {
        ...failure,
        title: "This link can't be read",
        code: null,
        hint: "Ask for a new one, or copy it again: a part may be missing.",
      },
    });
    return;
  }
  status.expect(invite.name, invite.room);
  const current = new PageSession(location.href, invite, {
    stood: (standing) => {
      status.stood(standing);
      show(byId("choices", HTMLElement), standing.phase === "choosing");
    },
    met: (who, room) => status.met(who, room.name),
    offered: (offer) => functions.show(offer),
    measured: (measured) => status.measured(measured),
    choose: (members) =>
      fill(
        byId("choices", HTMLElement),
        ...members.map(({ peerId, name }) => {
          const entry = button("", "plain", () => void current.take(peerId));
          fill(entry, peerText(label(name)), el("code", {}, shortKey(peerId)));
          return el("li", {}, entry);
        }),
      ),
  });
  session = current;
  await current.connect();
}

refuseStrayDrops();
startScreen((fragment) => {
  // The same link again raises no event.
  if (location.hash === fragment) {
    void open();
  } else {
    location.hash = fragment;
  }
});
window.addEventListener("hashchange", () => void open());
// Leaving a page closes its connection; coming back to it from the browser's cache finds it closed.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    void open();
  }
});
void open();
