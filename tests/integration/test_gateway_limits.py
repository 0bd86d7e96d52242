"""Rate limits and fair shares over HTTP: told with every answer, and nobody pays for another."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

import pytest

from hub.gateway.service import Tuning
from hub.settings import HttpSettings
from hub.testing import eventually
from tests.fixtures.gateway import PATIENCE, WRITER, RunSite, Site

NOTES = "/api/v1/notes"
STRANGER = {"Authorization": "Bearer stranger"}
WRONG = {"Authorization": "Bearer nobody"}
_ITEM = re.compile(r'"(?P<name>\w+)"(?P<parameters>(?:;[a-z]=\d+)+)')


def items(header: str) -> dict[str, dict[str, int]]:
    """Read a list of strings with parameters (RFC 9651, section 3.1)."""
    found = {}
    for item in header.split(", "):
        match = _ITEM.fullmatch(item)
        assert match, header
        pairs = (one.split("=") for one in match["parameters"].removeprefix(";").split(";"))
        found[match["name"]] = {name: int(value) for name, value in pairs}
    return found


async def ask(
    site: Site, path: str = NOTES, method: str = "GET", **more: str
) -> tuple[int, Mapping[str, str]]:
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    async with site.http.request(method, f"{site.url}{path}", headers=headers) as response:
        return response.status, response.headers


class Clock:
    """One that stands, so that no quota refills by itself."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def narrow(run_site: RunSite, clock: Clock) -> AsyncIterator[Site]:
    """A gateway behind a proxy, with limits that are soon reached."""
    settings = HttpSettings(
        port=0, trusted_proxies=("127.0.0.0/8",), requests_per_token=4,
        requests_per_network=9, requests_unauthenticated=2,
    )  # fmt: skip
    async with run_site(settings, Tuning(drain=PATIENCE, clock=clock)) as site:
        yield site


def at(number: int) -> dict[str, str]:
    """Come from a network of one's own."""
    return {"X-Forwarded-For": f"203.0.{number}.7"}


async def test_every_answer_tells_what_is_left(narrow: Site) -> None:
    left_of_network = 9
    for path, headers, status, quota in (
        (NOTES, WRITER, 200, "token"),
        (f"{NOTES}/none", WRITER, 404, "token"),
        (f"{NOTES}?x=1", WRITER, 422, "token"),
        ("/trouble/crash", WRITER, 500, "token"),
        (NOTES, WRONG, 401, "unauthenticated"),
        ("/api/v1/me", {}, 200, "unauthenticated"),
    ):
        got, answered = await ask(narrow, path, **headers)
        assert got == status
        left_of_network -= 1
        policies, left = items(answered["RateLimit-Policy"]), items(answered["RateLimit"])
        assert set(policies) == set(left) == {"network", quota}
        assert policies["network"] == {"q": 9, "w": 60}
        # A ninth of a minute, in whole seconds.
        assert left["network"] == {"r": left_of_network, "t": 7}
    for path, headers in (("/nowhere", {}), ("/openapi.json", {}), (NOTES, {})):
        _, answered = await ask(narrow, path, "OPTIONS" if path == NOTES else "GET", **headers)
        assert set(items(answered["RateLimit"])) == {"network"}


async def test_what_was_used_comes_back_with_time(narrow: Site, clock: Clock) -> None:
    for _ in range(9):
        await ask(narrow, "/nowhere")
    assert (await ask(narrow, "/nowhere"))[0] == 429
    clock.now += 59.9 / 9
    status, headers = await ask(narrow, "/nowhere")
    assert (status, headers["Retry-After"]) == (429, "1")
    clock.now += 0.1
    assert (await ask(narrow, "/nowhere"))[0] == 404
    assert (await ask(narrow, "/nowhere"))[0] == 429
    clock.now += 60.0
    status, headers = await ask(narrow, "/nowhere")
    assert (status, items(headers["RateLimit"])["network"]["r"]) == (404, 8)


async def test_a_token_has_its_own_limit(narrow: Site) -> None:
    for left in (3, 2, 1, 0):
        status, headers = await ask(narrow, **WRITER, **at(1))
        assert (status, items(headers["RateLimit"])["token"]["r"]) == (200, left)
    status, headers = await ask(narrow, **WRITER, **at(2))
    assert status == 429
    assert headers["Content-Type"] == "application/problem+json"
    assert int(headers["Retry-After"]) == items(headers["RateLimit"])["token"]["t"] == 15
    assert (await ask(narrow, **STRANGER, **at(1)))[0] == 200
    assert (await ask(narrow, Authorization="Bearer reader", **at(1)))[0] == 200
    assert b'isaax_http_limited_total{limit="token"} 1.0' in narrow.metrics.render()


async def test_a_network_has_its_own_limit(narrow: Site) -> None:
    for _ in range(9):
        await ask(narrow, "/nowhere", **at(1))
    for headers in (WRITER, WRONG, {}):
        status, answered = await ask(narrow, **headers, **at(1))
        assert (status, items(answered["RateLimit"])["network"]["r"]) == (429, 0)
    assert (await ask(narrow, **WRITER, **at(2)))[0] == 200


@pytest.mark.parametrize(("credential", "status"), [({}, 401), (WRONG, 401)])
async def test_who_shows_no_good_credential_is_limited_more(
    narrow: Site, credential: dict[str, str], status: int
) -> None:
    """By network; a good credential of the same network is let in as before."""
    for _ in range(2):
        assert (await ask(narrow, **credential, **at(1)))[0] == status
    assert (await ask(narrow, **credential, **at(1)))[0] == 429
    assert (await ask(narrow, "/api/v1/me", **at(1)))[0] == 429
    assert (await ask(narrow, **WRITER, **at(1)))[0] == 200
    assert (await ask(narrow, **credential, **at(2)))[0] == status


async def test_health_is_never_limited(narrow: Site) -> None:
    for path in ("/healthz", "/readyz") * 10:
        status, headers = await ask(narrow, path)
        assert status == 200
        assert "RateLimit" not in headers


async def test_zero_is_no_limit(run_site: RunSite) -> None:
    settings = HttpSettings(
        port=0, requests_per_token=0, requests_per_network=0, requests_unauthenticated=0
    )
    async with run_site(settings) as site:
        for headers in (WRITER, WRONG):
            _, answered = await ask(site, **headers)
            assert not {"RateLimit", "RateLimit-Policy"} & set(answered)


# ── fair shares ───────────────────────────────────────────────────────────────────────────────


def at_work(site: Site) -> int:
    """Say how many handlers of the notes have begun."""
    return site.notes.made


def gauge(site: Site, name: str) -> float:
    """Say what a gauge of the gateway says."""
    return float(site.metrics.gauge(f"isaax_http_{name}", "")._value.get())


def slow(site: Site, **headers: str) -> "asyncio.Task[int]":
    """Make a note whose handler waits for `go_on`."""

    async def post() -> int:
        async with site.http.post(
            f"{site.url}{NOTES}", json={"text": "slow"}, headers=headers
        ) as response:
            return response.status

    return asyncio.create_task(post())


async def test_a_flood_of_one_account_leaves_the_others_their_turn(run_site: RunSite) -> None:
    async with run_site(HttpSettings(port=0, requests_at_work=3)) as site:
        flood = [slow(site, **WRITER) for _ in range(40)]
        await eventually(lambda: at_work(site) == 3, "three are at work")
        assert (await ask(site, **STRANGER))[0] == 200
        assert (await ask(site, "/api/v1/me"))[0] == 200
        assert at_work(site) == 3
        site.notes.go_on.set()
        assert await asyncio.gather(*flood) == [201] * 40
        assert (await ask(site, **WRITER))[0] == 200


async def test_only_so_many_may_wait(run_site: RunSite) -> None:
    tuning = Tuning(waiting=2, drain=PATIENCE)
    async with run_site(HttpSettings(port=0, requests_at_work=1), tuning) as site:
        held = [slow(site, **WRITER) for _ in range(3)]
        await eventually(lambda: gauge(site, "waiting") == 2, "one is at work, two wait")
        status, headers = await ask(site, **WRITER)
        assert (status, headers["Retry-After"]) == (429, "1")
        assert (await ask(site, **STRANGER))[0] == 200
        site.notes.go_on.set()
        assert await asyncio.gather(*held) == [201] * 3


async def test_nothing_is_done_for_who_left_while_waiting(run_site: RunSite) -> None:
    async with run_site(HttpSettings(port=0, requests_at_work=1)) as site:
        first = slow(site, **WRITER)
        await eventually(lambda: at_work(site) == 1, "one is at work")
        head = b"POST /api/v1/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer writer\r\n"
        body = b'{"text": "never wanted"}'
        _, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
        writer.write(head + b"Content-Type: application/json\r\nContent-Length: 24\r\n\r\n" + body)
        await eventually(lambda: gauge(site, "waiting") == 1, "the second waits")
        writer.transport.abort()
        await eventually(lambda: gauge(site, "connections") == 1, "the hub has heard of it")
        site.notes.go_on.set()
        assert await first == 201
        assert (await ask(site, **WRITER))[0] == 200
        assert [note.text for note, _ in site.notes.notes.values()] == ["slow"]


async def test_a_flood_of_credentials_is_looked_up_in_turn(run_site: RunSite) -> None:
    """Of one network; those of another do not wait for it."""
    settings = HttpSettings(port=0, trusted_proxies=("127.0.0.0/8",))
    async with run_site(settings) as site:
        known, go_on = site.notes.asked, site.notes.go_on
        site.notes.slow_to_tell = True
        flood = [asyncio.create_task(ask(site, **WRITER, **at(1))) for _ in range(40)]
        await eventually(lambda: gauge(site, "unidentified") == 24, "sixteen are looked up")
        assert known == ["writer"] * 16
        other = asyncio.create_task(ask(site, **STRANGER, **at(2)))
        await eventually(lambda: known[16:] == ["stranger"], "another network is served")
        go_on.set()
        assert [status for status, _ in await asyncio.gather(*flood, other)] == [200] * 41
