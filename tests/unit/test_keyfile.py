"""rtcrpc.keyfile: keys are private, never overwritten, and checked when read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from rtcrpc.core.identity import Identity
from rtcrpc.errors import KeyFileError
from rtcrpc.keyfile import load_identity, load_or_create_identity, save_identity

IDENTITY = Identity.generate(b"\x07" * 32)


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "robot.key"
    save_identity(IDENTITY, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_identity(path).peer_id == IDENTITY.peer_id


def test_made_once(tmp_path: Path) -> None:
    path = tmp_path / "robot.key"
    assert load_or_create_identity(path).peer_id == load_or_create_identity(path).peer_id


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "robot.key"
    path.write_text("mine", encoding="ascii")
    with pytest.raises(KeyFileError, match="exists already"):
        save_identity(IDENTITY, path)
    assert path.read_text(encoding="ascii") == "mine"


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        save_identity(IDENTITY, tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "robot.key"
    save_identity(IDENTITY, path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"{mode:04o}"):
        load_identity(path)


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="rtcrpc key new"):
        load_identity(tmp_path / "robot.key")


GOOD = {"kty": "OKP", "crv": "Ed25519", "x": IDENTITY.peer_id, "d": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "\xff",
        json.dumps({**GOOD, "crv": "X25519"}),
        json.dumps({**GOOD, "kty": "EC"}),
        json.dumps({**GOOD, "x": "A" * 43}),
        json.dumps({**GOOD, "d": "AAAA"}),
        json.dumps({**GOOD, "d": 7}),
        json.dumps({key: value for key, value in GOOD.items() if key != "d"}),
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "robot.key"
    path.touch(mode=0o600)
    path.write_text(text, encoding="latin-1")
    with pytest.raises(KeyFileError):
        load_identity(path)


def test_a_good_key_in_that_form(tmp_path: Path) -> None:
    path = tmp_path / "robot.key"
    path.touch(mode=0o600)
    path.write_text(json.dumps(GOOD), encoding="ascii")
    assert load_identity(path).peer_id == IDENTITY.peer_id
