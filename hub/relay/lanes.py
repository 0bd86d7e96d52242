"""The lanes of an integration: log lines, samples of metrics, and dead letters once more.

Each has its own consumer, destination and breaker, so that neither waits for another.
"""

import asyncio
from collections.abc import Awaitable, Callable
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
    """One lane; it outlives the revisions of its integration, as long as its start is the same.

    Args:
        total: gives how many lines its stream has taken for it so far, at the least.
    """

    def __init__(
        self,
        kind: LaneKind,
        cursor: Cursor,
        progress: LaneProgress,
        total: Callable[[], Awaitable[int]],
    ) -> None:
        self.kind = kind
        self.cursor = cursor
        self.progress = progress
        self.delivery: Delivery | None = None
        self.task: asyncio.Task[None] | None = None
        self.is_prepared = False
        self._total = total
        self._start_at = cursor.source.start_at or 0
        self._waits = True
        """Lines were seen to wait, or it is not known: they might be gone at the next look."""

    async def prepare(self, looks: Looks, kept: KeptPlace | None) -> None:
        """Make the consumer, and know how far it is; once is enough.

        Args:
            kept: what an earlier process wrote down.

        Raises:
            nats.errors.Error: JetStream does not answer.
            Unavailable: Postgres does not.
        """
        if self.is_prepared:
            return
        if kept is not None and kept.start_at == self._start_at:
            # A replay's consumer goes with its end: the next one is to read all that there is.
            sequence = 0 if self.kind is LaneKind.REPLAY else kept.sequence
            self.cursor.ledger.restore(sequence, kept.line)
        await self.cursor.ensure()
        standing = await self.cursor.standing()
        if self.cursor.ledger.next_line is None:
            await self._begin(looks, standing.until)
        else:
            await self._catch_up(looks, standing.until)
        self.is_prepared = True

    async def _begin(self, looks: Looks, until: int) -> None:
        """Note what comes first: it has to be known before retention can take it."""
        source, ledger = self.cursor.source, self.cursor.ledger
        if self.kind is LaneKind.REPLAY:  # all that was ever put there is to be delivered
            ledger.restore(0, 0)
            return
        # In this order: what is stored meanwhile is not yet done.
        total = await self._total()
        last = (await looks.info(source.stream)).state.last_seq
        newest = await looks.newest(source.stream, source.filter)
        first = await looks.next(source.stream, source.filter, until + 1)
        if first is not None:
            if first.line >= 0:
                ledger.restore(first.sequence - 1, first.line)
        elif newest is None:
            ledger.restore(last, total)
        elif newest.line >= 0:
            ledger.restore(newest.sequence, newest.line + newest.lines)

    async def _catch_up(self, looks: Looks, until: int) -> None:
        """Go on where the consumer is, which may be beyond what was last written down."""
        source, ledger = self.cursor.source, self.cursor.ledger
        if until <= ledger.done_until:
            return
        last = await looks.next(source.stream, source.filter, until)
        if last is not None and last.sequence == until and last.line >= 0:
            ledger.restore(until, last.line + last.lines)

    def place(self, integration: str, gap_lines: int) -> KeptPlace | None:
        """Say how far it is done, if that is known."""
        ledger = self.cursor.ledger
        if ledger.done_line is None:
            return None
        return KeptPlace(
            integration, self.kind.value, self._start_at, ledger.done_until, ledger.done_line,
            gap_lines,
        )  # fmt: skip

    async def measure(self, looks: Looks) -> None:
        """See how far it is behind, and whether retention passed it while it did not read.

        Raises:
            nats.errors.Error: JetStream does not answer.
            Unavailable: Postgres does not.
        """
        try:
            self.progress.lag = await looks.lag(self.cursor)
        except NotFoundError:
            self.progress.lag = Lag()
            return
        self._waits = self._waits or self.progress.lag.pending > 0
        await self.look_for_gap(looks)
        self.progress.behind(await _behind(looks, self.cursor.source.stream, self.progress.lag))

    async def look_for_gap(self, looks: Looks) -> None:
        """See whether retention passed it while it did not read.

        Raises:
            nats.errors.Error: JetStream does not answer.
            Unavailable: Postgres does not.
        """
        source, ledger = self.cursor.source, self.cursor.ledger
        if self.cursor.is_reading or ledger.next_line is None:
            return  # whoever reads sees it, and knows better
        state = (await looks.info(source.stream)).state
        if state.first_seq <= ledger.read_until + 1:
            return
        head = await looks.next(source.stream, source.filter, ledger.read_until + 1)
        if head is not None:
            if head.line > ledger.next_line:
                self.progress.gap(ledger.pass_over(head.sequence, head.line))
        elif self._waits:
            await self.settle(looks)

    async def settle(self, looks: Looks) -> None:
        """Count what is gone, where nothing came after it.

        Raises:
            nats.errors.Error: JetStream does not answer.
            Unavailable: Postgres does not.
        """
        source, ledger = self.cursor.source, self.cursor.ledger
        last = (await looks.info(source.stream)).state.last_seq
        total = await self._total()
        # What was counted was stored by then: if it is not there now, it is gone.
        if await looks.next(source.stream, source.filter, ledger.read_until + 1) is not None:
            return
        self._waits = False
        if total > (ledger.next_line or 0):
            self.progress.gap(ledger.pass_over(last + 1, total))


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
