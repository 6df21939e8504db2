"""A network in memory: peers of one process, with every misfortune that a real network has, on demand.

`MemoryNetwork` carries datagrams with a delay; it may lose, repeat and hold back any of them, cut hosts
off and bring them together again, and make one vanish. Each connection puts a reliable channel on top,
as SCTP does: in order, acknowledged, sent again after a time, so that loss becomes delay. Beside it is a
lossy one, which is the datagrams as they come.

All chance comes from one seed and all time from the running loop. On a `VirtualClockLoop` a scenario is
the same each time it runs. Not modelled: packets within a message (a message is lost as a whole),
congestion, and addresses.
"""

from rtcrpc.transport.memory.network import MemoryNetwork, MemoryTransport, NetworkCounts

__all__ = ["MemoryNetwork", "MemoryTransport", "NetworkCounts"]
