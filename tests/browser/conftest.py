"""What the browser tests share: a network namespace, a browser in it, and peers for it to call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.driver import BrowserDriver, Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve

PEERS = Path(__file__).parent / "peers"
ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "browser"


@pytest.fixture(scope="session")
def namespace() -> Iterator[NetworkNamespace]:
    """The network of the tests. Needs root; its error says so."""
    with NetworkNamespace() as made:
        yield made


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, namespace: NetworkNamespace) -> Iterator[BrowserDriver]:
    """Chromium over CDP, then Firefox over BiDi: one process for the tests of a module."""
    with BrowserDriver(request.param, namespace) as driver:
        yield driver


@pytest.fixture(scope="module")
def robot(namespace: NetworkNamespace) -> Iterator[PeerProcess]:
    """`rtcrpc serve peers/robot.py`."""
    with serve(namespace, str(PEERS / "robot.py"), "--name", "robot") as process:
        yield process


@pytest.fixture
def page(browser: BrowserDriver) -> Iterator[Page]:
    """A new tab, which must leave no Content-Security-Policy violation and no uncaught error behind."""
    tab = browser.new_page()
    yield tab
    assert tab.violations == []
    # Firefox logs a refused WebSocket as an error of the page; no script can prevent that.
    assert [m for m in tab.console if m["type"] == "pageerror" and "ws://" not in m["text"]] == []
    tab.close()


@pytest.fixture
def artifacts() -> Path:
    """Where pictures are kept; not in git."""
    return ARTIFACTS
