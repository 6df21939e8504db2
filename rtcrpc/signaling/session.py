"""The client's side of signaling as a state machine (protocol section 9). Sans-IO: texts in, texts and events
out.

One session lives as long as one membership of a room, over as many connections as it takes:

```
OFFLINE --connection_made--> CHALLENGE --rpc.challenge--> JOINING --result--> JOINED
   ^                              |                          |                  |
   +------- connection_lost, leave, an error response, a message that breaks the protocol ------+
```

Call `connection_made` for each new connection, `receive_text` for each message, `connection_lost` at its end,
`tick` when the time is `next_tick`. After each of them take `events_received` and write `data_to_send`. Nothing
that a bootstrap sends makes a method raise.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rtcrpc import codes, limits
from rtcrpc.core.envelope import ErrorResponse, Malformed, Notification, Request, Response
from rtcrpc.core.identity import Identity, b64url_encode
from rtcrpc.errors import ProtocolError, SignalingError, TooLarge
from rtcrpc.signaling.base import Joined, Member, Signal
from rtcrpc.signaling.messages import (
    MAX_RESULT,
    Message,
    check_room,
    decode_message,
    encode_message,
    parse_challenge,
    parse_count,
    parse_joined,
    parse_member,
    parse_peer,
    sign_join,
)
from rtcrpc.signaling.rate import TokenBucket
from rtcrpc.signaling.signals import SeenSignals, parse_payload, parse_signal, sign_signal, verify_signal

__all__ = [
    "BootstrapBroke",
    "JoinRefused",
    "MemberJoined",
    "MemberLeft",
    "SessionState",
    "SignalForged",
    "SignalingEvent",
    "SignalingSession",
]

_MAX_WAITING: Final = 256
_VERIFIES_A_SECOND: Final = 200  # at about 0.1 ms each: a flood of forged signals takes at most 2 % of the network loop
_VERIFY_BURST: Final = 2048
_ABSENCE_SECONDS: Final = 5.0


class SessionState(enum.Enum):
    """Where the session stands; the drawing is at the top of the module."""

    OFFLINE = "offline"
    CHALLENGE = "challenge"
    JOINING = "joining"
    JOINED = "joined"


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """A peer came in, or joined anew."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """A peer went."""

    peer_id: str


@dataclass(frozen=True, slots=True)
class SignalForged:
    """A signal came that `sender` did not sign as it stands: somebody changed or made it up on its way."""

    sender: str
    attempt: str
    kind: str


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """The bootstrap answered the join with an error; the session is offline."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class BootstrapBroke:
    """The bootstrap sent what the protocol does not allow; the session is offline and the connection should
    be closed.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A signal that can't go out yet, and since when."""

    since: float
    to: str
    text: str


SignalingEvent: TypeAlias = Joined | MemberJoined | MemberLeft | Signal | SignalForged | JoinRefused | BootstrapBroke


class SignalingSession:
    """One peer's membership of one room.

    `authority` is the host and port that the URL's `Host` header has (`authority_of`); the proof of the join
    is bound to it. `absence`: the seconds that members may take to come back after a rejoin before they count as
    gone. (When a bootstrap restarts, the first to return finds an empty room. Nobody left.) `dropped` counts what
    was ignored, by reason.
    """

    def __init__(
        self,
        identity: Identity,
        name: str,
        room: str,
        authority: str,
        *,
        token: str | None = None,
        absence: float = _ABSENCE_SECONDS,
        now: float = 0.0,
    ) -> None:
        self.identity = identity
        self.name = name
        self.room = check_room(room)
        self.authority = authority
        self.state = SessionState.OFFLINE
        self.dropped: Counter[str] = Counter()
        self._token = token
        self._absence = absence
        self._members: dict[str, Member] = {}
        self._was_joined = False
        self._absent: dict[str, float] = {}
        self._seen = SeenSignals()
        self._verifies = TokenBucket(_VERIFIES_A_SECOND, _VERIFY_BURST, now)
        self._next_id = 0
        self._outgoing: deque[str] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._events: list[SignalingEvent] = []

    @property
    def members(self) -> tuple[Member, ...]:
        """The others in the room, as last heard."""
        return tuple(self._members.values())

    # -- the connection ----------------------------------------------------------------------------

    def connection_made(self) -> None:
        """A new connection to the bootstrap is open; its challenge comes next."""
        self._outgoing.clear()
        self.state = SessionState.CHALLENGE

    def connection_lost(self) -> None:
        """The connection is gone. Members are kept, to tell the difference after the next join."""
        self._outgoing.clear()
        self._absent.clear()
        self.state = SessionState.OFFLINE

    def receive_text(self, text: str, now: float) -> None:
        """Take one text message."""
        if self.state is SessionState.OFFLINE:
            return
        try:
            self._receive(decode_message(text, MAX_RESULT), now)
        except (ProtocolError, TooLarge) as error:
            self._break(str(error))

    def tick(self, now: float) -> None:
        """Let the time that passed count."""
        for peer_id in [peer_id for peer_id, until in self._absent.items() if now >= until]:
            self._member_left(peer_id)

    def next_tick(self) -> float | None:
        """The time at which `tick` has something to do, None for never."""
        return min(self._absent.values(), default=None)

    def data_to_send(self) -> list[str]:
        """The texts to write, in order."""
        texts = list(self._outgoing)
        self._outgoing.clear()
        return texts

    def events_received(self) -> list[SignalingEvent]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    # -- what the owner does -----------------------------------------------------------------------

    def send_signal(self, to: str, attempt: str, payload: Mapping[str, Any], now: float) -> None:
        """Sign a signal and send it, or keep it until the room is joined (again): `dialSeconds` long, since
        no dial lasts longer.

        Raises `SignalingError` for a payload that is none, or too long, and when 256 signals wait already.
        """
        message = sign_signal(self.identity, self.room, to, attempt, payload)
        text = encode_message(Notification(method="rpc.signal", params=message.to_params(), meta={}))
        if len(text.encode()) > limits.SIGNALING_MESSAGE:
            raise SignalingError(
                f"expected a signal of at most {limits.SIGNALING_MESSAGE} bytes, got {len(text.encode())}"
            )
        self._forget_stale(now)
        ready = self.state is SessionState.JOINED and to not in self._absent
        if len(self._outgoing if ready else self._waiting) >= _MAX_WAITING:
            raise SignalingError(f"{_MAX_WAITING} signals wait for the bootstrap already; this one was not sent")
        if ready:
            self._outgoing.append(text)
        else:
            self._waiting.append(_Waiting(now, to, text))

    def leave(self) -> None:
        """Say `rpc.leave`. Write `data_to_send`, then close the connection."""
        if self.state is SessionState.JOINED:
            self._send(Notification(method="rpc.leave", params={}, meta={}))
        self.state = SessionState.OFFLINE

    # -- what comes --------------------------------------------------------------------------------

    def _receive(self, message: Message | Malformed, now: float) -> None:
        match message:
            case Malformed():
                raise ProtocolError(message.message)
            case Response():
                if self.state is SessionState.JOINING and message.id == self._next_id:
                    self._joined(parse_joined(message.result, self.identity.peer_id), now)
            case ErrorResponse():
                if self.state is SessionState.JOINING and message.id in (self._next_id, None):
                    self.state = SessionState.OFFLINE
                    self._events.append(JoinRefused(message.code, _printable(message.message)))
            case Request():
                refusal = ErrorResponse(
                    id=message.id,
                    code=codes.METHOD_NOT_FOUND,
                    message="signaling clients serve no requests",
                    data=None,
                )
                self._send(refusal)
            case Notification():
                self._notified(message, now)

    def _notified(self, message: Notification, now: float) -> None:
        params = message.params
        match message.method, self.state:
            case "rpc.challenge", SessionState.CHALLENGE:
                self._answer(parse_challenge(params))
            case "rpc.challenge", _:
                # One proof a connection: a bootstrap must not be able to collect signatures.
                raise ProtocolError("expected one challenge, got another")
            case "rpc.ping", _:
                self._send(Notification(method="rpc.pong", params={"n": parse_count(params)}, meta={}))
            case "rpc.joined", SessionState.JOINED:
                self._member_joined(parse_member(params), now)
            case "rpc.left", SessionState.JOINED:
                self._member_left(parse_peer(params))
            case "rpc.signal", SessionState.JOINED:
                self._signal(params, now)

    def _answer(self, nonce: bytes) -> None:
        self.state = SessionState.JOINING
        self._next_id += 1
        params: dict[str, Any] = {
            "versions": [1],
            "room": self.room,
            "peer": self.identity.peer_id,
            "name": self.name,
            "proof": b64url_encode(sign_join(self.identity, nonce, self.room, self.authority)),
        }
        if self._token is not None:
            params["token"] = self._token
        self._send(Request(id=self._next_id, method="rpc.join", params=params, meta={}))

    def _joined(self, joined: Joined, now: float) -> None:
        self.state = SessionState.JOINED
        before = self._members
        self._members = {member.peer_id: member for member in joined.members}
        self._events.append(joined)
        if self._was_joined:
            self._compare(before, joined.members, now)
        self._was_joined = True
        self._send_waiting(now)

    def _send_waiting(self, now: float) -> None:
        """Send what waits, but for those who are not back yet: a bootstrap keeps no signal for anybody."""
        self._forget_stale(now)
        waiting, self._waiting = self._waiting, deque()
        for signal in waiting:
            if signal.to in self._absent:
                self._waiting.append(signal)
            else:
                self._outgoing.append(signal.text)

    def _compare(self, before: dict[str, Member], listed: tuple[Member, ...], now: float) -> None:
        for member in listed:
            if before.pop(member.peer_id, None) != member:
                self._events.append(MemberJoined(member))
        for member in before.values():
            self._members[member.peer_id] = member
            self._absent[member.peer_id] = now + self._absence
        while len(self._absent) > limits.MAX_PEERS_PER_ROOM:
            self._member_left(next(iter(self._absent)))
        self.tick(now)

    def _member_joined(self, member: Member, now: float) -> None:
        members = self._members
        if member.peer_id == self.identity.peer_id:
            return
        back = self._absent.pop(member.peer_id, None) is not None
        present = len(members) - len(self._absent)
        if member.peer_id not in members and present >= limits.MAX_PEERS_PER_ROOM:
            raise ProtocolError(f"expected at most {limits.MAX_PEERS_PER_ROOM} peers in the room, got another")
        if not back or members.get(member.peer_id) != member:
            self._events.append(MemberJoined(member))
        members[member.peer_id] = member
        if back:
            self._send_waiting(now)

    def _member_left(self, peer_id: str) -> None:
        self._absent.pop(peer_id, None)
        if self._members.pop(peer_id, None) is not None:
            self._events.append(MemberLeft(peer_id))

    def _signal(self, params: object, now: float) -> None:
        # Whoever wrote a bad signal, the bootstrap only carried it: it is dropped and nothing else happens.
        try:
            message = parse_signal(params)
            payload = parse_payload(message.payload)
        except ProtocolError:
            self.dropped["malformed"] += 1
            return
        kind = payload["kind"]
        if message.to != self.identity.peer_id or message.sender == self.identity.peer_id:
            self.dropped["not for us"] += 1
        elif self._seen.is_known(message, kind):
            self.dropped["replayed"] += 1
        elif not self._verifies.take(now):
            self.dropped["flood"] += 1
        elif not verify_signal(message, self.room):
            self.dropped["forged"] += 1
            self._events.append(SignalForged(message.sender, message.attempt, kind))
        else:
            self._seen.record(message, kind)
            self._events.append(Signal(message.sender, message.attempt, payload))

    def _send(self, message: Message) -> None:
        # Pongs and refusals answer the bootstrap: one that asks faster than it reads must not fill our
        # memory.
        if len(self._outgoing) >= 2 * _MAX_WAITING:
            raise ProtocolError("the bootstrap asks but does not read")
        self._outgoing.append(encode_message(message))

    def _forget_stale(self, now: float) -> None:
        while self._waiting and now - self._waiting[0].since > limits.DIAL_SECONDS:
            self._waiting.popleft()
            self.dropped["stale"] += 1

    def _break(self, reason: str) -> None:
        self.state = SessionState.OFFLINE
        self._outgoing.clear()
        self._events.append(BootstrapBroke(reason))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:300])
