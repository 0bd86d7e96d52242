"""OTLP, GELF and InfluxDB pass the suite that every author gets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from hub.destinations import DestinationType
from hub.testing import DestinationConformance, MetricConformance, Receiver
from plugins.gelf import isaax_destinations as gelf
from plugins.influx import isaax_destinations as influx
from plugins.otlp import isaax_destinations as otlp
from plugins.prometheus import isaax_destinations as prometheus
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import server_tls
from tests.fixtures.gelf import GelfHttpServer, gelf_stream
from tests.fixtures.http_receivers import TOKEN, running
from tests.fixtures.telemetry_receivers import InfluxServer, OtlpServer, RemoteWriteServer


class TestOtlpProtobuf(DestinationConformance):
    """OTLP as compressed protobuf."""

    type: ClassVar[DestinationType[Any]] = otlp()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a receiver."""
        async with running(OtlpServer()) as server:
            yield server


class TestOtlpJson(DestinationConformance):
    """OTLP as JSON."""

    type: ClassVar[DestinationType[Any]] = otlp()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a receiver."""
        async with running(OtlpServer(encoding="json", gzip=False)) as server:
            yield server


class TestInfluxV2(DestinationConformance):
    """Lines in InfluxDB 2."""

    type: ClassVar[DestinationType[Any]] = influx()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server."""
        async with running(InfluxServer()) as server:
            yield server


class TestInfluxV1(DestinationConformance):
    """Lines in InfluxDB 1."""

    type: ClassVar[DestinationType[Any]] = influx()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server."""
        async with running(InfluxServer(api="v1")) as server:
            yield server


class TestGelfHttp(DestinationConformance):
    """GELF over HTTP, a message a request."""

    type: ClassVar[DestinationType[Any]] = gelf()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an input; one request at a time keeps the order between devices too."""
        async with running(GelfHttpServer(concurrency=1)) as server:
            yield server


class TestGelfBulk(DestinationConformance):
    """GELF over HTTP, many messages a request."""

    type: ClassVar[DestinationType[Any]] = gelf()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an input that takes them."""
        async with running(GelfHttpServer(bulk=True)) as server:
            yield server


class TestGelfTcp(DestinationConformance):
    """GELF over TCP."""

    type: ClassVar[DestinationType[Any]] = gelf()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an input."""
        async with gelf_stream({"transport": "tcp", "host": "127.0.0.1"}) as receiver:
            yield receiver


class TestGelfTls(DestinationConformance):
    """GELF over TLS."""

    type: ClassVar[DestinationType[Any]] = gelf()[0]

    @pytest.fixture(autouse=True)
    def _certificates(self, authority: TestAuthority, local_certificate: Pair) -> None:
        self.authority = authority
        self.tls = server_tls(local_certificate)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an input."""
        config = {"transport": "tls", "host": "localhost", "ca": self.authority.pem}
        async with gelf_stream(config, tls=self.tls) as receiver:
            yield receiver


class TestOtlpMetrics(MetricConformance):
    """Metrics by OTLP."""

    type: ClassVar[DestinationType[Any]] = otlp()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a receiver."""
        async with running(OtlpServer()) as server:
            yield server


class TestRemoteWrite(MetricConformance):
    """Metrics by Prometheus' remote-write."""

    type: ClassVar[DestinationType[Any]] = prometheus()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a receiver."""
        async with running(RemoteWriteServer()) as server:
            yield server


class TestInfluxMetrics(MetricConformance):
    """Metrics in InfluxDB."""

    type: ClassVar[DestinationType[Any]] = influx()[0]
    secrets = (TOKEN,)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server."""
        async with running(InfluxServer()) as server:
            yield server
