"""The other end, as a user holds it: `remote.call.add(1, 2)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rtcrpc.errors import ConnectionLost
from rtcrpc.mesh.membership import LinkState
from rtcrpc.proxy import CallNamespace, CallOptions, NotifyNamespace, Params
from rtcrpc.transport.base import Path

if TYPE_CHECKING:
    from rtcrpc.link import Link
    from rtcrpc.mesh.driver import RoomDriver
    from rtcrpc.runtime import Mailbox, Runtime

__all__ = ["RemotePeer"]

_NO_OPTIONS = CallOptions()


MailboxOf = Callable[[asyncio.AbstractEventLoop], "Mailbox"]


class _Call:
    """One call under way, between the user's loop and the network loop."""

    __slots__ = ("future", "give_up", "mailbox")

    def __init__(self, future: asyncio.Future[Any], mailbox: Mailbox) -> None:
        self.future = future
        self.mailbox = mailbox
        self.give_up: Callable[[], None] | None = None

    def answered(self, result: Any, error: Exception | None) -> None:
        """On the network loop: bring the answer home."""
        self.mailbox.post(self._settle, result, error)

    def _settle(self, result: Any, error: Exception | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class RemotePeer:
    """A peer of the room. It stays the same object while links come and go; a call dials where there is no link.

    `call`: its functions, `await remote.call.add(1, 2)`; `notify`: the same without answers. Both may be used on any loop; what is said
    about the peer (`name`, `state`, `reason`, `trust`) changes on the loop of the room only.
    """

    def __init__(self, peer_id: str, name: str, *, driver: RoomDriver, runtime: Runtime, mailbox_of: MailboxOf) -> None:
        self.peer_id = peer_id
        self.name = name
        self.state = LinkState.NEW
        self.reason = ""
        self._link: Link | None = None
        self._driver = driver
        self._runtime = runtime
        self._network = runtime.mailbox()
        self._mailbox_of = mailbox_of
        self.call = CallNamespace(self)
        self.notify = NotifyNamespace(self)

    def __repr__(self) -> str:
        return f"<RemotePeer {self.name!r} {self.peer_id[:8]}… {self.state.value}>"

    @property
    def trust(self) -> str:
        """`pinned`: its key was known beforehand; `anonymous`: only its key is known, not whose it is."""
        link = self._link
        return link.caller.trust if link is not None and link.caller is not None else "anonymous"

    @property
    def rtt(self) -> float | None:
        """The last measured round trip of a heartbeat, in seconds; None before the first."""
        return self._link.rtt if self._link is not None else None

    async def path(self) -> Path | None:
        """The way the packets take now (direct or relayed, candidate types); None without a link."""
        link = self._link
        return None if link is None else await self._runtime.run(link.connection.path())

    async def discover(self, *, timeout: float | None = 10.0) -> dict[str, Any]:
        """What we may call there: an OpenRPC 1.3 document (protocol section 7). `timeout` is in seconds. Raises as `invoke` does."""
        document: dict[str, Any] = await self.invoke("rpc.discover", [], CallOptions(timeout=timeout))
        return document

    async def invoke(self, method: str, params: Params, options: CallOptions = _NO_OPTIONS) -> Any:
        """Call `method` with params as a list (by position) or a dict (by name).

        Raises a `RemoteError` with what the other side answered; `DeadlineExceeded` when `options.timeout` passed first;
        `ConnectionLost` when the link went or the room is closed; `Unavailable` or a `HandshakeError` when there was no link
        and none could be made; `EncodeError` or `TooLarge` where an argument can't travel. The error's `ran` is False if the
        call certainly did not run. Cancelling the awaiting task cancels the call on the other side too.
        """
        loop = asyncio.get_running_loop()
        call = _Call(loop.create_future(), self._mailbox_of(loop))
        if not self._network.post(self._start, call, method, params, options.timeout):
            raise ConnectionLost(f"{method} was not sent: the network thread has ended; join the room again", ran=False)
        try:
            return await call.future
        except asyncio.CancelledError:
            self._network.post(self._give_up, call)
            raise

    async def send_notification(self, method: str, params: Params) -> None:
        """Send a notification; done when it is in the link's queue. Raises as `invoke` does where it can't be sent."""
        await self._runtime.run(self._notify(method, params))

    def update(self, name: str, state: LinkState, reason: str, link: Link | None) -> None:
        """What is known of the peer now (called by the room)."""
        self.name, self.state, self.reason, self._link = name or self.name, state, reason, link

    # -- on the network loop -----------------------------------------------------------------------------

    def _start(self, call: _Call, method: str, params: Params, timeout: float | None) -> None:
        try:
            call.give_up = self._driver.start_call(self.peer_id, method, params, timeout, call.answered)
        except Exception as error:
            # Whatever went wrong, somebody waits for an answer.
            call.answered(None, error)

    @staticmethod
    def _give_up(call: _Call) -> None:
        if call.give_up is not None:
            call.give_up()

    async def _notify(self, method: str, params: Params) -> None:
        link = await self._driver.connect(self.peer_id)
        link.send_notification(method, params)
