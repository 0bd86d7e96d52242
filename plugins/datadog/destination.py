"""JSON arrays to the logs intake, API v2.

https://docs.datadoghq.com/api/latest/logs/send-logs/
"""

import time
from collections.abc import Callable
from typing import Final

from hub import Batch, HttpTarget, Piece, PieceLimits, Tools, push_pieces
from plugins.datadog.config import DatadogConfig
from plugins.datadog.logs import Writer

LIMITS: Final = PieceLimits(
    max_items=1_000, max_bytes=5_000_000, max_item_bytes=1_000_000, overhead=1, frame=2
)
""""5MB" (uncompressed) a payload, "1000 entries", "1MB" a log: a longer one would be cut."""


class Datadog:
    """Posts batches to Datadog, which answers 202 when it has them.

    Args:
        clock: Unix seconds, to tell what is too old for Datadog.
    """

    def __init__(
        self, config: DatadogConfig, tools: Tools, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._writer = Writer(config, clock)
        self._target = HttpTarget(
            tools,
            config.endpoint,
            headers={"DD-API-KEY": config.api_key.reveal(), "Content-Type": "application/json"},
            ca=config.ca,
            compress=True,
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; Datadog has taken it when this returns."""
        logs = [log for chunk in batch.chunks for log in self._writer.logs(chunk)]
        await push_pieces(logs, LIMITS, self._push)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"[%b]" % b",".join(piece.items))
        answer.check()
