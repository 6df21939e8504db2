"""rtcrpc.link: one session on one connection, over a network in memory and on a virtual clock."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.hub import LoopRuntime
from support.sessions import identity

from rtcrpc import InvitePolicy, OpenPolicy, Registry, codes, limits
from rtcrpc.core.identity import Identity
from rtcrpc.core.session import SessionConfig
from rtcrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    EncodeError,
    HandshakeError,
    IdentityMismatch,
    RemoteInternalError,
    RemoteTooLarge,
    RemoteUnauthenticated,
    RemoteUnavailable,
    RtcRpcError,
    TooLarge,
)
from rtcrpc.link import Link, LinkSettings, LinkStage, OutgoingCall
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import Policy
from rtcrpc.transport.base import Candidate
from rtcrpc.transport.memory import MemoryNetwork
from rtcrpc.transport.recorder import EventRecorder
from rtcrpc.transport.virtual_clock import run

A_KEY, B_KEY = sorted((identity(1), identity(2)), key=lambda key: key.peer_id)


def simulated(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def on_a_virtual_clock(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs), limit=600.0)

    return on_a_virtual_clock


class Answers:
    """An `on_answer` for each call: each may be told once."""

    def __init__(self) -> None:
        self.outcomes: dict[Any, Any] = {}
        self._changed = asyncio.Event()

    def of(self, key: Any) -> Callable[[Any, Exception | None], None]:
        def on_answer(result: Any, error: Exception | None) -> None:
            assert key not in self.outcomes, f"{key!r} was told twice"
            self.outcomes[key] = result if error is None else error
            self._changed.set()

        return on_answer

    async def until(self, count: int) -> dict[Any, Any]:
        while len(self.outcomes) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.outcomes


@dataclass
class Owner:
    """The `LinkEvents` of one end, and what it serves."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[Exception] = field(default_factory=list)
    gone: int = 0
    seen: list[Any] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def link_ready(self, link: Link) -> None:
        assert not self.ready.is_set()
        self.ready.set()

    def link_closed(self, link: Link, error: Exception) -> None:
        self.errors.append(error)
        self.ended.set()

    def link_gone(self, link: Link) -> None:
        assert link.closed.is_set()
        self.gone += 1

    def local_candidate(self, link: Link, candidate: Candidate) -> None:
        raise AssertionError("a network in memory has no candidates")

    def registry(self) -> Registry:
        registry = Registry()

        @registry.expose
        async def note(value: Any) -> Any:
            self.seen.append(value)
            return value

        @registry.expose
        async def wait(value: Any) -> Any:
            self.seen.append(value)
            await self.gate.wait()
            return value

        @registry.expose
        async def big(size: int) -> bytes:
            return bytes(size)

        return registry


class End:
    """One end: a link, its owner and its service."""

    def __init__(
        self,
        network: MemoryNetwork,
        key: Identity,
        expected: str | None,
        *,
        policy: Policy | None = None,
        **settings: Any,
    ) -> None:
        self.owner = Owner()
        loop = asyncio.get_running_loop()
        self.service = Dispatcher(self.owner.registry(), policy or OpenPolicy(), runtime=LoopRuntime(), user_loop=loop)
        base = LinkSettings(key, "end", "lab", None if expected is None else frozenset({expected}))
        self.link = Link(replace(base, **settings), network.transport(key.peer_id), (), self.owner, self.service)

    @property
    def error(self) -> Exception:
        (error,) = self.owner.errors
        return error

    async def call(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        future = asyncio.get_running_loop().create_future()

        def on_answer(result: Any, error: Exception | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.link.start_call(OutgoingCall(method, list(params), timeout, on_answer))
        return await future


class Careless:
    """A service that answers with what can't be sent."""

    def dispatch(self, link: Link, request: Any) -> None:
        if request.method == "no value of the wire":
            link.respond(request.id, object())
        else:
            link.respond_error(request.id, codes.APPLICATION_ERROR, "x" * 20_000, {"detail": bytes(20_000)})

    def cancel(self, link: Link, request_id: Any) -> None:
        raise AssertionError("nothing is cancelled here")

    def link_closed(self, link: Link) -> None:
        """Nothing is kept for a link."""


class Pair:
    """Two ends on one network; `async with` closes both, and nothing may be left."""

    def __init__(
        self, *, network: dict[str, Any] | None = None, a: dict[str, Any] | None = None, b: dict[str, Any] | None = None
    ) -> None:
        self.network = MemoryNetwork(1, **(network or {}))
        self._options = (a or {}, b or {})

    async def __aenter__(self) -> Pair:
        self._tasks = asyncio.all_tasks()
        of_a, of_b = self._options
        self.a = End(self.network, A_KEY, of_a.pop("expected", B_KEY.peer_id), **of_a)
        self.b = End(self.network, B_KEY, of_b.pop("expected", A_KEY.peer_id), **of_b)
        return self

    async def connect(self) -> None:
        offer = await self.a.link.connection.create_offer()
        answer = await self.b.link.connection.accept_offer(offer)
        await self.a.link.connection.accept_answer(answer)

    async def ready(self) -> Pair:
        await self.connect()
        await asyncio.gather(self.a.owner.ready.wait(), self.b.owner.ready.wait())
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        for end in (self.a, self.b):
            end.link.close()
            await end.service.close()
        await asyncio.gather(self.a.link.closed.wait(), self.b.link.closed.wait())
        if kind is None:
            await asyncio.sleep(60.0)
            for end in (self.a, self.b):
                assert len(end.owner.errors) == 1, "the end is told once"
                assert end.owner.gone == 1
                assert end.link._calls == {}
            assert {task.get_coro() for task in asyncio.all_tasks() - self._tasks} == set()
            assert self.network._endpoints == {}


# -- the ordinary way --------------------------------------------------------------------------------------


@simulated
async def test_handshake_and_calls_both_ways() -> None:
    async with Pair() as pair:
        await pair.ready()
        assert (pair.a.link.stage, pair.b.link.stage) == (LinkStage.READY, LinkStage.READY)
        assert pair.a.link.remote is not None
        assert pair.a.link.remote.peer_id == B_KEY.peer_id
        assert await asyncio.gather(pair.a.call("note", 1), pair.b.call("note", 2)) == [1, 2]
        assert (pair.a.owner.seen, pair.b.owner.seen) == ([2], [1])
        assert "ready" in repr(pair.a.link)


@simulated
async def test_trust_says_whether_the_key_was_known() -> None:
    async with Pair(a={"pins": frozenset({B_KEY.peer_id})}) as pair:
        await pair.ready()
        assert pair.a.link.caller is not None
        assert pair.a.link.caller.trust == "pinned"
        assert pair.b.link.caller is not None
        assert pair.b.link.caller.trust == "anonymous"


@simulated
async def test_round_trips_are_measured() -> None:
    async with Pair(network={"delay": 0.03}) as pair:
        await pair.ready()
        await asyncio.sleep(1.0)
        assert pair.a.link.rtt == pytest.approx(0.06, abs=0.001)
        assert pair.b.link.rtt == pytest.approx(0.06, abs=0.001)


@simulated
async def test_calls_of_one_turn_share_frames() -> None:
    async with Pair() as pair:
        await pair.ready()
        await asyncio.sleep(1.0)
        answers = Answers()
        sent = pair.network.counts.sent
        for number in range(200):
            pair.a.link.start_call(OutgoingCall("note", [number], None, answers.of(number)))
        assert await answers.until(200) == {number: number for number in range(200)}
        # Each frame is acknowledged: two datagrams. 400 small envelopes, one a frame, would be 800.
        assert pair.network.counts.sent - sent < 40


@simulated
async def test_a_bulky_answer_fills_the_channel_no_further_than_it_may() -> None:
    async with Pair(network={"delay": 0.01, "rate": 1_000_000.0}) as pair:
        await pair.ready()
        most = 0
        call = asyncio.ensure_future(pair.a.call("big", 1_000_000))
        while not call.done():
            most = max(most, pair.b.link.connection.buffered_amount)
            await asyncio.sleep(0.001)
        assert len(call.result()) == 1_000_000
        assert limits.CHANNEL_BUFFER / 2 < most <= limits.CHANNEL_BUFFER + limits.MAX_FRAME


@simulated
async def test_heartbeats_go_on_while_nobody_calls() -> None:
    async with Pair() as pair:
        await pair.ready()
        await asyncio.sleep(120.0)
        assert await pair.a.call("note", 1) == 1


# -- calls and their ends ----------------------------------------------------------------------------------


@simulated
async def test_a_call_before_the_link_is_ready_fails_at_once() -> None:
    async with Pair() as pair:
        answers = Answers()
        assert pair.a.link.start_call(OutgoingCall("note", [1], None, answers.of("new"))) is None
        with pytest.raises(ConnectionLost):
            pair.a.link.send_notification("note", [1])
        await pair.ready()
        pair.a.link.close()
        assert pair.a.link.start_call(OutgoingCall("note", [1], None, answers.of("closed"))) is None
        for error in answers.outcomes.values():
            assert isinstance(error, ConnectionLost)
            assert error.ran is False
        assert len(answers.outcomes) == 2


@simulated
async def test_a_deadline_ends_the_call_on_both_sides() -> None:
    async with Pair() as pair:
        await pair.ready()
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await pair.a.call("wait", 1, timeout=2.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0, abs=0.1)
        await asyncio.sleep(0.1)
        assert pair.b.service._open == {}
        assert pair.b.link._owed == 0


@simulated
async def test_deadlines_of_answered_calls_do_not_pile_up() -> None:
    async with Pair() as pair:
        await pair.ready()
        for number in range(2000):
            await pair.a.call("note", number, timeout=3600.0)
        assert pair.a.link._session is not None
        assert len(pair.a.link._session._deadlines) < 100


@simulated
async def test_a_call_given_up_is_told_to_the_other_side_only() -> None:
    async with Pair() as pair:
        await pair.ready()
        answers = Answers()
        request_id = pair.a.link.start_call(OutgoingCall("wait", [1], None, answers.of(1)))
        assert request_id is not None
        await asyncio.sleep(1.0)
        pair.a.link.cancel_call(request_id)
        pair.a.link.cancel_call(request_id)
        await asyncio.sleep(1.0)
        assert answers.outcomes == {}
        assert pair.b.service._open == {}


@simulated
async def test_what_can_not_travel_is_refused_before_it_is_sent() -> None:
    async with Pair(b={"session": SessionConfig(max_message=10_000)}) as pair:
        await pair.ready()
        with pytest.raises(EncodeError):
            await pair.a.call("note", object())
        with pytest.raises(TooLarge):
            await pair.a.call("note", bytes(20_000))
        assert await pair.a.call("note", 1) == 1


@simulated
async def test_a_result_that_can_not_be_sent_is_an_error_there() -> None:
    async with Pair(a={"session": SessionConfig(max_message=10_000)}) as pair:
        await pair.ready()
        with pytest.raises(RemoteTooLarge, match="at most 10000"):
            await pair.a.call("big", 20_000)
        pair.b.link._service = Careless()
        for method in ("no value of the wire", "an error that is too long"):
            with pytest.raises(RemoteInternalError) as caught:
                await pair.a.call(method)
            assert caught.value.message == "internal error", "what the value was is nobody's business"
        assert pair.b.link._owed == 0


@simulated
async def test_one_who_takes_no_answer_at_all_is_left() -> None:
    """With a `maxMessage` of a few bytes not even an error fits; the call must not hang."""
    async with Pair(a={"session": SessionConfig(max_message=20)}) as pair:
        await pair.ready()
        with pytest.raises(ConnectionLost):
            await pair.a.call("big", 100)
        assert "short enough" in str(pair.b.error)


@simulated
async def test_a_caller_that_fails_to_take_its_answer_harms_nobody_else() -> None:
    async with Pair() as pair:
        await pair.ready()

        def broken(result: Any, error: Exception | None) -> None:
            raise ValueError("a mistake")

        answers = Answers()
        pair.a.link.start_call(OutgoingCall("note", [1], None, broken))
        pair.a.link.start_call(OutgoingCall("note", [2], None, answers.of(2)))
        assert await answers.until(1) == {2: 2}
        pair.a.link.start_call(OutgoingCall("wait", [3], None, broken))
        pair.a.link.start_call(OutgoingCall("wait", [4], None, answers.of(4)))
        await asyncio.sleep(1.0)
        pair.network.sever(A_KEY.peer_id, B_KEY.peer_id)
        assert isinstance((await answers.until(2))[4], ConnectionLost)


# -- the end -----------------------------------------------------------------------------------------------


@simulated
async def test_close_says_bye_and_tells_everybody_once() -> None:
    async with Pair() as pair:
        await pair.ready()
        answers = Answers()
        for number in range(5):
            pair.a.link.start_call(OutgoingCall("wait", [number], None, answers.of(number)))
            pair.b.link.start_call(OutgoingCall("wait", [number], None, answers.of(-1 - number)))
        await asyncio.sleep(1.0)
        pair.a.link.close(0, "done here")
        pair.a.link.close(0, "twice")
        await pair.b.owner.ended.wait()
        assert "done here" in str(pair.b.error)
        assert len(await answers.until(10)) == 10
        assert all(isinstance(o, ConnectionLost) and o.ran is None for o in answers.outcomes.values())


@simulated
async def test_a_bye_goes_out_behind_a_full_channel() -> None:
    async with Pair(network={"rate": 100_000.0}) as pair:
        await pair.ready()
        answers = Answers()
        pair.a.link.start_call(OutgoingCall("note", [bytes(2_000_000)], None, answers.of("big")))
        await asyncio.sleep(1.0)
        assert pair.a.link.connection.buffered_amount >= limits.CHANNEL_BUFFER - limits.MAX_FRAME
        pair.a.link.close(0, "had enough")
        await pair.b.owner.ended.wait()
        assert "had enough" in str(pair.b.error)
        assert isinstance(answers.outcomes["big"], ConnectionLost)


@simulated
async def test_finish_waits_for_what_is_owed_and_takes_no_more() -> None:
    async with Pair(network={"delay": 0.05, "rate": 500_000.0}) as pair:
        await pair.ready()
        waiting = asyncio.ensure_future(pair.a.call("wait", 1))
        bulky = asyncio.ensure_future(pair.a.call("big", 1_000_000))
        await asyncio.sleep(0.3)
        pair.b.link.finish("shop closes")
        pair.b.link.finish("again")
        with pytest.raises(RemoteUnavailable) as caught:
            await pair.a.call("note", 2)
        assert caught.value.ran is False
        asyncio.get_running_loop().call_later(1.0, pair.b.owner.gate.set)
        assert await waiting == 1
        assert len(await bulky) == 1_000_000
        await pair.a.owner.ended.wait()
        assert "shop closes" in str(pair.a.error)
        assert pair.b.owner.seen == [1]


@simulated
async def test_finish_waits_no_longer_than_it_may() -> None:
    async with Pair() as pair:
        await pair.ready()
        waiting = asyncio.ensure_future(pair.a.call("wait", 1))
        await asyncio.sleep(1.0)
        began = asyncio.get_running_loop().time()
        pair.b.link.finish()
        with pytest.raises(ConnectionLost):
            await waiting
        assert asyncio.get_running_loop().time() - began == pytest.approx(limits.DRAIN_SECONDS, abs=0.2)


@simulated
async def test_what_comes_in_the_frame_of_a_refused_link_is_not_served() -> None:
    """The owner closes in `link_ready`; the call that came with the last proof must not run."""
    async with Pair() as pair:
        ready = pair.b.owner.link_ready

        def close_at_once(link: Link) -> None:
            ready(link)
            link.close(0, "no")

        pair.b.owner.link_ready = close_at_once  # type: ignore[method-assign]
        await pair.connect()
        await pair.a.owner.ready.wait()
        with pytest.raises(ConnectionLost):
            await pair.a.call("note", 1)
        assert pair.b.owner.seen == []
        assert pair.b.service._open == {}


@pytest.mark.parametrize("after", [0.0, 0.005, 0.015, 0.025, 0.035, 0.045, 0.055, 0.075, 0.5])
@pytest.mark.parametrize("how", ["close", "finish", "sever", "crash"])
def test_an_end_at_any_moment(how: str, after: float) -> None:
    async def scenario() -> None:
        async with Pair(network={"delay": 0.01, "patience": 5.0}) as pair:
            answers = Answers()
            await pair.connect()
            asyncio.get_running_loop().call_later(after, end, pair)
            for step in range(20):
                pair.a.link.start_call(OutgoingCall("wait", [step], None, answers.of(step)))
                await asyncio.sleep(0.01)
            await pair.a.owner.ended.wait()
            assert len(await answers.until(20)) == 20
            assert all(isinstance(outcome, RtcRpcError) for outcome in answers.outcomes.values())

    def end(pair: Pair) -> None:
        match how:
            case "close":
                pair.b.link.close(0, "bye")
            case "finish":
                pair.b.link.finish("bye")
            case "sever":
                pair.network.sever(A_KEY.peer_id, B_KEY.peer_id)
            case "crash":
                pair.network.crash(B_KEY.peer_id)

    run(scenario(), limit=600.0)


@simulated
async def test_silence_is_noticed_before_the_transport_notices() -> None:
    async with Pair() as pair:
        await pair.ready()
        pair.network.partition(A_KEY.peer_id)
        began = asyncio.get_running_loop().time()
        await pair.a.owner.ended.wait()
        assert asyncio.get_running_loop().time() - began < 10.0
        assert "heartbeats" in str(pair.a.error)


@simulated
async def test_a_link_that_is_closed_before_it_opens_stays_closed() -> None:
    async with Pair() as pair:
        await pair.connect()
        await asyncio.sleep(0.019)
        pair.a.link.close()
        pair.a.link.channel_opened()
        assert pair.a.link.stage is LinkStage.CLOSED
        assert pair.a.link._session is None
        await pair.b.owner.ended.wait()


# -- who is let in -----------------------------------------------------------------------------------------


@simulated
async def test_a_wrong_pin_is_said_on_both_sides() -> None:
    async with Pair(a={"expected": identity(3).peer_id}) as pair:
        await pair.connect()
        await asyncio.gather(pair.a.owner.ended.wait(), pair.b.owner.ended.wait())
        assert isinstance(pair.a.error, IdentityMismatch)
        assert isinstance(pair.b.error, IdentityMismatch)
        assert identity(3).peer_id in str(pair.a.error)
        assert not pair.a.owner.ready.is_set()
        assert not pair.b.owner.ready.is_set()


@simulated
async def test_another_room_is_refused_on_both_sides() -> None:
    async with Pair(a={"room": "elsewhere"}) as pair:
        await pair.connect()
        await asyncio.gather(pair.a.owner.ended.wait(), pair.b.owner.ended.wait())
        assert isinstance(pair.a.error, HandshakeError)
        assert isinstance(pair.b.error, HandshakeError)


@simulated
async def test_a_peer_that_never_proves_its_key_is_left() -> None:
    network = MemoryNetwork(1)
    silent = EventRecorder()
    connection = network.transport("silent").create(silent, ())
    end = End(network, A_KEY, B_KEY.peer_id)
    answer = await end.link.connection.accept_offer(await connection.create_offer())
    await connection.accept_answer(answer)
    await end.owner.ended.wait()
    assert asyncio.get_running_loop().time() == pytest.approx(limits.HANDSHAKE_SECONDS, abs=0.2)
    assert isinstance(end.error, HandshakeError)
    await silent.closed.wait()
    assert "rpc.bye" in str(silent.messages[-1])


@simulated
async def test_a_token_goes_ahead_of_the_first_call() -> None:
    secret = "s" * 22
    async with Pair(
        a={"token": secret, "pins": frozenset({B_KEY.peer_id})}, b={"policy": InvitePolicy([secret])}
    ) as pair:
        await pair.ready()
        await asyncio.sleep(1.0)
        assert pair.b.link.caller is not None
        assert pair.b.link.caller.tokens == (), "not before there is a call"
        assert await pair.a.call("note", 1) == 1
        assert await pair.a.call("note", 2) == 2
        assert pair.b.link.caller.tokens == (secret,)


@simulated
async def test_a_token_is_not_shown_to_another_key_than_the_pinned() -> None:
    secret = "s" * 22
    async with Pair(a={"token": secret, "pins": frozenset({identity(3).peer_id})}) as pair:
        await pair.ready()
        assert await pair.a.call("note", 1) == 1
        assert pair.b.link.caller is not None
        assert pair.b.link.caller.tokens == ()


@simulated
async def test_tokens_are_kept_up_to_a_number() -> None:
    async with Pair() as pair:
        await pair.ready()
        assert pair.a.link._session is not None
        for number in range(limits.MAX_TOKENS):
            pair.a.link._session.send_token(f"{number:022}")
        await pair.a.call("note", 1)
        assert pair.b.link.caller is not None
        assert len(pair.b.link.caller.tokens) == limits.MAX_TOKENS
        pair.a.link._session.send_token("one more")
        with pytest.raises(ConnectionLost, match="tokens"):
            await pair.a.call("note", 2)


# -- level 0 -----------------------------------------------------------------------------------------------


class Plain:
    """A peer of level 0: a channel and JSON, no code of ours above it."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.events = EventRecorder()
        self.connection = network.transport("plain").create(self.events, ())

    async def dial(self, end: End) -> None:
        answer = await end.link.connection.accept_offer(await self.connection.create_offer())
        await self.connection.accept_answer(answer)
        await self.events.opened.wait()

    async def ask(self, *messages: dict[str, Any]) -> list[Any]:
        had = len(self.events.messages)
        for message in messages:
            self.connection.send(json.dumps({"jsonrpc": "2.0", **message}))
        await self.events.received(had + len(messages))
        return [json.loads(text) for text in self.events.messages[had:]]


ANYBODY = {"session": SessionConfig(allow_anonymous=True), "policy": OpenPolicy(anonymous=True)}


@simulated
async def test_a_peer_without_a_key_is_served_where_the_policy_says_so() -> None:
    network = MemoryNetwork(1)
    end, plain = End(network, A_KEY, None, **ANYBODY), Plain(network)
    await plain.dial(end)
    await plain.events.received(1)  # our hello, which it may ignore
    (answer,) = await plain.ask({"id": 1, "method": "note", "params": [7]})
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": 7}
    assert end.link.caller is not None
    assert (end.link.caller.peer_id, end.link.caller.trust) == (None, "anonymous")
    call = asyncio.ensure_future(end.call("plus", 1, 2))
    await plain.events.received(3)
    asked = json.loads(plain.events.messages[2])
    assert (asked["method"], asked["params"]) == ("plus", [1, 2])
    plain.connection.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": 3}))
    assert await call == 3
    # It knows no heartbeats, and is not asked for any.
    await asyncio.sleep(60.0)
    assert (await plain.ask({"id": "x", "method": "note", "params": {"value": 8}}))[0]["result"] == 8
    end.link.close()
    await end.link.closed.wait()


@simulated
async def test_a_policy_that_wants_a_key_refuses_each_request() -> None:
    network = MemoryNetwork(1)
    end = End(network, A_KEY, None, session=SessionConfig(allow_anonymous=True), policy=OpenPolicy())
    plain = Plain(network)
    await plain.dial(end)
    await plain.events.received(1)
    for number in range(3):
        (answer,) = await plain.ask({"id": number, "method": "note", "params": [7]})
        assert answer["error"]["code"] == codes.UNAUTHENTICATED
        assert answer["error"]["data"] == {"ran": False}
    assert end.owner.seen == []
    await plain.connection.close(drain=1.0)
    await end.link.closed.wait()


@pytest.mark.parametrize("options", [{}, {**ANYBODY, "expected": B_KEY.peer_id}])
def test_level_0_is_refused_where_it_is_not_let_in_or_a_key_is_expected(options: dict[str, Any]) -> None:
    async def scenario() -> None:
        network = MemoryNetwork(1)
        given = dict(options)
        end, plain = End(network, A_KEY, given.pop("expected", None), **given), Plain(network)
        await plain.dial(end)
        await plain.events.received(1)
        answer, bye = None, None
        plain.connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "note", "params": [7]}))
        answer, bye = [json.loads(text) for text in (await plain.events.received(3))[1:]]
        assert answer["error"]["code"] == codes.UNAUTHENTICATED
        assert (bye["method"], bye["params"]["code"]) == ("rpc.bye", codes.UNAUTHENTICATED)
        await plain.events.closed.wait()
        assert isinstance(end.error, HandshakeError)
        assert end.owner.seen == []
        await end.link.closed.wait()

    run(scenario(), limit=600.0)


@simulated
async def test_a_batch_whose_answers_do_not_fit_together_is_answered() -> None:
    network = MemoryNetwork(1)
    end, plain = End(network, A_KEY, None, **ANYBODY), Plain(network)
    await plain.dial(end)
    await plain.events.received(1)
    one = {"jsonrpc": "2.0", "method": "big", "params": [100_000]}
    plain.connection.send(json.dumps([{**one, "id": number} for number in range(3)]))
    answer = json.loads((await plain.events.received(2))[1])
    assert (answer["id"], answer["error"]["code"]) == (None, codes.TOO_LARGE)
    plain.connection.send(json.dumps([{**one, "id": 4}, {**one, "id": 5, "params": [1_000_000]}]))
    both = json.loads((await plain.events.received(3))[2])
    assert [item["id"] for item in both if "error" in item] == [5], "one too long answer does not spoil the other"
    end.link.close()
    await end.link.closed.wait()


@simulated
async def test_an_unauthenticated_caller_of_ours_is_told_by_class() -> None:
    async with Pair(b={"policy": InvitePolicy(["s" * 22])}) as pair:
        await pair.ready()
        with pytest.raises(RemoteUnauthenticated):
            await pair.a.call("note", 1)
        assert pair.b.owner.seen == []
