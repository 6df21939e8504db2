"""The examples with a browser, and two browsers that call each other."""

from __future__ import annotations

import json
from pathlib import Path

from browser.driver import BrowserDriver, Page
from browser.netns import NetworkNamespace
from browser.peer_process import PeerProcess, serve

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_hello_a_page_drives_python(page: Page, namespace: NetworkNamespace) -> None:
    with serve(namespace, str(EXAMPLES / "robot.py")) as robot:
        page.goto(robot.first["link"])
        page.wait_until("document.body.textContent.includes('look_around')")
        answer = page.evaluate(
            f"""(async () => {{
                const {{ join }} = await import("/rtcrpc.js");
                const room = await join({json.dumps(robot.first["link"])}, {{ name: "hand-written" }});
                const robot = await room.peer();
                const sum = await robot.call.add(1, 2);
                const where = await robot.call.with({{ named: true }}).move({{ direction: "back", metres: 0.5 }});
                let refused = "";
                try {{ await robot.call.move("forward", 50); }} catch (error) {{ refused = error.message; }}
                await room.close();
                return [sum, where, refused];
            }})()"""
        )
        assert answer == [3, -0.5, "the robot moves at most 5 metres at a time"]


def test_a_browser_offers_a_function_to_python(page: Page, namespace: NetworkNamespace) -> None:
    with PeerProcess([str(EXAMPLES / "browser_sensor.py")], namespace) as asker:
        page.set_viewport(640, 480)
        page.goto(asker.first["open this"])
        assert asker.read() == {"the window is": {"width": 640, "height": 480}}
        assert asker.read() == "the message is shown"
        assert page.text("#message") == "Hello from Python"


JOIN = """(async () => {
  const { join } = await import("/rtcrpc.js");
  const room = await join(%s, { name: %s, pin: %s, identity: window.identity });
  room.expose("who", () => %s);
  window.room = room;
  return null;
})()"""

IDENTITY = """(async () => {
  const { generateIdentity } = await import("/rtcrpc.js");
  window.identity = await generateIdentity();
  return window.identity.peerId;
})()"""


def test_two_browsers_call_each_other(page: Page, browser: BrowserDriver, namespace: NetworkNamespace) -> None:
    """The bootstrap introduces two pages, which then talk alone; both dial at once, too."""
    with PeerProcess(["-m", "rtcrpc", "bootstrap", "--port", "0", "--json"], namespace) as bootstrap:
        other = browser.new_page()
        url = bootstrap.first["url"] + "/"
        ids = {}
        for tab in (page, other):
            tab.goto(url)
            ids[tab] = tab.evaluate(IDENTITY)
        room = url.replace("http", "ws") + "room/two"
        for tab, mine, theirs in ((page, "one", ids[other]), (other, "two", ids[page])):
            tab.evaluate(JOIN % (json.dumps(room), json.dumps(mine), json.dumps(theirs), json.dumps(mine)))
        ask = "room.peer(%s).then(async (peer) => [await peer.call.who(), peer.trust])"
        for tab, name in ((page, "two"), (other, "one")):  # both set out before either has an answer
            tab.evaluate(f"(window.answer = {ask % json.dumps(name)}, null)")
        assert page.evaluate("window.answer") == ["two", "pinned"]
        assert other.evaluate("window.answer") == ["one", "pinned"]
        assert other.violations == []
        other.close()
