"""One destination in trouble, others beside it: they notice nothing, and it loses nothing.

Waits are made to pass at once (`Clock`); sockets, servers, JetStream and Postgres are real.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from hub.protocol import decode_lines
from hub.settings import RelaySettings
from tests.fixtures.certificates import TestAuthority
from tests.fixtures.destinations import (
    HttpReceiver,
    SyslogReceiver,
    http_receiver,
    server_tls,
    syslog_receiver,
    webhook_texts,
)
from tests.fixtures.http_receivers import VendorServer, running
from tests.fixtures.index_receivers import ElasticsearchServer, SplunkServer
from tests.fixtures.relay import Recorder, until
from tests.fixtures.telemetry_receivers import OtlpServer
from tests.fixtures.trouble import Arrivals, Clock, Door, Street, arrived, door

HERE = r"(127\.0\.0\.1|localhost):\d+"
WINDOW = 1 << 20
BOUND = 4 * WINDOW
"""Of what one integration holds: what is read ahead, a batch of the largest size, one in hand."""


@pytest.fixture
def relay_settings() -> RelaySettings:
    return RelaySettings(max_bytes=1 << 30, window=WINDOW)


@dataclass
class Far:
    """A destination behind a door."""

    kind: str
    config: dict[str, Any]
    receiver: SyslogReceiver | HttpReceiver
    door: Door

    def __post_init__(self) -> None:
        self.texts = Arrivals(self.receiver).texts


@asynccontextmanager
async def syslog(tls: Any = None, ca: str = "") -> AsyncIterator[Far]:
    config: dict[str, Any] = {"host": "127.0.0.1", "transport": "tls" if tls else "tcp", "ca": ca}
    async with syslog_receiver(config, tls=tls) as receiver, door(config["port"]) as before:
        yield Far("syslog", config | {"port": before.port}, receiver, before)


@asynccontextmanager
async def webhook(tls: Any = None, ca: str = "") -> AsyncIterator[Far]:
    async with http_receiver(webhook_texts, {"ca": ca}, tls=tls) as receiver:
        port = int(re.findall(r":(\d+)/", receiver.config["url"])[0])
        async with door(port) as before:
            url = receiver.config["url"].replace(str(port), str(before.port))
            yield Far("webhook", receiver.config | {"url": url}, receiver, before)


MakeFar = Callable[..., AbstractAsyncContextManager[Far]]
BOTH = pytest.mark.parametrize("make", [syslog, webhook])


async def flowing(street: Street, far: Far) -> tuple[str, list[Recorder]]:
    """Open three recorders and the far one; see that lines come to all of them."""
    near = [await street.recorder() for _ in range(3)]
    integration = await street.open(far.kind, far.config)
    await street.store(2, lines=3)
    await until(lambda: far.texts() == street.texts)
    await all_have(street, near)
    return integration, near


async def all_have(street: Street, near: list[Recorder]) -> None:
    """See that the neighbours have all lines, each once and in order, though no time passes."""
    await until(lambda: all(len(one.texts) >= len(street.texts) for one in near))
    assert all(one.texts == street.texts for one in near)


async def settled(street: Street, clock: Clock, integration: str) -> None:
    """See that nothing of it waits any more, and that nothing was given up."""
    await clock.until(street.is_in(integration, "waiting"))
    status = await street.status(integration)
    assert (status.pending, status.lag_lines, status.lag_seconds) == (0, 0, 0.0)
    assert (status.rejected, status.gap_lines) == (0, 0)
    assert await street.dead() == 0


# ── away ──────────────────────────────────────────────────────────────────────────────────────


@BOTH
async def test_one_that_is_away_for_an_hour(clock: Clock, street: Street, make: MakeFar) -> None:
    async with make() as far:
        integration, near = await flowing(street, far)
        await far.door.go()
        for _ in range(60):
            await street.store(1, lines=40, size=4_000)
            await all_have(street, near)
            await clock.jump(60, step=5)
            assert street.held(integration) < BOUND
        unconfirmed = 6 if make is syslog else 0
        refused = ".* refused the connection: nothing listens there"
        await clock.until(street.says(integration, refused, state="open"))
        status = await street.status(integration)
        assert (status.lag_lines - unconfirmed, status.gap_lines) == (60 * 40, 0)
        assert 3_600 <= status.lag_seconds < 4_000
        retries = re.search(
            rb'retries_total{integration="%s"} (\d+)' % integration.encode(),
            street.bench.metrics.render(),
        )
        assert retries
        assert 100 < int(retries[1]) < 600, "probes, half a cap to a cap apart"
        far.door.come()
        await clock.until(lambda: arrived(far.texts(), street.texts))
        await settled(street, clock, integration)
        assert all(one.texts == street.texts for one in near)


# ── slow, and silent ──────────────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize("rate", [1.0, 0.0], ids=["reads a byte a second", "reads nothing"])
async def test_one_that_does_not_read(
    clock: Clock, street: Street, make: MakeFar, rate: float
) -> None:
    async with make() as far:
        integration, near = await flowing(street, far)
        far.door.rate = rate
        for _ in range(20):
            await street.store(3, lines=40, size=4_000)
            await all_have(street, near)
            await clock.jump(10)
            assert street.held(integration) < BOUND
        await clock.until(street.says(integration, "no answer within 30 s"))
        status = await street.status(integration)
        assert status.lag_lines >= 60 * 40 - 1_000, "what is only on its way was not taken"
        assert status.lag_seconds > 100
        far.door.rate = None
        await clock.until(lambda: arrived(far.texts(), street.texts))
        await settled(street, clock, integration)


@BOTH
async def test_what_a_stalled_connection_holds_is_not_lost_with_it(
    clock: Clock, street: Street, make: MakeFar
) -> None:
    """Minutes on a connection that takes nothing do not confirm what waits in its buffers."""
    async with make() as far:
        integration, _ = await flowing(street, far)
        far.door.rate = 0.0
        await street.store(30, lines=40, size=4_000)
        await clock.jump(300)
        await far.door.go()
        await clock.jump(1)
        far.door.rate = None
        far.door.come()
        await clock.until(lambda: arrived(far.texts(), street.texts))
        await settled(street, clock, integration)


async def test_one_that_takes_requests_and_never_answers(clock: Clock, street: Street) -> None:
    async with webhook() as far:
        integration, near = await flowing(street, far)
        far.receiver.stall()
        for _ in range(10):
            await street.store(3, lines=40, size=4_000)
            await all_have(street, near)
            await clock.jump(20)
            assert street.held(integration) < BOUND
        await clock.until(street.says(integration, "no answer within 30 s"))
        far.receiver.go_on()
        await clock.until(lambda: arrived(far.texts(), street.texts))
        await settled(street, clock, integration)


@BOTH
async def test_a_tls_handshake_that_hangs(
    clock: Clock, street: Street, make: MakeFar, authority: TestAuthority
) -> None:
    """rsyslog#5539: its handshakes hang for ever."""
    tls = server_tls(authority.issue("localhost", "127.0.0.1"))
    async with make(tls, authority.pem) as far:
        far.door.rate = 0.0
        near = [await street.recorder() for _ in range(3)]
        integration = await street.open(far.kind, far.config)
        for _ in range(10):
            await street.store(3, lines=40, size=4_000)
            await all_have(street, near)
            await clock.jump(5)
            assert street.held(integration) < BOUND
        await clock.until(street.says(integration, rf"{HERE} did not answer in time"))
        assert far.door.accepted > 2, "it was tried again"
        far.door.rate = None
        await clock.until(lambda: arrived(far.texts(), street.texts))
        await settled(street, clock, integration)


# ── certificates ──────────────────────────────────────────────────────────────────────────────


@BOTH
async def test_a_certificate_that_expires_in_mid_stream(
    clock: Clock, street: Street, make: MakeFar, authority: TestAuthority, tmp_path: Any
) -> None:
    """vector#22900: there a certificate's change stops the sink."""
    names = ("localhost", "127.0.0.1")
    tls = server_tls(authority.issue(*names))
    async with make(tls, authority.pem) as far:
        integration, near = await flowing(street, far)
        tls.load_cert_chain(*authority.issue(*names, hours=-0.1).write(tmp_path, "expired"))
        await street.store(1)
        await until(lambda: far.texts() == street.texts)  # its connection stands
        await far.door.go()
        far.door.come()
        for _ in range(20):
            await street.store(1, lines=10)
            await all_have(street, near)
            await clock.jump(10)
        expired = f"the certificate of {HERE} is not trusted: certificate has expired"
        await clock.until(street.says(integration, expired, state="open"))
        tls.load_cert_chain(*authority.issue(*names).write(tmp_path, "renewed"))
        await clock.until(lambda: arrived(far.texts(), street.texts))
        await settled(street, clock, integration)
        assert all(one.texts == street.texts for one in near)


# ── 200, with failures inside ─────────────────────────────────────────────────────────────────


async def started(street: Street, kind: str, server: VendorServer) -> tuple[str, list[Recorder]]:
    """Open a destination at this server, and three neighbours."""
    near = [await street.recorder() for _ in range(3)]
    return await street.open(kind, server.config), near


async def dead_lines(street: Street) -> list[str]:
    """Give the texts of all dead letters, in their order."""
    letters = await street.bench.dead_letters() if await street.dead() else []
    return [text for _, _, payload in letters for text in decode_lines(payload).messages]


async def test_a_bulk_answer_with_failures_inside(clock: Clock, street: Street) -> None:
    """Some lines are refused for good, some for a while; the rest was taken, and stays so."""
    async with running(ElasticsearchServer()) as server:
        for number in range(1, 201):
            if number % 20 == 0:
                server.problems[f"line {number}"] = [(400, "document_parsing_exception", "no")]
            elif number % 7 == 0:
                server.problems[f"line {number}"] = [(429, "rejected_execution", "busy")] * 8
        integration, near = await started(street, "elasticsearch", server)
        for _ in range(10):
            await street.store(1, lines=20)
            await all_have(street, near)
            await clock.jump(1)
        await clock.until(street.says(integration, "answered 429: rejected_execution.*"))
        good = [text for n, text in enumerate(street.texts, 1) if n % 20]
        await clock.until(lambda: len(server.lines) >= len(good))
        await clock.until(street.is_in(integration, "waiting"))
        assert sorted(server.lines) == sorted(good), "each once"
        await clock.until(lambda: _has_letters(street, 10))
        assert await dead_lines(street) == [f"line {n}" for n in range(20, 201, 20)]
        status = await street.status(integration)
        assert (status.delivered, status.rejected, status.lag_lines) == (190, 10, 0)
        sent = [re.findall(rb'"line (\d+)"', request.body) for request in server.requests]
        before: list[int] = [0]
        for numbers in [[int(number) for number in found] for found in sent]:
            assert set(numbers) <= set(before) or min(numbers) > max(before), "again, before newer"
            before = numbers


async def _has_letters(street: Street, count: int) -> bool:
    return await street.dead() == count


async def test_events_that_are_taken_and_long_not_indexed(clock: Clock, street: Street) -> None:
    """Their acknowledgement says false for minutes: they are sent again, and none is missing."""
    async with running(SplunkServer(acks=True, polls=10**9, acknowledge=True)) as server:
        integration, near = await started(street, "splunk_hec", server)
        for _ in range(20):
            await street.store(1, lines=20)
            await all_have(street, near)
            await clock.jump(20, step=2)
            assert street.held(integration) < BOUND
        await clock.until(street.says(integration, "taken, but not indexed within 60 seconds"))
        status = await street.status(integration)
        assert (status.delivered, status.lag_lines) == (0, 400)
        server.polls = 1
        await clock.until(lambda: arrived(server.lines, street.texts))
        await settled(street, clock, integration)


async def test_a_partial_success_that_takes_nothing(clock: Clock, street: Street) -> None:
    """What OTLP refuses must not be sent again: it is put away, and what follows goes."""
    async with running(OtlpServer()) as server:
        integration, near = await started(street, "otlp", server)
        await street.store(3, lines=10)
        await until(lambda: server.lines == street.texts)
        server.partial = (1_000, "over quota")
        await street.store(3, lines=10)
        await until(lambda: _has_letters(street, 3))
        server.partial = None
        await street.store(3, lines=10)
        await all_have(street, near)
        await until(lambda: len(server.lines) == 90)
        await until(street.is_in(integration, "waiting"))
        assert await dead_lines(street) == street.texts[30:60]
        status = await street.status(integration)
        assert (status.delivered, status.rejected, status.lag_lines) == (60, 30, 0)
        assert "over quota" in status.error


# ── a flood of metrics ────────────────────────────────────────────────────────────────────────


class Flooded(OtlpServer):
    """Answers what brings metrics only once it is told to."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.metrics_may_go = asyncio.Event()

    async def _take(self, request: web.Request) -> web.Response:
        if request.path == "/v1/metrics":
            await self.metrics_may_go.wait()
        return await super()._take(request)


async def test_a_flood_of_metrics_delays_no_line(clock: Clock, street: Street) -> None:
    """Of the same integration: its lines go while its metrics are stuck, and while they pour."""
    async with running(Flooded()) as server:
        for first in range(1, 100_000, 1_000):
            await street.measure(first, 1_000)
        integration, near = await started(street, "otlp", server)
        await street.store(20, lines=5)
        await all_have(street, near)
        await until(lambda: server.lines == street.texts)
        assert server.metrics == []
        assert street.held(integration) < 2 * BOUND, "a lane each"
        server.metrics_may_go.set()
        await until(lambda: len(server.metrics) > 0)
        await street.store(5)
        await until(lambda: server.lines == street.texts)
        assert (await street.status(integration)).lag_lines > 0, "of the metrics, most still wait"
        await until(street.is_in(integration, "waiting"), 60)
        points = sum(
            len(metric.gauge.data_points)
            for request in server.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        assert points == 100_000
        assert await street.dead() == 0
