"""The commands, put together. Each imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import typer

from rtcrpc.cli.bootstrap import bootstrap
from rtcrpc.cli.call import CallCommand, call
from rtcrpc.cli.demo import demo
from rtcrpc.cli.discover import discover
from rtcrpc.cli.invite import invite
from rtcrpc.cli.key import key_app
from rtcrpc.cli.page import page
from rtcrpc.cli.peers import peers
from rtcrpc.cli.serve import serve

__all__ = ["app"]

app = typer.Typer(
    name="rtcrpc",
    help="Call a function on another device, straight over a WebRTC DataChannel.",
    epilog=(
        "Exit codes: 0 done, 1 the peer answered with an error, 2 wrong usage, 3 unreachable, 4 wrong key, "
        "5 deadline passed, 6 link lost during the call, 130 interrupted."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(serve)
app.command(cls=CallCommand)(call)
app.command()(discover)
app.command()(peers)
app.command()(invite)
app.add_typer(key_app, name="key")
app.command()(bootstrap)
app.command()(page)
app.command()(demo)


def _version(value: bool) -> None:
    if value:
        import rtcrpc

        typer.echo(f"rtcrpc {rtcrpc.__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
    verbose: int = typer.Option(0, "--verbose", "-v", count=True, help="Log more; twice for everything."),
) -> None:
    import logging

    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("rtcrpc").setLevel(level)
