"""Options that several commands share, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rtcrpc.core.identity import Identity
    from rtcrpc.signaling.base import IceServerInfo

__all__ = ["IceServers", "Json", "Key", "Link", "Name", "Pin", "Timeout", "Token", "identity_of", "parse_ice_server"]

Link = Annotated[
    str, typer.Argument(help="An invite link, or the URL of a room: ws://host/room/name.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Key = Annotated[
    Path | None,
    typer.Option("--key", help="The file with this peer's key, made if missing. Without it: a new key for this run."),
]
Name = Annotated[str | None, typer.Option("--name", help="The name that others see. It proves nothing.")]
Pin = Annotated[list[str] | None, typer.Option("--pin", help="The key that the peer must have (a link has it in it).")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds until it gives up.")]
Token = Annotated[str | None, typer.Option("--token", help="What entitles us (a link has it in it).")]
IceServers = Annotated[
    list[str] | None,
    typer.Option(
        "--ice-server",
        help="A STUN or TURN server: stun:host:port, or turn:user:password@host:port. May be given several times.",
    ),
]


def parse_ice_server(text: str) -> IceServerInfo:
    """`stun:host:port`, `turn:user:password@host:port?transport=tcp`; raises `ValueError` for anything else."""
    from rtcrpc.signaling.base import IceServerInfo

    scheme, _, rest = text.partition(":")
    if scheme not in ("stun", "stuns", "turn", "turns") or not rest:
        raise ValueError(f"--ice-server: expected stun:host:port or turn:user:password@host:port, got {text!r}")
    credentials, at, host = rest.rpartition("@")
    if not at:
        if scheme.startswith("turn"):
            raise ValueError(f"--ice-server: a TURN server needs a user and a password: {scheme}:user:password@{host}")
        return IceServerInfo(urls=(text,))
    username, _, credential = credentials.partition(":")
    return IceServerInfo(urls=(f"{scheme}:{host}",), username=username, credential=credential)


def identity_of(key: Path | None) -> Identity | None:
    """The identity in the key file, made there if it is missing; None without a file."""
    if key is None:
        return None
    from rtcrpc.keyfile import load_or_create_identity

    return load_or_create_identity(key)
