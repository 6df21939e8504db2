"""Tells the owner of a connection what happens, and survives an owner that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rtcrpc.transport.base import Candidate, ConnectionEvents

__all__ = ["Teller"]

logger = logging.getLogger("rtcrpc.transport")


class Teller:
    """Calls the methods of a `ConnectionEvents` for a connection, and none after `closed`.

    One that raises is logged with its traceback, and `on_failure` is called so that the connection ends:
    the loop, and the stack below, would otherwise go on in a state that nobody thought of.
    """

    def __init__(self, events: ConnectionEvents, on_failure: Callable[[], None]) -> None:
        self._events = events
        self._on_failure = on_failure
        self._closed = False

    def opened(self) -> None:
        """Tell `channel_opened`."""
        if not self._closed:
            try:
                self._events.channel_opened()
            except Exception:
                self._failed("channel_opened")

    def message(self, data: bytes | str) -> None:
        """Tell `message_received`."""
        if not self._closed:
            try:
                self._events.message_received(data)
            except Exception:
                self._failed("message_received")

    def lossy(self, data: bytes | str) -> None:
        """Tell `lossy_received`."""
        if not self._closed:
            try:
                self._events.lossy_received(data)
            except Exception:
                self._failed("lossy_received")

    def low(self) -> None:
        """Tell `buffered_amount_low`."""
        if not self._closed:
            try:
                self._events.buffered_amount_low()
            except Exception:
                self._failed("buffered_amount_low")

    def candidate(self, candidate: Candidate | None) -> None:
        """Tell `local_candidate`."""
        if not self._closed:
            try:
                self._events.local_candidate(candidate)
            except Exception:
                self._failed("local_candidate")

    def closed(self, reason: str, *, clean: bool) -> None:
        """Tell `connection_closed`; the last one."""
        if not self._closed:
            self._closed = True
            try:
                self._events.connection_closed(str(reason), clean)
            except Exception:
                logger.exception("connection_closed raised; the connection is closed anyway")

    def _failed(self, name: str) -> None:
        logger.exception("%s raised; its connection is closed", name)
        self._on_failure()
