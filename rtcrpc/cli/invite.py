"""`rtcrpc invite`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtcrpc.cli.options import Json, Name, Token

__all__ = ["invite"]


def invite(
    link: Annotated[
        str | None, typer.Argument(help="A link to show again and take apart; or make one with the options.")
    ] = None,
    page: Annotated[
        str | None, typer.Option("--page", help="Where the page is served: https://me.example/rtc/.")
    ] = None,
    bootstrap: Annotated[
        str | None,
        typer.Option("--bootstrap", help="ws(s)://host of the bootstrap, where the page is served elsewhere."),
    ] = None,
    room: Annotated[str | None, typer.Option("--room", help="The room.")] = None,
    pin: Annotated[str | None, typer.Option("--pin", help="The peer id of the peer that the link leads to.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The key file of that peer, instead of --pin.")] = None,
    name: Name = None,
    token: Token = None,
    qr: Annotated[bool, typer.Option("--qr/--no-qr", help="Draw a QR code.")] = True,
    as_json: Json = False,
) -> None:
    """Make the link that leads a page to a peer, as text and as QR code."""
    import sys

    from rtcrpc.cli.output import fail, print_json, print_qr, print_value
    from rtcrpc.core.invite import Invite
    from rtcrpc.errors import RtcRpcError
    from rtcrpc.keyfile import load_identity

    try:
        if link is not None:
            made, text = Invite.parse(link), link
        else:
            if page is None or room is None:
                raise ValueError("expected a link, or at least --page and --room; see --help")
            if key is not None:
                pin = load_identity(key).peer_id
            made = Invite(bootstrap=bootstrap, room=room, pin=pin, name=name, token=token)
            text = made.to_link(page)
            made = Invite.parse(text)  # says now, not to the guest, what is wrong with the parts
    except (RtcRpcError, ValueError) as error:
        fail(error, as_json)
    if as_json:
        print_json(
            {"link": text, "room": made.room, "url": made.url, "pin": made.pin, "name": made.name, "token": made.token}
        )
        return
    if qr and sys.stderr.isatty():
        print_qr(text)
    print_value(text)
