"""rtcrpc.cli.reach: which links a browser elsewhere can use."""

from __future__ import annotations

import pytest

from rtcrpc.cli.reach import browser_trouble, is_local

WS = "&bootstrap=ws%3A%2F%2Fboot.example"
WSS = "&bootstrap=wss%3A%2F%2Fboot.example"


@pytest.mark.parametrize(
    ("link", "local", "trouble"),
    [
        ("http://127.0.0.1:8750/#room=x", True, None),
        ("http://localhost:8750/#room=x", True, None),
        ("http://[::1]:8750/#room=x", True, None),
        ("ws://127.0.0.1:8750/room/x", True, None),
        ("http://192.168.1.5:8750/#room=x", False, "only over https"),
        ("http://robot.lan/#room=x", False, "only over https"),
        ("https://robot.lan/#room=x", False, None),
        ("https://me.example/" + "#room=x" + WSS, False, None),
        ("https://me.example/" + "#room=x" + WS, False, "needs a wss:// address"),
        ("wss://boot.example/room/x", False, None),
    ],
)
def test_links(link: str, local: bool, trouble: str | None) -> None:
    assert is_local(link) is local
    said = browser_trouble(link)
    assert (said is None) == (trouble is None)
    assert trouble is None or trouble in str(said)
