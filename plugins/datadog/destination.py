"""JSON arrays to the logs intake, API v2.

https://docs.datadoghq.com/api/latest/logs/send-logs/
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from hub import (
    SEVERITIES,
    Batch,
    Chunk,
    HttpTarget,
    Piece,
    PieceLimits,
    Tools,
    push_pieces,
    rfc3339,
)
from plugins.datadog.config import DatadogConfig

LIMITS: Final = PieceLimits(
    max_items=1_000, max_bytes=5_000_000, max_item_bytes=1_000_000, overhead=1, frame=2
)
""""5MB" (uncompressed) a payload, "1000 entries", "1MB" a log: a longer one would be cut."""

OLDEST: Final = 18 * 3600 - 600
NEWEST: Final = 2 * 3600 - 600
"""Seconds: "up to 18 hours in the past and two hours in the future" (Log Date Remapper), with ten
minutes to spare for the way and for clocks that differ."""

_encode: Final = msgspec.json.Encoder().encode


class DatadogLog(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One log; `ddsource`, `ddtags`, `hostname`, `service`, `status`, `timestamp` are reserved.

    Args:
        timestamp: milliseconds since the Unix epoch; without it, the time of arrival counts.
        original_time: the line's own time, where Datadog would not take it as `timestamp`.
    """

    ddsource: str
    ddtags: str
    hostname: str
    service: str
    status: str
    message: str
    facility: int
    device: str
    stream: str
    id: str
    timestamp: int | None = None
    original_time: str | None = None


class Datadog:
    """Posts batches to Datadog, which answers 202 when it has them.

    Args:
        clock: Unix seconds, to tell what is too old for Datadog.
    """

    def __init__(
        self, config: DatadogConfig, tools: Tools, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._clock = clock
        self._target = HttpTarget(
            tools,
            config.endpoint,
            headers={"DD-API-KEY": config.api_key.reveal(), "Content-Type": "application/json"},
            ca=config.ca,
            compress=True,
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; Datadog has taken it when this returns."""
        logs = [log for chunk in batch.chunks for log in self._encoded(chunk)]
        await push_pieces(logs, LIMITS, self._push)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"[%b]" % b",".join(piece.items))
        answer.check()

    def _encoded(self, chunk: Chunk) -> list[bytes]:
        now = self._clock()
        oldest, newest = int((now - OLDEST) * 1e6), int((now + NEWEST) * 1e6)
        lines, config, tags = chunk.lines, self._config, self._tags(chunk)
        columns = zip(
            lines.times,
            lines.messages,
            lines.program_column(),
            lines.priority_column(),
            chunk.ids(),
            strict=True,
        )
        logs: list[bytes] = []
        for moment, message, program, priority, identifier in columns:
            taken = oldest <= moment <= newest
            log = DatadogLog(
                config.source, tags, chunk.host, config.service or program,
                SEVERITIES[priority & 7], message, priority >> 3,
                chunk.device, chunk.stream, identifier,
                moment // 1000 if taken else None, None if taken else rfc3339(moment),
            )  # fmt: skip
            logs.append(_encode(log))
        return logs

    def _tags(self, chunk: Chunk) -> str:
        """Give the tags that a chunk's lines share; a comma would end one."""
        own = {"project": chunk.project, "device": chunk.device, "stream": chunk.stream}
        tags = own | self._config.tags | dict(chunk.labels)
        return ",".join([f"{name}:{text.replace(',', '_')}" for name, text in tags.items()])
