"""Reading stored lines: the newest of a project, page by page backwards, and live."""

import base64
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from hub.errors import Invalid, Unavailable
from hub.protocol import Lines, ProtocolError, decode_lines
from hub.relay.contracts import LogLine, LogPage, ReadLogs, TailItem, TailLogs
from hub.relay.hosts import HostNames
from hub.relay.reader import StoredMessage, ordered
from hub.relay.stored import HOST, MSG_ID, RECEIVED, BatchId
from hub.relay.streams import logs_filter, shard_of, shard_stream
from hub.shaping.rules import SEVERITIES
from hub.times import rfc3339

_log = structlog.stdlib.get_logger(__name__)

MAX_LIMIT: Final = 1_000
_BUDGET: Final = 2.5  # seconds that looking for one page may take
_BEHIND: Final = 2_000  # batches; a tail that is further behind leaves some out
_LAST_LINE: Final = (1 << 31) - 1

# RFC 5424, section 6.2.1, table 1, by their usual keywords.
FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", *(f"local{n}" for n in range(8)),
)  # fmt: skip


class Position(NamedTuple):
    """A line's place: the stream sequence of its batch, and its index there."""

    sequence: int
    line: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(f"{self.sequence}.{self.line}".encode()).decode()

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read a cursor.

        Raises:
            Invalid: it is not one of ours.
        """
        try:
            sequence, line = base64.urlsafe_b64decode(text.encode()).decode().split(".")
            position = cls(int(sequence), int(line))
        except ValueError:
            raise Invalid("the cursor is not one that this API gave") from None
        if not (0 <= position.sequence < 1 << 63 and 0 <= position.line <= _LAST_LINE):
            raise Invalid("the cursor is not one that this API gave")
        return position


class Found(NamedTuple):
    """A line and where it lies."""

    position: Position
    line: LogLine


class Logs:
    """Answers `relay.logs.read` and `relay.logs.tail`."""

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

    # ── a page ────────────────────────────────────────────────────────────────────────────────

    async def read(self, request: ReadLogs) -> LogPage:
        """Give the newest lines before a cursor.

        A page may hold fewer lines than there are, even none, when looking for more would take
        too long (a filter that few lines pass): its cursor goes on from there.

        Raises:
            Invalid: the cursor or the limit is not valid.
            Unavailable: JetStream does not answer.
        """
        if not 1 <= request.limit <= MAX_LIMIT:
            raise Invalid(f"limit is 1 to {MAX_LIMIT}")
        before = Position.parse(request.before) if request.before else None
        try:
            return await self._page(request, before)
        except NatsError as error:
            raise Unavailable("the stored lines cannot be read now") from error

    async def _page(self, request: ReadLogs, before: Position | None) -> LogPage:
        shard = shard_of(request.project, self._shards)
        state = (await self._nats.jetstream().stream_info(shard_stream(shard))).state
        end = state.last_seq
        if before is not None:
            end = min(end, before.sequence if before.line else before.sequence - 1)
        deadline = self._clock() + _BUDGET
        span = max(64, request.limit)
        found: list[Found] = []
        start = end + 1
        while start > state.first_seq and len(found) < request.limit and self._clock() < deadline:
            start, stop = max(state.first_seq, start - span), start - 1
            earlier = [line async for line in self._between(request, start, stop)]
            found = [line for line in earlier if before is None or line.position < before] + found
            span *= 4
        page = found[-request.limit :]
        more = len(found) > len(page) or start > state.first_seq
        oldest = page[0].position if len(found) > len(page) and page else Position(start, 0)
        return LogPage([line for _, line in page], str(oldest) if more else "")

    async def _between(self, request: ReadLogs, start: int, stop: int) -> AsyncIterator[Found]:
        shard = shard_of(request.project, self._shards)
        subject = logs_filter(shard, request.project, request.stream or "*")
        async with ordered(self._nats, shard_stream(shard), subject, start=start) as reader:
            async for message in reader.stored():
                if message.sequence > stop:
                    return
                for line in await self._lines(message, request.project, request.device):
                    yield line

    # ── live ──────────────────────────────────────────────────────────────────────────────────

    async def tail(self, request: TailLogs) -> AsyncIterator[TailItem]:
        """Follow a project's lines; of a new tail, the first item says where it begins.

        Raises:
            Invalid: the position is not valid.
            Unavailable: JetStream does not answer.
        """
        shard = shard_of(request.project, self._shards)
        stream = shard_stream(shard)
        subject = logs_filter(shard, request.project, request.stream or "*")
        after = Position.parse(request.after) if request.after else None
        try:
            if after is None:
                start = (await self._nats.jetstream().stream_info(stream)).state.last_seq + 1
                yield TailItem(str(Position(start - 1, _LAST_LINE)), None)
            else:
                start = max(after.sequence, 1)
            missed = 0
            async with ordered(self._nats, stream, subject, start=start) as reader:
                while True:
                    message = await reader.next()
                    if message.pending > _BEHIND:
                        missed += _lines_of(message, request.device)
                        continue
                    for position, line in await self._lines(
                        message, request.project, request.device
                    ):
                        if after is None or position > after:
                            yield TailItem(str(position), line, missed)
                            missed = 0
        except NatsError as error:
            raise Unavailable("the stored lines cannot be read now") from error

    # ── lines ─────────────────────────────────────────────────────────────────────────────────

    async def _lines(self, message: StoredMessage, project: str, device: str) -> list[Found]:
        """Give a message's lines; none when it is another device's or cannot be read."""
        try:
            batch = BatchId.parse(message.headers.get(MSG_ID, ""))
            if device and batch.device != device:
                return []
            lines = decode_lines(message.payload)
        except (ProtocolError, ValueError):
            return []  # a delivery makes it a dead letter; here it is just not shown
        host = message.headers.get(HOST, "")  # of a source that is no device
        if not host:
            host = (await self._hosts.look_up(project, [batch.device]))[batch.device]
        received = rfc3339(int(message.headers.get(RECEIVED) or message.time // 1_000))
        return list(_shown(message.sequence, batch, lines, host, received))


def _shown(sequence: int, batch: BatchId, lines: Lines, host: str, received: str) -> list[Found]:
    columns = zip(
        lines.times, lines.priority_column(), lines.program_column(), lines.messages, strict=True
    )
    return [
        Found(
            Position(sequence, index),
            LogLine(
                id=f"{batch.device}-{batch.stream}-{batch.boot}-{batch.first + index}",
                time=rfc3339(when),
                received=received,
                device=batch.device,
                host=host,
                stream=batch.stream,
                severity=SEVERITIES[priority & 7],
                facility=FACILITIES[priority >> 3],
                program=program,
                message=message,
            ),
        )
        for index, (when, priority, program, message) in enumerate(columns)
    ]


def _lines_of(message: StoredMessage, device: str) -> int:
    """Count the lines of a message that a tail leaves out."""
    try:
        batch = BatchId.parse(message.headers.get(MSG_ID, ""))
    except ValueError:
        return 0
    return 0 if device and batch.device != device else batch.span
