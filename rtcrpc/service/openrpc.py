"""What a peer offers, as an OpenRPC 1.3 document (https://spec.open-rpc.org): the answer to
`rpc.discover`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from rtcrpc.errors import EncodeError
from rtcrpc.service.schema import Parameter, make_adapter
from rtcrpc.wire import to_wire

if TYPE_CHECKING:
    from rtcrpc.service.method import Method

__all__ = ["OPENRPC_VERSION", "openrpc_document"]

OPENRPC_VERSION = "1.3.2"

_EMPTY = Parameter.__dataclass_fields__["default"].default
_RESULT = ""
"""The key of a method's result beside those of its parameters, which are never empty."""

Key = tuple[str, str]


def openrpc_document(methods: Iterable[Method], *, title: str, version: str = "1") -> dict[str, Any]:
    """The document of `methods`. Schemas that they share are in `components.schemas`.

    Members that begin with `x-` are ours: `x-variadic` on a parameter that takes all further arguments,
    "positional" or "named"; `x-idempotent` on a method that may be run twice; `x-reliable`, false, on one that may be told over the
    lossy channel; `x-array` in the schema of an array of numbers;
    `x-stream` in that of a stream, whose `items` is the schema of one item; `x-file` in that of a file.
    """
    methods = list(methods)
    schemas, components = _schemas(methods)
    document: dict[str, Any] = {
        "openrpc": OPENRPC_VERSION,
        "info": {"title": title, "version": version},
        "methods": [_method(method, schemas) for method in methods],
    }
    if components:
        document["components"] = {"schemas": components}
    return document


class _Generator(GenerateJsonSchema):
    """Types that JSON Schema has no words for accept anything: a document must come out in any case."""

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default that has no JSON form is left out; nobody reads a warning of a peer that runs."""


def _schemas(methods: list[Method]) -> tuple[dict[Key, JsonSchemaValue], dict[str, Any]]:
    inputs: list[tuple[Key, JsonSchemaMode, TypeAdapter[Any]]] = []
    for method in methods:
        for item in method.parameters.items:
            inputs.append(((method.name, item.name), "validation", make_adapter(method.name, item.annotation)))
        inputs.append(((method.name, _RESULT), "serialization", method.result.adapter))
    if not inputs:
        return {}, {}
    found, shared = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=_Generator
    )
    return {key: schema for (key, _), schema in found.items()}, shared.get("$defs", {})


def _method(method: Method, schemas: dict[Key, JsonSchemaValue]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": method.name}
    if method.tags:
        described["tags"] = [{"name": tag} for tag in method.tags]
    if method.doc.summary:
        described["summary"] = method.doc.summary
    if method.doc.description:
        described["description"] = method.doc.description
    described["paramStructure"] = method.parameters.structure
    described["params"] = [
        _parameter(item, schemas[method.name, item.name], method.doc.parameters.get(item.name))
        for item in method.parameters.items
    ]
    described["result"] = {"name": "result", "schema": schemas[method.name, _RESULT]}
    if method.idempotent:
        described["x-idempotent"] = True
    if not method.reliable:
        described["x-reliable"] = False
    return described


def _parameter(item: Parameter, schema: JsonSchemaValue, text: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {"name": item.name}
    text = text or schema.get("description")
    if text:
        described["description"] = text
    if item.variadic is not None:
        described["x-variadic"] = item.variadic
    elif item.default is not _EMPTY:
        # A default without a form on the wire is left out; that there is one shows in `required`.
        with contextlib.suppress(EncodeError):
            schema = {**schema, "default": to_wire(item.default, item.name)}
    described["required"] = item.required
    described["schema"] = schema
    return described
