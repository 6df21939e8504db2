"""`rtcrpc call LINK METHOD ARGS...`"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from rtcrpc.cli.options import BootstrapToken, Json, Key, Link, Name, Pin, Token, identity_of

if TYPE_CHECKING:
    from rtcrpc.cli.files import FileBars

__all__ = ["CallCommand", "call", "parse_argument"]

_NEGATIVE = re.compile(r"-(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class CallCommand(TyperCommand):
    """A command to which `-1` is an argument, not an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        # A blank in front is nothing to JSON, and makes it no option.
        return super().parse_args(ctx, [f" {text}" if _NEGATIVE.fullmatch(text) else text for text in args])


_SECONDS = 30.0


def parse_argument(text: str, bars: FileBars | None = None) -> Any:
    """JSON where it is JSON, else the text itself: `3` is a number, `robot` and `"3"` are texts. With `bars`, `@path` is a file."""
    from rtcrpc.core.values import from_json

    if bars is not None and text.startswith("@"):
        from rtcrpc.cli.files import file_argument

        return file_argument(text, bars)
    try:
        return from_json(json.loads(text))
    except json.JSONDecodeError:
        return text


def call(
    link: Link,
    method: Annotated[str, typer.Argument(help="The function to call.", show_default=False)],
    args: Annotated[
        list[str] | None,
        typer.Argument(help="Arguments: JSON, or text where it is no JSON; @path sends a file.", show_default=False),
    ] = None,
    named: Annotated[
        list[str] | None, typer.Option("--arg", "-a", help="An argument by name: -a speed=2.", show_default=False)
    ] = None,
    peer: Annotated[str | None, typer.Option("--peer", help="Which peer of the room: its name or id.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder for files in the result.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", min=0.001, help="Seconds until it gives up: 30, or as long as it takes to send a file."
        ),
    ] = None,
    pin: Pin = None,
    token: Token = None,
    bootstrap_token: BootstrapToken = None,
    key: Key = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Call a function of a peer and print its result.

    The items of a stream are printed as they come, one a line; Ctrl-C ends the function that makes them, too. How far a function says
    it has come is shown as a bar. [bold]@path[/] sends a file ([bold]@@text[/] the text @text); files in a result are saved where
    [bold]--output[/] says, and their paths printed.

    [dim]rtcrpc call "$LINK" add 1 2
    rtcrpc call "$LINK" move -a speed=2 --timeout 5
    rtcrpc call "$LINK" develop @photo.raw --output photos[/]
    """
    from rtcrpc.cli.files import FileBars, save_files
    from rtcrpc.cli.output import ProgressBar, print_item, print_json, print_value, run
    from rtcrpc.files.file import File
    from rtcrpc.peer import Peer
    from rtcrpc.proxy import CallOptions, make_params
    from rtcrpc.stream.reader import Stream

    async def main(sending: FileBars, saving: FileBars) -> None:
        by_name = {}
        for item in named or []:
            argument, equals, value = item.partition("=")
            if not equals:
                raise ValueError(f"--arg: expected name=value, got {item!r}")
            by_name[argument] = parse_argument(value, sending)
        if args and by_name:
            raise ValueError(f"{method}: expected all arguments by position or all with --arg, got both")
        params = make_params(method, tuple(parse_argument(a, sending) for a in args or ()), by_name)
        sends_file = any(isinstance(value, File) for value in (params.values() if isinstance(params, dict) else params))
        seconds = timeout if timeout is not None or sends_file else _SECONDS

        def show(done: float, total: float | None, message: str | None) -> None:
            sending.hide()  # what the function tells says more
            bar.show(done, total, message)

        async with Peer(identity=identity_of(key), name=name).join(
            link, pin=pin, token=token, bootstrap_token=bootstrap_token
        ) as room:
            remote = await room.peer(peer, timeout=timeout or _SECONDS)
            with ProgressBar(method) as bar:
                result = await remote.invoke(method, params, CallOptions(timeout=seconds, progress=show))
            sending.hide()
            if isinstance(result, Stream):
                async with result:
                    async for item in result:
                        item = await save_files(item, output, saving, overwrite=overwrite)
                        if not print_item(item, as_json=as_json):
                            return
                return
            result = await save_files(result, output, saving, overwrite=overwrite)
            if as_json:
                print_json(result)
            else:
                print_value(result)

    with FileBars() as sending, FileBars() as saving:
        run(main(sending, saving), as_json=as_json)
