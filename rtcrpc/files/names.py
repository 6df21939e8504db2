"""The names of files that the other side chose, made harmless: nothing in one leads out of a folder, hides, or runs something."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["safe_name"]

_READ: Final = 4096  # characters of a name that are looked at, from its end
_LONGEST: Final = 200  # bytes: file systems take 255, and a suffix of ours must fit too
_LONGEST_SUFFIX: Final = 20
_NOTHING: Final = "file"
_SPECIAL: Final = re.compile(r'[<>:"|?*]')  # Windows: drives, streams of NTFS, wildcards
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """The name under which a file called `name` by the other side may be saved, on any system.

    It is the last part of a path in either notation, without control and formatting characters (some turn the direction of text around, so
    that a suffix looks like another), without dots and spaces at its ends, and at most 200 bytes long. Never empty.
    """
    last = re.split(r"[/\\]", name[-_READ:])[-1]
    plain = "".join(
        c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )
    kept = _SPECIAL.sub("_", plain)
    kept = _cut(_trim(kept))
    if _DEVICE.match(kept):
        kept = "_" + kept
    return kept or _NOTHING


def _trim(name: str) -> str:
    # Together: "x. ." must not become "x." by one turn of each.
    start, end = 0, len(name)
    while start < end and (name[start] == "." or name[start].isspace()):
        start += 1
    while end > start and (name[end - 1] == "." or name[end - 1].isspace()):
        end -= 1
    return name[start:end]


def _cut(name: str) -> str:
    if len(name.encode()) <= _LONGEST:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, suffix = name, ""
    room = _LONGEST - len((dot + suffix).encode() if suffix else b"")
    stem = _trim(stem.encode()[:room].decode(errors="ignore"))
    return f"{stem}.{suffix}" if suffix else stem
