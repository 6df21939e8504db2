"""Keys and signatures beyond the vectors."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode, lp, verify, verify_payload

P = 2**255 - 19
# The eight points of small order, in every encoding that a lenient decoder takes (RFC 8032 section 5.1.3; y and y + p, both signs).
ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = [y | sign << 255 for y in (0, 1, P - 1, P, P + 1, ORDER_8, P - ORDER_8) for sign in (0, 1)]


def is_on_curve(y: int) -> bool:
    d = -121665 * pow(121666, P - 2, P) % P
    x_squared = (y * y - 1) * pow(d * y * y + 1, P - 2, P) % P
    return x_squared == 0 or pow(x_squared, (P - 1) // 2, P) == 1


def test_the_list_of_small_points_is_of_points() -> None:
    assert is_on_curve(ORDER_8)
    assert is_on_curve(P - ORDER_8)


@pytest.mark.parametrize("encoded", SMALL_ORDER, ids=hex)
def test_a_key_that_names_nobody(encoded: int) -> None:
    """For such a key there are signatures that anybody can write, and a plain library takes them."""
    key = encoded.to_bytes(32, "little")
    signature = (1).to_bytes(32, "little") + bytes(32)  # R is the neutral point, S is 0
    assert not verify_payload(key, b"anything", signature)


def test_a_plain_library_would_take_it() -> None:
    neutral = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"anything")


def test_a_key_is_its_private_bytes() -> None:
    identity = Identity.generate(bytes(range(32)))
    again = Identity.from_private_bytes(identity.private_bytes())
    assert (again.peer_id, again.public_bytes) == (identity.peer_id, identity.public_bytes)
    assert identity.private_bytes().hex() not in repr(identity)
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match=str(size)):
            Identity.generate(bytes(size))


def test_a_signature_is_for_one_domain_and_these_fields() -> None:
    identity = Identity.generate(bytes(32))
    signature = identity.sign("domain", "a", b"bc")
    assert verify(identity.peer_id, signature, "domain", "a", b"bc")
    assert verify(identity.peer_id, signature, b"domain", b"a", "bc")
    for fields in (
        ("domain", "ab", "c"),
        ("domain", "a"),
        ("domain", "a", "bc", ""),
        ("domaina", "bc"),
        ("Domain", "a", "bc"),
    ):
        assert not verify(identity.peer_id, signature, *fields)
    assert not verify("robot", signature, "domain", "a", "bc")
    assert not verify(identity.peer_id, signature[:-1], "domain", "a", "bc")
    assert not verify_payload(identity.public_bytes[:-1], lp("domain"), signature)


@pytest.mark.parametrize("size", range(70))
def test_base64url_of_every_length(size: int) -> None:
    data = bytes(range(size))
    text = b64url_encode(data)
    assert b64url_decode(text) == data
    assert b64url_decode(text, size) == data
    with pytest.raises(ValueError, match="bytes"):
        b64url_decode(text, size + 1)
