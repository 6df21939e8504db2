"""The command line as people use it: real processes, a real bootstrap, real DataChannels."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.programs import run_program

ROBOT = Path(__file__).parents[2] / "examples" / "robot.py"


async def rtcrpc(*args: str, within: float = 30) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    return await run_program(sys.executable, "-m", "rtcrpc", *args, within=within)


@asynccontextmanager
async def running(*args: str) -> AsyncIterator[dict[str, Any]]:
    """Run a command that stays, with --json; what it says first. It must end well at SIGINT."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rtcrpc",
        *args,
        "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        assert line, (await process.stderr.read()).decode()
        yield json.loads(line)
        process.send_signal(2)
        async with asyncio.timeout(20):
            _, err = await process.communicate()
        assert process.returncode == 130, err.decode()
        assert "Traceback" not in err.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def link() -> AsyncIterator[str]:
    async with running("serve", str(ROBOT), "--port", "0") as said:
        assert said["methods"] == ["add", "move", "look_around", "ticks", "charge", "who_am_i"]
        yield said["link"]


async def test_call_discover_and_peers(link: str) -> None:
    assert await rtcrpc("call", link, "add", "1", "2") == (0, "3\n", "")
    assert await rtcrpc("call", link, "add", "-a", "a=1", "-a", "b=2", "--json") == (0, "3\n", "")
    assert await rtcrpc("call", link, "add", "-1", "-20", "--timeout", "9") == (0, "-21\n", "")
    code, out, err = await rtcrpc("call", link, "add", "one", "2")
    assert (code, out) == (1, "")
    assert "expected an integer" in err
    code, out, _ = await rtcrpc("call", link, "add", "one", "2", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (1, -32602)
    code, out, _ = await rtcrpc("discover", link, "--json")
    assert code == 0
    names = {method["name"] for method in json.loads(out)["methods"]}
    assert names == {"add", "move", "look_around", "ticks", "charge", "who_am_i"}
    code, out, _ = await rtcrpc("discover", link)
    assert "add(a: integer, b: integer) -> integer" in out
    assert "stream<integer>" in out
    assert "robot (pinned)" in out
    code, out, _ = await rtcrpc("peers", link, "--json")
    assert [(member["name"], member["pinned"]) for member in json.loads(out)] == [("robot", True)]


async def test_errors_say_what_to_do(link: str) -> None:
    code, _, err = await rtcrpc("call", link, "no_such_function")
    assert (code, "there is no method" in err, "rtcrpc discover" in err) == (1, True, True)
    code, _, err = await rtcrpc("call", link, "add", "1", "--tmeout", "5")
    assert (code, "No such option" in err) == (2, True)
    code, out, _ = await rtcrpc("call", "nonsense", "add", "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "InviteError")
    code, _, err = await rtcrpc("call", link, "look_around", "30", "--timeout", "0.5")
    assert code == 5
    without_token = link.partition("&token=")[0]
    code, _, err = await rtcrpc("call", without_token, "add", "1", "2")
    assert (code, "invite" in err) == (1, True)
    wrong_key = link.replace("pin=", "pin=A", 1)
    assert (await rtcrpc("call", wrong_key, "add", "1", "2"))[0] == 2
    other = "A" * 43
    start = link.index("pin=") + 4
    code, _, err = await rtcrpc("call", link[:start] + other + link[start + 43 :], "add", "1", "2", "--peer", "robot")
    assert (code, other in err) == (4, True)
    code, _, err = await rtcrpc("call", "http://127.0.0.1:9/#room=x&pin=" + other, "add", "1", "2")
    assert code == 3


async def test_a_key_file_keeps_the_link(tmp_path: Path) -> None:
    key = tmp_path / "robot.key"
    links = []
    for _ in range(2):
        async with running("serve", str(ROBOT), "--port", "0", "--key", str(key)) as said:
            links.append(said["link"].partition("#")[2])
    assert links[0] == links[1]
    code, out, _ = await rtcrpc("key", "show", str(key))
    assert (code, f"pin={out.strip()}" in links[0]) == (0, True)
    code, _, err = await rtcrpc("key", "new", str(key))
    assert (code, "exists already" in err) == (2, True)


async def test_a_link_from_the_key_file_alone_may_call(tmp_path: Path) -> None:
    key = tmp_path / "robot.key"
    async with running("serve", str(ROBOT), "--port", "0", "--key", str(key), "--room", "lab") as said:
        page = said["link"].partition("#")[0]
        code, made, _ = await rtcrpc("invite", "--page", page, "--room", "lab", "--key", str(key))
        assert code == 0
        assert await rtcrpc("call", made.strip(), "add", "1", "2") == (0, "3\n", "")


async def test_a_name_of_this_machine_that_only_others_resolve() -> None:
    async with running("serve", str(ROBOT), "--host", "0.0.0.0", "--allow-host", "robot.test", "--port", "0") as said:
        assert said["link"].startswith("http://robot.test:")


async def test_a_bootstrap_that_asks_for_a_token() -> None:
    async with running("bootstrap", "--port", "0", "--token", "open sesame") as bootstrap:
        url = bootstrap["url"].replace("http", "ws")
        code, _, err = await rtcrpc("serve", str(ROBOT), "--bootstrap", url)
        assert (code, "token" in err) == (3, True)
        token = ("--bootstrap-token", "open sesame")
        async with running("serve", str(ROBOT), "--bootstrap", url, *token) as said:
            assert (await rtcrpc("call", said["link"], "add", "1", "2", *token))[:2] == (0, "3\n")
            code, out, _ = await rtcrpc("peers", said["link"], *token)
            assert (code, "pinned" in out) == (0, True)


async def test_a_bootstrap_of_its_own() -> None:
    async with running("bootstrap", "--port", "0", "--no-page") as bootstrap:
        url = bootstrap["url"].replace("http", "ws")
        async with running("serve", str(ROBOT), "--bootstrap", url) as said:
            assert (await rtcrpc("call", said["link"], "add", "20", "22"))[:2] == (0, "42\n")


async def test_demo_makes_a_real_call() -> None:
    code, out, err = await rtcrpc("demo", "--once")
    assert code == 0, err
    assert "add(1, 2) = 3" in err
    assert out.startswith("http://127.0.0.1:")


async def test_page_and_invite(tmp_path: Path) -> None:
    code, out, _ = await rtcrpc("page", "--out", str(tmp_path / "site"), "--json")
    assert code == 0
    assert {Path(name).name for name in json.loads(out)} >= {"index.html", "rtcrpc.js"}
    pin = "B" * 42 + "A"
    made = await rtcrpc(
        "invite",
        "--page",
        "https://me.example/rtc/",
        "--bootstrap",
        "wss://boot.example",
        "--room",
        "lab",
        "--pin",
        pin,
    )
    assert made[0] == 0
    code, out, _ = await rtcrpc("invite", made[1].strip(), "--json")
    assert json.loads(out)["url"] == "wss://boot.example/room/lab"
    assert (await rtcrpc("invite", "--room", "lab"))[0] == 2


async def test_a_stream_is_printed_as_it_comes(link: str) -> None:
    assert await rtcrpc("call", link, "ticks", "3", "0") == (0, "0\n1\n2\n", "")
    assert await rtcrpc("call", link, "ticks", "2", "0", "--json") == (0, "0\n1\n", "")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcrpc", "call", link, "ticks", "1000000", "0.01", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"0\n"
        process.send_signal(2)
        await process.stdout.read()
        assert await process.wait() == 130


async def test_a_reader_that_has_seen_enough(link: str) -> None:
    call = f"{sys.executable} -m rtcrpc call '{link}' ticks 1000000 0"
    process = await asyncio.create_subprocess_shell(
        f"{call} | head -n 2", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        assert await process.communicate() == (b"0\n1\n", b"")


async def test_progress_is_a_bar_on_a_terminal_only(link: str) -> None:
    assert await rtcrpc("call", link, "charge") == (0, "charged\n", "")
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtcrpc", "call", link, "charge", stdout=asyncio.subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = bytearray()
    async with asyncio.timeout(20):
        while chunk := await asyncio.to_thread(_read, ours):
            shown += chunk
        out, _ = await process.communicate()
    os.close(ours)
    assert out == b"charged\n"
    assert b"charging" in shown
    assert b"/100" in shown


FILES = '''
from collections.abc import AsyncIterator
from pathlib import Path

from rtcrpc import File, Registry

registry = Registry()
FOLDER = Path(__file__).parent / "there"


@registry.expose
async def keep(file: File, note: str = "") -> list[str | int]:
    """Keep a file."""
    path = await file.save(FOLDER)
    return [path.name, path.stat().st_size, note]


@registry.expose
def get(name: str) -> File:
    """Give a file back."""
    return File(FOLDER / name, name="../" + name)


@registry.expose
async def each() -> AsyncIterator[File]:
    """Give all of them."""
    for path in sorted(FOLDER.iterdir()):
        yield File(path)
'''


async def test_files_go_up_and_come_down(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "desk.py").write_text(FILES)
    data = os.urandom(2_000_000)
    source, out = tmp_path / "photo.raw", tmp_path / "out" / "photos"
    source.write_bytes(data)
    async with running("serve", str(tmp_path / "desk.py"), "--port", "0") as said:
        link = said["link"]
        code, text, _ = await rtcrpc("discover", link)
        assert "keep(file: file, note: string = '') -> array" in text
        assert "get(name: string) -> file" in text
        code, text, err = await rtcrpc("call", link, "keep", f"@{source}", "@@me", "--json")
        assert (code, text, err) == (0, '["photo.raw", 2000000, "@me"]\n', "")
        code, text, err = await rtcrpc("call", link, "get", "photo.raw")
        assert (code, text) == (2, "")
        assert "'photo.raw' of 2000000 bytes" in err
        assert "--output DIR" in err
        assert await rtcrpc("call", link, "get", "photo.raw", "--output", str(out)) == (0, f"{out / 'photo.raw'}\n", "")
        assert (out / "photo.raw").read_bytes() == data
        code, _, err = await rtcrpc("call", link, "get", "photo.raw", "-o", str(out))
        assert (code, "is there already" in err) == (2, True)
        code, text, _ = await rtcrpc("call", link, "each", "-o", str(out), "--overwrite")
        assert (code, text) == (0, f"{out / 'photo.raw'}\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""
