"""The harness sees what it must see: a collector of violations that stays empty proves nothing by itself."""

from __future__ import annotations

import pytest
from browser.driver import BrowserDriver, DriverError
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess

ATTEMPTS = {
    "script-src": "import('https://example.org/x.js').catch(() => 0)",
    "style-src": "document.body.setAttribute('style', 'color: red')",
    "img-src": "document.body.append(Object.assign(new Image(), { src: 'https://example.org/x.png' }))",
    "connect-src": "fetch('https://example.org/').catch(() => 0)",
    "require-trusted-types-for": "{ try { document.body.innerHTML = '<b>x</b>'; } catch { /* as it should */ } }",
}


@pytest.mark.parametrize("directive", ATTEMPTS)
def test_a_violation_of_the_policy_is_stopped_and_collected(
    browser: BrowserDriver, robot: PeerProcess, directive: str
) -> None:
    page = browser.new_page()
    page.goto(robot.first["link"].partition("#")[0])
    assert page.violations == []
    page.evaluate(f"(() => {{ {ATTEMPTS[directive]} }})()")
    for _ in range(200):
        found = page.violations
        if found:
            break
        page.evaluate("new Promise((resolve) => setTimeout(resolve, 25))")
    assert any(directive in violation["directive"] or directive in violation["blocked"] for violation in found), found


def test_failed_commands_say_why_and_leave_the_driver_usable(browser: BrowserDriver) -> None:
    page = browser.new_page()
    with pytest.raises(DriverError, match="in vain"):
        page.wait_until("false", seconds=0.1)
    with pytest.raises(DriverError, match="expected one of"):
        browser.send("fly")
    assert page.evaluate("1 + 1") == 2


def test_a_namespace_leaves_nothing_behind() -> None:
    with NetworkNamespace() as made:
        assert made.name in NetworkNamespace.all_names()
        assert made.address.startswith("10.")
    assert made.name not in NetworkNamespace.all_names()
