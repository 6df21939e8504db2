/** Joined rooms for tests: a real hub, and connections in memory unless others are asked for. */

import { WebSocket } from "ws";

import { type Identity, generateIdentity } from "../../src/identity.js";
import type { Room } from "../../src/mesh/room.js";
import { type JoinOptions, join } from "../../src/peer.js";
import { Hub } from "./hub.js";
import { MemoryNetwork } from "./memory.js";
import { keptLog } from "./wait.js";

/** A hub, a network, and the rooms joined through them; `end` closes all. */
export class Meeting {
  readonly network = new MemoryNetwork();
  readonly rooms: Room[] = [];
  readonly log = keptLog();
  private constructor(readonly hub: Hub) {}

  static async start(): Promise<Meeting> {
    return new Meeting(await Hub.start());
  }

  /** Joins room `lab`. */
  async join(name: string, options: JoinOptions = {}): Promise<Room> {
    const room = await join(
      { bootstrap: this.hub.base, room: "lab" },
      { name, WebSocket, transport: this.network.transport(), log: this.log, identity: await generateIdentity(), ...options },
    );
    this.rooms.push(room);
    return room;
  }

  async end(): Promise<void> {
    await Promise.all(this.rooms.map((room) => room.close("the test is over")));
    await this.hub.stop();
  }
}

/** Two identities, the one with the smaller id first: the polite side. */
export async function inOrder(): Promise<[Identity, Identity]> {
  const two = [await generateIdentity(), await generateIdentity()] as const;
  return two[0].peerId < two[1].peerId ? [two[0], two[1]] : [two[1], two[0]];
}
