"""The service protocol of NATS (ADR-32): discovery and statistics for `nats micro` and its like.

https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from hub.contracts import Contract
from hub.messaging.endpoint import Stats
from hub.messaging.transport import Disconnected, Message, Subscription, Transport

_log = structlog.stdlib.get_logger(__name__)

PREFIX: Final = "$SRV"
QUEUE: Final = "q"
"""Queue group of every endpoint: the protocol's default."""

_TYPE: Final = "io.nats.micro.v1."
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
# https://semver.org, without leading zeros being refused.
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    name: str
    id: str
    version: str
    metadata: dict[str, str] = {}


class _EndpointInfo(msgspec.Struct, frozen=True):
    name: str
    subject: str
    queue_group: str
    metadata: dict[str, str]


class _Info(_Identity, frozen=True, kw_only=True):
    description: str
    endpoints: list[_EndpointInfo]


class _EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    subject: str
    queue_group: str
    num_requests: int
    num_errors: int
    last_error: str
    processing_time: int
    average_processing_time: int
    data: dict[str, int] = {}


class _StatsReport(_Identity, frozen=True, kw_only=True):
    started: str
    endpoints: list[_EndpointStats]


@dataclass(frozen=True, slots=True)
class Described:
    """One endpoint as the protocol shows it."""

    contract: Contract[Any, Any]
    stats: Stats

    @property
    def name(self) -> str:
        """Its name in the form that the protocol allows."""
        return _UNSAFE.sub("-", f"{self.contract.subject}-v{self.contract.version}")


class Discovery:
    """Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` for one instance of a service."""

    def __init__(
        self, transport: Transport, name: str, version: str, endpoints: Sequence[Described]
    ) -> None:
        """Describe a service.

        Raises:
            ValueError: name or version are not of the protocol's form.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"service name {name!r}: letters, digits, - and _ only")
        if not _VERSION.fullmatch(version):
            raise ValueError(f"version {version!r} of {name}: not a semantic version")
        self._transport = transport
        self._endpoints = endpoints
        self._started = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._identity: dict[str, Any] = {
            "name": name,
            "id": secrets.token_hex(11).upper(),
            "version": version,
        }
        self._subscriptions: list[Subscription] = []
        self._answers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to answer."""
        name, instance = self._identity["name"], self._identity["id"]
        verbs: Mapping[str, Callable[[], msgspec.Struct]] = {
            "PING": self.ping,
            "INFO": self.info,
            "STATS": self.stats,
        }
        for verb, make in verbs.items():
            for scope in ("", f".{name}", f".{name}.{instance}"):
                subject = f"{PREFIX}.{verb}{scope}"
                self._subscriptions.append(
                    await self._transport.subscribe(subject, self._answering(make))
                )

    async def stop(self) -> None:
        """Be found no more."""
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions.clear()
        await asyncio.gather(*self._answers, return_exceptions=True)

    def ping(self) -> msgspec.Struct:
        """Say that this instance is there."""
        return _Identity(type=f"{_TYPE}ping_response", **self._identity)

    def info(self) -> msgspec.Struct:
        """Describe the endpoints."""
        return _Info(
            type=f"{_TYPE}info_response",
            description="",
            endpoints=[
                _EndpointInfo(
                    endpoint.name,
                    endpoint.contract.wire_subject,
                    QUEUE,
                    {
                        "request": endpoint.contract.request.__name__,
                        "response": endpoint.contract.response.__name__,
                    },
                )
                for endpoint in self._endpoints
            ],
            **self._identity,
        )

    def stats(self) -> msgspec.Struct:
        """Give the counters of each endpoint."""
        return _StatsReport(
            type=f"{_TYPE}stats_response",
            started=self._started,
            endpoints=[
                _EndpointStats(
                    name=endpoint.name,
                    subject=endpoint.contract.wire_subject,
                    queue_group=QUEUE,
                    num_requests=endpoint.stats.requests,
                    num_errors=endpoint.stats.errors,
                    last_error=endpoint.stats.last_error,
                    processing_time=endpoint.stats.busy,
                    average_processing_time=endpoint.stats.busy // max(endpoint.stats.requests, 1),
                )
                for endpoint in self._endpoints
            ],
            **self._identity,
        )

    def _answering(self, make: Callable[[], msgspec.Struct]) -> Callable[[Message], None]:
        def receive(message: Message) -> None:
            if message.reply:
                task = asyncio.create_task(self._answer(message.reply, make()))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)

        return receive

    async def _answer(self, reply: str, answer: msgspec.Struct) -> None:
        try:
            await self._transport.publish(reply, msgspec.json.encode(answer))
        except Disconnected:
            _log.debug("a discovery answer was lost")
