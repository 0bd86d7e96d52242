"""Writes, and what the answers mean.

https://docs.influxdata.com/influxdb/v2/write-data/troubleshoot/ and, for partial writes,
https://docs.influxdata.com/influxdb3/core/write-data/http-api/v3-write-lp/
"""

import base64
from collections.abc import Sequence
from typing import Final

import msgspec

from hub import (
    Answer,
    Batch,
    Destination,
    Discard,
    HttpTarget,
    MetricBatch,
    MetricDestination,
    Partial,
    Piece,
    PieceLimits,
    Tools,
    push_each,
    push_pieces,
)
from plugins.influx.config import InfluxConfig
from plugins.influx.points import line_points, sample_points

LIMITS: Final = PieceLimits(
    max_items=5_000, max_bytes=10_000_000, max_item_bytes=10_000_000, frame=0
)
"""Most InfluxDB servers take bodies of 10 MB or more (3 Core: `max-http-request-size`)."""

MOST_NAMED: Final = 100
"""How many of the points that it refused an InfluxDB names at most."""


class _Point(msgspec.Struct, frozen=True):
    line_number: int
    error_message: str = ""


class _Some(msgspec.Struct, frozen=True):
    """A partial write: what is named was refused, the rest is written."""

    error: str
    data: list[_Point]


class _None(msgspec.Struct, frozen=True):
    """Nothing is written, because of one point."""

    error: str
    data: _Point


def build_logs(config: InfluxConfig, tools: Tools) -> Destination:
    """Build the destination of log lines."""
    return InfluxLogs(config, tools) if config.logs else Discard()


def build_metrics(config: InfluxConfig, tools: Tools) -> MetricDestination:
    """Build the destination of metrics."""
    return InfluxMetrics(config, tools) if config.metrics else Discard()


class _Influx:
    """Writes points to one address."""

    def __init__(self, config: InfluxConfig, tools: Tools, url: str) -> None:
        self._target = HttpTarget(
            tools, url, headers=_headers(config), ca=config.ca, compress=config.gzip
        )

    async def close(self) -> None:
        """Nothing is held: every write was answered."""

    async def _write(self, points: Sequence[bytes]) -> None:
        await push_pieces(points, LIMITS, self._push)

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"\n".join([*piece.items, b""]))
        if answer.status == 413 and len(piece.items) > 1:
            await push_each(_halves(piece), self._push)
            return
        if answer.status == 400:
            _tell_named(answer, piece)
        answer.check()


class InfluxLogs(_Influx):
    """Writes lines."""

    def __init__(self, config: InfluxConfig, tools: Tools) -> None:
        super().__init__(config, tools, config.write_url("ns"))
        self._measurement = config.measurement

    async def send(self, batch: Batch) -> None:
        """Write one batch; it is stored when this returns."""
        await self._write(line_points(batch, self._measurement))


class InfluxMetrics(_Influx):
    """Writes samples."""

    def __init__(self, config: InfluxConfig, tools: Tools) -> None:
        super().__init__(config, tools, config.write_url("us"))

    async def send(self, batch: MetricBatch) -> None:
        """Write one batch; it is stored when this returns."""
        await self._write(sample_points(batch))


def _tell_named(answer: Answer, piece: Piece) -> None:
    """Tell by line what a 400 says, where it names lines.

    Otherwise all of it is final: a first version drops some points of a request and does not say
    which, a second one writes none of them. What is replayed does no harm, for a point that comes
    again replaces itself.

    Raises:
        Partial: the lines that it names will never be taken.
    """
    some = answer.decode(_Some)
    one = answer.decode(_None) if some is None else None
    named = some.data if some else [one.data] if one else []
    rejected = {
        piece.indexes[point.line_number - 1]: f"answered 400: {point.error_message[:200]}"
        for point in named
        if 1 <= point.line_number <= len(piece.indexes)
    }
    if not rejected or len(named) >= MOST_NAMED:
        return
    rest = [] if some else [index for index in piece.indexes if index not in rejected]
    raise Partial(
        rejected=sorted(rejected.items()),
        retry=rest,
        reason="one point was refused, and nothing was written" if rest else "",
        after=0.0 if rest else None,
    )


def _halves(piece: Piece) -> list[Piece]:
    middle = len(piece.items) // 2
    return [
        Piece(piece.indexes[:middle], piece.items[:middle]),
        Piece(piece.indexes[middle:], piece.items[middle:]),
    ]


def _headers(config: InfluxConfig) -> dict[str, str]:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    if config.token:
        headers["Authorization"] = f"Token {config.token.reveal()}"
    elif config.username:
        pair = f"{config.username}:{config.password.reveal()}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    return headers
