"""The JSON Schemas, the examples of the protocol page and the vectors agree with one another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "schemas").glob("*.schema.json"))
}
VECTORS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "schemas" / "vectors").glob("*.json"))
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
PAGE = (ROOT / "schemas" / "protocol.md").read_text(encoding="utf-8")
PLACEHOLDERS = {"<peer id>": "A" * 43, "<32 bytes>": "A" * 43, "<64 bytes>": "A" * 86}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"{name}.schema.json"}, registry=REGISTRY)


def is_valid(name: str, value: Any) -> bool:
    return validator(name).is_valid(value)


def cases(file: str, *groups: str) -> list[Any]:
    return [pytest.param(case, id=f"{group}: {case['name'][:60]}") for group in groups for case in VECTORS[file][group]]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_a_schema(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMAS[name])
    for reference in re.findall(r'"\$ref": "([^"#]+)#', json.dumps(SCHEMAS[name])):
        assert reference.removesuffix(".schema.json") in SCHEMAS


@pytest.mark.parametrize("name", ["codes", "limits"])
def test_tables_follow_their_schemas(name: str) -> None:
    table = json.loads((ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    validator(name).validate(table)


def test_codes_and_their_names_are_used_once() -> None:
    codes = json.loads((ROOT / "schemas" / "codes.json").read_text(encoding="utf-8"))["codes"]
    for member in ("code", "name"):
        values = [code[member] for code in codes.values()]
        assert len(set(values)) == len(values)


def test_constants_are_those_of_the_tables() -> None:
    from rtcrpc import codes, limits

    tables = {
        name: json.loads((ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))[name]
        for name in ("codes", "limits")
    }
    assert {code["code"]: code["name"] for code in tables["codes"].values()} == codes.CODE_NAMES
    assert [getattr(limits, name) for name in limits.__all__] == [
        limit["value"] for _, limit in sorted((upper(name), limit) for name, limit in tables["limits"].items())
    ]


def upper(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).upper()


def page_examples() -> list[Any]:
    blocks = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) >= 4, "the page lost its examples, or they are no longer marked as JSON"
    examples = []
    for block in blocks:
        for placeholder, value in PLACEHOLDERS.items():
            block = block.replace(placeholder, value)
        example = json.loads(block)
        examples.append(pytest.param(example, id=example.get("method", "result")))
    return examples


@pytest.mark.parametrize("example", page_examples())
def test_examples_of_the_page(example: dict[str, Any]) -> None:
    if "method" in example:
        validator("envelope").validate(example)
        # The page shows what a token, a URL and such look like with an ellipsis.
        validator(example["method"]).validate(example["params"])
    else:
        validator("file" if "content" in example else "rpc.join.result").validate(example)


def test_page_names_every_reserved_message_that_has_a_schema() -> None:
    for name in SCHEMAS:
        if name.startswith("rpc."):
            assert name.removesuffix(".result") in PAGE


@pytest.mark.parametrize("case", cases("values", "valid", "readable"))
def test_values_follow_their_schema(case: dict[str, Any]) -> None:
    validator("value").validate(json.loads(case.get("value", case.get("json"))))


def test_most_refused_values_are_refused_by_the_schema_too() -> None:
    """A schema can't count depth or know a calendar; what it can see it refuses."""
    beyond = ("surrogate", "too deep", "lists", "day that is not", "too large", "too small", "digits")
    beyond += ("item too few", "byte too many", "times", "for a boolean")
    for case in VECTORS["values"]["refusedJson"]:
        if any(word in case["name"] for word in beyond):
            continue
        try:
            value = json.loads(case["json"], parse_constant=no_constant)
        except ValueError:
            continue
        assert not is_valid("value", value), case["name"]


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@pytest.mark.parametrize("case", cases("envelopes", "valid", "readable"))
def test_envelopes_follow_their_schema(case: dict[str, Any]) -> None:
    if "json" in case:
        validator("envelope").validate(json.loads(case["json"]))


@pytest.mark.parametrize("case", cases("envelopes", "refusedJson"))
def test_refused_envelopes_do_not(case: dict[str, Any]) -> None:
    try:
        message = json.loads(case["json"], parse_constant=no_constant)
    except ValueError:
        assert case["code"] == -32700
    else:
        assert case["code"] == -32600
        assert not is_valid("envelope", message)


@pytest.mark.parametrize("case", cases("handshake", "proofs"))
def test_hellos_follow_their_schema(case: dict[str, Any]) -> None:
    for side in ("a", "b"):
        hello = json.loads(case[side]["hello"])
        validator("envelope").validate(hello)
        validator("rpc.hello").validate(hello["params"])
        validator("rpc.prove").validate({"signature": case[f"signature{side.upper()}"]})
    assert case["a"]["peerId"] < case["b"]["peerId"]


@pytest.mark.parametrize("case", cases("handshake", "refusedHellos"))
def test_refused_hellos(case: dict[str, Any]) -> None:
    """Those of the wrong shape break the schema; the others are refused for what they say."""
    params = json.loads(case["hello"])["params"]
    about_the_peer = ("our own", "other than the one pinned", "no common version", "no version")
    assert is_valid("rpc.hello", params) == case["name"].startswith(("our own", "a key other", *about_the_peer))


@pytest.mark.parametrize("case", cases("signaling", "joins"))
def test_joins_follow_their_schema(case: dict[str, Any]) -> None:
    validator("rpc.challenge").validate({"nonce": case["nonce"]})
    validator("rpc.join").validate({"versions": [1], **{key: case[key] for key in ("room", "peer", "proof")}})


@pytest.mark.parametrize("case", cases("signaling", "signals"))
def test_signals_follow_their_schema(case: dict[str, Any]) -> None:
    validator("rpc.signal").validate(case["params"])
    validator("signal-payload").validate(json.loads(case["params"]["payload"]))


@pytest.mark.parametrize("case", cases("signaling", "payloads"))
def test_payloads_follow_their_schema(case: dict[str, Any]) -> None:
    validator("signal-payload").validate(json.loads(case["payload"]))


@pytest.mark.parametrize("case", cases("signaling", "refusedPayloads"))
def test_refused_payloads(case: dict[str, Any]) -> None:
    if "in bytes only" in case["name"]:  # a schema counts characters
        return
    try:
        payload = json.loads(case["payload"], parse_constant=no_constant)
    except ValueError:
        return
    assert not is_valid("signal-payload", payload)


@pytest.mark.parametrize("case", cases("identity", "keys"))
def test_peer_ids_follow_their_schema(case: dict[str, Any]) -> None:
    validator("rpc.left").validate({"peer": case["peerId"]})


@pytest.mark.parametrize("case", cases("identity", "refusedPeerIds"))
def test_refused_peer_ids(case: dict[str, Any]) -> None:
    assert not is_valid("rpc.left", {"peer": case["text"]})


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("rpc.token", {"token": "x" * 4096}),
        ("rpc.ping", {"n": 0}),
        ("rpc.pong", {"n": 2**53 - 1}),
        ("rpc.bye", {"code": 0, "reason": ""}),
        ("rpc.cancel", {"id": 7}),
        ("rpc.joined", {"peer": "A" * 43, "name": "robot"}),
        ("rpc.left", {"peer": "A" * 43}),
        ("rpc.peers", {}),
        ("rpc.peers.result", {"peers": [{"peer": "A" * 43, "name": "robot"}]}),
        ("rpc.leave", []),
    ],
)
def test_params_that_hold(name: str, params: Any) -> None:
    validator(name).validate(params)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("rpc.token", {"token": "x" * 4097}),
        ("rpc.token", {"token": ""}),
        ("rpc.token", {}),
        ("rpc.ping", {"n": -1}),
        ("rpc.ping", {"n": 1.5}),
        ("rpc.pong", {"n": 2**53}),
        ("rpc.bye", {"code": "0"}),
        ("rpc.cancel", {}),
        ("rpc.cancel", {"id": [7]}),
        ("rpc.prove", {"signature": "A" * 85 + "B"}),
        ("rpc.prove", {"signature": "A" * 87}),
        ("rpc.challenge", {"nonce": "A" * 42}),
        ("rpc.joined", {"name": "robot"}),
        ("rpc.joined", {"peer": "A" * 43, "name": "x" * 65}),
        ("rpc.left", {"peer": "robot"}),
        ("rpc.peers.result", {"peers": [{"name": "robot"}]}),
        ("rpc.join.result", {"peers": [], "iceServers": [{"urls": ["https://example.org"]}]}),
        ("rpc.signal", {"to": "A" * 43}),
        ("rpc.discover.result", {"openrpc": "1.3.2", "methods": []}),
    ],
)
def test_params_that_do_not(name: str, params: Any) -> None:
    assert not is_valid(name, params)
