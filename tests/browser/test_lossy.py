"""The lossy lane between a page and Python, both ways, and with a browser that has no such channel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.driver import Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess

PEERS = Path(__file__).parent / "peers"

JOIN = """(async () => {
  const { join } = await import("/rtcrpc.js");
  const without = %s;
  class OneChannel extends RTCPeerConnection {
    createDataChannel(label, options) {
      if (without && label !== "rtcrpc") throw new Error("one channel is all there is");
      const channel = super.createDataChannel(label, options);
      window.channels = { ...window.channels, [label]: channel };
      return channel;
    }
  }
  window.told = [];
  window.room = await join(%s, { name: "page", RTCPeerConnection: OneChannel });
  room.expose("pose", (number) => void told.push(number), { reliable: false });
  window.robot = await room.peer("robot");
  const before = (await robot.call.seen()).length;
  await robot.call.lose(%s);
  const lossy = robot.notify.with({ reliable: false });
  for (let i = 1; i <= 200; i++) {
    await lossy.pose(i);
    if (i %% 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await lossy.note(-1);
  while ((await robot.call.seen()).at(-1) < 200) await lossy.pose(200);
  let announced = null;
  for (let first = 1; !(told.at(-1) >= 100); first += 100) {
    announced = await robot.call.send_back(first, without);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const seen = (await robot.call.seen()).slice(before);
  return { seen, told, announced, lossy: window.channels["rtcrpc.lossy"]?.readyState ?? "none" };
})()"""


@pytest.fixture
def robot(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """`peers/lossy.py`."""
    with PeerProcess([str(PEERS / "lossy.py")], namespace) as process:
        yield process


def rising(numbers: list[int]) -> bool:
    return numbers == sorted(set(numbers))


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_page_and_python(page: Page, robot: PeerProcess, loss: float) -> None:
    page.goto(robot.first["page"])
    outcome = page.evaluate(JOIN % ("false", json.dumps(robot.first["link"]), loss))
    assert outcome["announced"] is True
    assert outcome["lossy"] == "open"
    assert rising(outcome["seen"]), "never an older one after a newer, and nothing that is not meant for the lane"
    assert 1 < len(outcome["seen"]) <= 200
    assert rising(outcome["told"])
    assert len(outcome["told"]) > 1
    robot.write("done")


def test_a_browser_without_the_channel(page: Page, robot: PeerProcess) -> None:
    page.goto(robot.first["page"])
    outcome = page.evaluate(JOIN % ("true", json.dumps(robot.first["link"]), 0))
    assert outcome["announced"] is False
    assert outcome["lossy"] == "none"
    # All over the reliable channel: nothing is lost, and what came for a channel that is not there did no harm.
    assert outcome["seen"][:200] == list(range(1, 201))
    assert outcome["told"] == list(range(1, 101))
    robot.write("done")
