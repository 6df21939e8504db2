"""`rtcrpc bootstrap`"""

from __future__ import annotations

from typing import Annotated

import typer

from rtcrpc.cli.options import IceServers, Json, PublicUrl, TlsCert, TlsKey

__all__ = ["bootstrap"]


def bootstrap(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 for any.")] = 8750,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", help="An origin whose pages may connect: https://me.example; * for every one."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A host name under which this bootstrap is reached.")
    ] = None,
    public_url: PublicUrl = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", help="The address of a proxy in front, whose X-Forwarded-For is believed."),
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token: Annotated[
        str | None, typer.Option("--token", help="What whoever joins must show (--bootstrap-token).")
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page too.")] = True,
    ice_server: IceServers = None,
    as_json: Json = False,
) -> None:
    """Run a bootstrap alone: it introduces the peers of a room to each other, and sees none of their calls.

    [dim]rtcrpc bootstrap --public-url https://example.org --trusted-proxy 127.0.0.1[/]
    """
    import asyncio

    from rich.markup import escape

    from rtcrpc.bootstrap import Bootstrap, BootstrapConfig
    from rtcrpc.cli.options import parse_ice_server
    from rtcrpc.cli.output import notes, print_json, print_value, run, warn
    from rtcrpc.cli.reach import browser_trouble
    from rtcrpc.web import static_dir

    async def main() -> None:
        config = BootstrapConfig(
            page_dir=static_dir() if page else None,
            ice_servers=tuple(parse_ice_server(text) for text in ice_server or ()),
            allowed_origins=tuple(allow_origin or ()),
            hosts=tuple(allow_host or ()),
            public_url=public_url,
            trusted_proxies=tuple(trusted_proxy or ()),
            token=token,
        )
        served = Bootstrap(config).serve(host=host, port=port, certfile=tls_cert, keyfile=tls_key)
        async with served as server:
            if page and (trouble := browser_trouble(f"{server.url}/#room=x")) is not None:
                warn(trouble)
            if as_json:
                print_json({"url": server.url})
            else:
                notes.print("The bootstrap listens at:")
                print_value(server.url)
                notes.print(f"[dim]Peers join with {escape(server.room_url('ROOM'))}. Ctrl-C stops.[/]")
            await asyncio.Event().wait()

    run(main(), as_json=as_json)
