"""rtcrpc.proxy: names and arguments become methods and params, and nothing becomes a call by accident."""

import asyncio
import copy
import inspect
from collections.abc import Awaitable
from typing import Any

import pytest

from rtcrpc.proxy import Call, CallNamespace, CallOptions, NotifyNamespace, make_params


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    async def invoke(self, method: str, params: Any, options: CallOptions) -> str:
        self.seen.append((method, params, options.timeout))
        return "answer"

    def send_notification(self, method: str, params: Any, *, reliable: bool = True) -> Awaitable[None]:
        async def note() -> None:
            self.seen.append((method, params) if reliable else (method, params, "lossy"))

        return note()


async def test_a_call_by_position_and_by_name() -> None:
    recorder = Recorder()
    call = CallNamespace(recorder)
    assert await call.add(1, 2) == "answer"
    await call.add(a=1, b=2)
    await call.nothing()
    assert recorder.seen == [("add", [1, 2], None), ("add", {"a": 1, "b": 2}, None), ("nothing", [], None)]


async def test_dotted_names_and_odd_names() -> None:
    recorder = Recorder()
    call = CallNamespace(recorder)
    await call.arm.left.move(1)
    await call["_odd name"](2)
    await call["arm"].move(3)
    assert [seen[0] for seen in recorder.seen] == ["arm.left.move", "_odd name", "arm.move"]


async def test_options_make_a_new_namespace() -> None:
    recorder = Recorder()
    call = CallNamespace(recorder)
    await call.with_(timeout=0.5).slow()
    await call.slow()
    assert [seen[2] for seen in recorder.seen] == [0.5, None]


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_above_zero(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout: expected"):
        CallOptions(timeout=timeout)


def test_arguments_are_not_mixed() -> None:
    with pytest.raises(TypeError, match="all arguments by position or all by name"):
        make_params("add", (1,), {"b": 2})


def test_what_python_probes_for_is_no_method() -> None:
    call = CallNamespace(Recorder())
    for name in ("__wrapped__", "_repr_html_", "__deepcopy__", "__await__"):
        with pytest.raises(AttributeError):
            getattr(call, name)
        with pytest.raises(AttributeError):
            getattr(call.add, name)
    assert not inspect.isawaitable(call.add)
    assert copy.copy(call.add) is not None


async def test_notifications() -> None:
    recorder = Recorder()
    notify = NotifyNamespace(recorder)
    await notify.arm.stop(1)
    assert recorder.seen == [("arm.stop", [1])]
    recorder.seen.clear()
    lossy = notify.with_(reliable=False)
    await lossy.arm.pose(1, 2)
    await notify.arm.with_(reliable=False).pose(x=1)
    await lossy.with_(reliable=True).arm.stop()
    assert recorder.seen == [("arm.pose", [1, 2], "lossy"), ("arm.pose", {"x": 1}, "lossy"), ("arm.stop", [])]
    with pytest.raises(TypeError, match="name of a method"):
        notify()


# -- calls -----------------------------------------------------------------------------------------------


def call_of(result: Any) -> tuple[Call, list[str]]:
    made: list[str] = []

    async def begin() -> Any:
        made.append("made")
        await asyncio.sleep(0)
        return result

    return Call("f", begin), made


async def test_a_call_is_made_when_it_is_awaited_and_once() -> None:
    call, made = call_of(3)
    assert made == []
    assert await call == 3
    assert made == ["made"]
    with pytest.raises(RuntimeError, match="f: this call was made before"):
        await call


async def test_a_call_goes_where_coroutines_go() -> None:
    assert await asyncio.create_task(call_of(1)[0]) == 1
    assert await asyncio.gather(call_of(1)[0], call_of(2)[0]) == [1, 2]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(call_of(5)[0])
    assert task.result() == 5
    assert await asyncio.wait_for(call_of(4)[0], 10) == 4

    async def for_ever() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(Call("f", for_ever))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_call_that_nobody_awaits_is_told() -> None:
    with pytest.warns(RuntimeWarning, match="the call of f was never awaited, so it was not made"):
        call_of(1)[0].__del__()
    call, made = call_of(1)
    call.close()
    assert made == []


async def test_only_a_stream_is_iterated() -> None:
    with pytest.raises(TypeError, match="f: expected a stream to iterate, got a result of type int"):
        async for _ in call_of(3)[0]:
            pass


async def test_options_are_kept_one_by_one() -> None:
    seen: list[CallOptions] = []

    class Keeper:
        async def invoke(self, method: str, params: Any, options: CallOptions = CallOptions()) -> None:  # noqa: B008
            seen.append(options)

    def tell(done: float, total: float | None, message: str | None) -> None: ...

    call = CallNamespace(Keeper())
    await call.with_(timeout=2).with_(progress=tell).f()
    await call.with_(progress=tell).with_(progress=None).f()
    assert seen == [CallOptions(2, tell), CallOptions()]
