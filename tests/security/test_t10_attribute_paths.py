"""T10, attribute traversal: 200 paths, each from 3 places, reach nothing."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.answers import AnswerKeeper

import rtcrpc
from rtcrpc import codes
from rtcrpc.core.events import RequestReceived
from rtcrpc.runtime import Runtime
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import OpenPolicy
from rtcrpc.service.registry import Registry, expose

BOUND = 10.0

_STARTS = [
    "__class__",
    "__dict__",
    "__globals__",
    "__builtins__",
    "__init__",
    "__new__",
    "__call__",
    "__self__",
    "__func__",
    "__wrapped__",
    "__code__",
    "__closure__",
    "__defaults__",
    "__module__",
    "__doc__",
    "__annotations__",
    "__getattribute__",
    "__getattr__",
    "__setattr__",
    "__delattr__",
    "__reduce__",
    "__reduce_ex__",
    "__subclasshook__",
    "__init_subclass__",
    "__mro__",
    "__bases__",
    "__subclasses__",
    "__import__",
    "__loader__",
    "__spec__",
    "__file__",
    "__name__",
    "__qualname__",
    "__dir__",
    "__format__",
    "__sizeof__",
    "__weakref__",
    "secret",
    "_secret",
    "hidden",
    "at",
    "eval",
    "exec",
    "open",
    "compile",
    "getattr",
    "os",
    "sys",
    "subprocess",
    "importlib",
    "registry",
    "_registry",
    "expose",
    "names",
    "method",
    "openrpc",
]
_ENDS = ("", ".__globals__", ".__class__.__mro__", ".system")
PATHS = [start + end for start in _STARTS for end in _ENDS][:200]
PLACES = ("{}", "add.{}", "arm.{}")


class Arm:
    """Holds what must not be reached."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.secret = self.hidden

    @expose
    def move(self) -> int:
        return 1

    def hidden(self, *args: Any) -> str:
        self.reached.append("hidden")
        return "reached"

    _secret = hidden

    def __getattr__(self, name: str) -> Any:
        # Whatever is asked for that isn't there: only a lookup by a name from the wire could ask.
        self.reached.append(name)
        raise AttributeError(name)


async def test_no_path_reaches_anything(report: Callable[[str, str], None]) -> None:
    assert len(PATHS) == len(set(PATHS)) == 200
    arm, registry = Arm(), Registry()
    registry.expose(arm, prefix="arm")
    arm.reached.clear()
    ran: list[int] = []

    @registry.expose
    def add(a: int = 1, b: int = 2) -> int:
        ran.append(a)
        return a + b

    with Runtime("test-network") as runtime:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop)
        link = AnswerKeeper()
        methods = [place.format(path) for path in PATHS for place in PLACES]
        for number, method in enumerate(methods):
            runtime.call_soon(dispatcher.dispatch, link, RequestReceived(number, method, [], {}))
        answers = [await asyncio.wait_for(link.answers.get(), BOUND) for _ in methods]
        reached = [methods[answer[0]] for answer in answers if len(answer) == 2]
        assert reached == []
        # One answer for all of them: it tells nothing apart.
        assert {answer[1:3] for answer in answers} == {(codes.METHOD_NOT_FOUND, "there is no method of this name")}
        assert arm.reached == []
        assert ran == []
        for number, method in enumerate(("add", "arm.move")):
            runtime.call_soon(dispatcher.dispatch, link, RequestReceived(number, method, [], {}))
        assert sorted([await asyncio.wait_for(link.answers.get(), BOUND) for _ in range(2)]) == [(0, 3), (1, 1)]
        await dispatcher.close()
    report("T10", f"{len(methods)} names of {len(PATHS)} paths tried: {len(reached)} reached")


# File -> the functions in which getattr or setattr takes a name that is not written out. In none of them does the name come from
# the wire; each says where it comes from.
_ALLOWED = {
    ("__init__.py", "__getattr__"): "the table of public names",
    ("service/registry.py", "_mark"): "a constant: the mark itself",
    ("service/registry.py", "_add_object"): "the attributes of a class, when one of its objects is exposed",
    ("wire.py", "_convert"): "the fields of a dataclass that is given or returned",
    ("bootstrap/config.py", "__post_init__"): "the fields of the configuration",
    ("core/invite.py", "to_fragment"): "the fields of an invite",
    ("cli/load.py", "load_registry"): "what the user of the command line typed",
}


def test_no_attribute_is_looked_up_by_a_name_from_the_wire() -> None:
    root = Path(rtcrpc.__file__).parent
    found = set()
    for file in sorted(root.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for outer in ast.walk(tree):
            if not isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(outer):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in ("getattr", "setattr", "delattr", "attrgetter", "methodcaller")
                    and not (len(node.args) > 1 and isinstance(node.args[1], ast.Constant))
                ):
                    found.add((file.relative_to(root).as_posix(), outer.name))
    assert found <= set(_ALLOWED), f"an attribute looked up by a variable name: {found - set(_ALLOWED)}"
