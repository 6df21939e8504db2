"""rtcrpc.proxy: names and arguments become methods and params, and nothing becomes a call by accident."""

import copy
import inspect
from collections.abc import Awaitable
from typing import Any

import pytest

from rtcrpc.proxy import CallNamespace, CallOptions, NotifyNamespace, make_params


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    async def invoke(self, method: str, params: Any, options: CallOptions) -> str:
        self.seen.append((method, params, options.timeout))
        return "answer"

    def send_notification(self, method: str, params: Any) -> Awaitable[None]:
        async def note() -> None:
            self.seen.append((method, params))

        return note()


async def test_a_call_by_position_and_by_name() -> None:
    recorder = Recorder()
    call = CallNamespace(recorder)
    assert await call.add(1, 2) == "answer"
    await call.add(a=1, b=2)
    await call.nothing()
    await call.move(self=1)
    assert recorder.seen == [
        ("add", [1, 2], None),
        ("add", {"a": 1, "b": 2}, None),
        ("nothing", [], None),
        ("move", {"self": 1}, None),
    ]


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


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
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
    with pytest.raises(TypeError, match="name of a method"):
        notify()
