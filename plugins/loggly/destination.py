"""JSON events, one a line, to the bulk endpoint.

https://documentation.solarwinds.com/en/success_center/loggly/content/admin/http-bulk-endpoint.htm
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
from plugins.loggly.config import LogglyConfig

LIMITS: Final = PieceLimits(
    max_items=10_000, max_bytes=5_000_000, max_item_bytes=1_000_000, overhead=1, frame=0
)
""""A maximum of 5MB per batch and up to 1MB per event"; no count is documented."""

_encode: Final = msgspec.json.Encoder().encode


class LogglyEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event; `timestamp` is the field that Loggly takes an event's time from."""

    timestamp: str
    message: str
    host: str
    program: str
    severity: str
    facility: int
    device: str
    stream: str
    id: str
    labels: dict[str, str] = {}


class Loggly:
    """Posts batches to Loggly, which answers 200 when it has them."""

    def __init__(self, config: LogglyConfig, tools: Tools) -> None:
        self._target = HttpTarget(
            tools,
            config.endpoint,
            # A JSON object is recognised by its braces; this says only where events end.
            headers={"Content-Type": "text/plain; charset=utf-8"},
            ca=config.ca,
            hide=(config.token.reveal(),),
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; Loggly has taken it when this returns."""
        events = [event for chunk in batch.chunks for event in encode(chunk)]
        await push_pieces(events, LIMITS, self._push)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"\n".join(piece.items))
        answer.check()


def encode(chunk: Chunk) -> list[bytes]:
    """Give each line of a chunk as a JSON event."""
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
            LogglyEvent(
                stamp, message, chunk.host, program, SEVERITIES[priority & 7], priority >> 3,
                chunk.device, chunk.stream, identifier, labels,
            )
        )
        for stamp, message, program, priority, identifier in columns
    ]  # fmt: skip
