from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcrpc.bootstrap.admission import Admission, address_key
from rtcrpc.bootstrap.config import BootstrapConfig


def admission(**config: object) -> Admission:
    return Admission(BootstrapConfig(**config))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "127.8.9.10:65535", "[::1]", "[::1]:8000"]
)
def test_loopback_hosts_are_served(host: str):
    assert admission().check_host([host]) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "foo.localhost",
        "0.0.0.0",
        "[::]",
        "192.168.1.5",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost:8000:9000",
        "localhost:",
        "localhost:port",
        "user@localhost",
        "localhost/evil",
        "localhost evil",
        "[::1",
        "::1",
        "localhost\n",
        "lócalhost",
    ],
)
def test_other_hosts_are_not(host: str):
    refusal = admission().check_host([host])
    assert refusal is not None
    assert refusal.status == 421
    assert refusal.reason.isascii()


def test_one_host_header_is_expected():
    for hosts in ([], ["localhost", "localhost"], ["localhost", "evil.example"]):
        refusal = admission().check_host(hosts)
        assert refusal is not None
        assert refusal.status == 400


def test_listed_hosts_are_served_with_their_port_or_any():
    gate = admission(hosts=("Example.org", "lab.example:8443", "[2001:db8::1]", "192.168.1.5"))
    for host in ("example.org", "EXAMPLE.ORG:99", "lab.example:8443", "[2001:db8::1]:1", "192.168.1.5:80", "localhost"):
        assert gate.check_host([host]) is None, host
    for host in ("www.example.org", "lab.example", "lab.example:80", "[2001:db8::2]", "192.168.1.55"):
        assert gate.check_host([host]) is not None, host


def test_the_host_of_the_public_url_is_served():
    gate = admission(public_url="https://Example.org:8443/rtc")
    assert gate.check_host(["example.org:8443"]) is None
    assert gate.check_host(["example.org"]) is not None


@pytest.mark.parametrize("host", ["*", "*.example.org", "https://example.org", "example.org/", "", "a b"])
def test_a_host_that_is_none_can_not_be_listed(host: str):
    with pytest.raises(ValueError, match="hosts: expected a name"):
        admission(hosts=(host,))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:5173", "127.0.0.1:8000"),
        ("https://example.org", "example.org"),
        ("https://example.org:443", "example.org"),
        ("https://example.org:8443", "example.org:8443"),
        ("HTTPS://EXAMPLE.ORG", "Example.org"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://localhost:3000", "example.org"),
    ],
)
def test_own_and_loopback_origins_may_connect(origin: str, host: str):
    assert admission(hosts=("example.org",)).check_origin([origin], host, secure=False) is None


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "https://evil.example",
        "https://example.org.evil.example",
        "https://evil-example.org",
        "https://sub.example.org",
        "https://example.org:8443",
        "https://example.org@evil.example",
        "https://example.org/",
        "https://example.org.",
        "ftp://example.org",
        "file://",
        "example.org",
        "://example.org",
        "chrome-extension://abcdef",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://example.org https://evil.example",
        "https://exämple.org",
    ],
)
def test_other_origins_may_not(origin: str):
    refusal = admission(hosts=("example.org",)).check_origin([origin], "example.org", secure=False)
    assert refusal is not None
    assert refusal.status == 403
    assert "allowed_origins" in refusal.reason


def test_no_origin_is_a_program_and_two_are_a_forgery():
    assert admission().check_origin([], "localhost", secure=True) is None
    refusal = admission().check_origin(["http://localhost", "https://evil.example"], "localhost", secure=False)
    assert refusal is not None
    assert refusal.status == 400


def test_a_plain_http_page_is_not_the_same_origin_as_a_tls_bootstrap():
    gate = admission(hosts=("example.org",))
    assert gate.check_origin(["http://example.org"], "example.org", secure=True) is not None
    assert gate.check_origin(["https://example.org"], "example.org", secure=True) is None


def test_listed_origins_may_connect():
    gate = admission(
        allowed_origins=("https://Me.GitHub.io/", "https://a.example:443", "null", "chrome-extension://abc")
    )
    for origin in ("https://me.github.io", "https://a.example", "null", "chrome-extension://abc"):
        assert gate.check_origin([origin], "localhost", secure=False) is None, origin
    for origin in ("http://me.github.io", "https://me.github.io:8443", "https://b.github.io"):
        assert gate.check_origin([origin], "localhost", secure=False) is not None, origin


def test_any_origin_is_allowed_only_by_a_star():
    assert admission(allowed_origins=("*",)).check_origin(["https://evil.example"], "localhost", secure=False) is None


@pytest.mark.parametrize("origin", ["https://a.example/page", "a.example", "https://*.a.example", "", "https://"])
def test_an_origin_that_is_none_can_not_be_listed(origin: str):
    with pytest.raises(ValueError, match="allowed_origins: expected"):
        admission(allowed_origins=(origin,))


def test_connections_of_an_address_are_counted_at_n_and_n_plus_1():
    gate = admission(max_connections_per_address=2, max_connections=4)
    assert gate.enter("192.0.2.1") is None
    assert gate.enter("192.0.2.1") is None
    refusal = gate.enter("192.0.2.1")
    assert refusal is not None
    assert refusal.status == 429
    assert gate.enter("2001:db8:0:1::1") is None
    assert gate.enter("2001:db8:0:1:ffff::2") is None
    refusal = gate.enter("192.0.2.9")
    assert refusal is not None
    assert refusal.status == 503
    gate.leave("2001:db8:0:1::1")
    refusal = gate.enter("192.0.2.1")
    assert refusal is not None
    gate.leave("192.0.2.1")
    assert gate.enter("192.0.2.1") is None


def test_connections_without_an_address_are_counted_in_all_only():
    gate = admission(max_connections_per_address=1, max_connections=3)
    assert [gate.enter(None) is None for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix:", "unix:"),
        (None, ""),
    ],
)
def test_what_counts_as_one_client(address: str | None, key: str):
    assert address_key(address) == key


@given(st.text(), st.text())
def test_no_header_makes_the_gate_raise(host: str, origin: str):
    gate = admission(hosts=("example.org",))
    gate.check_host([host])
    gate.check_origin([origin], host, secure=True)
