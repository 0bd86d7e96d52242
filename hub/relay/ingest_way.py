"""The way to the relay's `Ingest`, from whichever process a listener runs in.

In the process of the relay lines are handed over directly; from another one they go over the bus,
some batches at a time. Which it is may change while the hub runs: a relay that stood by takes over.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec

from hub.contracts import Bus, Contract, Endpoint
from hub.errors import Invalid, LimitReached
from hub.protocol import Lines, ProtocolError, decode_lines
from hub.relay.ingest import Ingest, Series, encoded

_PATIENCE: Final = 12.0  # seconds: more than the relay waits for a commit
_MOST: Final = 192 * 1024
"""Bytes of one request's lines: in base64 they are a third more, and NATS takes 512 KiB or more."""


class LinesOf(msgspec.Struct, frozen=True):
    """Have lines of a source stored, or say how far it is.

    Args:
        batch: lines, as a device would send them; empty to ask only.
        boot: the source's own numbering (`Ingest.series`), and `after`: the number of the line
            that comes before them in it; 0 is none of its own.
    """

    project: str
    source: str
    host: str
    stream: str
    batch: bytes = b""
    overdraw: bool = False
    boot: int = 0
    after: int = 0


class Place(msgspec.Struct, frozen=True):
    """How far a source is; see `Series`."""

    taken: int = 0
    stored: int = 0


SUBMIT: Final = Contract("relay.ingest.submit", LinesOf, Place, timeout=_PATIENCE)


class IngestWay(Ingest):
    """What listeners are given: the same as `Ingest`, wherever the relay runs.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, bus: Bus, *, clock: Callable[[], float] = time.time) -> None:
        self._here: Ingest | None = None
        self._limited: dict[str, float] = {}
        self._init_tokens(bus, clock)

    @contextmanager
    def leading_to(self, ingest: Ingest) -> Iterator[None]:
        """Hand everything to the relay of this process while the context is open."""
        self._here = ingest
        try:
            yield
        finally:
            self._here = None

    def wait(self, project: str) -> float:
        """Give the seconds until a project may hand over more, as far as that is known."""
        if self._here is not None:
            return self._here.wait(project)
        until = self._limited.get(project, 0.0)
        wait = until - self._clock()
        if until and wait <= 0:
            del self._limited[project]
        return max(0.0, wait)

    async def submit(
        self,
        project: str,
        source: str,
        host: str,
        lines: Lines,
        *,
        stream: str = "sys",
        overdraw: bool = False,
    ) -> None:
        """Have lines stored; see `Ingest.submit`."""
        if self._here is not None:
            await self._here.submit(project, source, host, lines, stream=stream, overdraw=overdraw)
            return
        first = LinesOf(project, source, host, stream, overdraw=overdraw)
        for _, batch in encoded(lines, most=_MOST):
            await self.ask(msgspec.structs.replace(first, batch=batch))
            # What was begun is not refused half way: it would be handed over again as a whole.
            first = msgspec.structs.replace(first, overdraw=True)

    def series(
        self, project: str, source: str, host: str, *, boot: int, stream: str = "sys"
    ) -> Series:
        """Take lines that have numbers of their own; see `Ingest.series`."""
        if self._here is not None:
            return self._here.series(project, source, host, boot=boot, stream=stream)
        return _FarSeries(self, LinesOf(project, source, host, stream, boot=boot))

    async def ask(self, request: LinesOf) -> Place:
        """Ask the relay, wherever it is.

        Raises:
            LimitReached, Unavailable, Invalid: as `Ingest.submit`.
        """
        try:
            return await self._bus.request(SUBMIT, request)
        except LimitReached as error:
            self._limited[request.project] = self._clock() + error.retry_after
            raise


class _FarSeries(Series):
    """A series that the relay of another process counts."""

    def __init__(self, way: IngestWay, of: LinesOf) -> None:
        self._way = way
        self._of = of
        self._place = Place()

    @property
    def taken(self) -> int:
        """Number of the last line that was stored, or on its way, when that was asked last."""
        return self._place.taken

    @property
    def stored(self) -> int:
        """Number of the last line that was on disk when that was asked last."""
        return self._place.stored

    async def look(self) -> None:
        """Ask how far it is; see `Series.look`."""
        self._place = await self._way.ask(self._of)

    async def submit(self, lines: Lines) -> None:
        """Have the lines that follow `taken` stored; see `Series.submit`."""
        for count, batch in encoded(lines, most=_MOST):
            after = self._place.taken
            wanted = msgspec.structs.replace(self._of, batch=batch, after=after)
            self._place = await self._way.ask(wanted)
            if self._place.taken < after + count:
                raise Invalid("the lines of a series are handed over one after the other")


@asynccontextmanager
async def serving_ingest(bus: Bus, ingest: Ingest) -> AsyncIterator[None]:
    """Take lines of other processes while the context is open."""

    async def submit(request: LinesOf) -> Place:
        lines = _read(request.batch)
        if not request.boot:
            await ingest.submit(
                request.project, request.source, request.host, lines,
                stream=request.stream, overdraw=request.overdraw,
            )  # fmt: skip
            return Place()
        series = ingest.series(
            request.project, request.source, request.host,
            boot=request.boot, stream=request.stream,
        )  # fmt: skip
        if len(lines) and series.taken == request.after:  # else they were asked for already
            await series.submit(lines)
        return Place(series.taken, series.stored)

    endpoints: list[Endpoint[Any, Any]] = [Endpoint(SUBMIT, submit, concurrency=64)]
    async with bus.serve("relay-ingest", "1.0.0", endpoints):
        yield


def _read(batch: bytes) -> Lines:
    if not batch:
        return Lines([], 0, "", [])
    try:
        return decode_lines(batch)
    except ProtocolError as error:
        raise Invalid(f"these lines cannot be read: {error}") from None


@asynccontextmanager
async def ingest_way(bus: Bus) -> AsyncIterator[IngestWay]:
    """Give the way to the relay."""
    yield IngestWay(bus)


@asynccontextmanager
async def ingest(way: IngestWay) -> AsyncIterator[Ingest]:
    """Give it to whoever asks for `Ingest`."""
    yield way
