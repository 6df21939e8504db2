"""The other end, as a user holds it: `remote.call.add(1, 2)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from rtcrpc.errors import ConnectionLost
from rtcrpc.link import OutgoingCall
from rtcrpc.mesh.membership import LinkState
from rtcrpc.proxy import Call, CallNamespace, CallOptions, NotifyNamespace, Params
from rtcrpc.stream.reader import Stream
from rtcrpc.stream.values import put_in_place
from rtcrpc.stream.writer import Lifting, Sources, Submits, Writer
from rtcrpc.transport.base import Path
from rtcrpc.wire import params_to_wire

if TYPE_CHECKING:
    from rtcrpc.link import Link
    from rtcrpc.mesh.driver import RoomDriver
    from rtcrpc.runtime import Mailbox, Runtime

__all__ = ["RemotePeer"]

_NO_OPTIONS = CallOptions()


MailboxOf = Callable[[asyncio.AbstractEventLoop], "Mailbox"]


class _Answer:
    """The answer to one call, on its way from the network loop to the user's."""

    __slots__ = ("future", "give_up", "mailbox")

    def __init__(self, future: asyncio.Future[Any], mailbox: Mailbox) -> None:
        self.future = future
        self.mailbox = mailbox
        self.give_up: Callable[[], None] | None = None

    def arrived(self, result: Any, error: Exception | None) -> None:
        """On the network loop: bring the answer home."""
        self.mailbox.post(self._settle, result, error)

    def close_streams(self) -> None:
        """The caller was cancelled in the very turn in which the answer came: nobody will read what is in it."""
        if self.future.done() and not self.future.cancelled() and self.future.exception() is None:
            put_in_place(self.future.result(), Stream, Stream.close)

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

    def __init__(
        self,
        peer_id: str,
        name: str,
        *,
        driver: RoomDriver,
        runtime: Runtime,
        mailbox_of: MailboxOf,
        pool: Submits | None = None,
    ) -> None:
        self.peer_id = peer_id
        self.name = name
        self.state = LinkState.NEW
        self.reason = ""
        self._link: Link | None = None
        self._driver = driver
        self._runtime = runtime
        self._network = runtime.mailbox()
        self._mailbox_of = mailbox_of
        self._pool = pool
        self.call: CallNamespace[Call] = CallNamespace(self)
        self.notify: NotifyNamespace[Coroutine[Any, Any, None]] = NotifyNamespace(self)

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

    def invoke(self, method: str, params: Params, options: CallOptions = _NO_OPTIONS) -> Call:
        """Call `method` with params as a list (by position) or a dict (by name); await the value for the result.

        An async iterable or a generator among the params becomes a stream, which the other side reads; a stream in the result is a
        `rtcrpc.Stream`.

        Raises a `RemoteError` with what the other side answered; `DeadlineExceeded` when `options.timeout` passed first;
        `ConnectionLost` when the link went or the room is closed; `Unavailable` or a `HandshakeError` when there was no link
        and none could be made; `EncodeError` or `TooLarge` where an argument can't travel. The error's `ran` is False if the
        call certainly did not run. Cancelling the awaiting task cancels the call on the other side too.
        """
        return Call(method, partial(self._invoke, method, params, options))

    async def _invoke(self, method: str, params: Params, options: CallOptions) -> Any:
        loop = asyncio.get_running_loop()
        mailbox = self._mailbox_of(loop)
        lifting = Lifting()
        params = params_to_wire(params, lifting)
        answer = _Answer(loop.create_future(), mailbox)
        call = OutgoingCall(method, params, options.timeout, answer.arrived)
        if lifting.writers:
            call.writers = lifting.writers
            call.sources = Sources(mailbox, self._pool)
        if options.progress is not None:
            call.on_progress = partial(mailbox.post, options.progress)
        if not self._network.post(self._start, answer, call):
            raise ConnectionLost(f"{method} was not sent: the network thread has ended; join the room again", ran=False)
        try:
            return await answer.future
        except asyncio.CancelledError:
            self._network.post(self._give_up, answer)
            answer.close_streams()
            raise

    async def send_notification(self, method: str, params: Params, *, reliable: bool = True) -> None:
        """Send a notification; done when it is in the link's queue. Raises as `invoke` does where it can't be sent.

        Not `reliable`: see `NotifyNamespace.with_`. Then it raises `TooLarge`, too, for more than fits one packet, and
        `ResourceExhausted` for more than `limits.MAX_LOSSY_METHODS` methods.
        """
        if not reliable:
            await self._runtime.run(self._notify_lossy(method, params_to_wire(params)))
            return
        lifting = Lifting()
        params = params_to_wire(params, lifting)
        sources = None
        if lifting.writers:
            sources = Sources(self._mailbox_of(asyncio.get_running_loop()), self._pool)
        await self._runtime.run(self._notify(method, params, lifting.writers, sources))

    def update(self, name: str, state: LinkState, reason: str, link: Link | None) -> None:
        """What is known of the peer now (called by the room)."""
        self.name, self.state, self.reason, self._link = name or self.name, state, reason, link

    # -- on the network loop -----------------------------------------------------------------------------

    def _start(self, answer: _Answer, call: OutgoingCall) -> None:
        try:
            answer.give_up = self._driver.start_call(self.peer_id, call)
        except Exception as error:
            # Whatever went wrong, somebody waits for an answer.
            answer.arrived(None, error)

    @staticmethod
    def _give_up(answer: _Answer) -> None:
        if answer.give_up is not None:
            answer.give_up()

    async def _notify_lossy(self, method: str, params: Params) -> None:
        link = await self._driver.connect(self.peer_id)
        link.send_lossy(method, params)

    async def _notify(self, method: str, params: Params, writers: list[Writer], sources: Sources | None) -> None:
        link = await self._driver.connect(self.peer_id)
        link.send_notification(method, params, writers, sources)
