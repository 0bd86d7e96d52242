"""Who is let in, and as whom: roles, narrowed projects, cookies, proxies."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from hub import hookimpl
from hub.contracts import Bus
from hub.gateway import forgery
from hub.gateway.authentication import HOST_PREFIX
from hub.permissions import SIGNED_IN, Role
from hub.routes import Authenticator, Call, Caller, Client, Cookie, NoQuery, Reply, Route
from hub.scope import hidden_projects
from hub.settings import HttpSettings
from tests.fixtures.gateway import RunSite, Site

SESSION = "ses_secret"
NARROW = {"prj_viewed": Role.VIEWER, "prj_closed": Role.BILLING}
CALLERS = {
    "owner": Caller("acc_one", "apt_1"),
    "viewer": Caller("acc_one", "apt_2", role=Role.VIEWER),
    "narrowed": Caller("acc_one", "apt_3", role=Role.ADMIN, narrowed=NARROW),
    SESSION: Caller("acc_one", "ses_1", user="usr_1", interactive=True),
}


class Seen(msgspec.Struct, frozen=True):
    """What a handler saw."""

    caller: Caller
    client: Client
    cookies: dict[str, str]
    hidden: list[str]


@dataclass
class People:
    """A plugin that says whom it sees."""

    async def see(self, call: Call[Any, NoQuery]) -> Reply:
        seen = Seen(call.caller, call.client, dict(call.cookies), sorted(hidden_projects()))
        return Reply(seen, cookies=(Cookie("known", "k1", 60), Cookie("old", "")))

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, _: Bus) -> Caller | None:
            return CALLERS.get(credential)

        return [Authenticator("people", "Bearer", check, cookie="session")]

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        return [
            self._route("GET", "/see", "notes:read"),
            self._route("POST", "/see", "notes:write"),
            self._route("GET", "/self", SIGNED_IN.name),
            self._route("POST", "/self", SIGNED_IN.name, interactive=True),
            self._route("POST", "/open", None),
            self._route("GET", "/see/{project}", "notes:read"),
            self._route("POST", "/see/{project}", "notes:write"),
            self._route("GET", "/nobody", "notes:undeclared"),
        ]

    def _route(
        self, method: str, path: str, permission: str | None, *, interactive: bool = False
    ) -> Route[Any, Any]:
        return Route(
            method=method, path=path, summary="See", tag="people", handler=self.see,
            permission=permission, interactive=interactive, response=Seen,
        )  # fmt: skip


@pytest.fixture
async def people(run_site: RunSite) -> AsyncIterator[Site]:
    settings = HttpSettings(port=0, trusted_proxies=("127.0.0.0/8",))
    async with run_site(settings, people=People()) as site:
        yield site


async def ask(
    site: Site, method: str, path: str, **headers: str
) -> tuple[int, dict[str, Any], list[str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with site.http.request(method, f"{site.url}{path}", headers=named) as response:
        return response.status, await response.json(), response.headers.getall("Set-Cookie", [])


async def test_a_role_has_its_permissions_and_no_others(people: Site) -> None:
    assert (await ask(people, "GET", "/see", Authorization="Bearer viewer"))[0] == 200
    status, problem, _ = await ask(people, "POST", "/see", Authorization="Bearer viewer")
    assert status == 403
    assert "your role here, viewer, lacks the permission notes:write" in problem["detail"]
    assert (await ask(people, "GET", "/self", Authorization="Bearer viewer"))[0] == 200


async def test_a_route_with_a_permission_that_nobody_declares_is_not_served(people: Site) -> None:
    assert (await ask(people, "GET", "/nobody", Authorization="Bearer owner"))[0] == 404


async def test_only_a_person_may_do_what_is_for_people(people: Site) -> None:
    status, problem, _ = await ask(people, "POST", "/self", Authorization="Bearer owner")
    assert (status, "no token" in problem["detail"]) == (403, True)
    assert (await ask(people, "POST", "/self", Authorization=f"Bearer {SESSION}"))[0] == 200


async def test_a_narrowed_role(people: Site) -> None:
    """What it lacks is hidden from the handler; a project that it may see says what is missing."""
    narrowed = "Bearer narrowed"
    _, seen, _ = await ask(people, "GET", "/see", Authorization=narrowed)
    assert seen["hidden"] == ["prj_closed"]
    _, seen, _ = await ask(people, "POST", "/see", Authorization=narrowed)
    assert seen["hidden"] == ["prj_closed", "prj_viewed"]
    _, seen, _ = await ask(people, "POST", "/see/prj_other", Authorization=narrowed)
    assert seen["hidden"] == ["prj_closed", "prj_viewed"]
    _, seen, _ = await ask(people, "GET", "/see", Authorization="Bearer owner")
    assert seen["hidden"] == []


# ── cookies ──

PAGE = {"Sec_Fetch_Site": "same-origin"}
TOKEN = {"X_CSRF_Token": forgery.csrf_token(SESSION)}


async def test_a_cookie_is_a_credential(people: Site) -> None:
    status, seen, cookies = await ask(people, "GET", "/see", Cookie=f"session={SESSION}")
    assert (status, seen["caller"]["user"]) == (200, "usr_1")
    assert cookies == [
        "known=k1; Path=/; HttpOnly; SameSite=Lax; Max-Age=60",
        "old=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
    ]
    assert (await ask(people, "GET", "/see", Cookie="session=other"))[0] == 401


async def test_over_tls_only_cookies_of_this_host_count(people: Site) -> None:
    """Another host of the domain could set one without the prefix (session fixation)."""
    tls = {"X_Forwarded_Proto": "https"}
    assert (await ask(people, "GET", "/see", Cookie=f"session={SESSION}", **tls))[0] == 401
    status, _, cookies = await ask(
        people, "GET", "/see", Cookie=f"{HOST_PREFIX}session={SESSION}", **tls
    )
    assert status == 200
    assert cookies[0] == "__Host-known=k1; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"


async def test_a_browser_that_came_by_https_is_to_come_by_it_again(people: Site) -> None:
    """Also where a proxy serves it; never over plain HTTP (RFC 6797, section 7.2)."""
    for said, strict in (("https", True), ("http", False), ("", False)):
        headers = {"X-Forwarded-Proto": said} if said else {}
        for path in ("/see", "/nowhere", "/healthz"):
            async with people.http.get(f"{people.url}{path}", headers=headers) as response:
                assert ("Strict-Transport-Security" in response.headers) is strict


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (PAGE | TOKEN, 200),
        (PAGE, 403),
        (PAGE | {"X_CSRF_Token": forgery.csrf_token("another")}, 403),
        (PAGE | {"X_CSRF_Token": "é"}, 403),
        (TOKEN, 403),
        (TOKEN | {"Sec_Fetch_Site": "same-site"}, 403),
        (TOKEN | {"Sec_Fetch_Site": "cross-site"}, 403),
        (TOKEN | {"Sec_Fetch_Site": "none"}, 403),
        (TOKEN | {"Origin": "https://evil.example"}, 403),
        (TOKEN | {"Origin": "null"}, 403),
    ],
)
async def test_a_change_by_a_cookie_comes_from_our_own_pages(
    people: Site, headers: dict[str, str], status: int
) -> None:
    answer = await ask(people, "POST", "/see", Cookie=f"session={SESSION}", **headers)
    assert answer[0] == status
    if status == 403:
        assert answer[1]["type"] == "/problems/forged"


async def test_an_old_browser_names_its_origin(people: Site) -> None:
    headers = TOKEN | {"Origin": people.url, "Cookie": f"session={SESSION}"}
    assert (await ask(people, "POST", "/see", **headers))[0] == 200


async def test_an_open_route_is_as_careful(people: Site) -> None:
    """Without a cookie anyone may use it; with one, only our own pages."""
    assert (await ask(people, "POST", "/open"))[0] == 200
    assert (await ask(people, "POST", "/open", Cookie=f"session={SESSION}"))[0] == 403


# ── proxies ──


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("", "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 127.0.0.2", "203.0.113.9"),
        ("nonsense", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
async def test_the_address_behind_proxies(people: Site, forwarded: str, address: str) -> None:
    """The last that is no proxy of ours: what stands before it could be anybody's invention."""
    headers = {"X_Forwarded_For": forwarded} if forwarded else {}
    _, seen, _ = await ask(people, "POST", "/open", User_Agent="a" * 300, **headers)
    assert seen["client"] == {"address": address, "agent": "a" * 256, "secure": False}


async def test_a_proxy_that_we_do_not_trust_says_nothing(run_site: RunSite) -> None:
    async with run_site(people=People()) as site:
        headers = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https"}
        _, seen, _ = await ask(site, "POST", "/open", **headers)
    assert (seen["client"]["address"], seen["client"]["secure"]) == ("127.0.0.1", False)
