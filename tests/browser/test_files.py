"""Files between a browser and Python, both ways, and as the page takes and gives them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.driver import Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve

PEERS = Path(__file__).parent / "peers"
SIZE = 20_000_000

UP = """(async () => {
  const { join, FileSource } = await import("/rtcrpc.js");
  const room = await join(%s);
  const peer = await room.peer("files");
  const data = new Uint8Array(%d);
  for (let at = 0; at < data.length; at += 65536) crypto.getRandomValues(data.subarray(at, at + 65536));
  const hex = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
  const sum = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));
  const up = [];
  const kept = await peer.call.keep(new FileSource(new File([data], "big.bin"), { progress: (done, total) => up.push([done, total]) }));
  window.transfer = { room, peer, sum, sha256: await sum(data) };
  return { ...kept, own: window.transfer.sha256, last: up.at(-1), rising: up.every(([done], i) => i === 0 || done > up[i - 1][0]) };
})()"""

DOWN = """(async () => {
  const { room, peer, sum } = window.transfer;
  const down = [];
  const file = await peer.call.give("big.bin");
  const blob = await file.blob({ progress: (done, total) => down.push([done, total]) });
  const told = { name: file.name, safeName: file.safeName, size: blob.size, type: blob.type, last: down.at(-1) };
  told.sha256 = await sum(await blob.arrayBuffer());
  await room.close();
  return told;
})()"""


def card(method: str) -> str:
    return f'[data-method="{method}"]'


@pytest.fixture(scope="module")
def peer(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """`rtcrpc serve peers/files.py`."""
    with serve(namespace, str(PEERS / "files.py"), "--name", "files") as process:
        yield process


def test_twenty_megabytes_up_and_down(page: Page, peer: PeerProcess) -> None:
    page.goto(peer.first["link"].partition("#")[0])
    up: dict[str, Any] = page.evaluate(UP % (json.dumps(peer.first["link"]), SIZE))
    assert (up["name"], up["size"], up["last"], up["rising"]) == ("big.bin", SIZE, [SIZE, SIZE], True)
    assert up["sha256"] == up["own"]
    down: dict[str, Any] = page.evaluate(DOWN)
    assert down == {
        "name": "../../big.bin",
        "safeName": "big.bin",
        "size": SIZE,
        "type": "text/html",
        "last": [SIZE, SIZE],
        "sha256": up["own"],
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
    page.evaluate(f"document.querySelector('{card(method)} .outcome').replaceChildren()")
    page.click(f"{card(method)} .call")
    page.wait_for(f"{card(method)}:not(.busy) .outcome > *")
    return page.text(f"{card(method)} .outcome")


def test_the_page_sends_a_chosen_file_and_gets_it_back(driven: Page, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    driven.upload(f"{card('keep')} input[type=file]", [path])
    assert "1.9 MiB" in driven.text(f"{card('keep')} .drop-zone")
    text = call(driven, "keep")
    assert hashlib.sha256(data).hexdigest() in text
    assert "image/png" in text
    assert "1.9 MiB of 1.9 MiB, 100 %" in driven.text(f"{card('keep')} .drop-zone")

    driven.type(f"{card('give')} form textarea", "photo.png")
    assert "../../photo.png, 1.9 MiB" in call(driven, "give")
    driven.evaluate(
        "{ const make = URL.createObjectURL; URL.createObjectURL = (blob) => make((window.saved = blob)); }"
    )
    driven.click(f"{card('give')} .remote-file button")
    driven.wait_for(f"{card('give')} .remote-file[data-state=saved] a")
    assert driven.evaluate(f"document.querySelector('{card('give')} .remote-file a').download") == "photo.png"
    # The peer said text/html: nothing of it may ever be opened as a page.
    assert driven.evaluate("[saved.type, saved.size]") == ["application/octet-stream", len(data)]
    saved = driven.evaluate(
        "saved.arrayBuffer().then((all) => crypto.subtle.digest('SHA-256', all)).then((sum) => [...new Uint8Array(sum)])"
    )
    assert bytes(saved) == hashlib.sha256(data).digest()

    driven.type(f"{card('both')} form textarea", "photo.png")
    call(driven, "both")
    driven.evaluate(
        f"for (const branch of document.querySelectorAll('{card('both')} .outcome details')) branch.open = true"
    )
    driven.wait_until(f"document.querySelectorAll('{card('both')} .remote-file button').length === 2")


def test_a_file_may_be_dropped(driven: Page) -> None:
    drop = """(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["dropped"], "dropped.txt", { type: "text/plain" }));
      const zone = document.querySelector('%s .drop-zone');
      zone.dispatchEvent(new DragEvent("dragover", { dataTransfer: transfer, bubbles: true, cancelable: true }));
      const over = zone.classList.contains("over");
      zone.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
      return over;
    })()"""
    assert driven.evaluate(drop % card("keep")) is True
    text = call(driven, "keep")
    assert hashlib.sha256(b"dropped").hexdigest() in text
    # Not chosen: nothing is sent, and the field says what it wants.
    driven.reload()
    driven.wait_for('#status[data-phase="connected"]', seconds=30)
    driven.evaluate(f"document.querySelector('{card('keep')}').open = true")
    driven.wait_for(f"{card('keep')} form")
    driven.click(f"{card('keep')} .call")
    driven.wait_until(f"document.querySelector('{card('keep')} form').innerText.includes('choose a file')")


def test_a_file_that_is_not_whole_is_not_saved(driven: Page) -> None:
    assert "broken.txt, 3 bytes" in call(driven, "broken")
    driven.click(f"{card('broken')} .remote-file button")
    driven.wait_for(f"{card('broken')} .remote-file[data-state=failed]")
    assert "SHA-256" in driven.text(f"{card('broken')} .remote-file")
    assert driven.count(f"{card('broken')} .remote-file a") == 0
