"""Small readers of the command line: ICE servers, arguments, exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtcrpc import File, errors
from rtcrpc.cli.call import parse_argument
from rtcrpc.cli.discover import signature_of
from rtcrpc.cli.exits import Exit, exit_of
from rtcrpc.cli.files import FileBars
from rtcrpc.cli.options import parse_ice_server


def test_ice_servers() -> None:
    stun = parse_ice_server("stun:stun.example.org:3478")
    assert (stun.urls, stun.username) == (("stun:stun.example.org:3478",), None)
    turn = parse_ice_server("turn:me:se:cr@et@turn.example.org:3478?transport=tcp")
    assert turn.urls == ("turn:turn.example.org:3478?transport=tcp",)
    assert (turn.username, turn.credential) == ("me", "se:cr@et")


@pytest.mark.parametrize("text", ["http://x", "stun:", "", "turn:turn.example.org"])
def test_what_is_no_ice_server(text: str) -> None:
    with pytest.raises(ValueError, match="--ice-server"):
        parse_ice_server(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.5", 3.5),
        ("true", True),
        ("null", None),
        ("robot", "robot"),
        ('"3"', "3"),
        ('[1, {"a": 2}]', [1, {"a": 2}]),
        ('{"$int": "9007199254740993"}', 9007199254740993),
        ('{"$bytes": "AA"}', b"\x00"),
        ("not json {", "not json {"),
    ],
)
def test_arguments(text: str, value: Any) -> None:
    assert parse_argument(text) == value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RemoteInvalidParams("no"), Exit.FAILED),
        (errors.RemoteDeadlineExceeded("late"), Exit.TIMEOUT),
        (errors.DeadlineExceeded("late"), Exit.TIMEOUT),
        (errors.ConnectionLost("gone"), Exit.LOST),
        (errors.Unavailable("nobody"), Exit.UNREACHABLE),
        (errors.SignalingError("no bootstrap"), Exit.UNREACHABLE),
        (errors.IdentityMismatch("who?"), Exit.IDENTITY),
        (errors.InviteError("cut off"), Exit.USAGE),
        (errors.KeyFileError("not a key"), Exit.USAGE),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (RuntimeError("?"), Exit.FAILED),
    ],
)
def test_exit_codes(error: BaseException, code: Exit) -> None:
    assert exit_of(error) is code


def test_a_signature_on_one_line() -> None:
    method = {
        "name": "move",
        "params": [
            {"name": "to", "required": True, "schema": {"enum": ["north", "south"]}},
            {
                "name": "speed",
                "required": False,
                "schema": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            },
            {
                "name": "stops",
                "required": True,
                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Stop"}},
            },
        ],
        "result": {"name": "result", "schema": {"type": "boolean"}},
    }
    assert signature_of(method) == (
        "move(to: 'north' | 'south', speed: number | null = None, stops: array<Stop>) -> boolean"
    )


def test_file_arguments(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    bars = FileBars()
    file = parse_argument(f"@{tmp_path / 'a.txt'}", bars)
    assert isinstance(file, File)
    assert (file.name, file.sync.read()) == ("a.txt", b"abc")
    assert parse_argument("@@me", bars) == "@me"
    assert parse_argument('"@me"', bars) == "@me"
    assert parse_argument("me@home", bars) == "me@home"
    with pytest.raises(FileNotFoundError):
        parse_argument("@missing", bars)
