"""`rpc.discover`: what the caller may call, as a method like others (protocol section 7)."""

from __future__ import annotations

import threading
from typing import Any

from rtcrpc.service.context import Context
from rtcrpc.service.method import Method, make_method
from rtcrpc.service.policy import Policy
from rtcrpc.service.registry import Registry

__all__ = ["Discovery"]

KEPT = 8
"""Documents that are kept: as many as there are kinds of callers, usually one."""


class Discovery:
    """Answers `rpc.discover`. It runs in the pool: types of the user have a say in their schemas, and a
    big document takes its time.
    """

    def __init__(self, registry: Registry, policy: Policy, title: str) -> None:
        self._registry = registry
        self._policy = policy
        self._title = title
        self._lock = threading.Lock()
        self._documents: dict[tuple[int, tuple[str, ...]], dict[str, Any]] = {}
        self.method: Method = make_method("rpc.discover", self._discover)

    def _discover(self, context: Context) -> Any:
        """Tell what you may call, as an OpenRPC document."""
        revision = self._registry.revision
        names = tuple(name for name in self._registry.names() if self._policy.decide(context.caller, name).allowed)
        key = (revision, names)
        with self._lock:
            document = self._documents.get(key)
            if document is None:
                document = self._registry.openrpc(self._title, names)
                if len(self._documents) >= KEPT:
                    self._documents.clear()
                self._documents[key] = document
            return document
