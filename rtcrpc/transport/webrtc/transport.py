"""Makes WebRTC connections, all with one certificate."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Sequence
from typing import Final

from aiortc import RTCCertificate

from rtcrpc.transport.base import Connection, ConnectionEvents, IceServer
from rtcrpc.transport.webrtc.candidates import CandidateFilter
from rtcrpc.transport.webrtc.connection import WebRtcConnection
from rtcrpc.transport.webrtc.guard import IceSettings, default_host_addresses

__all__ = ["WebRtcTransport"]

_RENEW_BEFORE: Final = datetime.timedelta(days=1)

_lock = threading.Lock()
_shared: RTCCertificate | None = None


def _shared_certificate() -> RTCCertificate:
    """The certificate of this process, made when first needed and again before it expires.

    Making one costs more than the rest of the set-up does on a slow machine, and the identity of a peer
    is its Ed25519 key anyway (protocol section 6).
    """
    global _shared
    with _lock:
        now = datetime.datetime.now(datetime.UTC)
        if _shared is None or _shared.expires - now < _RENEW_BEFORE:
            _shared = RTCCertificate.generateCertificate()
        return _shared


class WebRtcTransport:
    """A `Transport` over WebRTC DataChannels.

    - `candidate_filter`: which addresses of other peers packets may go to;
    - `host_addresses`: the addresses of this machine on which to listen. By default all but loopback, or
      loopback where there is no other; `loopback_addresses` for peers on this machine only;
    - `trickle`: give descriptions out at once and tell of the candidates that servers find as they come.
      Without it a description waits for them, as signaling that carries only descriptions needs;
    - `lossy`: have the lossy channel too (protocol section 3).
    """

    name = "webrtc"

    def __init__(
        self,
        *,
        candidate_filter: CandidateFilter | None = None,
        host_addresses: Callable[[], Sequence[str]] = default_host_addresses,
        trickle: bool = True,
        lossy: bool = True,
    ) -> None:
        self._filter = candidate_filter or CandidateFilter()
        self._host_addresses = host_addresses
        self._trickle = trickle
        self._lossy = lossy

    def create(self, events: ConnectionEvents, ice_servers: Sequence[IceServer]) -> Connection:
        """Make a connection on the running loop. Without servers only this machine's addresses are used."""
        certificate = _shared_certificate()
        value = next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
        return WebRtcConnection(
            events,
            IceSettings(tuple(ice_servers), self._filter, self._host_addresses),
            certificate,
            bytes.fromhex(value.replace(":", "")),
            trickle=self._trickle,
            lossy=self._lossy,
        )
