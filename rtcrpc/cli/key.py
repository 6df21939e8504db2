"""`rtcrpc key new FILE` and `rtcrpc key show FILE`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtcrpc.cli.options import Json

__all__ = ["key_app"]

key_app = typer.Typer(help="Make and show the keys that name peers.", no_args_is_help=True)
KeyPath = Annotated[Path, typer.Argument(help="The key file: a JWK that only you can read.", show_default=False)]


@key_app.command("new")
def new(file: KeyPath, as_json: Json = False) -> None:
    """Make a key and write it to a new file; prints the peer id."""
    import secrets

    from rtcrpc.cli.output import fail, print_json, print_value
    from rtcrpc.core.identity import Identity
    from rtcrpc.errors import RtcRpcError
    from rtcrpc.keyfile import save_identity

    identity = Identity.generate(secrets.token_bytes(32))
    try:
        save_identity(identity, file)
    except RtcRpcError as error:
        fail(error, as_json)
    if as_json:
        print_json({"peer": identity.peer_id, "file": str(file)})
    else:
        print_value(identity.peer_id)


@key_app.command("show")
def show(file: KeyPath, as_json: Json = False) -> None:
    """Print the peer id of a key: what others pin. The secret half is never printed."""
    from rtcrpc.cli.output import fail, print_json, print_value
    from rtcrpc.errors import RtcRpcError
    from rtcrpc.keyfile import load_identity

    try:
        identity = load_identity(file)
    except RtcRpcError as error:
        fail(error, as_json)
    if as_json:
        print_json({"peer": identity.peer_id, "file": str(file)})
    else:
        print_value(identity.peer_id)
