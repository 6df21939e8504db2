"""Files on their way to disk: where they may be written, and what is left where they don't get there."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import rtcrpc
from rtcrpc import File
from rtcrpc.errors import FileDamaged, TooLarge
from rtcrpc.files.saving import Saving, place_of

DATA = os.urandom(300_000)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_into_a_folder_or_at_a_path(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = File(DATA, name="../../evil\0.bin")
    assert await file.save(tmp_path, progress=lambda done, total: told.append((done, total))) == tmp_path / "evil.bin"
    assert told[-1] == (len(DATA), len(DATA))
    assert await file.save(tmp_path / "mine.bin") == tmp_path / "mine.bin"
    assert file.sync.save(str(tmp_path / "third")) == tmp_path / "third"
    assert left(tmp_path) == {"evil.bin", "mine.bin", "third"}
    assert all((tmp_path / name).read_bytes() == DATA for name in left(tmp_path))
    with pytest.raises(NotADirectoryError, match="expected a folder"):
        await file.save(f"{tmp_path}/missing/")


async def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    file = File(DATA, name="a")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        await file.save(tmp_path)
    with pytest.raises(FileExistsError):
        file.sync.save(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"mine"
    await file.save(tmp_path, overwrite=True)
    assert (tmp_path / "a").read_bytes() == DATA
    assert left(tmp_path) == {"a"}


async def test_not_even_what_comes_meanwhile(tmp_path: Path) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield DATA
        (tmp_path / "a").write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        await File(source(), name="a", size=len(DATA)).save(tmp_path)
    assert left(tmp_path) == {"a"}
    assert (tmp_path / "a").read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
async def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").symlink_to(outside)
    (folder / "dangling").symlink_to(tmp_path / "not yet")
    (folder / "b.part").symlink_to(outside)
    for name in ("a", "dangling"):
        with pytest.raises(FileExistsError):
            await File(DATA, name=name).save(folder)
    with pytest.raises(OSError, match=r"b\.part"):
        Saving(folder / "b", overwrite=False, keep=True).open("b", 1, 0)
    assert Saving.begun(folder / "b") == 0
    await File(DATA, name="a").save(folder, overwrite=True)
    assert not (folder / "a").is_symlink()
    assert outside.read_bytes() == b"mine"
    assert not (tmp_path / "not yet").exists()


async def test_a_broken_one_leaves_nothing(tmp_path: Path) -> None:
    async def source(fail: bool) -> AsyncIterator[bytes]:
        yield DATA
        if fail:
            raise RuntimeError("the camera fell")

    with pytest.raises(RuntimeError, match="camera"):
        await File(source(True), name="a", size=len(DATA)).save(tmp_path)
    with pytest.raises(rtcrpc.Error, match="bytes"):
        await File(source(False), name="a", size=len(DATA) + 1).save(tmp_path)
    with pytest.raises(TooLarge, match="at most 10"):
        await File(DATA, name="a").save(tmp_path, limit=10)
    with pytest.raises(TooLarge, match="at most 10"):
        await File(DATA, name="a").read(10)
    with pytest.raises(TooLarge):
        File(DATA, name="a").sync.save(tmp_path, limit=len(DATA) - 1)
    assert left(tmp_path) == set()
    await File(DATA, name="a").save(tmp_path, limit=len(DATA))


def test_a_part_is_taken_up(tmp_path: Path) -> None:
    target = place_of(tmp_path, "a")
    first = Saving(target, overwrite=False, keep=True)
    check = first.open("a", len(DATA), 0)
    first.write([check.take(DATA[:100_000])])
    if sys.platform != "win32":
        with pytest.raises(FileExistsError, match="being written"):
            Saving(target, overwrite=False, keep=True).open("a", len(DATA), 0)
    first.abandon()
    assert (left(tmp_path), Saving.begun(target)) == ({"a.part"}, 100_000)

    with pytest.raises(ValueError, match="begins at byte 100001"):
        Saving(target, overwrite=False, keep=True).open("a", len(DATA), 100_001)
    second = Saving(target, overwrite=False, keep=True)
    check = second.open("a", len(DATA), 99_999)
    for item in rtcrpc.File(DATA, name="a", offset=99_999).as_map()["content"]:
        second.write([check.take(item)])
    check.end()
    assert second.finish() == target
    assert left(tmp_path) == {"a"}
    assert target.read_bytes() == DATA


async def test_a_part_of_another_file_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"other" * 100)
    file = File(DATA, name="a", offset=500)
    with pytest.raises(FileDamaged, match="SHA-256"):
        await file.save_at(tmp_path / "a", overwrite=False, progress=None, limit=None, keep=True)
    assert left(tmp_path) == set()


def test_what_makes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(DATA)
    file = File(path)
    assert (file.name, file.size, file.type, file.offset) == ("photo.jpg", len(DATA), "image/jpeg", 0)
    assert file.modified is not None
    assert file.modified.timestamp() == pytest.approx(path.stat().st_mtime)
    assert File(str(path), name="other.xyzzy").type == "application/octet-stream"
    assert rtcrpc.sync.File(path).read() == DATA
    assert b"".join(File(path, offset=5).sync) == DATA[5:]

    async def source() -> AsyncIterator[bytes]:
        yield b""

    for make, error in (
        (lambda: File(tmp_path), ValueError),
        (lambda: File(tmp_path / "missing"), FileNotFoundError),
        (lambda: File(DATA), ValueError),
        (lambda: File(DATA, name="a", size=1), ValueError),
        (lambda: File(DATA, name="a", offset=len(DATA) + 1), ValueError),
        (lambda: File(DATA, name="a", offset=-1), ValueError),
        (lambda: File(source(), name="a"), ValueError),
        (lambda: File(3, name="a"), TypeError),  # type: ignore[arg-type]
    ):
        with pytest.raises(error):
            make()


async def test_an_async_source_comes_once() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"once"

    file = File(source(), name="a", size=4)
    assert await file.read() == b"once"
    with pytest.raises(RuntimeError, match="once"):
        await file.read()
    with pytest.raises(TypeError, match="async iterable"):
        File(source(), name="a", size=4).sync.read()
