"""A network namespace with a veth pair and a default route: what real browsers need to connect over WebRTC on one machine.

With loopback alone Firefox gathers no candidate that works, and Chromium needs flags that no user has. Inside such a
namespace both see one ordinary interface and behave as at a user's desk. The page is still served on the
namespace's own ``127.0.0.1``, so it is a secure context (WebCrypto needs one) and the machine's ports stay out of it.

Linux, root and the ``ip`` command are needed; `NetworkNamespace` says so when they are missing.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

__all__ = ["NamespaceError", "NetworkNamespace"]

_numbers = itertools.count()


class NamespaceError(RuntimeError):
    """A namespace could not be made; the message says what to do."""


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if check and done.returncode != 0:
        raise NamespaceError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


class NetworkNamespace:
    """``with NetworkNamespace() as namespace``: made on entry, gone with all that it holds on exit.

    ``address`` is the inner end of the veth pair, ``gateway`` the outer one (the machine's side), both of a /30 of
    10.0.0.0/8 that no route of the machine covered. ``command(argv)`` is the argv that runs a program inside.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise NamespaceError(f"browser tests need Linux network namespaces; this is {sys.platform}")
        if os.geteuid() != 0:
            raise NamespaceError(
                "browser tests make a network namespace, which needs root: run them with sudo, or in a container"
            )
        if shutil.which("ip") is None:
            raise NamespaceError("the `ip` command is missing: install iproute2")
        # An interface name has at most 15 characters. The process id keeps two runs on one machine apart.
        unique = f"{os.getpid():x}{next(_numbers):x}"
        self.name = f"rtcrpc-{unique}"
        self._outer = f"rb{unique}o"[:15]
        self._inner = f"rb{unique}i"[:15]
        self.gateway = ""
        self.address = ""

    def _free_subnet(self) -> tuple[str, str]:
        taken = _ip("-4", "-o", "address", "show")
        for attempt in range(256):
            third, fourth = divmod((os.getpid() * 4 + attempt * 4) % 65536, 256)
            prefix = f"10.213.{third}."
            if f" {prefix}{fourth + 1}/" not in taken:
                return f"{prefix}{fourth + 1}", f"{prefix}{fourth + 2}"
        raise NamespaceError("no free /30 in 10.213.0.0/16: remove old interfaces named rb…o (`ip link`)")

    def __enter__(self) -> Self:
        self.gateway, self.address = self._free_subnet()
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", self.name)
            _ip("address", "add", f"{self.gateway}/30", "dev", self._outer)
            _ip("link", "set", self._outer, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
            _ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", self._inner)
            _ip("-n", self.name, "link", "set", self._inner, "up")
            # Browsers take the interface of the default route for their own address; without a route they offer none.
            _ip("-n", self.name, "route", "add", "default", "via", self.gateway)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        # The outer end goes first: a veth pair goes as one, and a namespace that some process still holds would keep it.
        _ip("link", "delete", self._outer, check=False)
        _ip("netns", "delete", self.name, check=False)

    @staticmethod
    def all_names() -> list[str]:
        """The names of all namespaces of this machine."""
        return [line.split()[0] for line in _ip("netns", "list").splitlines() if line]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The argv that runs ``argv`` inside this namespace."""
        return ["ip", "netns", "exec", self.name, *argv]
