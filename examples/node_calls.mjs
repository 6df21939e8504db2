// Node calls a Python peer.  Run it with:  node examples/node_calls.mjs "LINK"   (the link that `rtcrpc serve` printed)
import { createRequire } from "node:module";
import { join } from "../js-client/dist/rtcrpc.js";

// Node has no WebRTC of its own; in your own project these two are ordinary imports of packages you installed.
const require = createRequire(new URL("../js-client/package.json", import.meta.url));
const { RTCPeerConnection } = require("node-datachannel/polyfill");
const { WebSocket } = require("ws");

const room = await join(process.argv[2], { name: "node", RTCPeerConnection, WebSocket });
const robot = await room.peer();
console.log("1 + 2 =", await robot.call.add(1, 2));
try {
  await robot.call.add("one", 2);
} catch (error) {
  console.log("wrong arguments are refused:", error.message);
}
await room.close();
