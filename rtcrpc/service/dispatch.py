"""From a request that came in to the function that serves it, and back.

```
network thread                                     user's loop, or a thread of the pool
  admitted? known? allowed? room for it?
        └─ hand over ───────────────────────────────▶ validate ─▶ run ─▶ make a value of the wire
  answer, unless the deadline did already ◀────────── hand back
```

No code of the user runs on the network thread, so that nothing it does can hold up a heartbeat.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias

from rtcrpc import codes, limits
from rtcrpc.core.events import NotificationReceived, RequestReceived
from rtcrpc.errors import ExposeError
from rtcrpc.service.call import (
    Call,
    Failure,
    Respondent,
    StopReason,
    run_in_pool,
    start_on_loop,
    stop_on_loop,
)
from rtcrpc.service.context import Caller, Context
from rtcrpc.service.discover import Discovery
from rtcrpc.service.method import Method
from rtcrpc.service.policy import Policy
from rtcrpc.service.pool import Pool, Submits
from rtcrpc.service.progress import Progress, Report
from rtcrpc.service.registry import Registry
from rtcrpc.service.watchdog import Watchdog
from rtcrpc.stream.writer import Sources

__all__ = ["Dispatcher", "Network", "Posts"]

logger = logging.getLogger("rtcrpc.service")

NOT_RUN = {"ran": False}
LONGEST_TIMER = 86_400.0
"""Seconds. A deadline further off gets no timer: loops refuse times that are out of their range."""


Refusal: TypeAlias = tuple[int, str]
"""Why a call is not served: code and message."""

_NOT_ADMITTED: Refusal = (
    codes.UNAUTHENTICATED,
    "this peer does not serve you: present a valid invite, or a key that it knows",
)


_NOT_LOSSY: Refusal = (
    codes.PERMISSION_DENIED,
    "it came over the lossy channel, and the function was not exposed with reliable=False",
)


class Posts(Protocol):
    """Hands work to a loop, from any thread (a `rtcrpc.runtime.Mailbox`)."""

    def post(self, fn: Callable[..., object], *args: Any) -> bool:
        """Have `fn(*args)` called on the loop; False when the loop is closed."""


class Network(Protocol):
    """The network thread (a `rtcrpc.runtime.Runtime`)."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Its loop."""

    def mailbox(self, loop: asyncio.AbstractEventLoop | None = None) -> Posts:
        """A mailbox of `loop`, by default of the network thread."""


class Dispatcher:
    """Serves the functions of `registry` to whom `policy` lets in.

    `user_loop`: where `async def` functions run, and `close` is awaited. `executor`: where `def` functions
    run, by default a `Pool` of its own. `blocked_after`: seconds after which the watchdog speaks up.
    `max_in_flight`: calls of one peer that may be unfinished, those included that were answered at their
    deadline while the function goes on. Made on any thread; `dispatch`, `cancel` and `link_closed` belong to
    the network thread. Raises `ExposeError` where the registry holds a function that can't be offered.
    """

    def __init__(
        self,
        registry: Registry,
        policy: Policy,
        *,
        runtime: Network,
        user_loop: asyncio.AbstractEventLoop,
        title: str = "rtcrpc",
        executor: Submits | None = None,
        blocked_after: float = 5.0,
        max_in_flight: int = limits.MAX_IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        registry.complete()
        self._registry = registry
        self._policy = policy
        self._loop = runtime.loop
        self._to_network = runtime.mailbox()
        self._to_user = runtime.mailbox(user_loop)
        self._own_pool: Pool | None = None
        if executor is None:
            executor = self._own_pool = Pool()
        self._executor = executor
        self._sources = Sources(self._to_user, executor)
        self._max_in_flight = max_in_flight
        self._clock = clock
        self._discovery = Discovery(registry, policy, title)
        # Functions see the context variables of where the peer was made, not those of whichever callback
        # starts them.
        self._base = contextvars.copy_context()
        self._open: dict[Respondent, dict[Any, Call]] = {}
        self._load: dict[object, int] = {}
        self._live: set[Call] = set()
        # Functions that run for what came over the lossy channel, and the latest that came meanwhile.
        self._lossy: dict[tuple[Respondent, str], NotificationReceived | None] = {}
        self._lossy_calls: dict[Call, tuple[Respondent, str]] = {}
        self.dropped_notifications = 0
        """Notifications that were not served; each is logged up to the second, then every fourth, eighth, and so on."""
        self._watchdog = Watchdog(self._loop, self._to_user, self._live, blocked_after, clock)
        self._closed = False

    @property
    def pool(self) -> Submits:
        """Where `def` functions run."""
        return self._executor

    def dispatch(self, link: Respondent, request: RequestReceived | NotificationReceived) -> None:
        """Serve a request or a notification. The answer goes to `link`; a notification has none."""
        self._serve(link, request, None)

    def dispatch_lossy(self, link: Respondent, notification: NotificationReceived) -> None:
        """Serve a notification of the lossy channel, if its function was exposed with `reliable=False`.

        While the function runs for this caller the latest waits, in the place of one that did: so none runs beside or after a newer one.
        """
        key = (link, notification.method)
        if key in self._lossy:
            self._lossy[key] = notification
        else:
            self._serve(link, notification, key)

    def _serve(
        self, link: Respondent, request: RequestReceived | NotificationReceived, lossy: tuple[Respondent, str] | None
    ) -> None:
        caller = link.caller
        method = self._allow(caller, request.method)
        if lossy is not None and isinstance(method, Method) and method.reliable:
            method = _NOT_LOSSY
        if caller is None or isinstance(method, tuple):
            self._refuse(link, request, *(method if isinstance(method, tuple) else _NOT_ADMITTED))
            return
        timeout = _timeout(request.meta)
        if isinstance(timeout, tuple):
            self._refuse(link, request, *timeout)
            return
        is_request = type(request) is RequestReceived
        # Notifications are counted apart: how many requests may be open is told to the caller, and must hold.
        load_key = (caller.peer_id or link, is_request)
        load = self._load.get(load_key, 0)
        if load >= self._max_in_flight:
            message = f"expected at most {self._max_in_flight} unfinished calls of one peer; wait for answers"
            self._refuse(link, request, codes.RESOURCE_EXHAUSTED, message)
            return
        now = self._clock()
        context = Context(caller, method.name, None if timeout is None else now + timeout, self._clock)
        request_id = request.id if type(request) is RequestReceived else None
        call = Call(link, request_id, not is_request, method, request.params, context, self._end)
        # A notification has no id; it is in the table so that the end of its link stops it too.
        self._open.setdefault(link, {})[request_id if is_request else call] = call
        call.load_key = load_key
        call.handed_at = now
        context.on_progress(partial(self._report, call))
        self._load[load_key] = load + 1
        self._live.add(call)
        if timeout is not None and timeout < LONGEST_TIMER:
            call.timer = self._loop.call_later(timeout, self._deadline, call)
        if not self._watchdog.armed:
            self._watchdog.arm()
        if lossy is not None:
            self._lossy[lossy] = None
            self._lossy_calls[call] = lossy
        self._hand_over(call)

    def cancel(self, link: Respondent, request_id: Any) -> None:
        """The caller gave up (protocol section 7). What has not started is answered at once, the rest when
        it has stopped.
        """
        call = self._open.get(link, {}).get(request_id)
        if call is not None and not call.is_notification:
            self._stop(call, "cancelled")

    def link_closed(self, link: Respondent) -> None:
        """Nobody waits for answers on `link` any more: what runs for it is stopped."""
        for key in [key for key in self._lossy if key[0] is link]:
            del self._lossy[key]
        for call in tuple(self._open.pop(link, {}).values()):
            self._stop(call, "gone")

    async def close(self) -> None:
        """Stop what runs, and take no more. Awaited on the user's loop, when the links are closed."""
        self._to_network.post(self._shut)
        await self._sources.drain(limits.DRAIN_SECONDS)
        if self._own_pool is not None:
            self._own_pool.close()

    # -- the way in --------------------------------------------------------------------------------------

    def _allow(self, caller: Caller | None, name: str) -> Method | Refusal:
        """The method of that name, or why the caller may not call it."""
        try:
            # First of all, and before the name is looked up: a stranger must not find out what there is.
            if caller is None or not self._policy.admits(caller):
                return _NOT_ADMITTED
            if name == "rpc.discover":
                method: Method | None = self._discovery.method
            elif (method := self._registry.method(name)) is not None:
                decision = self._policy.decide(caller, name)
                if not decision.allowed:
                    return decision.code, decision.reason or "the policy does not allow this call"
        except ExposeError as error:
            logger.error("a function can't be offered: %s", error)
            return codes.INTERNAL_ERROR, "internal error"
        except Exception:
            logger.exception("the policy failed; the call was refused")
            return codes.INTERNAL_ERROR, "internal error"
        if method is None:
            return codes.METHOD_NOT_FOUND, "there is no method of this name"
        return (codes.UNAVAILABLE, "this peer is closing") if self._closed else method

    def _refuse(
        self, link: Respondent, request: RequestReceived | NotificationReceived, code: int, message: str
    ) -> None:
        if type(request) is RequestReceived:
            link.respond_error(request.id, code, message, dict(NOT_RUN))
            return
        self.dropped_notifications += 1
        # Once for the first, then ever more rarely: a flood of them must not become a flood of lines.
        if self.dropped_notifications.bit_count() == 1:
            logger.info(
                "the notification %.80r was dropped: %s (%d dropped so far)",
                request.method,
                message,
                self.dropped_notifications,
            )

    def _hand_over(self, call: Call) -> None:
        if call.method.kind == "async":
            if self._to_user.post(start_on_loop, call, self._base):
                return
        else:
            try:
                self._executor.submit(run_in_pool, call, self._base)
                return
            except RuntimeError:
                logger.warning("%s can't be run: its pool is closed", call.method.name)
        call.claim()
        self._finish(call, None, (codes.UNAVAILABLE, "this peer is closing", dict(NOT_RUN)))

    # -- the way back ------------------------------------------------------------------------------------

    def _end(self, call: Call, result: Any, failure: Failure | None) -> None:
        """The function ended, or was not started: called once for each call that was handed over, from any
        thread.
        """
        self._to_network.post(self._finish, call, result, failure)

    def _finish(self, call: Call, result: Any, failure: Failure | None) -> None:
        call.context.on_progress(None)  # it holds the call, which holds the context: a cycle for each call
        self._live.discard(call)
        left = self._load[call.load_key] - 1
        if left:
            self._load[call.load_key] = left
        else:
            del self._load[call.load_key]
        if self._lossy_calls and (key := self._lossy_calls.pop(call, None)) is not None:
            latest = self._lossy.pop(key, None)
            if latest is not None:
                self._serve(key[0], latest, key)
        if call.settled:
            return
        if call.progress is not None:
            call.progress.flush()
        if not self._settle(call) or call.is_notification:
            if failure is not None and call.is_notification:
                logger.info("the notification of %s failed: %s", call.method.name, failure[1])
            return
        if failure is None:
            if call.writers:
                call.link.respond(call.request_id, result, call.writers, self._sources)
                call.writers = ()
            else:
                call.link.respond(call.request_id, result)
        else:
            call.link.respond_error(call.request_id, *failure)

    def _settle(self, call: Call) -> bool:
        """Take the call off the tables: from here on it has been answered. False when nobody waits for the
        answer.
        """
        call.settled = True
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if call.progress is not None:
            call.progress.close()
        calls = self._open.get(call.link)
        if calls is None:
            return False
        calls.pop(call if call.is_notification else call.request_id, None)
        if not calls:
            del self._open[call.link]
        return True

    def _report(self, call: Call, report: Report) -> None:
        """The function reports how far it has come; called on any thread."""
        if call.progress is None and not call.settled and not call.is_notification:
            call.progress = Progress(
                self._loop, self._to_network, lambda latest: call.link.report_progress(call.request_id, *latest)
            )
        if call.progress is not None:
            call.progress.say(report)

    def _deadline(self, call: Call) -> None:
        call.timer = None
        self._stop(call, "deadline")

    def _stop(self, call: Call, reason: StopReason) -> None:
        """End a call early, from the network thread.

        The answer to a deadline goes out on time, whatever the function does. A cancelled function answers
        when it has stopped, so that it counts against its caller until then.
        """
        if call.settled:
            return
        if call.stop_reason is None:
            call.stop_reason = reason
        call.context.cancel()
        never_ran = call.claim()
        if reason == "gone":
            self._settle(call)
        elif never_ran or reason == "deadline":
            self._settle(call)
            if not call.is_notification:
                late = reason == "deadline"
                code = codes.DEADLINE_EXCEEDED if late else codes.CANCELLED
                message = "the deadline of the call has passed" if late else "cancelled"
                call.link.respond_error(call.request_id, code, message, dict(NOT_RUN) if never_ran else None)
        if never_ran:
            call.params = None
        elif call.method.kind == "async":
            self._to_user.post(stop_on_loop, call)

    def _shut(self) -> None:
        self._closed = True
        self._lossy.clear()
        for link in tuple(self._open):
            for call in tuple(self._open.get(link, {}).values()):
                if call.claim():
                    self._settle(call)
                    if not call.is_notification:
                        failure = (codes.UNAVAILABLE, "this peer is closing", dict(NOT_RUN))
                        call.link.respond_error(call.request_id, *failure)
                else:
                    self._stop(call, "cancelled")
        self._watchdog.close()


def _timeout(meta: Mapping[str, Any]) -> float | Refusal | None:
    """The seconds that the caller gives, None for no limit; or why the call is refused."""
    millis = meta.get("timeout") if meta else None
    if millis is None:
        return None
    if type(millis) not in (int, float) or millis != millis:
        return codes.INVALID_REQUEST, "meta.timeout: expected a number of milliseconds"
    if millis <= 0:
        return codes.DEADLINE_EXCEEDED, "the deadline had passed when the call came"
    seconds: float = min(millis, LONGEST_TIMER * 1000) / 1000
    return seconds
