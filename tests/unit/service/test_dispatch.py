"""The dispatcher: the way of a call across the threads, and every way in which it can end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import logging
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from rtcrpc import codes
from rtcrpc.core.events import NotificationReceived, RequestReceived
from rtcrpc.errors import ConnectionLost, DeadlineExceeded, Error, RemoteError
from rtcrpc.runtime import Runtime
from rtcrpc.service.context import Caller, Context, current_context
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import Decision, OpenPolicy, PinnedPolicy
from rtcrpc.service.registry import Registry

BOUND = 10.0
CALLER = Caller("p" * 43, "page", "pinned", "lab")
NOT_RUN = {"ran": False}
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

Answer = tuple[Any, ...]


class Link:
    """Keeps what it is told to answer, for the test's loop."""

    def __init__(self, caller: Caller | None = CALLER) -> None:
        self.caller = caller
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.threads: set[str] = set()
        self._loop = asyncio.get_running_loop()

    def respond(self, request_id: Any, result: Any) -> None:
        self._put((request_id, result))

    def respond_error(self, request_id: Any, code: int, message: str, data: dict[str, Any] | None) -> None:
        self._put((request_id, code, message, data))

    def _put(self, answer: Answer) -> None:
        self.threads.add(threading.current_thread().name)
        self._loop.call_soon_threadsafe(self.answers.put_nowait, answer)

    async def answer(self) -> Answer:
        return await asyncio.wait_for(self.answers.get(), BOUND)


class Service:
    """A dispatcher on a real network thread, used as a link uses it."""

    def __init__(self, runtime: Runtime, dispatcher: Dispatcher) -> None:
        self.runtime = runtime
        self.dispatcher = dispatcher
        self._id = 0

    def send(self, link: Link, method: str, params: Any = (), **meta: Any) -> int:
        self._id += 1
        params = list(params) if isinstance(params, tuple) else params
        self.runtime.call_soon(self.dispatcher.dispatch, link, RequestReceived(self._id, method, params, meta))
        return self._id

    def notify(self, link: Link, method: str, *params: Any, **meta: Any) -> None:
        self.runtime.call_soon(self.dispatcher.dispatch, link, NotificationReceived(method, list(params), meta))

    async def call(self, link: Link, method: str, *params: Any, **meta: Any) -> Answer:
        sent = self.send(link, method, params, **meta)
        answer = await link.answer()
        assert answer[0] == sent
        return answer[1:]

    def cancel(self, link: Link, request_id: Any) -> None:
        self.runtime.call_soon(self.dispatcher.cancel, link, request_id)

    async def settle(self) -> None:
        """Until what was handed to the network thread so far has been done."""

        async def nothing() -> None:
            await asyncio.sleep(0)

        await self.runtime.run(nothing())

    async def empty(self) -> bool:
        """Whether no record of any call is left; waits for those that are on their way."""
        d = self.dispatcher
        async with asyncio.timeout(BOUND):
            while d._live or d._open or d._load:
                await self.settle()
        return True


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("test-network") as made:
        yield made


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def service(runtime: Runtime, registry: Registry) -> AsyncIterator[Service]:
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=asyncio.get_running_loop())
    yield Service(runtime, dispatcher)
    await dispatcher.close()


@pytest.fixture
async def link(service: Service) -> Link:
    return Link()


class Gate:
    """Where a function waits until the test lets it go on; usable on any thread."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.open.wait(BOUND)

    async def until_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, BOUND)


# -- the way there and back ------------------------------------------------------------------------------


async def test_where_functions_run(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    async def on_loop() -> list[Any]:
        return [threading.current_thread().name, asyncio.get_running_loop() is loop]

    @registry.expose
    def in_pool() -> str:
        return threading.current_thread().name

    loop = asyncio.get_running_loop()
    assert await service.call(link, "on_loop") == ([threading.current_thread().name, True],)
    (name,) = await service.call(link, "in_pool")
    assert name.startswith("rtcrpc-pool-")
    assert link.threads == {"test-network"}
    assert await service.empty()


async def test_arguments_and_results(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    def add(a: int, b: int = 10) -> int:
        return a + b

    @registry.expose
    async def later(a: bytes) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"a": a, "set": {1}}

    assert await service.call(link, "add", 1, 2) == (3,)
    assert await service.call(link, "add", 1) == (11,)
    service.send(link, "add", {"b": 1, "a": 2})
    assert (await link.answer())[1:] == (3,)
    assert await service.call(link, "later", b"x") == ({"a": b"x", "set": [1]},)


async def test_many_at_once(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    def double(a: int) -> int:
        return 2 * a

    @registry.expose
    async def triple(a: int) -> int:
        if a % 2:
            await asyncio.sleep(0)
        return 3 * a

    expected: dict[Any, Any] = {}
    for number in range(200):
        expected[service.send(link, "double", (number,))] = 2 * number
        if number < 56:
            expected[service.send(link, "triple", (number,))] = 3 * number
    answers: dict[Any, Any] = dict([await link.answer() for _ in expected])
    assert answers == expected
    assert await service.empty()


async def test_the_context(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    def who(context: Context) -> list[Any]:
        assert current_context() is context
        return [context.caller.name, context.caller.peer_id, context.method, context.remaining()]

    @registry.expose
    async def who_async(*, context: Context) -> list[Any]:
        await asyncio.sleep(0)
        assert current_context() is context
        remaining = context.remaining()
        return [context.method, remaining is not None and 0 < remaining <= 60]

    assert await service.call(link, "who") == (["page", "p" * 43, "who", None],)
    assert await service.call(link, "who_async", timeout=60_000) == (["who_async", True],)
    with pytest.raises(LookupError):
        current_context()


async def test_functions_see_the_variables_of_where_the_peer_was_made(runtime: Runtime) -> None:
    registry = Registry()

    @registry.expose
    def read() -> str:
        return variable.get()

    @registry.expose
    async def write() -> str:
        seen = variable.get()
        variable.set("changed by a call")
        return seen

    variable.set("made here")
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=asyncio.get_running_loop())
    service, link = Service(runtime, dispatcher), Link()
    for method in ("read", "write", "write", "read"):
        assert await service.call(link, method) == ("made here",)
    assert variable.get() == "made here"
    await dispatcher.close()


async def test_an_async_function_has_a_task(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    async def timeouts() -> str:
        assert asyncio.current_task() is not None
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "not"

    assert await service.call(link, "timeouts") == ("timed out",)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_a_function_that_never_waits_ends_in_the_turn_it_starts(
    service: Service, registry: Registry, link: Link
) -> None:
    turns: list[str] = []
    loop = asyncio.get_running_loop()

    @registry.expose
    async def quick() -> int:
        loop.call_soon(turns.append, "next turn")
        turns.append("ran")
        return 1

    assert await service.call(link, "quick") == (1,)
    assert turns == ["ran", "next turn"]


async def test_an_executor_of_the_user(runtime: Runtime, registry: Registry) -> None:
    @registry.expose
    def where() -> str:
        return threading.current_thread().name

    with concurrent.futures.ThreadPoolExecutor(1, "mine") as executor:
        dispatcher = Dispatcher(
            registry, OpenPolicy(), runtime=runtime, user_loop=asyncio.get_running_loop(), executor=executor
        )
        service, link = Service(runtime, dispatcher), Link()
        assert await service.call(link, "where") == ("mine_0",)
    assert await service.call(link, "where") == (codes.UNAVAILABLE, "this peer is closing", NOT_RUN)
    assert await service.empty()
    await dispatcher.close()


# -- errors ----------------------------------------------------------------------------------------------


async def test_an_error_on_purpose_travels_whole(service: Service, registry: Registry, link: Link) -> None:
    class OutOfReach(Error):
        pass

    @registry.expose
    def move() -> None:
        raise OutOfReach("too far", detail={"most": 3, "set": {1}})

    @registry.expose
    async def stop() -> None:
        raise Error("not now", code=codes.UNAVAILABLE)

    assert await service.call(link, "move") == (
        codes.APPLICATION_ERROR,
        "too far",
        {"type": "OutOfReach", "detail": {"most": 3, "set": [1]}},
    )
    assert await service.call(link, "stop") == (codes.UNAVAILABLE, "not now", None)


async def test_an_error_whose_detail_cannot_travel(
    service: Service, registry: Registry, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Error):
        def __init__(self) -> None:
            self.other = 1

    @registry.expose
    def odd() -> None:
        raise Error("odd", detail=object())

    @registry.expose
    def broken() -> None:
        raise Broken

    assert await service.call(link, "odd") == (codes.APPLICATION_ERROR, "odd", None)
    assert "odd: the detail of its error was not sent" in caplog.text
    assert await service.call(link, "broken") == (codes.INTERNAL_ERROR, "internal error", None)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("canary"),
        KeyError("canary"),
        ConnectionLost("canary"),
        RemoteError("canary", data={"ran": False, "detail": "canary"}),
        DeadlineExceeded("canary"),
        TimeoutError("canary"),
        RecursionError("canary"),
        ExceptionGroup("canary", [ValueError("canary")]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_word_of_another_exception_travels(
    service: Service,
    registry: Registry,
    link: Link,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    kind: str,
) -> None:
    if kind == "sync":

        @registry.expose
        def fail() -> None:
            raise error
    else:

        @registry.expose(name="fail")
        async def fail_async() -> None:
            raise error

    assert await service.call(link, "fail") == (codes.INTERNAL_ERROR, "internal error", None)
    record = next(r for r in caplog.records if r.name == "rtcrpc.service")
    assert record.getMessage() == f"fail failed, called by {'p' * 43}"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit()], ids=lambda error: type(error).__name__)
async def test_what_would_end_the_program_ends_the_call(
    service: Service, registry: Registry, link: Link, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    @registry.expose
    def sync() -> None:
        raise error

    @registry.expose
    async def in_loop() -> None:
        raise error

    @registry.expose
    async def in_loop_later() -> None:
        await asyncio.sleep(0)
        raise error

    for method in ("sync", "in_loop", "in_loop_later"):
        assert await service.call(link, method) == (codes.INTERNAL_ERROR, "internal error", None)
        assert f"{method} raised {type(error).__name__}, which ends no more than this call" in caplog.text
    assert await service.call(link, "sync") == (codes.INTERNAL_ERROR, "internal error", None)


async def test_an_interrupt_in_the_pool_ends_the_call(
    service: Service, registry: Registry, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.expose
    def sync() -> None:
        raise KeyboardInterrupt

    assert await service.call(link, "sync") == (codes.INTERNAL_ERROR, "internal error", None)
    assert "sync raised KeyboardInterrupt" in caplog.text


def test_an_interrupt_on_the_main_thread_is_answered_and_goes_on(runtime: Runtime) -> None:
    registry = Registry()

    @registry.expose
    async def pressed() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    links: list[Link] = []

    async def serve() -> None:
        dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=asyncio.get_running_loop())
        links.append(Link())
        Service(runtime, dispatcher).send(links[0], "pressed")
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    task = loop.create_task(serve())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    assert loop.run_until_complete(links[0].answer())[1:] == (codes.INTERNAL_ERROR, "internal error", None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    gc.collect()
    loop.close()


async def test_wrong_arguments(service: Service, registry: Registry, link: Link) -> None:
    ran: list[Any] = []

    @registry.expose
    def add(a: int, b: int) -> None:
        ran.append((a, b))

    @registry.expose(name="add_async")
    async def add_async(a: int, b: int) -> None:
        ran.append((a, b))

    for method in ("add", "add_async"):
        assert await service.call(link, method, 1, "x") == (
            codes.INVALID_PARAMS,
            f'{method}: b: expected an integer, got "x"',
            {"ran": False, "issues": [{"path": ["b"], "expected": "an integer", "got": '"x"'}]},
        )
    assert ran == []


async def test_a_validator_that_fails(
    service: Service, registry: Registry, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(value: int) -> int:
        raise KeyError("canary")

    @registry.expose
    def f(a: Annotated[int, AfterValidator(broken)]) -> None: ...

    assert await service.call(link, "f", 1) == (codes.INTERNAL_ERROR, "internal error", NOT_RUN)
    assert "f did not run: a validator of its arguments failed" in caplog.text


async def test_a_result_that_breaks_its_promise(
    service: Service, registry: Registry, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.expose
    def number() -> int:
        return "canary"  # type: ignore[return-value]

    @registry.expose
    def thing():  # type: ignore[no-untyped-def]
        return object()

    @registry.expose
    def coroutine():  # type: ignore[no-untyped-def]
        return asyncio.sleep(0)

    for method in ("number", "thing", "coroutine"):
        assert await service.call(link, method) == (codes.INTERNAL_ERROR, "internal error", None)
    assert 'the result of number: expected an integer, got "canary"' in caplog.text
    assert "a value of type object can't travel" in caplog.text
    assert "write it with async def" in caplog.text


# -- who may, and what is there --------------------------------------------------------------------------


async def test_unknown_methods(service: Service, link: Link) -> None:
    for method in ("nothing", "", "rpc.nothing", "rpc.ping", "__class__", "\ud800"):
        assert await service.call(link, method) == (
            codes.METHOD_NOT_FOUND,
            "there is no method of this name",
            NOT_RUN,
        )


class Choosy(PinnedPolicy):
    """Lets callers in by trust, and only to `free`."""

    def decide(self, caller: Caller, method: str) -> Decision:
        return Decision(method == "free", reason="" if method == "silent" else f"{caller.name} may not")


async def test_who_is_not_admitted_learns_nothing(runtime: Runtime, registry: Registry) -> None:
    looked: list[str] = []

    class Watched(Registry):
        def method(self, name: str) -> Any:
            looked.append(name)
            return super().method(name)

    watched = Watched()
    watched.expose(lambda: 1, name="free")
    watched.expose(lambda: 1, name="forbidden")
    watched.expose(lambda: 1, name="silent")
    dispatcher = Dispatcher(watched, Choosy(), runtime=runtime, user_loop=asyncio.get_running_loop())
    service = Service(runtime, dispatcher)
    stranger = Link(Caller("q" * 43, "q", "anonymous", "lab"))
    early = Link(None)
    answers = {
        (await service.call(link, method))[:2]
        for link in (stranger, early)
        for method in ("free", "forbidden", "unknown", "rpc.discover", "rpc.unknown")
    }
    assert len(answers) == 1
    assert answers.pop()[0] == codes.UNAUTHENTICATED
    assert looked == []

    friend = Link()
    assert await service.call(friend, "free") == (1,)
    assert await service.call(friend, "forbidden") == (codes.PERMISSION_DENIED, "page may not", NOT_RUN)
    assert (await service.call(friend, "silent"))[1] == "the policy does not allow this call"
    assert (await service.call(friend, "unknown"))[0] == codes.METHOD_NOT_FOUND
    (document,) = await service.call(friend, "rpc.discover")
    assert [m["name"] for m in document["methods"]] == ["free"]
    await dispatcher.close()


async def test_a_policy_that_fails_lets_nobody_in(
    runtime: Runtime, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(OpenPolicy):
        def decide(self, caller: Caller, method: str) -> Decision:
            raise LookupError("canary")

    ran: list[int] = []
    registry.expose(lambda: ran.append(1), name="f")
    dispatcher = Dispatcher(registry, Failing(), runtime=runtime, user_loop=asyncio.get_running_loop())
    service, link = Service(runtime, dispatcher), Link()
    assert await service.call(link, "f") == (codes.INTERNAL_ERROR, "internal error", NOT_RUN)
    assert "the policy failed" in caplog.text
    assert ran == []
    await dispatcher.close()


async def test_tokens_that_come_later_count(runtime: Runtime, registry: Registry) -> None:
    from rtcrpc.service.policy import InvitePolicy

    registry.expose(lambda: 1, name="f")
    policy = InvitePolicy(["x" * 22])
    dispatcher = Dispatcher(registry, policy, runtime=runtime, user_loop=asyncio.get_running_loop())
    service, link = Service(runtime, dispatcher), Link()
    assert (await service.call(link, "f"))[0] == codes.UNAUTHENTICATED
    link.caller = Caller("p" * 43, "page", "pinned", "lab", ("x" * 22,))
    assert await service.call(link, "f") == (1,)
    await dispatcher.close()


async def test_discover(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    (document,) = await service.call(link, "rpc.discover")
    assert document["openrpc"].startswith("1.3")
    assert [m["name"] for m in document["methods"]] == ["add"]
    assert await service.call(link, "rpc.discover") == (document,)
    registry.expose(lambda: None, name="more")
    (document,) = await service.call(link, "rpc.discover")
    assert [m["name"] for m in document["methods"]] == ["add", "more"]
    assert (await service.call(link, "rpc.discover", 1))[0] == codes.INVALID_PARAMS


# -- cancelling ------------------------------------------------------------------------------------------


async def test_cancelling_an_async_function(service: Service, registry: Registry, link: Link) -> None:
    started = asyncio.Event()
    steps: list[str] = []

    @registry.expose
    async def forever(context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append(f"finally, cancelled: {context.cancelled}")

    sent = service.send(link, "forever")
    await asyncio.wait_for(started.wait(), BOUND)
    service.cancel(link, sent)
    assert await link.answer() == (sent, codes.CANCELLED, "cancelled", None)
    assert steps == ["finally, cancelled: True"]
    assert await service.empty()


async def test_an_async_function_may_answer_a_cancel_with_a_result(
    service: Service, registry: Registry, link: Link
) -> None:
    started = asyncio.Event()

    @registry.expose
    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "what I have"
        return ""

    sent = service.send(link, "stubborn")
    await asyncio.wait_for(started.wait(), BOUND)
    service.cancel(link, sent)
    assert await link.answer() == (sent, "what I have")


async def test_cancelling_a_function_of_the_pool(service: Service, registry: Registry, link: Link) -> None:
    gate = Gate()

    @registry.expose
    def checks(context: Context) -> None:
        gate.wait()
        assert context.cancelled
        context.check()

    @registry.expose
    def ignores() -> str:
        gate.wait()
        return "done"

    sent = service.send(link, "checks")
    await gate.until_reached()
    service.cancel(link, sent)
    await service.settle()
    assert link.answers.empty()
    gate.open.set()
    assert await link.answer() == (sent, codes.CANCELLED, "cancelled", None)

    gate.open.clear()
    gate.reached.clear()
    sent = service.send(link, "ignores")
    await gate.until_reached()
    service.cancel(link, sent)
    await service.settle()
    gate.open.set()
    assert await link.answer() == (sent, "done")


async def test_cancelling_what_has_not_started(runtime: Runtime, registry: Registry) -> None:
    gate = Gate()
    ran: list[str] = []

    @registry.expose
    def hold() -> None:
        gate.wait()

    @registry.expose
    def waits() -> None:
        ran.append("sync")

    @registry.expose
    async def waits_too() -> None:
        ran.append("async")

    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        dispatcher = Dispatcher(
            registry, OpenPolicy(), runtime=runtime, user_loop=asyncio.get_running_loop(), executor=executor
        )
        service, link = Service(runtime, dispatcher), Link()
        service.send(link, "hold")
        await gate.until_reached()
        sent = service.send(link, "waits")
        service.cancel(link, sent)
        assert await link.answer() == (sent, codes.CANCELLED, "cancelled", NOT_RUN)
        gate.open.set()
        assert (await link.answer())[1:] == (None,)
        # The loop is held by this very test until both have come in: the cancel overtakes the start.
        sent = service.send(link, "waits_too")
        service.cancel(link, sent)
        assert_network_is_done(runtime)
        assert await link.answer() == (sent, codes.CANCELLED, "cancelled", NOT_RUN)
        assert await service.empty()
    assert ran == []
    await dispatcher.close()


def assert_network_is_done(runtime: Runtime) -> None:
    """Wait, without a turn of the test's loop, until the network thread has done what it was given."""
    done = threading.Event()
    runtime.call_soon(done.set)
    assert done.wait(BOUND)


async def test_cancels_that_mean_nothing(service: Service, registry: Registry, link: Link) -> None:
    registry.expose(lambda: 1, name="f")
    service.cancel(link, 99)
    sent = service.send(link, "f")
    assert await link.answer() == (sent, 1)
    service.cancel(link, sent)
    service.cancel(Link(), sent)
    assert await service.empty()
    assert link.answers.empty()


async def test_a_function_that_cancels_itself(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    async def f() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    assert await service.call(link, "f") == (codes.CANCELLED, "cancelled", None)


# -- deadlines -------------------------------------------------------------------------------------------


async def test_a_deadline_stops_an_async_function(service: Service, registry: Registry, link: Link) -> None:
    stopped = asyncio.Event()

    @registry.expose
    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    answer = await service.call(link, "forever", timeout=20)
    assert answer == (codes.DEADLINE_EXCEEDED, "the deadline of the call has passed", None)
    await asyncio.wait_for(stopped.wait(), BOUND)
    assert await service.empty()
    assert link.answers.empty()


async def test_a_deadline_is_kept_while_the_function_goes_on(service: Service, registry: Registry, link: Link) -> None:
    gate = Gate()
    seen: list[Any] = []

    @registry.expose
    def slow(context: Context) -> str:
        gate.wait()
        seen.append((context.cancelled, context.remaining()))
        return "too late"

    answer = await service.call(link, "slow", timeout=20)
    assert answer == (codes.DEADLINE_EXCEEDED, "the deadline of the call has passed", None)
    assert len(service.dispatcher._live) == 1
    gate.open.set()
    assert await service.empty()
    ((cancelled, remaining),) = seen
    assert cancelled
    assert remaining < 0.002, "timers of uvloop count in milliseconds, and may be that much early"
    assert link.answers.empty()


async def test_a_deadline_is_kept_while_the_user_s_loop_is_blocked(
    service: Service, registry: Registry, link: Link
) -> None:
    ran: list[int] = []

    @registry.expose
    async def f() -> None:
        ran.append(1)

    answered = threading.Event()
    answer = link._put

    def put(value: Answer) -> None:
        answer(value)
        answered.set()

    link._put = put  # type: ignore[method-assign, assignment]
    service.send(link, "f", timeout=20)
    assert answered.wait(BOUND), "on this loop's thread: it is blocked meanwhile"
    assert (await link.answer())[1:] == (
        codes.DEADLINE_EXCEEDED,
        "the deadline of the call has passed",
        NOT_RUN,
    )
    assert await service.empty()
    assert ran == []


async def test_a_deadline_that_a_function_finds_out_itself(service: Service, registry: Registry, link: Link) -> None:
    @registry.expose
    def loops(context: Context) -> None:
        while True:
            context.check()

    answer = await service.call(link, "loops", timeout=20)
    assert answer == (codes.DEADLINE_EXCEEDED, "the deadline of the call has passed", None)
    assert await service.empty()


async def test_no_timer_is_left_behind(service: Service, registry: Registry, link: Link) -> None:
    registry.expose(lambda: 1, name="f")
    assert await service.call(link, "f", timeout=1e300) == (1,)
    assert await service.call(link, "f", timeout=10**400) == (1,)
    assert await service.call(link, "f", timeout=float("inf")) == (1,)
    assert await service.call(link, "f", timeout=60_000) == (1,)


@pytest.mark.parametrize("timeout", [0, -1, 0.0, -1e300])
async def test_a_deadline_that_has_passed(service: Service, registry: Registry, link: Link, timeout: float) -> None:
    registry.expose(lambda: 1, name="f")
    assert await service.call(link, "f", timeout=timeout) == (
        codes.DEADLINE_EXCEEDED,
        "the deadline had passed when the call came",
        NOT_RUN,
    )


@pytest.mark.parametrize("timeout", ["5", True, [], float("nan"), {"a": 1}])
async def test_a_timeout_that_is_none(service: Service, registry: Registry, link: Link, timeout: Any) -> None:
    registry.expose(lambda: 1, name="f")
    assert (await service.call(link, "f", timeout=timeout))[0] == codes.INVALID_REQUEST


# -- notifications ---------------------------------------------------------------------------------------


async def test_notifications_run_and_are_not_answered(
    service: Service, registry: Registry, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rtcrpc.service")
    seen: asyncio.Queue[int] = asyncio.Queue()

    @registry.expose
    async def put(value: int) -> None:
        seen.put_nowait(value)

    @registry.expose
    def fail() -> None:
        raise ValueError("in a notification")

    service.notify(link, "put", 1)
    service.notify(link, "put", "x")
    service.notify(link, "fail")
    service.notify(link, "unknown\nforged")
    service.notify(link, "put", 2, timeout=0)
    service.notify(link, "put", 3)
    assert [await asyncio.wait_for(seen.get(), BOUND) for _ in range(2)] == [1, 3]
    assert await service.empty()
    assert link.answers.empty()
    assert "in a notification" in caplog.text
    assert "the notification of put failed: put: value: expected an integer" in caplog.text
    assert "the notification 'unknown\\nforged' was dropped: there is no method" in caplog.text


async def test_a_flood_of_notifications_is_bounded(runtime: Runtime, registry: Registry) -> None:
    gate = Gate()
    count = 0
    lock = threading.Lock()

    @registry.expose
    def slow() -> None:
        nonlocal count
        gate.wait()
        with lock:
            count += 1

    registry.expose(lambda: "served", name="f")
    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop, max_in_flight=5)
    service, link = Service(runtime, dispatcher), Link()
    for _ in range(1000):
        service.notify(link, "slow")
    await gate.until_reached()
    await service.settle()
    assert len(dispatcher._live) == 5
    gate.open.set()
    assert await service.empty()
    assert count == 5
    await dispatcher.close()


# -- limits and the end ----------------------------------------------------------------------------------


async def test_unfinished_calls_are_bounded_at_n_and_n_plus_1(runtime: Runtime, registry: Registry) -> None:
    gate = Gate()

    @registry.expose
    def slow() -> str:
        gate.wait()
        return "done"

    loop = asyncio.get_running_loop()
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop, max_in_flight=3)
    service, link, other = Service(runtime, dispatcher), Link(), Link(Caller("q" * 43, "q", "pinned", "lab"))
    # Answered at their deadline, two of them still run: they count.
    for _ in range(2):
        assert (await service.call(link, "slow", timeout=1))[0] == codes.DEADLINE_EXCEEDED
    third = service.send(link, "slow")
    refused = service.send(link, "slow")
    answer = await link.answer()
    assert answer[0] == refused
    assert answer[1] == codes.RESOURCE_EXHAUSTED
    assert answer[3] == NOT_RUN
    # The same peer on another link is the same peer; another peer is not held up.
    assert (await service.call(Link(), "slow"))[0] == codes.RESOURCE_EXHAUSTED
    at_other = service.send(other, "slow")
    gate.open.set()
    assert await link.answer() == (third, "done")
    assert await other.answer() == (at_other, "done")
    assert await service.call(link, "slow") == ("done",)
    assert await service.empty()
    await dispatcher.close()


async def test_the_end_of_a_link_stops_what_runs_for_it(service: Service, registry: Registry, link: Link) -> None:
    gate = Gate()
    started, stopped = asyncio.Event(), asyncio.Event()
    flags: list[bool] = []

    @registry.expose
    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @registry.expose
    def slow(context: Context) -> None:
        gate.wait()
        flags.append(context.cancelled)

    other = Link()
    service.send(link, "forever")
    service.send(link, "slow")
    service.notify(link, "forever")
    at_other = service.send(other, "forever")
    await asyncio.wait_for(started.wait(), BOUND)
    await gate.until_reached()
    service.runtime.call_soon(service.dispatcher.link_closed, link)
    await asyncio.wait_for(stopped.wait(), BOUND)
    gate.open.set()
    service.cancel(other, at_other)
    assert await other.answer() == (at_other, codes.CANCELLED, "cancelled", None)
    assert await service.empty()
    assert flags == [True]
    assert link.answers.empty()
    service.runtime.call_soon(service.dispatcher.link_closed, link)
    await service.settle()


async def test_nothing_of_a_finished_call_is_kept(service: Service, registry: Registry) -> None:
    class Payload(dict[str, int]):
        pass

    @registry.expose
    def take(value: Any) -> None: ...

    @registry.expose
    async def take_async(value: Any) -> None:
        await asyncio.sleep(0)

    link = Link()
    payload = Payload(a=1)
    gone = weakref.ref(payload)
    for method in ("take", "take_async", "unknown"):
        assert (await service.call(link, method, payload))[0] in (None, codes.METHOD_NOT_FOUND)
    gone_link = weakref.ref(link)
    del payload, link
    assert await service.empty()
    async with asyncio.timeout(BOUND):
        while gone() is not None or gone_link() is not None:
            gc.collect()
            await service.settle()


async def test_close_answers_and_stops(runtime: Runtime, registry: Registry) -> None:
    gate = Gate()
    started = asyncio.Event()

    @registry.expose
    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    @registry.expose
    def slow() -> str:
        gate.wait()
        return "done"

    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop, executor=executor)
        service, link = Service(runtime, dispatcher), Link()
        running, slow_one, waiting = (service.send(link, m) for m in ("forever", "slow", "slow"))
        await asyncio.wait_for(started.wait(), BOUND)
        await gate.until_reached()
        await dispatcher.close()
        answers = {answer[0]: answer[1:] for answer in (await link.answer(), await link.answer())}
        assert answers == {
            waiting: (codes.UNAVAILABLE, "this peer is closing", NOT_RUN),
            running: (codes.CANCELLED, "cancelled", None),
        }
        assert await service.call(link, "slow") == (codes.UNAVAILABLE, "this peer is closing", NOT_RUN)
        gate.open.set()
        assert await link.answer() == (slow_one, "done")
        assert await service.empty()


def test_a_user_s_loop_that_is_closed(runtime: Runtime) -> None:
    registry = Registry()

    @registry.expose
    async def f() -> int:
        return 1

    user_loop = asyncio.new_event_loop()
    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=user_loop)
    user_loop.close()

    async def check() -> None:
        service, link = Service(runtime, dispatcher), Link()
        assert await service.call(link, "f") == (codes.UNAVAILABLE, "this peer is closing", NOT_RUN)
        assert await service.empty()
        await dispatcher.close()

    asyncio.run(check())


async def test_one_loop_for_everything(registry: Registry) -> None:
    """As under a virtual clock: the network and the user share a loop."""

    class OneLoop:
        loop = asyncio.get_running_loop()

        def mailbox(self, loop: asyncio.AbstractEventLoop | None = None) -> Any:
            from rtcrpc.runtime import Mailbox

            return Mailbox(loop or self.loop)

    @registry.expose
    async def add(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    dispatcher = Dispatcher(registry, OpenPolicy(), runtime=OneLoop(), user_loop=OneLoop.loop)
    link = Link()
    dispatcher.dispatch(link, RequestReceived(1, "add", [1, 2], {}))
    assert await link.answer() == (1, 3)
    await dispatcher.close()


async def test_a_function_that_cannot_be_offered_is_told_at_the_start(runtime: Runtime) -> None:
    from rtcrpc.errors import ExposeError

    registry = Registry()
    exec(
        "from __future__ import annotations\ndef f(a: Missing) -> None: ...\n",
        space := {"__name__": "late"},
    )
    registry.expose(space["f"])
    with pytest.raises(ExposeError, match="Missing"):
        Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=asyncio.get_running_loop())
