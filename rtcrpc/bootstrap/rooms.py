"""The rooms of a bootstrap (protocol section 9), sans-IO: texts of sockets in, texts and closings out.

A socket is one WebSocket in one room. It gets a challenge, joins with a proof that it owns its key, and from
then on hears who comes and goes and passes signals on. The rooms keep nothing but who is there: signals are
neither stored nor understood.

Each method returns the actions to carry out, in order. Nothing that a peer sends makes one raise.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rtcrpc import codes
from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.core.envelope import ErrorResponse, Malformed, Notification, Request, Response
from rtcrpc.core.identity import b64url_encode
from rtcrpc.errors import ProtocolError, TooLarge
from rtcrpc.signaling.base import Member
from rtcrpc.signaling.messages import (
    CLOSE_BUSY,
    CLOSE_JOIN_DEADLINE,
    CLOSE_REFUSED,
    CLOSE_REPLACED,
    CLOSE_UNAUTHENTICATED,
    JoinRequest,
    Message,
    decode_message,
    encode_message,
    ice_server_json,
    member_json,
    parse_count,
    parse_join,
    verify_join,
)
from rtcrpc.signaling.rate import TokenBucket
from rtcrpc.signaling.signals import parse_signal

__all__ = ["Action", "Close", "Deliver", "RoomSocket", "Rooms"]

_VERSION: Final = 1
_NONCE_BYTES: Final = 32
_CLOSE_NORMAL: Final = 1000
_CLOSE_TOO_BIG: Final = 1009


class RoomSocket:
    """One connection, as the rooms see it: opaque to the driver but for `joined` and `deadline` (a time of
    the driver's clock).
    """

    __slots__ = ("address", "authority", "bucket", "closed", "deadline", "member", "nonce", "room")

    def __init__(
        self, room: str, authority: str, address: str, nonce: bytes, deadline: float, bucket: TokenBucket
    ) -> None:
        self.room = room
        self.authority = authority
        self.address = address
        self.nonce = nonce
        self.deadline = deadline
        self.bucket = bucket
        self.member: Member | None = None
        self.closed = False

    @property
    def joined(self) -> bool:
        """Whether the peer has proved its key and is in the room."""
        return self.member is not None


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send `text` on `socket`."""

    socket: RoomSocket
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close `socket`. The rooms have forgotten it already."""

    socket: RoomSocket
    code: int
    reason: str


Action: TypeAlias = Deliver | Close


class Rooms:
    """All rooms of one bootstrap. `entropy(n)` returns n unpredictable bytes; `now` is in seconds of any
    clock that only goes forward.
    """

    def __init__(self, config: BootstrapConfig, entropy: Callable[[int], bytes]) -> None:
        self._config = config
        self._entropy = entropy
        self._token = None if config.token is None else config.token.encode()
        self._ice_servers = [ice_server_json(server) for server in config.ice_servers]
        self._rooms: dict[str, dict[str, RoomSocket]] = {}
        self._rooms_of: Counter[str] = Counter()

    @property
    def room_count(self) -> int:
        """How many rooms have somebody in them."""
        return len(self._rooms)

    def members(self, room: str) -> tuple[Member, ...]:
        """Who is in a room."""
        return tuple(s.member for s in self._rooms.get(room, {}).values() if s.member is not None)

    # -- what the driver calls ---------------------------------------------------------------------

    def connect(self, room: str, authority: str, now: float, *, address: str = "") -> tuple[RoomSocket, list[Action]]:
        """A socket was accepted. `room` is the one its path names, `authority` its `Host`, `address` what
        counts as one client.
        """
        config = self._config
        socket = RoomSocket(
            room,
            authority.lower(),
            address,
            self._entropy(_NONCE_BYTES),
            now + config.join_seconds,
            TokenBucket(config.message_rate, config.message_burst, now),
        )
        return socket, [_notify(socket, "rpc.challenge", {"nonce": b64url_encode(socket.nonce)})]

    def receive_text(self, socket: RoomSocket, text: str, now: float) -> list[Action]:
        """A socket sent a text. Ask `pause` before reading its next one."""
        if socket.closed:
            return []
        if not socket.bucket.take(now):
            return self._close(socket, CLOSE_BUSY, f"more than {socket.bucket.rate:g} messages a second")
        try:
            message = decode_message(text)
        except TooLarge as error:
            return self._close(socket, _CLOSE_TOO_BIG, str(error))
        except ProtocolError as error:
            return self._error(socket, None, codes.PARSE_ERROR, str(error))
        return self._dispatch(socket, message)

    def pause(self, socket: RoomSocket, now: float) -> float:
        """Seconds to wait before reading the socket's next text. (Reading slower loses no signal; cutting off
        would.)
        """
        return socket.bucket.wait(now)

    def expire(self, socket: RoomSocket, now: float) -> list[Action]:
        """Call when the time is `socket.deadline`: a socket that has not joined by then is closed."""
        if socket.closed or socket.joined or now < socket.deadline:
            return []
        reason = f"expected rpc.join within {self._config.join_seconds:g} seconds"
        return self._close(socket, CLOSE_JOIN_DEADLINE, reason)

    def disconnected(self, socket: RoomSocket) -> list[Action]:
        """The socket is gone. Idempotent."""
        return [] if socket.closed else self._forget(socket)

    def fail(self, socket: RoomSocket, code: int, reason: str) -> list[Action]:
        """The driver can't go on with the socket: close it, and tell the others."""
        return [] if socket.closed else self._close(socket, code, reason)

    # -- messages ----------------------------------------------------------------------------------

    def _dispatch(self, socket: RoomSocket, message: Message | Malformed) -> list[Action]:
        match message:
            case Malformed():
                return self._error(socket, message.id, message.code, message.message)
            case Response() | ErrorResponse():
                return []  # the server asks nothing, so this answers nothing
            case Request(method="rpc.join"):
                return self._join(socket, message)
            case Notification(method="rpc.ping"):
                return self._ping(socket, message)
            case Notification(method="rpc.leave"):
                return self._close(socket, _CLOSE_NORMAL, "")
        if socket.member is None:
            what = message.method if message.method.isprintable() else "something else"
            request_id = message.id if isinstance(message, Request) else None
            return self._error(socket, request_id, codes.UNAUTHENTICATED, f"expected rpc.join first, got {what[:64]}")
        match message:
            case Request(method="rpc.peers"):
                return [self._result(socket, message.id, {"peers": self._others(socket)})]
            case Request(method="rpc.signal") | Notification(method="rpc.signal"):
                return self._signal(socket, socket.member, message)
            case Request():
                return self._error(socket, message.id, codes.METHOD_NOT_FOUND, "the bootstrap has no such method")
        return []  # notifications it does not know are ignored

    def _join(self, socket: RoomSocket, request: Request) -> list[Action]:
        if socket.joined:
            return self._error(socket, request.id, codes.INVALID_REQUEST, "expected one rpc.join for each connection")
        try:
            versions, join = parse_join(request.params)
        except ProtocolError as error:
            return self._error(socket, request.id, codes.INVALID_PARAMS, str(error))
        refusal = self._refusal(socket, versions, join)
        if refusal is not None:
            return self._error(socket, request.id, *refusal)
        return self._enter(socket, Member(join.peer_id, join.name), request.id)

    def _refusal(self, socket: RoomSocket, versions: list[int], join: JoinRequest) -> tuple[int, str] | None:
        if _VERSION not in versions:
            return codes.VERSION_MISMATCH, f"expected version {_VERSION}, got {versions}"
        if join.room != socket.room:
            return codes.INVALID_PARAMS, f"room: expected {socket.room!a} as in the URL, got {join.room!a}"
        if self._token is not None and not hmac.compare_digest(self._token, (join.token or "").encode()):
            return (
                codes.UNAUTHENTICATED,
                "token: expected the token of this bootstrap; ask its operator for it",
            )
        if not verify_join(join, socket.nonce, socket.authority):
            hint = f"the Host header said {socket.authority!r}; a proxy must pass that header on unchanged"
            return (
                codes.UNAUTHENTICATED,
                f"proof: expected a signature for this challenge, room and host; {hint}",
            )
        return self._lack_of_room(socket, join.peer_id)

    def _lack_of_room(self, socket: RoomSocket, peer_id: str) -> tuple[int, str] | None:
        # Whoever is in already only takes its own place again, so a full room can't keep its owner out after
        # a lost connection.
        members = self._rooms.get(socket.room, {})
        if peer_id in members:
            return None
        config = self._config
        if len(members) >= config.max_peers_per_room:
            return codes.RESOURCE_EXHAUSTED, f"the room is full: it holds {config.max_peers_per_room} peers"
        if not members and len(self._rooms) >= config.max_rooms:
            return codes.RESOURCE_EXHAUSTED, f"this bootstrap has no more rooms: it holds {config.max_rooms}"
        if self._rooms_of[peer_id] >= config.max_rooms_per_peer:
            return (
                codes.RESOURCE_EXHAUSTED,
                f"your key is in {config.max_rooms_per_peer} rooms already; leave one first",
            )
        if socket.address and (
            sum(s.address == socket.address for s in members.values()) >= config.max_members_per_address
        ):
            return (
                codes.RESOURCE_EXHAUSTED,
                f"{config.max_members_per_address} peers of your address are in the room",
            )
        return None

    def _enter(self, socket: RoomSocket, member: Member, request_id: Any) -> list[Action]:
        actions: list[Action] = []
        members = self._rooms.setdefault(socket.room, {})
        earlier = members.pop(member.peer_id, None)
        if earlier is None:
            self._rooms_of[member.peer_id] += 1
        else:
            earlier.closed = True
            actions.append(Close(earlier, CLOSE_REPLACED, "the same key joined again"))
        others = list(members.values())
        members[member.peer_id] = socket
        socket.member = member
        result = {"peers": self._others(socket), "iceServers": self._ice_servers, "ttl": self._config.ice_ttl}
        actions.append(self._result(socket, request_id, result))
        actions.extend(_notify_all(others, "rpc.joined", member_json(member)))
        return actions

    def _signal(self, socket: RoomSocket, member: Member, message: Request | Notification) -> list[Action]:
        request_id = message.id if isinstance(message, Request) else None
        wants_answer = isinstance(message, Request)
        try:
            signal = parse_signal(message.params)
        except ProtocolError as error:
            return self._error(socket, request_id, codes.INVALID_PARAMS, str(error)) if wants_answer else []
        if signal.sender != member.peer_id:
            denial = f"from: expected {member.peer_id}, the peer that joined, got {signal.sender}"
            return self._error(socket, request_id, codes.PERMISSION_DENIED, denial) if wants_answer else []
        target = self._rooms[socket.room].get(signal.to)
        if target is None or target is socket:
            absent = f"to: {signal.to} is not in the room"
            return self._error(socket, request_id, codes.UNAVAILABLE, absent) if wants_answer else []
        actions: list[Action] = [_notify(target, "rpc.signal", signal.to_params())]
        if wants_answer:
            actions.append(self._result(socket, request_id, None))
        return actions

    def _ping(self, socket: RoomSocket, message: Notification) -> list[Action]:
        try:
            return [_notify(socket, "rpc.pong", {"n": parse_count(message.params)})]
        except ProtocolError:
            return []  # a notification has no answer, and without a count a pong says nothing

    # -- endings -----------------------------------------------------------------------------------

    def _error(self, socket: RoomSocket, request_id: Any, code: int, reason: str) -> list[Action]:
        """Answer with an error. One that has not joined gets one try: it is closed as well."""
        answer = ErrorResponse(id=request_id, code=code, message=reason, data=None)
        actions: list[Action] = [Deliver(socket, encode_message(answer))]
        if not socket.joined:
            close_code = {
                codes.UNAUTHENTICATED: CLOSE_UNAUTHENTICATED,
                codes.RESOURCE_EXHAUSTED: CLOSE_BUSY,
            }.get(code, CLOSE_REFUSED)
            actions.extend(self._close(socket, close_code, reason))
        return actions

    def _close(self, socket: RoomSocket, code: int, reason: str) -> list[Action]:
        # A close frame holds 123 bytes of reason (RFC 6455 section 5.5).
        shown = reason.encode("ascii", "replace")[:120].decode("ascii")
        return [Close(socket, code, shown), *self._forget(socket)]

    def _forget(self, socket: RoomSocket) -> list[Action]:
        socket.closed = True
        if socket.member is None:
            return []
        peer_id = socket.member.peer_id
        members = self._rooms[socket.room]
        del members[peer_id]
        if not members:
            del self._rooms[socket.room]
        self._rooms_of[peer_id] -= 1
        if not self._rooms_of[peer_id]:
            del self._rooms_of[peer_id]
        return _notify_all(members.values(), "rpc.left", {"peer": peer_id})

    def _others(self, socket: RoomSocket) -> list[dict[str, Any]]:
        sockets = self._rooms[socket.room].values()
        return [member_json(s.member) for s in sockets if s is not socket and s.member is not None]

    def _result(self, socket: RoomSocket, request_id: Any, result: Any) -> Deliver:
        return Deliver(socket, encode_message(Response(id=request_id, result=result)))


def _notify(socket: RoomSocket, method: str, params: dict[str, Any]) -> Deliver:
    return Deliver(socket, encode_message(Notification(method=method, params=params, meta={})))


def _notify_all(sockets: Iterable[RoomSocket], method: str, params: dict[str, Any]) -> list[Action]:
    text = encode_message(Notification(method=method, params=params, meta={}))
    return [Deliver(socket, text) for socket in sockets]
