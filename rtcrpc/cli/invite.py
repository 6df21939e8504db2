"""`rtcrpc invite`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtcrpc.cli.options import Json

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
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="The key file of that peer, instead of --pin: the link entitles as the one of `serve --key`."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call that peer before it answers.")] = None,
    token: Annotated[str | None, typer.Option("--token", help="What entitles whoever holds the link.")] = None,
    qr: Annotated[bool, typer.Option("--qr/--no-qr", help="Draw a QR code.")] = True,
    as_json: Json = False,
) -> None:
    """Make the link that leads a page to a peer, as text and as QR code.

    [dim]rtcrpc invite --page https://me.example/ --bootstrap wss://boot.example --room lab --key robot.key[/]
    """
    import sys

    from rtcrpc.cli.output import fail, print_json, print_qr, print_value, warn
    from rtcrpc.cli.reach import browser_trouble
    from rtcrpc.cli.serving import invite_secret
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
                identity = load_identity(key)
                if pin is not None and pin != identity.peer_id:
                    raise ValueError(
                        f"--pin: expected the key in {key}, {identity.peer_id}, got {pin}; give one of the two"
                    )
                pin = identity.peer_id
                token = token if token is not None else invite_secret(identity)
            made = Invite(bootstrap=bootstrap, room=room, pin=pin, name=name, token=token)
            text = made.to_link(page)
            made = Invite.parse(text)  # says now, not to the guest, what is wrong with the parts
    except (RtcRpcError, ValueError) as error:
        fail(error, as_json)
    if (trouble := browser_trouble(text)) is not None:
        warn(trouble)
    if as_json:
        print_json(
            {"link": text, "room": made.room, "url": made.url, "pin": made.pin, "name": made.name, "token": made.token}
        )
        return
    if qr and sys.stderr.isatty():
        print_qr(text)
    print_value(text)
