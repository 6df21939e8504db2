"""The one place that leans on private names of aiortc and aioice, to keep hostile packets out.

`stack` puts the layers together, `ice` guards the sockets (threat T4 of the security page, and T20 with
the filter of candidates), `association` guards what is put together from packets (T5). All of it is by
subclassing: a program that uses aiortc beside rtcrpc finds it as it was.
"""

from rtcrpc.transport.webrtc.guard.association import MAX_HELD, GuardedAssociation
from rtcrpc.transport.webrtc.guard.ice import (
    GuardedIce,
    IceSettings,
    default_host_addresses,
    loopback_addresses,
)
from rtcrpc.transport.webrtc.guard.stack import TESTED_AIOICE, TESTED_AIORTC, Stack

__all__ = [
    "MAX_HELD",
    "TESTED_AIOICE",
    "TESTED_AIORTC",
    "GuardedAssociation",
    "GuardedIce",
    "IceSettings",
    "Stack",
    "default_host_addresses",
    "loopback_addresses",
]
