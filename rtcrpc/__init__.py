"""Call a Python function on another device, straight over a WebRTC DataChannel.

The names here are the public ones. They are loaded when first used, so that `import rtcrpc` is quick and a program that only
exposes functions doesn't pay for the transport before it joins a room.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtcrpc import errors, sync
    from rtcrpc.core.arrays import Array
    from rtcrpc.core.identity import Identity
    from rtcrpc.core.invite import Invite
    from rtcrpc.errors import Error, LocalError, RemoteError, RtcRpcError
    from rtcrpc.files.file import File
    from rtcrpc.files.transfer import download, receive_file, send_file
    from rtcrpc.mesh.remote_peer import RemotePeer
    from rtcrpc.mesh.room import Room, RoomEvent
    from rtcrpc.peer import Peer, join
    from rtcrpc.proxy import Call
    from rtcrpc.service.context import Caller, Context, current_context
    from rtcrpc.service.policy import InvitePolicy, OpenPolicy, PinnedPolicy, Policy
    from rtcrpc.service.registry import Registry, default_registry, expose
    from rtcrpc.stream.reader import Stream
    from rtcrpc.transport.base import IceServer

__all__ = [
    "Array",
    "Call",
    "Caller",
    "Context",
    "Error",
    "File",
    "IceServer",
    "Identity",
    "Invite",
    "InvitePolicy",
    "LocalError",
    "OpenPolicy",
    "Peer",
    "PinnedPolicy",
    "Policy",
    "Registry",
    "RemoteError",
    "RemotePeer",
    "Room",
    "RoomEvent",
    "RtcRpcError",
    "Stream",
    "current_context",
    "default_registry",
    "download",
    "errors",
    "expose",
    "join",
    "receive_file",
    "send_file",
    "sync",
]
__version__ = "0.1.0"

_HOMES = {
    "Array": "rtcrpc.core.arrays",
    "Call": "rtcrpc.proxy",
    "Caller": "rtcrpc.service.context",
    "Context": "rtcrpc.service.context",
    "Error": "rtcrpc.errors",
    "File": "rtcrpc.files.file",
    "IceServer": "rtcrpc.transport.base",
    "Identity": "rtcrpc.core.identity",
    "Invite": "rtcrpc.core.invite",
    "InvitePolicy": "rtcrpc.service.policy",
    "LocalError": "rtcrpc.errors",
    "OpenPolicy": "rtcrpc.service.policy",
    "Peer": "rtcrpc.peer",
    "PinnedPolicy": "rtcrpc.service.policy",
    "Policy": "rtcrpc.service.policy",
    "Registry": "rtcrpc.service.registry",
    "RemoteError": "rtcrpc.errors",
    "RemotePeer": "rtcrpc.mesh.remote_peer",
    "Room": "rtcrpc.mesh.room",
    "RoomEvent": "rtcrpc.mesh.room",
    "RtcRpcError": "rtcrpc.errors",
    "Stream": "rtcrpc.stream.reader",
    "current_context": "rtcrpc.service.context",
    "default_registry": "rtcrpc.service.registry",
    "download": "rtcrpc.files.transfer",
    "expose": "rtcrpc.service.registry",
    "join": "rtcrpc.peer",
    "receive_file": "rtcrpc.files.transfer",
    "send_file": "rtcrpc.files.transfer",
}


def __getattr__(name: str) -> Any:
    if name in ("errors", "sync"):
        return importlib.import_module(f"rtcrpc.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rtcrpc' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
