"""What an integration's author writes against: a destination takes batches of log lines.

The hub owns batching, order, timeout, retry with jitter, circuit breaking, dead letters and
metrics. A destination owns one push.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import aiohttp
import msgspec
import structlog

from hub.batches import Batch, MetricBatch

C = TypeVar("C", bound=msgspec.Struct)
C_contra = TypeVar("C_contra", bound=msgspec.Struct, contravariant=True)


class Destination(Protocol):
    """One configured destination. Methods are called by one task, one at a time."""

    async def send(self, batch: Batch) -> None:
        """Push one batch; return when it is taken.

        Raises:
            Retry, Rejected, Partial, NotConnected: what came of it otherwise.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. Returning says that all that was sent has been taken."""
        ...


class MetricDestination(Protocol):
    """As `Destination`, for samples of metrics."""

    async def send(self, batch: MetricBatch) -> None:
        """Push one batch; return when it is taken. Raises as `Destination.send`."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


@runtime_checkable
class StreamDestination(Destination, Protocol):
    """A destination that is never answered, such as syslog over TCP: see `Window`.

    One without `wait_lost` is taken at its word: what `send` returned from is taken.
    """

    async def wait_lost(self) -> None:
        """Return when the connection that carries unconfirmed lines is gone."""
        ...


@runtime_checkable
class TellingStream(StreamDestination, Protocol):
    """A `StreamDestination` that can tell what is still on its way.

    A connection that takes nothing may live for long: what waits in its buffers grows no safer by
    that, and is not confirmed by its age.
    """

    @property
    def under_way(self) -> int:
        """Bytes that were written and that the peer's system has not acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """When lines that were written to a `StreamDestination` count as taken.

    Until `size` bytes were written after them, or the connection has lived `age` seconds since,
    they are unconfirmed: the hub does not acknowledge them and sends them again after a reset.
    Age alone does not confirm what a `TellingStream` says is still on its way.
    """

    size: int = 8 * 1024 * 1024
    age: float = 60.0


class Dialer(Protocol):
    """Opens connections that user-set hosts ask for, under the SSRF rules (hub/net.py)."""

    async def open_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Resolve once, check every address, connect to a checked one, with SNI for `host`.

        Raises:
            Retry: the host's address is not allowed.
            NotConnected: no connection, in words a user understands.
        """
        ...

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """Give a connected TCP socket, for a client library that speaks its own protocol on it."""
        ...

    async def open_udp(self, host: str, port: int) -> asyncio.DatagramTransport:
        """The same for a connected UDP socket."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What the hub hands to a destination when it builds it.

    Args:
        integration: id of the integration.
        project: id of its project.
        http: a client session under the SSRF rules; it follows no redirect. The hub closes it.
        dial: opens TCP, TLS and UDP connections under the same rules.
        log: a logger with the integration's id bound.
        folder: on the hub's disk, the integration's alone; None where the operator gives none
            (`relay.files`). Whoever writes there makes it first.
    """

    integration: str
    project: str
    http: aiohttp.ClientSession
    dial: Dialer
    log: "structlog.stdlib.BoundLogger"
    folder: Path | None = None


class Build(Protocol[C_contra]):
    """Makes a destination; no I/O, no tasks: those begin with the first `send`."""

    def __call__(self, config: C_contra, tools: Tools, /) -> Destination:
        """Build one destination from its config."""
        ...


class BuildMetrics(Protocol[C_contra]):
    """Makes a destination of metrics; no I/O, no tasks: those begin with the first `send`."""

    def __call__(self, config: C_contra, tools: Tools, /) -> MetricDestination:
        """Build one destination from its config."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold, and how long it is waited for.

    Args:
        max_lines, max_bytes: the hub splits to fit. Bytes are of the message texts.
        linger: seconds that the oldest line in it waits for the batch to fill; what waits is not
            acknowledged to JetStream, so nothing is lost meanwhile.
    """

    max_lines: int = 5_000
    max_bytes: int = 1_000_000
    linger: float = 0.0


@dataclass(frozen=True, slots=True)
class DestinationType(Generic[C]):
    """A kind of destination that a project can configure.

    Args:
        name: stable, lower case: `papertrail`.
        title: for people: `Papertrail`.
        config: a frozen Struct with `forbid_unknown_fields`; `Secret` fields are kept encrypted.
            A `__post_init__` that raises ValueError refuses a combination that makes no sense.
        build: makes the destination of log lines; None where it takes metrics alone.
        metrics: makes the destination of metrics, where it takes them. Both may be configured:
            they are two objects, and neither waits for the other.
        max_lines, max_bytes: what one batch may hold; the hub splits to fit. Bytes are of the
            message texts.
        timeout: seconds one `send` may take.
        window: for a `StreamDestination`; None says that `send` returns on a real confirmation.
        limits: gives the limits of one config, where they depend on it.
    """

    name: str
    title: str
    config: type[C]
    build: Build[C] | None
    max_lines: int = 5_000
    max_bytes: int = 1_000_000
    timeout: float = 30.0
    window: Window | None = None
    summary: str = ""
    examples: tuple[dict[str, Any], ...] = field(default=())
    metrics: BuildMetrics[C] | None = None
    limits: Callable[[C], Limits] | None = None

    def limits_of(self, config: C) -> Limits:
        """Give the limits that hold for one config."""
        if self.limits is not None:
            return self.limits(config)
        return Limits(self.max_lines, self.max_bytes)
