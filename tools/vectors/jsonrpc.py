"""The examples of the JSON-RPC 2.0 specification, section 7, as requests and what answers them."""

from __future__ import annotations

from typing import Any

__all__ = ["make"]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601


def make() -> dict[str, Any]:
    """The content of `jsonrpc.json`.

    `response` is the one answer, a list of them in any order for a batch, or null where nothing is sent. The
    text of an error's message is the server's own: only its code is compared.
    """
    return {
        "methods": {
            "subtract": "takes minuend and subtrahend, by position or by name; returns minuend - subtrahend",
            "sum": "takes any number of numbers by position; returns their sum",
            "get_data": 'takes nothing; returns ["hello", 5]',
            "update": "takes five numbers; notified only",
            "notify_hello": "takes one number; notified only",
            "notify_sum": "takes three numbers; notified only",
        },
        "exchanges": exchanges(),
    }


def exchanges() -> list[dict[str, Any]]:
    """Each request and its answer."""

    def call(id_: Any, method: str, params: str) -> str:
        return f'{{"jsonrpc": "2.0", "method": "{method}", "params": {params}, "id": {id_}}}'

    def notify(method: str, params: str) -> str:
        return f'{{"jsonrpc": "2.0", "method": "{method}", "params": {params}}}'

    def result(id_: Any, value: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "result": value, "id": id_}

    def error(id_: Any, code: int) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "error": {"code": code}, "id": id_}

    def case(name: str, request: str, response: Any) -> dict[str, Any]:
        return {"name": name, "request": request, "response": response}

    named = '{"subtrahend": 23, "minuend": 42}'
    named_otherwise = '{"minuend": 42, "subtrahend": 23}'
    mixed = [
        call('"1"', "sum", "[1,2,4]"),
        notify("notify_hello", "[7]"),
        call('"2"', "subtract", "[42,23]"),
        '{"foo": "boo"}',
        call('"5"', "foo.get", '{"name": "myself"}'),
        '{"jsonrpc": "2.0", "method": "get_data", "id": "9"}',
    ]
    return [
        case("positional params", call(1, "subtract", "[42, 23]"), result(1, 19)),
        case("positional params, the other way round", call(2, "subtract", "[23, 42]"), result(2, -19)),
        case("named params", call(3, "subtract", named), result(3, 19)),
        case("named params in another order", call(4, "subtract", named_otherwise), result(4, 19)),
        case("a notification", notify("update", "[1,2,3,4,5]"), None),
        case("a notification of no method", '{"jsonrpc": "2.0", "method": "foobar"}', None),
        case(
            "a call of no method",
            '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
            error("1", METHOD_NOT_FOUND),
        ),
        case(
            "bad JSON",
            '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
            error(None, PARSE_ERROR),
        ),
        case("a bad request", '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', error(None, INVALID_REQUEST)),
        case(
            "a batch of bad JSON",
            '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]',
            error(None, PARSE_ERROR),
        ),
        case("an empty batch", "[]", error(None, INVALID_REQUEST)),
        case("a batch of one that is no request", "[1]", [error(None, INVALID_REQUEST)]),
        case("a batch of three that are no requests", "[1,2,3]", [error(None, INVALID_REQUEST)] * 3),
        case(
            "a batch of all kinds",
            "[" + ",".join(mixed) + "]",
            [
                result("1", 7),
                result("2", 19),
                error(None, INVALID_REQUEST),
                error("5", METHOD_NOT_FOUND),
                result("9", ["hello", 5]),
            ],
        ),
        case(
            "a batch of notifications",
            "[" + notify("notify_sum", "[1,2,4]") + "," + notify("notify_hello", "[7]") + "]",
            None,
        ),
    ]
