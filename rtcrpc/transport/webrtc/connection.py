"""A connection over aiortc: descriptions in and out, frames in and out on two channels, and one end whatever happens.

It opens, or breaks, within `DIAL_SECONDS` after it has both descriptions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Final

from aiortc import RTCCertificate, RTCDataChannel

from rtcrpc.errors import ConnectionLost, ProtocolError, TooLarge
from rtcrpc.limits import (
    CHANNEL_BUFFER,
    DIAL_SECONDS,
    HANDSHAKE_MESSAGES,
    LOSSY_BUFFER,
    LOSSY_FRAME,
    MAX_CANDIDATES,
)
from rtcrpc.transport.base import (
    CLOSED_HERE,
    CLOSED_THERE,
    Broken,
    Candidate,
    Connection,
    ConnectionEvents,
    Path,
)
from rtcrpc.transport.telling import Teller
from rtcrpc.transport.webrtc.candidates import CandidateFilter, IceCandidate, parse_candidate
from rtcrpc.transport.webrtc.guard import IceSettings, Stack
from rtcrpc.transport.webrtc.sdp import (
    LOCAL_MAX_MESSAGE_SIZE,
    Description,
    Setup,
    build_description,
    parse_description,
)

__all__ = ["LOW_MARK", "WebRtcConnection"]

logger = logging.getLogger("rtcrpc.transport")

LOW_MARK: Final = CHANNEL_BUFFER // 2
"""Bytes in the channel's buffer at which more is asked for: early enough that the network never waits."""


class _Stage(Enum):
    NEW = "new"
    DESCRIBED = "described"
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class WebRtcConnection(Connection):
    """One connection; see `Connection` for what it promises. Made by `WebRtcTransport.create`."""

    def __init__(
        self,
        events: ConnectionEvents,
        settings: IceSettings,
        certificate: RTCCertificate,
        fingerprint: bytes,
        *,
        trickle: bool = True,
        lossy: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._teller = Teller(events, lambda: self._end(Broken.SINK, clean=False))
        self._filter: CandidateFilter = settings.candidate_filter
        self._trickle = trickle
        self._stage = _Stage.NEW
        self._local_fingerprint = fingerprint
        self._remote_fingerprint = b""
        self._max_message_size = LOCAL_MAX_MESSAGE_SIZE
        self._remote: Description | None = None
        self._mid = "0"
        self._told_candidates = False
        self._sending = False
        self._candidates_left = MAX_CANDIDATES
        self._early_candidates: list[IceCandidate] = []
        self._early_messages: list[bytes | str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel_closed = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._stack = Stack(settings, certificate, self._candidate_found, self._violated, lossy=lossy)
        channel = self._stack.channel
        channel.bufferedAmountLowThreshold = LOW_MARK
        channel.on("open", self._channel_opened)
        channel.on("message", self._message_received)
        channel.on("bufferedamountlow", self._buffered_amount_low)
        channel.on("close", self._channel_gone)
        if (lossy_channel := self._stack.lossy_channel) is not None:
            lossy_channel.bufferedAmountLowThreshold = LOSSY_BUFFER // 2
            lossy_channel.on("message", self._lossy_received)
            lossy_channel.on("bufferedamountlow", self._buffered_amount_low)
        self._stack.dtls.on("statechange", self._dtls_changed)

    def __repr__(self) -> str:
        return f"<WebRtcConnection {self._stage.value}>"

    # -- what is known -----------------------------------------------------------------------------------

    @property
    def local_fingerprint(self) -> bytes:
        """SHA-256 of this side's certificate."""
        return self._local_fingerprint

    @property
    def remote_fingerprint(self) -> bytes:
        """SHA-256 of the certificate that the other side proved in the DTLS handshake."""
        return self._remote_fingerprint

    @property
    def max_message_size(self) -> int:
        """Bytes of the longest frame."""
        return self._max_message_size

    @property
    def buffered_amount(self) -> int:
        """Bytes in the channel's buffer."""
        return self._stack.channel.bufferedAmount

    @property
    def low_mark(self) -> int:
        """Bytes at which `buffered_amount_low` is told."""
        return LOW_MARK

    @property
    def lossy(self) -> bool:
        """Whether there is the lossy channel, and the other side's SCTP knows how to skip what is lost."""
        return self._stack.lossy

    @property
    def lossy_buffered_amount(self) -> int:
        """Bytes in the lossy channel's buffer."""
        channel = self._stack.lossy_channel
        return 0 if channel is None else channel.bufferedAmount

    async def path(self) -> Path | None:
        """The nominated pair of candidates."""
        return self._stack.path() if self._stage in (_Stage.OPEN, _Stage.CLOSING) else None

    # -- descriptions ------------------------------------------------------------------------------------

    async def create_offer(self) -> str:
        """Gather and describe."""
        self._expect(_Stage.NEW, "create_offer")
        self._stage = _Stage.DESCRIBED
        return await self._describe(Setup.ACTPASS, bundled=True)

    async def accept_offer(self, sdp: str) -> str:
        """Read the offer, describe this side, begin to connect."""
        self._expect(_Stage.NEW, "accept_offer")
        remote = parse_description(sdp)
        # The answerer opens DTLS where it may choose: its first flight then needs no wait for the answer.
        ours = Setup.PASSIVE if remote.setup is Setup.ACTIVE else Setup.ACTIVE
        self._stage = _Stage.DESCRIBED
        self._mid = remote.mid
        answer = await self._describe(ours, bundled=remote.bundled)
        self._begin(remote, ours, offerer=False)
        return answer

    async def accept_answer(self, sdp: str) -> None:
        """Read the answer, begin to connect."""
        self._expect(_Stage.DESCRIBED, "accept_answer")
        remote = parse_description(sdp)
        if remote.setup is Setup.ACTPASS:
            raise ProtocolError("an answer says `a=setup:active` or `a=setup:passive`, got actpass")
        self._begin(remote, Setup.PASSIVE if remote.setup is Setup.ACTIVE else Setup.ACTIVE, offerer=True)

    async def add_candidate(self, candidate: Candidate) -> None:
        """Take a candidate now, or keep it until there is a description to which it belongs."""
        parsed = parse_candidate(candidate.candidate)
        if parsed is None or self._stage is _Stage.CLOSED:
            return
        if self._remote is None:
            if len(self._early_candidates) < MAX_CANDIDATES:
                self._early_candidates.append(parsed)
        else:
            self._take_candidate(parsed)

    def _expect(self, stage: _Stage, what: str) -> None:
        if self._stage in (_Stage.CLOSING, _Stage.CLOSED):
            raise ConnectionLost(f"{what}: the connection was closed", ran=False)
        if self._stage is not stage:
            raise RuntimeError(f"{what} is for a connection that is {stage.value}, not {self._stage.value}")

    async def _describe(self, setup: Setup, *, bundled: bool) -> str:
        ufrag, password, candidates = await self._stack.gather(wait=not self._trickle)
        self._expect(_Stage.DESCRIBED, "describing this side")
        # On the next turn of the loop, so that the owner has the description before it is told of more.
        self._loop.call_soon(self._tell_candidates, len(candidates))
        return build_description(
            Description(
                ufrag=ufrag,
                password=password,
                fingerprint=self._local_fingerprint,
                setup=setup,
                mid=self._mid,
                bundled=bundled,
                candidates=candidates[:MAX_CANDIDATES],
            )
        )

    def _tell_candidates(self, described: int) -> None:
        self._told_candidates = True
        for candidate in self._stack.described_candidates()[described:]:
            self._candidate_found(candidate)
        if not self._stack.gathering:
            self._candidate_found(None)

    def _candidate_found(self, candidate: IceCandidate | None) -> None:
        if self._told_candidates and self._stage is not _Stage.CLOSED:
            self._teller.candidate(None if candidate is None else Candidate(str(candidate), self._mid))

    # -- connecting --------------------------------------------------------------------------------------

    def _begin(self, remote: Description, role: Setup, *, offerer: bool) -> None:
        self._stage = _Stage.CONNECTING
        self._remote = remote
        if remote.max_message_size:
            self._max_message_size = min(remote.max_message_size, LOCAL_MAX_MESSAGE_SIZE)
        early, self._early_candidates = self._early_candidates, []
        for candidate in (*remote.candidates, *early):
            self._take_candidate(candidate)
        self._spawn(self._connect(remote, role, offerer=offerer))

    def _take_candidate(self, candidate: IceCandidate) -> None:
        if self._candidates_left == 0:
            logger.info("more than %d candidates from the other side; the rest are dropped", MAX_CANDIDATES)
            return
        self._candidates_left -= 1
        if (why := self._filter.refusal(candidate.host, candidate.port)) is not None:
            logger.info("a candidate of the other side is not used: %s", why)
            return
        # A task for each: asking the local network for a name takes up to a second.
        self._spawn(self._add_candidate(candidate))

    async def _add_candidate(self, candidate: IceCandidate) -> None:
        try:
            await self._stack.add_candidate(candidate)
        except (OSError, ValueError) as error:
            logger.info("a candidate of the other side could not be used: %s", error)

    async def _connect(self, remote: Description, role: Setup, *, offerer: bool) -> None:
        stack = self._stack
        broken = Broken.NO_PATH
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                if await stack.connect_ice(remote, offerer=offerer):
                    broken = Broken.HANDSHAKE
                    connected = await stack.connect_dtls(remote, role)
                    proved = stack.peer_fingerprint()
                    if proved is not None and proved != remote.fingerprint:
                        broken = Broken.FINGERPRINT
                    elif connected and proved is not None:
                        self._remote_fingerprint = proved
                        await stack.connect_sctp(remote, self._max_message_size)
                        await self._opened_or_closed()
                        return
        except TimeoutError:
            logger.info("not open after %d s: %s", DIAL_SECONDS, broken)
        except Exception:
            logger.exception("connecting failed")
        self._end(broken, clean=False)

    async def _opened_or_closed(self) -> None:
        opened = asyncio.Event()
        channel = self._stack.channel
        if channel.readyState == "connecting":
            channel.on("open", opened.set)
            channel.on("close", opened.set)
            await opened.wait()

    # -- what the layers tell ----------------------------------------------------------------------------

    def _channel_opened(self) -> None:
        if self._stage is not _Stage.CONNECTING:
            return
        self._stage = _Stage.OPEN
        self._teller.opened()
        early, self._early_messages = self._early_messages, []
        for message in early:
            self._message_received(message)

    def _message_received(self, data: bytes | str) -> None:
        if self._stage in (_Stage.OPEN, _Stage.CLOSING):
            self._teller.message(data)
        elif self._stage is _Stage.CONNECTING:
            # The last packet of the set-up was overtaken by the first message.
            if len(self._early_messages) == HANDSHAKE_MESSAGES:
                self._violated(f"sent more than {HANDSHAKE_MESSAGES} messages before the channel was open")
            else:
                self._early_messages.append(data)

    def _lossy_received(self, data: bytes | str) -> None:
        if self._stage in (_Stage.OPEN, _Stage.CLOSING):
            self._teller.lossy(data)

    def _buffered_amount_low(self) -> None:
        if self._sending:
            # Told from inside `send`, it would have the owner send before it is done sending.
            self._loop.call_soon(self._buffered_amount_low)
        elif self._stage is _Stage.OPEN:
            self._teller.low()

    def _channel_gone(self) -> None:
        self._channel_closed.set()
        if self._stage in (_Stage.CONNECTING, _Stage.OPEN):
            if self._stack.path_lost:
                self._end(Broken.PATH_LOST, clean=False)
            elif self._stage is _Stage.CONNECTING and not self._stack.closed_by_peer:
                self._end(Broken.HANDSHAKE, clean=False)
            else:
                self._end(CLOSED_THERE, clean=self._stack.closed_by_peer)

    def _dtls_changed(self) -> None:
        if self._stack.dtls.state == "closed":
            # SCTP is not told by DTLS, so nobody would ever close the channel.
            self._channel_gone()

    def _violated(self, what: str) -> None:
        logger.warning("%s: it %s", Broken.VIOLATION, what)
        self._end(f"{Broken.VIOLATION}: it {what}", clean=False)

    # -- frames ------------------------------------------------------------------------------------------

    def send(self, data: bytes | str) -> None:
        """Give a frame to the channel."""
        if self._stage is not _Stage.OPEN or self._stack.channel.readyState != "open":
            raise ConnectionLost(f"a frame can't be sent: the connection is {self._stage.value}", ran=False)
        size = len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
        if size > self._max_message_size:
            raise TooLarge(f"a frame has at most {self._max_message_size} bytes here, got {size}")
        self._hand_over(self._stack.channel, data)

    def send_lossy(self, data: bytes) -> None:
        """Give a frame to the lossy channel."""
        if len(data) > LOSSY_FRAME:
            raise TooLarge(f"a frame that may be lost has at most {LOSSY_FRAME} bytes, got {len(data)}")
        channel = self._stack.lossy_channel
        if channel is not None and self.lossy and self._stage is _Stage.OPEN and channel.readyState == "open":
            self._hand_over(channel, data)

    def _hand_over(self, channel: RTCDataChannel, data: bytes | str) -> None:
        self._sending = True
        try:
            channel.send(data)
        finally:
            self._sending = False

    # -- the end -----------------------------------------------------------------------------------------

    async def close(self, *, drain: float | None) -> None:
        """Let the other side have everything, close the channel, then the layers below it."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(drain))
        elif drain is None:
            # Whoever is waiting for the last messages is told not to.
            self._channel_closed.set()
        # Shielded: a caller that gives up must not leave sockets behind.
        await asyncio.shield(self._closing)

    async def _close(self, drain: float | None) -> None:
        if self._stage is not _Stage.CLOSED:
            clean = self._stage is not _Stage.OPEN
            if self._stage is _Stage.OPEN and drain is not None:
                self._stage = _Stage.CLOSING
                # The stream is reset after everything that was sent on it, and the other side answers
                # when it has that (RFC 8831 section 6.7). Going straight to the layers below would lose
                # all of it.
                self._stack.channel.close()
                try:
                    async with asyncio.timeout(drain):
                        await self._channel_closed.wait()
                    clean = self._stack.channel_reset
                except TimeoutError:
                    logger.info("the last messages were not acknowledged within %.1f s", drain)
            self._end(CLOSED_HERE, clean=clean)
        if self._ending is not None:
            await self._ending

    def _end(self, reason: str, *, clean: bool) -> None:
        if self._stage is _Stage.CLOSED:
            return
        self._stage = _Stage.CLOSED
        self._early_messages.clear()
        self._channel_closed.set()
        self._ending = self._loop.create_task(self._tear_down())
        self._teller.closed(reason, clean=clean)

    async def _tear_down(self) -> None:
        # The task that found the connection broken is among these; it has nothing left to do.
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)
