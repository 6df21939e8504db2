"""What a transport promises: bytes and text between two peers, in order, and one word at the end.

Beside that, where `Connection.lossy` says so, frames that may be lost, repeated or overtaken.

A transport makes connections; a connection is driven by its owner with a description from each side
(offer and answer, carried by signaling) and answers through the `ConnectionEvents` it was handed. The
same promises hold for WebRTC (`rtcrpc.transport.webrtc`) and for the network in memory that tests use
(`rtcrpc.transport.memory`); one suite of tests asks both for them.

Everything here happens on one asyncio loop, the one that was running when `Transport.create` was
called. No method may be called from another thread, and no event comes on another.

A connection ends in one of three ways, told by `connection_closed(reason, clean)`, exactly once:

closed by this side
    `reason` is `CLOSED_HERE`; `clean` is true where `close` could wait for the other side to have
    everything, or where there was nothing left to send.
closed by the other side
    `reason` is `CLOSED_THERE`; `clean` is true where it closed the channel first, so that nothing it
    sent is missing. It is false where it simply went away.
broken
    any other `reason`, one of `Broken` or a sentence that starts with it; `clean` is false. What was on
    the way, in both directions, may or may not have arrived.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, Protocol

__all__ = [
    "CHANNEL_ID",
    "CHANNEL_LABEL",
    "CHANNEL_PROTOCOL",
    "CLOSED_HERE",
    "CLOSED_THERE",
    "LOSSY_ID",
    "LOSSY_LABEL",
    "LOSSY_PROTOCOL",
    "Broken",
    "Candidate",
    "Connection",
    "ConnectionEvents",
    "IceServer",
    "Path",
    "Transport",
]

CHANNEL_ID: Final = 0
CHANNEL_LABEL: Final = "rtcrpc"
CHANNEL_PROTOCOL: Final = "rtcrpc.1"
"""The agreed DataChannel: negotiated, ordered, reliable (protocol section 3)."""

LOSSY_ID: Final = 2
LOSSY_LABEL: Final = "rtcrpc.lossy"
LOSSY_PROTOCOL: Final = "rtcrpc.lossy.1"
"""The other one, which a peer may do without: negotiated, unordered, nothing is sent twice (protocol section 3)."""

CLOSED_HERE: Final = "closed by this side"
CLOSED_THERE: Final = "closed by the other side"


class Broken(StrEnum):
    """Why a connection broke."""

    NO_PATH = "no path to the other side"
    """No pair of addresses let packets through."""
    PATH_LOST = "the path was lost"
    """Packets went through, and then none did for too long."""
    HANDSHAKE = "the encrypted transport could not be set up"
    """DTLS or SCTP failed."""
    FINGERPRINT = "the certificate of the other side is not the one of its description"
    """Somebody else answered, or somebody changed the description on its way."""
    VIOLATION = "the other side broke the rules of the transport"
    """A second channel, a message without end, text that is not UTF-8, and the like."""
    SINK = "the receiver of the events failed"
    """A method of the `ConnectionEvents` raised; the log of `rtcrpc.transport` has the traceback."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server; `urls` as in RFC 7064 and 7065: `stun:host:port`, `turns:host?transport=tcp`."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ICE candidate as browsers write it: `candidate:…` (RFC 8839 section 5.1), and its media section."""

    candidate: str
    mid: str = "0"


@dataclass(frozen=True, slots=True)
class Path:
    """The way that packets take now.

    `relayed` is true where a TURN server of either side passes them on. The types are those of RFC 8445
    (`host`, `srflx`, `prflx`, `relay`). `protocol` is `udp`, or, to a TURN server of ours, `tcp` or `tls`.
    `rtt` is the smoothed round-trip time in seconds, None until one was measured.
    """

    relayed: bool
    local_type: str
    remote_type: str
    protocol: str
    family: Literal["ipv4", "ipv6"]
    rtt: float | None


class ConnectionEvents(Protocol):
    """What the owner of a connection hands in to be told.

    Called on the connection's loop, never before `Transport.create` has returned, never from inside
    `Connection.send`. If one of these methods raises, the error is logged to `rtcrpc.transport` and that
    connection ends with `Broken.SINK`; the loop and other connections go on.
    """

    def channel_opened(self) -> None:
        """Frames may be sent from now on; `remote_fingerprint` and `max_message_size` hold. At most once."""

    def message_received(self, data: bytes | str) -> None:
        """One frame, whole, in the order it was sent. Never before `channel_opened`, never after the end."""

    def lossy_received(self, data: bytes | str) -> None:
        """One frame of the lossy channel, whole; in any order, perhaps twice. Never before `channel_opened`."""

    def buffered_amount_low(self) -> None:
        """`buffered_amount` fell to `low_mark` or below, having been above it; or so it was with the lossy channel's."""

    def local_candidate(self, candidate: Candidate | None) -> None:
        """A candidate found after the description was made; None: there will be no more.

        Signaling that can carry candidates apart should; peers then connect sooner, and by more ways.
        """

    def connection_closed(self, reason: str, clean: bool) -> None:
        """The end, however it came; the last event, exactly once. See the module for `reason` and `clean`."""


class Connection(abc.ABC):
    """One connection with its channel. Made by `Transport.create`; driven by its owner.

    The offerer calls `create_offer`, then `accept_answer`; the other side `accept_offer`. Both may call
    `add_candidate` at any time: what comes before the description is kept, up to `MAX_CANDIDATES`.
    """

    @property
    @abc.abstractmethod
    def local_fingerprint(self) -> bytes:
        """SHA-256 of the DER form of this side's DTLS certificate, 32 bytes. Valid from the start."""

    @property
    @abc.abstractmethod
    def remote_fingerprint(self) -> bytes:
        """The same of the other side, as its DTLS handshake proved it. Empty before `channel_opened`."""

    @property
    @abc.abstractmethod
    def max_message_size(self) -> int:
        """The longest frame, in bytes, that both sides take. Valid once `channel_opened`."""

    @property
    @abc.abstractmethod
    def buffered_amount(self) -> int:
        """Bytes given to `send` that have not been handed to the network."""

    @property
    @abc.abstractmethod
    def low_mark(self) -> int:
        """The `buffered_amount`, in bytes, at which `buffered_amount_low` is told."""

    @property
    @abc.abstractmethod
    def lossy(self) -> bool:
        """Whether this side has a lossy channel. (The other side may have none: then all of it is lost.) Valid once `channel_opened`."""

    @property
    @abc.abstractmethod
    def lossy_buffered_amount(self) -> int:
        """Bytes given to `send_lossy` that have not been handed to the network."""

    @abc.abstractmethod
    async def create_offer(self) -> str:
        """Make the offer. Raises `ConnectionLost` where the connection was closed meanwhile."""

    @abc.abstractmethod
    async def accept_offer(self, sdp: str) -> str:
        """Take an offer and return the answer; connecting begins.

        Raises `TooLarge` or `ProtocolError` for a description that is not taken; nothing was sent to any
        address in it, and the connection must be closed.
        """

    @abc.abstractmethod
    async def accept_answer(self, sdp: str) -> None:
        """Take the answer to our offer; connecting begins. Raises as `accept_offer` does."""

    @abc.abstractmethod
    async def add_candidate(self, candidate: Candidate) -> None:
        """Take a candidate of the other side.

        Raises `ProtocolError` for one that is not well-formed. One that the filter does not let through, or
        that is one too many, is dropped: it is the other side's hint, not a command.
        """

    @abc.abstractmethod
    def send(self, data: bytes | str) -> None:
        """Queue one frame: text or bytes, as it will arrive. Never blocks.

        Raises `TooLarge` for a frame longer than `max_message_size` (text is measured in UTF-8), and
        `ConnectionLost` where the channel is not open.
        """

    @abc.abstractmethod
    def send_lossy(self, data: bytes) -> None:
        """Send one frame that may be lost; it is, where the lossy channel is not open. Never blocks.

        Raises `TooLarge` for a frame longer than `rtcrpc.limits.LOSSY_FRAME`.
        """

    @abc.abstractmethod
    async def close(self, *, drain: float | None) -> None:
        """End the connection; returns when sockets and timers are gone. May be called at any time, and again.

        `drain` is the longest time, in seconds, to wait until the other side has everything that was sent.
        None: do not wait; what is on its way is lost. `connection_closed` is told before this returns.
        """

    @abc.abstractmethod
    async def path(self) -> Path | None:
        """How packets go now; None while they don't."""


class Transport(Protocol):
    """Makes connections of one kind."""

    name: str
    """`webrtc`, `memory`, …: for logs and for people."""

    def create(self, events: ConnectionEvents, ice_servers: Sequence[IceServer]) -> Connection:
        """Make a connection on the running loop that tells `events`. Only `ice_servers` are asked."""
