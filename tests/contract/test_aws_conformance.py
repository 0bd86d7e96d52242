"""The destinations on AWS pass the suite that every author gets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from hub.destinations import DestinationType
from hub.testing import DestinationConformance, Receiver
from plugins.cloudwatch import isaax_destinations as cloudwatch
from plugins.s3 import isaax_destinations as s3
from tests.fixtures.aws import SECRET, SESSION, LogsServer, S3Server
from tests.fixtures.http_receivers import running


class TestCloudWatchJson(DestinationConformance):
    """CloudWatch Logs, a JSON document a line."""

    type: ClassVar[DestinationType[Any]] = cloudwatch()[0]
    secrets = (SECRET, SESSION)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server without a group."""
        async with running(LogsServer()) as server:
            yield server


class TestCloudWatchText(DestinationConformance):
    """CloudWatch Logs, the message alone."""

    type: ClassVar[DestinationType[Any]] = cloudwatch()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server without a group."""
        async with running(LogsServer(format="text")) as server:
            yield server


class TestS3Gzip(DestinationConformance):
    """S3, compressed by gzip."""

    type: ClassVar[DestinationType[Any]] = s3()[0]
    secrets = (SECRET, SESSION)

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server with a bucket."""
        async with running(S3Server()) as server:
            yield server


class TestS3Zstd(DestinationConformance):
    """S3, compressed by zstd, and not conditional."""

    type: ClassVar[DestinationType[Any]] = s3()[0]

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a server with a bucket."""
        async with running(S3Server(compression="zstd", conditional=False)) as server:
            yield server
