"""Arrays between a browser and Python, both ways, and as the page shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.driver import Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve

PEERS = Path(__file__).parent / "peers"

SEND = """(async () => {
  const { join, NdArray } = await import("/rtcrpc.js");
  const room = await join(%s);
  const peer = await room.peer("arrays");
  const half = typeof Float16Array === "function" ? Float16Array.of(1.5, -2) : new NdArray("f2", [2], Uint16Array.of(0x3e00, 0xc000));
  const big = new Float32Array(1_000_000).map((_, i) => i);
  const sent = {
    f8: Float64Array.of(1.5, -2),
    i8: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
    u8: BigUint64Array.of(2n ** 64n - 1n),
    f2: half,
    b1: new NdArray("b1", [2], Uint8Array.of(1, 0)),
    clamped: Uint8ClampedArray.of(1, 2),
    matrix: new NdArray("i2", [2, 3], Int16Array.of(1, 2, 3, 4, 5, 6)),
    big,
  };
  const came = {};
  for (const [name, array] of Object.entries(sent)) {
    const { type, dtype, shape, array: back } = await peer.call.describe(array);
    const [was, is] = [array, back].map((one) => one.data ?? one);
    const same = was.length === is.length && was.every((item, i) => item === is[i]);
    came[name] = [type, dtype, shape, same, back.constructor.name];
  }
  await room.close();
  return came;
})()"""


def card(method: str) -> str:
    return f'[data-method="{method}"]'


@pytest.fixture(scope="module")
def peer(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """`rtcrpc serve peers/arrays.py`."""
    with serve(namespace, str(PEERS / "arrays.py"), "--name", "arrays") as process:
        yield process


def test_arrays_go_to_python_and_come_back(page: Page, peer: PeerProcess) -> None:
    page.goto(peer.first["link"].partition("#")[0])
    came: dict[str, Any] = page.evaluate(SEND % json.dumps(peer.first["link"]))
    halves = page.evaluate("typeof Float16Array === 'function'")
    assert came == {
        "f8": ["ndarray", "float64", [2], True, "Float64Array"],
        "i8": ["ndarray", "int64", [2], True, "BigInt64Array"],
        "u8": ["ndarray", "uint64", [1], True, "BigUint64Array"],
        "f2": ["ndarray", "float16", [2], True, "Float16Array" if halves else "NdArray"],
        "b1": ["ndarray", "bool", [2], True, "NdArray"],
        "clamped": ["ndarray", "uint8", [2], True, "NdArray"],
        "matrix": ["ndarray", "int16", [2, 3], True, "NdArray"],
        "big": ["ndarray", "float32", [1_000_000], True, "Float32Array"],
    }


@pytest.fixture
def driven(page: Page, peer: PeerProcess) -> Page:
    """The page, connected to the peer."""
    page.goto(peer.first["link"])
    page.wait_for('#status[data-phase="connected"]', seconds=30)
    page.evaluate("for (const card of document.querySelectorAll('.card')) card.open = true")
    page.wait_until("document.querySelectorAll('.card').length === document.querySelectorAll('.card form').length")
    return page


def call(page: Page, method: str) -> str:
    page.click(f"{card(method)} .call")
    page.wait_for(f"{card(method)}:not(.busy) .outcome > *")
    return page.text(f"{card(method)} .outcome")


def test_the_page_draws_a_picture(driven: Page) -> None:
    assert "uint8, 48 \u00d7 64 \u00d7 3" in call(driven, "frame")
    pixel = "[...document.querySelector('{0} canvas').getContext('2d').getImageData({1}, 5, 1, 1).data]"
    assert driven.evaluate(pixel.format(card("frame"), 5)) == [255, 0, 0, 255]
    assert driven.evaluate(pixel.format(card("frame"), 60)) == [0, 255, 0, 255]
    assert driven.evaluate(f"document.querySelector('{card('frame')} .file-line a').download") == "frame.npy"


def test_the_page_draws_a_line(driven: Page) -> None:
    text = call(driven, "wave")
    assert "float64, 5,000" in text
    assert "least -1" in text
    points = driven.evaluate(f"document.querySelector('{card('wave')} .plot polyline').points.length")
    assert 600 <= points <= 1200


def test_a_list_typed_into_the_form_is_an_array(driven: Page) -> None:
    driven.type(f"{card('total')} form textarea", "[[1, 2], [3, 4.5]]")
    assert call(driven, "total").startswith("10.5")
