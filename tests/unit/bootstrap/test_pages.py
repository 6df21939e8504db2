from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from rtcrpc.bootstrap.app import create_app
from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.bootstrap.pages import CONTENT_SECURITY_POLICY

FILES = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "app.mjs": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "app.js.map": "application/json",
    "site.webmanifest": "application/manifest+json",
    "strange.xyz": "application/octet-stream",
}


@pytest.fixture
def page_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "sub").mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"this is {name}")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
async def web(page_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    bootstrap = create_app(BootstrapConfig(page_dir=page_dir))
    app = Starlette(routes=[Mount("/rtc", bootstrap), Mount("/", bootstrap)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize("prefix", ["", "/rtc"])
@pytest.mark.parametrize(("name", "media_type"), FILES.items())
async def test_files_are_served_with_their_type_and_headers(
    web: httpx.AsyncClient, prefix: str, name: str, media_type: str
):
    answer = await web.get(f"{prefix}/{name}")
    assert answer.status_code == 200
    assert answer.text == f"this is {name}"
    headers = answer.headers
    assert headers["content-type"] == media_type
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-cache"
    assert "camera=()" in headers["permissions-policy"]


@pytest.mark.parametrize("path", ["/", "/rtc/"])
async def test_the_root_is_the_index(web: httpx.AsyncClient, path: str):
    answer = await web.get(path)
    assert (answer.status_code, answer.text) == (200, "this is index.html")


async def test_a_mounted_page_without_its_slash_leads_to_the_one_with_it(page_dir: Path):
    app = Starlette(routes=[Mount("/rtc", create_app(BootstrapConfig(page_dir=page_dir)))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/rtc")
    assert answer.status_code == 307
    assert answer.headers["location"] == "http://localhost/rtc/"


async def test_a_copy_that_is_still_good_is_not_sent_again(web: httpx.AsyncClient):
    first = await web.get("/app.js")
    again = await web.get("/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")
    assert "content-security-policy" in again.headers


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/link.txt",
        "/sub/",
        "/no.js",
        "//etc/passwd",
        "/a%00b",
    ],
)
async def test_nothing_outside_the_folder_is_served(web: httpx.AsyncClient, path: str):
    answer = await web.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["cache-control"] == "no-store"


async def test_the_health_check_tells_nothing_of_rooms(web: httpx.AsyncClient):
    answer = await web.get("/healthz")
    assert answer.json() == {"status": "ok", "signaling": "rtcrpc.signal.1"}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/healthz", "/app.js", "/rtc/"])
async def test_a_rebound_name_gets_nothing(web: httpx.AsyncClient, path: str):
    answer = await web.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "this is" not in answer.text


async def test_without_a_page_there_is_only_signaling():
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.post("/healthz")).status_code == 405
        assert (await client.get("/room/lab")).status_code == 404
