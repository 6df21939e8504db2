"""The core reads, writes and refuses what `schemas/vectors` says, case by case."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.sessions import Party, ready_pair

from rtcrpc.core import events
from rtcrpc.core.codec import JsonCodec, MessagePackCodec
from rtcrpc.core.envelope import ErrorResponse, Malformed, Notification, Request, Response
from rtcrpc.core.frames import FrameReader
from rtcrpc.core.handshake import check_hello, parse_hello, role_of, transcript
from rtcrpc.core.identity import (
    Identity,
    b64url_decode,
    b64url_encode,
    is_peer_id,
    lp,
    parse_peer_id,
    verify,
    verify_payload,
)
from rtcrpc.core.invite import Invite
from rtcrpc.core.session import Session, SessionConfig, SessionState
from rtcrpc.core.varint import decode_varint, encode_varint
from rtcrpc.errors import DecodeError, HandshakeError, InviteError, ProtocolError

DIRECTORY = Path(__file__).resolve().parents[2] / "schemas" / "vectors"
VECTORS: dict[str, Any] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DIRECTORY.glob("*.json")}


def cases(file: str, *groups: str) -> Any:
    found = [
        pytest.param(case, id=f"{group}: {case['name'][:60]}") for group in groups for case in VECTORS[file][group]
    ]
    return pytest.mark.parametrize("case", found)


# -- values ------------------------------------------------------------------------------------------


def from_json(text: str, codec: JsonCodec | None = None) -> Any:
    (envelope,) = (codec or JsonCodec()).decode_text(f'{{"jsonrpc":"2.0","id":1,"result":{text}}}')
    if isinstance(envelope, Malformed):
        raise DecodeError(envelope.message, code=envelope.code)
    assert isinstance(envelope, Response)
    return envelope.result


def from_msgpack(data: str, codec: MessagePackCodec | None = None) -> Any:
    (envelope,) = (codec or MessagePackCodec()).decode(bytes.fromhex("930101" + data))
    assert isinstance(envelope, Response)
    return envelope.result


def same(a: Any, b: Any) -> bool:
    """Equal and of one type all the way down; NaN is itself, and zero has a sign."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


@cases("values", "valid")
def test_a_value_has_two_forms(case: dict[str, Any]) -> None:
    value = from_json(case["json"])
    assert same(value, from_msgpack(case["msgpack"]))
    assert MessagePackCodec().encode(Response(1, value)).hex() == "930101" + case["msgpack"]
    assert same(json.loads(JsonCodec().encode(Response(1, value)))["result"], json.loads(case["json"]))


@cases("values", "readable")
def test_a_value_is_read(case: dict[str, Any]) -> None:
    read = from_json(case["json"]) if "json" in case else from_msgpack(case["msgpack"])
    assert same(read, from_json(case["value"]))


@cases("values", "refusedJson")
def test_json_that_is_no_value(case: dict[str, Any]) -> None:
    codec = JsonCodec()
    with pytest.raises(DecodeError):
        from_json(case["json"], codec)
    assert from_json("[1]", codec) == [1]


@cases("values", "refusedMessagePack")
def test_messagepack_that_is_no_value(case: dict[str, Any]) -> None:
    codec = MessagePackCodec()
    with pytest.raises(DecodeError):
        from_msgpack(case["msgpack"], codec)
    assert from_msgpack("9101", codec) == [1]


# -- envelopes ---------------------------------------------------------------------------------------

KINDS = {"request": Request, "response": Response, "error": ErrorResponse, "notification": Notification}


def envelope_of(described: dict[str, Any]) -> Any:
    members = {name: value for name, value in described.items() if name != "type"}
    return KINDS[described["type"]](**members)


@cases("envelopes", "valid")
def test_an_envelope(case: dict[str, Any]) -> None:
    expected = envelope_of(case["envelope"])
    assert JsonCodec().decode_text(case["json"]) == [expected]
    assert MessagePackCodec().decode(bytes.fromhex(case["msgpack"])) == [expected]
    assert MessagePackCodec().encode(expected).hex() == case["msgpack"]
    assert json.loads(JsonCodec().encode(expected)) == json.loads(case["json"])


@cases("envelopes", "readable")
def test_an_envelope_is_read(case: dict[str, Any]) -> None:
    if "json" in case:
        assert JsonCodec().decode_text(case["json"]) == [envelope_of(case["envelope"])]
    else:
        assert MessagePackCodec().decode(bytes.fromhex(case["msgpack"])) == [envelope_of(case["envelope"])]


@cases("envelopes", "refusedJson")
def test_json_that_is_no_envelope(case: dict[str, Any]) -> None:
    codec = JsonCodec()
    try:
        (refused,) = codec.decode_text(case["json"])
    except DecodeError as error:
        refused = Malformed(None, error.code, error.message)
    assert isinstance(refused, Malformed)
    assert (refused.code, refused.id) == (case["code"], case["id"])
    assert codec.decode_text('{"jsonrpc":"2.0","id":1,"result":2}') == [Response(1, 2)]


@cases("envelopes", "refusedMessagePack")
def test_messagepack_that_is_no_envelope(case: dict[str, Any]) -> None:
    codec = MessagePackCodec()
    with pytest.raises(DecodeError) as refused:
        codec.decode(bytes.fromhex(case["msgpack"]))
    assert refused.value.code == case["code"]
    assert codec.decode(bytes.fromhex("93010102")) == [Response(1, 2)]


# -- frames ------------------------------------------------------------------------------------------

LIMITS = {"maxFrame": "max_frame", "maxMessage": "max_message", "maxTransfers": "max_transfers"}


def read_frames(case: dict[str, Any], reader: FrameReader, messages: list[dict[str, str]]) -> None:
    for frame in case["frames"]:
        whole = reader.feed(frame["text"] if "text" in frame else bytes.fromhex(frame["hex"]))
        if whole is not None:
            messages.append({"text": whole.data} if isinstance(whole.data, str) else {"hex": whole.data.hex()})


def reader_for(case: dict[str, Any]) -> FrameReader:
    return FrameReader(**{LIMITS[name]: value for name, value in case["limits"].items()})


@cases("frames", "varints")
def test_a_varint(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    assert encode_varint(case["value"]) == data
    assert decode_varint(data, 0, 2**32 - 1) == (case["value"], len(data))


@cases("frames", "valid")
def test_frames_make_messages(case: dict[str, Any]) -> None:
    messages: list[dict[str, str]] = []
    read_frames(case, reader_for(case), messages)
    assert messages == case["messages"]


@cases("frames", "refused")
def test_frames_that_end_the_session(case: dict[str, Any]) -> None:
    messages: list[dict[str, str]] = []
    with pytest.raises(ProtocolError) as refused:
        read_frames(case, reader_for(case), messages)
    assert refused.value.code == case["code"]
    assert messages == case["messages"]


# -- identity ----------------------------------------------------------------------------------------


@cases("identity", "keys")
def test_a_key(case: dict[str, Any]) -> None:
    identity = Identity.from_private_bytes(bytes.fromhex(case["seed"]))
    assert identity.public_bytes.hex() == case["public"]
    assert identity.peer_id == case["peerId"]
    assert parse_peer_id(case["peerId"]).hex() == case["public"]
    assert identity.private_bytes().hex() == case["seed"]


@cases("identity", "order")
def test_who_is_a(case: dict[str, Any]) -> None:
    assert role_of(case["a"], case["b"]) == "A"
    assert role_of(case["b"], case["a"]) == "B"


@cases("identity", "refusedPeerIds")
def test_what_is_no_peer_id(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_peer_id(case["text"])
    assert not is_peer_id(case["text"])


@cases("identity", "base64url")
def test_base64url(case: dict[str, Any]) -> None:
    assert b64url_encode(bytes.fromhex(case["hex"])) == case["text"]
    assert b64url_decode(case["text"]).hex() == case["hex"]


@cases("identity", "refusedBase64url")
def test_what_is_no_base64url(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        b64url_decode(case["text"])


@cases("identity", "lp")
def test_lengths_before_fields(case: dict[str, Any]) -> None:
    assert lp(*map(bytes.fromhex, case["fields"])).hex() == case["hex"]


@cases("identity", "signatures")
def test_a_signature(case: dict[str, Any]) -> None:
    identity = Identity.from_private_bytes(bytes.fromhex(case["seed"]))
    fields = [bytes.fromhex(field) for field in case["fields"]]
    signature = b64url_decode(case["signature"])
    assert lp(case["domain"], *fields).hex() == case["payload"]
    assert identity.sign(case["domain"], *fields) == signature
    assert verify(case["peerId"], signature, case["domain"], *fields)


@cases("identity", "refusedSignatures")
def test_a_signature_that_does_not_hold(case: dict[str, Any]) -> None:
    fields = [bytes.fromhex(field) for field in case["fields"]]
    assert not verify(case["peerId"], b64url_decode(case["signature"]), case["domain"], *fields)


# -- handshake ---------------------------------------------------------------------------------------


def transcript_of(proof: dict[str, Any], role: Any) -> bytes:
    a, b = proof["a"], proof["b"]
    return transcript(
        signer_role=role,
        key_a=parse_peer_id(a["peerId"]),
        key_b=parse_peer_id(b["peerId"]),
        nonce_a=bytes.fromhex(a["nonce"]),
        nonce_b=bytes.fromhex(b["nonce"]),
        fingerprint_a=bytes.fromhex(a["fingerprint"]),
        fingerprint_b=bytes.fromhex(b["fingerprint"]),
        room=proof["room"],
        hello_a=a["hello"].encode(),
        hello_b=b["hello"].encode(),
    )


@cases("handshake", "proofs")
def test_a_proof(case: dict[str, Any]) -> None:
    for role, side in (("A", "a"), ("B", "b")):
        payload = transcript_of(case, role)
        assert payload.hex() == case[f"transcript{role}"]
        identity = Identity.from_private_bytes(bytes.fromhex(case[side]["seed"]))
        signature = b64url_decode(case[f"signature{role}"])
        assert identity.sign_payload(payload) == signature
        assert verify_payload(identity.public_bytes, payload, signature)


@cases("handshake", "refusedProofs")
def test_a_proof_that_does_not_hold(case: dict[str, Any]) -> None:
    proof = VECTORS["handshake"]["proofs"][0]
    payload = transcript_of(proof, "B")
    try:
        signature = b64url_decode(case["signature"], 64)
    except ValueError:
        return
    assert not verify_payload(parse_peer_id(proof["b"]["peerId"]), payload, signature)


def session_of(own: dict[str, Any], **changed: Any) -> Session:
    nonce = bytes.fromhex(own["nonce"])
    given: dict[str, Any] = {
        "peer_id": own["peerId"],
        "name": "robot",
        "room": "lab",
        "config": SessionConfig(),
        "entropy": lambda count: nonce,
        "now": 0.0,
        "local_fingerprint": bytes(32),
        "remote_fingerprint": bytes(32),
        "max_message_size": 262_144,
    }
    return Session(**(given | changed))


@cases("handshake", "refusedHellos")
def test_a_hello_that_is_refused_before_anything_is_signed(case: dict[str, Any]) -> None:
    session = session_of(case["own"], pin=case["pin"])
    session.data_to_send(1 << 20)
    session.receive_data(case["hello"], 0.0)
    (closed,) = session.events_received()
    assert isinstance(closed, events.SessionClosed)
    assert (closed.code, closed.by) == (case["code"], "local")
    assert isinstance(closed.error, HandshakeError)
    (bye,) = session.data_to_send(1 << 20)
    assert json.loads(bye)["method"] == "rpc.bye"
    assert json.loads(bye)["params"]["code"] == case["code"]


@cases("handshake", "negotiated")
def test_what_two_hellos_agree_on(case: dict[str, Any]) -> None:
    proof = VECTORS["handshake"]["proofs"][0]
    ours, theirs = (
        parse_hello(json.loads(proof[side]["hello"])["params"] | case[whose])
        for side, whose in (("a", "ours"), ("b", "theirs"))
    )
    assert check_hello(ours, theirs, None) == case["version"]
    a, _ = ready_pair_of(ours, theirs)
    assert a.remote is not None
    assert a.remote.version == case["version"]
    a.send_notification("x", ["y" * 100_000])
    frames = a.data_to_send(1 << 20)
    assert all(isinstance(frame, bytes) for frame in frames)
    # 0x01 is a part of MessagePack envelopes, 0x03 one of text.
    assert frames[-2][0] == (0x01 if case["encoding"] == "msgpack" else 0x03)
    if "sendFrame" in case:
        assert max(map(len, frames)) == case["sendFrame"]


def ready_pair_of(ours: Any, theirs: Any) -> tuple[Session, Session]:
    """Sessions whose configurations say what the hellos say (unknown words included)."""
    configs = [
        SessionConfig(
            level=hello.level,
            features=hello.features,
            encodings=tuple(hello.encodings),
            max_frame=hello.max_frame,
            max_message=hello.max_message,
            max_in_flight=hello.max_in_flight,
        )
        for hello in (ours, theirs)
    ]
    a = Party(fingerprint=b"a" * 32, peer_fingerprint=b"b" * 32, config=configs[0])
    b = Party(fingerprint=b"b" * 32, peer_fingerprint=b"a" * 32, config=configs[1])
    for _ in range(4):
        to_b, to_a = a.take(), b.take()
        b.receive(*to_b)
        a.receive(*to_a)
    assert a.session.state is b.session.state is SessionState.READY
    a.take()
    return a.session, b.session


# -- JSON-RPC 2.0 ------------------------------------------------------------------------------------

JSON_ONLY = SessionConfig(encodings=("json",))


def serve(session: Session) -> None:
    """The functions of the specification's examples."""
    for event in session.events_received():
        if not isinstance(event, events.RequestReceived):
            continue
        params: Any = event.params
        match event.method:
            case "subtract":
                a, b = params if isinstance(params, list) else (params["minuend"], params["subtrahend"])
                session.send_response(event.id, a - b)
            case "sum":
                session.send_response(event.id, sum(params))
            case "get_data":
                session.send_response(event.id, ["hello", 5])
            case _:
                session.send_error(event.id, -32601, "Method not found")


def without_words(answer: Any) -> Any:
    """An answer in which an error says its code and no more, and whose place in a batch doesn't count."""
    if isinstance(answer, list):
        return sorted((without_words(item) for item in answer), key=repr)
    if "error" in answer:
        answer = answer | {"error": {"code": answer["error"]["code"]}}
    return dict(sorted(answer.items()))


def sent_texts(session: Session) -> list[Any]:
    return [json.loads(frame) for frame in session.data_to_send(1 << 20) if isinstance(frame, str)]


@pytest.mark.parametrize("level", ["anonymous", "proved"])
@cases("jsonrpc", "exchanges")
def test_the_specifications_examples_as_a_server(case: dict[str, Any], level: str) -> None:
    if level == "proved":
        session = ready_pair(config=JSON_ONLY)[0].session
    else:
        own = VECTORS["handshake"]["proofs"][0]["a"]
        session = session_of(own, config=SessionConfig(encodings=("json",), allow_anonymous=True))
    session.data_to_send(1 << 20)
    session.receive_data(case["request"], 0.0)
    serve(session)
    answers = sent_texts(session)
    if case["response"] is None:
        assert answers == []
    else:
        (answer,) = answers
        assert without_words(answer) == without_words(case["response"])
    assert session.state is SessionState.READY


@cases("jsonrpc", "exchanges")
def test_the_specifications_examples_as_a_client(case: dict[str, Any]) -> None:
    """Our calls take the place of the request's, with ids of our own; every one of them settles."""
    if case["response"] is None:
        return
    party, _ = ready_pair(config=JSON_ONLY)
    session = party.session
    try:
        request = json.loads(case["request"])
    except ValueError:
        request = {"method": "foobar", "id": 1}
    items = request if isinstance(request, list) else [request]
    items = [item if isinstance(item, dict) and "method" in item else {"method": "odd", "id": 1} for item in items]
    messages = [
        (str(item["method"]), item.get("params", [])) if "id" in item else (str(item["method"]), [], "notify")
        for item in items or [{"method": "odd", "id": 1}]
    ]
    ids = (
        session.send_batch(messages, now=0.0)
        if isinstance(request, list)
        else [session.send_request(messages[0][0], [], now=0.0)]
    )
    session.data_to_send(1 << 20)
    fresh = iter(ids)
    known: dict[Any, int] = {}
    for item in items:
        if item.get("id") is not None:
            known[item["id"]] = next(fresh)

    def ours(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"id": known.get(answer["id"], answer["id"])} if answer["id"] is not None else answer

    response = case["response"]
    response = [ours(one) for one in response] if isinstance(response, list) else ours(response)
    for one in response if isinstance(response, list) else [response]:
        if "error" in one:
            one["error"].setdefault("message", "words")
    session.receive_data(json.dumps(response), 0.0)
    settled = [event.id for event in session.events_received() if not isinstance(event, events.SessionClosed)]
    assert sorted(settled) == sorted(ids)  # type: ignore[type-var]


# -- invites -----------------------------------------------------------------------------------------


@cases("invites", "valid")
def test_a_link(case: dict[str, Any]) -> None:
    invite = Invite.parse(case["link"])
    told = (invite.url, invite.room, invite.pin, invite.name, invite.token)
    assert told == tuple(case[name] for name in ("url", "room", "pin", "peerName", "token"))
    assert Invite.from_fragment(invite.to_fragment()) == invite


@cases("invites", "refused")
def test_what_is_no_link(case: dict[str, Any]) -> None:
    with pytest.raises(InviteError):
        Invite.parse(case["link"])


def test_every_file_of_vectors_has_its_tests() -> None:
    # Signaling's have theirs in tests/unit/signaling.
    assert set(VECTORS) == {"values", "envelopes", "frames", "identity", "handshake", "jsonrpc", "invites", "signaling"}
