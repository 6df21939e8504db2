// Node calls a Python peer.  Run it with:  node examples/node_calls.mjs "LINK"   (the link that `rtcrpc serve` printed)
import { RTCPeerConnection } from "node-datachannel/polyfill";
import WebSocket from "ws";
import { join } from "../js-client/dist/rtcrpc.js";

const room = await join({ link: process.argv[2], name: "node", RTCPeerConnection, WebSocket });
const robot = await room.peer();
console.log("1 + 2 =", await robot.call.add(1, 2));
try {
  await robot.call.add("one", 2);
} catch (error) {
  console.log("wrong arguments are refused:", error.message);
}
await room.close();
