"""Frames (protocol section 4): sequences of DataChannel messages and what they join to."""

from __future__ import annotations

from typing import Any

__all__ = ["make"]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
RESOURCE_EXHAUSTED = -32004
TOO_LARGE = -32007

ENVELOPES, PART, LAST_PART, TEXT_PART, LAST_TEXT_PART = range(5)

Frame = dict[str, str]


def make() -> dict[str, Any]:
    """The content of `frames.json`."""
    return {"varints": varints(), "valid": valid(), "refused": refused()}


def varint(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def varints() -> list[dict[str, Any]]:
    """Transfer ids and their bytes."""
    values = (1, 127, 128, 300, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 2**32 - 1)
    return [{"name": str(value), "value": value, "hex": varint(value).hex()} for value in values]


def text(content: str) -> Frame:
    """A text frame, or the text message it holds."""
    return {"text": content}


def binary(kind: int, content: bytes | str, transfer: int | None = None) -> Frame:
    """A binary frame."""
    data = content.encode() if isinstance(content, str) else content
    header = bytes([kind]) + (b"" if transfer is None else varint(transfer))
    return {"hex": (header + data).hex()}


def joined(content: bytes) -> Frame:
    """A message of MessagePack envelopes."""
    return {"hex": content.hex()}


def raw(hex_text: str) -> Frame:
    """A binary frame, byte for byte."""
    return {"hex": hex_text.replace(" ", "")}


ADD = b"\x94\x00\x01\xa3add\x92\x01\x02"
ADD_MORE = b"\x94\x00\x02\xa3add\x92\x03\x04"
HELLO = '{"jsonrpc":"2.0","method":"rpc.ping","params":{"n":1}}'


def valid() -> list[dict[str, Any]]:
    """Sequences that a receiver takes. `messages` come out in this order."""

    def case(name: str, frames: list[Frame], messages: list[Frame], **limits: int) -> dict[str, Any]:
        return {"name": name, "limits": limits, "frames": frames, "messages": messages}

    return [
        case("a text frame", [text(HELLO)], [text(HELLO)]),
        case("a text frame with text beyond ASCII", [text('["é€😀"]')], [text('["é€😀"]')]),
        case("an envelopes frame", [binary(ENVELOPES, ADD)], [joined(ADD)]),
        case("two envelopes in a frame", [binary(ENVELOPES, ADD + ADD_MORE)], [joined(ADD + ADD_MORE)]),
        case(
            "text and binary frames in turn",
            [text(HELLO), binary(ENVELOPES, ADD), text(HELLO)],
            [text(HELLO), joined(ADD), text(HELLO)],
        ),
        case("a transfer of one part", [binary(LAST_PART, ADD, 1)], [joined(ADD)]),
        case(
            "a transfer of two parts",
            [binary(PART, ADD[:3], 1), binary(LAST_PART, ADD[3:], 1)],
            [joined(ADD)],
        ),
        case(
            "a transfer of single bytes",
            [*(binary(PART, bytes([byte]), 1) for byte in ADD[:-1]), binary(LAST_PART, ADD[-1:], 1)],
            [joined(ADD)],
        ),
        case(
            "a text in parts",
            [binary(TEXT_PART, HELLO[:9], 1), binary(LAST_TEXT_PART, HELLO[9:], 1)],
            [text(HELLO)],
        ),
        case(
            "a text split within a character",
            [binary(TEXT_PART, b'"\xf0\x9f', 1), binary(LAST_TEXT_PART, b'\x98\x80"', 1)],
            [text('"😀"')],
        ),
        case("a last part without bytes", [binary(PART, ADD, 1), binary(LAST_PART, b"", 1)], [joined(ADD)]),
        case("a part without bytes", [binary(PART, b"", 1), binary(LAST_PART, ADD, 1)], [joined(ADD)]),
        case(
            "two transfers, one after the other",
            [
                binary(PART, ADD[:5], 1),
                binary(LAST_PART, ADD[5:], 1),
                binary(PART, ADD_MORE[:5], 2),
                binary(LAST_PART, ADD_MORE[5:], 2),
            ],
            [joined(ADD), joined(ADD_MORE)],
        ),
        case(
            "two transfers interleaved; the second is whole first",
            [
                binary(PART, ADD[:5], 1),
                binary(PART, ADD_MORE[:5], 2),
                binary(LAST_PART, ADD_MORE[5:], 2),
                binary(LAST_PART, ADD[5:], 1),
            ],
            [joined(ADD_MORE), joined(ADD)],
        ),
        case(
            "transfers of both kinds interleaved",
            [
                binary(PART, ADD[:5], 1),
                binary(TEXT_PART, HELLO[:9], 2),
                binary(LAST_PART, ADD[5:], 1),
                binary(LAST_TEXT_PART, HELLO[9:], 2),
            ],
            [joined(ADD), text(HELLO)],
        ),
        case(
            "small frames pass between the parts of a transfer",
            [
                binary(PART, ADD[:5], 1),
                text(HELLO),
                binary(ENVELOPES, ADD_MORE),
                binary(LAST_PART, ADD[5:], 1),
            ],
            [text(HELLO), joined(ADD_MORE), joined(ADD)],
        ),
        case(
            "a transfer id of two bytes, after a gap",
            [binary(LAST_PART, ADD, 1), binary(PART, ADD[:5], 300), binary(LAST_PART, ADD[5:], 300)],
            [joined(ADD), joined(ADD)],
        ),
        case("the largest transfer id of 32 bits", [binary(LAST_PART, ADD, 2**32 - 1)], [joined(ADD)]),
        case(
            "a binary frame of just maxFrame",
            [binary(ENVELOPES, b"\xc0" * 31)],
            [joined(b"\xc0" * 31)],
            maxFrame=32,
        ),
        case(
            "a part of just maxFrame",
            [binary(LAST_PART, b"\xc0" * 30, 1)],
            [joined(b"\xc0" * 30)],
            maxFrame=32,
        ),
        case("a text frame of just maxFrame bytes", [text("é" * 16)], [text("é" * 16)], maxFrame=32),
        case(
            "a message of just maxMessage",
            [binary(PART, b"\xc0" * 30, 1), binary(PART, b"\xc0" * 30, 1), binary(LAST_PART, b"\xc0" * 4, 1)],
            [joined(b"\xc0" * 64)],
            maxFrame=32,
            maxMessage=64,
        ),
        case(
            "as many transfers as maxTransfers",
            [
                binary(PART, ADD[:5], 1),
                binary(PART, ADD_MORE[:5], 2),
                binary(LAST_PART, ADD[5:], 1),
                binary(PART, ADD[:5], 3),
                binary(LAST_PART, ADD_MORE[5:], 2),
                binary(LAST_PART, ADD[5:], 3),
            ],
            [joined(ADD), joined(ADD_MORE), joined(ADD)],
            maxTransfers=2,
        ),
    ]


def refused() -> list[dict[str, Any]]:
    """Sequences whose last frame ends the session with `code`. `messages` came out before."""

    def case(
        name: str, frames: list[Frame], code: int, messages: list[Frame] | None = None, **limits: int
    ) -> dict[str, Any]:
        return {"name": name, "limits": limits, "frames": frames, "messages": messages or [], "code": code}

    begun = binary(PART, ADD[:5], 1)
    return [
        case("an empty binary frame", [raw("")], PARSE_ERROR),
        case("an unknown type", [raw("05 01")], PARSE_ERROR),
        case("type 0x7b, a brace: JSON in a binary frame", [binary(0x7B, '"jsonrpc":"2.0"}')], PARSE_ERROR),
        case("type 0xff", [raw("ff")], PARSE_ERROR),
        case("a good frame, then an unknown type", [text(HELLO), raw("80")], PARSE_ERROR, [text(HELLO)]),
        case("a part without a transfer id", [raw("01")], PARSE_ERROR),
        case("a transfer id that ends early", [raw("01 80")], PARSE_ERROR),
        case("a transfer id of five bytes that ends early", [raw("01 80 80 80 80 80")], PARSE_ERROR),
        case("a transfer id in two bytes where one does", [raw("02 81 00 c0")], PARSE_ERROR),
        case("a transfer id in five bytes where one does", [raw("02 81 80 80 80 00 c0")], PARSE_ERROR),
        case("a transfer id of six bytes", [raw("02 80 80 80 80 80 01 c0")], PARSE_ERROR),
        case("the transfer id 2^32", [raw("02 80 80 80 80 10 c0")], PARSE_ERROR),
        case("the transfer id 0", [raw("02 00 c0")], INVALID_REQUEST),
        case(
            "a transfer id used again at once",
            [binary(LAST_PART, ADD, 1), binary(PART, ADD, 1)],
            INVALID_REQUEST,
            [joined(ADD)],
        ),
        case(
            "a transfer id used again later",
            [binary(LAST_PART, ADD, 1), binary(LAST_PART, ADD, 2), binary(LAST_PART, ADD, 1)],
            INVALID_REQUEST,
            [joined(ADD), joined(ADD)],
        ),
        case(
            "a new transfer with a lower id than one before",
            [binary(PART, ADD, 5), binary(PART, ADD, 4)],
            INVALID_REQUEST,
        ),
        case("a transfer that turns into text", [begun, binary(LAST_TEXT_PART, ADD[5:], 1)], INVALID_REQUEST),
        case(
            "a text that turns into envelopes",
            [binary(TEXT_PART, HELLO, 1), binary(PART, ADD, 1)],
            INVALID_REQUEST,
        ),
        case("a binary frame of maxFrame + 1", [binary(ENVELOPES, b"\xc0" * 32)], TOO_LARGE, maxFrame=32),
        case("a part of maxFrame + 1", [binary(PART, b"\xc0" * 31, 1)], TOO_LARGE, maxFrame=32),
        case("a text frame of maxFrame + 1", [text("x" * 33)], TOO_LARGE, maxFrame=32),
        case("a text frame of fewer characters and more bytes", [text("é" * 17)], TOO_LARGE, maxFrame=32),
        case(
            "a message of maxMessage + 1 in its last part",
            [binary(PART, b"\xc0" * 30, 1), binary(PART, b"\xc0" * 30, 1), binary(LAST_PART, b"\xc0" * 5, 1)],
            TOO_LARGE,
            maxFrame=32,
            maxMessage=64,
        ),
        case(
            "a message past maxMessage before its last part",
            [binary(PART, b"\xc0" * 30, 1), binary(PART, b"\xc0" * 30, 1), binary(PART, b"\xc0" * 5, 1)],
            TOO_LARGE,
            maxFrame=32,
            maxMessage=64,
        ),
        case(
            "a text past maxMessage",
            [
                binary(TEXT_PART, b"x" * 30, 1),
                binary(TEXT_PART, b"x" * 30, 1),
                binary(TEXT_PART, b"x" * 5, 1),
            ],
            TOO_LARGE,
            maxFrame=32,
            maxMessage=64,
        ),
        case(
            "one transfer more than maxTransfers",
            [binary(PART, ADD, 1), binary(PART, ADD, 2), binary(PART, ADD, 3)],
            RESOURCE_EXHAUSTED,
            maxTransfers=2,
        ),
        case(
            "one transfer of text more than maxTransfers",
            [binary(PART, ADD, 1), binary(TEXT_PART, ADD, 2), binary(TEXT_PART, ADD, 3)],
            RESOURCE_EXHAUSTED,
            maxTransfers=2,
        ),
    ]
