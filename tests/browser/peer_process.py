"""A Python peer in a process of its own, inside the namespace of the browser."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from browser.netns import NetworkNamespace

__all__ = ["PeerProcess", "serve"]

START_SECONDS = 30.0
STOP_SECONDS = 15.0


class PeerProcess:
    """A program that writes JSON lines to its standard output, such as `rtcrpc serve --json`; `with` ends it.

    `first` is the first of those lines.
    """

    def __init__(self, arguments: Sequence[str], namespace: NetworkNamespace) -> None:
        self._arguments = arguments
        self._buffer = b""
        # A file, not a pipe: nobody reads it while the peer runs, and a full pipe would stop the peer.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._process = subprocess.Popen(
            namespace.command([sys.executable, *arguments]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            self.first = self.read(START_SECONDS)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self, seconds: float = 30.0) -> Any:
        """The next line of its output, read as JSON."""
        deadline = time.monotonic() + seconds
        assert self._process.stdout is not None, "made with a pipe"
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                more = os.read(self._process.stdout.fileno(), 1 << 16) if left > 0 and selector.select(left) else b""
                if not more:
                    raise AssertionError(
                        f"{' '.join(self._arguments)}: expected a line of JSON; it wrote: {self.errors()}"
                    )
                self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def write(self, value: Any) -> None:
        """Send it a line of JSON."""
        assert self._process.stdin is not None, "made with a pipe"
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        self._process.stdin.flush()

    def errors(self) -> str:
        """What it wrote to its standard error so far."""
        with os.fdopen(os.dup(self._errors.fileno()), "rb") as copy:
            copy.seek(0)
            return copy.read().decode(errors="replace")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    def close(self) -> None:
        """Interrupt it as Ctrl-C does, and wait for its end."""
        process = self._process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        for pipe in (process.stdin, process.stdout, self._errors):
            if pipe is not None and not pipe.closed:
                pipe.close()


def serve(namespace: NetworkNamespace, target: str, *options: str, port: int = 0) -> PeerProcess:
    """`rtcrpc serve target`, as a user starts it; `first["link"]` is the invite."""
    process = PeerProcess(["-m", "rtcrpc", "serve", target, "--port", str(port), "--json", *options], namespace)
    if "link" not in process.first:
        told = f"{process.first} {process.errors()}"
        process.close()
        raise AssertionError(f"rtcrpc serve: expected a link, got {told}")
    return process
