"""What a shape would do to the last lines of a project."""

import time
from collections.abc import Callable
from typing import Final

import nats.errors
from nats.aio.client import Client

from hub.batches import Batch, Chunk, Line
from hub.errors import Invalid, Unavailable
from hub.relay.contracts import DryRun, DryRunResult, LogLine, ShapedLine
from hub.relay.hosts import HostNames
from hub.relay.logs import FACILITIES
from hub.relay.reader import StoredMessage, ordered
from hub.relay.streams import logs_filter, shard_of, shard_stream
from hub.relay.unpack import Unreadable, origin_of, unpack
from hub.shaping.preview import preview
from hub.shaping.rules import SEVERITIES
from hub.times import rfc3339

MAX_LIMIT: Final = 100
_BUDGET: Final = 2.5  # seconds that looking for lines may take


class DryRuns:
    """Answers `relay.dry-run`.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self,
        nats: Client,
        hosts: HostNames,
        *,
        shards: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nats = nats
        self._hosts = hosts
        self._shards = shards
        self._clock = clock

    async def run(self, request: DryRun) -> DryRunResult:
        """Shape the last lines that are stored, and say what became of each.

        Raises:
            Invalid: the shape or the limit is not good; its FieldErrors point into the shape.
            Unavailable: JetStream does not answer, or nobody knows the groups of the devices.
        """
        if not 1 <= request.limit <= MAX_LIMIT:
            raise Invalid(f"limit is 1 to {MAX_LIMIT}")
        try:
            chunks = await self._last(request.project, request.limit)
        except nats.errors.Error as error:
            raise Unavailable("the stored lines cannot be read now") from error
        groups = {
            device: await self._hosts.group(request.project, device)
            for device in {chunk.device for chunk in chunks}
        }
        outcomes = preview(request.shape, [(chunk, groups[chunk.device]) for chunk in chunks])
        stored = [(line, chunk.received) for chunk in chunks for line in Batch("", (chunk,))]
        return DryRunResult(
            [
                ShapedLine(
                    _shown(line, received),
                    outcome.outcome,
                    None if outcome.line is None else _shown(outcome.line, received),
                )
                for (line, received), outcome in zip(stored, outcomes, strict=True)
            ]
        )

    async def _last(self, project: str, limit: int) -> list[Chunk]:
        """Give the last lines, oldest first."""
        shard = shard_of(project, self._shards)
        state = (await self._nats.jetstream().stream_info(shard_stream(shard))).state
        deadline = self._clock() + _BUDGET
        found: list[Chunk] = []
        start, span = state.last_seq + 1, max(64, limit)
        while start > state.first_seq and _count(found) < limit and self._clock() < deadline:
            start, stop = max(state.first_seq, start - span), start - 1
            found = await self._between(project, start, stop) + found
            span *= 4
        while (more := _count(found) - limit) > 0:
            head = found.pop(0)
            if more < len(head):
                found.insert(0, head.part(more))
        return found

    async def _between(self, project: str, start: int, stop: int) -> list[Chunk]:
        shard = shard_of(project, self._shards)
        subject = logs_filter(shard, project)
        chunks: list[Chunk] = []
        async with ordered(self._nats, shard_stream(shard), subject, start=start) as reader:
            async for message in reader.stored():
                if message.sequence > stop:
                    break
                chunk = await self._chunk(project, message)
                if chunk is not None:
                    chunks.append(chunk)
        return chunks

    async def _chunk(self, project: str, message: StoredMessage) -> Chunk | None:
        """Decode a message; None when it cannot be: a delivery makes it a dead letter."""
        try:
            origin = origin_of(message)
            device = origin.batch.device
            host = origin.host or (await self._hosts.look_up(project, [device]))[device]
            chunk = unpack(message, origin, project=project, host=host)
        except Unreadable:
            return None
        return chunk if isinstance(chunk, Chunk) else None


def _shown(line: Line, received: int) -> LogLine:
    return LogLine(
        id=line.id,
        time=rfc3339(line.time),
        received=rfc3339(received),
        device=line.device,
        host=line.host,
        stream=line.stream,
        severity=SEVERITIES[line.priority & 7],
        facility=FACILITIES[line.priority >> 3],
        program=line.program,
        message=line.message,
    )


def _count(chunks: list[Chunk]) -> int:
    return sum(map(len, chunks))
