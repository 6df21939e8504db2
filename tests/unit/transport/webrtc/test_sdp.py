"""Descriptions: what is read, what is written, what is refused and why."""

import dataclasses

import pytest

from rtcrpc.errors import ProtocolError, TooLarge
from rtcrpc.limits import MAX_CANDIDATES, MAX_SDP
from rtcrpc.transport.webrtc.candidates import CandidateFilter, IceCandidate, parse_candidate
from rtcrpc.transport.webrtc.sdp import Description, Setup, build_description, parse_description

FINGERPRINT = bytes(range(32))
OURS = Description(
    ufrag="abcd",
    password="p" * 22,
    fingerprint=FINGERPRINT,
    setup=Setup.ACTPASS,
    candidates=(IceCandidate("f0", "udp", 2130706431, "192.0.2.1", 50000, "host"),),
)

# Written down from Chromium 156 and Firefox 153, shortened to the lines that matter.
CHROMIUM = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=candidate:3885250869 1 udp 2122260223 3b6c1e1e-66a1-4a6f-a2f2-6a2a4f4e6a3d.local 53421 typ host generation 0
a=candidate:1467250027 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0 network-id 1
a=ice-ufrag:Dm1G
a=ice-pwd:Xy3d5vMB2vgzq7Gd8wmgjFPM
a=ice-options:trickle
a=fingerprint:sha-256 %s
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
"""
FIREFOX = """v=0
o=mozilla...THIS_IS_SDPARTA-99.0 123 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 %s
a=group:BUNDLE 0
a=ice-options:trickle
a=msid-semantic:WMS *
m=application 51234 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.7
a=candidate:0 1 UDP 2122252543 192.0.2.7 51234 typ host
a=sendrecv
a=end-of-candidates
a=ice-pwd:00112233445566778899aabbccddeeff
a=ice-ufrag:deadbeef
a=mid:0
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
"""


def lines_of(fingerprint: bytes = FINGERPRINT) -> str:
    return fingerprint.hex(":").upper()


def test_what_is_written_is_read_back() -> None:
    text = build_description(OURS)
    assert text.endswith("\r\n")
    assert parse_description(text) == OURS


def test_an_unbundled_answer_has_no_group() -> None:
    answer = dataclasses.replace(OURS, bundled=False, mid="data")
    text = build_description(answer)
    assert "a=group" not in text
    assert parse_description(text) == answer


def test_chromium() -> None:
    read = parse_description(CHROMIUM % lines_of())
    assert read.fingerprint == FINGERPRINT
    assert (read.ufrag, read.setup, read.max_message_size) == ("Dm1G", Setup.ACTPASS, 262144)
    # The TCP one is not for us.
    assert [c.host for c in read.candidates] == ["3b6c1e1e-66a1-4a6f-a2f2-6a2a4f4e6a3d.local"]
    assert read.candidates[0].is_mdns


def test_firefox_with_its_fingerprint_outside_the_media_section() -> None:
    read = parse_description((FIREFOX % lines_of()).replace("\n", "\r\n"))
    assert read.fingerprint == FINGERPRINT
    assert [(c.host, c.port) for c in read.candidates] == [("192.0.2.7", 51234)]


def test_other_hashes_are_left_out_and_the_same_one_twice_is_one() -> None:
    more = f"a=fingerprint:sha-512 {bytes(64).hex(':')}\r\na=fingerprint:SHA-256 {lines_of().lower()}\r\n"
    assert parse_description(build_description(OURS) + more).fingerprint == FINGERPRINT


def test_defaults_of_the_standard() -> None:
    text = build_description(OURS)
    text = text.replace("a=sctp-port:5000\r\n", "").replace("a=max-message-size:262144\r\n", "")
    read = parse_description(text.replace("a=mid:0\r\n", ""))
    assert (read.sctp_port, read.max_message_size, read.mid) == (5000, 65536, "0")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"a=fingerprint:sha-256 {lines_of()}\r\n", "", "got none"),
        ("a=setup:", f"a=fingerprint:sha-256 {lines_of(bytes(32))}\r\na=setup:", "got 2"),
        ("v=0", f"v=0\r\na=fingerprint:sha-256 {lines_of(bytes(32))}", "got 2"),
        ("a=fingerprint:sha-256 00", "a=fingerprint:sha-256 0", "32 bytes"),
        ("m=application", "m=audio", "one media section"),
        ("a=mid", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid", "one media section"),
        ("a=ice-ufrag:abcd\r\n", "", "ice-ufrag"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:abc", "ice-ufrag"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:abcd\r\na=ice-ufrag:efgh", "differ"),
        ("a=ice-pwd:p", "a=ice-pwd:", "ice-pwd"),
        ("a=setup:actpass", "a=setup:holdconn", "setup"),
        ("a=sctp-port:5000", "a=sctp-port:0", "sctp-port"),
        ("a=max-message-size:262144", "a=max-message-size:-1", "max-message-size"),
        ("a=mid:0", "a=mid:a b", "mid"),
        ("a=candidate:f0 1 udp", "a=candidate:f0 one udp", "numbers"),
    ],
)
def test_refusals_say_what_was_expected(old: str, new: str, words: str) -> None:
    text = build_description(OURS)
    assert old in text
    with pytest.raises(ProtocolError, match=words):
        parse_description(text.replace(old, new, 1))


def test_the_size_at_the_limit_and_one_more() -> None:
    text = build_description(OURS)
    text += "a=" + "x" * (MAX_SDP - len(text) - 2)
    parse_description(text)
    with pytest.raises(TooLarge):
        parse_description(text + "x")
    # Counted in bytes.
    with pytest.raises(TooLarge):
        parse_description(text[:-1] + "é")


def test_candidates_at_the_limit_and_one_more() -> None:
    def text(count: int) -> str:
        made = tuple(IceCandidate("f", "udp", 1, "10.0.0.1", 2000 + n, "host") for n in range(count))
        return build_description(dataclasses.replace(OURS, candidates=made))

    assert len(parse_description(text(MAX_CANDIDATES)).candidates) == MAX_CANDIDATES
    assert len(parse_description(text(MAX_CANDIDATES + 1)).candidates) == MAX_CANDIDATES


@pytest.mark.parametrize("text", ["", "a=candidate:", "candidate:1 2 udp 1 10.0.0.1 5000 typ host"])
def test_candidates_of_no_use(text: str) -> None:
    assert parse_candidate(text) is None


def test_a_candidate_is_read_and_written() -> None:
    text = "candidate:f 1 udp 100 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 4000"
    read = parse_candidate(text)
    assert read == IceCandidate("f", "udp", 100, "192.0.2.1", 5000, "srflx")
    assert str(IceCandidate("f", "udp", 100, "192.0.2.1", 5000, "srflx", "10.0.0.1", 4000)) == text


@pytest.mark.parametrize(
    "text",
    [
        "candidate",
        "candidate:1 1 udp 1 10.0.0.1 5000 host",
        "candidate:1 1 udp 1 10.0.0.1 65536 typ host",
        "candidate:1 1 udp 1 10.0.0.1 5000 typ other",
        "candidate:\u00e9 1 udp 1 10.0.0.1 5000 typ host",
        "candidate:1 1 udp \u0661 10.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 10.0.0.1 5000 typ host " + "x" * 600,
    ],
)
def test_what_is_not_a_candidate(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_candidate(text)


def test_the_filter_can_be_stricter_and_ports_are_those_of_peers() -> None:
    strict = CandidateFilter(allow_loopback=False, allow_private=False, allow_mdns=False)
    for host in ("127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "abc.local", "::ffff:10.0.0.1"):
        assert strict.refusal(host, 5000)
        assert CandidateFilter().refusal(host, 5000) is None
    assert strict.refusal("8.8.8.8", 5000) is None
    assert CandidateFilter().refusal("8.8.8.8", 443) is None
    assert CandidateFilter().refusal("8.8.8.8", 53)
    assert CandidateFilter().refusal("10.0.0.1", 443)
    assert CandidateFilter().refusal("10.0.0.1", 1023)
    assert CandidateFilter().refusal("10.0.0.1", 1024) is None
