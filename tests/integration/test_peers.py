"""Two Python peers as users have them: real aiortc, a real bootstrap, the network thread; and one that holds none of our code."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtcrpc import Context, Error, OpenPolicy, Peer, Registry, Room, RoomEvent
from rtcrpc.bootstrap import Bootstrap, BootstrapServer
from rtcrpc.core.identity import Identity
from rtcrpc.core.session import SessionConfig
from rtcrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    IdentityMismatch,
    RemoteApplicationError,
    RemoteInternalError,
    RemoteInvalidParams,
    RemoteMethodNotFound,
    RemotePermissionDenied,
    RemoteUnauthenticated,
    RtcRpcError,
    Unavailable,
)
from rtcrpc.link import Link, LinkSettings, OutgoingCall
from rtcrpc.runtime import Mailbox, Runtime
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import Decision
from rtcrpc.transport.base import Candidate
from rtcrpc.transport.webrtc import WebRtcTransport, loopback_addresses

BOUND = 15.0
VECTORS = Path(__file__).parents[2] / "schemas" / "vectors" / "jsonrpc.json"


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("test-network") as made:
        yield made


@pytest.fixture
async def bootstrap() -> AsyncIterator[BootstrapServer]:
    async with Bootstrap().serve() as server:
        yield server


Join = Callable[..., Any]


@pytest.fixture
async def join(bootstrap: BootstrapServer, runtime: Runtime) -> AsyncIterator[Join]:
    """`await join("name", registry)` gives a room; all rooms are closed at the end."""
    async with AsyncExitStack() as stack, asyncio.timeout(BOUND):

        async def enter(name: str, registry: Registry | None = None, *, pin: Any = None, **options: Any) -> Room:
            options.setdefault("policy", OpenPolicy())
            transport = WebRtcTransport(host_addresses=loopback_addresses)
            peer = Peer(name=name, registry=registry, transport=transport, runtime=runtime, **options)
            room: Room = await stack.enter_async_context(peer.join(bootstrap.room_url("lab"), pin=pin))
            return room

        yield enter


async def until(condition: Callable[[], bool], room: Room) -> None:
    """Wait for something that an event of the room brings."""
    async for _ in _first_now(room):
        if condition():
            return


async def _first_now(room: Room) -> AsyncIterator[None]:
    events = room.events()
    yield None
    async for _ in events:
        yield None


def arithmetic() -> Registry:
    registry = Registry()

    @registry.expose
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    return registry


# -- calls -------------------------------------------------------------------------------------------------


async def test_both_ways(join: Join) -> None:
    a, b = await join("a", arithmetic()), await join("b", arithmetic())
    to_b, to_a = await asyncio.gather(a.peer("b"), b.peer("a"))
    assert await asyncio.gather(to_b.call.add(1, 2), to_a.call.add(a=3, b=4)) == [3, 7]
    assert (to_b.peer_id, to_a.peer_id) == (b.peer_id, a.peer_id)
    path = await to_b.path()
    assert path is not None
    assert not path.relayed
    document = await to_b.discover()
    assert [method["name"] for method in document["methods"]] == ["add"]
    assert document["methods"][0]["summary"] == "Add two numbers."
    with pytest.raises(RemoteMethodNotFound):
        await to_b.call.subtract(1, 2)


async def test_wrong_arguments_do_not_run_the_function(join: Join) -> None:
    ran = []
    registry = Registry()

    @registry.expose
    async def move(x: float, names: list[str]) -> None:
        ran.append((x, names))

    await join("robot", registry)
    robot = await (await join("user")).peer("robot")
    for params, where in (
        (("1", []), ["x"]),
        ((1.0, ["a", 2]), ["names", 1]),
        ((1.0,), ["names"]),
        ((1.0, [], 3), None),
    ):
        with pytest.raises(RemoteInvalidParams) as caught:
            await robot.call.move(*params)
        assert caught.value.ran is False
        if where is not None:
            assert caught.value.issues[0]["path"] == where
        assert {"expected", "got"} <= caught.value.issues[0].keys()
    assert ran == []


async def test_errors_travel_as_they_were_meant(join: Join) -> None:
    registry = Registry()

    class OutOfPaper(Error):
        pass

    @registry.expose
    async def crash() -> None:
        raise RuntimeError("the password is hunter2")

    @registry.expose
    def print_page() -> None:
        raise OutOfPaper("load the tray", detail={"tray": 2})

    await join("robot", registry)
    robot = await (await join("user")).peer("robot")
    with pytest.raises(RemoteInternalError) as redacted:
        await robot.call.crash()
    assert redacted.value.message == "internal error"
    assert "hunter2" not in repr(vars(redacted.value))
    with pytest.raises(RemoteApplicationError, match="load the tray") as told:
        await robot.call.print_page()
    assert (told.value.type, told.value.detail) == ("OutOfPaper", {"tray": 2})


class Slow:
    """A function that waits, and says how it ended."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.how = ""
        self.registry = Registry()

        @self.registry.expose
        async def slow(context: Context) -> None:
            self.started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.how = f"cancelled, {context.remaining()}"
                raise
            finally:
                self.ended.set()


async def test_a_timeout_ends_the_call_on_both_sides(join: Join) -> None:
    slow = Slow()
    await join("robot", slow.registry)
    robot = await (await join("user")).peer("robot")
    began = time.perf_counter()
    with pytest.raises(TimeoutError) as caught:
        await robot.call.with_(timeout=0.5).slow()
    assert isinstance(caught.value, RtcRpcError)
    assert 0.4 < time.perf_counter() - began < 2.0
    await slow.ended.wait()
    assert slow.how == "cancelled, 0.0"


async def test_a_cancellation_reaches_the_function(join: Join) -> None:
    slow = Slow()
    await join("robot", slow.registry)
    robot = await (await join("user")).peer("robot")
    call = asyncio.ensure_future(robot.call.slow())
    await slow.started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await slow.ended.wait()
    assert slow.how == "cancelled, None"


async def test_200_calls_at_once(join: Join) -> None:
    await join("robot", arithmetic())
    robot = await (await join("user")).peer("robot")
    answers = await asyncio.gather(*(robot.call.add(n, n) for n in range(200)))
    assert answers == [2 * n for n in range(200)]


async def test_more_calls_than_may_be_open_wait_their_turn(join: Join) -> None:
    await join("robot", arithmetic())
    robot = await (await join("user")).peer("robot")
    answers = await asyncio.gather(*(robot.call.add(n, 0) for n in range(1000)))
    assert answers == list(range(1000))


async def test_three_megabytes_each_way_and_a_small_call_beside_them(join: Join) -> None:
    registry = arithmetic()

    @registry.expose
    def mirror(data: bytes) -> bytes:
        return data[::-1]

    await join("robot", registry)
    robot = await (await join("user")).peer("robot")
    data = bytes(range(250)) * 12_000
    big = asyncio.ensure_future(robot.call.mirror(data))
    small = 0
    while not big.done():
        assert await robot.call.add(small, 1) == small + 1
        small += 1
    assert big.result() == data[::-1]
    assert small > 3


async def test_calls_from_another_thread_and_loop(join: Join) -> None:
    await join("robot", arithmetic())
    robot = await (await join("user")).peer("robot")
    results: list[int] = []

    def elsewhere() -> None:
        async def call() -> None:
            results.extend(await asyncio.gather(*(robot.call.add(n, 1) for n in range(20))))

        asyncio.run(call())

    for _ in range(3):
        await asyncio.to_thread(elsewhere)
    assert results == [n + 1 for n in range(20)] * 3


async def test_notifications(join: Join) -> None:
    heard: list[str] = []
    came = asyncio.Event()
    registry = Registry()

    @registry.expose
    async def hear(text: str) -> None:
        heard.append(text)
        came.set()

    await join("robot", registry)
    robot = await (await join("user")).peer("robot")
    await robot.notify.hear("one")
    await came.wait()
    assert heard == ["one"]


async def test_a_policy_decides_for_each_method(join: Join) -> None:
    class Careful(OpenPolicy):
        def decide(self, caller: Any, method: str) -> Decision:
            return Decision(method == "add", reason="only add")

    registry = arithmetic()
    registry.expose(lambda: None, name="reboot")
    await join("robot", registry, policy=Careful())
    robot = await (await join("user")).peer("robot")
    assert await robot.call.add(1, 2) == 3
    with pytest.raises(RemotePermissionDenied, match="only add"):
        await robot.call.reboot()


async def test_who_was_not_pinned_is_not_served(join: Join) -> None:
    """The policy of a peer that was told nothing else."""
    user_key = Identity.generate(b"u" * 32)
    await join("robot", arithmetic(), policy=None, pin=user_key.peer_id)
    friend = await join("friend", identity=user_key)
    stranger = await join("stranger")
    assert await (await friend.peer("robot")).call.add(1, 2) == 3
    with pytest.raises(RemoteUnauthenticated):
        await (await stranger.peer("robot")).call.add(1, 2)


# -- who is there ------------------------------------------------------------------------------------------


async def test_nobody_there(join: Join) -> None:
    user = await join("user")
    with pytest.raises(Unavailable, match=r"'robot'.*nobody else"):
        await user.peer("robot", timeout=0.3)
    await join("somebody")
    with pytest.raises(Unavailable, match="there: 'somebody'"):
        await user.peer("robot", timeout=0.3)


async def test_a_wrong_pin(join: Join) -> None:
    ran = []
    registry = Registry()
    registry.expose(lambda: ran.append(1), name="go")
    robot = await join("robot", registry)
    expected = Identity.generate(b"x" * 32).peer_id
    user = await join("user", pin=expected)
    with pytest.raises(IdentityMismatch) as caught:
        await user.peer("robot")
    assert expected in str(caught.value)
    assert robot.peer_id in str(caught.value)
    assert ran == []


async def test_events(join: Join) -> None:
    user = await join("user")
    told: list[tuple[str, str]] = []
    last = asyncio.Event()

    def tell(event: RoomEvent) -> None:
        assert event.peer is not None
        assert threading.current_thread() is threading.main_thread()
        told.append((event.kind, event.peer.name))
        if event.kind == "disconnected":
            last.set()

    async def tell_later(event: RoomEvent) -> None:
        await asyncio.sleep(0)
        tell(event)

    for kind in ("joined", "connecting", "connected"):
        user.on(kind, tell)
    user.on("disconnected", tell_later)
    robot = await join("robot")
    await robot.peer("user")
    await until(lambda: user.peers != (), user)
    await robot.close()
    await last.wait()
    assert told == [("joined", "robot"), ("connecting", "robot"), ("connected", "robot"), ("disconnected", "robot")]


# -- endings -----------------------------------------------------------------------------------------------


async def test_close_drains(join: Join) -> None:
    gate, started = asyncio.Event(), asyncio.Event()
    registry = Registry()

    @registry.expose
    async def slow(n: int) -> bytes:
        started.set()
        await gate.wait()
        return bytes(n)

    robot = await join("robot", registry)
    user = await join("user")
    remote = await user.peer("robot")
    calls = [asyncio.ensure_future(remote.call.slow(n)) for n in (0, 10, 100_000, 1_000_000)]
    await started.wait()
    closing = asyncio.ensure_future(robot.close())
    gate.set()
    assert [len(answer) for answer in await asyncio.gather(*calls)] == [0, 10, 100_000, 1_000_000]
    await closing
    with pytest.raises(ConnectionLost, match="closed"):
        await robot.peer("user")


async def test_an_open_call_ends_when_the_other_leaves(join: Join) -> None:
    slow = Slow()
    robot = await join("robot", slow.registry)
    remote = await (await join("user")).peer("robot")
    call = asyncio.ensure_future(remote.call.slow())
    await slow.started.wait()
    driver = robot._driver
    assert driver is not None
    robot._runtime.call_soon(lambda: [link.close(0, "off it goes") for link in tuple(driver._links)])
    with pytest.raises(ConnectionLost, match="off it goes") as caught:
        await call
    assert caught.value.ran is None
    await slow.ended.wait()


async def test_the_bootstrap_is_killed_and_comes_back(runtime: Runtime) -> None:
    transport = WebRtcTransport(host_addresses=loopback_addresses)
    options: dict[str, Any] = {"transport": transport, "runtime": runtime, "policy": OpenPolicy()}
    async with AsyncExitStack() as stack, asyncio.timeout(BOUND):
        first = Bootstrap().serve()
        server = await first.__aenter__()
        url = server.room_url("lab")
        robot = await stack.enter_async_context(Peer(name="robot", registry=arithmetic(), **options).join(url))
        user = await stack.enter_async_context(Peer(name="user", **options).join(url))
        remote = await user.peer("robot")
        changes: list[RoomEvent] = []
        user.on("disconnected", changes.append)
        user.on("left", changes.append)
        await first.__aexit__(None, None, None)
        await until(lambda: user.signaling_state == "reconnecting", user)
        for n in range(100):
            assert await remote.call.add(n, 1) == n + 1
        async with Bootstrap().serve(port=server.port):
            await until(lambda: user.signaling_state == "joined", user)
            await until(lambda: robot.signaling_state == "joined", robot)
            async with Peer(name="late", **options).join(url) as late:
                assert await (await late.peer("robot")).call.add(1, 2) == 3
            assert await remote.call.add(1, 2) == 3
            assert changes == [] or {event.peer.name for event in changes if event.peer} == {"late"}


# -- a peer that holds none of our code --------------------------------------------------------------------


class Owner:
    """Where a link tells what happens; its candidates are in its description."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.error: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def link_ready(self, link: Link) -> None:
        self.ready.set()

    def link_closed(self, link: Link, error: Exception) -> None:
        self.error.set_result(error)

    def link_gone(self, link: Link) -> None:
        """The test waits for `link.closed`."""

    def local_candidate(self, link: Link, candidate: Candidate) -> None:
        """None is needed on one machine."""


class PlainClient:
    """JSON-RPC over a DataChannel in thirty lines of plain aiortc (level 0)."""

    def __init__(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.pc.createDataChannel("rtcrpc", negotiated=True, id=0, protocol="rtcrpc.1")
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.channel.on("open", self.opened.set)
        self.channel.on("message", self._take)

    def _take(self, text: str) -> None:
        message = json.loads(text)
        if not isinstance(message, dict) or not str(message.get("method", "")).startswith("rpc."):
            self.inbox.put_nowait(message)

    async def dial(self, link: Link) -> None:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await link.connection.accept_offer(self.pc.localDescription.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await self.opened.wait()

    async def call(self, method: str, *params: Any) -> Any:
        self.channel.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        return await self.inbox.get()


def examples() -> tuple[Registry, list[tuple[str, Any]]]:
    """What the examples of the JSON-RPC specification call, and what was notified."""
    registry, notified = Registry(), []

    @registry.expose
    async def subtract(minuend: int, subtrahend: int) -> int:
        return minuend - subtrahend

    @registry.expose(name="sum")
    async def total(*numbers: int) -> int:
        return sum(numbers)

    @registry.expose
    async def get_data() -> list[Any]:
        return ["hello", 5]

    @registry.expose
    async def update(*numbers: int) -> None:
        notified.append(("update", numbers))

    @registry.expose
    async def notify_hello(number: int) -> None:
        notified.append(("notify_hello", number))

    @registry.expose
    async def notify_sum(*numbers: int) -> None:
        notified.append(("notify_sum", numbers))

    return registry, notified


class Level0:
    """A link of ours and a plain client at its other end, both on the loop of the test."""

    def __init__(self, registry: Registry, *, anonymous: bool = True) -> None:
        self.owner = Owner()
        loop = asyncio.get_running_loop()
        self.service = Dispatcher(registry, OpenPolicy(anonymous=anonymous), runtime=_ThisLoop(loop), user_loop=loop)
        settings = LinkSettings(
            Identity.generate(b"s" * 32), "server", "lab", None, session=SessionConfig(allow_anonymous=True)
        )
        # Plain aiortc does not listen on loopback addresses, so the link uses those of the machine too.
        self.link = Link(settings, WebRtcTransport(), (), self.owner, self.service)
        self.client = PlainClient()

    async def __aenter__(self) -> Level0:
        await self.client.dial(self.link)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.link.close()
        await self.link.closed.wait()
        await self.client.pc.close()
        await self.service.close()


class _ThisLoop:
    """A network thread that is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._mailbox = Mailbox(loop)

    def mailbox(self, loop: asyncio.AbstractEventLoop | None = None) -> Any:
        return self._mailbox


async def test_a_plain_client_is_served() -> None:
    async with asyncio.timeout(BOUND), Level0(examples()[0]) as both:
        assert await both.client.call("subtract", 42, 23) == {"jsonrpc": "2.0", "id": 1, "result": 19}
        assert (await both.client.call("subtract", "x", 23))["error"]["code"] == -32602
        assert both.link.caller is not None
        assert both.link.caller.peer_id is None


async def test_a_plain_client_is_refused_where_the_policy_wants_a_key() -> None:
    async with asyncio.timeout(BOUND), Level0(examples()[0], anonymous=False) as both:
        answer = await both.client.call("subtract", 42, 23)
        assert (answer["error"]["code"], answer["error"]["data"]) == (-32003, {"ran": False})


def comparable(answer: Any) -> Any:
    """Without what the specification leaves open: texts and data of errors, and the order in a batch."""
    if isinstance(answer, list):
        return sorted((comparable(item) for item in answer), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(answer, dict) and "error" in answer:
        return {**answer, "error": {"code": answer["error"]["code"]}}
    return answer


async def test_the_examples_of_the_specification_as_server() -> None:
    exchanges = json.loads(VECTORS.read_text())["exchanges"]
    registry, notified = examples()
    async with asyncio.timeout(BOUND), Level0(registry) as both:
        for exchange in exchanges:
            both.client.channel.send(exchange["request"])
            if exchange["response"] is not None:
                answer = await both.client.inbox.get()
                assert comparable(answer) == comparable(exchange["response"]), exchange["name"]
        # Whatever had answered out of turn would have come before this.
        assert (await both.client.call("subtract", 2, 1))["result"] == 1
        assert both.client.inbox.empty()
    assert ("update", (1, 2, 3, 4, 5)) in notified
    assert ("notify_hello", 7) in notified
    assert ("notify_sum", (1, 2, 4)) in notified


async def test_the_examples_of_the_specification_as_client() -> None:
    """The same messages, asked by us and answered by the plain side word for word."""
    exchanges = json.loads(VECTORS.read_text())["exchanges"]
    async with asyncio.timeout(BOUND), Level0(examples()[0]) as both:
        await both.client.call("get_data")  # a level 0 peer speaks first
        asked = 0
        for exchange in exchanges:
            try:
                request = json.loads(exchange["request"])
            except ValueError:
                continue
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                continue
            params = request.get("params", [])
            if "id" not in request:
                both.link.send_notification(request["method"], params)
                told = await both.client.inbox.get()
                assert (told["method"], told.get("params", []), "id" in told) == (request["method"], params, False)
                continue
            answered: asyncio.Future[tuple[Any, Exception | None]] = asyncio.get_running_loop().create_future()
            both.link.start_call(
                OutgoingCall(request["method"], params, None, lambda *answer, to=answered: to.set_result(answer))
            )
            told = await both.client.inbox.get()
            assert (told["jsonrpc"], told["method"], told.get("params", [])) == ("2.0", request["method"], params)
            answer = {**exchange["response"], "id": told["id"]}
            if "error" in answer:
                answer["error"] = {**answer["error"], "message": "as the plain side has it"}
            both.client.channel.send(json.dumps(answer))
            result, error = await answered
            if "error" in answer:
                assert isinstance(error, RtcRpcError)
                assert error.code == answer["error"]["code"]
            else:
                assert (result, error) == (answer["result"], None)
            asked += 1
        assert asked >= 5
        # An answer to a call that nobody made, and one that comes twice, harm nothing.
        both.client.channel.send('{"jsonrpc": "2.0", "id": 4711, "result": 1}')
        assert (await both.client.call("subtract", 2, 1))["result"] == 1


async def test_a_deadline_at_a_plain_client_is_ours_to_keep() -> None:
    async with asyncio.timeout(BOUND), Level0(examples()[0]) as both:
        await both.client.call("get_data")
        answered: asyncio.Future[tuple[Any, Exception | None]] = asyncio.get_running_loop().create_future()
        both.link.start_call(OutgoingCall("never", [], 0.3, lambda *answer: answered.set_result(answer)))
        _, error = await answered
        assert isinstance(error, DeadlineExceeded)
