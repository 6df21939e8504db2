"""What is sent of a file, and what is held against it where it comes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc import Error
from rtcrpc.errors import FileDamaged
from rtcrpc.files.content import CHUNK, Check, items_of_bytes, items_of_path, items_of_source

DATA = bytes(range(256)) * 1000


def taken(items: list[Any], size: int, offset: int = 0, before: bytes = b"") -> bytes:
    check = Check("x", size, offset, hashlib.sha256(before))
    came = b"".join(check.take(item) for item in items)
    check.end()
    return came


@given(st.binary(max_size=300), st.integers(0, 300))
def test_bytes_come_whole_from_any_offset(data: bytes, offset: int) -> None:
    offset = min(offset, len(data))
    items = list(items_of_bytes(data, offset))
    assert taken(items, len(data), offset, data[:offset]) == data[offset:]


def test_a_path_is_read_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    told: list[tuple[int, int]] = []
    items = list(items_of_path(str(path), len(DATA), 0, lambda done, total: told.append((done, total))))
    assert [len(item) for item in items[:-1]] == [CHUNK] * 3 + [len(DATA) - 3 * CHUNK]
    assert items[-1] == {"sha256": hashlib.sha256(DATA).digest()}
    assert told[-1] == (len(DATA), len(DATA))
    assert taken(items, len(DATA)) == DATA
    assert taken(list(items_of_path(str(path), len(DATA), 99_999)), len(DATA), 99_999, DATA[:99_999]) == DATA[99_999:]


@pytest.mark.parametrize("now", [DATA + b"1", DATA[:-1], b""])
def test_a_file_that_changes_breaks_the_stream(tmp_path: Path, now: bytes) -> None:
    path = tmp_path / "data"
    path.write_bytes(now)
    with pytest.raises(Error, match="changed"):
        list(items_of_path(str(path), len(DATA), 0))


async def test_a_source_is_held_to_its_size() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield DATA[:100_000]
        yield b""
        yield bytearray(DATA[100_000:])  # type: ignore[misc]

    items = [item async for item in items_of_source(source(), "x", len(DATA))]
    assert taken(items, len(DATA)) == DATA
    assert max(len(item) for item in items) <= CHUNK
    for size in (len(DATA) - 1, len(DATA) + 1):
        with pytest.raises(Error, match="bytes"):
            [item async for item in items_of_source(source(), "x", size)]


GOOD = list(items_of_bytes(DATA, 0))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (GOOD[:-1], "without its checksum"),
        (GOOD[:-2], "65536|196608 bytes came"),
        (GOOD[1:], "bytes came"),
        ([*GOOD, b""], "behind its checksum"),
        ([*GOOD, GOOD[-1]], "behind its checksum"),
        ([*GOOD[:-1], b"1", GOOD[-1]], "more came"),
        ([GOOD[1], GOOD[0][::-1], *GOOD[2:]], "SHA-256"),
        ([*GOOD[:-1], {"sha256": b"1" * 32}], "SHA-256"),
        ([*GOOD[:-1], {"sha256": "1" * 32}], "expected bytes"),
        ([*GOOD[:-1], {"sha256": b""}], "expected bytes"),
        ([*GOOD[:-1], {}], "expected bytes"),
        (["text"], "expected bytes"),
        ([None], "expected bytes"),
        ([], "0 bytes came"),
    ],
)
def test_what_is_no_such_file(items: list[Any], words: str) -> None:
    with pytest.raises(FileDamaged, match=words):
        taken(items, len(DATA))


def test_more_than_announced_is_refused_before_it_is_all_there() -> None:
    check = Check("x", 10)
    check.take(b"1" * 10)
    with pytest.raises(FileDamaged, match="more came"):
        check.take(b"1")
