"""The messages of streams and of progress, as sessions write them, follow their schemas; what breaks a schema ends a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from support.sessions import Party, pair, pump, ready_pair

from rtcrpc import codes
from rtcrpc.core.session import SessionConfig
from rtcrpc.core.values import StreamRef

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
REGISTRY: Registry[Any] = Registry().with_resources(
    (path.name, Resource.from_contents(json.loads(path.read_text(encoding="utf-8"))))
    for path in SCHEMAS.glob("*.schema.json")
)
JSON = SessionConfig(encodings=("json",), stream_window=100)


def is_valid(name: str, value: Any) -> bool:
    return Draft202012Validator({"$ref": f"{name}.schema.json"}, registry=REGISTRY).is_valid(value)


def said(party: Party) -> dict[str, list[Any]]:
    """The params of what a party sent, by method."""
    found: dict[str, list[Any]] = {}
    for frame in party.sent:
        message = json.loads(frame)
        assert is_valid("envelope", message)
        found.setdefault(message.get("method", "answer"), []).append(message.get("params"))
    return found


def test_what_sessions_write_follows_the_schemas() -> None:
    a, b = ready_pair(config=JSON)
    request = a.session.send_request("f", [], now=0)
    pump(a, b)
    first, second, inner = (b.session.open_stream() for _ in range(3))
    b.session.send_progress(request, 1)
    b.session.send_progress(request, 0.5, 2**60, "half")
    b.session.send_progress(request, float("inf"))
    b.session.send_response(request, [StreamRef(first), StreamRef(second)])
    b.session.send_items(first, [1, {"in": StreamRef(inner)}, {"$a": b"x"}])
    b.session.end_stream(first)
    b.session.send_items(second, ["x" * 200, "y"])
    b.session.end_stream(second, (codes.APPLICATION_ERROR, "no", {"detail": 1}))
    pump(a, b)
    a.session.credit_stream(second, 200)
    pump(a, b)
    a.session.stop_stream(inner)
    pump(a, b)
    ours, theirs = said(a), said(b)
    for found, method, count in (
        (theirs, "rpc.progress", 3),
        (theirs, "rpc.next", 2),
        (theirs, "rpc.end", 2),
        (ours, "rpc.credit", 1),
        (ours, "rpc.stop", 1),
    ):
        assert len(found[method]) >= count, method
        for params in found[method]:
            assert is_valid(method, params), (method, params)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("rpc.next", {"stream": 1, "items": []}),
        ("rpc.next", {"stream": 1}),
        ("rpc.next", {"stream": 0, "items": [1]}),
        ("rpc.next", {"stream": "1", "items": [1]}),
        ("rpc.next", [1, [1]]),
        ("rpc.end", {}),
        ("rpc.end", {"stream": 1, "error": "no"}),
        ("rpc.end", {"stream": 1, "error": {"code": "x", "message": ""}}),
        ("rpc.end", {"stream": 1, "error": {"code": 1}}),
        ("rpc.credit", {"stream": 1}),
        ("rpc.credit", {"stream": 1, "bytes": 0}),
        ("rpc.credit", {"stream": 1, "bytes": 1.5}),
        ("rpc.stop", {"stream": -1}),
        ("rpc.stop", []),
        ("rpc.progress", {"id": 1, "done": "half"}),
        ("rpc.progress", {"id": 1, "done": True}),
        ("rpc.progress", {"id": 1}),
        ("rpc.progress", {"id": 1, "done": 1, "total": "2"}),
        ("rpc.progress", {"id": 1, "done": 1, "message": 2}),
    ],
)
def test_what_breaks_a_schema_ends_the_session(method: str, params: Any) -> None:
    assert not is_valid(method, params)
    _, b = ready_pair(config=JSON)
    b.receive(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))
    assert b.closed is not None
    assert b.closed.code in (codes.INVALID_REQUEST, codes.PARSE_ERROR)


@pytest.mark.parametrize("window", [1, 2**53 - 1, None, 0, "1", 1.5])
def test_a_hello_with_streams_tells_its_window(window: Any) -> None:
    a, b = pair()
    (hello,) = a.take()
    assert isinstance(hello, str)
    message = json.loads(hello)
    assert is_valid("rpc.hello", message["params"])
    del message["params"]["streamWindow"]
    if window is not None:
        message["params"]["streamWindow"] = window
    good = type(window) is int and window > 0
    assert is_valid("rpc.hello", message["params"]) is good
    b.receive(json.dumps(message))
    assert (b.closed is None) is good
    message["params"]["features"] = ["cancel"]
    assert is_valid("rpc.hello", message["params"])
    _, c = pair()
    c.receive(json.dumps(message))
    assert c.closed is None
