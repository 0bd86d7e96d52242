"""How the relay fares as a whole: what comes in, what JetStream holds, how deliveries do."""

import asyncio
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Counter, Gauge, Histogram

from hub.contracts import Nothing
from hub.errors import Unavailable
from hub.relay.contracts import IntegrationStatus, RelayHealth, StreamHealth
from hub.relay.meters import IntakeMeters
from hub.relay.streams import DEAD, REPLAY, metric_stream, shard_stream
from hub.telemetry import Metrics
from hub.times import rfc3339

_log = structlog.stdlib.get_logger(__name__)

_OVER: Final = 10  # seconds that rates are taken over
_TICK: Final = 1.0  # seconds between two looks at the counters
_GAUGES: Final = 10  # looks at the counters for each look at JetStream


@dataclass(frozen=True, slots=True)
class Totals:
    """What was taken since the start of this process, at one moment (monotonic seconds)."""

    at: float
    lines: float = 0.0
    samples: float = 0.0
    bytes: float = 0.0
    commits: float = 0.0
    commit_seconds: float = 0.0

    @classmethod
    def read(cls, meters: IntakeMeters, at: float) -> "Totals":
        """Read the intake's counters."""
        return cls(
            at,
            _value(meters.lines, "_total"),
            _value(meters.samples, "_total"),
            _value(meters.bytes, "_total"),
            _value(meters.publish, "_count"),
            _value(meters.publish, "_sum"),
        )


class StreamMeters:
    """What JetStream holds, for Prometheus."""

    def __init__(self, metrics: Metrics) -> None:
        label = ("stream",)
        self._messages: Gauge = metrics.gauge(
            "isaax_jetstream_messages", "Messages in a stream of the relay.", label
        )
        self._bytes: Gauge = metrics.gauge(
            "isaax_jetstream_bytes", "Bytes that a stream of the relay takes.", label
        )

    def note(self, streams: list[StreamHealth]) -> None:
        """Bring the gauges up to date."""
        for stream in streams:
            self._messages.labels(stream.name).set(stream.messages)
            self._bytes.labels(stream.name).set(stream.bytes)


class HealthPage:
    """Answers `relay.health`.

    Args:
        statuses: gives the status of every integration that runs here.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        nats: Client,
        metrics: Metrics,
        statuses: Callable[[], Awaitable[list[IntegrationStatus]]],
        *,
        shards: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nats = nats
        self._intake = IntakeMeters.of(metrics)
        self._meters = StreamMeters(metrics)
        self._statuses = statuses
        self._clock = clock
        self._names = [
            *(name(shard) for shard in range(shards) for name in (shard_stream, metric_stream)),
            DEAD,
            REPLAY,
        ]
        self._looks: deque[Totals] = deque([self._look()], maxlen=_OVER + 1)

    async def run(self) -> None:
        """Look at the counters and at JetStream, until cancelled."""
        while True:
            try:
                self._meters.note(await self._streams())
            except (nats.errors.Error, OSError) as error:
                _log.info("JetStream does not say what it holds", error=str(error))
            for _ in range(_GAUGES):
                self._looks.append(self._look())
                await asyncio.sleep(_TICK)

    async def read(self, _: Nothing) -> RelayHealth:
        """Say how the relay fares.

        Raises:
            Unavailable: JetStream does not answer.
        """
        try:
            streams = await self._streams()
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("JetStream does not answer") from error
        statuses = await self._statuses()
        before, now = self._looks[0], self._look()
        seconds = max(now.at - before.at, 1e-3)
        commits = now.commits - before.commits
        return RelayHealth(
            lines_per_second=round((now.lines - before.lines) / seconds, 1),
            samples_per_second=round((now.samples - before.samples) / seconds, 1),
            bytes_per_second=round((now.bytes - before.bytes) / seconds, 1),
            commit_seconds=round((now.commit_seconds - before.commit_seconds) / commits, 6)
            if commits
            else 0.0,
            streams=streams,
            integrations=dict(sorted(Tally(status.state for status in statuses).items())),
            lag_lines=max((status.lag_lines for status in statuses), default=0),
            lag_seconds=max((status.lag_seconds for status in statuses), default=0.0),
            dead_letters=next(stream.messages for stream in streams if stream.name == DEAD),
        )

    def _look(self) -> Totals:
        return Totals.read(self._intake, self._clock())

    async def _streams(self) -> list[StreamHealth]:
        return list(await asyncio.gather(*(self._stream(name) for name in self._names)))

    async def _stream(self, name: str) -> StreamHealth:
        # nats-py leaves the time of the first message out of what it gives.
        answer = await self._nats.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=5.0)
        state = _info_decoder.decode(answer.data).state
        if state is None:
            raise nats.errors.Error(f"there is no stream {name}")
        oldest = int(state.first_ts.timestamp() * 1_000_000) if state.messages else None
        return StreamHealth(
            name, state.messages, state.bytes, "" if oldest is None else rfc3339(oldest)
        )


class _State(msgspec.Struct, frozen=True):
    messages: int
    bytes: int
    first_ts: datetime


class _Info(msgspec.Struct, frozen=True):
    state: _State | None = None


_info_decoder: Final = msgspec.json.Decoder(_Info)


def _value(meter: Counter | Histogram, suffix: str) -> float:
    samples = (sample for metric in meter.collect() for sample in metric.samples)
    return next((sample.value for sample in samples if sample.name.endswith(suffix)), 0.0)
