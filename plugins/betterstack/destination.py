"""Compressed NDJSON to a source's ingesting host.

https://betterstack.com/docs/logs/ingesting-data/http/logs/
"""

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
    rfc3339_column,
)
from plugins.betterstack.config import BetterStackConfig

_ROOM: Final = 64 * 1024
"""For what gzip adds to a body that cannot be compressed."""

LIMITS: Final = PieceLimits(
    max_items=20_000,
    max_bytes=10 * 1024 * 1024 - _ROOM,
    max_item_bytes=10 * 1024 * 1024 - _ROOM,
    overhead=1,
    frame=0,
)
""""10 MiB of compressed data" a request and 10 MiB a record; kept here before compression."""

_encode: Final = msgspec.json.Encoder().encode


class BetterStackEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event; `dt` is the field that its time is taken from."""

    dt: str
    message: str
    level: str
    host: str
    program: str
    facility: int
    device: str
    stream: str
    id: str
    labels: dict[str, str] = {}


class BetterStack:
    """Posts batches to Better Stack, which answers 202 when it has them."""

    def __init__(self, config: BetterStackConfig, tools: Tools) -> None:
        self._target = HttpTarget(
            tools,
            config.url,
            headers={
                "Authorization": f"Bearer {config.token.reveal()}",
                "Content-Type": "application/x-ndjson",
            },
            ca=config.ca,
            compress=True,
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; Better Stack has taken it when this returns."""
        events = [event for chunk in batch.chunks for event in encode(chunk)]
        await push_pieces(events, LIMITS, self._push)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"\n".join(piece.items))
        answer.check()


def encode(chunk: Chunk) -> list[bytes]:
    """Give each line of a chunk as a JSON object."""
    lines, labels = chunk.lines, dict(chunk.labels)
    columns = zip(
        rfc3339_column(lines.times),
        lines.messages,
        lines.program_column(),
        lines.priority_column(),
        chunk.ids(),
        strict=True,
    )
    return [
        _encode(
            BetterStackEvent(
                stamp, message, SEVERITIES[priority & 7], chunk.host, program, priority >> 3,
                chunk.device, chunk.stream, identifier, labels,
            )
        )
        for stamp, message, program, priority, identifier in columns
    ]  # fmt: skip
