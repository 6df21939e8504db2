/**
 * rtcrpc for browsers and Node: call functions on other devices straight over a WebRTC DataChannel.
 *
 * ```js
 * const room = await join(location.hash);
 * const robot = await room.peer("robot");
 * await robot.call.add(1, 2);
 * for await (const i of robot.call.ticks(5)) console.log(i);
 * ```
 */

export { type DType, type HalfArray, NdArray, type TypedArray } from "./core/arrays.js";
export { Invite } from "./core/invite.js";
export * from "./errors.js";
export { FileSource, type FileOptions, type OnBytes, RpcFile, type TakeOptions } from "./file.js";
export { type Identity, type IdentityKey, generateIdentity, identityOf, importIdentity } from "./identity.js";
export { type LoadedIdentity, loadIdentity } from "./identity-store.js";
export type { Log } from "./log.js";
export type { PeerState } from "./mesh/membership.js";
export { PeerEvent, Room, type RoomEvents, SignalingEvent } from "./mesh/room.js";
export { RemotePeer } from "./mesh/remote-peer.js";
export { type JoinOptions, type Meeting, join } from "./peer.js";
export { type CallNamespace, type CallOptions, CallPromise, type NotifyNamespace, type NotifyOptions, type OnProgress, type Params, type ProxyOptions, type RemoteMethod } from "./proxy.js";
export { type Admit, type Caller, type Context, type Trust, admitPinned, admitProved } from "./service/context.js";
export { type ExposeOptions, type Handler, Registry } from "./service/registry.js";
export type { JsonSchema } from "./service/schema.js";
export { RpcStream } from "./stream.js";
export type { Joined, Member, Signal, SignalPayload, Signaling, SignalingEvents, SignalingState } from "./signaling/base.js";
export type { WebSocketClass } from "./signaling/websocket.js";
export type { Candidate, Connection, ConnectionEvents, IceServer, Path, Transport } from "./transport/base.js";
export { type PeerConnectionClass, WebRtcTransport } from "./transport/webrtc.js";
