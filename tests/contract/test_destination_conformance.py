"""Our own destinations pass the suite that we give to every author."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from hub.destinations import DestinationType
from hub.testing import DestinationConformance, Receiver
from plugins.papertrail import isaax_destinations as papertrail
from plugins.syslog import isaax_destinations as syslog
from plugins.webhook import isaax_destinations as webhook
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import (
    http_receiver,
    papertrail_texts,
    server_tls,
    syslog_receiver,
    webhook_texts,
)

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class _WithCertificate(DestinationConformance):
    """Gives the receivers a server certificate."""

    @pytest.fixture(autouse=True)
    def _certificates(self, authority: TestAuthority, local_certificate: Pair) -> None:
        self.authority = authority
        self.tls = server_tls(local_certificate)


class TestSyslogTls(_WithCertificate):
    """The syslog destination over TLS, framed by line feeds."""

    type: ClassVar[DestinationType[Any]] = syslog()[0]
    secrets = ("hush-hush",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a TLS receiver."""
        config = {
            "host": "localhost", "ca": self.authority.pem, "structured_data": "[hush-hush@32473]",
        }  # fmt: skip
        async with syslog_receiver(config, tls=self.tls) as receiver:
            yield receiver


class TestSyslogTcp(DestinationConformance):
    """The syslog destination over TCP, with octet-counting."""

    type: ClassVar[DestinationType[Any]] = syslog()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a TCP receiver."""
        config = {"host": "127.0.0.1", "transport": "tcp", "framing": "octet-counting"}
        async with syslog_receiver(config, framing="octet-counting") as receiver:
            yield receiver


class TestPapertrailClassic(_WithCertificate):
    """Papertrail's own host and port."""

    type: ClassVar[DestinationType[Any]] = papertrail()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a TLS receiver."""
        config = {"mode": "classic", "host": "127.0.0.1", "ca": self.authority.pem}
        async with syslog_receiver(config, tls=self.tls) as receiver:
            yield receiver


class TestPapertrailToken(_WithCertificate):
    """Papertrail by a token, over TLS."""

    type: ClassVar[DestinationType[Any]] = papertrail()[0]
    secrets = ("hush-hush",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a TLS receiver."""
        config = {
            "mode": "token", "token": "hush-hush", "host": "localhost", "ca": self.authority.pem,
        }  # fmt: skip
        async with syslog_receiver(config, tls=self.tls) as receiver:
            yield receiver


class TestPapertrailHttps(_WithCertificate):
    """Papertrail by a token, over HTTPS."""

    type: ClassVar[DestinationType[Any]] = papertrail()[0]
    secrets = ("hush-hush",)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an HTTPS receiver."""
        config = {"mode": "https", "token": "hush-hush", "ca": self.authority.pem}
        async with http_receiver(papertrail_texts, config, tls=self.tls) as receiver:
            yield receiver


class TestWebhookJson(DestinationConformance):
    """The webhook as one JSON array, signed."""

    type: ClassVar[DestinationType[Any]] = webhook()[0]
    secrets = (WHSEC, "hush-hush")

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an HTTP receiver."""
        config = {"secret": WHSEC, "headers": {"Authorization": "Bearer hush-hush"}}
        async with http_receiver(webhook_texts, config) as receiver:
            yield receiver


class TestWebhookNdjson(_WithCertificate):
    """The webhook as compressed NDJSON over HTTPS."""

    type: ClassVar[DestinationType[Any]] = webhook()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give an HTTPS receiver."""
        config = {"format": "ndjson", "gzip": True, "ca": self.authority.pem}
        async with http_receiver(webhook_texts, config, tls=self.tls) as receiver:
            yield receiver
