"""The layers of one connection, put together from aiortc's parts: ICE, DTLS, SCTP, channels.

`RTCPeerConnection` is left out on purpose. It parses descriptions for media, makes a certificate each
time, waits for servers that don't answer, and gives no way in; its parts, which it exports, do.

This package is the one place that leans on names which aiortc and aioice keep to themselves. It was
written against `TESTED_AIORTC` and `TESTED_AIOICE`; with others it says so once, and uses the guarded
form of each layer whose names are still there, the plain one of each whose names are not.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import aioice
from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)
from aiortc.rtcdtlstransport import RTCDtlsFingerprint
from aiortc.rtcicetransport import RTCIceParameters
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL

from rtcrpc.transport.base import (
    CHANNEL_ID,
    CHANNEL_LABEL,
    CHANNEL_PROTOCOL,
    LOSSY_ID,
    LOSSY_LABEL,
    LOSSY_PROTOCOL,
    Path,
)
from rtcrpc.transport.webrtc.candidates import IceCandidate
from rtcrpc.transport.webrtc.guard.association import GuardedAssociation
from rtcrpc.transport.webrtc.guard.ice import GuardedIce, IceSettings
from rtcrpc.transport.webrtc.sdp import Description, Setup, format_fingerprint

__all__ = ["TESTED_AIOICE", "TESTED_AIORTC", "Stack", "missing_names"]

logger = logging.getLogger("rtcrpc.transport")

TESTED_AIORTC: Final = "1.16"
TESTED_AIOICE: Final = "0.13"

_ICE_NAMES: Final = (
    "_add_remote_candidate",
    "_pair_remote_candidate",
    "_valid_username",
    "add_remote_candidate",
    "check_incoming",
    "check_state",
    "data_received",
    "gather_candidates",
    "request_received",
    "sort_check_list",
)
_SCTP_NAMES: Final = (
    "_data_channel_close",
    "_data_channel_flush",
    "_data_channel_reset",
    "_data_channel_send",
    "_handle_data",
    "_receive_chunk",
    "_receive_data_chunk",
    "_receive_sack_chunk",
    "_reset_deferred_streams",
    "_send_chunk",
    "_send_sack",
    "_set_state",
)
_DTLS_NAMES: Final = ("_set_role", "_setup_srtp")


def missing_names(owner: type, names: tuple[str, ...]) -> list[str]:
    """Which of the names that a guarded layer overrides or calls are not there."""
    return [name for name in names if not hasattr(owner, name)]


@functools.cache
def _guards() -> tuple[bool, bool]:
    """Whether ICE and SCTP can be guarded with the versions installed; says once what can't."""
    found = {"aiortc": version("aiortc"), "aioice": version("aioice")}
    missing_ice = missing_names(aioice.Connection, _ICE_NAMES)
    missing_sctp = missing_names(RTCSctpTransport, _SCTP_NAMES)
    for package, tested in (("aiortc", TESTED_AIORTC), ("aioice", TESTED_AIOICE)):
        if not found[package].startswith(f"{tested}."):
            logger.warning(
                "%s %s is not the version that rtcrpc was tested with: its guards against hostile packets "
                "may not hold; `pip install '%s==%s.*'` gets that one",
                *(package, found[package], package, tested),
            )
    for layer, missing in (("ICE", missing_ice), ("SCTP", missing_sctp)):
        if missing:
            logger.warning("%s runs without its guard: this version has no %s", layer, ", ".join(missing))
    return not missing_ice, not missing_sctp


class _Gatherer(RTCIceGatherer):
    def __init__(self, ice: GuardedIce) -> None:
        # Without this list it would ask a public STUN server that nobody here chose.
        super().__init__(iceServers=[])
        self._connection = ice


class _DataOnlyDtls(RTCDtlsTransport):
    """DTLS for data: no keys for media are made, so that media packets are not even looked at."""

    def _setup_srtp(self) -> None:
        return None


class Stack:
    """The layers of one connection. All methods run on the loop on which it was made.

    `lossy_channel` is None where none was asked for.
    """

    def __init__(
        self,
        settings: IceSettings,
        certificate: RTCCertificate,
        on_candidate: Callable[[IceCandidate | None], None],
        on_violation: Callable[[str], None],
        *,
        lossy: bool,
    ) -> None:
        guard_ice, guard_sctp = _guards()
        self._ice: GuardedIce | None = None
        if guard_ice:
            self._ice = GuardedIce(settings)
            self._ice.on_candidate = on_candidate
            self._gatherer: RTCIceGatherer = _Gatherer(self._ice)
        else:
            self._gatherer = RTCIceGatherer(iceServers=_plain_servers(settings))
        self.ice = RTCIceTransport(self._gatherer)
        dtls_class = RTCDtlsTransport if missing_names(RTCDtlsTransport, _DTLS_NAMES) else _DataOnlyDtls
        self.dtls = dtls_class(self.ice, [certificate])
        self._association: GuardedAssociation | None = None
        if guard_sctp:
            self._association = GuardedAssociation(self.dtls, on_violation, lossy=lossy)
        self.sctp: RTCSctpTransport = self._association or RTCSctpTransport(self.dtls)
        # A guarded association never comes to this; a plain one does, and the rule is the same.
        self.sctp.on("datachannel", lambda channel: on_violation("opened a channel that was not agreed"))
        self.channel = RTCDataChannel(
            self.sctp,
            RTCDataChannelParameters(label=CHANNEL_LABEL, protocol=CHANNEL_PROTOCOL, negotiated=True, id=CHANNEL_ID),
        )
        self.lossy_channel: RTCDataChannel | None = None
        if lossy:
            parameters = RTCDataChannelParameters(
                label=LOSSY_LABEL,
                protocol=LOSSY_PROTOCOL,
                negotiated=True,
                id=LOSSY_ID,
                ordered=False,
                maxRetransmits=0,
            )
            self.lossy_channel = RTCDataChannel(self.sctp, parameters)

    # -- before ------------------------------------------------------------------------------------------

    async def gather(self, *, wait: bool) -> tuple[str, str, tuple[IceCandidate, ...]]:
        """Gather; return the user name fragment, the password, and the candidates so far.

        `wait`: until the servers have answered, too, so that the description is complete.
        """
        await self._gatherer.gather()
        if self._ice is None:
            candidates = tuple(
                IceCandidate(c.foundation, c.protocol, c.priority, c.ip, c.port, c.type)
                for c in self._gatherer.getLocalCandidates()
            )
        else:
            if wait:
                await self._ice.gathered()
            candidates = self._ice.described_candidates()
        parameters = self._gatherer.getLocalParameters()
        if parameters.usernameFragment is None or parameters.password is None:
            raise RuntimeError("aioice made no user name fragment or no password")
        return parameters.usernameFragment, parameters.password, candidates

    def described_candidates(self) -> tuple[IceCandidate, ...]:
        """All local candidates that are known by now."""
        return () if self._ice is None else self._ice.described_candidates()

    @property
    def gathering(self) -> bool:
        """Whether candidates may still be found."""
        return self._ice is not None and self._ice.gathering

    async def add_candidate(self, candidate: IceCandidate) -> None:
        """Take a remote candidate; for an mDNS name this takes until it is found, at most a second."""
        await self.ice._connection.add_remote_candidate(
            aioice.Candidate(
                foundation=candidate.foundation,
                component=1,
                transport=candidate.protocol,
                priority=candidate.priority,
                host=candidate.host,
                port=candidate.port,
                type=candidate.type,
            )
        )

    # -- connecting --------------------------------------------------------------------------------------

    async def connect_ice(self, remote: Description, *, offerer: bool) -> bool:
        """Find a path; false where there is none, or where ICE was closed."""
        # The offerer controls, unless the other side can't (RFC 8445 section 6.1.1).
        self.ice._connection.ice_controlling = offerer or remote.ice_lite
        await self.ice.start(
            RTCIceParameters(usernameFragment=remote.ufrag, password=remote.password, iceLite=remote.ice_lite)
        )
        return self.ice.state == "completed"

    async def connect_dtls(self, remote: Description, role: Setup) -> bool:
        """Do the handshake in `role`; false where it failed or the certificate is another."""
        self.dtls._set_role("client" if role is Setup.ACTIVE else "server")
        expected = RTCDtlsFingerprint(algorithm="sha-256", value=format_fingerprint(remote.fingerprint))
        await self.dtls.start(RTCDtlsParameters(fingerprints=[expected]))
        return self.dtls.state == "connected"

    async def connect_sctp(self, remote: Description, max_message_size: int) -> None:
        """Begin the association; the channel tells when it is open."""
        await self.sctp.start(RTCSctpCapabilities(maxMessageSize=max_message_size), remote.sctp_port)

    def peer_fingerprint(self) -> bytes | None:
        """SHA-256 of the certificate that the other side proved in the handshake; None before it did."""
        ssl: Any = self.dtls._ssl
        certificate = None if ssl is None else ssl.get_peer_certificate(as_cryptography=True)
        return None if certificate is None else bytes(certificate.fingerprint(SHA256()))

    # -- while open --------------------------------------------------------------------------------------

    def path(self) -> Path | None:
        """The way packets take."""
        if self._ice is None:
            return None
        return self._ice.path(None if self._association is None else self._association.smoothed_rtt)

    @property
    def lossy(self) -> bool:
        """Whether messages may be given up: both sides must know how (RFC 3758 section 3.3). Valid once the channel is open."""
        return self.lossy_channel is not None and self.sctp._remote_partial_reliability

    @property
    def path_lost(self) -> bool:
        """Whether DTLS ended without the other side's goodbye: ICE gave up, or our socket went."""
        ssl: Any = self.dtls._ssl
        goodbye = ssl is not None and bool(ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
        return self.dtls.state == "closed" and not goodbye

    @property
    def closed_by_peer(self) -> bool:
        """Whether the other side closed the channel before the connection."""
        return self._association is not None and self._association.closed_by_peer

    @property
    def channel_reset(self) -> bool:
        """Whether the channel was closed by both sides, so that each has all that the other sent."""
        if self._association is None:
            return self.channel.readyState == "closed"
        return self._association.channel_reset

    @property
    def held(self) -> int:
        """Bytes held for messages that are not whole yet."""
        return 0 if self._association is None else self._association.held

    # -- the end -----------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop every layer, from the top. One that fails to stop is logged and does not keep the others."""
        pump: asyncio.Future[None] | None = self.dtls._task
        for layer in (self.sctp, self.dtls, self.ice):
            try:
                await layer.stop()
            except Exception:
                logger.exception("%s could not be stopped", type(layer).__name__)
        if self.ice.state == "closed":
            # A second stop() of ICE does nothing, and it may have been closed by consent running out.
            await self.ice._connection.close()
        if pump is not None:
            # Cancelled by stop(), but not waited for: it would be seen as a task left behind.
            await asyncio.gather(pump, return_exceptions=True)


def _plain_servers(settings: IceSettings) -> list[RTCIceServer]:
    return [
        RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
        for server in settings.servers
    ]
