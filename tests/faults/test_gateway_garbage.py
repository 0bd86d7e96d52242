"""What is not HTTP, too much of it, or too slow: a clear answer, and nothing stops."""

import asyncio
import json

import pytest

from hub.gateway.connection import Limits
from hub.gateway.service import Tuning
from tests.fixtures.gateway import PATIENCE, RunSite, Site

END = b"Host: x\r\nConnection: close\r\n\r\n"
POST = b"POST /api/v1/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer writer\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = b'{"text": "x"}'
CHUNKED = POST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"


def status(answer: bytes) -> int:
    """Read the status of the first answer."""
    assert answer.startswith(b"HTTP/1."), answer
    return int(answer.split(b" ", 2)[1])


def problem(answer: bytes) -> str:
    """Check that the first answer is a problem with our headers, and give its type."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"nosniff" in head
    assert b"X-Request-Id: " in head
    assert b"\r\nServer:" not in head
    return str(json.loads(body)["type"]).removeprefix("/problems/")


async def still_serves(site: Site) -> None:
    """Check that the next client is served as if nothing had happened."""
    async with site.request("GET", "/api/v1/notes") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS to a plain port
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
        b"\r\n\r\nhello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + END,
        b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n" + END,
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n" + END,
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + END,
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n" + END,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n" + END,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"bREW /pot HTTP/1.1\r\n" + END,
    ],
    ids=range(19),
)
async def test_what_is_not_http_is_a_problem(site: Site, data: bytes) -> None:
    answer = await site.raw(data)
    assert (status(answer), problem(answer)) == (400, "bad-http")
    assert b"bad-http" in site.metrics.render()
    await still_serves(site)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + END,
        b"GET /?" + b"a=b&" * 10_000 + b" HTTP/1.1\r\n" + END,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000 + b"\r\n" + END,
        b"GET / HTTP/1.1\r\n" + b"a" * 10_000 + b": x\r\n" + END,
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + END,
    ],
    ids=["path", "query", "value", "name", "count"],
)
async def test_too_large_a_head_is_431(site: Site, head: bytes) -> None:
    answer = await site.raw(head)
    assert (status(answer), problem(answer)) == (431, "headers-too-large")
    await still_serves(site)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n",
        b"-1\r\nx\r\n",
        b"5\r\nab\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"3\r\nabcX\r\n",
    ],
)
async def test_bad_chunks_are_a_problem_and_have_no_effect(site: Site, chunks: bytes) -> None:
    answer = await site.raw(CHUNKED + chunks)
    assert (status(answer), problem(answer)) == (400, "bad-http")
    assert site.notes.made == 0
    await still_serves(site)


@pytest.mark.parametrize(
    "cut", [1, 20, len(POST), len(POST + JSON) + 10, len(POST + JSON) + 30], ids=range(5)
)
async def test_a_request_that_ends_early_has_no_effect(site: Site, cut: int) -> None:
    whole = POST + JSON + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
    writer.write(whole[:cut] if cut < len(POST + JSON) + 20 else whole[:-4])
    await writer.drain()
    writer.transport.abort()
    await still_serves(site)
    assert site.notes.made == 0
    assert reader.at_eof() or not await reader.read()


async def test_pipelined_requests_are_answered_in_order(site: Site) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    two = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await site.raw(one + two + one[:-2] + b"Connection: close\r\n\r\n")
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


async def test_what_follows_a_refused_body_is_no_request(site: Site) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(hidden)
    answer = await site.raw(head + b"Connection: close\r\n\r\n" + hidden)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) == 400


async def test_a_flood_of_pipelined_requests_is_answered(site: Site) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await site.raw(one * 500 + one[:-2] + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 501


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://evil.example/healthz", 200),  # absolute form: the path counts, not the host
        (b"/../healthz", 404),
        (b"/%2e%2e/etc/passwd", 404),
        (b"/healthz?%00", 200),
        (b"/healthz%00", 404),
        (b"/%FF", 404),
        (b"/%zz", 404),
        (b"*", 400),
    ],
)
async def test_odd_targets(site: Site, target: bytes, expected: int) -> None:
    answer = await site.raw(b"GET " + target + b" HTTP/1.1\r\n" + END)
    assert status(answer) == expected


async def test_connect_and_options_star_open_nothing(site: Site) -> None:
    for line in (b"CONNECT example.com:443 HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n"):
        assert 400 <= status(await site.raw(line + END)) < 500
    await still_serves(site)


async def test_an_upgrade_is_ignored(site: Site) -> None:
    head = b"GET /healthz HTTP/1.1\r\nUpgrade: h2c\r\nHost: x\r\nConnection: Upgrade, close\r\n\r\n"
    assert status(await site.raw(head)) == 200


# ── Expect ────────────────────────────────────────────────────────────────────────────────────


async def test_the_body_is_asked_for_only_when_it_is_wanted(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
    expect = b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    writer.write(POST + JSON + expect)
    async with asyncio.timeout(PATIENCE):
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert await reader.readline() == b"\r\n"
        writer.write(BODY)
        assert status(await reader.read()) == 201
    writer.close()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (POST + b"Content-Type: text/plain\r\nContent-Length: 13\r\n", 415),
        (POST.replace(b"writer", b"nobody") + JSON + b"Content-Length: 13\r\n", 401),
        (POST + JSON + b"Content-Length: 999999999\r\n", 413),
    ],
)
async def test_a_body_that_is_not_wanted_is_never_asked_for(
    run_site: RunSite, head: bytes, expected: int
) -> None:
    async with run_site(tuning=Tuning(limits=Limits(linger=0.05), drain=PATIENCE)) as site:
        answer = await site.raw(head + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
    assert status(answer) == expected
    assert b"100 Continue" not in answer


async def test_an_unknown_expectation_is_417(site: Site) -> None:
    head = POST + JSON + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n{}"
    answer = await site.raw(head)
    assert (status(answer), problem(answer)) == (417, "expectation-failed")


# ── slow ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nX: a\r\n"])
async def test_a_head_that_never_ends_is_let_go_of(run_site: RunSite, sent: bytes) -> None:
    async with run_site(tuning=Tuning(limits=Limits(idle=0.05), drain=PATIENCE)) as site:
        assert await site.raw(sent) == b""
        await still_serves(site)


async def test_a_body_that_never_ends_is_408(run_site: RunSite) -> None:
    tuning = Tuning(limits=Limits(body=0.05, linger=0.05), drain=PATIENCE)
    async with run_site(tuning=tuning) as site:
        answer = await site.raw(POST + JSON + b"Content-Length: 100\r\n\r\n{")
        assert (status(answer), problem(answer)) == (408, "request-timeout")
        assert site.notes.made == 0
