from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtcrpc import limits
from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.signaling.base import IceServerInfo


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"hosts": "example.org"}, "hosts"),
        ({"allowed_origins": "*"}, "allowed_origins"),
        ({"trusted_proxies": "10.0.0.1"}, "trusted_proxies"),
        ({"token": ""}, "token"),
        ({"token": "t" * (limits.TOKEN_LENGTH + 1)}, "token"),
        ({"max_peers_per_room": 0}, "max_peers_per_room"),
        ({"max_peers_per_room": limits.MAX_PEERS_PER_ROOM + 1}, "max_peers_per_room"),
        ({"page_dir": Path("/nowhere/at/all")}, "page_dir"),
        ({"public_url": "example.org"}, "public_url"),
        ({"public_url": "wss://example.org"}, "public_url"),
        ({"public_url": "https://example.org/#x"}, "public_url"),
        ({"ice_servers": (IceServerInfo(("http://a",)),)}, "ice_servers"),
        ({"ice_servers": (IceServerInfo(("stun:",)),)}, "ice_servers"),
        ({"ice_servers": (IceServerInfo(("turn:a.example",)),)}, "username"),
        ({"ice_servers": (IceServerInfo(("turns:a.example",), "user"),)}, "credential"),
        ({"ice_servers": (IceServerInfo(("stun:a",)),) * 17}, "ice_servers"),
    ],
)
def test_a_senseless_setting_is_refused_by_name(bad: dict[str, Any], field: str):
    with pytest.raises(ValueError, match=field):
        BootstrapConfig(**bad)


def test_the_defaults_are_those_of_the_protocol():
    config = BootstrapConfig()
    assert config.max_peers_per_room == limits.MAX_PEERS_PER_ROOM
    assert config.max_rooms_per_peer == limits.MAX_ROOMS
    assert config.join_seconds == limits.HANDSHAKE_SECONDS
    assert (config.hosts, config.allowed_origins, config.token) == ((), (), None)
