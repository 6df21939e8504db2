"""A browser that offers a function, and Python that calls it.  Run it with:  python examples/browser_sensor.py

Open the link that it prints; Python then asks the page for the size of its window, and shows a message in it.
"""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import rtcrpc
from rtcrpc.bootstrap import Bootstrap, BootstrapConfig
from rtcrpc.web import static_dir

PAGE = Path(__file__).parent / "browser_sensor"


async def main() -> None:
    """Serve the page, wait for a browser, call it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(static_dir(), folder, dirs_exist_ok=True)  # the client, rtcrpc.js
        shutil.copytree(PAGE, folder, dirs_exist_ok=True)
        async with Bootstrap(BootstrapConfig(page_dir=Path(folder))).serve() as server:
            peer = rtcrpc.Peer(name="asker")
            async with peer.join(server.room_url("sensors")) as room:
                invite = rtcrpc.Invite(bootstrap=None, room="sensors", pin=peer.peer_id, name="asker", token=None)
                print(json.dumps({"open this": invite.to_link(server.url + "/sensor.html")}), flush=True)
                browser = await room.peer("browser", timeout=300)
                size = await browser.call.window_size()
                print(json.dumps({"the window is": size}), flush=True)
                await browser.call.show("Hello from Python")
                print(json.dumps("the message is shown"), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
