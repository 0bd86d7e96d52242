"""What an integration's author writes against: a destination takes batches of log lines.

The hub owns batching, order, timeout, retry with jitter, circuit breaking, dead letters and
metrics. A destination owns one push.
"""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import aiohttp
import msgspec
import structlog

from hub.protocol import Lines

C = TypeVar("C", bound=msgspec.Struct)
C_contra = TypeVar("C_contra", bound=msgspec.Struct, contravariant=True)


class Retry(Exception):  # noqa: N818 - an outcome, raised by name
    """The destination cannot take this batch now; the same batch comes again later.

    Args:
        reason: what it answered, in words a user understands; no secrets.
        after: seconds that it asked to wait (`Retry-After`), if it said so.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Rejected(Exception):  # noqa: N818
    """The destination will never take this batch: its lines become dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Partial(Exception):  # noqa: N818
    """It took the batch but for some lines.

    Args:
        rejected: (index of the line in the batch, reason) of those it will never take.
        retry: indexes of those to send again; they go before anything newer.
    """

    def __init__(
        self, *, rejected: Sequence[tuple[int, str]] = (), retry: Sequence[int] = ()
    ) -> None:
        super().__init__(f"{len(rejected)} lines rejected, {len(retry)} to send again")
        self.rejected = tuple(rejected)
        self.retry = tuple(retry)


class NotConnected(Exception):  # noqa: N818
    """The connection is gone. What was written but not confirmed is sent again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Line(msgspec.Struct, frozen=True, gc=False):
    """One log line with all that is known of it; `id` is stable over every retry."""

    id: str
    time: int
    priority: int
    program: str
    message: str
    device: str
    host: str
    stream: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of one device's stream, in order.

    Args:
        project, device, stream: where they come from.
        host: what to show as host name: the device's label, or its id when it has none.
        boot, first: the position of the first line; the others follow without a hole.
        received: when the hub took them, microseconds since the Unix epoch.
        lines: the lines by column; work on the columns where speed matters.
    """

    project: str
    device: str
    host: str
    stream: str
    boot: int
    first: int
    received: int
    lines: Lines

    def ids(self) -> list[str]:
        """Give the stable id of each line: `<device>-<stream>-<boot>-<seq>`."""
        prefix = f"{self.device}-{self.stream}-{self.boot}-"
        return [f"{prefix}{seq}" for seq in range(self.first, self.first + len(self.lines))]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `send` takes: chunks in the order in which they came."""

    id: str
    chunks: tuple[Chunk, ...]

    def __len__(self) -> int:
        return sum(len(chunk.lines) for chunk in self.chunks)

    def __iter__(self) -> Iterator[Line]:
        """Give the lines one by one: simple, at about a microsecond a line."""
        for chunk in self.chunks:
            lines = chunk.lines
            rows = zip(
                chunk.ids(),
                lines.times,
                lines.priority_column(),
                lines.program_column(),
                lines.messages,
                strict=True,
            )
            for identifier, time, priority, program, message in rows:
                yield Line(
                    identifier, time, priority, program, message,
                    chunk.device, chunk.host, chunk.stream,
                )  # fmt: skip


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


@runtime_checkable
class StreamDestination(Destination, Protocol):
    """A destination that is never answered, such as syslog over TCP: see `Window`.

    One without `wait_lost` is taken at its word: what `send` returned from is taken.
    """

    async def wait_lost(self) -> None:
        """Return when the connection that carries unconfirmed lines is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """When lines that were written to a `StreamDestination` count as taken.

    Until `size` bytes were written after them, or the connection has lived `age` seconds since,
    they are unconfirmed: the hub does not acknowledge them and sends them again after a reset.
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

    async def open_udp(self, host: str, port: int) -> asyncio.DatagramTransport:
        """The same for a connected UDP socket."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What the hub hands to a destination when it builds it.

    Args:
        integration: id of the integration.
        http: a client session under the SSRF rules; it follows no redirect. The hub closes it.
        dial: opens TCP, TLS and UDP connections under the same rules.
        log: a logger with the integration's id bound.
    """

    integration: str
    http: aiohttp.ClientSession
    dial: Dialer
    log: "structlog.stdlib.BoundLogger"


class Build(Protocol[C_contra]):
    """Makes a destination; no I/O, no tasks: those begin with the first `send`."""

    def __call__(self, config: C_contra, tools: Tools, /) -> Destination:
        """Build one destination from its config."""
        ...


@dataclass(frozen=True, slots=True)
class DestinationType(Generic[C]):
    """A kind of destination that a project can configure.

    Args:
        name: stable, lower case: `papertrail`.
        title: for people: `Papertrail`.
        config: a frozen Struct with `forbid_unknown_fields`; `Secret` fields are kept encrypted.
            A `__post_init__` that raises ValueError refuses a combination that makes no sense.
        build: makes the destination.
        max_lines, max_bytes: what one batch may hold; the hub splits to fit. Bytes are of the
            message texts.
        timeout: seconds one `send` may take.
        window: for a `StreamDestination`; None says that `send` returns on a real confirmation.
        docs: address of, or path to, the README.
    """

    name: str
    title: str
    config: type[C]
    build: Build[C]
    max_lines: int = 5_000
    max_bytes: int = 1_000_000
    timeout: float = 30.0
    window: Window | None = None
    summary: str = ""
    examples: tuple[dict[str, Any], ...] = field(default=())
