"""Files between two peers, over real DataChannels: there and back, hostile, broken off and taken up again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import rtcrpc
from rtcrpc import File, RemotePeer, codes
from rtcrpc.cli.serving import Plan, serving
from rtcrpc.errors import ConnectionLost, FileDamaged, RemoteInvalidParams, RemoteStreamBroken, TooLarge

BOUND = 15.0
MEGABYTE = 1_000_000


class Desk:
    """What the peer of the tests offers: a folder, and ways into and out of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[tuple[str, int]] = []
        self.on_byte: Callable[[int], object] = lambda done: None

    async def put(self, file: File) -> dict[str, Any]:
        path = await file.save(self.folder, overwrite=True)
        return {"name": path.name, "type": file.type, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def put_in_pool(self, files: list[rtcrpc.sync.File]) -> list[str]:
        return [file.save(self.folder).name for file in files]

    def get(self, name: str, offset: int = 0) -> File:
        self.calls.append((name, offset))
        return File(self.folder / name, offset=offset, progress=lambda done, total: self.on_byte(done))

    def get_whole(self, name: str) -> File:
        self.calls.append((name, 0))
        return File(self.folder / name)

    async def again(self, file: File) -> File:
        return file

    async def all_of_them(self) -> AsyncIterator[File]:
        for path in sorted(self.folder.iterdir()):
            yield File(path)

    def anything(self, size: int = 3) -> Any:
        return {"files": [File(b"abc", name="../../evil", size=size, type="")], "n": 1}

    async def lies(self, how: str) -> Any:
        async def items() -> AsyncIterator[Any]:
            yield b"abc"
            if how != "short":
                yield {"sha256": hashlib.sha256(b"xyz" if how == "checksum" else b"abc").digest()}

        size = {"long": 2, "short": 3, "checksum": 3, "size": 4}[how]
        return {"name": "lie", "size": size, "type": "", "content": items()}

    async def no_files(self) -> Any:
        async def one() -> AsyncIterator[Any]:
            yield b"abc"

        whole = {"name": "a", "size": 3, "type": ""}
        return [
            {**whole, "content": one(), "more": 1},
            {**whole, "content": b"abc"},
            {**whole, "size": 3.0, "content": one()},
            {**whole, "size": -1, "content": one()},
            {**whole, "offset": 4, "content": one()},
            {**whole, "name": None, "content": one()},
        ]

    async def by_name(self, name: str, size: int, type: str, content: AsyncIterator[bytes]) -> int:
        return sum([len(chunk) async for chunk in content])


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
async def room(desk: Desk) -> AsyncIterator[rtcrpc.Room]:
    registry = rtcrpc.Registry()
    for name in (
        "put",
        "put_in_pool",
        "get",
        "get_whole",
        "again",
        "all_of_them",
        "anything",
        "lies",
        "no_files",
        "by_name",
    ):
        registry.expose(getattr(desk, name))
    async with (
        serving(Plan(name="desk", registry=registry, with_page=False)) as served,
        rtcrpc.join(served.link, name="caller") as joined,
    ):
        yield joined


@pytest.fixture
async def remote(room: rtcrpc.Room) -> RemotePeer:
    return await room.peer("desk")


async def test_twenty_megabytes_there_and_back(remote: RemotePeer, desk: Desk, here: Path) -> None:
    data = os.urandom(20 * MEGABYTE)
    source = here / "big.png"
    source.write_bytes(data)
    sent: list[tuple[int, int]] = []
    came: list[tuple[int, int]] = []
    async with asyncio.timeout(18):
        told = await rtcrpc.send_file(remote.call.put, source, progress=lambda *now: sent.append(now))
        assert told == {"name": "big.png", "type": "image/png", "sha256": hashlib.sha256(data).hexdigest()}
        path = await rtcrpc.receive_file(
            remote.call.get, "big.png", to=here / "back.png", progress=lambda *now: came.append(now)
        )
    assert path.read_bytes() == data
    assert left(here) == {"back.png", "big.png"}
    for progress in (sent, came):
        assert progress[-1] == (len(data), len(data))
        assert progress == sorted(progress)


async def test_every_way_to_give_and_take(remote: RemotePeer, desk: Desk, here: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for letter in b"abc":
            yield bytes([letter]) * 100_000

    async with asyncio.timeout(BOUND):
        assert (await remote.call.put(File(b"", name="empty")))["sha256"] == hashlib.sha256().hexdigest()
        told = await remote.call.put(file=File(chunks(), name="made.txt", size=300_000, type="text/x"))
        assert (told["name"], told["type"]) == ("made.txt", "text/x")
        made = desk.folder / "made.txt"
        assert made.stat().st_size == 300_000
        assert await remote.call.put_in_pool([File(b"1", name="1"), rtcrpc.sync.File(b"2", name="2")]) == ["1", "2"]

        file = await remote.call.get("made.txt")
        assert (file.name, file.size, file.type) == ("made.txt", 300_000, "text/plain")
        assert file.modified.timestamp() == pytest.approx(made.stat().st_mtime, abs=1e-3)
        assert await file.read() == made.read_bytes()
        with pytest.raises(RuntimeError, match="once"):
            await file.read()
        file = await remote.call.get("made.txt")
        assert b"".join([chunk async for chunk in file]) == made.read_bytes()
        file = await remote.call.get("made.txt")
        assert await asyncio.to_thread(file.sync.read) == made.read_bytes()
        assert await (await remote.call.get("empty")).read() == b""
        assert [(file.name, file.size) async for file in remote.call.all_of_them()] == [
            ("1", 1),
            ("2", 1),
            ("empty", 0),
            ("made.txt", 300_000),
        ]
        # Passed on without being stored: there, back, and there again.
        told = await remote.call.put(await remote.call.again(File(made, name="third")))
        assert told["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
        with pytest.raises(TooLarge):
            await (await remote.call.get("made.txt")).read(299_999)
        with pytest.raises(TypeError, match="expected a file"):
            await rtcrpc.receive_file(remote.call.by_name, "n", 1, "", chunks(), to=here)


async def test_the_schema_says_that_it_is_a_file(remote: RemotePeer) -> None:
    document = await remote.discover()
    methods = {method["name"]: method for method in document["methods"]}
    assert methods["put"]["params"][0]["schema"] == {"type": "object", "x-file": True}
    assert methods["get"]["result"]["schema"] == {"type": "object", "x-file": True}
    assert methods["put_in_pool"]["params"][0]["schema"] == {
        "type": "array",
        "items": {"type": "object", "x-file": True},
    }
    for wrong in ("text", None, {"name": "a", "size": 1, "type": "", "content": b"a"}):
        with pytest.raises(RemoteInvalidParams, match="a file"):
            await remote.call.put(wrong)


async def test_what_the_other_side_says_is_checked(remote: RemotePeer, here: Path) -> None:
    async with asyncio.timeout(BOUND):
        for how in ("long", "short", "checksum", "size"):
            file = await remote.call.lies(how)
            with pytest.raises(FileDamaged):
                await file.save(here)
            with pytest.raises(FileDamaged):
                await (await remote.call.lies(how)).read()
            with pytest.raises(FileDamaged):
                await asyncio.to_thread((await remote.call.lies(how)).sync.save, here)
        assert left(here) == set()
        for value in await remote.call.no_files():
            assert type(value) is dict


async def test_a_hostile_name_stays_in_the_folder(remote: RemotePeer, here: Path) -> None:
    result = await remote.call.anything()
    file = result["files"][0]
    assert (file.name, file.safe_name) == ("../../evil", "evil")
    assert await file.save(here) == here / "evil"
    assert [path.name for path in here.parent.rglob("evil*")] == ["evil"]


async def test_arguments_that_only_look_like_a_file_stay_arguments(remote: RemotePeer) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"abc"

    assert await remote.call.by_name(name="a", size=3, type="", content=content()) == 3


async def test_a_file_that_changes_while_it_is_sent(remote: RemotePeer, desk: Desk, here: Path) -> None:
    path = desk.folder / "log"
    path.write_bytes(bytes(MEGABYTE))
    desk.on_byte = lambda done: path.write_bytes(b"") if done < 100_000 else None
    with pytest.raises(RemoteStreamBroken, match="changed") as told:
        await rtcrpc.receive_file(remote.call.get, "log", to=here)
    assert told.value.code == codes.STREAM_BROKEN
    assert left(here) == set()


async def test_a_file_nobody_takes_is_not_sent(remote: RemotePeer, desk: Desk) -> None:
    (desk.folder / "big").write_bytes(bytes(5 * MEGABYTE))
    done = 0

    def on_byte(now: int) -> None:
        nonlocal done
        done = now

    desk.on_byte = on_byte
    async with await remote.call.get("big") as file:
        async for _ in file:
            break
    assert await remote.call.anything(3) is not None
    assert done < 2 * MEGABYTE


async def test_a_lost_connection_and_a_download_that_goes_on(
    room: rtcrpc.Room, remote: RemotePeer, desk: Desk, here: Path
) -> None:
    data = os.urandom(3 * MEGABYTE)
    (desk.folder / "big").write_bytes(data)
    cuts = 2

    def on_byte(done: int) -> None:
        nonlocal cuts
        if cuts and done >= (3 - cuts) * MEGABYTE:
            cuts -= 1
            loop.call_soon_threadsafe(cut)

    def cut() -> None:
        link = remote._link
        assert link is not None
        # As when the network goes: nothing more is said.
        remote._runtime.mailbox().post(link.connection_closed, "the cable was pulled", False)

    loop = asyncio.get_running_loop()
    desk.on_byte = on_byte
    async with asyncio.timeout(18):
        path = await rtcrpc.download(remote.call.get, "big", to=here)
    assert path == here / "big"
    assert path.read_bytes() == data
    assert left(here) == {"big"}
    offsets = [offset for _, offset in desk.calls]
    assert offsets[0] == 0
    assert len(offsets) == 3
    assert 0 < offsets[1] < offsets[2] < len(data)


async def test_a_download_that_an_earlier_run_began(remote: RemotePeer, desk: Desk, here: Path) -> None:
    data = os.urandom(MEGABYTE)
    (desk.folder / "big").write_bytes(data)
    part = here / "big.part"
    async with asyncio.timeout(BOUND):
        part.write_bytes(data[:600_000])
        assert (await rtcrpc.download(remote.call.get, name="big", to=here / "first")).read_bytes() == data
        assert desk.calls == [("big", 0)]
        await rtcrpc.download(remote.call.get, name="big", to=here)
        assert desk.calls[1:] == [("big", 0), ("big", 600_000)]
        assert (here / "big").read_bytes() == data
        assert not part.exists()
        # All of it is there, and only its checksum is missing.
        part.write_bytes(data)
        await rtcrpc.download(remote.call.get, "big", to=here, overwrite=True)
        assert desk.calls[-1] == ("big", MEGABYTE)
        # What is there belongs to another file, or to an older state of it: found out, thrown away, had anew.
        part.write_bytes(b"other" * 1000)
        await rtcrpc.download(remote.call.get, "big", to=here, overwrite=True)
        assert [offset for _, offset in desk.calls[-3:]] == [0, 5000, 0]
        assert (here / "big").read_bytes() == data
        # The function knows of no offsets.
        part.write_bytes(data[:1000])
        await rtcrpc.download(remote.call.get_whole, "big", to=here, overwrite=True)
        assert (here / "big").read_bytes() == data
        assert not part.exists()


async def test_a_plain_save_leaves_nothing_when_the_connection_goes(
    room: rtcrpc.Room, remote: RemotePeer, desk: Desk, here: Path
) -> None:
    (desk.folder / "big").write_bytes(bytes(5 * MEGABYTE))
    file = await remote.call.get("big")

    def cut(done: int, total: int) -> None:
        link = remote._link
        if link is not None:
            remote._runtime.mailbox().post(link.connection_closed, "the cable was pulled", False)

    with pytest.raises(ConnectionLost):
        await file.save(here, progress=cut)
    assert left(here) == set()
