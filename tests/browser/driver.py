"""A real browser, driven from a test: `tools/browser-driver.mjs` in a process of its own, one JSON line each way."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from browser.netns import NetworkNamespace

__all__ = ["BrowserDriver", "DriverError", "Page"]

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 60.0
START_SECONDS = 90.0
STOP_SECONDS = 15.0


class DriverError(AssertionError):
    """A command failed in the browser, or no answer came in time."""


class BrowserDriver:
    """One browser in a namespace. Close it, or use it with `with`: it ends with all its processes."""

    def __init__(self, name: str, namespace: NetworkNamespace, *, dark: bool = False) -> None:
        self.name = name
        self._number = 0
        self._buffer = b""
        self._browser_pid: int | None = None
        self._process = subprocess.Popen(
            namespace.command(["node", str(ROOT / "tools" / "browser-driver.mjs")]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A group of its own, so that ending it never reaches anything else.
            start_new_session=True,
        )
        try:
            launched = self.send("launch", browser=name, dark=dark, wait=START_SECONDS)
        except BaseException:
            self.close()
            raise
        self.version: str = launched["version"]
        self._browser_pid = launched["pid"]

    def __enter__(self) -> BrowserDriver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def new_page(self) -> Page:
        """A new tab."""
        return Page(self, self.send("newPage"))

    def send(self, command: str, *, wait: float = ANSWER_SECONDS, **given: Any) -> Any:
        """Run one command of the driver; its result, or `DriverError`. Waits `wait` seconds at most."""
        self._number += 1
        line = json.dumps({"id": self._number, "command": command, **given})
        assert self._process.stdin is not None, "made with a pipe"
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise DriverError(f"{self.name}: the driver has ended (exit code {self._process.poll()})") from error
        answer = json.loads(self._read_line(command, time.monotonic() + wait))
        if answer["id"] != self._number:
            raise DriverError(f"{self.name}: expected the answer to command {self._number}, got {answer}")
        if "error" in answer:
            raise DriverError(f"{self.name}: {command}: {answer['error']}")
        return answer["result"]

    def _read_line(self, command: str, deadline: float) -> bytes:
        assert self._process.stdout is not None, "made with a pipe"
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise DriverError(f"{self.name}: no answer to {command} in time")
                more = os.read(self._process.stdout.fileno(), 1 << 16)
                if not more:
                    raise DriverError(f"{self.name}: the driver ended during {command}")
                self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        """End the browser and its driver; by force where they do not end by themselves."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # The browser leads a group of its own (the driver starts it so).
            for pid in (self._browser_pid, process.pid):
                if pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)


class Page:
    """A tab. Selectors are CSS; expressions are JavaScript, and a promise is awaited."""

    def __init__(self, driver: BrowserDriver, number: int) -> None:
        self.driver = driver
        self._number = number

    def _send(self, command: str, **given: Any) -> Any:
        return self.driver.send(command, page=self._number, **given)

    def close(self) -> None:
        """Close the tab, as its cross does."""
        self._send("closePage")

    def goto(self, url: str) -> None:
        """Open `url`, wait for its load event. Another fragment of the same page is no new load."""
        self._send("goto", url=url)

    def reload(self) -> None:
        """Load it again."""
        self._send("reload")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self._send("evaluate", expression=expression)

    def wait_for(self, selector: str, *, seconds: float = 15.0) -> None:
        """Wait until something matches `selector`."""
        self._send("waitFor", selector=selector, timeout=seconds * 1000)

    def wait_until(self, expression: str, *, seconds: float = 15.0) -> Any:
        """Wait until the expression is true; its value."""
        return self._send("waitFor", expression=expression, timeout=seconds * 1000)

    def text(self, selector: str) -> str:
        """The text that is shown inside the first match."""
        text: str | None = self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")
        assert text is not None, f"nothing matches {selector}"
        return text

    def count(self, selector: str) -> int:
        """How many elements match."""
        number: int = self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")
        return number

    def click(self, selector: str) -> None:
        """Click the middle of the first match."""
        self._send("click", selector=selector)

    def type(self, selector: str, text: str) -> None:
        """Type into a field, in place of what it holds."""
        self._send("type", selector=selector, text=text)

    def press(self, key: str) -> None:
        """Press a key, such as Enter or Tab."""
        self._send("press", key=key)

    def select(self, selector: str, value: str) -> None:
        """Pick the option with this value."""
        self._send("select", selector=selector, value=value)

    def upload(self, selector: str, files: Sequence[Path]) -> None:
        """Pick files in a file box."""
        self._send("upload", selector=selector, files=[str(file) for file in files])

    def set_viewport(self, width: int, height: int) -> None:
        """Give the page this size, in CSS pixels."""
        self._send("setViewport", width=width, height=height)

    def screenshot(self, path: Path, *, full: bool = True) -> None:
        """Save a picture of the page as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._send("screenshot", path=str(path), full=full)

    @property
    def console(self) -> list[dict[str, str]]:
        """What the page and the browser wrote to the console: `type` and `text`."""
        messages: list[dict[str, str]] = self._send("consoleMessages")
        return messages

    @property
    def violations(self) -> list[dict[str, Any]]:
        """What the page's Content-Security-Policy has stopped."""
        found: list[dict[str, Any]] = self._send("cspViolations")
        return found
