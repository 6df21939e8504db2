"""The exit codes of the command line, and which error leads to which."""

from __future__ import annotations

import enum

from rtcrpc import errors

__all__ = ["Exit", "exit_of"]


class Exit(enum.IntEnum):
    """What a script can tell from the exit code."""

    OK = 0
    FAILED = 1
    """The other side answered with an error."""
    USAGE = 2
    """The command line, a file, an address or a link is wrong; nothing was sent, unless what is missing is a place
    for a file that came."""
    UNREACHABLE = 3
    """No bootstrap, no such peer, or no path to it; the call did not run."""
    IDENTITY = 4
    """The peer's key is not the expected one; the call was not sent."""
    TIMEOUT = 5
    """The deadline passed; the call may have run."""
    LOST = 6
    """The link was lost during the call; it may have run."""
    INTERRUPTED = 130
    """Stopped with Ctrl-C."""


def exit_of(error: BaseException) -> Exit:
    """The exit code that says what `error` means."""
    match error:
        case errors.HandshakeError():
            return Exit.IDENTITY
        case errors.DeadlineExceeded() | errors.RemoteDeadlineExceeded():
            return Exit.TIMEOUT
        case errors.ConnectionLost():
            return Exit.LOST
        case errors.SignalingError() | errors.Unavailable():
            return Exit.UNREACHABLE
        case errors.RemoteError():
            return Exit.FAILED
        case errors.InviteError() | errors.KeyFileError() | errors.ExposeError() | errors.EncodeError():
            return Exit.USAGE
        case ValueError() | OSError():
            return Exit.USAGE
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case _:
            return Exit.FAILED
