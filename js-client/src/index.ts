/**
 * rtcrpc for browsers and Node: call functions on other devices straight over a WebRTC DataChannel.
 *
 * ```js
 * const room = await join(location.hash);
 * const robot = await room.peer("robot");
 * await robot.call.add(1, 2);
 * ```
 */

export { Invite } from "./core/invite.js";
export * from "./errors.js";
export { type Identity, type IdentityKey, generateIdentity, identityOf, importIdentity } from "./identity.js";
export { type LoadedIdentity, loadIdentity } from "./identity-store.js";
export type { Log } from "./log.js";
export type { PeerState } from "./mesh/membership.js";
export { PeerEvent, Room, type RoomEvents, SignalingEvent } from "./mesh/room.js";
export { RemotePeer } from "./mesh/remote-peer.js";
export { type JoinOptions, type Meeting, join } from "./peer.js";
export type { CallNamespace, CallOptions, Params, ProxyOptions, RemoteMethod } from "./proxy.js";
export { type Admit, type Caller, type Context, type Trust, admitPinned, admitProved } from "./service/context.js";
export { type ExposeOptions, type Handler, Registry } from "./service/registry.js";
export type { JsonSchema } from "./service/schema.js";
export type { Joined, Member, Signal, SignalPayload, Signaling, SignalingEvents, SignalingState } from "./signaling/base.js";
export type { WebSocketClass } from "./signaling/websocket.js";
export type { Candidate, Connection, ConnectionEvents, IceServer, Path, Transport } from "./transport/base.js";
export { type PeerConnectionClass, WebRtcTransport } from "./transport/webrtc.js";
