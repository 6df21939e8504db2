"""A real bootstrap on a real port, and real clients: joining, signaling, losing it, and everything that it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import ssl
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from rtcrpc import limits
from rtcrpc.bootstrap import Bootstrap, BootstrapConfig, BootstrapServer, IceServerInfo
from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode
from rtcrpc.errors import SignalingError
from rtcrpc.signaling.backoff import Backoff
from rtcrpc.signaling.base import Joined, Member, Signal, Signaling, SignalingEvents
from rtcrpc.signaling.messages import SUBPROTOCOL, authority_of, room_of, sign_join
from rtcrpc.signaling.websocket import WebSocketSignaling

OFFER = {"kind": "offer", "sdp": "v=0\r\n"}


def attempt() -> str:
    return b64url_encode(secrets.token_bytes(16))


class Recorder:
    """Keeps what an adapter tells, and lets a test wait for more of it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()

    def _add(self, kind: str, value: Any) -> None:
        self.events.append((kind, value))
        self._changed.set()

    def joined(self, joined: Joined) -> None:
        self._add("joined", joined)

    def peer_joined(self, member: Member) -> None:
        self._add("peer_joined", member)

    def peer_left(self, peer_id: str) -> None:
        self._add("peer_left", peer_id)

    def signal_received(self, signal: Signal) -> None:
        self._add("signal", signal)

    def signal_forged(self, sender: str, attempt: str, kind: str) -> None:
        self._add("forged", (sender, attempt, kind))

    def signaling_state(self, state: str, reason: str) -> None:
        self._add("state", (state, reason))

    def of(self, kind: str) -> list[Any]:
        return [value for name, value in self.events if name == kind]

    async def until(self, kind: str, count: int = 1) -> list[Any]:
        """Wait for `count` events of a kind."""
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)

    async def until_state(self, wanted: str) -> str:
        """Wait for a state that came after the last look; its reason."""
        async with asyncio.timeout(10):
            while True:
                for index, (kind, value) in enumerate(self.events):
                    if kind == "state" and value[0] == wanted:
                        del self.events[: index + 1]
                        return str(value[1])
                self._changed.clear()
                await self._changed.wait()


class Guest:
    """A peer at a bootstrap."""

    def __init__(self, url: str, name: str, **options: Any) -> None:
        self.seen = Recorder()
        self.identity = options.pop("identity", None) or Identity.generate(secrets.token_bytes(32))
        options.setdefault("backoff", Backoff(lambda: 0.5, first=0.02, most=0.05, slow=0.1))
        self.signaling = WebSocketSignaling(url, self.identity, name, self.seen, **options)

    @property
    def peer_id(self) -> str:
        return str(self.identity.peer_id)

    def send(self, to: Guest, payload: dict[str, Any] = OFFER) -> str:
        name = attempt()
        self.signaling.send_signal(to.peer_id, name, payload)
        return name


@pytest.fixture
async def guests() -> AsyncIterator[Callable[..., Guest]]:
    async with AsyncExitStack() as stack:

        def make(url: str, name: str = "guest", **options: Any) -> Guest:
            guest = Guest(url, name, **options)
            stack.push_async_callback(guest.signaling.close)
            return guest

        yield make


@asynccontextmanager
async def bootstrap(port: int = 0, **config: Any) -> AsyncIterator[BootstrapServer]:
    async with Bootstrap(BootstrapConfig(**config)).serve(port=port) as server:
        yield server


@asynccontextmanager
async def raw(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A bare WebSocket that has read its challenge."""
    async with connect(url, subprotocols=[SUBPROTOCOL], proxy=None, **options) as websocket:
        websocket.challenge = json.loads(await websocket.recv())["params"]["nonce"]  # type: ignore[attr-defined]
        yield websocket


async def raw_join(websocket: ClientConnection, url: str, identity: Identity) -> Any:
    nonce = b64url_decode(websocket.challenge)  # type: ignore[attr-defined]
    proof = sign_join(identity, nonce, room_of(url), authority_of(url))
    params = {
        "versions": [1], "room": room_of(url), "peer": identity.peer_id, "name": "raw", "proof": b64url_encode(proof),
    }  # fmt: skip
    await websocket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "rpc.join", "params": params}))
    return json.loads(await websocket.recv())


async def close_code(websocket: ClientConnection) -> int | None:
    """Read to the end; the code of the close that came."""
    async with asyncio.timeout(10):
        async for _ in swallow_close(websocket):
            pass
    return websocket.close_code


async def swallow_close(websocket: ClientConnection) -> AsyncIterator[str | bytes]:
    with contextlib.suppress(ConnectionClosed):
        async for message in websocket:
            yield message


# -- the ordinary way ----------------------------------------------------------------------------------------


async def test_two_peers_join_signal_and_leave(guests: Callable[..., Guest]):
    ice = IceServerInfo(("stun:stun.example:3478",))
    async with bootstrap(ice_servers=(ice,), ice_ttl=77) as server:
        alice, bob = guests(server.room_url("lab"), "alice"), guests(server.room_url("lab"), "bob")
        assert await alice.signaling.join() == Joined((), (ice,), 77.0)
        assert (await bob.signaling.join()).members == (Member(alice.peer_id, "alice"),)
        assert await alice.seen.until("peer_joined") == [Member(bob.peer_id, "bob")]
        name = alice.send(bob)
        assert await bob.seen.until("signal") == [Signal(alice.peer_id, name, OFFER)]
        bob.signaling.send_signal(alice.peer_id, name, {"kind": "answer", "sdp": "v=0"})
        assert (await alice.seen.until("signal"))[0].payload["kind"] == "answer"
        await bob.signaling.close()
        assert await alice.seen.until("peer_left") == [bob.peer_id]
        assert [state for state, _ in bob.seen.of("state")] == ["connecting", "joined", "closed"]
        with pytest.raises(SignalingError, match="closed"):
            bob.send(alice)
        await bob.signaling.close()


async def test_an_adapter_is_a_signaling_and_joins_once(guests: Callable[..., Guest]):
    async with bootstrap() as server:
        guest = guests(server.room_url("lab"))
        adapter: Signaling = guest.signaling
        events: SignalingEvents = guest.seen
        assert events is not None
        await adapter.join()
        assert guest.signaling.state == "joined"
        with pytest.raises(SignalingError, match="one join"):
            await adapter.join()


@pytest.mark.parametrize("room", ["lab", "a/b", "ü x", "100%", "?q#f", "r" * limits.MAX_ROOM_LENGTH, "..."])
async def test_any_room_name_survives_the_url(guests: Callable[..., Guest], room: str):
    async with bootstrap() as server:
        guest = guests(server.room_url(room))
        await guest.signaling.join()
        assert [member.peer_id for member in server.app.state.rooms.members(room)] == [guest.peer_id]


async def test_rooms_are_apart(guests: Callable[..., Guest]):
    async with bootstrap() as server:
        alice, stranger = guests(server.room_url("a")), guests(server.room_url("b"))
        await alice.signaling.join()
        assert (await stranger.signaling.join()).members == ()
        stranger.send(alice)
        bob = guests(server.room_url("a"))
        await bob.signaling.join()
        name = bob.send(alice)
        assert [signal.attempt for signal in await alice.seen.until("signal")] == [name]


async def test_a_bootstrap_runs_on_uvloop():
    async def meet() -> list[Any]:
        async with bootstrap() as server:
            alice, bob = Guest(server.room_url("lab"), "alice"), Guest(server.room_url("lab"), "bob")
            await alice.signaling.join()
            await bob.signaling.join()
            bob.send(alice)
            signals = await alice.seen.until("signal")
            await bob.signaling.close()
            await alice.signaling.close()
            return signals

    assert len(await asyncio.to_thread(lambda: uvloop.run(meet()))) == 1


async def test_mounted_in_another_app(guests: Callable[..., Guest], tmp_path: Path):
    (tmp_path / "index.html").write_text("page")
    inner = Bootstrap(BootstrapConfig(page_dir=tmp_path))
    own = Route("/own", lambda request: PlainTextResponse("own"))
    inner.app = Starlette(routes=[own, Mount("/rtc", inner.app)])
    async with inner.serve() as server, httpx.AsyncClient(base_url=server.url, trust_env=False) as web:
        alice, bob = guests(f"{server.ws_url}/rtc/room/lab"), guests(f"{server.ws_url}/rtc/room/lab")
        await alice.signaling.join()
        await bob.signaling.join()
        bob.send(alice)
        await alice.seen.until("signal")
        assert (await web.get("/own")).text == "own"
        assert (await web.get("/rtc/")).text == "page"
        assert (await web.get("/rtc/healthz")).json()["status"] == "ok"
        with pytest.raises(SignalingError, match="HTTP 403"):
            await guests(server.room_url("lab")).signaling.join()


async def test_a_thousand_joins_take_a_few_milliseconds_each():
    async with bootstrap() as server:
        url = server.room_url("lab")
        times: list[float] = []
        for _ in range(1000):
            started = time.perf_counter()
            async with raw(url) as websocket:
                answer = await raw_join(websocket, url, Identity.generate(secrets.token_bytes(32)))
                times.append(time.perf_counter() - started)
            assert "result" in answer
        assert statistics.median(times) < 0.1  # 3 ms on an idle machine
    assert server.app.state.rooms.room_count == 0


# -- losing it -----------------------------------------------------------------------------------------------


async def test_after_a_restart_all_come_back_and_hear_what_changed(guests: Callable[..., Guest]):
    async with bootstrap() as server:
        url, port = server.room_url("lab"), server.port
        alice, bob, carol = (guests(url, name, absence=1.0) for name in ("alice", "bob", "carol"))
        for guest in (alice, bob, carol):
            await guest.signaling.join()
        await alice.seen.until("peer_joined", 2)
    assert "lost" in await alice.seen.until_state("reconnecting")
    await carol.signaling.close()
    name = alice.send(bob)  # kept until both are back
    dave = guests(url, "dave", persistent=True)
    joining = asyncio.create_task(dave.signaling.join())
    async with bootstrap(port):
        await joining
        await alice.seen.until_state("joined")
        assert await alice.seen.until("peer_joined") == [Member(dave.peer_id, "dave")]
        assert [signal.attempt for signal in await bob.seen.until("signal")] == [name]
        for guest in (alice, bob):
            assert await guest.seen.until("peer_left") == [carol.peer_id]
        assert set(alice.signaling.session.members) == {Member(bob.peer_id, "bob"), Member(dave.peer_id, "dave")}


async def test_the_same_key_twice_leaves_the_earlier_one_closed_for_good(guests: Callable[..., Guest]):
    async with bootstrap() as server:
        url = server.room_url("lab")
        first = guests(url, "first")
        watcher = guests(url, "watcher")
        await watcher.signaling.join()
        await first.signaling.join()
        second = guests(url, "second", identity=first.identity)
        await second.signaling.join()
        reason = await first.seen.until_state("closed")
        assert "same key" in reason
        assert "identity" in reason
        assert first.signaling.state == "closed"
        assert [member.name for member in await watcher.seen.until("peer_joined", 2)] == ["first", "second"]
        assert watcher.seen.of("peer_left") == []


async def test_a_bootstrap_that_starts_to_refuse_is_asked_again_slowly(guests: Callable[..., Guest]):
    async with bootstrap() as server:
        guest = guests(server.room_url("lab"))
        await guest.signaling.join()
        port = server.port
    async with bootstrap(port, token="sesame"):
        async with asyncio.timeout(10):
            while "token" not in await guest.seen.until_state("reconnecting"):
                pass
    async with bootstrap(port):
        await guest.seen.until_state("joined")


async def test_the_end_does_not_hang_on_open_sockets_or_readers_that_do_not_read(guests: Callable[..., Guest]):
    started = time.perf_counter()
    async with AsyncExitStack() as stack:
        async with bootstrap() as server:
            for n in range(20):
                await guests(server.room_url(f"room {n}")).signaling.join()
            await stack.enter_async_context(raw(server.room_url("silent")))
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)  # has not even sent a request
            stack.callback(writer.close)
            closing = time.perf_counter()
        assert time.perf_counter() - closing < limits.DRAIN_SECONDS
    assert time.perf_counter() - started < 20


async def test_cancelling_a_join_leaves_nothing_behind():
    async with bootstrap() as server:
        guest = Guest(server.room_url("lab"), "x")
        joining = asyncio.create_task(guest.signaling.join())
        await asyncio.sleep(0)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert guest.signaling.state == "closed"
        assert not [task for task in asyncio.all_tasks() if "signaling" in task.get_name()]


async def test_closing_ends_a_join_that_has_hardly_begun():
    async with bootstrap() as server:
        guest = Guest(server.room_url("lab"), "x")
        joining = asyncio.create_task(guest.signaling.join())
        await asyncio.sleep(0)
        await guest.signaling.close()
        async with asyncio.timeout(5):
            with pytest.raises(SignalingError, match="closed on this side"):
                await joining


# -- refusals of the first join: each says what to do --------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """What web servers that are no bootstrap say to a WebSocket, by path."""
    status = request.path.split("/")[1]
    if status == "echo":
        return None
    response = connection.respond(HTTPStatus(int(status)), "a \x1b[2J page")
    if status == "302":
        response.headers["Location"] = "ws://evil.example/room/lab"
    return response


async def test_nobody_there_says_so(guests: Callable[..., Guest]):
    port = free_port()
    with pytest.raises(SignalingError, match=f"127.0.0.1:{port}.*is it running"):
        await guests(f"ws://127.0.0.1:{port}/room/lab").signaling.join()


async def test_a_wrong_token_is_named(guests: Callable[..., Guest]):
    async with bootstrap(token="sesame") as server:
        for token in (None, "wrong"):
            guest = guests(server.room_url("lab"), token=token)
            with pytest.raises(SignalingError, match="token of this bootstrap"):
                await guest.signaling.join()
            assert guest.signaling.state == "closed"
        await guests(server.room_url("lab"), token="sesame").signaling.join()


async def test_a_full_room_is_named(guests: Callable[..., Guest]):
    async with bootstrap(max_peers_per_room=1) as server:
        await guests(server.room_url("lab")).signaling.join()
        with pytest.raises(SignalingError, match="the room is full"):
            await guests(server.room_url("lab")).signaling.join()


async def test_too_many_connections_are_named(guests: Callable[..., Guest]):
    async with bootstrap(max_connections_per_address=1) as server:
        first = guests(server.room_url("a"))
        await first.signaling.join()
        with pytest.raises(SignalingError, match=r"429.*1 connections of your address"):
            await guests(server.room_url("b")).signaling.join()
        await first.signaling.close()
        async with asyncio.timeout(5):
            while True:
                try:
                    await guests(server.room_url("b")).signaling.join()
                    break
                except SignalingError:
                    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("302", "points to 'ws://evil.example/room/lab': use the address of the bootstrap itself"),
        ("401", "credentials"),
        ("403", r"\(a \[2J page\): is the path in the URL right"),
        ("404", "is the path in the URL right"),
        ("418", "expected an rtcrpc bootstrap there"),
        ("421", "must list the host"),
        ("429", "later"),
        ("503", "HTTP 503"),
        ("echo", "speaks no rtcrpc.signal.1"),
    ],
)
async def test_what_is_no_bootstrap_is_named(guests: Callable[..., Guest], path: str, said: str):
    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve_websocket(wait, "127.0.0.1", 0, process_request=answer) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SignalingError, match=said):
            await guests(f"ws://127.0.0.1:{port}/{path}/room/lab").signaling.join()


@pytest.mark.parametrize("url", ["http://localhost/room/lab", "ws://localhost/lab", "ws://localhost/room/.."])
def test_a_url_that_is_no_room_is_refused_at_once(url: str):
    with pytest.raises(SignalingError, match="expected"):
        Guest(url, "x")


async def test_an_unknown_host_says_so(guests: Callable[..., Guest]):
    with pytest.raises(SignalingError, match="can't reach"):
        await guests("ws://does-not-exist.invalid/room/lab").signaling.join()


# -- hostile clients -----------------------------------------------------------------------------------------


async def test_a_slow_joiner_is_cut_at_its_deadline():
    async with bootstrap(join_seconds=0.2) as server, raw(server.room_url("lab")) as websocket:
        started = time.perf_counter()
        assert await close_code(websocket) == 4408
        assert 0.1 < time.perf_counter() - started < 5


async def test_a_connection_that_sends_no_request_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 0.2)
    async with bootstrap() as server:
        url = server.room_url("lab")
        async with raw(url) as patient:
            assert "result" in await raw_join(patient, url, Identity.generate(bytes([1] * 32)))
            for sent in (b"", b"GET /room/lab HTTP/1.1\r\nHost: localhost\r\nX-Slow: "):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(sent)
                async with asyncio.timeout(5):
                    assert await reader.read() == b""
                writer.close()
            # Both took longer than the patience; a socket that was upgraded is not concerned.
            await patient.send('{"jsonrpc":"2.0","method":"rpc.ping","params":{"n":1}}')
            assert json.loads(await patient.recv())["method"] == "rpc.pong"


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("a" * (limits.SIGNALING_MESSAGE + 1), 1009),
        (b"binary", 1003),
        ("garbage", 4400),
        ("[" * 60_000, 4400),
        ('{"jsonrpc":"2.0","id":1,"method":"rpc.peers"}', 4401),
    ],
)
async def test_garbage_ends_at_most_its_own_socket(
    guests: Callable[..., Guest], joined: bool, message: str | bytes, code: int
):
    async with bootstrap() as server:
        url = server.room_url("lab")
        witness = guests(url, "witness")
        await witness.signaling.join()
        async with raw(url) as websocket:
            if joined:
                await raw_join(websocket, url, Identity.generate(bytes([1] * 32)))
            await websocket.send(message)
            if joined and code in (4400, 4401):
                answer = json.loads(await websocket.recv())
                assert "error" in answer or "result" in answer
                await websocket.send('{"jsonrpc":"2.0","method":"rpc.ping","params":{"n":1}}')
                assert json.loads(await websocket.recv())["method"] == "rpc.pong"
            else:
                assert await close_code(websocket) == code
        await guests(url, "next").signaling.join()
        await witness.seen.until("peer_joined", 2 if joined else 1)
        assert witness.signaling.state == "joined"


async def test_one_that_floods_is_read_slowly_and_loses_nothing():
    async with bootstrap(message_rate=200.0, message_burst=10) as server:
        url = server.room_url("lab")
        async with raw(url) as websocket:
            await raw_join(websocket, url, Identity.generate(bytes([1] * 32)))
            started = time.perf_counter()
            for n in range(50):
                await websocket.send(json.dumps({"jsonrpc": "2.0", "method": "rpc.ping", "params": {"n": n}}))
            pongs = [json.loads(await websocket.recv())["params"]["n"] for _ in range(50)]
            assert pongs == list(range(50))
            assert time.perf_counter() - started > 0.15


async def test_one_that_does_not_read_is_dropped_and_the_others_go_on(guests: Callable[..., Guest]):
    async with bootstrap(message_rate=1e6, message_burst=1e6) as server:
        url = server.room_url("lab")
        speaker = guests(url, "speaker")
        await speaker.signaling.join()
        deaf_identity = Identity.generate(bytes([1] * 32))
        async with raw(url, max_queue=1) as deaf:
            await raw_join(deaf, url, deaf_identity)
            deaf.transport.pause_reading()
            await speaker.seen.until("peer_joined")
            filler = {"kind": "offer", "sdp": "s" * limits.MAX_SDP, "pad": "p" * 40_000}
            async with asyncio.timeout(15):
                while not speaker.seen.of("peer_left"):
                    try:
                        speaker.signaling.send_signal(deaf_identity.peer_id, attempt(), filler)
                    except SignalingError:  # more than the socket takes at once
                        await asyncio.sleep(0)
                    await asyncio.sleep(0)
            assert speaker.seen.of("peer_left") == [deaf_identity.peer_id]
            other = guests(url, "other")
            await other.signaling.join()
            deaf.transport.abort()


@pytest.mark.parametrize("trusted", [(), ("127.0.0.1",)])
async def test_the_address_of_a_client_is_a_proxys_word_only_where_it_is_trusted(trusted: tuple[str, ...]):
    async with bootstrap(trusted_proxies=trusted, max_connections_per_address=1) as server, AsyncExitStack() as stack:
        opened = 0
        for address in ("192.0.2.1", "192.0.2.2"):
            with contextlib.suppress(InvalidStatus):
                headers = {"X-Forwarded-For": address}
                await stack.enter_async_context(raw(server.room_url("lab"), additional_headers=headers))
                opened += 1
        assert opened == (2 if trusted else 1)


@pytest.mark.parametrize("subprotocols", [None, ["chat"], ["rtcrpc.signal.2"]])
async def test_the_subprotocol_is_asked_for(subprotocols: Any):
    async with bootstrap() as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(server.room_url("lab"), subprotocols=subprotocols, proxy=None)
        assert caught.value.response.status_code == 400
        assert b"rtcrpc.signal.1" in (caught.value.response.body or b"")


@pytest.mark.parametrize("room", ["%2e%2e", "a%00b", "", "r" * (limits.MAX_ROOM_LENGTH + 1), "%1b%5b2J"])
async def test_a_path_that_names_no_room_is_not_found(room: str):
    async with bootstrap() as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{server.ws_url}/room/{room}", subprotocols=[SUBPROTOCOL], proxy=None)
        assert caught.value.response.status_code in (403, 404)


# -- where it listens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_other_machines_are_served_only_by_a_listed_name(host: str):
    with pytest.raises(ValueError, match="--allow-host"):
        async with Bootstrap().serve(host):
            pass


async def test_a_listed_name_is_served_and_shown(guests: Callable[..., Guest]):
    async with Bootstrap(BootstrapConfig(hosts=("lab.example",))).serve("0.0.0.0") as server:
        assert server.url == f"http://lab.example:{server.port}"
        assert server.room_url("x") == f"ws://lab.example:{server.port}/room/x"
        await guests(f"ws://127.0.0.1:{server.port}/room/lab").signaling.join()


async def test_a_public_url_is_what_people_see():
    async with Bootstrap(BootstrapConfig(public_url="https://example.org/rtc/")).serve() as server:
        assert (server.url, server.room_url("x")) == ("https://example.org/rtc", "wss://example.org/rtc/room/x")


async def test_a_port_in_use_says_so():
    async with bootstrap() as server:
        with pytest.raises(OSError, match=f"can't listen on 127.0.0.1 port {server.port}.*another port"):
            async with bootstrap(server.port):
                pass


async def test_ipv6_loopback(guests: Callable[..., Guest]):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with Bootstrap().serve("::1") as server:
        assert server.url.startswith("http://[::1]:")
        await guests(server.room_url("lab")).signaling.join()


async def test_over_tls(guests: Callable[..., Guest], tmp_path: Path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    certfile.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    keyfile.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    async with Bootstrap().serve("localhost", certfile=certfile, keyfile=keyfile) as server:
        assert server.url == f"https://localhost:{server.port}"
        trust = ssl.create_default_context(cafile=str(certfile))
        await guests(server.room_url("lab"), ssl=trust).signaling.join()
        with pytest.raises(SignalingError, match=r"is not trusted here: self.signed certificate; .* SSL_CERT_FILE"):
            await guests(server.room_url("lab")).signaling.join()
    with pytest.raises(ValueError, match="certfile: expected a PEM certificate"):
        async with Bootstrap().serve("localhost", certfile=keyfile, keyfile=keyfile):
            pass
