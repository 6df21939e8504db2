"""Exposing: names, marks, objects, modules, and what is refused with which words."""

from __future__ import annotations

import asyncio
import enum
import functools
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from rtcrpc import limits
from rtcrpc.errors import ExposeError
from rtcrpc.service.context import Context
from rtcrpc.service.method import Method
from rtcrpc.service.registry import Registry, default_registry, expose


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture(autouse=True)
def clean_default() -> Iterator[None]:
    before = set(default_registry().names())
    yield
    for name in set(default_registry().names()) - before:
        default_registry().remove(name)


def method(registry: Registry, name: str) -> Method:
    found = registry.method(name)
    assert found is not None
    return found


class Arm:
    """A robot's arm."""

    limit = 3

    def __init__(self) -> None:
        self.at = 0

    @expose
    def move(self, to: int) -> int:
        """Move."""
        self.at = to
        return self.at

    @expose(name="halt", tags=("safety",), idempotent=True)
    async def stop(self, context: Context) -> str:
        return context.caller.name

    @expose
    @staticmethod
    def version() -> str:
        return "1"

    @classmethod
    @expose
    def reach(cls) -> int:
        return cls.limit

    def secret(self) -> None:
        raise AssertionError("not exposed")


def test_a_function(registry: Registry) -> None:
    @registry.expose
    def add(a: int, b: int) -> int:
        """Add two numbers.

        With care.
        """
        return a + b

    assert add(1, 2) == 3
    found = method(registry, "add")
    assert found.kind == "sync"
    assert found.function is add
    assert found.code is add.__code__
    assert (found.doc.summary, found.doc.description) == ("Add two numbers.", "With care.")
    assert not found.wants_context
    assert registry.names() == ["add"]
    assert "add" in registry
    assert [m.name for m in registry] == ["add"]
    assert len(registry) == 1


def test_an_async_function_with_arguments(registry: Registry) -> None:
    @registry.expose(name="arm.move", description="Moves.", idempotent=True, tags=["arm"])
    async def move(context: Context, to: int) -> None: ...

    found = method(registry, "arm.move")
    assert found.kind == "async"
    assert found.wants_context
    assert found.doc.summary == "Moves."
    assert found.idempotent
    assert found.tags == ("arm",)
    assert registry.method("move") is None


def test_a_function_given_with_a_name(registry: Registry) -> None:
    registry.expose(lambda: 1, name="one")
    registry.expose(len, name="length")
    registry.expose(functools.partial(scale, factor=3), name="triple")
    registry.expose(functools.partial(later, 1), name="later")
    assert method(registry, "triple").parameters.bind([2]) == ((2,), {"factor": 3})
    assert method(registry, "later").kind == "async"
    assert registry.names() == ["one", "length", "triple", "later"]


def scale(value: int, factor: int = 1) -> int:
    return value * factor


async def later(value: int) -> int:
    return value


def test_a_decorated_function_keeps_its_signature(registry: Registry) -> None:
    def twice(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> int:
            return 2 * function(*args, **kwargs)

        return inner

    registry.expose(twice(scale), name="scale")
    found = method(registry, "scale")
    assert [item.name for item in found.parameters.items] == ["value", "factor"]
    assert found.function(2) == 4
    assert found.code is scale.__code__


def test_an_object(registry: Registry) -> None:
    arm = Arm()
    assert registry.expose(arm, prefix="arm") is arm
    assert sorted(registry.names()) == ["arm.halt", "arm.move", "arm.reach", "arm.version"]
    move = method(registry, "arm.move")
    assert move.function(3) == 3
    assert arm.at == 3
    assert [item.name for item in move.parameters.items] == ["to"]
    assert method(registry, "arm.halt").kind == "async"
    assert method(registry, "arm.halt").tags == ("safety",)
    assert method(registry, "arm.reach").function() == 3
    assert method(registry, "arm.version").function() == "1"


def test_two_objects_of_a_class(registry: Registry) -> None:
    left, right = Arm(), Arm()
    registry.expose(left, prefix="left")
    registry.expose(right, prefix="right")
    method(registry, "left.move").function(1)
    assert (left.at, right.at) == (1, 0)
    registry.expose(Arm())
    assert "move" in registry


def test_marked_methods_do_not_enter_the_default_registry() -> None:
    assert not {"move", "halt", "version", "reach"} & set(default_registry().names())


def test_an_override_is_offered_only_if_marked(registry: Registry) -> None:
    class Quiet(Arm):
        def move(self, to: int) -> int:
            raise AssertionError("not exposed")

    class Loud(Arm):
        @expose
        def move(self, to: int) -> int:
            return to + 1

    registry.expose(Quiet(), prefix="quiet")
    registry.expose(Loud(), prefix="loud")
    assert "quiet.move" not in registry
    assert "quiet.version" in registry
    assert method(registry, "loud.move").function(1) == 2


def test_an_object_is_offered_whole_or_not_at_all(registry: Registry) -> None:
    registry.expose(scale, name="version")
    with pytest.raises(ExposeError, match="version: this name is taken"):
        registry.expose(Arm())
    assert registry.names() == ["version"]


def test_open_names_cannot_clash_with_self(registry: Registry) -> None:
    class Open:
        @expose
        def take(self, **more: int) -> int:
            return sum(more.values())

    registry.expose(Open())
    from rtcrpc.service.schema import InvalidParams

    take = method(registry, "take")
    assert take.parameters.bind({"a": 1}) == ((), {"a": 1})
    with pytest.raises(InvalidParams):
        take.parameters.bind({"self": 1})


def test_the_default_registry() -> None:
    @expose
    def in_default(a: int) -> int:
        return a

    assert in_default(1) == 1
    assert method(default_registry(), "in_default").function is in_default


def test_a_cell_that_is_run_again_replaces_its_function() -> None:
    code = "from rtcrpc.service.registry import expose\n@expose\ndef rerun(a: int) -> int:\n    return a + {}\n"
    for add in (1, 2):
        exec(code.format(add), {"__name__": "notebook"})
    assert method(default_registry(), "rerun").function(1) == 3
    with pytest.raises(ExposeError, match=r"rerun: this name is taken by notebook\.rerun"):
        exec(code.format(3), {"__name__": "other"})


def test_from_module() -> None:
    module = types.ModuleType("robot")
    code = """
from rtcrpc.service.registry import Registry, expose
from rtcrpc.service.context import current_context
@expose
def add(a: int, b: "int") -> int: return a + b
@expose(name="sub.tract")
async def subtract(a: int, b: int) -> int: return a - b
def hidden() -> None: ...
also_add = add
own = Registry()
@own.expose
def elsewhere() -> None: ...
"""
    exec(code, module.__dict__)
    imported = types.ModuleType("importing")
    imported.__dict__["add"] = module.__dict__["add"]
    registry = Registry.from_module(module)
    assert registry.names() == ["add", "sub.tract"]
    assert Registry.from_module(imported).names() == []


def test_types_that_are_defined_further_down(registry: Registry) -> None:
    space: dict[str, Any] = {"__name__": "late", "registry": registry}
    exec(
        "from __future__ import annotations\nimport enum\n@registry.expose\ndef f(a: Late) -> Late: return a\n",
        space,
    )
    assert registry.names() == ["f"]
    with pytest.raises(ExposeError, match=r"f: an annotation can't be resolved: name 'Late' is not defined"):
        registry.complete()
    exec("class Late(enum.Enum):\n    A = 'a'\n", space)
    args, _ = method(registry, "f").parameters.bind(["a"])
    assert args == (space["Late"].A,)


def test_types_of_a_function_within_a_function(registry: Registry) -> None:
    class Here(enum.Enum):
        A = "a"

    @registry.expose
    def f(a: Here) -> Here:
        return a

    @expose(name="in default")
    def g(a: Here) -> Here:
        return a

    assert method(registry, "f").parameters.bind(["a"]) == ((Here.A,), {})
    assert method(default_registry(), "in default").parameters.bind(["a"]) == ((Here.A,), {})


def test_remove(registry: Registry) -> None:
    registry.expose(scale)
    revision = registry.revision
    registry.remove("scale")
    assert registry.method("scale") is None
    assert registry.revision > revision
    with pytest.raises(KeyError):
        registry.remove("scale")


@pytest.mark.parametrize("name", ["a" * limits.MAX_METHOD_LENGTH, "x", "arm.move", "größe", "with space", "1"])
def test_names_that_are_fine(registry: Registry, name: str) -> None:
    registry.expose(scale, name=name)
    assert registry.names() == [name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "expected 1 to 128 characters, got 0"),
        ("a" * (limits.MAX_METHOD_LENGTH + 1), "got 129"),
        ("rpc.ping", "belong to the protocol"),
        ("rpc.", "belong to the protocol"),
        ("@7", "belong to the protocol"),
        ("a\nb", "can be shown"),
        ("a\ud800", "can be shown"),
        (7, "expected 1 to 128 characters, got 7"),
    ],
)
def test_names_that_are_not(registry: Registry, name: Any, words: str) -> None:
    with pytest.raises(ExposeError, match=words):
        registry.expose(scale, name=name)
    with pytest.raises(ExposeError, match=words):
        expose(name=name)(scale)
    assert len(registry) == 0


@pytest.mark.parametrize(
    ("target", "arguments", "words"),
    [
        (lambda: 1, {}, "no name of its own"),
        (functools.partial(scale), {}, "no name of its own"),
        (Arm, {}, r"got a class; mark methods with rtcrpc.expose and then call registry.expose\(Arm\(...\)\)"),
        (int, {"name": "int"}, "got a class"),
        (object(), {}, "expected methods marked with rtcrpc.expose, got none"),
        (7, {}, "an object of int: expected methods marked"),
        (Arm(), {"name": "arm"}, "use prefix= for the object"),
        (scale, {"prefix": "arm"}, "prefix goes with an object"),
        (staticmethod(scale), {}, "staticmethod: mark the method"),
        (property(scale), {}, "property: mark the method"),
        (max, {"name": "max"}, "its parameters can't be found out"),
        (scale, {"tags": "arm"}, "tags: expected several"),
    ],
)
def test_what_is_refused(registry: Registry, target: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ExposeError, match=words):
        registry.expose(target, **arguments)
    assert len(registry) == 0


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Arm, "got the class Arm"),
        (Arm(), "got a Arm"),
        (property(scale), "got a property"),
        (lambda: 1, "no name of its own"),
    ],
)
def test_what_the_mark_refuses(target: Any, words: str) -> None:
    with pytest.raises(ExposeError, match=words):
        expose(target)


def test_generators_are_functions_whose_result_is_a_stream(registry: Registry) -> None:
    class Camera:
        @expose
        async def frames(self) -> AsyncIterator[bytes]:
            yield b""

        @expose
        def lines(self) -> Iterator[int]:
            yield 1

        @expose
        async def anything(self, n: int):  # type: ignore[no-untyped-def]
            yield n

    async def loose() -> AsyncIterator[int]:
        yield 1

    registry.expose(Camera())
    registry.expose(functools.partial(loose), name="partial")
    kinds = {made.name: (made.kind, made.is_generator) for made in registry}
    assert kinds == {
        "frames": ("async", True),
        "lines": ("sync", True),
        "anything": ("async", True),
        "partial": ("async", True),
    }
    results = {made["name"]: made["result"]["schema"] for made in registry.openrpc()["methods"]}
    assert results["lines"] == results["partial"] == {"type": "object", "x-stream": True, "items": {"type": "integer"}}
    assert results["anything"] == {"type": "object", "x-stream": True, "items": {}}


def test_duplicates(registry: Registry) -> None:
    registry.expose(scale)
    with pytest.raises(ExposeError, match=r"scale: this name is taken by .*scale; give one of the two another"):
        registry.expose(later, name="scale")
    assert method(registry, "scale").function is scale


async def test_exposing_while_serving_is_safe(registry: Registry) -> None:
    def add_some(start: int) -> None:
        for number in range(start, start + 50):
            registry.expose(scale, name=f"f{number}")

    await asyncio.gather(*(asyncio.to_thread(add_some, start) for start in (0, 50, 100)))
    assert len(registry) == 150
