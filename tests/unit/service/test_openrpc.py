"""The OpenRPC document: valid schemas, and the same verdict as the validator."""

from __future__ import annotations

import datetime
import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from rtcrpc.service.context import Context
from rtcrpc.service.registry import Registry
from rtcrpc.service.schema import InvalidParams


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Box(BaseModel):
    """A box."""

    width: int = Field(gt=0, description="in metres")
    inner: list[Box] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


class Odd:
    """A type with a validator and no JSON Schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(lambda value: value)


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.expose(tags=["maths"], idempotent=True)
    def add(a: int, b: int = 2) -> int:
        """Add two numbers.

        With care.

        Args:
            a: the first
        """
        return a + b

    @registry.expose
    def place(context: Context, box: Box, at: Point, colour: Colour = Colour.RED) -> Point:
        return at

    @registry.expose
    async def wait(*, seconds: Annotated[float, Field(ge=0)]) -> None: ...

    @registry.expose
    def anything(value, when: datetime.datetime | None = None):  # type: ignore[no-untyped-def]
        return value

    @registry.expose
    def many(*rest: int, **more: Literal["a", "b"]) -> list[Box]:
        return []

    @registry.expose
    def odd(value: Odd, blob: bytes = b"\xff", default: Odd = Odd()) -> bytes:  # noqa: B008
        return b""

    return registry


def schemas(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for method in document["methods"]:
        for descriptor in [*method["params"], method["result"]]:
            yield descriptor["schema"]
    yield from document.get("components", {}).get("schemas", {}).values()


def described(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(method for method in document["methods"] if method["name"] == name)


def test_the_document(registry: Registry) -> None:
    document = registry.openrpc("robot")
    assert document["openrpc"].startswith("1.3")
    assert document["info"] == {"title": "robot", "version": "1"}
    assert [m["name"] for m in document["methods"]] == registry.names()
    assert json.loads(json.dumps({k: v for k, v in document.items() if k != "methods"}))


def test_a_method(registry: Registry) -> None:
    assert described(registry.openrpc(), "add") == {
        "name": "add",
        "tags": [{"name": "maths"}],
        "summary": "Add two numbers.",
        "description": "With care.",
        "paramStructure": "either",
        "params": [
            {"name": "a", "description": "the first", "required": True, "schema": {"type": "integer"}},
            {"name": "b", "required": False, "schema": {"type": "integer", "default": 2}},
        ],
        "result": {"name": "result", "schema": {"type": "integer"}},
        "x-idempotent": True,
    }


def test_structures_and_variadic_parameters(registry: Registry) -> None:
    document = registry.openrpc()
    assert described(document, "wait")["paramStructure"] == "by-name"
    assert described(document, "wait")["result"]["schema"] == {"type": "null"}
    many = described(document, "many")["params"]
    assert [(p["name"], p["x-variadic"], p["required"]) for p in many] == [
        ("rest", "positional", False),
        ("more", "named", False),
    ]


def test_the_context_is_no_parameter(registry: Registry) -> None:
    place = described(registry.openrpc(), "place")
    assert [p["name"] for p in place["params"]] == ["box", "at", "colour"]
    assert place["params"][2]["schema"]["default"] == "red"


def test_what_has_no_schema_accepts_anything(registry: Registry) -> None:
    document = registry.openrpc()
    assert described(document, "odd")["params"][0] == {"name": "value", "required": True, "schema": {}}
    assert described(document, "odd")["params"][2] == {"name": "default", "required": False, "schema": {}}
    assert described(document, "anything")["params"][0]["schema"] == {}
    assert described(document, "anything")["result"]["schema"] == {}


def test_every_schema_is_valid_and_every_reference_leads_somewhere(registry: Registry) -> None:
    document = registry.openrpc()
    for schema in schemas(document):
        Draft202012Validator.check_schema(schema)
    components = document["components"]["schemas"]
    references = [word.strip('"') for word in json.dumps(document, default=repr).split() if "#/components/" in word]
    assert references
    for reference in references:
        assert reference.strip('",}]').removeprefix("#/components/schemas/") in components


def test_only_what_is_asked_for(registry: Registry) -> None:
    document = registry.openrpc(names=["add"])
    assert [m["name"] for m in document["methods"]] == ["add"]
    assert "components" not in document
    assert Registry().openrpc()["methods"] == []


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("add", {"a": 1}),
        ("add", {"a": "1"}),
        ("add", {"a": 1, "b": 1.5}),
        ("add", {"a": True}),
        ("place", {"box": {"width": 1}, "at": {"x": 1}}),
        ("place", {"box": {"width": 0}, "at": {"x": 1}}),
        ("place", {"box": {"width": 1, "inner": [{"width": "1"}]}, "at": {"x": 1}}),
        ("place", {"box": {"width": 1}, "at": {"x": "1"}}),
        ("place", {"box": {"width": 1}, "at": {"x": 1}, "colour": "green"}),
        ("place", {"box": {"width": 1}, "at": {"x": 1}, "colour": "blue"}),
        ("wait", {"seconds": -1}),
        ("wait", {"seconds": 1}),
    ],
)
def test_the_schema_and_the_validator_agree(registry: Registry, name: str, params: dict[str, Any]) -> None:
    document = registry.openrpc()
    by_schema = all(
        Draft202012Validator({**p["schema"], "components": document["components"]}).is_valid(params[p["name"]])
        for p in described(document, name)["params"]
        if p["name"] in params
    )
    method = registry.method(name)
    assert method is not None
    try:
        method.parameters.bind(params)
    except InvalidParams:
        by_validator = False
    else:
        by_validator = True
    assert by_schema == by_validator
