"""How the relay fares: for one account, and what JetStream holds of all, for who runs the hub."""

import asyncio
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Gauge

from hub.relay.contracts import HealthOf, IntegrationStatus, RelayHealth
from hub.relay.keeping import Keeping
from hub.relay.recent import Recent
from hub.relay.streams import DEAD, REPLAY, metric_stream, shard_stream
from hub.telemetry import Metrics

_log = structlog.stdlib.get_logger(__name__)

_LOOK: Final = 10.0  # seconds between looks at JetStream


class HealthPage:
    """Answers `relay.health`.

    Args:
        statuses: gives the status of every integration that runs, wherever it does.
    """

    def __init__(
        self,
        statuses: Callable[[], Awaitable[list[IntegrationStatus]]],
        recent: Recent,
        kept: Keeping,
    ) -> None:
        self._statuses = statuses
        self._recent = recent
        self._kept = kept

    async def read(self, request: HealthOf) -> RelayHealth:
        """Say how the relay fares with these projects and integrations, and no others."""
        wanted = set(request.integrations)
        statuses = [status for status in await self._statuses() if status.id in wanted]
        rate = self._recent.of(request.projects)
        return RelayHealth(
            lines_per_second=rate.lines,
            samples_per_second=rate.samples,
            bytes_per_second=rate.bytes,
            integrations=dict(sorted(Tally(status.state for status in statuses).items())),
            pending=sum(status.pending for status in statuses),
            lag_lines=max((status.lag_lines for status in statuses), default=0),
            lag_seconds=max((status.lag_seconds for status in statuses), default=0.0),
            gap_lines=sum(status.gap_lines for status in statuses),
            dead_letters=self._kept.dead.books.letters_in(request.projects),
            lost_letters=self._kept.losses.letters_in(request.projects),
        )


class StreamMeters:
    """What JetStream holds, for Prometheus."""

    def __init__(self, nats: Client, metrics: Metrics, *, shards: int) -> None:
        self._nats = nats
        self._names = [
            *(name(shard) for shard in range(shards) for name in (shard_stream, metric_stream)),
            DEAD,
            REPLAY,
        ]
        label = ("stream",)
        self._messages: Gauge = metrics.gauge(
            "isaax_jetstream_messages", "Messages in a stream of the relay.", label
        )
        self._bytes: Gauge = metrics.gauge(
            "isaax_jetstream_bytes", "Bytes that a stream of the relay takes.", label
        )
        self._oldest: Gauge = metrics.gauge(
            "isaax_jetstream_oldest_timestamp_seconds",
            "When the oldest message of a stream of the relay was stored; 0: there is none.",
            label,
        )

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            try:
                for name in self._names:
                    await self._look(name)
            except (nats.errors.Error, OSError) as error:
                _log.info("JetStream does not say what it holds", error=str(error))
            await asyncio.sleep(_LOOK)

    async def _look(self, name: str) -> None:
        # nats-py leaves the time of the first message out of what it gives.
        answer = await self._nats.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=5.0)
        state = _info_decoder.decode(answer.data).state
        if state is None:
            return
        self._messages.labels(name).set(state.messages)
        self._bytes.labels(name).set(state.bytes)
        self._oldest.labels(name).set(state.first_ts.timestamp() if state.messages else 0)


class _State(msgspec.Struct, frozen=True):
    messages: int
    bytes: int
    first_ts: datetime


class _Info(msgspec.Struct, frozen=True):
    state: _State | None = None


_info_decoder: Final = msgspec.json.Decoder(_Info)
