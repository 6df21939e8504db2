"""`rtcrpc serve FILE|module:registry`"""

from __future__ import annotations

from typing import Annotated

import typer

from rtcrpc.cli.options import IceServers, Json, Key, Name

__all__ = ["serve"]


def serve(
    what: Annotated[
        str, typer.Argument(help="A Python file with @expose functions, or module:registry.", show_default=False)
    ],
    name: Name = None,
    key: Key = None,
    room: Annotated[str | None, typer.Option("--room", help="The room to meet in; made up from name and key.")] = None,
    host: Annotated[str, typer.Option("--host", help="The address the embedded bootstrap listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Its port; 0 for any.")] = 8750,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", help="Use the bootstrap at ws(s)://host instead of an embedded one.")
    ] = None,
    page: Annotated[
        str | None, typer.Option("--page", help="Where the page is served, when not by the embedded bootstrap.")
    ] = None,
    open_to_room: Annotated[
        bool, typer.Option("--open", help="Let everybody in the room call, not only those with the link.")
    ] = False,
    allow_origin: Annotated[
        list[str] | None, typer.Option("--allow-origin", help="A page elsewhere that may use the embedded bootstrap.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A host name under which the embedded bootstrap is reached."),
    ] = None,
    ice_server: IceServers = None,
    qr: Annotated[bool, typer.Option("--qr/--no-qr", help="Draw the link as a QR code.")] = True,
    as_json: Json = False,
) -> None:
    """Offer functions to whoever holds the link that this prints.

    [dim]rtcrpc serve robot.py
    rtcrpc serve robot.py --key robot.key   (the link stays the same at the next start)[/]
    """
    import asyncio
    import sys

    from rich.markup import escape

    from rtcrpc.cli.load import load_registry
    from rtcrpc.cli.options import identity_of, parse_ice_server
    from rtcrpc.cli.output import notes, print_json, print_qr, print_value, run
    from rtcrpc.cli.serving import Plan, serving

    async def main() -> None:
        registry, module_name = load_registry(what)
        plan = Plan(
            name=name or module_name,
            registry=registry,
            identity=identity_of(key),
            room=room,
            bootstrap=bootstrap,
            page=page,
            host=host,
            port=port,
            open_to_room=open_to_room,
            ice_servers=tuple(parse_ice_server(text) for text in ice_server or ()),
            allowed_origins=tuple(allow_origin or ()),
            allowed_hosts=tuple(allow_host or ()),
        )
        async with serving(plan) as served:
            served.room.on("connected", lambda e: notes.print(f"[green]connected[/]    {_who(e.peer)}"))
            served.room.on(
                "disconnected", lambda e: notes.print(f"[yellow]disconnected[/] {_who(e.peer)} {escape(e.reason)}")
            )
            served.room.on("failed", lambda e: notes.print(f"[red]failed[/]       {_who(e.peer)} {escape(e.reason)}"))
            if as_json:
                print_json(
                    {
                        "link": served.link,
                        "room": served.room.name,
                        "peer": served.room.peer_id,
                        "methods": served.methods,
                    }
                )
            else:
                notes.print(f"[bold]{escape(plan.name)}[/] offers: {escape(', '.join(served.methods))}")
                notes.print("[dim]Functions run here with your rights. Whoever holds this link may call them:[/]")
                if qr and sys.stderr.isatty():
                    print_qr(served.link)
                print_value(served.link)
                notes.print("[dim]Ctrl-C stops.[/]")
            await asyncio.Event().wait()

    def _who(peer: object) -> str:
        from rtcrpc.mesh.remote_peer import RemotePeer

        assert isinstance(peer, RemotePeer), "link events carry a peer"
        return f"{escape(peer.name)} [dim]{peer.peer_id[:8]}…[/]"

    run(main(), as_json=as_json)
