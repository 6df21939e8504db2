"""Ed25519 keys, the peer ids made of them, and signatures that say what they are for (protocol sections 1, 6 and 9)."""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = [
    "Identity",
    "b64url_decode",
    "b64url_encode",
    "is_peer_id",
    "lp",
    "parse_peer_id",
    "verify",
    "verify_payload",
]

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_P: Final = 2**255 - 19
# The y coordinates of the points of order 1, 2, 4 and 8. For such a key there are signatures that hold for any text and
# that anybody can write: it would name nobody. (WebCrypto refuses them too; OpenSSL does not.)
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)


def lp(*fields: bytes | str) -> bytes:
    """Each field behind its length as 4 bytes, big-endian; text as UTF-8. No two lists of fields give the same bytes."""
    parts: list[bytes] = []
    for item in fields:
        data = item.encode("utf-8") if isinstance(item, str) else item
        parts.append(len(data).to_bytes(4, "big"))
        parts.append(data)
    return b"".join(parts)


def b64url_encode(data: bytes) -> str:
    """Unpadded base64url (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str, length: int | None = None) -> bytes:
    """The bytes of unpadded base64url, `length` of them where that is given.

    Raises `ValueError` for padding, another alphabet, trailing bits that are not zero, or another length.
    """
    if _ALPHABET.fullmatch(text) is None or len(text) % 4 == 1:
        raise ValueError(f"expected unpadded base64url, got {text[:60]!a}")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # One value, one text: otherwise the same key would have several ids. Only the last character can hold spare bits.
    if len(text) % 4 and b64url_encode(data[-(len(text) % 4 - 1) :])[-1] != text[-1]:
        raise ValueError(f"expected unpadded base64url whose spare bits are zero, got {text[:60]!a}")
    if length is not None and len(data) != length:
        raise ValueError(f"expected {length} bytes as base64url, got {len(data)}")
    return data


def parse_peer_id(text: str) -> bytes:
    """The 32 bytes of the public key that a peer id stands for. Raises `ValueError` for anything but 43 characters of base64url."""
    if len(text) != 43:
        raise ValueError(f"expected a peer id of 43 characters, got {len(text)}: {text[:60]!a}")
    return b64url_decode(text)


def is_peer_id(text: str) -> bool:
    """Whether `text` is a peer id, and not for example a name."""
    try:
        parse_peer_id(text)
    except ValueError:
        return False
    return True


class Identity:
    """A peer's key pair."""

    __slots__ = ("_key", "peer_id", "public_bytes")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_bytes: bytes = key.public_key().public_bytes_raw()
        """The raw public key: 32 bytes."""
        self.peer_id: str = b64url_encode(self.public_bytes)
        """The public key in base64url: 43 characters."""

    @classmethod
    def generate(cls, entropy: bytes) -> Identity:
        """The key made of 32 fresh bytes, such as `secrets.token_bytes(32)`; they are the private key (RFC 8032 section 5.1.5)."""
        return cls.from_private_bytes(entropy)

    @classmethod
    def from_private_bytes(cls, data: bytes) -> Identity:
        """The key whose private half is these 32 bytes. Raises `ValueError` for another number of bytes."""
        if len(data) != _KEY_BYTES:
            raise ValueError(f"expected {_KEY_BYTES} bytes for a private key, got {len(data)}")
        return cls(Ed25519PrivateKey.from_private_bytes(data))

    def private_bytes(self) -> bytes:
        """The private half: 32 bytes. Whoever has them is this peer."""
        return self._key.private_bytes_raw()

    def sign(self, domain: bytes | str, *fields: bytes | str) -> bytes:
        """64 bytes over `lp(domain, *fields)`. The domain keeps a signature from passing for one of another purpose."""
        return self._key.sign(lp(domain, *fields))

    def sign_payload(self, payload: bytes) -> bytes:
        """64 bytes over a payload that starts with its domain already, as that of `SignRequired` does."""
        return self._key.sign(payload)

    def __repr__(self) -> str:
        return f"<Identity {self.peer_id}>"


def verify(peer_id: str, signature: bytes, domain: bytes | str, *fields: bytes | str) -> bool:
    """Whether `peer_id` signed `lp(domain, *fields)`. False also for what is no peer id."""
    try:
        key = parse_peer_id(peer_id)
    except ValueError:
        return False
    return verify_payload(key, lp(domain, *fields), signature)


def verify_payload(key: bytes, payload: bytes, signature: bytes) -> bool:
    """Whether the owner of the raw public key signed `payload`. False for keys and signatures that are none."""
    if len(key) != _KEY_BYTES or len(signature) != _SIGNATURE_BYTES:
        return False
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if y >= _P or y in _SMALL_ORDER_Y:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, payload)
    except (InvalidSignature, ValueError):
        return False
    return True
