"""Entries to the push API, and what a refusal means for which of them.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
"""

import functools
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from hub import (
    Answer,
    Batch,
    HttpTarget,
    Partial,
    Piece,
    PieceLimits,
    Retry,
    Tools,
    comes_again,
    push_pieces,
)
from plugins.loki.config import LokiConfig
from plugins.loki.entries import Entries, Writer

_MAX_REQUEST: Final = 1_000_000
"""Bytes: what Promtail sends (`batchsize`); a tenant may send 4 MB/s, 6 at once, by default."""

_MAX_LINES: Final = 10_000
_ROUNDS: Final = 4
"""How often the rest of a stream is tried, each time without what Loki named."""

_MOMENT: Final = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d))"
_TOO_OLD: Final = re.compile(rb"oldest acceptable timestamp is: " + _MOMENT)
_TOO_NEW: Final = re.compile(rb"has timestamp too new: " + _MOMENT)
_SECOND: Final = 1_000_000


class Loki:
    """Posts batches to Loki, which answers 204 when it has them.

    The same time, labels and text again are dropped there, so lines that come again do no harm.
    """

    def __init__(self, config: LokiConfig, tools: Tools) -> None:
        self._writer = Writer(config)
        self._limits = PieceLimits(_MAX_LINES, _MAX_REQUEST, config.max_line, overhead=1, frame=14)
        self._target = HttpTarget(
            tools,
            f"{config.url.rstrip('/')}/loki/api/v1/push",
            headers=config.headers(),
            ca=config.ca,
            compress=config.gzip,
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; Loki has taken it when this returns."""
        entries = self._writer.entries(batch)
        await push_pieces(entries.items, self._limits, functools.partial(self._push, entries))

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, entries: Entries, piece: Piece) -> None:
        answer = await self._target.push(entries.body(piece.indexes))
        if answer.status == 400:
            await self._apart(entries, piece.indexes)
        else:
            answer.check()

    async def _apart(self, entries: Entries, indexes: Sequence[int]) -> None:
        """Find out what is refused, stream by stream.

        A 400 takes some entries and refuses others, and may tell of one stream alone. What was
        taken is dropped as a repeat when it is sent again.

        Raises:
            Partial: what is refused, and what could not be tried to the end.
        """
        refused: dict[int, str] = {}
        streams = entries.by_stream(indexes)
        for number, stream in enumerate(streams):
            try:
                refused |= await self._refused(entries, stream)
            except Retry as retry:
                left = sorted(index for later in streams[number:] for index in later)
                raise Partial(
                    rejected=sorted(refused.items()),
                    retry=left,
                    reason=retry.reason,
                    after=retry.after,
                ) from retry
        if refused:
            raise Partial(rejected=sorted(refused.items()))

    async def _refused(self, entries: Entries, stream: Sequence[int]) -> dict[int, str]:
        """Push the entries of one stream, and give those that are refused, with the reason.

        Where Loki does not say which they are, all that is left of the stream is refused.

        Raises:
            Retry: it takes nothing now.
        """
        refused: dict[int, str] = {}
        left = list(stream)
        for attempt in range(_ROUNDS):
            answer = await self._target.push(entries.body(left))
            if answer.ok:
                break
            if comes_again(answer.status):
                answer.check()
            named = _named(answer, entries.times, left) if attempt < _ROUNDS - 1 else []
            refused |= dict.fromkeys(named or left, answer.words)
            left = [index for index in left if index not in refused]
            if not left:
                break
        return refused


def _named(answer: Answer, times: Sequence[int], indexes: Sequence[int]) -> list[int]:
    """Give the entries that an answer refuses for their time, which it says to the second."""
    oldest = max(map(_microseconds, _TOO_OLD.findall(answer.body)), default=None)
    newest = min(map(_microseconds, _TOO_NEW.findall(answer.body)), default=None)
    return [
        index
        for index in indexes
        if (oldest is not None and times[index] < oldest + _SECOND)
        or (newest is not None and times[index] >= newest)
    ]


def _microseconds(moment: bytes) -> int:
    return int(datetime.fromisoformat(moment.decode()).timestamp()) * _SECOND
