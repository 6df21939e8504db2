"""The streams of one link: between its session and the writers and readers of the user's code. On the network thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from rtcrpc import codes
from rtcrpc.core.events import Event, StreamEnded, StreamItems, StreamsOpened, StreamStopped, StreamWritable
from rtcrpc.core.flow import HIGH_MARK
from rtcrpc.core.session import Session
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import RtcRpcError, TooLarge
from rtcrpc.stream.reader import Inlet, Stream
from rtcrpc.stream.values import put_in_place
from rtcrpc.stream.writer import Failure, Posts, Sources, Writer

__all__ = ["LinkStreams"]

logger = logging.getLogger("rtcrpc.stream")


class LinkStreams:
    """What a link knows of its streams.

    `flush` has the link send what the session has to say; `network` is the way here from other threads. `finish` makes of a value with
    streams in it what the user's code is given.
    """

    def __init__(
        self,
        session: Session,
        flush: Callable[[], object],
        network: Posts,
        finish: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        self.network = network
        self.arrived = False
        """Whether the next message of the session holds streams of the other side: then it goes through `take_in`."""
        self._session = session
        self._flush = flush
        self._finish = finish
        self._inlets: dict[int, Inlet] = {}
        self._new: dict[int, Inlet] = {}
        self._writers: dict[int, tuple[Writer, Sources]] = {}

    # -- ours --------------------------------------------------------------------------------------------

    def place(self, value: Any, writers: Sequence[Writer], sources: Sources) -> Any:
        """Put a reference in the place of each writer in `value`, which is about to be sent.

        Raises `EncodeError` or `ResourceExhausted` where the other side takes no streams, or no more of them.
        """
        try:
            for writer in writers:
                writer.id = self._session.open_stream()
                self._writers[writer.id] = (writer, sources)
        except RtcRpcError:
            self.abandon(writers)
            raise
        return put_in_place(value, Writer, _reference)

    def start(self, writers: Sequence[Writer]) -> None:
        """What held the writers is sent: iterate."""
        for writer in writers:
            if (entry := self._writers.get(writer.id)) is not None:
                writer.start(self, entry[1])

    def abandon(self, writers: Sequence[Writer], failure: Failure | None = None) -> None:
        """Give streams up, started or not; `failure` is what a reader is told."""
        for writer in writers:
            if self._writers.pop(writer.id, None) is not None:
                self._session.end_stream(writer.id, failure)
                writer.stop()

    # -- stream.writer.WriterOwner -----------------------------------------------------------------------

    def is_full(self, writer: Writer) -> bool:
        """Whether enough of its items wait in the session."""
        return self._session.queued_bytes_of(writer.id) >= HIGH_MARK

    def write(self, writer: Writer, items: list[Any], nested: list[Writer]) -> None:
        """Hand items to the session."""
        entry = self._writers.get(writer.id)
        if entry is None:
            return
        try:
            if nested:
                self.place(items, nested, entry[1])
            self._session.send_items(writer.id, items)
        except RtcRpcError as error:
            logger.error("a stream broke: an item can't be sent: %s", error)
            told = error if isinstance(error, TooLarge) else None
            self.abandon(nested)
            self.abandon([writer], (error.code, error.message, None) if told else _REDACTED)
        else:
            self.start(nested)
        self._flush()

    def finish(self, writer: Writer, failure: Failure | None) -> None:
        """A source has ended."""
        if self._writers.pop(writer.id, None) is not None:
            self._session.end_stream(writer.id, failure)
            self._flush()

    # -- stream.reader.InletOwner: on any thread ---------------------------------------------------------

    def taken(self, stream: int, size: int) -> None:
        """A reader took `size` bytes."""
        self.network.post(self._credit, stream, size)

    def unwanted(self, stream: int) -> None:
        """A reader went."""
        self.network.post(self._stop, stream)

    def _credit(self, stream: int, size: int) -> None:
        self._session.credit_stream(stream, size)
        self._flush()

    def _stop(self, stream: int) -> None:
        if self._inlets.pop(stream, None) is not None:
            self._session.stop_stream(stream)
            self._flush()

    # -- theirs ------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> bool:
        """Take an event that is about streams; False where it is not."""
        if isinstance(event, StreamItems):
            items = self.take_in(event.items) if self.arrived else event.items
            if (inlet := self._inlets.get(event.stream)) is not None:
                inlet.put(items, event.size)
        elif isinstance(event, StreamEnded):
            if (inlet := self._inlets.pop(event.stream, None)) is not None:
                inlet.end(event.error)
        elif isinstance(event, StreamsOpened):
            for stream in event.streams:
                self._inlets[stream] = self._new[stream] = Inlet(stream, self)
            self.arrived = True
        elif isinstance(event, StreamWritable):
            if (entry := self._writers.get(event.stream)) is not None:
                entry[0].writable()
        elif isinstance(event, StreamStopped):
            if (entry := self._writers.pop(event.stream, None)) is not None:
                entry[0].stop()
        else:
            return False
        return True

    def take_in(self, value: Any) -> Any:
        """Put a `Stream` in the place of each reference in a value that came. Whoever lets go of one stops it."""
        new, self._new = self._new, {}
        self.arrived = False
        return self._finish(put_in_place(value, StreamRef, lambda reference: Stream(new[reference.id])))

    def close(self, error: Exception) -> None:
        """The link ended."""
        inlets, self._inlets = self._inlets, {}
        writers, self._writers = self._writers, {}
        for inlet in inlets.values():
            inlet.end(error)
        for writer, _ in writers.values():
            writer.stop()

    def leave(self) -> None:
        """The link is about to end well: sources that have not ended are given up, so that nothing waits for them."""
        self.abandon([writer for writer, _ in self._writers.values()], _LEFT)


_REDACTED: Failure = (codes.INTERNAL_ERROR, codes.CODE_NAMES[codes.INTERNAL_ERROR], None)
_LEFT: Failure = (codes.STREAM_BROKEN, "the owner of the stream left", None)


def _reference(writer: Writer) -> StreamRef:
    return StreamRef(writer.id)
