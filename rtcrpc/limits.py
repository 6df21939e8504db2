"""Every bound of the protocol with its default, its reason, and what exceeding it does.

Made from schemas/limits.json by tools/generate_constants.py: change that one and `make generate`.
"""

from typing import Final

__all__ = [
    "CHANNEL_BUFFER",
    "COALESCE_BYTES",
    "DIAL_SECONDS",
    "DRAIN_SECONDS",
    "HANDSHAKE_BYTES",
    "HANDSHAKE_MESSAGES",
    "HANDSHAKE_SECONDS",
    "HEARTBEAT_MILLIS",
    "HEARTBEAT_MISSES",
    "LOSSY_BUFFER",
    "LOSSY_FRAME",
    "MAX_BATCH",
    "MAX_CANDIDATES",
    "MAX_DEPTH",
    "MAX_DIMENSIONS",
    "MAX_FRAME",
    "MAX_INT_BITS",
    "MAX_IN_FLIGHT",
    "MAX_LOSSY_METHODS",
    "MAX_MESSAGE",
    "MAX_MESSAGE_ANONYMOUS",
    "MAX_METHOD_LENGTH",
    "MAX_NAME_LENGTH",
    "MAX_PEERS_PER_ROOM",
    "MAX_ROOMS",
    "MAX_ROOM_LENGTH",
    "MAX_SDP",
    "MAX_STREAMS",
    "MAX_TOKENS",
    "MAX_TRANSFERS",
    "PROGRESS_MILLIS",
    "SIGNALING_MESSAGE",
    "STREAM_WINDOW",
    "TOKEN_LENGTH",
    "TRANSFER_SECONDS",
    "VERIFY_BACKLOG",
]

MAX_FRAME: Final = 16384
"""In bytes. One DataChannel message, its header counted. The stacks measured are fastest at this size, and a
small call behind one such frame waits little. Exceeded: The receiver says bye with `too large`; a sender
never makes a longer one.
"""
MAX_MESSAGE: Final = 67108864
"""In bytes. A message joined from parts, from a peer that has proved its key. Large enough for pictures and
arrays, small enough that one peer cannot fill the memory of a small device. Exceeded: The sender refuses it
before anything is sent; the receiver says bye with `too large` as soon as the limit is passed.
"""
MAX_MESSAGE_ANONYMOUS: Final = 1048576
"""In bytes. The same, from a peer without an identity, which loses nothing by being cut off. Exceeded: As
maxMessage.
"""
MAX_DEPTH: Final = 64
"""In levels. How deep lists and maps nest. Decoders and validators recurse, and a stack is finite. Exceeded:
The value is refused: the sender raises an encode error; a request is answered with `parse error`, and other
messages end the session with it.
"""
MAX_IN_FLIGHT: Final = 256
"""In calls. Requests of one peer that are open at once, at the peer that serves them. Exceeded: The request
is answered with `resource exhausted` and `ran: false`; a caller that knows the limit queues instead.
"""
MAX_TRANSFERS: Final = 8
"""In transfers. Messages that arrive in parts at the same time. Parts interleave, and each holds memory until
it is whole. Exceeded: The receiver says bye with `resource exhausted`.
"""
TRANSFER_SECONDS: Final = 30
"""In seconds. Time without a new part in an open transfer, after which its sender is taken to have stopped.
Exceeded: The receiver says bye with `deadline exceeded`.
"""
VERIFY_BACKLOG: Final = 1048576
"""In bytes. Frames held, undecoded, while the proof of the other peer is being verified. Exceeded: The
receiver says bye with `resource exhausted`.
"""
HANDSHAKE_MESSAGES: Final = 8
"""In frames. Frames taken from a peer before its proof. Two suffice. Exceeded: The receiver says bye with
`handshake failed`.
"""
HANDSHAKE_BYTES: Final = 16384
"""In bytes. Bytes taken from a peer before its proof. Exceeded: The receiver says bye with `handshake
failed`.
"""
HANDSHAKE_SECONDS: Final = 10
"""In seconds. Time from the opening of the channel to a verified proof. Several round trips over a bad mobile
link. Exceeded: The peer says bye with `deadline exceeded`.
"""
HEARTBEAT_MILLIS: Final = 2000
"""In milliseconds. Silence after which a ping is sent. With heartbeatMisses it finds a dead link in under 10
seconds, where ICE takes over 30. Exceeded: A ping is sent.
"""
HEARTBEAT_MISSES: Final = 3
"""In pings. Pings without any sign of life, after which the connection is lost. One may be lost by chance,
three rarely. Exceeded: The connection is lost.
"""
CHANNEL_BUFFER: Final = 65536
"""In bytes. The most that is kept in the DataChannel's own buffer, which is first in, first out: what waits
there can no longer be passed by a call. Exceeded: Frames wait in the lanes of the sender.
"""
COALESCE_BYTES: Final = 1100
"""In bytes. The size a frame of small envelopes is filled to. It fits one packet of the smallest usual path
(1,200 bytes with its headers). Exceeded: The next envelope starts a new frame.
"""
MAX_METHOD_LENGTH: Final = 128
"""In characters. The length of a method name, in code points. Exceeded: A request is answered with `invalid
request`; a notification is ignored.
"""
MAX_NAME_LENGTH: Final = 64
"""In characters. The length of a peer's name, in code points. It is shown to people. Exceeded: The hello is
refused with `handshake failed`; a bootstrap refuses the join with `invalid params`.
"""
MAX_INT_BITS: Final = 4096
"""In bits. The size of an integer in two's complement. Turning text into an integer costs more than linear
time. Exceeded: As maxDepth.
"""
MAX_DIMENSIONS: Final = 32
"""In dimensions. Of an array in a value. As many as the oldest numpy still in use can hold. Exceeded: As
maxDepth.
"""
SIGNALING_MESSAGE: Final = 65536
"""In bytes. One message on the WebSocket to the bootstrap. Exceeded: The receiver closes the WebSocket with
1009.
"""
MAX_SDP: Final = 16384
"""In bytes. One description. Real ones for a single DataChannel have 400 to 3,000 bytes. Exceeded: The
description is refused before it is parsed.
"""
MAX_CANDIDATES: Final = 32
"""In candidates. Candidates taken from one peer in one attempt, in descriptions and apart. Each makes the
receiver send packets to an address it was told. Exceeded: The rest are dropped.
"""
MAX_ROOMS: Final = 8
"""In rooms. Rooms that one key is in at one bootstrap. Exceeded: The join is answered with `resource
exhausted`.
"""
MAX_BATCH: Final = 256
"""In envelopes. Envelopes in one JSON-RPC batch. A batch multiplies: one message in, many answers out.
Exceeded: The batch is answered with one `invalid request`, and nothing in it runs.
"""
MAX_PEERS_PER_ROOM: Final = 256
"""In peers. Members of one room at a bootstrap. Every arrival is told to all of them. Exceeded: The join is
answered with `resource exhausted`.
"""
MAX_ROOM_LENGTH: Final = 128
"""In characters. The length of a room's name, in code points. Exceeded: The join is refused with `invalid
params`.
"""
DIAL_SECONDS: Final = 30
"""In seconds. Time from an offer to a session that is ready. Stacks tell a failed path only after a minute.
Exceeded: The attempt is given up, with the reason.
"""
DRAIN_SECONDS: Final = 5
"""In seconds. Time that a peer which said bye waits for its last frames to leave. Exceeded: The connection is
closed as it is.
"""
TOKEN_LENGTH: Final = 4096
"""In bytes. One token, in UTF-8. Exceeded: The token is refused: the receiver says bye with `too large`."""
MAX_TOKENS: Final = 8
"""In tokens. Tokens presented in one session. Exceeded: The receiver says bye with `resource exhausted`."""
STREAM_WINDOW: Final = 262144
"""In bytes. What the owner of a stream may send before its reader has taken anything, by default. It covers
10 MB/s over a round trip of 26 ms, and 64 streams whose readers sleep hold 16 MiB. Exceeded: The owner waits;
a reader that is sent more says bye with `resource exhausted`.
"""
MAX_STREAMS: Final = 64
"""In streams. Streams of one owner that are open at a time. Each may hold a window at its reader. Exceeded:
The owner refuses to send the value; a receiver refuses the message with `resource exhausted` and `ran:
false`, and stops its streams.
"""
PROGRESS_MILLIS: Final = 100
"""In milliseconds. Time between two reports of progress of one request. People see no more than ten a second.
Exceeded: The callee keeps the latest report until the time has passed, or until the answer.
"""
LOSSY_FRAME: Final = 1100
"""In bytes. One frame of the lossy channel. It fits one packet on any path, so that losing a packet loses one
message. Exceeded: The sender refuses the notification with `too large`; a receiver drops the frame.
"""
LOSSY_BUFFER: Final = 4096
"""In bytes. What is kept in the lossy channel's own buffer, about four frames. What is in it can't be
replaced by something newer. Exceeded: The newest notification of each method waits until there is room.
"""
MAX_LOSSY_METHODS: Final = 256
"""In methods. Methods of one session that have had a lossy notification. Both sides keep a number for each.
Exceeded: The sender refuses the notification with `resource exhausted`; a receiver drops it.
"""
