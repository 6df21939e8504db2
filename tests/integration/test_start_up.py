"""What a user waits for before anything happens: the import and the help load nothing that they don't need.

(How long they take is no test's business; what makes them long is.)
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("aiortc", "av", "cryptography", "msgpack", "numpy", "pydantic", "starlette", "uvicorn", "uvloop", "websockets")


@pytest.mark.parametrize("module", ["rtcrpc", "rtcrpc.cli.app"])
def test_an_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60, text=True)
    assert done.stdout == "[]\n"


def test_exposing_loads_no_transport() -> None:
    code = "import sys; from rtcrpc import expose; print([m for m in ('aiortc', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60, text=True)
    assert done.stdout == "[]\n"
