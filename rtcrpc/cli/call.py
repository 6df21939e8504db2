"""`rtcrpc call LINK METHOD ARGS...`"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from rtcrpc.cli.options import BootstrapToken, Json, Key, Link, Name, Pin, Timeout, Token, identity_of

__all__ = ["CallCommand", "call", "parse_argument"]

_NEGATIVE = re.compile(r"-(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class CallCommand(TyperCommand):
    """A command to which `-1` is an argument, not an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        # A blank in front is nothing to JSON, and makes it no option.
        return super().parse_args(ctx, [f" {text}" if _NEGATIVE.fullmatch(text) else text for text in args])


def parse_argument(text: str) -> Any:
    """JSON where it is JSON, else the text itself: `3` is a number, `robot` and `"3"` are texts."""
    from rtcrpc.core.values import from_json

    try:
        return from_json(json.loads(text))
    except json.JSONDecodeError:
        return text


def call(
    link: Link,
    method: Annotated[str, typer.Argument(help="The function to call.", show_default=False)],
    args: Annotated[
        list[str] | None, typer.Argument(help="Arguments: JSON, or text where it is no JSON.", show_default=False)
    ] = None,
    named: Annotated[
        list[str] | None, typer.Option("--arg", "-a", help="An argument by name: -a speed=2.", show_default=False)
    ] = None,
    peer: Annotated[str | None, typer.Option("--peer", help="Which peer of the room: its name or id.")] = None,
    timeout: Timeout = 30.0,
    pin: Pin = None,
    token: Token = None,
    bootstrap_token: BootstrapToken = None,
    key: Key = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Call a function of a peer and print its result.

    The items of a stream are printed as they come, one a line; Ctrl-C ends the function that makes them, too. How far a function says
    it has come is shown as a bar.

    [dim]rtcrpc call "$LINK" add 1 2
    rtcrpc call "$LINK" move -a speed=2 --timeout 5[/]
    """
    from rtcrpc.cli.output import ProgressBar, print_item, print_json, print_value, run
    from rtcrpc.peer import Peer
    from rtcrpc.proxy import CallOptions, make_params
    from rtcrpc.stream.reader import Stream

    async def main() -> None:
        by_name = {}
        for item in named or []:
            argument, equals, value = item.partition("=")
            if not equals:
                raise ValueError(f"--arg: expected name=value, got {item!r}")
            by_name[argument] = parse_argument(value)
        if args and by_name:
            raise ValueError(f"{method}: expected all arguments by position or all with --arg, got both")
        params = make_params(method, tuple(parse_argument(a) for a in args or ()), by_name)
        async with Peer(identity=identity_of(key), name=name).join(
            link, pin=pin, token=token, bootstrap_token=bootstrap_token
        ) as room:
            remote = await room.peer(peer, timeout=timeout)
            with ProgressBar(method) as bar:
                result = await remote.invoke(method, params, CallOptions(timeout=timeout, progress=bar.show))
            if isinstance(result, Stream):
                async with result:
                    async for item in result:
                        if not print_item(item, as_json=as_json):
                            return
            elif as_json:
                print_json(result)
            else:
                print_value(result)

    run(main(), as_json=as_json)
