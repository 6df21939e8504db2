"""Keys, peer ids, base64url, lp and signatures (protocol section 1)."""

from __future__ import annotations

from typing import Any

from vectors.primitives import Key, filler, lp, unpadded

__all__ = ["make"]


def make() -> dict[str, Any]:
    """The content of `identity.json`."""
    return {
        "keys": keys(),
        "order": order(),
        "refusedPeerIds": refused_peer_ids(),
        "base64url": [
            {
                "name": f"{size} bytes",
                "hex": filler("base64url", size).hex(),
                "text": unpadded(filler("base64url", size)),
            }
            for size in (0, 1, 2, 3, 4, 16, 31, 32, 64)
        ],
        "refusedBase64url": refused_base64url(),
        "lp": lengths(),
        "signatures": signatures(),
        "refusedSignatures": refused_signatures(),
    }


def keys() -> list[dict[str, Any]]:
    """Seeds (RFC 8032 private keys) and the ids of their peers."""
    seeds = {
        "RFC 8032, section 7.1, test 1": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "RFC 8032, section 7.1, test 2": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "all zero": "00" * 32,
        "all ones": "ff" * 32,
        "a": filler("a").hex(),
        "b": filler("b").hex(),
    }
    cases = []
    for name, seed in seeds.items():
        key = Key(bytes.fromhex(seed))
        cases.append({"name": name, "seed": seed, "public": key.public.hex(), "peerId": key.peer_id})
    return cases


def order() -> list[dict[str, Any]]:
    """Which of two peers is A: the one whose 43 characters are the smaller ASCII text.

    The order of the raw keys differs where `-` or a digit meets a letter; one case shows that.
    """
    candidates = [Key(filler(f"order {number}")) for number in range(200)]
    alike = differing = None
    for first, second in zip(candidates[::2], candidates[1::2], strict=True):
        same = (first.peer_id < second.peer_id) == (first.public < second.public)
        pair = (first, second) if first.peer_id < second.peer_id else (second, first)
        alike, differing = (alike or pair, differing) if same else (alike, differing or pair)
    if alike is None or differing is None:
        raise ValueError("no pair of either kind among the candidates: take more")
    return [
        {"name": "both orders alike", "a": alike[0].peer_id, "b": alike[1].peer_id},
        {"name": "the raw keys have the other order", "a": differing[0].peer_id, "b": differing[1].peer_id},
    ]


def refused_peer_ids() -> list[dict[str, Any]]:
    """Texts that are no peer id."""
    good = Key(filler("a")).peer_id
    samples = {
        "empty": "",
        "a character too few": good[:-1],
        "a character too many": good + "A",
        "padded": good + "=",
        "the other alphabet": "+" + good[1:],
        "a slash": "/" + good[1:],
        "bits left over": good[:-1] + "_",
        "a space before": " " + good,
        "a line end after": good + "\n",
        "a space within": good[:20] + " " + good[21:],
        "a letter outside ASCII": good[:20] + "\u00e9" + good[21:],
        "a letter that looks like A": "\u0410" + good[1:],
        "hexadecimal": Key(filler("a")).public.hex(),
        "a name": "robot",
    }
    return [{"name": name, "text": text} for name, text in samples.items()]


def refused_base64url() -> list[dict[str, Any]]:
    """Texts that are no unpadded base64url."""
    samples = {
        "padding": "AA==",
        "padding that is short": "AA=",
        "only padding": "=",
        "plus": "+A",
        "slash": "/A",
        "one character": "A",
        "five characters": "AAAAA",
        "four bits left over": "AB",
        "two bits left over": "AAB",
        "space": "AA AA",
        "line end": "AAAA\n",
        "a letter outside ASCII": "AA\u00e9A",
        "a digit of another script": "AA\u0665A",
        "nul": "AAA\0",
    }
    return [{"name": name, "text": text} for name, text in samples.items()]


def lengths() -> list[dict[str, Any]]:
    """Fields and their concatenation."""
    samples: dict[str, list[bytes]] = {
        "no field": [],
        "an empty field": [b""],
        "text": [b"rtcrpc-id-v1"],
        "text beyond ASCII": ["caf\u00e9".encode()],
        "two fields": [b"ab", b"c"],
        "the same bytes cut elsewhere": [b"a", b"bc"],
        "256 bytes": [filler("256", 256)],
    }
    return [
        {"name": name, "fields": [field.hex() for field in fields], "hex": lp(*fields).hex()}
        for name, fields in samples.items()
    ]


def signatures() -> list[dict[str, Any]]:
    """`signature` is over lp(domain) and lp of each field."""
    samples: dict[str, tuple[str, str, list[bytes]]] = {
        "no field": ("a", "rtcrpc-test-v1", []),
        "two fields": ("a", "rtcrpc-test-v1", [b"ab", b"c"]),
        "the same bytes cut elsewhere": ("a", "rtcrpc-test-v1", [b"a", b"bc"]),
        "another domain": ("a", "rtcrpc-test-v2", [b"ab", b"c"]),
        "another key": ("b", "rtcrpc-test-v1", [b"ab", b"c"]),
    }
    return [signed(name, *sample) for name, sample in samples.items()]


def signed(name: str, owner: str, domain: str, fields: list[bytes]) -> dict[str, Any]:
    """One signature and all it is made from."""
    key = Key(filler(owner))
    payload = lp(domain.encode(), *fields)
    return {
        "name": name,
        "seed": key.seed.hex(),
        "peerId": key.peer_id,
        "domain": domain,
        "fields": [field.hex() for field in fields],
        "payload": payload.hex(),
        "signature": unpadded(key.sign(payload)),
    }


def refused_signatures() -> list[dict[str, Any]]:
    """Signatures that do not hold for `domain` and `fields` under `peerId`."""
    good = signed("", "a", "rtcrpc-test-v1", [b"ab", b"c"])
    raw = Key(filler("a")).sign(bytes.fromhex(good["payload"]))
    # L, the order of the base point: S + L is the same point, and RFC 8032 wants S < L.
    order_of_base = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(raw[32:], "little") + order_of_base
    alterations: dict[str, dict[str, Any]] = {
        "another domain": {"domain": "rtcrpc-test-v2"},
        "a field more": {"fields": [*good["fields"], ""]},
        "a field less": {"fields": good["fields"][:1]},
        "the same bytes cut elsewhere": {"fields": [b"a".hex(), b"bc".hex()]},
        "another key": {"peerId": Key(filler("b")).peer_id},
        "one bit of R": {"signature": unpadded(bytes([raw[0] ^ 1]) + raw[1:])},
        "one bit of S": {"signature": unpadded(raw[:32] + bytes([raw[32] ^ 1]) + raw[33:])},
        "S + L, the other text of the same point": {"signature": unpadded(raw[:32] + s.to_bytes(32, "little"))},
        "all zero": {"signature": unpadded(bytes(64))},
        "63 bytes": {"signature": unpadded(raw[:63])},
        "65 bytes": {"signature": unpadded(raw + b"\0")},
        "empty": {"signature": ""},
    }
    fields = {name: good[name] for name in ("peerId", "domain", "fields", "signature")}
    return [{"name": name, **fields, **change} for name, change in alterations.items()]
