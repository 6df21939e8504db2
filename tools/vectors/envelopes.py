"""Envelopes (protocol section 5) in both encodings, and what is none."""

from __future__ import annotations

from typing import Any

import msgpack

from vectors.primitives import compact

__all__ = ["make"]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
LONGEST_METHOD = 128


def make() -> dict[str, Any]:
    """The content of `envelopes.json`."""
    return {
        "valid": valid(),
        "readable": readable(),
        "refusedJson": refused_json(),
        "refusedMessagePack": refused_messagepack(),
    }


def request(id_: Any, method: str, params: Any, meta: dict[str, Any] | None = None) -> dict[str, Any]:
    """The meaning of a request, as the vectors put it."""
    return {"type": "request", "id": id_, "method": method, "params": params, "meta": meta or {}}


def notification(method: str, params: Any, meta: dict[str, Any] | None = None) -> dict[str, Any]:
    """The meaning of a notification, as the vectors put it."""
    return {"type": "notification", "method": method, "params": params, "meta": meta or {}}


def response(id_: Any, result: Any) -> dict[str, Any]:
    """The meaning of a response, as the vectors put it."""
    return {"type": "response", "id": id_, "result": result}


def error(id_: Any, code: int, message: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """The meaning of an error, as the vectors put it."""
    return {"type": "error", "id": id_, "code": code, "message": message, "data": data}


def valid() -> list[dict[str, Any]]:
    """What a writer writes and a reader reads."""
    everything = {"timeout": 500, "trace": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "key": "k1"}
    details = {"ran": False, "type": "Busy", "retryAfter": 250, "detail": {"queue": [1, 2]}}
    samples = {
        "request with a list": request(1, "add", [1, 2]),
        "request with a map": request(2, "add", {"a": 1, "b": 2}),
        "request without params": request(3, "now", []),
        "request with a timeout": request(4, "slow", [], {"timeout": 500}),
        "request with all of meta": request(5, "slow", {"n": 1}, everything),
        "request with the largest id": request(2**53 - 1, "add", [1, 2]),
        "request with the id 0": request(0, "add", [1, 2]),
        "request for the longest method": request(6, "m" * LONGEST_METHOD, []),
        "request for the longest method, in characters of four bytes": request(7, "😀" * LONGEST_METHOD, []),
        "request for a method with a dot and a space": request(8, "arm.move to", []),
        "request that looks inherited": request(9, "__proto__", []),
        "reserved request": request(10, "rpc.discover", {}),
        "response with null": response(1, None),
        "response with a number": response(2, 3),
        "response with a map": response(3, {"result": 1, "error": 2}),
        "error": error(1, -32601, "method not found"),
        "error with data": error(2, -32004, "resource exhausted", details),
        "error with a code of the function's own": error(3, 7, "out of paper"),
        "error with an empty message": error(4, -32603, ""),
        "notification with a list": notification("log", ["hello"]),
        "notification with a map": notification("rpc.cancel", {"id": 7}),
        "notification without params": notification("tick", []),
        "notification with meta": notification("log", [1], {"trace": everything["trace"]}),
    }
    return [
        {
            "name": name,
            "json": as_json(meaning),
            "msgpack": as_messagepack(meaning).hex(),
            "envelope": meaning,
        }
        for name, meaning in samples.items()
    ]


def as_json(meaning: dict[str, Any]) -> str:
    """An envelope in a text frame."""
    body: dict[str, Any] = {"jsonrpc": "2.0"}
    kind = meaning["type"]
    if kind != "notification":
        body["id"] = meaning["id"]
    if kind in ("request", "notification"):
        body |= {"method": meaning["method"], "params": meaning["params"]}
        if meaning["meta"]:
            body["meta"] = meaning["meta"]
    elif kind == "response":
        body["result"] = meaning["result"]
    else:
        body["error"] = error_body(meaning)
    return compact(body)


def as_messagepack(meaning: dict[str, Any]) -> bytes:
    """An envelope in a binary frame."""
    meta = [meaning["meta"]] if meaning.get("meta") else []
    match meaning["type"]:
        case "request":
            array = [0, meaning["id"], meaning["method"], meaning["params"], *meta]
        case "response":
            array = [1, meaning["id"], meaning["result"]]
        case "error":
            array = [2, meaning["id"], error_body(meaning)]
        case _:
            array = [3, meaning["method"], meaning["params"], *meta]
    packed: bytes = msgpack.packb(array)
    return packed


def error_body(meaning: dict[str, Any]) -> dict[str, Any]:
    """The object in an error envelope."""
    body = {"code": meaning["code"], "message": meaning["message"]}
    return body if meaning["data"] is None else {**body, "data": meaning["data"]}


def readable() -> list[dict[str, Any]]:
    """What a reader accepts though no writer of ours writes it."""

    def text(name: str, text: str, meaning: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "json": text, "envelope": meaning}

    def packed(name: str, array: Any, meaning: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "msgpack": msgpack.packb(array).hex(), "envelope": meaning}

    return [
        text(
            "members in another order",
            '{"params":[1],"id":1,"method":"a","jsonrpc":"2.0"}',
            request(1, "a", [1]),
        ),
        text("no params", '{"jsonrpc":"2.0","id":1,"method":"a"}', request(1, "a", [])),
        text("notification without params", '{"jsonrpc":"2.0","method":"a"}', notification("a", [])),
        text("an id that is text", '{"jsonrpc":"2.0","id":"x","method":"a"}', request("x", "a", [])),
        text("an id that is null", '{"jsonrpc":"2.0","id":null,"method":"a"}', request(None, "a", [])),
        text("an id that is negative", '{"jsonrpc":"2.0","id":-1,"method":"a"}', request(-1, "a", [])),
        text("an id with a fraction", '{"jsonrpc":"2.0","id":1.5,"method":"a"}', request(1.5, "a", [])),
        text("an unknown member", '{"jsonrpc":"2.0","id":1,"method":"a","x":1}', request(1, "a", [])),
        text("empty meta", '{"jsonrpc":"2.0","id":1,"method":"a","meta":{}}', request(1, "a", [])),
        text(
            "an unknown member of meta",
            '{"jsonrpc":"2.0","id":1,"method":"a","meta":{"x":1}}',
            request(1, "a", [], {"x": 1}),
        ),
        text(
            "an error without a request",
            '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
            error(None, -32700, "Parse error"),
        ),
        text("spaces around", ' {"jsonrpc":"2.0","id":1,"result":2}\n', response(1, 2)),
        packed("empty meta, MessagePack", [0, 1, "a", [], {}], request(1, "a", [])),
        packed("an unknown member of meta, MessagePack", [3, "a", [], {"x": 1}], notification("a", [], {"x": 1})),
        packed(
            "an unknown member of an error",
            [2, 1, {"code": -32000, "message": "no", "x": 1}],
            error(1, -32000, "no"),
        ),
    ]


def refused_json() -> list[dict[str, Any]]:
    """Text frames that hold no envelope; `id` is what the answer carries."""

    def refuse(name: str, text: str, code: int = INVALID_REQUEST, id_: Any = None) -> dict[str, Any]:
        return {"name": name, "json": text, "code": code, "id": id_}

    long = "m" * (LONGEST_METHOD + 1)
    return [
        refuse("empty text", "", PARSE_ERROR),
        refuse("space", " ", PARSE_ERROR),
        refuse("cut short", '{"jsonrpc":"2.0","method":"foobar,"params":"bar","baz]', PARSE_ERROR),
        refuse("two messages", '{"jsonrpc":"2.0","method":"a"}{"jsonrpc":"2.0","method":"b"}', PARSE_ERROR),
        refuse("a byte order mark first", '\ufeff{"jsonrpc":"2.0","method":"a"}', PARSE_ERROR),
        refuse("NaN in params", '{"jsonrpc":"2.0","id":1,"method":"a","params":[NaN]}', PARSE_ERROR),
        refuse("a number", "1"),
        refuse("a text", '"a"'),
        refuse("null", "null"),
        refuse("an empty object", "{}"),
        refuse("an empty batch", "[]"),
        refuse("no jsonrpc member", '{"id":1,"method":"a"}', id_=1),
        refuse("JSON-RPC 1.0", '{"jsonrpc":"1.0","id":1,"method":"a"}', id_=1),
        refuse("jsonrpc as a number", '{"jsonrpc":2.0,"id":1,"method":"a"}', id_=1),
        refuse("method as a number", '{"jsonrpc":"2.0","id":1,"method":1}', id_=1),
        refuse("method null", '{"jsonrpc":"2.0","id":1,"method":null}', id_=1),
        refuse("method empty", '{"jsonrpc":"2.0","id":1,"method":""}', id_=1),
        refuse("method too long", compact({"jsonrpc": "2.0", "id": 1, "method": long}), id_=1),
        refuse("params as text", '{"jsonrpc":"2.0","id":1,"method":"a","params":"bar"}', id_=1),
        refuse("params null", '{"jsonrpc":"2.0","id":1,"method":"a","params":null}', id_=1),
        refuse("meta as a list", '{"jsonrpc":"2.0","id":1,"method":"a","meta":[]}', id_=1),
        refuse("id true", '{"jsonrpc":"2.0","id":true,"method":"a"}'),
        refuse("id as a list", '{"jsonrpc":"2.0","id":[1],"method":"a"}'),
        refuse("id as an object", '{"jsonrpc":"2.0","id":{},"method":"a"}'),
        refuse("result and error", '{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"m"}}', id_=1),
        refuse("neither method nor result nor error", '{"jsonrpc":"2.0","id":1}', id_=1),
        refuse("result without an id", '{"jsonrpc":"2.0","result":1}'),
        refuse("error as text", '{"jsonrpc":"2.0","id":1,"error":"no"}', id_=1),
        refuse("error without a code", '{"jsonrpc":"2.0","id":1,"error":{"message":"m"}}', id_=1),
        refuse(
            "error with a code that is text",
            '{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"m"}}',
            id_=1,
        ),
        refuse(
            "error with a fraction for a code",
            '{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"m"}}',
            id_=1,
        ),
        refuse("error without a message", '{"jsonrpc":"2.0","id":1,"error":{"code":1}}', id_=1),
    ]


def refused_messagepack() -> list[dict[str, Any]]:
    """Contents of an envelopes frame, its type byte apart, that hold no envelope."""

    def refuse(name: str, content: bytes | str, code: int = INVALID_REQUEST) -> dict[str, Any]:
        return {"name": name, "msgpack": content if isinstance(content, str) else content.hex(), "code": code}

    def array(*items: Any) -> bytes:
        packed: bytes = msgpack.packb(list(items))
        return packed

    long = "m" * (LONGEST_METHOD + 1)
    return [
        refuse("no envelope", "", PARSE_ERROR),
        refuse("an array cut short", array(0, 1, "add", [1, 2])[:-1], PARSE_ERROR),
        refuse("the byte that is never used", "c1", PARSE_ERROR),
        refuse("an envelope and half of another", array(1, 1, 1) + array(1, 2, 2)[:-1], PARSE_ERROR),
        refuse("a method that is not UTF-8", "940001a1ff90", PARSE_ERROR),
        refuse("an unknown extension in params", "940001a16191d40500", PARSE_ERROR),
        refuse("a number", "01"),
        refuse("nil", "c0"),
        refuse("text", msgpack.packb("add")),
        refuse("a map", msgpack.packb({"method": "add"})),
        refuse("an empty array", array()),
        refuse("only a type", array(0)),
        refuse("type 4", array(4, 1, "add", [])),
        refuse("type -1", array(-1, 1, "add", [])),
        refuse("type true, which is 1 to some", array(True, 1, 2)),
        refuse("type 1.0, which is 1 to some", array(1.0, 1, 2)),
        refuse("request without params", array(0, 1, "add")),
        refuse("request with too many items", array(0, 1, "add", [], {}, 1)),
        refuse("request with params nil", array(0, 1, "add", None)),
        refuse("request with params text", array(0, 1, "add", "1")),
        refuse("request with meta nil", array(0, 1, "add", [], None)),
        refuse("request with meta a list", array(0, 1, "add", [], [])),
        refuse("request with a method of bytes", array(0, 1, b"add", [])),
        refuse("request with an empty method", array(0, 1, "", [])),
        refuse("request with a method too long", array(0, 1, long, [])),
        refuse("request with a negative id", array(0, -1, "add", [])),
        refuse("request with an id of 2^53", array(0, 2**53, "add", [])),
        refuse("request with a float for an id", array(0, 1.0, "add", [])),
        refuse("request with text for an id", array(0, "1", "add", [])),
        refuse("request with true for an id", array(0, True, "add", [])),
        refuse("request with nil for an id", array(0, None, "add", [])),
        refuse("response without a result", array(1, 1)),
        refuse("response with too many items", array(1, 1, 2, 3)),
        refuse("response with text for an id", array(1, "1", 2)),
        refuse("error that is text", array(2, 1, "no")),
        refuse("error that is nil", array(2, 1, None)),
        refuse("error without a code", array(2, 1, {"message": "no"})),
        refuse("error without a message", array(2, 1, {"code": -32000})),
        refuse("error with a code that is text", array(2, 1, {"code": "x", "message": "no"})),
        refuse("notification without params", array(3, "log")),
        refuse("notification with an id", array(3, 1, "log", [])),
        refuse("notification with too many items", array(3, "log", [], {}, 1)),
    ]
