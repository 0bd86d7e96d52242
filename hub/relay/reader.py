"""Reading JetStream consumers in order, many messages a request.

nats-py's `fetch` costs a request and a wait for each call. Here pull requests are kept open ahead
of the reader, bounded by bytes, and messages are taken from a queue without a wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from hub.protocol import MAX_PAYLOAD_BYTES
from hub.relay.retry import Backoff

_EXPIRES: Final = 30.0  # seconds that a pull request stays open at the server
_GRACE: Final = 5.0  # seconds that the server's word on an expired request may take
_BATCH: Final = 1_000
_TICK: Final = 1.0  # seconds between looks at the connection
LARGEST: Final = 1024 * 1024 + 64 * 1024
"""Bytes of the largest message that any stream may hold: nats-server's own limit, with room."""
LARGEST_BATCH: Final = MAX_PAYLOAD_BYTES + 64 * 1024
"""The same where all are batches of lines or samples."""


class Interrupted(Exception):  # noqa: N818 - an event, not a fault of the caller
    """Messages may have been missed: the consumer must be opened again."""


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """One message of a stream.

    Args:
        sequence: in the stream.
        pending: how many follow for the same consumer.
        time: when JetStream stored it, nanoseconds since the Unix epoch.
        reply: where it is acknowledged.
        epoch: of the reader: acknowledgements are good only until the consumer is reset.
    """

    subject: str
    payload: bytes
    headers: dict[str, str]
    sequence: int
    pending: int
    time: int
    reply: str
    epoch: int = 0


class _Request:
    __slots__ = ("deadline", "inbox", "remaining", "size")

    def __init__(self, inbox: str, size: int) -> None:
        self.inbox = inbox
        self.size = size
        self.remaining = _BATCH
        self.deadline = time.monotonic() + _EXPIRES + _GRACE


class Reader:
    """The messages of one pull consumer, in order, checked for gaps.

    Args:
        window: bytes of messages that are held or asked for at most, but for one of the largest.
        wake: called when something arrived, or when the reader is interrupted.
    """

    def __init__(
        self,
        nats: Client,
        stream: str,
        consumer: str,
        *,
        window: int,
        wake: Callable[[], None],
        epoch: int = 0,
        largest: int = LARGEST,
    ) -> None:
        self._nats = nats
        # A request for less than the next message takes would get nothing.
        self._least = largest
        self._epoch = epoch
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._window = max(window, self._least)
        self._wake = wake
        self._inbox = nats.new_inbox()
        self._queue: deque[StoredMessage] = deque()
        self._held = 0
        self._requests: deque[_Request] = deque()
        self._made = 0
        self._expected = 1
        self._reconnects = nats.stats["reconnects"]
        self._trouble = ""
        self._subscription: Subscription | None = None
        self.position = 0
        """Stream sequence of the last message that came."""

    async def open(self) -> None:
        """Begin; the consumer has just been made or reset, so its sequence starts at 1."""
        self._subscription = await self._nats.subscribe(
            f"{self._inbox}.*", cb=self._arrived, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def close(self) -> None:
        """Stop; what was not taken is forgotten."""
        if self._subscription is not None and not self._nats.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None
        self._queue.clear()
        self._held = 0

    @property
    def is_open(self) -> bool:
        """Messages are asked for."""
        return self._subscription is not None

    @property
    def held(self) -> int:
        """Bytes of the messages that were read and not taken."""
        return self._held

    def limit(self, window: int) -> None:
        """Hold and ask for so many bytes at most, from now on."""
        self._window = max(window, self._least)

    @property
    def waiting(self) -> int:
        """How many messages can be taken at once."""
        return len(self._queue)

    @property
    def arrived(self) -> int:
        """How many messages have come."""
        return self._expected - 1

    @property
    def oldest(self) -> StoredMessage | None:
        """The next message, left where it is."""
        return self._queue[0] if self._queue else None

    def take(self) -> StoredMessage | None:
        """Give the next message, if one is here."""
        if not self._queue:
            return None
        message = self._queue.popleft()
        self._held -= len(message.payload)
        return message

    async def pump(self) -> None:
        """Ask for more where there is room.

        Raises:
            Interrupted: the connection was lost, a message was missed or the consumer is gone.
        """
        if self._nats.stats["reconnects"] != self._reconnects or not self._nats.is_connected:
            raise Interrupted("the connection to NATS was lost")
        if self._trouble:
            raise Interrupted(self._trouble)
        now = time.monotonic()
        while self._requests and self._requests[0].deadline < now:
            self._requests.popleft()
        asked = sum(request.size for request in self._requests)
        room = self._window - self._held - asked
        if len(self._requests) < 2 and room >= max(self._least, self._window // 4):
            await self._ask(max(self._least, room // 2))

    async def _ask(self, size: int) -> None:
        self._made += 1
        request = _Request(f"{self._inbox}.{self._made}", size)
        body = msgspec.json.encode(
            {"batch": _BATCH, "max_bytes": size, "expires": int(_EXPIRES * 1e9)}
        )
        self._requests.append(request)
        try:
            await self._nats.publish(self._next, body, reply=request.inbox)
        except nats.errors.Error as error:
            raise Interrupted(str(error)) from error

    async def _arrived(self, msg: Msg) -> None:
        if not msg.reply.startswith("$JS.ACK."):
            self._status(msg)
            return
        # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>,
        # or with <domain>.<account> after ACK and a random token at the end.
        parts = msg.reply.split(".")
        at = 5 if len(parts) == 9 else 7
        if int(parts[at + 1]) != self._expected:
            self._trouble = "a message was missed"
            self._wake()
            return
        self._expected += 1
        self.position = int(parts[at])
        self._held += len(msg.data)
        self._queue.append(
            StoredMessage(
                msg.subject, msg.data, msg.headers or {},
                self.position, int(parts[at + 3]), int(parts[at + 2]), msg.reply,
                self._epoch,
            )
        )  # fmt: skip
        if self._requests:
            self._requests[0].remaining -= 1
            if not self._requests[0].remaining:
                self._requests.popleft()
        self._wake()

    def _status(self, msg: Msg) -> None:
        """A status ends the request that it answers; some say that the consumer is gone."""
        headers = msg.headers or {}
        status, words = headers.get("Status"), headers.get("Description", "")
        if status == "100":
            return
        if status == "503" or (status == "409" and "Consumer" in words):
            self._trouble = "the consumer is gone"
        self._requests = deque(r for r in self._requests if r.inbox != msg.subject)
        self._wake()


class Ordered:
    """A reader of its own: an ephemeral consumer, made again where it left off when interrupted.

    Args:
        subject: filter.
        start: the first message of interest: its stream sequence, or when it was stored, in
            microseconds.
    """

    def __init__(
        self,
        nats: Client,
        stream: str,
        subject: str,
        *,
        start: int | datetime,
        headers_only: bool,
        window: int,
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._stream = stream
        self._config = api.ConsumerConfig(
            filter_subject=subject,
            ack_policy=api.AckPolicy.NONE,
            headers_only=headers_only or None,
            inactive_threshold=60.0,
            mem_storage=True,
            num_replicas=1,
        )
        self._start = start
        self._position = 0
        self._window = window
        self._arrived = asyncio.Event()
        self._backoff = Backoff(base=0.2, cap=2.0)
        self._reader: Reader | None = None
        self._consumer = ""
        self.available = 0
        """Messages that the stream held for us when the consumer was made."""

    async def open(self) -> None:
        """Make the consumer.

        Raises:
            nats.errors.Error: JetStream does not answer, or refuses.
        """
        info = await self._js.add_consumer(self._stream, self._config, **self._beginning())
        self._consumer = info.name
        self.available = info.num_pending or 0
        self._reader = Reader(
            self._nats, self._stream, info.name, window=self._window, wake=self._arrived.set
        )
        await self._reader.open()

    def _beginning(self) -> dict[str, Any]:
        start = self._position or self._start
        if isinstance(start, datetime):
            return {"deliver_policy": api.DeliverPolicy.BY_START_TIME, "opt_start_time": start}
        return {
            "deliver_policy": api.DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": max(1, start),
        }  # fmt: skip

    async def close(self) -> None:
        """Let go of the consumer; the server forgets it by itself if it cannot be told."""
        if self._reader is None or self._nats.is_closed:
            return
        await self._reader.close()
        self._reader = None
        try:
            await self._js.delete_consumer(self._stream, self._consumer)
        except (nats.errors.Error, NotFoundError):
            return

    async def next(self) -> StoredMessage:
        """Give the next message, however long it takes."""
        while True:
            if message := await self._step():
                return message

    def at_hand(self) -> StoredMessage | None:
        """Give the next message if it is here already."""
        message = self._reader.take() if self._reader is not None else None
        if message is not None:
            self._position = message.sequence + 1
        return message

    async def stored(self) -> AsyncIterator[StoredMessage]:
        """Give what the stream held when the consumer was made, but for what it no longer holds."""
        left = self.available
        while left:
            message = await self._step()
            if message is not None:
                left = message.pending
                yield message
            elif self._reader is not None:
                left = await left_for(self._js, self._stream, self._consumer, self._reader)

    async def _step(self) -> StoredMessage | None:
        """Give the next message; None when none came within a second."""
        try:
            if self._reader is None:
                await self.open()
            reader = self._reader
            assert reader is not None
            self._arrived.clear()
            if not reader.waiting:
                await reader.pump()
                await _within(self._arrived, _TICK)
            message = reader.take()
        except (Interrupted, nats.errors.Error):
            await self.close()
            await asyncio.sleep(self._backoff.next())
            return None
        if message is not None:
            self._backoff.reset()
            self._position = message.sequence + 1
        return message


async def left_for(js: JetStreamContext, stream: str, consumer: str, reader: Reader) -> int:
    """Say how many messages are still to come to a reader; 1 where that is not known.

    What was counted when the consumer was made, retention or a purge may have taken since.
    """
    try:
        info = await js.consumer_info(stream, consumer)
    except nats.errors.Error:
        return 1
    given = info.delivered.consumer_seq if info.delivered else 0
    return (info.num_pending or 0) + max(0, given - reader.arrived) + reader.waiting


@asynccontextmanager
async def ordered(
    nats: Client,
    stream: str,
    subject: str,
    *,
    start: int | datetime,
    headers_only: bool = False,
    window: int = 4 * 1024 * 1024,
) -> AsyncIterator[Ordered]:
    """Read a stream from a sequence, or a time, on; see `Ordered`."""
    reader = Ordered(nats, stream, subject, start=start, headers_only=headers_only, window=window)
    try:
        await reader.open()
        yield reader
    finally:
        await reader.close()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; say whether it came in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
