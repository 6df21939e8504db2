"""A peer whose every name, text, default, result and error is hostile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from browser.hostile_strings import HOSTILE
from pydantic import Field

from rtcrpc import Error, Registry
from rtcrpc.service.method import Method

NAMES = {text[:128]: f"f{index}" for index, text in enumerate(HOSTILE)}


class HostileRegistry(Registry):
    """Offers its functions under names that an honest registry refuses: what a peer in another language may do."""

    def openrpc(self, title: str = "", names: Iterable[str] | None = None) -> dict[str, Any]:
        document = super().openrpc(title, names)
        for method, name in zip(document["methods"], NAMES, strict=True):
            method["name"] = name
        return document

    def method(self, name: str) -> Method | None:
        return super().method(NAMES.get(name, name))


registry = HostileRegistry()


def _offer(text: str) -> None:
    def function(
        argument: Annotated[str, Field(title=text, description=text, pattern="^.*$")] = text,
        choice: Any = text,
        raises: bool = False,
    ) -> Any:
        if raises:
            raise Error(text, detail={text: [text]})
        return [{text: text, "other": [text, {text: text}]}, text]

    # A choice whose options are the text: `Literal` of a value that is known only now.
    function.__annotations__["choice"] = Literal[text]
    registry.expose(function, name=NAMES[text[:128]], description=f"{text}\n\n{text * 3}")


for _text in HOSTILE:
    _offer(_text)
