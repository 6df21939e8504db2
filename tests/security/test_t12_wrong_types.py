"""T12, argument confusion: 1,000 random calls, each with one argument of a wrong type, run nothing."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from support.answers import AnswerKeeper

from rtcrpc import codes
from rtcrpc.core.events import RequestReceived
from rtcrpc.runtime import Runtime
from rtcrpc.service.dispatch import Dispatcher
from rtcrpc.service.policy import OpenPolicy
from rtcrpc.service.registry import Registry

BOUND = 10.0
SWAPS = 1000
SEED = 12
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Box(BaseModel):
    width: int
    label: str


@dataclass
class Point:
    x: float
    y: float


# One value of each type that the wire has, and some that look like another type.
WIRE: list[Any] = [
    None, True, False, 0, 1, 7, -(2**70), 1.0, 2.5, float("nan"), "", "1", "true", "null", "red", "2026-11-22", b"", b"1",
    NOW, [], [1], ["1"], [None], {}, {"a": 1}, {"x": 1}, {"width": "1", "label": 1}, [[1]], {"a": {"b": 1}},
]  # fmt: skip

# Type -> a value that fits, and the values of `WIRE` that fit too.
TYPES: dict[str, tuple[Any, Any, Any]] = {
    "int": (int, 3, lambda v: type(v) is int),
    "float": (float, 1.5, lambda v: type(v) in (int, float)),
    "str": (str, "x", lambda v: type(v) is str),
    "bool": (bool, True, lambda v: type(v) is bool),
    "bytes": (bytes, b"x", lambda v: type(v) is bytes),
    "maybe": (int | None, None, lambda v: v is None or type(v) is int),
    "ints": (list[int], [1], lambda v: type(v) is list and all(type(i) is int for i in v)),
    "pair": (tuple[int, str], [1, "a"], lambda v: False),
    "names": (set[str], ["a"], lambda v: type(v) is list and all(type(i) is str for i in v)),
    "table": (dict[str, int], {"a": 1}, lambda v: type(v) is dict and all(type(i) is int for i in v.values())),
    "colour": (Colour, "red", lambda v: v == "red"),
    "level": (Level, 1, lambda v: type(v) is int and v == 1),
    "word": (Literal["a", "b"], "a", lambda v: False),
    "box": (Box, {"width": 1, "label": "x"}, lambda v: False),
    "point": (Point, {"x": 1.5, "y": 2}, lambda v: False),
    "when": (datetime.datetime, NOW, lambda v: v is NOW or v == "2026-11-22"),
    "day": (datetime.date, "2026-11-22", lambda v: v is NOW or v == "2026-11-22"),
    "id": (uuid.UUID, "12345678-1234-5678-1234-567812345678", lambda v: False),
    "price": (decimal.Decimal, "1.10", lambda v: v == "1" or type(v) in (int, float)),
}


def make_function(name: str, types: list[str], runs: list[str], *, is_async: bool) -> Any:
    """A function with a parameter of each of `types`, which notes that it ran."""
    signature = ", ".join(f"p{index}" for index in range(len(types)))
    space: dict[str, Any] = {"runs": runs}
    word = "async def" if is_async else "def"
    exec(f"{word} {name}({signature}):\n    runs.append({name!r})", space)
    function = space[name]
    function.__annotations__ = {f"p{index}": TYPES[kind][0] for index, kind in enumerate(types)}
    return function


async def test_no_function_runs_on_a_wrong_type(report: Callable[[str, str], None]) -> None:
    chance = random.Random(SEED)
    runs: list[str] = []
    registry = Registry()
    signatures: dict[str, list[str]] = {}
    for number in range(50):
        name, types = f"f{number}", [chance.choice(list(TYPES)) for _ in range(chance.randint(1, 5))]
        registry.expose(make_function(name, types, runs, is_async=bool(number % 2)))
        signatures[name] = types

    with Runtime("test-network") as runtime:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher(registry, OpenPolicy(), runtime=runtime, user_loop=loop)
        link = AnswerKeeper()

        async def call(number: int, name: str, args: list[Any]) -> tuple[Any, ...]:
            params: Any = args
            if chance.random() < 0.5:
                params = {f"p{index}": value for index, value in enumerate(args)}
            runtime.call_soon(dispatcher.dispatch, link, RequestReceived(number, name, params, {}))
            return await asyncio.wait_for(link.answers.get(), BOUND)

        # The right arguments are taken: what is refused below is refused for the swap.
        for number, (name, types) in enumerate(signatures.items()):
            assert await call(number, name, [TYPES[kind][1] for kind in types]) == (number, None)
        assert sorted(runs) == sorted(signatures)
        runs.clear()

        for number in range(SWAPS):
            name = chance.choice(list(signatures))
            args = [TYPES[kind][1] for kind in signatures[name]]
            place = chance.randrange(len(args))
            fits = TYPES[signatures[name][place]][2]
            args[place] = chance.choice([value for value in WIRE if not fits(value)])
            answer = await call(number, name, args)
            swap = (signatures[name][place], args[place], answer)
            assert len(answer) == 4, swap
            assert answer[1] == codes.INVALID_PARAMS, swap
            assert answer[3]["ran"] is False, swap
            assert answer[3]["issues"][0]["path"][0] == f"p{place}", swap
        assert runs == []
        await dispatcher.close()
    report("T12", f"{SWAPS} type swaps: {len(runs)} functions ran")
