"""Whatever sockets say, in whatever order: nothing raises, nothing leaks out of a room, nobody speaks for another."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOMS = ("a", "b")
PEERS = range(4)

steps = st.one_of(
    st.tuples(st.just("connect"), st.sampled_from(PEERS), st.sampled_from(ROOMS)),
    st.tuples(st.just("join"), st.integers(0, 20), st.sampled_from(["good", "other room", "other key", "old proof"])),
    st.tuples(
        st.just("signal"), st.integers(0, 20), st.tuples(st.sampled_from(PEERS), st.sampled_from(PEERS), st.booleans())
    ),
    st.tuples(st.just("disconnect"), st.integers(0, 20), st.none()),
    st.tuples(st.just("leave"), st.integers(0, 20), st.none()),
    st.tuples(st.just("expire"), st.integers(0, 20), st.none()),
    st.tuples(st.just("text"), st.integers(0, 20), st.text(max_size=40)),
    st.tuples(
        st.just("text"),
        st.integers(0, 20),
        st.fixed_dictionaries(
            {"jsonrpc": st.just("2.0")},
            optional={
                "id": st.none() | st.integers() | st.text(max_size=3) | st.floats() | st.booleans(),
                "method": st.sampled_from(["rpc.join", "rpc.peers", "rpc.signal", "rpc.ping", "rpc.leave", "x"]),
                "params": st.none()
                | st.lists(st.integers(), max_size=2)
                | st.dictionaries(st.text(max_size=5), st.text()),
                "result": st.integers(),
            },
        ).map(json.dumps),
    ),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(steps, max_size=40))
def test_any_sequence_of_steps(make_house: Callable[..., Any], sequence: list[tuple[str, int, Any]]):
    house = make_house(max_peers_per_room=3, max_rooms_per_peer=1)
    clients: list[Any] = []
    for kind, which, detail in sequence:
        house.now += 0.5
        if kind == "connect":
            clients.append(house.client(which, detail))
            continue
        if not clients:
            continue
        client = clients[which % len(clients)]
        match kind:
            case "join":
                changes: dict[str, Any] = {}
                if detail == "other room":
                    changes = {"room": "b" if client.room == "a" else "a"}
                elif detail == "other key":
                    changes = {"peer": clients[0].identity.peer_id}
                elif detail == "old proof":
                    changes = {"proof": clients[0].join_params()["proof"]}
                client.say(id=1, method="rpc.join", params=client.join_params(**changes))
            case "signal":
                sender, receiver, asks = detail
                params = client.signal_params(
                    house.client(receiver).identity.peer_id, **{"from": house.client(sender).identity.peer_id}
                )
                client.say(method="rpc.signal", params=params, **({"id": 1} if asks else {}))
            case "disconnect":
                client.leave()
            case "leave":
                client.say(method="rpc.leave", params={})
            case "expire":
                house.perform(house.rooms.expire(client.socket, house.now))
            case "text":
                client.say_text(detail)
        check(house)


def check(house: Any) -> None:
    present = {
        room: {member.peer_id for member in house.rooms.members(room)} for room in ROOMS
    }  # fmt: skip
    assert all(len(peers) <= 3 for peers in present.values())
    for client in house.clients.values():
        for message in client.take():
            params = message.get("params", {})
            if message.get("method") == "rpc.signal":
                assert client.socket.joined
                assert params["to"] == client.identity.peer_id
                assert params["from"] in present[client.room]
            elif message.get("method") == "rpc.joined":
                assert client.socket.joined
                assert params["peer"] != client.identity.peer_id
        if client.socket.joined and not client.socket.closed:
            assert client.identity.peer_id in present[client.room]
    open_members = sum(c.socket.joined and not c.socket.closed for c in house.clients.values())
    assert open_members == sum(len(peers) for peers in present.values())
    assert sum(house.rooms._rooms_of.values()) == open_members


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PEERS), st.sampled_from(PEERS), st.sampled_from(PEERS)), max_size=20))
def test_a_signal_comes_from_whom_it_says_and_stays_in_its_room(
    make_house: Callable[..., Any], signals: list[tuple[int, int, int]]
):
    house = make_house()
    members = {(room, n): house.member(n, room) for room in ROOMS for n in PEERS}
    for client in members.values():
        client.take()
    for speaker, claimed, receiver in signals:
        client, target = members["a", speaker], members["a", receiver]
        params = members["a", claimed].signal_params(target)
        client.say(method="rpc.signal", params=params)
        expected = [params] if speaker == claimed and speaker != receiver else []
        assert [m["params"] for m in target.take()] == expected
        assert all(other.take() == [] for other in members.values())
