"""Pages of other sites: none by default, those that are named by a token, and never by a cookie."""

import pytest

from hub.errors import StartError
from hub.settings import HttpSettings
from tests.fixtures.gateway import WRITER, RunSite, Site

APP = "https://app.example.com"
NOTES = "/api/v1/notes"
OTHERS = [
    "https://evil.example", "http://app.example.com", "https://app.example.com:8443",
    "https://APP.example.com", "https://app.example.com.evil.example", "https://app.example.com/",
    "null", "", "*",
]  # fmt: skip


async def headers_of(
    site: Site, method: str, origin: str | None, path: str = NOTES, **more: str
) -> dict[str, str]:
    """Ask as a browser does for a page of this origin."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    if origin is not None:
        headers["Origin"] = origin
    async with site.http.request(method, f"{site.url}{path}", headers=headers) as response:
        return {name.lower(): value for name, value in response.headers.items()}


def allows(headers: dict[str, str]) -> bool:
    """Say whether anything at all is allowed."""
    return any(name.startswith("access-control-") for name in headers)


PREFLIGHT = {
    "Access_Control_Request_Method": "PUT",
    "Access_Control_Request_Headers": "authorization,if-match",
}


async def test_by_default_no_other_site_is_let_in(site: Site) -> None:
    for method, more in (("GET", WRITER), ("OPTIONS", PREFLIGHT)):
        headers = await headers_of(site, method, APP, **more)
        assert not allows(headers)
        assert "vary" not in headers


async def test_a_site_that_is_named_may_ask_with_a_token(run_site: RunSite) -> None:
    async with run_site(HttpSettings(port=0, allowed_origins=(APP,))) as site:
        preflight = await headers_of(site, "OPTIONS", APP, f"{NOTES}/n001", **PREFLIGHT)
        assert preflight["access-control-allow-origin"] == APP
        assert "PUT" in preflight["access-control-allow-methods"].split(", ")
        assert "If-Match" in preflight["access-control-allow-headers"].split(", ")
        assert preflight["access-control-max-age"] == "600"
        assert preflight["vary"].split(", ")[-1] == "Origin"
        for path, more in ((NOTES, WRITER), (NOTES, {}), ("/nowhere", {}), ("/trouble/crash", {})):
            headers = await headers_of(site, "GET", APP, path, **more)
            assert headers["access-control-allow-origin"] == APP
            assert "Origin" in headers["vary"].split(", ")
            assert "RateLimit" in headers["access-control-expose-headers"].split(", ")
            assert "access-control-allow-credentials" not in headers
        followed = await headers_of(site, "GET", APP, "/api/v1/follow/three", **WRITER)
        assert followed["vary"] == "Accept, Origin"


@pytest.mark.parametrize("origin", [*OTHERS, None])
async def test_no_other_site_is(run_site: RunSite, origin: str | None) -> None:
    async with run_site(HttpSettings(port=0, allowed_origins=(APP,))) as site:
        for method, more in (("GET", WRITER), ("OPTIONS", PREFLIGHT)):
            headers = await headers_of(site, method, origin, **more)
            assert not allows(headers)
            assert headers["vary"] == "Origin"


async def test_every_site_may_be_let_in_but_by_no_cookie(run_site: RunSite) -> None:
    async with run_site(HttpSettings(port=0, allowed_origins=("*",))) as site:
        headers = await headers_of(site, "GET", "https://anybody.example", **WRITER)
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers
        assert "vary" not in headers


@pytest.mark.parametrize("origin", ["app.example.com", "null", "ftp://x", f"{APP}/", "https://A.b"])
async def test_what_is_no_origin_is_named_at_the_start(run_site: RunSite, origin: str) -> None:
    with pytest.raises(StartError, match=r"http\.allowed_origins"):
        async with run_site(HttpSettings(port=0, allowed_origins=(origin,))):
            pass
