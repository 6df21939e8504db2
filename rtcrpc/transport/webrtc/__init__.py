"""WebRTC DataChannels over aiortc: the transport, its filter of addresses, and its guard."""

from rtcrpc.transport.webrtc.candidates import CandidateFilter
from rtcrpc.transport.webrtc.guard import default_host_addresses, loopback_addresses
from rtcrpc.transport.webrtc.transport import WebRtcTransport

__all__ = ["CandidateFilter", "WebRtcTransport", "default_host_addresses", "loopback_addresses"]
