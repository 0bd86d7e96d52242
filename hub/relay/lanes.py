"""The lanes of an integration: log lines, samples of metrics, and dead letters once more.

Each has its own consumer, destination and breaker, so that neither waits for another.
"""

import asyncio
from enum import StrEnum
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from hub.relay.contracts import IntegrationSpec
from hub.relay.cursor import Cursor, Source
from hub.relay.delivery import Delivery
from hub.relay.looks import Looks
from hub.relay.places import KeptPlace
from hub.relay.progress import Lag, LaneProgress
from hub.relay.reader import LARGEST
from hub.relay.streams import (
    REPLAY,
    logs_filter,
    metric_stream,
    metrics_filter,
    replay_subject,
    shard_of,
    shard_stream,
)


class LaneKind(StrEnum):
    """What a lane carries."""

    LOGS = "logs"
    METRICS = "metrics"
    REPLAY = "replay"


def consumer_name(kind: LaneKind, integration: str) -> str:
    """Give the name of a lane's consumer."""
    return integration if kind is LaneKind.LOGS else f"{integration}-{kind.value}"


def integration_of(consumer: str) -> str:
    """Give the integration that a consumer belongs to; what follows its id says which one."""
    return consumer.partition("-")[0]


def source_of(kind: LaneKind, spec: IntegrationSpec, shards: int) -> Source:
    """Say what a lane reads."""
    shard = shard_of(spec.project, shards)
    name = consumer_name(kind, spec.id)
    match kind:
        case LaneKind.LOGS:
            stream, subject = shard_stream(shard), logs_filter(shard, spec.project)
        case LaneKind.METRICS:
            stream, subject = metric_stream(shard), metrics_filter(shard, spec.project)
        case LaneKind.REPLAY:
            subject = replay_subject(spec.project, spec.id)
            return Source(REPLAY, name, subject, None, LARGEST)
    return Source(stream, name, subject, spec.start_at)


class Budget:
    """Shares the memory for what is read ahead among the deliveries that run.

    Args:
        total: bytes that all of them hold together; most: that one holds.
    """

    def __init__(self, total: int, most: int) -> None:
        self._total = total
        self._most = most
        self.running = 0

    def share(self) -> int:
        """Give the bytes that each may hold. (A reader holds one batch at the least.)"""
        return min(self._most, self._total // max(1, self.running))


class Lane:
    """One lane; it outlives the revisions of its integration, as long as its start is the same."""

    def __init__(self, kind: LaneKind, cursor: Cursor, progress: LaneProgress) -> None:
        self.kind = kind
        self.cursor = cursor
        self.progress = progress
        self.delivery: Delivery | None = None
        self.task: asyncio.Task[None] | None = None
        self.is_prepared = False

    async def prepare(self, looks: Looks, kept: KeptPlace | None) -> None:
        """Make the consumer, and know how far it is; once is enough.

        Args:
            kept: what an earlier process wrote down.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        if self.is_prepared:
            return
        source, ledger = self.cursor.source, self.cursor.ledger
        if kept is not None and kept.start_at == source.start_at:
            ledger.restore(kept.sequence, kept.line)
        await self.cursor.ensure()
        if ledger.next_line is None and self.kind is not LaneKind.REPLAY:
            # What comes first has to be known before retention can take it.
            standing = await self.cursor.standing()
            # In this order: what is stored meanwhile is not yet done.
            newest = await looks.newest(source.stream, source.filter)
            first = await looks.next(source.stream, source.filter, standing.until + 1)
            if first is not None and first.line >= 0:
                ledger.restore(first.sequence - 1, first.line)
            elif first is None and newest is not None and newest.line >= 0:
                ledger.restore(newest.sequence, newest.line + newest.lines)
        self.is_prepared = True

    def place(self, integration: str, gap_lines: int) -> KeptPlace | None:
        """Say how far it is done, if that is known and worth keeping."""
        ledger, start_at = self.cursor.ledger, self.cursor.source.start_at
        if start_at is None or ledger.done_line is None:
            return None
        return KeptPlace(
            integration, self.kind.value, start_at, ledger.done_until, ledger.done_line, gap_lines
        )

    async def measure(self, looks: Looks) -> None:
        """See how far it is behind, and whether retention passed it while it did not read.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        try:
            self.progress.lag = await looks.lag(self.cursor)
        except NotFoundError:
            self.progress.lag = Lag()
            return
        await self._look_for_gap(looks)
        self.progress.behind(await _behind(looks, self.cursor.source.stream, self.progress.lag))

    async def _look_for_gap(self, looks: Looks) -> None:
        source, ledger = self.cursor.source, self.cursor.ledger
        if self.cursor.is_reading or ledger.next_line is None:
            return  # whoever reads sees it, and knows better
        first_kept = (await looks.info(source.stream)).state.first_seq
        if first_kept <= ledger.read_until + 1:
            return
        head = await looks.next(source.stream, source.filter, ledger.read_until + 1)
        if head is not None and head.line > ledger.next_line:
            self.progress.gap(ledger.pass_over(head.sequence, head.line))


_HALF: Final = 0.5
"""Share of what retention keeps that may wait before it is said to be in danger."""


async def _behind(looks: Looks, stream: str, lag: Lag) -> str:
    """Say that what waits is about to be lost to retention; "" when it is not."""
    if not lag.oldest:
        return ""
    info = await looks.info(stream)
    max_age, max_bytes = info.config.max_age or 0.0, info.config.max_bytes or 0
    if max_age and lag.seconds > max_age * _HALF:
        return (
            f"is falling behind retention: the oldest line that waits was stored "
            f"{_hours(lag.seconds)} ago, and lines are kept for {_hours(max_age)}"
        )
    state = info.state
    held = max(1, state.last_seq - state.first_seq + 1)
    waiting = state.bytes * max(0, state.last_seq - lag.sequence + 1) // held
    if max_bytes > 0 and waiting > max_bytes * _HALF:
        return (
            f"is falling behind retention: {waiting >> 20} MiB were stored since the oldest line "
            f"that waits, and {max_bytes >> 20} MiB are kept"
        )
    return ""


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


async def delete_replayed(nats: Client, cursor: Cursor) -> bool:
    """Take away what was replayed, if nothing is left; say whether.

    Raises:
        nats.errors.Error: JetStream does not answer.
    """
    source = cursor.source
    standing = await cursor.standing()
    if standing.pending:
        return False
    js = nats.jetstream()
    await js.purge_stream(source.stream, subject=source.filter, seq=standing.until + 1)
    return True


TROUBLE: Final = (nats.errors.Error, OSError)
"""What JetStream and the way to it raise."""
