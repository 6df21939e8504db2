"""Why a connection to a bootstrap ended, in words for people, and what that means for the next attempt."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtcrpc.signaling.messages import CLOSE_REPLACED

__all__ = ["Ending", "ending_of_close", "ending_of_denial", "ending_of_failure"]

_ABNORMAL: Final = 1006  # RFC 6455 section 7.4.1: no close frame came
_POLICY: Final = 1008

_ADVICE: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "it asks for credentials that rtcrpc does not have",
    HTTPStatus.FORBIDDEN: "is the path in the URL right?",
    HTTPStatus.NOT_FOUND: "is the path in the URL right?",
    HTTPStatus.MISDIRECTED_REQUEST: "its operator must list the host under which you reach it",
    HTTPStatus.TOO_MANY_REQUESTS: "it has too many connections; try again later",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """`lost` is tried again soon, `refused` slowly, `replaced` never."""

    kind: Literal["lost", "refused", "replaced"]
    reason: str


def ending_of_denial(where: str, denied: InvalidStatus) -> Ending:
    """The opening handshake with `where` was answered with another HTTP status than 101."""
    response = denied.response
    status, said = response.status_code, _shown(bytes(response.body or b""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Ending("lost", f"the bootstrap at {where} answered HTTP {status}{said}")
    if "Location" in response.headers:
        place = ascii(response.headers["Location"])[:200]
        return Ending("refused", f"{where} points to {place}: use the address of the bootstrap itself")
    advice = _ADVICE.get(status, "expected an rtcrpc bootstrap there")
    return Ending("refused", f"the bootstrap at {where} refused with HTTP {status}{said}: {advice}")


def ending_of_failure(where: str, error: Exception) -> Ending:
    """No connection to `where` came about at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Ending(
            "lost",
            f"the certificate of the bootstrap at {where} is not trusted here: {error.verify_message}; if its authority "
            "is your own, name that authority's certificate in SSL_CERT_FILE",
        )
    # The number in front of an OSError's words tells people nothing; some errors have no words.
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return Ending("lost", f"can't reach the bootstrap at {where}: {said}; is it running?")


def ending_of_close(where: str, room: str, closed: ConnectionClosed) -> Ending:
    """The WebSocket to `where` was closed."""
    code = closed.rcvd.code if closed.rcvd is not None else _ABNORMAL
    said = _shown((closed.rcvd.reason if closed.rcvd is not None else "").encode())
    if code == CLOSE_REPLACED:
        return Ending(
            "replaced",
            f"another peer with the same key joined room {room!r}; stop one of the two, or give each its own identity",
        )
    if 4000 <= code < 5000 or code == _POLICY:
        return Ending("refused", f"the bootstrap at {where} closed the connection with {code}{said}")
    return Ending("lost", f"the connection to the bootstrap at {where} was lost ({code}{said})")


def _shown(text: bytes) -> str:
    # A stranger's words, on their way to a terminal: cut, on one line, without control characters.
    cut = " ".join(text[:300].decode("utf-8", "replace").split())
    return f" ({''.join(c for c in cut if c.isprintable())})" if cut else ""
