"""A page offers functions, and Python calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.driver import Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess

PEERS = Path(__file__).parent / "peers"

OFFER = """(async () => {
  const { join, Error: Told } = await import("/rtcrpc.js");
  const room = await join(%s, { name: "calculator" });
  room.expose("double", (x) => 2 * x);
  room.expose("reversed", (bytes) => bytes.slice().reverse());
  room.expose("fails", () => { throw new Told("on purpose"); });
  window.room = room;
  return room.peerId;
})()"""


@pytest.fixture
def caller(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """A peer that calls `calculator` as soon as it comes into the room."""
    with PeerProcess([str(PEERS / "caller.py")], namespace) as process:
        yield process


def test_python_calls_what_a_page_offers(page: Page, caller: PeerProcess) -> None:
    page.goto(caller.first["page"])
    peer_id = page.evaluate(OFFER % json.dumps(caller.first["link"]))
    assert caller.read() == {"double": 42, "trust": "anonymous", "peer": peer_id}
    assert caller.read() == {"bytes": [3, 2, 1]}
    assert caller.read() == {"code": -32000, "message": "on purpose"}
    assert sorted(caller.read()["methods"]) == ["double", "fails", "reversed"]
    caller.write("done")
