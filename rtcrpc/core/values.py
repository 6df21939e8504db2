"""What may travel, and how it looks in JSON and in MessagePack (protocol section 10)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgpack

from rtcrpc import limits
from rtcrpc.core.arrays import EXT_ARRAY, Array, arrive, ext_head, from_ext, from_form, to_form
from rtcrpc.core.identity import b64url_decode, b64url_encode
from rtcrpc.core.ndarray import from_numpy, is_numpy, refusal
from rtcrpc.core.varint import decode_varint, encode_varint
from rtcrpc.errors import DecodeError, EncodeError

__all__ = [
    "EXT_INT",
    "EXT_STREAM",
    "StreamRef",
    "check_decoded",
    "check_encodable",
    "ext_hook",
    "from_json",
    "json_object",
    "json_pairs_hook",
    "msgpack_default",
    "msgpack_pairs_hook",
    "to_json",
]

EXT_INT = 1
EXT_STREAM = 3
_SAFE = 2**53 - 1
_LOWEST, _HIGHEST = -(2 ** (limits.MAX_INT_BITS - 1)), 2 ** (limits.MAX_INT_BITS - 1) - 1
_EASY = frozenset({float, bool, type(None), bytes})
"""Types of which every value can travel."""
_WORD = 2**63
_INT_TEXT = re.compile(r"-?(0|[1-9][0-9]*)\Z", re.ASCII)
_MAX_INT_DIGITS = len(str(_HIGHEST)) + 1
_TIME_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z\Z", re.ASCII)
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@dataclass(frozen=True, slots=True)
class StreamRef:
    """Where a stream stands in a value (protocol section 7.2): the id that its owner gave it, 1 to 2^53-1."""

    id: int

    def __post_init__(self) -> None:
        if type(self.id) is not int or not 1 <= self.id <= _SAFE:
            raise ValueError(f"expected the id of a stream, 1 to 2^53-1, got {self.id!r:.40}")


# -- before encoding ---------------------------------------------------------------------------------------


def check_encodable(value: Any, path: str = "") -> None:
    """Raise an `EncodeError` that says where in `value` there is something that can't travel."""
    if type(value) not in _EASY:
        _check(value, path, 0)


def _check(value: Any, path: str, depth: int) -> None:
    if isinstance(value, (list, tuple)):
        _check_depth(depth, path)
        for index, item in enumerate(value):
            # Most calls have a few numbers and words: those are passed without another call.
            kind = type(item)
            if kind is int:
                if not -_WORD <= item < _WORD:
                    _check_int(item, f"{path}[{index}]")
            elif kind not in _EASY and not (kind is str and item.isascii()):
                _check(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        _check_depth(depth, path)
        for key, item in value.items():
            if not isinstance(key, str):
                raise EncodeError(
                    f"expected text for the keys of a map, got {type(key).__name__} {key!r:.40}", path=path
                )
            if not key.isascii():
                _check_text(key, path)
            kind = type(item)
            if kind is int:
                if not -_WORD <= item < _WORD:
                    _check_int(item, _below(path, key))
            elif kind not in _EASY and not (kind is str and item.isascii()):
                _check(item, _below(path, key), depth + 1)
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, int):
        _check_int(value, path)
    elif isinstance(value, datetime):
        if value.utcoffset() is None:
            raise EncodeError("expected a datetime with a time zone, got a naive one; use datetime.now(UTC)", path=path)
    elif isinstance(value, (float, bytes, bytearray, memoryview, StreamRef, Array)):
        pass
    elif not is_numpy(value):
        raise EncodeError(
            "expected null, a bool, a number, text, bytes, a datetime, an array, a list or a dict; "
            f"got {type(value).__qualname__}",
            path=path,
        )
    elif (reason := refusal(value)) is not None:
        raise EncodeError(reason, path=path)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _check_depth(depth: int, path: str) -> None:
    if depth >= limits.MAX_DEPTH:
        raise EncodeError(
            f"expected at most {limits.MAX_DEPTH} levels of lists and maps, got more (does it hold itself?)", path=path
        )


def _check_text(value: str, path: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EncodeError("expected well-formed Unicode, got text with a lone surrogate", path=path) from None


def _check_int(value: int, path: str) -> None:
    if not _LOWEST <= value <= _HIGHEST:
        bits = value.bit_length() + 1
        raise EncodeError(f"expected an integer of at most {limits.MAX_INT_BITS} bits, got one of {bits}", path=path)


# -- MessagePack -------------------------------------------------------------------------------------------


def msgpack_default(value: Any) -> Any:
    """What msgpack can't pack by itself: an extension, or a number of numpy's as Python's."""
    if is_numpy(value):
        value = from_numpy(value)
        if type(value) is not Array:
            return value
    if isinstance(value, Array):
        return msgpack.ExtType(EXT_ARRAY, b"".join((ext_head(value), value.data)))
    if isinstance(value, StreamRef):
        return msgpack.ExtType(EXT_STREAM, encode_varint(value.id))
    if isinstance(value, int):
        return msgpack.ExtType(EXT_INT, value.to_bytes(_int_bytes(value), "big", signed=True))
    raise EncodeError(f"{type(value).__qualname__} can't travel")


def _int_bytes(value: int) -> int:
    return ((value if value >= 0 else ~value).bit_length() + 8) // 8


def ext_hook(code: int, data: bytes) -> Any:
    """What an extension means; `DecodeError` for one that is unknown or not in its one form."""
    reader = _EXTENSIONS.get(code)
    if reader is None:
        raise DecodeError(f"expected MessagePack extension {', '.join(map(str, _EXTENSIONS))} or -1, got {code}")
    return reader(data)


def _int_from_bytes(data: bytes) -> int:
    if not data or len(data) * 8 > limits.MAX_INT_BITS:
        raise DecodeError(f"expected an integer of 1 to {limits.MAX_INT_BITS // 8} bytes, got {len(data)}")
    value = int.from_bytes(data, "big", signed=True)
    if _int_bytes(value) != len(data):
        raise DecodeError("expected an integer in its shortest form")
    return value


def _stream_from_bytes(data: bytes) -> StreamRef:
    value, end = decode_varint(data, 0, _SAFE)
    if end != len(data):
        raise DecodeError(f"expected the id of a stream and nothing after it, got {len(data)} bytes")
    return _stream(value)


def _stream(value: Any) -> StreamRef:
    if type(value) is not int or not 1 <= value <= _SAFE:
        raise DecodeError(f"expected the id of a stream, 1 to 2^53-1, got {value!r:.40}")
    return StreamRef(value)


def _array_from_bytes(data: bytes) -> Any:
    return arrive(from_ext(data))


_EXTENSIONS: dict[int, Callable[[bytes], Any]] = {
    EXT_INT: _int_from_bytes,
    EXT_ARRAY: _array_from_bytes,
    EXT_STREAM: _stream_from_bytes,
}


def msgpack_pairs_hook(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """A map, whose keys are text and appear once."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise DecodeError("expected each key of a map once")
    for key in result:
        if type(key) is not str:
            raise DecodeError(f"expected text for the keys of a map, got {type(key).__name__}")
    return result


def check_decoded(value: Any) -> None:
    """`DecodeError` where lists and maps are nested deeper than `MAX_DEPTH`."""
    if type(value) is list or type(value) is dict:
        level: list[Any] = [value]
        depth = 0
        while level:
            depth += 1
            if depth > limits.MAX_DEPTH:
                raise DecodeError(f"expected at most {limits.MAX_DEPTH} levels of lists and maps")
            level = [
                item
                for container in level
                for item in (container if type(container) is list else container.values())
                if type(item) is list or type(item) is dict
            ]


# -- JSON --------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """`value` in its JSON form, ready for `json.dumps`. `EncodeError` for what can't travel."""
    check_encodable(value)
    return _to_json(value)


def _to_json(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if -_SAFE <= value <= _SAFE else {"$int": str(int(value))}
    if isinstance(value, float):
        return float(value) if value - value == 0 else {"$float": repr(float(value))}
    if isinstance(value, dict):
        made = {str(key): _to_json(item) for key, item in value.items()}
        if len(made) == 1:
            (key,) = made
            if key.startswith("$"):
                return {"$" + key: made[key]}
        return made
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, datetime):
        return {"$time": _time_text(value)}
    if isinstance(value, StreamRef):
        return {"$stream": value.id}
    if is_numpy(value):
        value = from_numpy(value)
        if type(value) is not Array:
            return _to_json(value)
    if isinstance(value, Array):
        return {"$array": to_form(value)}
    return {"$bytes": b64url_encode(bytes(value))}


def _time_text(value: datetime) -> str:
    instant = value.astimezone(UTC)
    text = instant.strftime("%Y").rjust(4, "0") + instant.strftime("-%m-%dT%H:%M:%S")
    if instant.microsecond:
        digits = f"{instant.microsecond:06d}"
        text += "." + (digits[:3] if digits.endswith("000") else digits)
    return text + "Z"


def from_json(value: Any) -> Any:
    """The value that a parsed JSON form stands for; `DecodeError` where it is in no form."""
    if isinstance(value, dict):
        return json_object({key: from_json(item) for key, item in value.items()})
    if isinstance(value, list):
        return [from_json(item) for item in value]
    return value


def json_pairs_hook(pairs: list[tuple[str, Any]]) -> Any:
    """For `json.loads`: an object, with the `$` forms read (the objects inside have been read before)."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise DecodeError("expected each key of a map once")
    return json_object(result)


def json_object(members: dict[str, Any]) -> Any:
    """What a JSON object means, whose members have been read already."""
    if len(members) != 1:
        return members
    ((key, value),) = members.items()
    if not key.startswith("$"):
        return members
    if key.startswith("$$"):
        return {key[1:]: value}
    reader = _FORMS.get(key)
    if reader is None:
        raise DecodeError(f"expected one of {', '.join(_FORMS)}, or an escaped key; got {key[:40]!r}")
    return reader(value)


def _text(form: str, value: Any) -> str:
    if type(value) is not str:
        raise DecodeError(f"{form}: expected text, got {type(value).__name__}")
    return value


def _read_int(form: Any) -> int:
    text = _text("$int", form)
    if len(text) > _MAX_INT_DIGITS or not _INT_TEXT.match(text) or text == "-0":
        raise DecodeError(
            f"$int: expected the digits of an integer of at most {limits.MAX_INT_BITS} bits, got {text[:40]!r}"
        )
    value = int(text)
    if not _LOWEST <= value <= _HIGHEST:
        raise DecodeError(
            f"$int: expected an integer of at most {limits.MAX_INT_BITS} bits, got one of {value.bit_length() + 1}"
        )
    return value


def _read_float(form: Any) -> float:
    text = _text("$float", form)
    if text not in _FLOATS:
        raise DecodeError(f"$float: expected nan, inf or -inf, got {text[:40]!r}")
    return _FLOATS[text]


def _read_bytes(form: Any) -> bytes:
    text = _text("$bytes", form)
    try:
        return b64url_decode(text)
    except ValueError as error:
        raise DecodeError(f"$bytes: {error}") from None


def _read_time(form: Any) -> datetime:
    text = _text("$time", form)
    if not _TIME_TEXT.match(text):
        raise DecodeError(
            f"$time: expected an instant in UTC as RFC 3339 has it, 2026-11-22T19:00:00Z; got {text[:40]!r}"
        )
    whole, _, fraction = text[:-1].partition(".")
    try:
        return datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(
            microsecond=int((fraction + "000000")[:6]), tzinfo=UTC
        )
    except ValueError:
        raise DecodeError(f"$time: there is no such instant: {text}") from None


def _read_array(form: Any) -> Any:
    return arrive(from_form(form))


_FORMS: dict[str, Callable[[Any], Any]] = {
    "$int": _read_int,
    "$float": _read_float,
    "$bytes": _read_bytes,
    "$time": _read_time,
    "$array": _read_array,
    "$stream": _stream,
}
