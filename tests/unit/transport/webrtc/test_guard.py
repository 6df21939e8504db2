"""The guard where it meets versions of aiortc that it was not made for, and its check of packets."""

import asyncio
import contextlib
import logging
import os
import struct
from collections.abc import Iterator

import pytest
from aioice.ice import get_host_addresses
from aiortc.rtcsctptransport import HeartbeatChunk, InitChunk, parse_packet, serialize_packet
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.errors import ConnectionLost
from rtcrpc.transport.recorder import connect, make_ends
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses
from rtcrpc.transport.webrtc.guard import stack
from rtcrpc.transport.webrtc.guard.association import well_formed


@pytest.fixture
def unknown_version() -> Iterator[None]:
    stack._guards.cache_clear()
    yield
    stack._guards.cache_clear()


async def talk(transport: WebRtcTransport) -> None:
    ours, theirs = await connect(transport, transport)
    ours.connection.send("hello")
    assert await theirs.events.received(1) == ["hello"]
    await ours.connection.close(drain=5)
    await theirs.connection.close(drain=5)


@pytest.mark.usefixtures("unknown_version")
async def test_another_version_is_told_once_and_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stack, "version", lambda package: "1.17.2" if package == "aiortc" else "0.13.4")
    with caplog.at_level(logging.WARNING, "rtcrpc.transport"):
        await talk(WebRtcTransport(host_addresses=loopback_addresses))
        await talk(WebRtcTransport(host_addresses=loopback_addresses))
    [record] = [r for r in caplog.records if r.name == "rtcrpc.transport"]
    assert "aiortc 1.17.2" in record.getMessage()
    assert "aiortc==1.16.*" in record.getMessage()


@pytest.mark.usefixtures("unknown_version")
@pytest.mark.parametrize("layer", ["_ICE_NAMES", "_SCTP_NAMES"])
async def test_a_layer_whose_names_are_gone_runs_plain(
    layer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if layer == "_ICE_NAMES" and not get_host_addresses(use_ipv4=True, use_ipv6=True):
        pytest.skip("plain aioice has no candidates on a machine with loopback alone")
    monkeypatch.setattr(stack, layer, ("no_such_name",))
    with caplog.at_level(logging.WARNING, "rtcrpc.transport"):
        await talk(WebRtcTransport(host_addresses=loopback_addresses))
    assert any("no_such_name" in r.getMessage() for r in caplog.records if r.name == "rtcrpc.transport")


def test_the_packets_of_aiortc_are_well_formed() -> None:
    init = InitChunk()
    init.params.append((0xC000, b""))
    init.params.append((0x8008, b"\xc0\x82"))
    beat = HeartbeatChunk()
    beat.params.append((1, b"when"))
    for chunk in (init, beat):
        assert well_formed(serialize_packet(5000, 5000, 1, chunk))


@given(st.binary(max_size=64), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 9, 130, 192, 255]))
def test_whatever_is_well_formed_is_read_to_an_end(body: bytes, kind: int) -> None:
    """The property that matters: no packet that passes makes the reader of parameters go on for ever."""
    chunk = bytes([kind, 0]) + (len(body) + 4).to_bytes(2, "big") + body + bytes(-len(body) % 4)
    header = bytes(8)
    packet = header + crc32c(header + bytes(4) + chunk).to_bytes(4, "little") + chunk
    if well_formed(packet):
        # Chunks that are too short for their type raise; the association ends the connection for these.
        with contextlib.suppress(ValueError, struct.error):
            parse_packet(packet)


async def test_closing_while_gathering_leaves_no_socket() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for turns in range(6):
        ours, theirs = make_ends(*[WebRtcTransport(host_addresses=loopback_addresses)] * 2)
        offering = asyncio.create_task(ours.connection.create_offer())
        for _ in range(turns):
            await asyncio.sleep(0)
        await ours.connection.close(drain=None)
        await theirs.connection.close(drain=None)
        if isinstance((await asyncio.gather(offering, return_exceptions=True))[0], str):
            continue
        with pytest.raises(ConnectionLost):
            offering.result()
    # The sockets themselves are closed by callbacks of the next turn.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before
