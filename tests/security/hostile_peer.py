"""A peer that opens a connection and then abuses SCTP. Run as a process of its own, so that only the victim's
loop is measured: `python hostile_peer.py ATTACK COUNT`; the offer comes on stdin, the answer goes to stdout, each
one line of JSON. It ends when the victim has closed, or on the next line of stdin.
"""

import asyncio
import contextlib
import json
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    SCTP_DATA_UNORDERED,
    WEBRTC_BINARY,
    WEBRTC_DCEP,
    WEBRTC_STRING,
    DataChunk,
    ForwardTsnChunk,
    InitChunk,
    SackChunk,
)
from google_crc32c import value as crc32c

from rtcrpc.transport.base import CHANNEL_ID, LOSSY_ID
from rtcrpc.transport.recorder import EventRecorder
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses

PACKET = 1150
IN_FLIGHT = 48 * 1024
WHOLE = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG


class Attacker:
    def __init__(self, stack: Any, closed: asyncio.Event) -> None:
        self.sctp = stack.sctp
        self.dtls = stack.dtls
        self.closed = closed
        self.first = self.sctp._local_tsn
        self.sent_bytes = 0

    async def packet(self, *chunks: bytes) -> None:
        sctp = self.sctp
        header = struct.pack("!HHL", sctp._local_port, sctp._remote_port, sctp._remote_verification_tag)
        body = b"".join(chunks)
        checksum = struct.pack("<L", crc32c(header + bytes(4) + body))
        if not self.closed.is_set():
            await self.dtls._send_data(header + checksum + body)

    def data(
        self, offset: int, payload: bytes, flags: int, stream: int = 0, kind: int = WEBRTC_BINARY, sequence: int = 0
    ) -> bytes:
        chunk = DataChunk(flags=flags)
        chunk.stream_seq = sequence
        chunk.tsn = (self.first + offset) % 2**32
        chunk.stream_id = stream
        chunk.protocol = kind
        chunk.user_data = payload
        # Our own association must take the acknowledgements for its own.
        self.sctp._local_tsn = max(self.sctp._local_tsn, chunk.tsn + 1)
        return bytes(chunk)

    async def fragments(self, offsets: list[int], size: int, *, wait_for_acks: bool) -> None:
        """Parts of one message that never ends, as many to a packet as fit."""
        waiting: list[bytes] = []
        for offset in offsets:
            flags = SCTP_DATA_FIRST_FRAG if offset == 0 else 0
            waiting.append(self.data(offset, bytes(size), flags))
            if sum(map(len, waiting)) + size + 20 > PACKET:
                await self.packet(*waiting)
                waiting.clear()
                await self.pace(offset, size, wait_for_acks)
            if self.closed.is_set():
                return
        await self.packet(*waiting)

    async def pace(self, offset: int, size: int, wait_for_acks: bool) -> None:
        if not wait_for_acks:
            self.sent_bytes += PACKET
            if self.sent_bytes % (8 * PACKET) == 0:
                await asyncio.sleep(0.001)
            return
        while not self.closed.is_set():
            # From -1, before anything was acknowledged.
            acknowledged = (self.sctp._last_sacked_tsn - self.first + 1) % 2**32 - 1
            if (offset - acknowledged) * (size + 16) < IN_FLIGHT:
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def endless_message(attacker: Attacker, count: int) -> None:
    await attacker.fragments(list(range(count)), 1000, wait_for_acks=True)


async def endless_message_in_bytes(attacker: Attacker, count: int) -> None:
    await attacker.fragments(list(range(count)), 1, wait_for_acks=True)


async def hole_at_the_start(attacker: Attacker, count: int) -> None:
    await attacker.fragments(list(range(1, count + 1)), 100, wait_for_acks=False)


async def every_second_missing(attacker: Attacker, count: int) -> None:
    await attacker.fragments(list(range(1, 2 * count + 1, 2)), 1, wait_for_acks=False)


async def channels(attacker: Attacker, count: int) -> None:
    dcep = struct.pack("!BBHLHH", 3, 0, 0, 0, 4, 0) + b"more"
    for number in range(count):
        whole = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG
        await attacker.packet(attacker.data(number, dcep, whole, stream=1 + number, kind=WEBRTC_DCEP))
        await asyncio.sleep(0)


async def parameter_without_length(attacker: Attacker, count: int) -> None:
    # A HEARTBEAT whose parameter says that it is 0 bytes long.
    await attacker.packet(struct.pack("!BBHHH", 4, 0, 8, 1, 0))


async def wide_acknowledgements(attacker: Attacker, count: int) -> None:
    for _ in range(count):
        sack = SackChunk()
        sack.cumulative_tsn = attacker.sctp._last_received_tsn
        sack.advertised_rwnd = 65536
        sack.gaps = [(1, 65535)] * 250
        await attacker.packet(bytes(sack))
        await asyncio.sleep(0)


async def text_that_is_none(attacker: Attacker, count: int) -> None:
    whole = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG
    await attacker.packet(attacker.data(0, b"\xff\xfe", whole, kind=WEBRTC_STRING))


async def skipping(attacker: Attacker, count: int) -> None:
    chunk = ForwardTsnChunk()
    chunk.cumulative_tsn = (attacker.first + 5) % 2**32
    chunk.streams = [(0, 5)]
    await attacker.packet(bytes(chunk))


async def skip(attacker: Attacker, to: int) -> None:
    chunk = ForwardTsnChunk()
    chunk.cumulative_tsn = (attacker.first + to) % 2**32
    await attacker.packet(bytes(chunk))


async def skipping_without_a_word(attacker: Attacker, count: int) -> None:
    await attacker.packet(attacker.data(0, b"first", WHOLE, stream=CHANNEL_ID))
    await skip(attacker, 5)
    await attacker.packet(attacker.data(6, b"third", WHOLE, stream=CHANNEL_ID, sequence=2))


async def skipping_within_a_message(attacker: Attacker, count: int) -> None:
    await attacker.packet(attacker.data(0, b"begun", SCTP_DATA_FIRST_FRAG, stream=CHANNEL_ID))
    await skip(attacker, 5)
    await attacker.packet(attacker.data(6, b"another", WHOLE, stream=CHANNEL_ID))


async def reliable_out_of_order(attacker: Attacker, count: int) -> None:
    await attacker.packet(attacker.data(0, b"x", WHOLE | SCTP_DATA_UNORDERED, stream=CHANNEL_ID))


async def skipping_far(attacker: Attacker, count: int) -> None:
    """Leaps over two thousand million chunks at a time, each with something behind it that came early."""
    at = 0
    for _ in range(count):
        await attacker.packet(attacker.data(at + 2, b"early", WHOLE | SCTP_DATA_UNORDERED, stream=LOSSY_ID))
        at += 2**31 - 10
        await skip(attacker, at)
        await asyncio.sleep(0)


async def lossy_flood(attacker: Attacker, count: int) -> None:
    await lossy(attacker, list(range(count)), WHOLE)


async def lossy_flood_behind_a_hole(attacker: Attacker, count: int) -> None:
    await lossy(attacker, list(range(1, 2 * count + 1, 2)), WHOLE)


async def lossy_message_without_end(attacker: Attacker, count: int) -> None:
    await lossy(attacker, [0], SCTP_DATA_FIRST_FRAG)
    await lossy(attacker, list(range(1, count)), 0)


async def lossy_beginnings_behind_a_hole(attacker: Attacker, count: int) -> None:
    await lossy(attacker, list(range(1, count)), SCTP_DATA_FIRST_FRAG)


async def lossy(attacker: Attacker, offsets: list[int], flags: int) -> None:
    for number, offset in enumerate(offsets):
        await attacker.packet(attacker.data(offset, bytes(100), flags | SCTP_DATA_UNORDERED, stream=LOSSY_ID))
        if number % 64 == 0:
            await asyncio.sleep(0.001)
        if attacker.closed.is_set():
            return


async def lossy_channel_announced(attacker: Attacker, count: int) -> None:
    dcep = struct.pack("!BBHLHH", 3, 0x81, 0, 0, 4, 0) + b"more"
    await attacker.packet(attacker.data(0, dcep, WHOLE, stream=LOSSY_ID, kind=WEBRTC_DCEP))


async def beginning_again(attacker: Attacker, count: int) -> None:
    for _ in range(count):
        chunk = InitChunk()
        chunk.initiate_tag = 1
        chunk.advertised_rwnd = 65536
        chunk.outbound_streams = chunk.inbound_streams = 65535
        chunk.initial_tsn = 1
        sctp = attacker.sctp
        tag, sctp._remote_verification_tag = sctp._remote_verification_tag, 0
        await attacker.packet(bytes(chunk))
        sctp._remote_verification_tag = tag
        await asyncio.sleep(0)


ATTACKS: dict[str, Callable[[Attacker, int], Awaitable[None]]] = {
    function.__name__: function
    for function in (
        endless_message,
        endless_message_in_bytes,
        hole_at_the_start,
        every_second_missing,
        channels,
        parameter_without_length,
        wide_acknowledgements,
        text_that_is_none,
        skipping,
        skipping_without_a_word,
        skipping_within_a_message,
        skipping_far,
        reliable_out_of_order,
        lossy_flood,
        lossy_flood_behind_a_hole,
        lossy_message_without_end,
        lossy_beginnings_behind_a_hole,
        lossy_channel_announced,
        beginning_again,
    )
}


async def main(attack: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    events = EventRecorder()
    connection: Any = WebRtcTransport(host_addresses=loopback_addresses).create(events, ())
    offer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    print(json.dumps(await connection.accept_offer(offer)), flush=True)
    await events.opened.wait()
    attacker = Attacker(connection._stack, events.closed)
    with contextlib.suppress(ConnectionError):
        await ATTACKS[attack](attacker, count)
    print(json.dumps("done"), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    await connection.close(drain=None)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
