"""What the rooms say is what the schemas describe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from rtcrpc.signaling.base import IceServerInfo

SCHEMAS = {
    path.name: json.loads(path.read_text()) for path in (Path(__file__).parents[3] / "schemas").glob("*.schema.json")
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def check(name: str, value: Any) -> None:
    Draft202012Validator(SCHEMAS[f"{name}.schema.json"], registry=REGISTRY).validate(value)


def test_every_message_of_a_meeting(make_house: Callable[..., Any]):
    house = make_house(ice_servers=(IceServerInfo(("stun:a.example",)), IceServerInfo(("turn:a.example",), "u", "c")))
    alice = house.client(1)
    bob = house.client(2)
    check("rpc.join", alice.join_params(token="t"))
    check("rpc.join.result", alice.join()["result"])
    check("rpc.join.result", bob.join(name="bob")["result"])
    (joined,) = alice.take()
    check("rpc.joined", joined["params"])
    check("rpc.peers.result", alice.say(id=1, method="rpc.peers", params={})[0]["result"])
    (pong,) = alice.say(method="rpc.ping", params={"n": 1})
    check("rpc.pong", pong["params"])
    alice.say(method="rpc.signal", params=alice.signal_params(bob))
    (signal,) = bob.take()
    check("rpc.signal", signal["params"])
    bob.leave()
    (left,) = alice.take()
    check("rpc.left", left["params"])
    refused = alice.say(id=1, method="nonsense", params={})
    for message in (joined, pong, signal, left, *refused):
        check("envelope", message)
