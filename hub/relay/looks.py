"""Looks at streams, shared by all who need them: what they hold, and how far behind a lane is."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from hub.relay.cursor import Cursor
from hub.relay.progress import Lag
from hub.relay.stored import BATCH, LINE, MSG_ID, BatchId

T = TypeVar("T")

_FRESH: Final = 1.0  # seconds that a look is good for


class Head(NamedTuple):
    """A stored message without its payload.

    Args:
        line: lines of the project that the stream had taken before it, -1 when it does not say;
            `lines` in it.
        time: when it was stored, nanoseconds since the Unix epoch.
    """

    sequence: int
    line: int
    lines: int
    time: int


class Looks:
    """Looks at streams; one that was just made serves the next who asks."""

    def __init__(self, nats: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._js = nats.jetstream()
        self._clock = clock
        self._kept: dict[object, tuple[float, Any]] = {}

    async def info(self, stream: str) -> api.StreamInfo:
        """Give what a stream holds, and may hold.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """

        async def look() -> api.StreamInfo:
            return await self._js.stream_info(stream)

        return await self._shared(("info", stream), look)

    async def counts(self, stream: str, filter_: str) -> dict[str, int]:
        """Give how many messages a stream holds at this moment, by subject.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        info = await self._js.stream_info(stream, subjects_filter=filter_)
        return info.state.subjects or {}

    async def newest(self, stream: str, filter_: str) -> Head | None:
        """Give the newest message that a filter finds.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """

        async def look() -> Head | None:
            return await self.last(stream, filter_)

        return await self._shared(("newest", stream, filter_), look)

    async def last(self, stream: str, filter_: str) -> Head | None:
        """Give the newest message that a filter finds at this moment.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        return await self._head(stream, subject=filter_)

    async def next(self, stream: str, filter_: str, sequence: int) -> Head | None:
        """Give the first message from a sequence on that a filter finds.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        return await self._head(stream, subject=filter_, seq=max(1, sequence), next=True)

    async def lag(self, cursor: Cursor) -> Lag:
        """See how far a cursor is behind.

        Raises:
            nats.errors.Error: JetStream does not answer; NotFoundError: there is no consumer.
        """
        source, ledger = cursor.source, cursor.ledger
        newest = await self.newest(source.stream, source.filter)
        if newest is None or newest.sequence <= ledger.until:
            return Lag()
        standing = await cursor.standing()
        held = ledger.oldest
        if held is not None:
            line = held.line + held.done if held.line >= 0 else -1
            sequence, oldest = held.sequence, held.time
        elif not standing.pending:
            return Lag()
        else:
            first = await self.next(source.stream, source.filter, standing.until + 1)
            if first is None:
                return Lag()
            line, sequence, oldest = first.line, first.sequence, first.time
        lines = 0
        if newest.line >= 0 and line >= 0:
            lines = max(0, newest.line + newest.lines - line)
        return Lag(max(1, standing.pending), lines, oldest, sequence)

    async def _head(self, stream: str, **what: Any) -> Head | None:
        try:
            message = await self._js.get_msg(stream, **what)
        except NotFoundError:
            return None
        headers = message.headers or {}
        line = headers.get(LINE, "")
        try:
            lines = BatchId.parse(headers.get(BATCH) or headers.get(MSG_ID, "")).lines
        except ValueError:
            lines = 0
        return Head(
            message.seq or 0,
            int(line) if line.isdecimal() else -1,
            lines,
            int(message.time.timestamp() * 1e9) if message.time else 0,
        )

    async def _shared(self, key: object, look: Callable[[], Awaitable[T]]) -> T:
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._clock():
            value: T = kept[1]
            return value
        value = await look()
        now = self._clock()
        self._kept = {k: v for k, v in self._kept.items() if v[0] > now}
        self._kept[key] = (now + _FRESH, value)
        return value
