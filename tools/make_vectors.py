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
from typing import Any

from generated_files import run
from vectors import envelopes, frames, handshake, identity, invites, jsonrpc, signaling, values

__all__ = ["main", "render"]

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
    return run(arguments, render, "tools/vectors")


def render() -> dict[str, str]:
    """The text of each file, by its path from the root."""
    texts = {}
    for name, make in MAKERS.items():
        content = make()
        for group, cases in content.items():
            names = [case["name"] for case in cases] if isinstance(cases, list) else []
            if len(names) != len(set(names)):
                raise ValueError(f"{name}.{group}: two cases have the same name")
        # ASCII, so that what a case holds can be read whatever an editor makes of it.
        texts[f"schemas/vectors/{name}.json"] = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
    return texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
