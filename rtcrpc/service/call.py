"""One call being served: its record, and what becomes of it on the side where the user's code runs."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from rtcrpc import codes
from rtcrpc.errors import CallCancelled, DeadlineExceeded, EncodeError, Error, RemoteCancelled, error_to_wire
from rtcrpc.service.context import Caller, Context, enter
from rtcrpc.service.method import Method
from rtcrpc.service.progress import Progress
from rtcrpc.service.result import ResultMismatch
from rtcrpc.service.schema import InvalidParams, Params
from rtcrpc.stream.writer import Lifting, Sources, Writer
from rtcrpc.wire import PLAIN, to_wire

__all__ = ["Call", "Failure", "Respondent", "run_in_pool", "start_on_loop", "stop_on_loop"]

logger = logging.getLogger("rtcrpc.service")

Failure: TypeAlias = tuple[int, str, dict[str, Any] | None]
"""An error as it is sent: code, message, data (protocol section 5.1)."""

StopReason: TypeAlias = Literal["cancelled", "deadline", "gone"]


class Respondent(Protocol):
    """The way back to a caller (a `rtcrpc.link.Link`); used on the network thread only."""

    @property
    def caller(self) -> Caller | None:
        """Who calls, with the tokens presented so far; None before the handshake has ended."""

    def respond(
        self, request_id: Any, result: Any, writers: Sequence[Writer] = (), sources: Sources | None = None
    ) -> None:
        """Send a result; the last two are given where there are streams in it."""

    def respond_error(self, request_id: Any, code: int, message: str, data: dict[str, Any] | None) -> None:
        """Send an error."""

    def report_progress(
        self, request_id: Any, done: int | float, total: int | float | None, message: str | None
    ) -> None:
        """Send how far a request has come."""


class Call:
    """A request or notification from its arrival to its end.

    Two sides share it. The network thread owns `settled` and `timer`; the side that runs the function owns
    `task` and `ran`. Which of the two has the call is decided by `claim`, once: either the function starts,
    or it never will.
    """

    __slots__ = (
        "_ticket",
        "context",
        "handed_at",
        "is_notification",
        "link",
        "load_key",
        "method",
        "on_end",
        "params",
        "progress",
        "ran",
        "request_id",
        "settled",
        "stop_reason",
        "task",
        "timer",
        "writers",
    )

    def __init__(
        self,
        link: Respondent,
        request_id: Any,
        is_notification: bool,
        method: Method,
        params: Params,
        context: Context,
        on_end: Callable[[Call, Any, Failure | None], object],
    ) -> None:
        self.link = link
        self.request_id = request_id
        self.is_notification = is_notification
        self.method = method
        self.params: Params | None = params
        self.context = context
        self.on_end = on_end
        self.load_key: object = None
        self.handed_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        self.progress: Progress | None = None
        self.writers: Sequence[Writer] = ()
        self.settled = False
        self.ran = False
        self.stop_reason: StopReason | None = None
        self._ticket = [None]

    @property
    def claimed(self) -> bool:
        """Whether the function was started, or will never be."""
        return not self._ticket

    def claim(self) -> bool:
        """Take the right to start the function, or to say that it did not run. True for one taker only,
        from any thread.
        """
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True


def start_on_loop(call: Call, base: contextvars.Context) -> None:
    """Start an `async def` function, on the user's loop."""
    if not call.claim():
        call.on_end(call, None, None)
        return
    context = base.copy()
    context.run(enter, call.context)
    call.task = _start_task(call, context)


if sys.version_info >= (3, 12):

    def _start_task(call: Call, context: contextvars.Context) -> asyncio.Task[None]:
        # Runs until the first wait within this turn of the loop; most functions end there and cost no more.
        return asyncio.Task(_serve(call), loop=asyncio.get_running_loop(), context=context, eager_start=True)

else:

    def _start_task(call: Call, context: contextvars.Context) -> asyncio.Task[None]:
        def ended(_: asyncio.Task[None]) -> None:
            # Cancelled before its first step: nothing in `_serve` has run, so nothing there has told the end.
            if call.params is not None:
                call.on_end(call, None, (codes.CANCELLED, "cancelled", {"ran": False}))

        task = asyncio.get_running_loop().create_task(_serve(call), context=context)
        task.add_done_callback(ended)
        return task


def stop_on_loop(call: Call) -> None:
    """Cancel an `async def` function, on the user's loop; posted after its start, so there is a task."""
    if call.task is not None:
        call.task.cancel()


async def _serve(call: Call) -> None:
    method = call.method
    try:
        args, kwargs = method.parameters.bind(_take_params(call), call.context)
        call.ran = True
        value = method.function(*args, **kwargs)
        if not method.is_generator:
            value = await value
        result = _result(call, value)
        del value
    except BaseException as error:
        call.on_end(call, None, _failure(call, error))
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            # Somebody pressed Ctrl-C, and it met this function rather than another: it is meant for the program.
            asyncio.get_running_loop().call_soon(_interrupt)
    else:
        call.on_end(call, result, None)


def _interrupt() -> None:
    raise KeyboardInterrupt


def run_in_pool(call: Call, base: contextvars.Context) -> None:
    """Run a `def` function from its start to its end, on a thread of the pool."""
    if not call.claim():
        call.on_end(call, None, None)
        return
    context = base.copy()
    context.run(enter, call.context)
    method = call.method
    try:
        args, kwargs = method.parameters.bind(_take_params(call), call.context)
        call.ran = True
        value = context.run(method.function, *args, **kwargs)
        if inspect.iscoroutine(value):
            value.close()
            raise ResultMismatch(f"{method.name}: a def function returned a coroutine; write it with async def")
        # In its context: streams in the result keep that.
        result = context.run(_result, call, value)
        del value
    except BaseException as error:
        # Not even SystemExit gets out: a call from afar must not end this thread, let alone the program.
        call.on_end(call, None, _failure(call, error))
    else:
        call.on_end(call, result, None)


def _result(call: Call, value: Any) -> Any:
    """The value to send; `call.writers` are those that stand in it for streams."""
    if type(value) in PLAIN:
        return call.method.result.to_wire(value)
    lifting = Lifting()
    result = call.method.result.to_wire(value, lifting)
    for writer in lifting.writers:
        writer.describe = functools.partial(_failure, call)
        writer.on_stop = call.context.cancel
    call.writers = lifting.writers
    return result


def _take_params(call: Call) -> Params:
    # A big argument is let go once the function has it.
    params, call.params = call.params, None
    return params if params is not None else []


def _failure(call: Call, error: BaseException) -> Failure:
    """What the caller is told. What it isn't told goes to the log."""
    name, ran = call.method.name, None if call.ran else False
    if isinstance(error, InvalidParams):
        # It may have run: items of a stream are checked as it takes them.
        return codes.INVALID_PARAMS, error.message, {**({} if call.ran else {"ran": False}), "issues": error.issues}
    if isinstance(error, Error):
        try:
            code, message, data = error_to_wire(error, ran=ran)
            return code, message, _sendable(call, data)
        except Exception:
            # A subclass that does not call its parent's __init__ lacks what there is to tell.
            logger.exception("%s: its %s could not be sent", name, type(error).__name__)
    elif isinstance(error, asyncio.CancelledError) or (
        # A caller that gives up ends its streams too: a function that reads one may see that before its own cancellation.
        isinstance(error, (CallCancelled, RemoteCancelled)) and call.context.cancelled
    ):
        return codes.CANCELLED, "cancelled", None
    elif isinstance(error, DeadlineExceeded) and call.context.remaining() == 0.0:
        return codes.DEADLINE_EXCEEDED, "the deadline of the call has passed", None
    elif isinstance(error, (ResultMismatch, EncodeError)):
        logger.error("%s: its result was not sent: %s", name, error)
    elif not call.ran:
        logger.error("%s did not run: a validator of its arguments failed", name, exc_info=error)
    elif isinstance(error, Exception):
        peer = call.context.caller.peer_id or "no key"
        logger.error("%s failed, called by %s", name, peer, exc_info=error)
    else:
        logger.error("%s raised %s, which ends no more than this call", name, type(error).__name__, exc_info=error)
    # Of our own errors too, only those meant for the caller travel: another may name a file or a third peer.
    return codes.INTERNAL_ERROR, "internal error", None if ran is None else {"ran": False}


def _sendable(call: Call, data: dict[str, Any] | None) -> dict[str, Any] | None:
    if data is None:
        return None
    try:
        sendable: dict[str, Any] = to_wire(data, "data")
    except EncodeError as error:
        logger.error("%s: the detail of its error was not sent: %s", call.method.name, error)
        return None
    return sendable
