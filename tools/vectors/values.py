"""Values (protocol section 10) in both encodings."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgpack

from vectors.primitives import compact, unpadded

__all__ = ["make"]

MAX_DEPTH = 64
MAX_INT_BITS = 4096
DTYPES = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def make() -> dict[str, Any]:
    """The content of `values.json`."""
    return {
        "valid": [*plain(), *numbers(), *binary(), *times(), *arrays(), *streams(), *escapes(), *containers()],
        "readable": readable(),
        "refusedJson": refused_json(),
        "refusedMessagePack": refused_messagepack(),
    }


def case(name: str, json_text: str, packed: bytes, **more: Any) -> dict[str, Any]:
    """A value that travels in both encodings."""
    return {"name": name, "json": json_text, "msgpack": packed.hex(), **more}


def pack(value: Any) -> bytes:
    """What msgpack makes of a value."""
    packed: bytes = msgpack.packb(value, datetime=True)
    return packed


def plain() -> list[dict[str, Any]]:
    """Values that look alike everywhere."""
    cases = [case(f"constant {compact(value)}", compact(value), pack(value)) for value in (None, False, True)]
    texts = {
        "empty text": "",
        "ASCII text": "add",
        "text of 31 bytes": "x" * 31,
        "text of 32 bytes": "x" * 32,
        "text of 256 bytes": "x" * 256,
        "text with quotes and a backslash": 'a "b" \\ c',
        "text with control characters": "tab\tline\nnul\0unit\x1f",
        "text of two, three and four bytes a character": "é€😀",
        "text with both separators that JavaScript once disliked": "\u2028\u2029",
        "text with a combining accent, which is not normalised": "e\u0301",
        "text with a byte order mark inside": "\ufeffx",
        "text with a noncharacter": "\uffff",
        "a long text that begins with a byte order mark": "\ufeff" + "x" * 300,
        "text that looks like an escape": "$int",
    }
    return cases + [case(name, compact(text), pack(text)) for name, text in texts.items()]


def numbers() -> list[dict[str, Any]]:
    """Integers of each size and floats."""
    cases = []
    edge = [0, 1, -1, 127, 128, 255, 256, 65535, 65536, -32, -33, -128, -129, -32768, -32769]
    edge += [2**31, 2**32 - 1, 2**32, -(2**31), -(2**31) - 1, 2**53 - 1, -(2**53 - 1)]
    cases += [case(f"integer {value}", str(value), pack(value)) for value in edge]
    large = {"2^53": 2**53, "-2^53": -(2**53), "2^63-1": 2**63 - 1, "2^63": 2**63, "2^64-1": 2**64 - 1}
    large["-2^63"] = -(2**63)
    cases += [case(f"integer {name}", dollar_int(value), pack(value)) for name, value in large.items()]
    huge = {
        "2^64": 2**64,
        "-2^63-1": -(2**63) - 1,
        "2^71-1, nine bytes": 2**71 - 1,
        "2^71, whose sign needs a tenth byte": 2**71,
        "-2^71, nine bytes": -(2**71),
        "2^4095-1, the largest": 2 ** (MAX_INT_BITS - 1) - 1,
        "-2^4095, the smallest": -(2 ** (MAX_INT_BITS - 1)),
    }
    cases += [case(f"integer {name}", dollar_int(value), pack(big(value))) for name, value in huge.items()]
    for value in (1.5, -0.1, 1e-7, 5e-324, 1.7976931348623157e308, 1e300):
        cases.append(case(f"float {value!r}", compact(value), pack(value)))
    cases.append(case("float 1.0", "1.0", pack(1.0), oneNumberType=case("integer 1", "1", pack(1))))
    cases.append(case("float -0.0", "-0.0", pack(-0.0)))
    for name in ("nan", "inf", "-inf"):
        cases.append(case(f"float {name}", compact({"$float": name}), pack(float(name))))
    return cases


def dollar_int(value: int) -> str:
    """The JSON form of an integer that a number can't hold."""
    return compact({"$int": str(value)})


def big(value: int) -> msgpack.ExtType:
    """Extension 1: two's complement, big-endian, shortest."""
    size = 1
    while not -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
        size += 1
    return msgpack.ExtType(1, value.to_bytes(size, "big", signed=True))


def binary() -> list[dict[str, Any]]:
    """Bytes."""
    samples = {
        "no bytes": b"",
        "one byte": b"\x00",
        "two bytes": b"\xff\xfe",
        "three bytes, with both letters of the URL alphabet": b"\xfb\xff\xbf",
        "256 bytes": bytes(range(256)),
    }
    return [case(name, compact({"$bytes": unpadded(data)}), pack(data)) for name, data in samples.items()]


def times() -> list[dict[str, Any]]:
    """Instants, in each of the three forms of MessagePack's timestamp."""
    samples = {
        "the epoch": ("1970-01-01T00:00:00Z", {}),
        "whole seconds": ("2026-11-22T19:00:00Z", {}),
        "milliseconds": ("2026-11-22T19:00:00.250Z", {}),
        "before the epoch": ("1969-12-31T23:59:59.500Z", {}),
        "past 2^34 seconds": ("2514-05-30T01:53:04Z", {}),
        "the first year": ("0001-01-01T00:00:00Z", {}),
        "the last year": ("9999-12-31T23:59:59.999Z", {}),
        "microseconds": ("2026-11-22T19:00:00.123456Z", {"millisecondClock": "2026-11-22T19:00:00.123Z"}),
    }
    cases = []
    for name, (text, more) in samples.items():
        instant = datetime.fromisoformat(text).astimezone(UTC)
        cases.append(case(f"instant: {name}", compact({"$time": text}), pack(instant), **more))
    return cases


def array_ext(dtype: int, shape: list[int], data: bytes) -> bytes:
    """Extension 2, whether or not its parts fit each other."""
    head = bytes([dtype, len(shape)]) + b"".join(map(varint, shape))
    return pack(msgpack.ExtType(2, head + bytes(-len(head) % 8) + data))


def array_form(dtype: str, shape: list[Any], data: bytes) -> str:
    """The JSON form of an array, whether or not its parts fit each other."""
    return compact({"$array": [dtype, shape, unpadded(data)]})


def arrays() -> list[dict[str, Any]]:
    """Arrays of each dtype and of unusual shapes."""
    items = {
        "b1": struct.pack("<3?", True, False, True),
        "i1": struct.pack("<3b", -128, -1, 127),
        "i2": struct.pack("<3h", -(2**15), 258, 2**15 - 1),
        "i4": struct.pack("<3i", -(2**31), 66051, 2**31 - 1),
        "i8": struct.pack("<3q", -(2**63), 2**53 + 1, 2**63 - 1),
        "u1": bytes([0, 1, 255]),
        "u2": struct.pack("<3H", 0, 258, 2**16 - 1),
        "u4": struct.pack("<3I", 0, 66051, 2**32 - 1),
        "u8": struct.pack("<3Q", 0, 2**53 + 1, 2**64 - 1),
        "f2": struct.pack("<3e", -1.5, 65504.0, float("inf")),
        "f4": struct.pack("<3f", -1.5, 1e38, float("-inf")),
        "f8": struct.pack("<3d", -0.0, 1e300, float("inf")),
    }
    samples: list[tuple[str, str, list[int], bytes]] = [
        (f"an array of {dtype}", dtype, [3], items[dtype]) for dtype in DTYPES
    ]
    samples += [
        ("an array of no dimensions", "f8", [], items["f8"][:8]),
        ("an array of one item", "u1", [1], b"\x07"),
        ("an array of no items", "i4", [0], b""),
        ("an array of 0 times 2^40 items", "u1", [0, 2**40], b""),
        ("a matrix of 2 rows and 3 columns", "i2", [2, 3], struct.pack("<6h", *range(6))),
        ("a picture of 2 times 2 pixels", "u1", [2, 2, 3], bytes(range(12))),
        ("an array whose head needs no zeros", "u1", [1, 1, 1, 1, 1, 2], b"ab"),
        ("an array whose length takes two bytes", "u1", [200], bytes(range(200))),
        ("an array of 32 dimensions", "b1", [1] * 32, b"\x01"),
        ("an array with a NaN that carries bits", "f4", [2], bytes.fromhex("0100c07f0100a0ff")),
        ("an array longer than 255 bytes", "u4", [75], struct.pack("<75I", *range(75))),
    ]
    cases = [
        case(name, array_form(dtype, shape, data), array_ext(DTYPES.index(dtype), shape, data))
        for name, dtype, shape, data in samples
    ]
    one = array_ext(5, [1], b"\x07")
    form = array_form("u1", [1], b"\x07")
    deep_json, deep_packed = "[" * MAX_DEPTH + form + "]" * MAX_DEPTH, b"\x91" * MAX_DEPTH + one
    return [
        *cases,
        case("arrays in a list and a map", f'{{"a":[{form},{form}]}}', pack({"a": [0, 0]})[:-2] + one * 2),
        case("an array as deep as allowed", deep_json, deep_packed),
    ]


def streams() -> list[dict[str, Any]]:
    """Where a stream stands."""
    samples = {"1": 1, "127": 127, "128": 128, "2^32": 2**32, "2^53-1, the last": 2**53 - 1}
    cases = []
    for name, number in samples.items():
        packed = pack(msgpack.ExtType(3, varint(number)))
        cases.append(case(f"stream {name}", compact({"$stream": number}), packed))
    everywhere = {"a": [msgpack.ExtType(3, b"\x01"), {"b": msgpack.ExtType(3, b"\x02")}]}
    return [*cases, case("streams in a list and a map", '{"a":[{"$stream":1},{"b":{"$stream":2}}]}', pack(everywhere))]


def varint(value: int) -> bytes:
    """Unsigned LEB128, shortest."""
    out = []
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def escapes() -> list[dict[str, Any]]:
    """Maps that could be taken for a $ form."""
    samples: dict[str, tuple[Any, Any]] = {
        "a map with the one key $int": ({"$$int": "5"}, {"$int": "5"}),
        "a map with the one key $bytes": ({"$$bytes": 1}, {"$bytes": 1}),
        "a map with the one key $": ({"$$": True}, {"$": True}),
        "a map with the one key $$": ({"$$$": 1}, {"$$": 1}),
        "a map with the one key $$int": ({"$$$int": 1}, {"$$int": 1}),
        "a map with the one key $unknown": ({"$$unknown": 1}, {"$unknown": 1}),
        "a map with two keys that start with $": ({"$int": "5", "$x": 1}, {"$int": "5", "$x": 1}),
        "a map with one key that holds a $ later": ({"a$int": 1}, {"a$int": 1}),
        "an escaped map in an escaped map": ({"$$a": {"$$b": 1}}, {"$a": {"$b": 1}}),
        "a $ form in an escaped map": ({"$$a": {"$bytes": "AA"}}, {"$a": b"\x00"}),
    }
    return [case(name, compact(text), pack(value)) for name, (text, value) in samples.items()]


def containers() -> list[dict[str, Any]]:
    """Lists and maps."""
    samples: dict[str, Any] = {
        "an empty list": [],
        "a list of 15": list(range(15)),
        "a list of 16": list(range(16)),
        "an empty map": {},
        "a map of 16": {f"k{number:02}": number for number in range(16)},
        "a map with the empty key": {"": 1},
        "a map with keys that objects of JavaScript inherit": {
            "constructor": 1,
            "hasOwnProperty": 2,
            "toString": 3,
        },
        "lists and maps in each other": {"a": [1, {"b": [None, "c"]}]},
        "a list as deep as allowed": nested(MAX_DEPTH),
    }
    cases = [case(name, compact(value), pack(value)) for name, value in samples.items()]
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    proto = {"__proto__": {"polluted": True}}
    return [
        *cases,
        case("a map as deep as allowed", compact(deep), pack(deep)),
        case("a map with the key __proto__", compact(proto), pack(proto), mayRefuse=True),
    ]


def nested(depth: int) -> list[Any]:
    """Lists in one another."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def readable() -> list[dict[str, Any]]:
    """What a reader accepts though no writer of ours writes it; `value` is the JSON form of what it means."""
    return [
        {"name": "integer in more bytes than needed", "msgpack": "cd0005", "value": "5"},
        {"name": "negative integer in eight bytes", "msgpack": "d3ffffffffffffffff", "value": "-1"},
        {"name": "float 32", "msgpack": "ca3fc00000", "value": "1.5"},
        {"name": "text with a longer header than needed", "msgpack": "d90161", "value": '"a"'},
        {"name": "list with a longer header than needed", "msgpack": "dc000101", "value": "[1]"},
        {"name": "map with a longer header than needed", "msgpack": "de0001a16101", "value": '{"a":1}'},
        {"name": "bytes with a longer header than needed", "msgpack": "c5000161", "value": '{"$bytes":"YQ"}'},
        {"name": "JSON with white space", "json": ' { "a" : [ 1 , 2 ] } ', "value": '{"a":[1,2]}'},
        {"name": "JSON with escapes", "json": '"\\u0061\\ud83d\\ude00\\/"', "value": '"a\U0001f600/"'},
        {"name": "float with an exponent", "json": "15e-1", "value": "1.5"},
    ]


def refused_json() -> list[dict[str, Any]]:
    """JSON that is no value. `why` names the rule, or the slip that it catches."""

    def refuse(name: str, text: str, why: str) -> dict[str, Any]:
        return {"name": name, "json": text, "why": why}

    neither = "a map of one key that starts with $ is a known form or escaped"
    return [
        refuse("unknown $ form", '{"$foo":1}', neither),
        refuse("$ alone", '{"$":1}', neither),
        refuse("$INT", '{"$INT":"5"}', neither),
        refuse("$int with a number", '{"$int":5}', "the integer is text"),
        refuse("$int empty", '{"$int":""}', "BigInt('') is 0"),
        refuse("$int with spaces", '{"$int":" 5 "}', "int(' 5 ') and BigInt(' 5 ') are 5"),
        refuse("$int with an underscore", '{"$int":"1_000"}', "int('1_000') is 1000"),
        refuse("$int in hexadecimal", '{"$int":"0x10"}', "BigInt('0x10') is 16"),
        refuse("$int with a plus sign", '{"$int":"+5"}', "int('+5') is 5"),
        refuse("$int with a fraction", '{"$int":"1.5"}', "digits only"),
        refuse("$int in other digits", '{"$int":"\\u0665"}', "int() takes the digits of every script"),
        refuse("$int with a line end", '{"$int":"5\\n"}', "$ in a regular expression may match before it"),
        refuse("$int null", '{"$int":null}', "the integer is text"),
        refuse("$int too large", dollar_int(2 ** (MAX_INT_BITS - 1)), "maxIntBits"),
        refuse("$int too small", dollar_int(-(2 ** (MAX_INT_BITS - 1)) - 1), "maxIntBits"),
        refuse("$int of 10,000 digits", dollar_int_text(10_000), "refused before it is computed"),
        refuse("$float with a number", '{"$float":1.5}', "nan, inf and -inf only"),
        refuse("$float with digits", '{"$float":"1.5"}', "nan, inf and -inf only"),
        refuse("$float NaN", '{"$float":"NaN"}', "the three words are in lower case"),
        refuse("$float infinity", '{"$float":"infinity"}', "float('infinity') is inf"),
        refuse("$bytes with padding", '{"$bytes":"AA=="}', "unpadded"),
        refuse("$bytes in the other alphabet", '{"$bytes":"+/+/"}', "base64url"),
        refuse("$bytes with bits left over", '{"$bytes":"AB"}', "trailing bits are zero: one text for one value"),
        refuse(
            "$bytes of an impossible length",
            '{"$bytes":"AAAAA"}',
            "5 characters hold no whole number of bytes",
        ),
        refuse("$bytes with a line end", '{"$bytes":"AAAA\\n"}', "decoders skip white space"),
        refuse("$bytes with a character outside ASCII", '{"$bytes":"AA\\u00e9A"}', "base64url"),
        refuse("$bytes with a list", '{"$bytes":[1,2]}', "base64url"),
        refuse("$time with another offset", '{"$time":"2026-11-22T19:00:00+01:00"}', "UTC"),
        refuse("$time without an offset", '{"$time":"2026-11-22T19:00:00"}', "UTC, and said so"),
        refuse("$time of a day only", '{"$time":"2026-11-22"}', "an instant"),
        refuse("$time of a day that is not", '{"$time":"2026-02-30T00:00:00Z"}', "Date() makes 2 March of it"),
        refuse("$time as a number", '{"$time":0}', "RFC 3339"),
        refuse("$time in words", '{"$time":"tomorrow"}', "RFC 3339"),
        *refused_arrays(refuse),
        refuse("$stream 0", '{"$stream":0}', "ids count up from 1"),
        refuse("$stream negative", '{"$stream":-1}', "ids count up from 1"),
        refuse("$stream 2^53", '{"$stream":{"$int":"9007199254740992"}}', "ids end at 2^53-1"),
        refuse("$stream with a fraction", '{"$stream":1.5}', "an id is an integer"),
        refuse("$stream with text", '{"$stream":"1"}', "an id is a number"),
        refuse("$stream true", '{"$stream":true}', "bool is an int in Python"),
        refuse("a lone high surrogate", '"\\ud800"', "well-formed Unicode"),
        refuse("a lone low surrogate", '"a\\udc00b"', "well-formed Unicode"),
        refuse("surrogates in the wrong order", '"\\udc00\\ud800"', "well-formed Unicode"),
        refuse("a lone surrogate in a key", '{"\\ud800":1}', "well-formed Unicode"),
        refuse("NaN as a literal", "NaN", "not JSON; lenient parsers take it"),
        refuse("Infinity as a literal", "[-Infinity]", "not JSON; lenient parsers take it"),
        refuse("a list too deep", compact(nested(MAX_DEPTH + 1)), "maxDepth"),
        refuse("10,000 lists", "[" * 10_000 + "]" * 10_000, "a parser that recurses runs out of stack"),
        refuse("a comma too many", "[1,]", "not JSON"),
        refuse("a comment", "[1/**/]", "not JSON"),
        refuse("single quotes", "'a'", "not JSON"),
        refuse("a leading zero", "01", "not JSON"),
        refuse("a control character in text", '"a\nb"', "not JSON"),
    ]


def refused_arrays(refuse: Callable[[str, str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON that begins like an array."""
    dtype = "one of the twelve dtypes"
    length = "the dimensions say how many items there are"
    return [
        refuse("$array with a map", '{"$array":{}}', "a list of three"),
        refuse("$array with text", '{"$array":"u1"}', "a list of three"),
        refuse("$array without items", '{"$array":["u1",[0]]}', "a list of three"),
        refuse("$array with a fourth", '{"$array":["u1",[0],"",0]}', "a list of three"),
        refuse("$array of f16", array_form("f16", [1], bytes(16)), dtype),
        refuse("$array of complex numbers", array_form("c8", [1], bytes(8)), dtype),
        refuse("$array with a byte order", array_form("<f4", [1], bytes(4)), dtype),
        refuse("$array of constructor", array_form("constructor", [1], bytes(1)), "objects of JavaScript inherit it"),
        refuse("$array with a number for a shape", '{"$array":["u1",1,"AA"]}', "a list of dimensions"),
        refuse("$array with text for a dimension", array_form("u1", ["1"], b"\0"), "dimensions are integers"),
        refuse("$array with true for a dimension", array_form("u1", [True], b"\0"), "bool is an int in Python"),
        refuse("$array with a negative dimension", array_form("u1", [-1, -1], b"\0"), "the product alone would fit"),
        refuse("$array with half a dimension", array_form("u1", [0.5, 2], b"\0"), "dimensions are integers"),
        refuse("$array of 33 dimensions", array_form("u1", [1] * 33, b"\0"), "maxDimensions"),
        refuse("$array with an item too few", array_form("u2", [2], b"\0\0"), length),
        refuse("$array with a byte too many", array_form("u2", [1], b"\0\0\0"), length),
        refuse("$array of 2^32 times 2^32", array_form("u1", [2**32, 2**32], b""), "the product is 0 in 64 bits"),
        refuse("$array of 0 times 2^52 times 2", array_form("u1", [0, 2**52, 2], b""), "what numpy can't hold either"),
        refuse("$array with padding", '{"$array":["u1",[1],"AA=="]}', "unpadded"),
        refuse("$array with bits left over", '{"$array":["u1",[1],"AB"]}', "one text for one value"),
        refuse("$array with a list of items", '{"$array":["u1",[1],[0]]}', "base64url"),
        refuse("$array with a 2 for a boolean", array_form("b1", [2], b"\1\2"), "0 or 1"),
    ]


def dollar_int_text(digits: int) -> str:
    """A `$int` whose number nobody should compute."""
    return compact({"$int": "9" * digits})


def refused_messagepack() -> list[dict[str, Any]]:
    """MessagePack that is no value."""

    def refuse(name: str, packed: bytes | str, why: str) -> dict[str, Any]:
        return {"name": name, "msgpack": packed if isinstance(packed, str) else packed.hex(), "why": why}

    utf8 = "text is well-formed UTF-8"
    keys = "keys of a map are text"
    shortest = "the shortest form: one encoding for one value"
    return [
        refuse("the byte that is never used", "c1", "MessagePack"),
        refuse("text with a byte that is not UTF-8", "a1ff", utf8),
        refuse("text with an overlong form", "a2c080", utf8),
        refuse("text with a surrogate", "a3eda080", utf8),
        refuse("text past the end of Unicode", "a4f4908080", utf8),
        refuse("text that ends within a character", "a2e282", utf8),
        refuse("a long text with a byte that is not UTF-8", pack("x" * 300)[:-1] + b"\xff", utf8),
        refuse("text that ends early", "a5616263", "truncated"),
        refuse("list that ends early", "9301", "truncated"),
        refuse("bytes said to be 4 GiB", "c6ffffffff00", "refused before memory is set aside"),
        refuse("list said to have 2^32-1 items", "ddffffffff01", "refused before memory is set aside"),
        refuse("map said to have 2^32-1 entries", "dfffffffff01", "refused before memory is set aside"),
        refuse("a map with an integer for a key", "810102", keys),
        refuse("a map with bytes for a key", "81c4016101", keys),
        refuse("a map with nil for a key", "81c001", keys),
        refuse("a map with a list for a key", "819001", keys),
        refuse("a key that is not UTF-8", "81a1ff01", utf8),
        *refused_extensions_2(refuse),
        refuse("extension 3: stream 0", "d40300", "ids count up from 1"),
        refuse("extension 3 without a byte", "c70003", "an id has at least one"),
        refuse("extension 3 with an id that does not end", "d40380", "truncated"),
        refuse("extension 3 with a zero byte too many", "d5038100", shortest),
        refuse("extension 3 with bytes after the id", "d5030101", shortest),
        refuse("extension 3: stream 2^53", pack(msgpack.ExtType(3, varint(2**53))), "ids end at 2^53-1"),
        refuse("extension 3 with an id of nine bytes", pack(msgpack.ExtType(3, b"\x81" * 8 + b"\x01")), "8 bytes"),
        refuse("extension 4, reserved for references", "d40400", "announced by no feature yet"),
        refuse("extension 5", "d40500", "unknown extensions are refused"),
        refuse("extension 127", "d47f00", "unknown extensions are refused"),
        refuse("extension -2", "d4fe00", "unknown extensions are refused"),
        refuse("extension 1 without a byte", "c70001", "an integer has at least one"),
        refuse("extension 1 with a zero byte too many", pack(msgpack.ExtType(1, b"\0" + b"\x7f" * 9)), shortest),
        refuse("extension 1 with a sign byte too many", pack(msgpack.ExtType(1, b"\xff" + b"\x80" * 9)), shortest),
        refuse("extension 1 too large", pack(big(2 ** (MAX_INT_BITS - 1))), "maxIntBits"),
        refuse("extension 1 too small", pack(big(-(2 ** (MAX_INT_BITS - 1)) - 1)), "maxIntBits"),
        refuse("timestamp of five bytes", "c705ff0000000000", "4, 8 or 12 bytes"),
        refuse("timestamp with 10^9 nanoseconds", "d7ffee6b280000000000", "less than a second"),
        refuse("timestamp past the last year", "c70cff000000007fffffffffffffff", "no date has it"),
        refuse("a list too deep", pack(nested(MAX_DEPTH + 1)), "maxDepth"),
        refuse("10,000 lists", b"\x91" * 10_000 + b"\xc0", "a decoder that recurses runs out of stack"),
    ]


def refused_extensions_2(refuse: Callable[[str, bytes | str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Extensions that are no array."""
    shortest = "the shortest form: one encoding for one value"
    length = "the dimensions say how many items there are"

    def ext(data: str) -> bytes:
        return pack(msgpack.ExtType(2, bytes.fromhex(data)))

    return [
        refuse("extension 2 without a byte", "c70002", "truncated"),
        refuse("extension 2 of one byte", "d40205", "truncated"),
        refuse("extension 2 with dtype 12", array_ext(12, [1], b"\0"), "one of the twelve dtypes"),
        refuse("extension 2 of 33 dimensions", array_ext(5, [1] * 33, b"\0"), "maxDimensions"),
        refuse("extension 2 that ends within a dimension", ext("050180"), "truncated"),
        refuse("extension 2 that lacks a dimension", ext("050201"), "truncated"),
        refuse("extension 2 that ends within the zeros", ext("05010000"), "truncated"),
        refuse("extension 2 with a dimension in two bytes", ext("0501810000000000" + "07"), shortest),
        refuse("extension 2 with a dimension of 2^53", array_ext(5, [2**53], b""), "below 2^53"),
        refuse(
            "extension 2 with another byte for a zero", ext("0501010000000001" + "07"), "zeros: one form for one value"
        ),
        refuse("extension 2 with an item too few", array_ext(6, [2], b"\0\0"), length),
        refuse("extension 2 with a byte too many", array_ext(6, [1], b"\0\0\0"), length),
        refuse("extension 2 with items where there are none", array_ext(6, [0], b"\0\0"), length),
        refuse("extension 2 of 2^32 times 2^32", array_ext(5, [2**32, 2**32], b""), "the product is 0 in 64 bits"),
        refuse("extension 2 of 2^50 times 8 bytes", array_ext(4, [2**50], b""), "the length is 2^53"),
        refuse("extension 2 of 0 times 2^52 times 2", array_ext(5, [0, 2**52, 2], b""), "what numpy can't hold either"),
        refuse("extension 2 with a 2 for a boolean", array_ext(0, [2], b"\1\2"), "0 or 1"),
    ]
