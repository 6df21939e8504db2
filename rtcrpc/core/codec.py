"""Bytes to envelopes and back, in JSON and in MessagePack (protocol section 5).

The only place where the errors of decoders are translated: whatever bytes go in, `DecodeError` is all that comes out, and the codec is
as good as new afterwards.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any, Protocol

import msgpack

from rtcrpc import codes, limits
from rtcrpc.core.arrays import EXT_ARRAY, Array, ext_head
from rtcrpc.core.envelope import (
    Batch,
    Envelope,
    ErrorResponse,
    Malformed,
    Message,
    Notification,
    Request,
    Response,
)
from rtcrpc.core.ndarray import from_numpy, is_numpy
from rtcrpc.core.values import (
    check_decoded,
    check_encodable,
    ext_hook,
    json_pairs_hook,
    msgpack_default,
    msgpack_pairs_hook,
    to_json,
)
from rtcrpc.errors import DecodeError, EncodeError

__all__ = ["Codec", "JsonCodec", "MessagePackCodec"]

_SAFE = 2**53 - 1
_LARGE = (
    65_536  # bytes; beyond it an encoder and a decoder of its own, so that the shared ones don't keep a large buffer
)
_MARK = (
    b"\xd8%ca large array:" % EXT_ARRAY
)  # what stands for one while the rest is packed: an extension of 16 bytes, with its number in the last two
# A container's header may claim any number of items, and the decoder makes room for all of them at once: 1,024 nested lists that claim
# 16,384 items each cost 68 MB for 3 kB. What claims more than this is skipped through first, which makes no room, so that
# every claim is known to be true before it is believed.
_CLAIM = 1024
_MOST_ENVELOPES = 4096  # in one message; a frame of the default size can't hold more


class Codec(Protocol):
    """One encoding."""

    def encode(self, envelope: Envelope) -> bytes:
        """The bytes of one envelope; `EncodeError` where a value in it can't travel."""

    def decode(self, data: bytes | bytearray) -> list[Envelope]:
        """The envelopes in `data`; `DecodeError` where it holds none."""


def _encodable(envelope: Envelope) -> None:
    match envelope:
        case Request(params=params, meta=meta) | Notification(params=params, meta=meta):
            check_encodable(params, "params")
            if meta:
                check_encodable(meta, "meta")
        case Response(result=result):
            check_encodable(result, "result")
        case ErrorResponse(data=data):
            check_encodable(data, "data")
        case _:
            raise TypeError(f"expected an envelope that is sent, got {type(envelope).__name__}")


def _unpacking(size: int, claim: int) -> dict[str, Any]:
    """How values are unpacked; nothing is longer than `size`, and no container claims more than `claim` items."""
    return {
        "ext_hook": ext_hook,
        "object_pairs_hook": msgpack_pairs_hook,
        "strict_map_key": False,  # the pairs hook is stricter, and says what came
        "timestamp": 3,
        "max_str_len": size,
        "max_bin_len": size,
        "max_ext_len": size,
        "max_array_len": claim,
        "max_map_len": claim,
    }


def _mark(number: int) -> bytes:
    return b"%b%b" % (_MARK, number.to_bytes(2, "big"))


class MessagePackCodec:
    """Arrays, one after the other (protocol section 5)."""

    def __init__(self) -> None:
        self._packer = self._new_packer()
        self._unpacker = self._new_unpacker(_LARGE)
        self._set_aside: list[Array] = []

    def _new_packer(self) -> Any:
        return msgpack.Packer(default=self._pack_other, datetime=True)

    @staticmethod
    def _new_unpacker(size: int, claim: int = _CLAIM) -> Any:
        return msgpack.Unpacker(max_buffer_size=size, **_unpacking(size, claim))

    def encode(self, envelope: Envelope) -> bytes:
        """One envelope as a MessagePack array."""
        array: list[Any]
        if isinstance(envelope, Request):
            params, meta = envelope.params, envelope.meta
            check_encodable(params, "params")
            array = [0, envelope.id, envelope.method, params]
            if meta:
                check_encodable(meta, "meta")
                array.append(meta)
        elif isinstance(envelope, Response):
            check_encodable(envelope.result, "result")
            array = [1, envelope.id, envelope.result]
        elif isinstance(envelope, Notification):
            params, meta = envelope.params, envelope.meta
            check_encodable(params, "params")
            array = [3, envelope.method, params]
            if meta:
                check_encodable(meta, "meta")
                array.append(meta)
        elif isinstance(envelope, ErrorResponse):
            described: dict[str, Any] = {"code": envelope.code, "message": envelope.message}
            if envelope.data is not None:
                check_encodable(envelope.data, "data")
                described["data"] = envelope.data
            array = [2, envelope.id, described]
        else:
            raise TypeError(f"expected one envelope, got {type(envelope).__name__}: MessagePack has no batches")
        try:
            packed: bytes = self._packer.pack(array)
            if self._set_aside:
                packed = self._put_back(packed)
                if not packed:  # something else in it looks like a mark
                    packed = msgpack.packb(array, default=msgpack_default, datetime=True)
        except Exception as error:  # the packer's own errors, and those of a value's methods
            self._packer = self._new_packer()
            raise EncodeError(f"the message can't be packed: {error}") from error
        finally:
            self._set_aside.clear()
        if len(packed) > _LARGE:
            self._packer = self._new_packer()
        return packed

    def _pack_other(self, value: Any) -> Any:
        """As `msgpack_default`; but what is large is set aside, since msgpack would copy it three times."""
        if is_numpy(value):
            value = from_numpy(value)
            if type(value) is not Array:
                return value
        if type(value) is not Array or len(value.data) <= _LARGE or len(self._set_aside) == 2**16:
            return msgpack_default(value)
        self._set_aside.append(value)
        return msgpack.ExtType(EXT_ARRAY, _mark(len(self._set_aside) - 1)[2:])

    def _put_back(self, packed: bytes) -> bytes:
        """`packed` with the arrays in the place of their marks; nothing where a mark is not there exactly once."""
        pieces: list[bytes | memoryview] = []
        view, at = memoryview(packed), 0
        for number, array in enumerate(self._set_aside):
            mark = _mark(number)
            if packed.count(mark) != 1:
                return b""
            found = packed.index(mark)
            head = ext_head(array)
            size = len(head) + len(array.data)
            pieces += (view[at:found], struct.pack(">BIb", 0xC9, size, EXT_ARRAY), head, array.data)
            at = found + len(mark)
        return b"".join((*pieces, view[at:]))

    def decode(self, data: bytes | bytearray) -> list[Envelope]:
        """The envelopes of a `0x00` frame, or of joined parts; at least one."""
        if len(data) <= _LARGE:
            unpacker = self._unpacker
            start = unpacker.tell()
            try:
                unpacker.feed(data)
                envelopes = [_from_array(unpacker.unpack())]
                # Not `for array in unpacker`: it ends in silence within an envelope, and keeps that half for the next frame.
                while unpacker.tell() - start < len(data):
                    envelopes.append(_from_array(unpacker.unpack()))
                return envelopes
            except DecodeError:
                self._unpacker = self._new_unpacker(_LARGE)
                raise
            except Exception:  # what is wrong, or only longer than it claims to be allowed, the thorough way finds out
                self._unpacker = self._new_unpacker(_LARGE)
        elif (envelope := _decode_one(data)) is not None:
            return [envelope]
        return self._decode_thoroughly(data)

    def _decode_thoroughly(self, data: bytes | bytearray) -> list[Envelope]:
        size = max(len(data), 1)
        try:
            scout = msgpack.Unpacker(max_buffer_size=size, max_array_len=size, max_map_len=size)
            scout.feed(data)
            count = 0
            while count == 0 or scout.tell() < len(data):
                scout.skip()
                count += 1
                if count > _MOST_ENVELOPES:
                    raise _invalid(f"expected at most {_MOST_ENVELOPES} envelopes in a message, got more")
            del scout  # it holds a copy of the message
            unpacker = self._new_unpacker(size, size)
            unpacker.feed(data)
            return [_from_array(unpacker.unpack()) for _ in range(count)]
        except msgpack.OutOfData:
            raise DecodeError(
                f"expected whole MessagePack envelopes, got {len(data)} bytes that end within one"
            ) from None
        except DecodeError:
            raise
        except Exception as error:
            # msgpack raises more kinds than it lists: StackError, FormatError, UnicodeDecodeError, OverflowError ...
            raise DecodeError(f"expected MessagePack, got something else: {type(error).__name__}") from error


def _decode_one(data: bytes | bytearray) -> Envelope | None:
    """The envelope of a long message; None where the thorough way must look, as there are more of them, or long lists, or faults."""
    try:
        # Unlike an Unpacker it reads where the message is, and makes no copy of it first.
        array = msgpack.unpackb(data, **_unpacking(len(data), _CLAIM))
    except DecodeError:
        raise
    except Exception:
        return None
    return _from_array(array)


def _from_array(array: Any) -> Envelope:
    if type(array) is not list or not array:
        raise _invalid("expected an envelope to be an array that starts with its type")
    kind, size = array[0], len(array)
    if type(kind) is not int:
        raise _invalid("expected the type of an envelope to be an integer")
    if kind == 0 and (size == 4 or size == 5):
        return Request(_wire_id(array[1]), _method(array[2]), _params(array[3]), _meta(array[4]) if size == 5 else {})
    if kind == 1 and size == 3:
        check_decoded(array[2])
        return Response(_wire_id(array[1]), array[2])
    if kind == 2 and size == 3:
        return _error(_wire_id(array[1]) if array[1] is not None else None, array[2])
    if kind == 3 and (size == 3 or size == 4):
        return Notification(_method(array[1]), _params(array[2]), _meta(array[3]) if size == 4 else {})
    raise _invalid(f"expected an envelope of protocol section 5, got type {kind!r:.20} with {size} items")


def _invalid(message: str) -> DecodeError:
    error = DecodeError(message)
    error.code = codes.INVALID_REQUEST
    return error


def _wire_id(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _SAFE:
        raise _invalid("expected an id to be an unsigned integer below 2^53")
    return value


def _method(value: Any) -> str:
    if type(value) is not str or not 1 <= len(value) <= limits.MAX_METHOD_LENGTH:
        raise _invalid(f"expected a method to be text of 1 to {limits.MAX_METHOD_LENGTH} characters")
    return value


def _params(value: Any) -> Any:
    if type(value) is not list and type(value) is not dict:
        raise _invalid("expected params to be a list or a map")
    check_decoded(value)
    return value


def _meta(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _invalid("expected meta to be a map")
    check_decoded(value)
    return value


def _error(request_id: Any, value: Any) -> ErrorResponse:
    if type(value) is not dict:
        raise _invalid("expected an error to be a map")
    code, message, data = value.get("code"), value.get("message"), value.get("data")
    if type(code) is not int or type(message) is not str:
        raise _invalid("expected an error to have a code, an integer, and a message, a text")
    check_decoded(data)
    return ErrorResponse(request_id, code, message, data if type(data) is dict or data is None else {"detail": data})


class JsonCodec:
    """JSON-RPC 2.0 text, with `meta` (protocol section 5). A batch decodes to a `Batch`."""

    def encode(self, envelope: Envelope) -> bytes:
        """One message, or a batch of them, as UTF-8."""
        if isinstance(envelope, Batch):
            return b"[" + b",".join(self.encode(item) for item in envelope.items) + b"]"
        message: dict[str, Any] = {"jsonrpc": "2.0"}
        _encodable(envelope)
        match envelope:
            case Request(id=request_id, method=method, params=params, meta=meta):
                message |= {"id": request_id, "method": method, "params": to_json(params)}
                if meta:
                    message["meta"] = to_json(meta)
            case Response(id=request_id, result=result):
                message |= {"id": request_id, "result": to_json(result)}
            case ErrorResponse(id=request_id, code=code, message=text, data=data):
                error: dict[str, Any] = {"code": code, "message": text}
                if data is not None:
                    error["data"] = to_json(data)
                message |= {"id": request_id, "error": error}
            case Notification(method=method, params=params, meta=meta):
                message |= {"method": method, "params": to_json(params)}
                if meta:
                    message["meta"] = to_json(meta)
        try:
            return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise EncodeError(f"the message can't be written as JSON: {error}") from error

    def decode(self, data: bytes | bytearray) -> list[Envelope]:
        """The message, or the batch, in a text frame."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise DecodeError("expected UTF-8") from None
        return self.decode_text(text)

    def decode_text(self, text: str) -> list[Envelope]:
        """As `decode`, for a frame that came as text."""
        if not text.isascii():
            _check_unicode(text)
        value = _parse(text)
        if type(value) is not list:
            return [_from_object(value)]
        if not value:
            return [Malformed(None, codes.INVALID_REQUEST, "expected at least one message in a batch")]
        if len(value) > limits.MAX_BATCH:
            message = f"expected at most {limits.MAX_BATCH} messages in a batch, got {len(value)}"
            return [Malformed(None, codes.INVALID_REQUEST, message)]
        return [Batch(tuple(_from_object(item) for item in value))]


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_DEEPEST = (
    limits.MAX_DEPTH + 6
)  # the batch, the message and the error around the value, and the three of an array in it


def _parse(text: str) -> Any:
    if text.count("[") + text.count("{") > limits.MAX_DEPTH:
        _check_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=json_pairs_hook,
            parse_constant=_no_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
        if _SURROGATE.search(text) or not _is_well_formed(text):
            _check_unicode(value)
    except DecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"expected JSON: {str(error)[:100]}") from None
    return value


def _is_well_formed(text: str) -> bool:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            if depth > _DEEPEST:
                raise DecodeError(f"expected at most {limits.MAX_DEPTH} levels of lists and maps")
        elif mark in "]}":
            depth -= 1


def _no_constant(name: str) -> Any:
    raise DecodeError(f"expected JSON, got {name}")


def _parse_int(text: str) -> int:
    value = int(text) if len(text) <= 17 else _SAFE + 1
    if not -_SAFE <= value <= _SAFE:
        raise DecodeError('expected an integer beyond 2^53-1 to be written as {"$int": "…"}')
    return value


def _parse_float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise DecodeError('expected a number that is finite; infinity is written as {"$float": "inf"}')
    return value


def _check_unicode(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DecodeError("expected well-formed Unicode, got a lone surrogate") from None
    elif isinstance(value, list):
        for item in value:
            _check_unicode(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_unicode(key)
            _check_unicode(item)


def _from_object(value: Any) -> Message:
    if type(value) is not dict:
        return Malformed(None, codes.INVALID_REQUEST, "expected a JSON-RPC message to be an object")
    request_id = value.get("id")
    if type(request_id) not in (int, float, str):
        request_id = None
    try:
        return _read_object(value, request_id)
    except DecodeError as error:
        if error.code != codes.INVALID_REQUEST:
            raise
        is_answer = "method" not in value and ("result" in value or "error" in value)
        return Malformed(request_id, error.code, error.message, is_answer)


def _read_object(value: dict[str, Any], request_id: Any) -> Message:
    if value.get("jsonrpc") != "2.0":
        raise _invalid('expected the member "jsonrpc" to be "2.0"')
    if "id" in value and request_id is None and value["id"] is not None:
        raise _invalid("expected an id to be a number, a text or null")
    if "method" in value:
        method, params = _method(value["method"]), _params(value.get("params", []))
        meta = _meta(value["meta"]) if "meta" in value else {}
        return Request(request_id, method, params, meta) if "id" in value else Notification(method, params, meta)
    if "id" not in value or ("result" in value) == ("error" in value):
        raise _invalid("expected a method, or an id and either a result or an error")
    if "error" in value:
        return _error(request_id, value["error"])
    check_decoded(value["result"])
    return Response(request_id, value["result"])
