"""Makes `schemas/vectors/*.json`: what an implementation of the protocol must accept, produce or refuse.

None of `rtcrpc` is used here. The bytes come from msgpack, cryptography and json, and from the text of the
protocol page, so that the vectors check the implementations and not the other way round.

python tools/make_vectors.py            writes the files
python tools/make_vectors.py --check    writes nothing; exits with 1 if a file would change
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vectors import envelopes, frames, handshake, identity, invites, jsonrpc, signaling, values

__all__ = ["main", "render"]

FOLDER = Path(__file__).resolve().parent.parent / "schemas" / "vectors"
MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "values": values.make,
    "envelopes": envelopes.make,
    "frames": frames.make,
    "identity": identity.make,
    "handshake": handshake.make,
    "signaling": signaling.make,
    "jsonrpc": jsonrpc.make,
    "invites": invites.make,
}


def main(arguments: list[str]) -> int:
    """Write or check the files; the exit code is the result."""
    check = arguments == ["--check"]
    if arguments and not check:
        print(f"expected no argument or --check, got {' '.join(arguments)}", file=sys.stderr)
        return 2
    stale = []
    for name, text in render().items():
        path = FOLDER / f"{name}.json"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote schemas/vectors/{path.name}")
    if check and stale:
        print(f"not what tools/vectors makes: {', '.join(stale)}. Run `make generate`.", file=sys.stderr)
        return 1
    return 0


def render() -> dict[str, str]:
    """The text of each file, by its name."""
    texts = {}
    for name, make in MAKERS.items():
        content = make()
        for group, cases in content.items():
            names = [case["name"] for case in cases] if isinstance(cases, list) else []
            if len(names) != len(set(names)):
                raise ValueError(f"{name}.{group}: two cases have the same name")
        # ASCII, so that what a case holds can be read whatever an editor makes of it.
        texts[name] = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
    return texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
