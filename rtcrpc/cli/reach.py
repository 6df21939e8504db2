"""Who can use a link: a browser on this machine only, any browser, or no browser elsewhere."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["browser_trouble", "is_local"]


def is_local(link: str) -> bool:
    """Whether the link leads to something on this machine, and so is of no use on another one."""
    return _is_loopback(link) or _is_loopback(_bootstrap_of(link))


def browser_trouble(link: str) -> str | None:
    """Why a browser on another device can't use the link, and what to do; None where it can, or is not meant to."""
    page, bootstrap = urlsplit(link), _bootstrap_of(link)
    if page.scheme == "http" and not _is_loopback(link):
        return (
            f"http://{page.netloc} is good for rtcrpc call and Python, but browsers give a page keys and WebRTC only over "
            "https, or on localhost. Serve it over https: `rtcrpc serve` and `rtcrpc bootstrap` take --tls-cert and "
            "--tls-key, and --public-url where an https proxy stands in front"
        )
    if page.scheme == "https" and bootstrap.startswith("ws:") and not _is_loopback(bootstrap):
        return f"browsers let no page over https speak to {bootstrap.partition('/room/')[0]}: the bootstrap needs a wss:// address"
    return None


def _bootstrap_of(link: str) -> str:
    from rtcrpc.core.invite import Invite

    return Invite.parse(link).url


def _is_loopback(url: str) -> bool:
    from rtcrpc.bootstrap.admission import is_loopback_host

    return is_loopback_host(urlsplit(url).hostname or "")
