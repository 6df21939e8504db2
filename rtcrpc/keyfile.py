"""A peer's key in a file: a JWK (RFC 8037) that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path

from rtcrpc.core.identity import Identity, b64url_decode, b64url_encode
from rtcrpc.errors import KeyFileError

__all__ = ["load_identity", "load_or_create_identity", "save_identity"]


def save_identity(identity: Identity, path: Path) -> None:
    """Write the key to a new file with mode 0600; `KeyFileError` where the file exists or can't be written."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": identity.peer_id, "d": b64url_encode(identity.private_bytes())}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: never through a link that somebody put there, never over a key that is in use.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(jwk, file)
                file.write("\n")
        except OSError:
            path.unlink(missing_ok=True)  # half a key would be in the way of the next try
            raise
    except FileExistsError:
        raise KeyFileError(
            f"{path} exists already: a key is never overwritten; choose another name or remove it yourself"
        ) from None
    except OSError as error:
        raise KeyFileError(f"the key can't be written to {path}: {error.strerror}") from error


def load_identity(path: Path) -> Identity:
    """Read a key; `KeyFileError` where it is missing, readable by others, or no Ed25519 JWK."""
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no such key file; make one with: rtcrpc key new {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path} can't be read as a key: {error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(
            f"{path}: expected a file that only its owner can read, got mode {stat.S_IMODE(mode):04o}; "
            f"others may have read the key: make a new one, or run: chmod 600 {path}"
        )
    try:
        jwk = json.loads(text)
        if (jwk["kty"], jwk["crv"]) != ("OKP", "Ed25519"):
            raise ValueError("kty and crv must be OKP and Ed25519")
        identity = Identity.from_private_bytes(b64url_decode(jwk["d"]))
        if identity.peer_id != jwk["x"]:
            raise ValueError("x is not the public key of d")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeyFileError(
            f"{path}: expected a JWK of an Ed25519 key (RFC 8037), got something else: {error}"
        ) from error
    return identity


def load_or_create_identity(path: Path) -> Identity:
    """The key in `path`, made first where there is none."""
    if not path.exists():
        save_identity(Identity.generate(secrets.token_bytes(32)), path)
    return load_identity(path)
