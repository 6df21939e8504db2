"""The SCTP association of the agreed channels, with bounds on what a peer can make it hold and do.

aiortc collects a message for as long as it goes on, takes any number of channels, and reads chunks in
ways that a hostile peer can turn into endless loops or into work without measure. `GuardedAssociation`
takes its receive path over. Only one reliable, ordered stream is agreed, so its chunks are put together in
the order of their TSNs: what arrives early waits in a table, and each byte is touched once.

Beside it there may be the lossy stream: a message of one chunk is delivered when it comes, whatever is
missing before it, and what the sender gives up (FORWARD TSN, RFC 3758) is not waited for. Nothing of the
reliable stream can be given up: its messages are numbered.

Acknowledgements are delayed as RFC 9260 section 6.2 allows, and travel with the data that goes the other
way: an answer to a call then acknowledges the call, and half the packets of a conversation are saved.

A peer that breaks the rules gets its connection ended (`on_violation`); one that merely sends too far
ahead has the excess dropped unacknowledged, as RFC 9260 section 6.2 has it, and sends it again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from struct import unpack_from
from typing import Any, Final

from aiortc import RTCDataChannel, RTCDtlsTransport, RTCSctpTransport
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    SCTP_DATA_UNORDERED,
    SCTP_MAX_PACKET_LENGTH,
    WEBRTC_BINARY,
    WEBRTC_BINARY_EMPTY,
    WEBRTC_DCEP,
    WEBRTC_STRING,
    WEBRTC_STRING_EMPTY,
    Chunk,
    CookieAckChunk,
    CookieEchoChunk,
    DataChunk,
    ForwardTsnChunk,
    InitChunk,
    SackChunk,
    serialize_packet,
)

from rtcrpc.limits import LOSSY_FRAME
from rtcrpc.transport.base import CHANNEL_ID, LOSSY_ID
from rtcrpc.transport.webrtc.guard.early import EarlyChunks
from rtcrpc.transport.webrtc.sdp import LOCAL_MAX_MESSAGE_SIZE

__all__ = ["MAX_HELD", "GuardedAssociation", "well_formed"]

logger = logging.getLogger("rtcrpc.transport")

MAX_HELD: Final = 4 * 1024 * 1024
"""Bytes held for a peer below its messages: parts of one that isn't whole, and chunks that came early."""

WINDOW: Final = 1024 * 1024
"""Bytes that the peer may have on the way to us, as announced (a_rwnd); aiortc's own value."""

MAX_GAPS: Final = 200
"""Gaps told in one acknowledgement, so that it fits a packet. Later ones are told when these are closed."""

MAX_DUPLICATES: Final = 16

ACK_EVERY: Final = 2
"""Packets with data after which an acknowledgement goes out at once (RFC 9260 section 6.2)."""

ACK_SECONDS: Final = 0.02
"""How long an acknowledgement waits for data to travel with. The RFC allows 0.2; a sender that has little under way
would stand still for so long."""

QUEUE_SECONDS: Final = 0.005
"""How much longer a round trip may take than the least before less is sent; on a longer path a half of the least. aiortc sends more and
more until packets are lost, and by then a small call waits behind a megabyte, or for the second it takes to notice the loss."""

LEAST_RTT_SECONDS: Final = 10.0
"""How long the least round trip holds: paths change."""

MIN_WINDOW: Final = 96 * 1024
"""Bytes on the way that are no reason to send less."""

_ROOM_BESIDE_SACK: Final = SCTP_MAX_PACKET_LENGTH - 12 - 16 - 16
"""Bytes of data that fit a packet beside an acknowledgement without gaps."""

_WHOLE: Final = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG

_TSNS: Final = 2**32
_HALF: Final = 2**31

_PARAMETER_CHUNKS: Final = {1: 16, 2: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Chunk types with parameters, and how far in these begin (RFC 9260 section 3.3, RFC 6525 section 3.1)."""


def well_formed(packet: bytes) -> bool:
    """Whether every parameter in an SCTP packet moves its reader on (RFC 9260 section 3.2.1).

    aiortc steps over parameters by their own lengths, for ever if one says 0.
    """
    at = 12
    while at + 4 <= len(packet):
        kind, _, length = unpack_from("!BBH", packet, at)
        end = at + length
        if length < 4 or end > len(packet):
            return False
        fixed = _PARAMETER_CHUNKS.get(kind)
        if fixed is not None:
            inner = at + 4 + fixed
            while inner + 4 <= end:
                size = unpack_from("!H", packet, inner + 2)[0]
                if size < 4:
                    return False
                inner += size + -size % 4
        at = end + -length % 4
    return True


if sys.version_info >= (3, 12):

    def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)

else:

    def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)


class _Bundle(Chunk):
    """Two chunks for one packet."""

    def __init__(self, first: Chunk, second: Chunk) -> None:
        self._bytes = bytes(first) + bytes(second)

    def __bytes__(self) -> bytes:
        return self._bytes


class GuardedAssociation(RTCSctpTransport):
    """An association that carries channel `CHANNEL_ID`, with `lossy` channel `LOSSY_ID` too, and nothing else.

    `closed_by_peer` is true once the peer has asked to close the channel, `channel_reset` once both sides
    have closed it. `on_violation` is told once, with what the peer did; nothing is read from it
    afterwards.
    """

    def __init__(self, transport: RTCDtlsTransport, on_violation: Callable[[str], None], *, lossy: bool) -> None:
        super().__init__(transport)
        # Nothing may be skipped on a reliable channel, so where there is no other the extension that skips is not offered.
        self._local_partial_reliability = lossy
        self._lossy = lossy
        self._advertised_rwnd = WINDOW  # announced at the start; later ones are counted in _send_sack
        self._on_violation = on_violation
        self._violated = False
        # How many TSNs have been taken, which is also the position of the next.
        self._taken = 0
        self._early = EarlyChunks(MAX_HELD - LOCAL_MAX_MESSAGE_SIZE)
        self._partial: bytearray | None = None
        self._partial_kind = 0
        self._next_message = 0  # of the reliable stream, in 16 bits
        self._lossy_partial: bytearray | None = None
        self._packets_to_ack = 0
        self._gaps_told = False
        self._unsent: set[asyncio.Task[None]] = set()
        self._least_rtt: float | None = None
        self._least_rtt_at = 0.0
        self._held_back_until = 0.0
        self._ack_timer: asyncio.TimerHandle | None = None
        self.closed_by_peer = False
        self.channel_reset = False

    @property
    def held(self) -> int:
        """Bytes held that are not yet a message, with what it costs to hold them."""
        return self._early.cost + len(self._partial or b"") + len(self._lossy_partial or b"")

    @property
    def smoothed_rtt(self) -> float | None:
        """Seconds; None until data was acknowledged."""
        return self._srtt

    def _violation(self, what: str) -> None:
        if not self._violated:
            self._violated = True
            self._early.clear()
            self._partial = None
            self._on_violation(what)

    # -- packets -----------------------------------------------------------------------------------------

    async def _handle_data(self, data: bytes) -> None:
        if self._violated:
            return
        if not well_formed(data):
            self._violation("sent an SCTP packet that is not well-formed")
            return
        try:
            await super()._handle_data(data)
        except ConnectionError:
            raise
        except Exception as error:
            # aiortc asserts what a peer should do; one that does otherwise must not take the DTLS task down.
            logger.info("an SCTP packet could not be handled: %r", error)
            self._violation(f"sent an SCTP packet that could not be handled ({type(error).__name__})")

    async def _receive_chunk(self, chunk: Chunk) -> None:
        if self._violated:
            return
        established = self._association_state is self.State.ESTABLISHED
        if isinstance(chunk, InitChunk) and established:
            # A late copy. aiortc would go back to the first TSN and deliver everything again.
            return
        if isinstance(chunk, CookieEchoChunk) and established:
            # Our acknowledgement was lost. aiortc would open a closing channel again.
            await self._send_chunk(CookieAckChunk())
            return
        if isinstance(chunk, ForwardTsnChunk):
            await self._skip(chunk)
            return
        await super()._receive_chunk(chunk)

    async def _receive_sack_chunk(self, chunk: SackChunk) -> None:
        # A gap block names a range: 16 bits wide, some hundred to a packet, and each of its TSNs is
        # looked at.
        outstanding = (self._local_tsn - 1 - chunk.cumulative_tsn) % _TSNS
        if outstanding >= _HALF:
            return
        last = 0
        for start, end in chunk.gaps:
            if not last < start <= end <= outstanding:
                return
            last = end
        await super()._receive_sack_chunk(chunk)
        self._hold_back()

    def _hold_back(self) -> None:
        """Send less where packets wait on their way: a small message would wait behind all of them."""
        rtt, now = self._srtt, asyncio.get_running_loop().time()
        if rtt is None or self._flight_size < MIN_WINDOW:
            return
        if self._least_rtt is None or rtt < self._least_rtt or now - self._least_rtt_at > LEAST_RTT_SECONDS:
            self._least_rtt, self._least_rtt_at = rtt, now
        if rtt - self._least_rtt > max(QUEUE_SECONDS, self._least_rtt / 2) and now >= self._held_back_until:
            self._held_back_until = now + rtt  # what is sent now is seen a round trip later
            self._cwnd = self._ssthresh = max(MIN_WINDOW, self._cwnd * 3 // 4)

    async def _send_chunk(self, chunk: Chunk) -> None:
        try:
            if self._packets_to_ack and type(chunk) is DataChunk and len(chunk.user_data) <= _ROOM_BESIDE_SACK:
                ports = (self._local_port, self._remote_port or 0)
                bundle = _Bundle(self._take_sack(), chunk)
                await self.transport._send_data(serialize_packet(*ports, self._remote_verification_tag, bundle))
            else:
                await super()._send_chunk(chunk)
        except ConnectionError:
            # Lost on the way, as far as SCTP is concerned; that the transport is gone is told by the
            # transport.
            logger.debug("not sent, the transport is gone: %s", chunk)

    # -- data --------------------------------------------------------------------------------------------

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        if self._last_received_tsn is None:
            return
        self._sack_needed = True
        ahead = (chunk.tsn - self._last_received_tsn - 1) % _TSNS
        if ahead >= _HALF or self._taken + ahead in self._early:
            if len(self._sack_duplicates) < MAX_DUPLICATES:
                self._sack_duplicates.append(chunk.tsn)
        elif chunk.stream_id not in (CHANNEL_ID, LOSSY_ID):
            self._violation(f"opened a channel that was not agreed (stream {chunk.stream_id})")
        elif ahead and chunk.stream_id == LOSSY_ID:
            message, is_whole = chunk.user_data, chunk.flags & _WHOLE == _WHOLE
            if is_whole:
                chunk.user_data = b""  # what stays in the table is that it came
            if self._early.add(self._taken + ahead, chunk) and is_whole:
                self._deliver_lossy(chunk.protocol, message)
        elif ahead:
            # Without room it is dropped unacknowledged, and comes again when what it overtook has come.
            self._early.add(self._taken + ahead, chunk)
        else:
            self._take(chunk)
            await self._take_following()

    async def _take_following(self) -> None:
        while not self._violated and (following := self._early.pop(self._taken)) is not None:
            self._take(following)
        await self._reset_deferred_streams()

    async def _skip(self, chunk: ForwardTsnChunk) -> None:
        """The sender has given up what is missing up to a TSN (RFC 3758 section 3.6)."""
        # It names the messages of ordered streams that it skips; where it keeps quiet about one, their numbers tell.
        if not self._lossy or any(stream != LOSSY_ID for stream, _ in chunk.streams):
            self._violation("skipped data on a reliable channel")
            return
        if self._last_received_tsn is None:
            return
        self._sack_needed = True
        ahead = (chunk.cumulative_tsn - self._last_received_tsn) % _TSNS
        if not 0 < ahead < _HALF:
            return
        end = self._taken + ahead
        while not self._violated and (first := self._early.first) is not None and first < end:
            if first != self._taken:
                self._lossy_partial = None
                self._taken = first
            if (came := self._early.pop(first)) is not None:
                self._take(came)
        if self._taken != end:
            self._lossy_partial = None
            self._taken = end
        self._last_received_tsn = chunk.cumulative_tsn
        await self._take_following()

    def _take(self, chunk: DataChunk) -> None:
        self._last_received_tsn = chunk.tsn
        self._taken += 1
        if chunk.stream_id == LOSSY_ID:
            self._take_lossy(chunk)
            return
        first = chunk.flags & SCTP_DATA_FIRST_FRAG
        last = chunk.flags & SCTP_DATA_LAST_FRAG
        if chunk.flags & SCTP_DATA_UNORDERED:
            self._violation("sent data out of order on an ordered channel")
            return
        if bool(first) is not (self._partial is None):
            self._violation("sent parts of a message that don't follow one another")
            return
        if chunk.stream_seq != self._next_message:
            self._violation("skipped data on a reliable channel")
            return
        if last:
            self._next_message = (self._next_message + 1) % 2**16
        if first and last:
            self._deliver(chunk.protocol, chunk.user_data)
        elif self._partial is None:
            self._partial = bytearray(chunk.user_data)
            self._partial_kind = chunk.protocol
        elif len(self._partial) + len(chunk.user_data) > LOCAL_MAX_MESSAGE_SIZE:
            self._violation(f"sent a message longer than the {LOCAL_MAX_MESSAGE_SIZE} bytes that were agreed")
        else:
            self._partial += chunk.user_data
            if last:
                message, self._partial = bytes(self._partial), None
                self._deliver(self._partial_kind, message)

    def _take_lossy(self, chunk: DataChunk) -> None:
        first, last = chunk.flags & SCTP_DATA_FIRST_FRAG, chunk.flags & SCTP_DATA_LAST_FRAG
        if first and last:
            if chunk.user_data:  # else it was delivered when it came
                self._deliver_lossy(chunk.protocol, chunk.user_data)
        elif first:
            self._lossy_partial = bytearray(chunk.user_data)
        elif self._lossy_partial is not None:
            # (Some stacks split even a short message, to fill a packet.)
            self._lossy_partial += chunk.user_data
            if len(self._lossy_partial) > LOSSY_FRAME:
                self._lossy_partial = None
            elif last:
                message, self._lossy_partial = bytes(self._lossy_partial), None
                self._deliver_lossy(chunk.protocol, message)

    def _deliver_lossy(self, kind: int, data: bytes) -> None:
        if kind == WEBRTC_DCEP:
            self._violation("opened a channel that was not agreed")
            return
        channel = self._data_channels.get(LOSSY_ID)
        # Nothing but bytes is agreed there, and nothing that comes there is worth an end. Without the channel it is dropped too.
        if channel is not None and kind == WEBRTC_BINARY:
            channel.emit("message", data)

    def _deliver(self, kind: int, data: bytes) -> None:
        if kind == WEBRTC_DCEP:
            self._violation("opened a channel that was not agreed")
            return
        channel = self._data_channels.get(CHANNEL_ID)
        if channel is None:
            return
        if kind == WEBRTC_BINARY:
            channel.emit("message", data)
        elif kind == WEBRTC_STRING:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self._violation("sent text that is not UTF-8")
            else:
                channel.emit("message", text)
        elif kind == WEBRTC_BINARY_EMPTY:
            channel.emit("message", b"")
        elif kind == WEBRTC_STRING_EMPTY:
            channel.emit("message", "")

    # -- acknowledgements --------------------------------------------------------------------------------

    async def _send_sack(self) -> None:
        """A packet with data has been taken in (called by aiortc at its end)."""
        self._sack_needed = False
        self._packets_to_ack += 1
        # What is missing, or came twice, or has just closed a gap, tells the sender of losses: that can't wait.
        if self._packets_to_ack >= ACK_EVERY or self._early or self._gaps_told or self._sack_duplicates:
            await self._send_chunk(self._take_sack())
        elif self._ack_timer is None:
            # Not stopped when the acknowledgement leaves sooner, which is nearly always: that would cost more.
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_SECONDS, self._ack_due)

    def _ack_due(self) -> None:
        self._ack_timer = None
        if self._packets_to_ack and self._association_state is not self.State.CLOSED:
            self._run(self._send_chunk(self._take_sack()))

    def _take_sack(self) -> SackChunk:
        # As aiortc does it, but never longer than a packet.
        sack = SackChunk()
        sack.cumulative_tsn = self._last_received_tsn
        sack.advertised_rwnd = max(0, WINDOW - self._early.data_bytes - len(self._partial or b""))
        sack.duplicates = self._sack_duplicates[:]
        if self._early:
            # Told as distances from the last TSN in order (RFC 9260 section 3.3.4), each 16 bits wide.
            before = self._taken - 1
            runs = [(first - before, last - before) for first, last in self._early.runs(MAX_GAPS)]
            sack.gaps = [run for run in runs if run[1] <= 0xFFFF]
        self._gaps_told = bool(sack.gaps)
        self._sack_duplicates.clear()
        self._packets_to_ack = 0
        return sack

    # -- sending -----------------------------------------------------------------------------------------

    def _data_channel_send(self, channel: RTCDataChannel, data: bytes | str) -> None:
        # As aiortc does it, but at once instead of in a task of a later turn: the sizes were checked above.
        if isinstance(data, str):
            kind, body = (WEBRTC_STRING, data.encode()) if data else (WEBRTC_STRING_EMPTY, b"\0")
        else:
            kind, body = (WEBRTC_BINARY, data) if data else (WEBRTC_BINARY_EMPTY, b"\0")
        channel._addBufferedAmount(len(body))
        self._data_channel_queue.append((channel, kind, body))
        self._run(self._data_channel_flush())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        # Sending over a socket never waits, so the work is mostly done at once; over TURN it may go on.
        task = _start(work)
        if not task.done():
            self._unsent.add(task)
            task.add_done_callback(self._unsent.discard)

    # -- the end of the channel --------------------------------------------------------------------------

    def _set_state(self, state: RTCSctpTransport.State) -> None:
        if state is self.State.CLOSED and self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        super()._set_state(state)

    def _data_channel_close(self, channel: RTCDataChannel) -> None:
        if self._packets_to_ack:
            # The other side may be waiting for nothing else before it closes, too.
            self._run(self._send_chunk(self._take_sack()))
        if channel.id == CHANNEL_ID and CHANNEL_ID in self._data_channel_inbound_reset:
            self.closed_by_peer = True
        super()._data_channel_close(channel)

    def _data_channel_reset(self, stream_id: int) -> None:
        # An abort closes the channel too, but only this says that nothing is missing.
        both = self._data_channel_inbound_reset & self._data_channel_outbound_reset
        self.channel_reset = self.channel_reset or CHANNEL_ID in both
        super()._data_channel_reset(stream_id)
