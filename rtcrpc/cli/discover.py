"""`rtcrpc discover LINK`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rtcrpc.cli.options import BootstrapToken, Json, Key, Link, Pin, Timeout, Token, identity_of

__all__ = ["discover", "signature_of"]


def _type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(repr(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type_of(part) for part in schema["anyOf"])
    if schema.get("x-file"):
        return "file"
    if schema.get("x-stream"):
        return f"stream<{_type_of(schema.get('items', {}))}>"
    kind = str(schema.get("type", "any"))
    return f"{kind}<{_type_of(schema['items'])}>" if kind == "array" and isinstance(schema.get("items"), dict) else kind


def signature_of(method: dict[str, Any]) -> str:
    """A method of an OpenRPC document on one line: `add(a: integer, b: integer) -> integer`."""
    params = []
    for param in method.get("params", []):
        text = f"{param['name']}: {_type_of(param.get('schema', {}))}"
        if not param.get("required", False):
            default = param.get("schema", {}).get("default")
            text += f" = {default!r}"
        params.append(text)
    result = _type_of(method.get("result", {}).get("schema", {}))
    return f"{method['name']}({', '.join(params)}) -> {result}"


def discover(
    link: Link,
    peer: Annotated[str | None, typer.Option("--peer", help="Which peer of the room: its name or id.")] = None,
    timeout: Timeout = 30.0,
    pin: Pin = None,
    token: Token = None,
    bootstrap_token: BootstrapToken = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """List what a peer lets us call; with [bold]--json[/] as an OpenRPC document."""
    from rich.markup import escape
    from rich.table import Table

    from rtcrpc.cli.output import notes, print_json, run
    from rtcrpc.peer import Peer

    async def main() -> None:
        async with Peer(identity=identity_of(key)).join(
            link, pin=pin, token=token, bootstrap_token=bootstrap_token
        ) as room:
            remote = await room.peer(peer, timeout=timeout)
            document = await remote.discover(timeout=timeout)
            trust = remote.trust  # of the link: it is gone with the room
        if as_json:
            print_json(document)
            return
        table = Table(title=f"{escape(remote.name)} ({trust})", box=None, title_justify="left")
        table.add_column("function", style="bold")
        table.add_column("what it does")
        for method in document["methods"]:
            table.add_row(escape(signature_of(method)), escape(method.get("summary", "")))
        if document["methods"]:
            from rich.console import Console

            Console().print(table)
        else:
            notes.print("The peer offers nothing to us.")

    run(main(), as_json=as_json)
