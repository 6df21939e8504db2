"""Arrays beyond the vectors: numpy's on their way out and in, `Array` without it, what is refused, and how much memory it takes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rtcrpc import limits
from rtcrpc.arrays import use_numpy
from rtcrpc.core.arrays import DTYPES, Array, from_ext, from_form, set_arrival, to_form
from rtcrpc.core.codec import Codec, JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import Response
from rtcrpc.core.values import StreamRef
from rtcrpc.errors import DecodeError, EncodeError


@pytest.fixture(params=["json", "msgpack"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return JsonCodec() if request.param == "json" else MessagePackCodec()


@pytest.fixture
def as_numpy() -> Iterator[None]:
    use_numpy()
    yield
    set_arrival(None)


@pytest.fixture(autouse=True)
def plain_arrays() -> None:
    set_arrival(None)


def there_and_back(codec: Codec, value: Any) -> Any:
    (envelope,) = codec.decode(codec.encode(Response(1, value)))
    assert isinstance(envelope, Response)
    return envelope.result


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


SAMPLES = [
    *(np.arange(24).astype(dtype).reshape(2, 3, 4) for dtype in DTYPES),
    np.array([np.nan, np.inf, -0.0, 5e-324]),
    np.array([2**63 - 1, -(2**63)], dtype=np.int64),
    np.array([2**64 - 1], dtype=np.uint64),
    np.array(2.5),
    np.array([]),
    np.empty((0, 3), dtype=np.int16),
    np.empty((3, 0, 2), dtype=bool),
    np.arange(40_000, dtype=np.float64),
]


@pytest.mark.usefixtures("as_numpy")
@pytest.mark.parametrize("array", SAMPLES, ids=lambda a: f"{a.dtype.name} {list(a.shape)}")
def test_an_array_of_numpy_arrives_as_one(codec: Codec, array: np.ndarray) -> None:
    got = there_and_back(codec, {"list": [array]})["list"][0]
    assert type(got) is np.ndarray
    assert same(got, array)
    assert not got.flags.writeable
    assert got.flags.aligned


@pytest.mark.usefixtures("as_numpy")
@pytest.mark.parametrize(
    ("array", "read"),
    [
        pytest.param(np.arange(6, dtype=">i4").reshape(2, 3), np.arange(6, dtype="<i4").reshape(2, 3), id="big-endian"),
        pytest.param(np.arange(3, dtype=">f2"), np.arange(3, dtype="<f2"), id="big-endian halves"),
        pytest.param(np.arange(10)[::3], np.arange(10)[::3].copy(), id="every third"),
        pytest.param(np.arange(10)[::-1], np.arange(10)[::-1].copy(), id="backwards"),
        pytest.param(np.arange(6.0).reshape(2, 3).T, np.arange(6.0).reshape(2, 3).T.copy(), id="transposed"),
        pytest.param(np.asfortranarray(np.eye(3)), np.eye(3), id="in Fortran's order"),
        pytest.param(np.broadcast_to(np.int8(7), (2, 2)), np.full((2, 2), 7, np.int8), id="broadcast"),
        pytest.param(np.arange(4.0, dtype=">f8")[1::2], np.array([1.0, 3.0]), id="big-endian with gaps"),
        pytest.param(np.ma.masked_array([1, 2]).filled(0), np.array([1, 2]), id="a mask that was filled"),
        pytest.param(np.frombuffer(b"\0abcd", ">u2", offset=1), np.array([0x6162, 0x6364], "<u2"), id="unaligned"),
    ],
)
def test_order_and_gaps_are_put_right(codec: Codec, array: np.ndarray, read: np.ndarray) -> None:
    assert same(there_and_back(codec, array), read)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (np.int64(-5), -5),
        (np.uint8(200), 200),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (np.float64(1.5), 1.5),
        (np.float16(0.25), 0.25),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.float32("inf"), float("inf")),
        ([np.int32(1), {"a": np.int32(2)}], [1, {"a": 2}]),
    ],
)
def test_a_number_of_numpy_arrives_as_a_number(codec: Codec, value: Any, read: Any) -> None:
    got = there_and_back(codec, value)
    assert got == read
    assert type(got) is type(read)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(np.array([{}, []], dtype=object), "dtypes.*got object", id="objects"),
        pytest.param(np.array([1j]), "got complex128", id="complex numbers"),
        pytest.param(np.zeros(2, dtype=[("a", "i4")]), "dtypes", id="a structure"),
        pytest.param(np.array(["a"]), "got str", id="text"),
        pytest.param(np.array([b"a"]), "got bytes", id="bytes"),
        pytest.param(np.array(["2026-01-01"], "datetime64[D]"), "got datetime64", id="days"),
        pytest.param(np.zeros((1,) * 33), "at most 32 dimensions, got 33", id="too many dimensions"),
        pytest.param(np.ma.masked_array([1, 2], [True, False]), "mask", id="a mask"),
        pytest.param(np.complex64(1j), "got complex64", id="a complex number"),
        pytest.param(np.datetime64("2026-01-01"), "got datetime64", id="a day"),
        pytest.param(np.frombuffer(b"\2", bool), "0 and 1", id="booleans that are none"),
    ],
)
def test_what_is_no_array_of_numbers(codec: Codec, value: Any, says: str) -> None:
    with pytest.raises(EncodeError, match=says):
        codec.encode(Response(1, {"a": [0, value]}))
    assert there_and_back(codec, [1]) == [1]


def test_the_place_of_what_can_not_travel_is_told(codec: Codec) -> None:
    with pytest.raises(EncodeError) as refused:
        codec.encode(Response(1, {"a": [0, np.array([1j])]}))
    assert "a[1]" in str(refused.value)


def test_long_doubles_are_refused_where_there_are_any(codec: Codec) -> None:
    number = np.longdouble(1)
    if number.dtype.itemsize == 8:
        pytest.skip("a long double is a double here")
    for value in (number, np.array([number])):
        with pytest.raises(EncodeError, match="dtypes"):
            codec.encode(Response(1, value))


# -- without numpy -------------------------------------------------------------------------------------------


def test_without_numpy_an_array_is_an_array(codec: Codec) -> None:
    array = Array("i2", [2, 3], np.arange(6, dtype="<i2").tobytes())
    got = there_and_back(codec, array)
    assert got == array
    assert got.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert repr(got) == "Array('i2', (2, 3), <12 bytes>)"
    assert got.data.readonly
    assert got.data.format == "B"
    assert hash(got) == hash(Array("i2", (2, 3), bytes(got.data)))


@pytest.mark.parametrize("array", SAMPLES, ids=lambda a: f"{a.dtype.name} {list(a.shape)}")
def test_numbers_in_lists_are_those_of_numpy(array: np.ndarray) -> None:
    made = Array(f"{array.dtype.kind}{array.dtype.itemsize}", array.shape, array.tobytes())
    np.testing.assert_array_equal(made.tolist(), array.tolist())


def test_numpy_takes_it_without_a_copy() -> None:
    array = Array("f4", (2, 2), np.arange(4, dtype="<f4").tobytes())
    taken = np.asarray(array)
    assert same(taken, np.arange(4, dtype="<f4").reshape(2, 2))
    assert np.shares_memory(taken, np.frombuffer(array.data, np.uint8))


def test_an_array_may_be_made_of_anything_that_holds_bytes() -> None:
    for data in (b"abcd", bytearray(b"abcd"), memoryview(b"abcd"), memoryview(b"abcd").cast("H")):
        assert Array("u2", (2,), data).data == b"abcd"


@pytest.mark.parametrize(
    ("dtype", "shape", "data", "says"),
    [
        ("f16", (1,), bytes(16), "one of b1"),
        ("<f4", (1,), bytes(4), "one of b1"),
        ("u1", (1,) * 33, b"a", "32 dimensions"),
        ("u1", (-1,), b"", "0 to 2"),
        ("u1", (True,), b"a", "0 to 2"),
        ("u1", (1.0,), b"a", "0 to 2"),
        ("u1", (2**53,), b"", "0 to 2"),
        ("u1", (0, 2**52, 2), b"", "2\\^53-1 bytes"),
        ("f8", (2**50,), b"", "2\\^53-1 bytes"),
        ("u2", (2,), b"abc", "expected 4 bytes"),
        ("u2", (2,), b"abcde", "expected 4 bytes"),
        ("u1", (2,), memoryview(b"abcd")[::2], "one piece"),
        ("b1", (2,), b"\1\2", "0 and 1"),
    ],
)
def test_parts_that_do_not_fit(dtype: str, shape: tuple[int, ...], data: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Array(dtype, shape, data)


def test_without_numpy_installed_arrays_still_arrive() -> None:
    program = """if True:
        import sys
        sys.modules["numpy"] = None  # as if it were not installed
        from rtcrpc import Array
        from rtcrpc.arrays import use_numpy
        from rtcrpc.core.codec import MessagePackCodec
        from rtcrpc.core.envelope import Response
        use_numpy()
        codec = MessagePackCodec()
        for _ in range(2):
            ((got),) = codec.decode(codec.encode(Response(1, Array("u1", (2,), b"ab"))))
            assert type(got.result) is Array, got
    """
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_numpy_is_not_imported_before_there_is_an_array() -> None:
    program = """if True:
        import sys
        import rtcrpc.core.session, rtcrpc.arrays
        from rtcrpc.core.codec import MessagePackCodec
        from rtcrpc.core.envelope import Response
        rtcrpc.arrays.use_numpy()
        MessagePackCodec().encode(Response(1, [1, {"a": b"b"}]))
        assert "numpy" not in sys.modules
        codec = MessagePackCodec()
        (got,) = codec.decode(codec.encode(Response(1, rtcrpc.Array("u1", (2,), b"ab"))))
        assert type(got.result).__name__ == "ndarray"
    """
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# -- forms, memory -------------------------------------------------------------------------------------------


def test_wrong_lengths_are_refused_before_memory_is_taken() -> None:
    text = "A" * (1 << 20)
    with pytest.raises(DecodeError, match="expected 1125899906842624 bytes"):
        from_form(["u1", [2**50], text])
    dimensions, data = [1] * 100_000, b"\x05\x01\x81\x01" + bytes(4) + text.encode()
    tracemalloc.start()
    try:
        for refuse in (
            lambda: from_form(["u1", [2**50], text]),
            lambda: from_form(["f8", dimensions, text]),
            lambda: from_ext(data),
        ):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(DecodeError):
                refuse()
            assert tracemalloc.get_traced_memory()[1] - before < 10_000
    finally:
        tracemalloc.stop()


def test_the_json_form_by_itself() -> None:
    array = Array("u1", (2, 2), b"abcd")
    assert to_form(array) == ["u1", [2, 2], "YWJjZA"]
    assert from_form(to_form(array)) == array


def test_what_looks_like_a_large_array_set_aside_does_no_harm() -> None:
    codec = MessagePackCodec()
    array = Array("u1", (70_000,), bytes(70_000))
    mark = b"\xd8\x02a large array:\x00\x00"
    value = [array, mark, array, {"text": mark.decode("latin1")}]
    assert there_and_back(codec, value) == value
    assert there_and_back(codec, [mark, 1]) == [mark, 1]


@pytest.mark.usefixtures("as_numpy")
def test_large_arrays_anywhere_in_a_value() -> None:
    codec = MessagePackCodec()
    pictures = [np.full((200, 200, 3), number, np.uint8) for number in range(4)]
    value = {"a": pictures[:2], "b": {"c": pictures[2], "d": bytes(100_000)}, "e": [pictures[3], StreamRef(1)]}
    got = there_and_back(codec, value)
    assert all(same(a, b) for a, b in zip([*got["a"], got["b"]["c"], got["e"][0]], pictures, strict=True))
    assert got["b"]["d"] == bytes(100_000)
    assert got["e"][1] == StreamRef(1)


@pytest.mark.usefixtures("as_numpy")
def test_a_large_array_is_copied_once_on_each_side() -> None:
    codec = MessagePackCodec()
    array = np.zeros(16 << 20, np.uint8)
    codec.decode(codec.encode(Response(1, np.zeros(100_000))))  # numpy is imported, and all buffers have their sizes
    tracemalloc.start()
    try:
        encoded = codec.encode(Response(1, array))
        assert tracemalloc.get_traced_memory()[1] < 1.1 * array.nbytes
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        (envelope,) = codec.decode(encoded)
        assert tracemalloc.get_traced_memory()[1] - before < 1.1 * array.nbytes
    finally:
        tracemalloc.stop()
    assert isinstance(envelope, Response)
    assert same(envelope.result, array)


def test_the_codec_keeps_no_large_buffer() -> None:
    codec = MessagePackCodec()
    codec.encode(Response(1, 0))
    tracemalloc.start()
    try:
        for value in (bytes(8 << 20), [0.5] * 1_000_000, Array("u1", (8 << 20,), bytes(8 << 20))):
            before = tracemalloc.get_traced_memory()[0]
            encoded = codec.encode(Response(1, value))
            codec.decode(encoded)
            del encoded
            assert tracemalloc.get_traced_memory()[0] - before < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_limit_of_dimensions_holds_and_no_further(codec: Codec) -> None:
    most = Array("u1", (1,) * limits.MAX_DIMENSIONS, b"a")
    assert there_and_back(codec, most) == most
