/** Joining a room: what is in a link and in the options becomes an identity, a transport, a signaling, and a `Room`. */

import { isPeerId } from "./core/identity.js";
import { Invite } from "./core/invite.js";
import type { SessionConfig } from "./core/session.js";
import { InviteError } from "./errors.js";
import type { Identity } from "./identity.js";
import { type LoadedIdentity, loadIdentity } from "./identity-store.js";
import { MAX_NAME_LENGTH } from "./limits.js";
import { type Log, consoleLog } from "./log.js";
import { RoomDriver } from "./mesh/driver.js";
import { Room } from "./mesh/room.js";
import { type Admit, admitPinned } from "./service/context.js";
import { Dispatcher } from "./service/dispatch.js";
import { Registry } from "./service/registry.js";
import type { Signaling, SignalingEvents } from "./signaling/base.js";
import { type WebSocketClass, WebSocketSignaling } from "./signaling/websocket.js";
import type { IceServer, Transport } from "./transport/base.js";
import { type PeerConnectionClass, WebRtcTransport } from "./transport/webrtc.js";

/** What may be said about a join, beside where. */
export interface JoinOptions {
  /** The key, or keys, that names in the room may stand for; a link brings its own. */
  readonly pin?: string | readonly string[] | undefined;
  /** What entitles us at the peers, such as the secret of an invite; a link brings its own. */
  readonly token?: string | undefined;
  /** What entitles us at the bootstrap, where it asks for that. */
  readonly bootstrapToken?: string | undefined;
  /** The name we go by; 64 characters at most. It proves nothing. */
  readonly name?: string | undefined;
  /** What we offer; more may be added later with `room.expose`. */
  readonly registry?: Registry | undefined;
  /** Who may call what we offer: by default only peers whose key was pinned. */
  readonly admit?: Admit | undefined;
  /** Who we are; by default the identity that `loadIdentity` gives, until the room is closed. */
  readonly identity?: Identity | undefined;
  /** STUN and TURN servers to use instead of those that the bootstrap hands out. */
  readonly iceServers?: readonly IceServer[] | undefined;
  /** The class to use where the runtime has none of its own, as in Node. */
  readonly RTCPeerConnection?: PeerConnectionClass | undefined;
  /** The same for WebSocket. */
  readonly WebSocket?: WebSocketClass | undefined;
  /** Another way of carrying frames, instead of WebRTC. */
  readonly transport?: Transport | undefined;
  /** Another way of finding peers, instead of the bootstrap's WebSocket. */
  readonly signaling?: ((events: SignalingEvents) => Signaling) | undefined;
  /** Where warnings and errors go; by default the console. */
  readonly log?: Log | undefined;
  /** Bounds of a session that differ from `schemas/limits.json`. */
  readonly session?: Partial<SessionConfig> | undefined;
}

/** Where to meet, for those who have no link: the bootstrap's base URL (`wss://host`, or `https://host` of its page) and a room. */
export interface Meeting {
  readonly bootstrap: string;
  readonly room: string;
}

/**
 * Joins a room.
 *
 * `where`: an invite link, its fragment alone (`location.hash`) on the page that it belongs to, the URL of a room (`wss://host/room/name`), or an
 * object with `bootstrap`, `room` and any of the options. `InviteError` for a link that can't be read, `SignalingError` where the bootstrap
 * can't be reached or refuses, `Unavailable` where the runtime lacks something.
 */
export async function join(where: string | URL | (Meeting & JoinOptions), options: JoinOptions = {}): Promise<Room> {
  const given: JoinOptions = typeof where === "string" || where instanceof URL ? options : { ...where, ...options };
  const invite = inviteOf(where);
  const pins = new Set([given.pin ?? []].flat());
  if (invite.pin !== null) {
    pins.add(invite.pin);
  }
  for (const pin of pins) {
    if (!isPeerId(pin)) {
      throw new InviteError(`pin: expected a peer id of 43 characters, got ${JSON.stringify(String(pin).slice(0, 64))}`);
    }
  }
  const log = given.log ?? consoleLog;
  const registry = given.registry ?? new Registry();
  const transport = given.transport ?? new WebRtcTransport(given.RTCPeerConnection);
  const identity: Identity & Partial<LoadedIdentity> = given.identity ?? (await loadIdentity());
  const release = given.identity === undefined ? identity.release : undefined;
  const name = nameOf(given.name, identity);
  const makeSignaling =
    given.signaling ??
    ((events: SignalingEvents) =>
      new WebSocketSignaling({
        url: invite.url,
        identity,
        name,
        events,
        log,
        token: given.bootstrapToken,
        WebSocket: given.WebSocket,
      }));
  const room = new Room({
    name: invite.room,
    peerId: identity.peerId,
    ownName: name,
    registry,
    closed: () => release?.(),
    makeDriver: (observer) =>
      new RoomDriver({
        settings: { identity, name, room: invite.room, pins, token: given.token ?? invite.token, session: given.session ?? {}, log },
        transport,
        makeSignaling,
        service: new Dispatcher(registry, given.admit ?? admitPinned, name, log),
        observer,
        iceServers: given.iceServers ?? null,
      }),
  });
  await room.open();
  return room;
}

function inviteOf(where: string | URL | Meeting): Invite {
  if (typeof where !== "string" && !(where instanceof URL)) {
    const bootstrap = String(where.bootstrap).replace(/^http(s?):/, "ws$1:");
    return new Invite({ bootstrap, room: where.room });
  }
  const text = String(where);
  if (!text.startsWith("#")) {
    return Invite.parse(text);
  }
  // The page's own address says what the fragment leaves out; in Node there is none, and the fragment has to say all.
  const page = (globalThis as { location?: Location }).location;
  return page === undefined ? Invite.fromFragment(text) : Invite.parse(new URL(text, page.href).href);
}

function nameOf(name: string | undefined, identity: Identity): string {
  const chosen = name ?? `peer-${identity.peerId.slice(0, 6)}`;
  if ([...chosen].length > MAX_NAME_LENGTH) {
    throw new InviteError(`name: expected at most ${MAX_NAME_LENGTH} characters, got ${[...chosen].length}`);
  }
  return chosen;
}
