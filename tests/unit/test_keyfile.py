"""rtcrpc.keyfile: a key in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from support.sessions import identity

from rtcrpc.errors import KeyFileError
from rtcrpc.keyfile import load_identity, load_or_create_identity, save_identity


def test_a_key_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "robot.jwk"
    save_identity(identity(1), path)
    assert load_identity(path).peer_id == identity(1).peer_id
    assert json.loads(path.read_text())["x"] == identity(1).peer_id
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "robot.jwk"
    assert load_or_create_identity(path).peer_id == load_or_create_identity(path).peer_id


def test_a_key_is_never_overwritten_nor_written_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "robot.jwk", tmp_path / "link.jwk"
    save_identity(identity(1), path)
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (path, link):
        with pytest.raises(KeyFileError, match="exists already"):
            save_identity(identity(2), taken)
    assert load_identity(path).peer_id == identity(1).peer_id
    assert not (tmp_path / "elsewhere").exists()


def test_half_a_key_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "robot.jwk"
    with monkeypatch.context() as patched:
        patched.setattr(json, "dump", full)
        with pytest.raises(KeyFileError, match="No space left"):
            save_identity(identity(1), path)
    assert not path.exists()


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="rtcrpc key new"):
        load_identity(tmp_path / "none.jwk")


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "robot.jwk"
    save_identity(identity(1), path)
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="chmod 600"):
            load_identity(path)


GOOD = {"kty": "OKP", "crv": "Ed25519", "x": identity(1).peer_id, "d": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "{}",
        "[" * 4000,
        json.dumps({**GOOD, "kty": "RSA"}),
        json.dumps({**GOOD, "d": 5}),
        json.dumps({**GOOD, "d": "AAAA"}),
        json.dumps({**GOOD, "d": "A" * 43}),
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "robot.jwk"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="RFC 8037"):
        load_identity(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "robot.jwk"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="can't be read as a key"):
        load_identity(path)
