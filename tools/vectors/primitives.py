"""What the vectors are made of: keys, signatures, base64url and lp over cryptography."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Key", "compact", "filler", "lp", "unpadded"]


def unpadded(data: bytes) -> str:
    """base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def lp(*fields: bytes) -> bytes:
    """Each field after its length, 4 bytes big-endian (protocol section 1)."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def filler(label: str, size: int = 32) -> bytes:
    """Bytes that look random and are the same each time."""
    return hashlib.shake_256(label.encode()).digest(size)


def compact(value: Any) -> str:
    """JSON without spaces, text as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Key:
    """An Ed25519 key made from a seed (RFC 8032)."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()
        self.peer_id = unpadded(self.public)

    def sign(self, payload: bytes) -> bytes:
        """The 64 bytes of the signature; Ed25519 signatures are deterministic."""
        return self._private.sign(payload)
