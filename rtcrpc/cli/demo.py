"""`rtcrpc demo`: the whole thing on one machine, with a real call over a real DataChannel."""

from __future__ import annotations

from typing import Annotated

import typer

from rtcrpc.cli.options import Json

__all__ = ["demo"]


def demo(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port of the page; 0 for any.")] = 0,
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--once", help="Keep serving until Ctrl-C. By default where there is a terminal.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a bootstrap, a peer and the page here, call the peer from a second one, and print the link for your browser."""
    import asyncio
    import sys
    import time

    from rich.markup import escape

    from rtcrpc.cli.demo_functions import registry
    from rtcrpc.cli.output import notes, print_json, print_qr, print_value, run
    from rtcrpc.cli.serving import Plan, serving
    from rtcrpc.peer import Peer

    keep = sys.stdin.isatty() if stay is None else stay

    async def main() -> None:
        async with serving(Plan(name="demo", registry=registry, port=port)) as served:
            async with Peer(name="caller").join(served.link) as room:
                started = time.perf_counter()
                robot = await room.peer("demo")
                connected = time.perf_counter()
                result = await robot.call.add(1, 2)
                answered = time.perf_counter()
                path = await robot.path()
                trust = robot.trust
            way = "relayed" if path is not None and path.relayed else "direct"
            if as_json:
                print_json({"link": served.link, "call": "add(1, 2)", "result": result, "trust": trust, "path": way})
            else:
                notes.print(
                    f"A second peer connected in [bold]{(connected - started) * 1000:.0f} ms[/] ({way}, key {trust}) and called "
                    f"[bold]add(1, 2)[/] = [bold green]{escape(str(result))}[/] in {(answered - connected) * 1000:.1f} ms."
                )
                notes.print("Open this in a browser on this machine:")
                if keep and sys.stderr.isatty():
                    print_qr(served.link)
                print_value(served.link)
            if keep:
                notes.print("[dim]Ctrl-C stops.[/]")
                await asyncio.Event().wait()

    run(main(), as_json=as_json)
