"""Names that hostile senders choose."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.files.names import safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("notes.txt", "notes.txt"),
        ("Grüße aus 東京.txt", "Grüße aus 東京.txt"),
        ("/etc/passwd", "passwd"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:evil.exe", "C_evil.exe"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("notes.txt:hidden", "notes.txt_hidden"),
        ("..", "file"),
        (".", "file"),
        ("...", "file"),
        (". . .", "file"),
        ("", "file"),
        ("folder/", "file"),
        ("\0", "file"),
        ("a\0b\r\nc\x1b[31m.txt", "abc[31m.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("line\u2028break", "linebreak"),
        (".bashrc", "bashrc"),
        ("name. . ", "name"),
        ("NUL", "_NUL"),
        ("con.txt", "_con.txt"),
        ("COM1", "_COM1"),
        ("lpt9 .log", "_lpt9 .log"),
        ("console.txt", "console.txt"),
        ("a" * 300 + ".tar.gz", "a" * 197 + ".gz"),
        ("b" * 300, "b" * 200),
        ("ä" * 300 + ".txt", "ä" * 98 + ".txt"),
    ],
)
def test_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("./\\:. \0\r\u202e" + string.ascii_letters))))
def test_any_name_stays_in_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert not {"/", "\\", ":", "\0", os.sep} & set(safe)
    assert safe == safe.strip(". ")
    assert len(safe.encode()) <= 255 - len(".12345678.part")
    assert (Path("folder") / safe).parent == Path("folder")
    assert safe_name(safe) == safe
