"""How methods are shown on one line."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rtcrpc import Registry
from rtcrpc.cli.discover import signature_of


def test_a_signature_on_one_line() -> None:
    registry = Registry()

    @registry.expose
    async def scale(items: AsyncIterator[float], by: int = 2) -> AsyncIterator[list[float]]:
        async for item in items:
            yield [item * by]

    (method,) = registry.openrpc()["methods"]
    assert signature_of(method) == "scale(items: stream<number>, by: integer = 2) -> stream<array<number>>"
