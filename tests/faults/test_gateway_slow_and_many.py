"""Clients that take their time, hold on, or come in numbers: bounded, and nobody else pays."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hub import hookimpl
from hub.gateway.connection import Limits
from hub.gateway.service import Tuning
from hub.routes import Call, NoQuery, Reply, Route
from hub.settings import HttpSettings
from hub.testing import eventually
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.gateway import PATIENCE, RunSite, Site, Tick

GET = b"GET /api/v1/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer writer\r\n\r\n"


def tuned(**limits: Any) -> Tuning:
    """Give limits that a test can wait for."""
    return Tuning(limits=Limits(**limits), drain=PATIENCE)


def gauge(site: Site, name: str) -> float:
    """Say what a gauge of the gateway says."""
    return float(site.metrics.gauge(f"isaax_http_{name}", "")._value.get())


def refused(site: Site, reason: str) -> float:
    """Say how often something was refused for this reason."""
    counter = site.metrics.counter("isaax_http_refused_total", "", ("reason",))
    return float(counter.labels(reason)._value.get())


async def still_serves(site: Site) -> None:
    """Check that the next client is served as if nothing had happened."""
    async with site.request("GET", "/api/v1/notes") as response:
        assert response.status == 200


@contextlib.asynccontextmanager
async def connected(
    site: Site, buffer: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect; with a small buffer in the kernel if one is given."""
    raw = socket.socket()
    if buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", site.at.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=buffer or 2**16)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Read until the gateway closes; what it has not read itself makes that a reset."""
    seen = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            while chunk := await reader.read(2**16):
                seen += chunk
    return seen


# ── slow to ask ───────────────────────────────────────────────────────────────────────────────


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a byte now and then, for ever; end when the connection is closed."""
    with contextlib.suppress(ConnectionError):
        while True:
            for byte in data:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("first", [b"", GET], ids=["at first", "after a request"])
async def test_a_head_that_trickles_in_ends_nevertheless(run_site: RunSite, first: bytes) -> None:
    """Each byte gains no time (slowloris)."""
    async with run_site(tuning=tuned(idle=0.3)) as site, connected(site) as (reader, writer):
        writer.write(first)
        feed = asyncio.create_task(trickle(writer, b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 60))
        answer = await everything(reader)
        assert answer.count(b"HTTP/1.1 200 OK") == bool(first)
        feed.cancel()
        await still_serves(site)


async def test_a_body_that_trickles_in_ends_nevertheless(run_site: RunSite) -> None:
    head = b"POST /api/v1/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer writer\r\n"
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    tuning = tuned(body=0.3, linger=0.05)
    async with run_site(tuning=tuning) as site, connected(site) as (reader, writer):
        writer.write(head)
        feed = asyncio.create_task(trickle(writer, b"1\r\n \r\n"))
        answer = await everything(reader)
        assert answer.startswith(b"HTTP/1.1 408 ")
        feed.cancel()
        assert site.notes.made == 0
        await still_serves(site)


async def test_a_head_that_grows_and_grows_is_cut_off(run_site: RunSite) -> None:
    """Each field is within its bounds, and their number too; the head as a whole is not."""
    async with run_site(tuning=tuned(head=20_000)) as site, connected(site) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        for number in range(5):
            writer.write(b"X%d: " % number + b"a" * 4_000 + b"\r\n")
            await asyncio.sleep(0.01)  # so that it comes in pieces
        answer = await everything(reader)
        assert b" 431 " in answer.partition(b"\r\n")[0]
        assert b"/problems/headers-too-large" in answer
        await still_serves(site)


# ── slow to read ──────────────────────────────────────────────────────────────────────────────


class Talkative:
    """A plugin whose answers are long."""

    SIZE = 40_000_000

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        async def talk(call: Call[None, NoQuery]) -> Reply:
            return Reply(Tick(1, "x" * self.SIZE))

        return [
            Route(
                method="GET", path="/talk", summary="Talk", tag="x", handler=talk,
                permission=None, response=Tick,
            )
        ]  # fmt: skip


TALK = b"GET /talk HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_who_does_not_read_the_answer_is_let_go_of(run_site: RunSite) -> None:
    async with (
        run_site(tuning=tuned(stall=0.1), talkative=Talkative()) as site,
        connected(site, 4096) as (_, writer),
    ):
        writer.transport.pause_reading()
        writer.write(TALK)
        await eventually(lambda: refused(site, "slow-reader") == 1, "it is let go of")
        await eventually(lambda: gauge(site, "connections") == 0, "and its place is free")
        await still_serves(site)


async def test_who_reads_slowly_gets_it_all(run_site: RunSite) -> None:
    """A narrow link is no attack: what counts is that something moves."""
    async with (
        run_site(tuning=tuned(stall=0.2, pace=1), talkative=Talkative()) as site,
        connected(site, 65_536) as (reader, writer),
    ):
        writer.write(TALK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        size = 0
        while chunk := await reader.read(500_000):
            size += len(chunk)
            await asyncio.sleep(0.005)
        assert size > Talkative.SIZE
        assert refused(site, "slow-reader") == 0


async def test_answers_that_nobody_reads_do_not_pile_up(run_site: RunSite) -> None:
    """A client that asks on and on, and reads nothing, is not read any more either."""
    async with run_site(tuning=tuned(stall=30)) as site, connected(site, 4096) as (_, writer):
        writer.transport.pause_reading()
        process = psutil.Process()
        before = process.memory_info().rss
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                writer.write(GET * 500)
                sent += 500
                async with asyncio.timeout(1):
                    await writer.drain()
        assert sent < 500_000
        assert process.memory_info().rss - before < 64 * 1024 * 1024
        await still_serves(site)


# ── many ──────────────────────────────────────────────────────────────────────────────────────


async def test_one_address_has_only_so_many_connections(run_site: RunSite) -> None:
    settings = HttpSettings(port=0, connections_per_address=3)
    async with run_site(settings) as site, contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(connected(site)) for _ in range(3)]
        await eventually(lambda: gauge(site, "connections") == 3, "all are open")
        assert await site.raw(GET) == b""
        assert refused(site, "too-many-connections-from-one-address") == 1
        for reader, writer in held:
            writer.write(GET)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        held[0][1].close()
        await eventually(lambda: gauge(site, "connections") == 2, "one place is free")
        await still_serves(site)


async def test_a_proxy_that_we_trust_may_have_all_connections_but_no_more(
    run_site: RunSite,
) -> None:
    settings = HttpSettings(
        port=0, connections=5, connections_per_address=2, trusted_proxies=("127.0.0.0/8",)
    )
    async with run_site(settings) as site, contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(connected(site))
        await eventually(lambda: gauge(site, "connections") == 5, "all are open")
        assert await site.raw(GET) == b""
        assert refused(site, "too-many-connections") == 1


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def secure(run_site: RunSite, tmp_path: Path, local_certificate: Pair) -> AsyncIterator[Site]:
    certificate, key = local_certificate.write(tmp_path, "http")
    settings = HttpSettings(port=0, certificate=certificate, key=key, connections_per_address=4)
    async with run_site(settings) as site:
        yield site


async def test_who_never_shakes_hands_has_a_place_like_everyone(
    secure: Site, authority: TestAuthority
) -> None:
    """And gives it back; a plain request is no handshake."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(connected(secure))
        await eventually(lambda: gauge(secure, "connections") == 4, "they are counted")
        assert await secure.raw(b"") == b""
    await eventually(lambda: gauge(secure, "connections") == 0, "all places are free")
    assert b"HTTP" not in await secure.raw(GET)
    assert refused(secure, "no-handshake") >= 1
    trust = ssl.create_default_context(cadata=authority.pem)
    async with secure.http.get(f"{secure.url}/healthz", ssl=trust) as response:
        assert response.status == 200


async def test_the_end_waits_for_no_handshake(secure: Site) -> None:
    async with asyncio.timeout(PATIENCE), contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(connected(secure))
        await eventually(lambda: gauge(secure, "connections") == 1, "it is let in")
        # The fixture ends the gateway while this client has yet to say hello.
        stack.pop_all()
