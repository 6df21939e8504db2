/**
 * Invites: where to meet whom, as a link whose fragment never leaves the browser.
 *
 * `https://host/page/#room=lab&pin=<peer id>&name=robot&token=<secret>&bootstrap=wss://other.host`: `bootstrap` is left out where the page's
 * own server is the bootstrap. A room's URL, `wss://host/room/lab`, is an invite with nothing else in it.
 */

import { InviteError } from "../errors.js";
import { MAX_NAME_LENGTH, MAX_ROOM_LENGTH, TOKEN_LENGTH } from "../limits.js";
import { utf8Length } from "./frames.js";
import { isPeerId } from "./identity.js";

const MEMBERS = ["room", "pin", "name", "bootstrap", "token"] as const;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const MAX_LINK = 16384;
const AGAIN = "copy the link again, whole";

type Member = (typeof MEMBERS)[number];

/** What an invite is made of. */
export interface InviteParts {
  /** ws(s)://host[:port][/path], without `/room/…`; null where only the page knows. */
  readonly bootstrap?: string | null;
  readonly room: string;
  /** The peer id of the peer that invites. */
  readonly pin?: string | null;
  /** What that peer calls itself. */
  readonly name?: string | null;
  /** What lets its holder in (protocol section 6.1). */
  readonly token?: string | null;
}

/** A checked invite: the constructor and the functions that read one throw `InviteError`. */
export class Invite implements Required<InviteParts> {
  readonly bootstrap: string | null;
  readonly room: string;
  readonly pin: string | null;
  readonly name: string | null;
  readonly token: string | null;

  constructor({ bootstrap = null, room, pin = null, name = null, token = null }: InviteParts) {
    const length = [...room].length;
    if (length < 1 || length > MAX_ROOM_LENGTH) throw new InviteError(`room: expected 1 to ${MAX_ROOM_LENGTH} characters, got ${length}`);
    // URLs lose such a last segment even where it is percent-encoded, so nobody could ask for the room.
    if (room === "." || room === "..") throw new InviteError(`room: expected a name other than ${room}`);
    if (CONTROL.test(room)) throw new InviteError("room: expected no control characters");
    if (pin !== null && !isPeerId(pin)) {
      throw new InviteError(`pin: expected a peer id of 43 characters, got ${JSON.stringify(pin.slice(0, 64))}; ${AGAIN}`);
    }
    if (name !== null && ([...name].length > MAX_NAME_LENGTH || CONTROL.test(name))) {
      throw new InviteError(`name: expected at most ${MAX_NAME_LENGTH} characters, none of them a control character`);
    }
    if (token !== null && (token === "" || utf8Length(token) > TOKEN_LENGTH)) {
      throw new InviteError(`token: expected 1 to ${TOKEN_LENGTH} bytes, got ${utf8Length(token)}`);
    }
    if (bootstrap !== null) {
      const url = parseUrl(bootstrap, ["ws:", "wss:"], "bootstrap");
      if (url.search !== "" || url.hash !== "") throw new InviteError("bootstrap: expected a URL without ? and #");
    }
    this.bootstrap = bootstrap === null ? null : bootstrap.replace(/\/+$/, "");
    this.room = room;
    this.pin = pin;
    this.name = name;
    this.token = token;
  }

  /** The URL of the room: `ws(s)://host[:port][/path]/room/<room>`. */
  get url(): string {
    if (this.bootstrap === null) throw new InviteError("the invite names no bootstrap: pass the whole link, not only its fragment");
    return `${this.bootstrap}/room/${encode(this.room)}`;
  }

  /** The invite as a fragment, `#` included. */
  toFragment(): string {
    const pairs = MEMBERS.flatMap((member) => {
      const value = this[member];
      return value === null ? [] : [`${member}=${encode(value)}`];
    });
    return `#${pairs.join("&")}`;
  }

  /** The invite as a link to the page at `pageUrl` (http or https). */
  toLink(pageUrl: string): string {
    const url = parseUrl(pageUrl, ["http:", "https:"], "page");
    url.hash = "";
    return url.href + this.toFragment();
  }

  /** What a page reads from `location.hash`, with its `#` or without. */
  static fromFragment(fragment: string): Invite {
    return make(readMembers(fragment), null);
  }

  /** Reads a link to a page (http, https) or the URL of a room (ws, wss). */
  static parse(link: string): Invite {
    const text = link.trim(); // what was copied by hand brings a space or a line end along
    const url = parseUrl(text, ["http:", "https:", "ws:", "wss:"], "link");
    const hash = text.indexOf("#");
    const fragment = hash < 0 ? "" : text.slice(hash + 1);
    if (url.protocol === "http:" || url.protocol === "https:") {
      if (fragment === "") throw new InviteError(`the link has no fragment (the part behind #): it was cut off when copied; ${AGAIN}`);
      const scheme = url.protocol === "http:" ? "ws" : "wss";
      const directory = url.pathname.slice(0, url.pathname.lastIndexOf("/"));
      return make(readMembers(fragment), `${scheme}://${url.host}${directory}`);
    }
    const match = /^(.*)\/room\/([^/]+)$/.exec(url.pathname);
    if (match === null || url.search !== "") {
      throw new InviteError(`expected the URL of a room, ${url.protocol}//${url.host}/room/NAME; got ${JSON.stringify(text.slice(0, 200))}`);
    }
    const room = decode(match[2]!, "room");
    const members = fragment === "" ? new Map<Member, string>() : readMembers(fragment);
    const other = members.get("room") ?? room;
    if (other !== room) throw new InviteError(`room: the URL says ${JSON.stringify(room)}, its fragment ${JSON.stringify(other)}`);
    members.set("room", room);
    const base = `${url.protocol}//${url.host}${match[1]!}`;
    const invite = make(members, base);
    // A fragment that names another room or bootstrap than the URL itself is a mistake, or a trick on whoever reads the URL.
    if (invite.bootstrap !== new Invite({ bootstrap: base, room }).bootstrap) {
      throw new InviteError(`bootstrap: the URL says ${base}, its fragment ${JSON.stringify(members.get("bootstrap"))}`);
    }
    return invite;
  }
}

function make(members: ReadonlyMap<Member, string>, bootstrap: string | null): Invite {
  const room = members.get("room");
  if (room === undefined) throw new InviteError(`expected room=… in the link; ${AGAIN}`);
  const optional = (member: Member): string | null => members.get(member) ?? null;
  return new Invite({ bootstrap: optional("bootstrap") ?? bootstrap, room, pin: optional("pin"), name: optional("name"), token: optional("token") });
}

/** The members of a fragment that mean something to this version; others are ignored. */
function readMembers(fragment: string): Map<Member, string> {
  const members = new Map<Member, string>();
  for (const pair of fragment.replace(/^#/, "").split("&")) {
    const [name, ...value] = pair.split("=");
    const member = MEMBERS.find((known) => known === name);
    if (member === undefined) continue;
    if (members.has(member)) throw new InviteError(`${member}: expected once in the link, got it twice`);
    members.set(member, decode(value.join("="), member));
  }
  return members;
}

function encode(text: string): string {
  // encodeURIComponent leaves these five as they are, and throws for lone surrogates.
  try {
    return encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  } catch {
    throw new InviteError("expected well-formed text, got a lone surrogate");
  }
}

function decode(text: string, member: Member): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new InviteError(`${member}: expected percent-encoded UTF-8, got ${JSON.stringify(text.slice(0, 64))}; ${AGAIN}`);
  }
}

function parseUrl(text: string, schemes: readonly string[], what: string): URL {
  if (text.length > MAX_LINK) throw new InviteError(`${what}: expected at most ${MAX_LINK} characters, got ${text.length}`);
  let url: URL | null = null;
  try {
    url = new URL(text);
  } catch {
    // Said below, with what was expected.
  }
  // URL() forgives a missing host by taking the next word for it, and removes line ends from anywhere.
  if (url === null || !schemes.includes(url.protocol) || !/^[a-z]+:\/\/[^/\\?#]/i.test(text) || CONTROL.test(text) || text.includes(" ")) {
    const expected = schemes.map((scheme) => `${scheme}//`).join(" or ");
    throw new InviteError(`${what}: expected a URL that begins with ${expected}, got ${JSON.stringify(text.slice(0, 200))}`);
  }
  // A user name hides the host from people: https://good.example@evil.example/
  if (url.username !== "" || url.password !== "" || /^[a-z]+:\/\/[^/\\?#]*@/i.test(text)) {
    throw new InviteError(`${what}: expected no user name or password in the URL`);
  }
  return url;
}
