/** The screen without a link: what this page is, and a place to paste one. */

import { Invite, InviteError } from "../src/index.js";
import { byId, fill, show } from "./dom.js";

/** Calls `go` with the fragment of a link that was pasted. */
export function startScreen(go: (fragment: string) => void): void {
  const form = byId("paste-form", HTMLFormElement);
  const box = byId("paste", HTMLInputElement);
  const problem = byId("paste-problem", HTMLElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      go(fragmentOf(box.value.trim()));
    } catch (error) {
      if (!(error instanceof InviteError)) {
        throw error;
      }
      fill(problem, error.message);
      show(problem, true);
      box.setAttribute("aria-invalid", "true");
      box.focus();
    }
  });
  box.addEventListener("input", () => {
    show(problem, false);
    box.removeAttribute("aria-invalid");
  });
}

/** The fragment that leads from this page to where `link` leads. A link of another page has its bootstrap there: it is written out. */
export function fragmentOf(link: string): string {
  if (link === "") {
    throw new InviteError("expected a link, such as https://example.org/#room=lab&pin=…");
  }
  const invite = Invite.parse(link.startsWith("#") ? new URL(link, location.href).href : link);
  const base = invite.url.slice(0, invite.url.lastIndexOf("/room/"));
  return new Invite({ bootstrap: base, room: invite.room, pin: invite.pin, name: invite.name, token: invite.token }).toFragment();
}

/** What this browser, or the way the page was opened, lacks; null when nothing does. */
export function missing(): string | null {
  if (!globalThis.isSecureContext) {
    return (
      "This page was opened over plain http, and browsers give a page keys and WebRTC only over https, or on localhost. " +
      "Open it on the machine that serves it, or ask whoever runs it for an https link: rtcrpc serve --help tells how."
    );
  }
  if (typeof RTCPeerConnection !== "function") {
    return "This browser has no WebRTC, or an extension turned it off. The page needs it to reach the peer.";
  }
  return null;
}
