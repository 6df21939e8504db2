"""`rtcrpc peers LINK`"""

from __future__ import annotations

from rtcrpc.cli.options import BootstrapToken, Json, Key, Link, identity_of

__all__ = ["peers"]


def peers(link: Link, key: Key = None, bootstrap_token: BootstrapToken = None, as_json: Json = False) -> None:
    """List who is in a room, as its bootstrap says."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from rtcrpc.cli.output import notes, print_json, run
    from rtcrpc.core.invite import Invite
    from rtcrpc.peer import Peer

    async def main() -> None:
        invite = Invite.parse(link)
        async with Peer(identity=identity_of(key)).join(invite, bootstrap_token=bootstrap_token) as room:
            members = room.members
        if as_json:
            print_json([{"peer": m.peer_id, "name": m.name, "pinned": m.peer_id == invite.pin} for m in members])
            return
        if not members:
            notes.print(f"Nobody is in room {escape(repr(room.name))}.")
            return
        table = Table(box=None)
        for column in ("name", "peer id", ""):
            table.add_column(column)
        for member in members:
            table.add_row(escape(member.name), member.peer_id, "pinned" if member.peer_id == invite.pin else "")
        Console(width=100 if not Console().is_terminal else None).print(table)

    run(main(), as_json=as_json)
