"""`rtcrpc page --out DIR`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtcrpc.cli.options import Json

__all__ = ["page"]


def page(
    out: Annotated[Path, typer.Option("--out", help="The folder to write to; made if missing.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write the static page and the JS client, for any static host."""
    import shutil

    from rtcrpc.cli.output import fail, notes, print_json
    from rtcrpc.web import static_dir

    try:
        source = static_dir()
        files = sorted(p.relative_to(source) for p in source.rglob("*") if p.is_file())
        for file in files:
            target = out / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, target)
    except (OSError, RuntimeError) as error:
        fail(error, as_json)
    if as_json:
        print_json([str(out / file) for file in files])
    else:
        notes.print(f"Wrote {len(files)} files to {out}. Put them on a static host over https, then make links with:")
        notes.print("  rtcrpc invite --page https://your.host/ --bootstrap wss://your.bootstrap --room ROOM --key FILE")
