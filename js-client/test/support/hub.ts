/** A bootstrap of a few lines, for tests: rooms over real WebSockets, with the joins checked, and able to misbehave. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes } from "node:crypto";

import { type WebSocket, WebSocketServer } from "ws";

import { b64urlDecode, b64urlEncode } from "../../src/core/identity.js";
import { verifySignature } from "../../src/identity.js";
import { joinPayload } from "../../src/signaling/messages.js";

interface Client {
  readonly socket: WebSocket;
  readonly peer: string;
  readonly name: string;
  readonly room: string;
}

type Params = Record<string, unknown>;

/** A hub that listens on loopback. */
export class Hub {
  readonly clients = new Set<Client>();
  /** Every signal that was passed on, as it was sent. */
  readonly signals: Params[] = [];
  /** What is done with a signal on its way; a hostile hub changes it, or drops it by returning null. */
  relay: (params: Params) => Params | null = (params) => params;
  /** Refuses joins with this message while it is set. */
  refusal: string | null = null;
  /** Answers nothing while set: a hub that hangs. */
  silent = false;
  joins = 0;
  pings = 0;
  readonly #http = createServer();
  readonly #server = new WebSocketServer({ server: this.#http, handleProtocols: () => this.subprotocol });
  subprotocol = "rtcrpc.signal.1";

  static async start(): Promise<Hub> {
    const hub = new Hub();
    hub.#server.on("connection", (socket, request) => hub.#connected(socket, request.url ?? "", request.headers.host ?? ""));
    await new Promise<void>((resolve) => hub.#http.listen(0, "127.0.0.1", resolve));
    return hub;
  }

  /** `ws://127.0.0.1:port`, without a room. */
  get base(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  url(room = "lab"): string {
    return `${this.base}/room/${encodeURIComponent(room)}`;
  }

  /** Cuts every socket, as a restart would, or that of one peer. */
  kick(peer?: string): void {
    for (const client of this.clients) {
      if (peer === undefined || client.peer === peer) {
        client.socket.close(1012);
      }
    }
  }

  /** Sends a notification to a client by peer id. */
  notify(peer: string, method: string, params: Params): void {
    for (const client of this.clients) {
      if (client.peer === peer) {
        client.socket.send(JSON.stringify({ jsonrpc: "2.0", method, params }));
      }
    }
  }

  async stop(): Promise<void> {
    this.#server.clients.forEach((socket) => socket.terminate());
    await new Promise<void>((resolve) => this.#http.close(() => resolve()));
  }

  #connected(socket: WebSocket, url: string, host: string): void {
    const room = decodeURIComponent(/\/room\/([^/?]+)$/.exec(url)?.[1] ?? "");
    const nonce = randomBytes(32);
    let client: Client | null = null;
    const send = (message: object): void => socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
    if (!this.silent) {
      send({ method: "rpc.challenge", params: { nonce: b64urlEncode(nonce) } });
    }
    socket.on("close", () => {
      if (client !== null && this.clients.delete(client)) {
        this.#others(client, "rpc.left", { peer: client.peer });
      }
    });
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { id?: number; method: string; params: Params };
      const { params } = message;
      if (this.silent) {
        return;
      }
      if (message.method === "rpc.join") {
        const peer = String(params["peer"]);
        void verifySignature(peer, joinPayload(nonce, room, host), b64urlDecode(String(params["proof"]))).then((holds) => {
          if (!holds || this.refusal !== null) {
            send({ id: message.id, error: { code: -32003, message: this.refusal ?? "the proof does not hold" } });
            socket.close(4401);
            return;
          }
          for (const other of this.clients) {
            if (other.peer === peer && other.room === room) {
              this.clients.delete(other);
              other.socket.close(4001, "replaced");
            }
          }
          this.joins += 1;
          client = { socket, peer, name: String(params["name"]), room };
          const peers = [...this.clients].filter((other) => other.room === room).map(({ peer: id, name }) => ({ peer: id, name }));
          this.clients.add(client);
          send({ id: message.id, result: { peers, iceServers: [], ttl: 60 } });
          this.#others(client, "rpc.joined", { peer, name: client.name });
        });
      } else if (message.method === "rpc.signal") {
        this.signals.push(params);
        const passed = this.relay(params);
        if (passed !== null) {
          this.notify(String(passed["to"]), "rpc.signal", passed);
        }
      } else if (message.method === "rpc.ping") {
        this.pings += 1;
        send({ method: "rpc.pong", params });
      }
    });
  }

  #others(client: Client, method: string, params: Params): void {
    for (const other of this.clients) {
      if (other !== client && other.room === client.room) {
        other.socket.send(JSON.stringify({ jsonrpc: "2.0", method, params }));
      }
    }
  }
}
