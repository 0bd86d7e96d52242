"""The samples of all devices, in order and from a place on: for whoever keeps them.

Whoever reads writes down the place together with what it made of the samples, and goes on there:
then each of them counts once, whatever ends in between.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from hub.batches import MetricChunk
from hub.errors import Unavailable
from hub.relay.reader import Ordered, StoredMessage
from hub.relay.streams import is_void, metric_stream, project_of, stream_filter
from hub.relay.tasks import Tasks
from hub.relay.unpack import Unreadable, origin_of, unpack
from hub.settings import RelaySettings

_log = structlog.stdlib.get_logger(__name__)

_WINDOW: Final = 4 * 1024 * 1024  # bytes that are read ahead, of each shard
_LINGER: Final = 0.2  # seconds for which more is waited for, so that much is written at once
_ROUNDING: Final = 0.01  # seconds: far more than is lost by it
_LOOK: Final = 30.0  # seconds without a message after which the stream is looked at


class MetricPlace(msgspec.Struct, frozen=True):
    """How far a shard was read.

    Args:
        sequence: of the last message, in the stream; 0 before the first.
        time: when JetStream stored that one, nanoseconds since the Unix epoch.
    """

    sequence: int = 0
    time: int = 0


class TakenSamples(msgspec.Struct, frozen=True):
    """Some of what a shard holds, and the place after it."""

    shard: int
    place: MetricPlace
    chunks: list[MetricChunk]


class MetricFeed:
    """The way to the samples that the relay has stored.

    Args:
        most: samples that are given at once, but for those of one more message.
    """

    def __init__(
        self, nats: Client, shards: int, *, most: int = 20_000, linger: float = _LINGER
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._shards = shards
        self._most = most
        self._linger = linger

    @asynccontextmanager
    async def follow(self, places: Mapping[int, MetricPlace]) -> AsyncIterator["Following"]:
        """Read every shard from its place on, or from its beginning.

        Raises:
            Unavailable: JetStream does not answer.
        """
        queue: asyncio.Queue[TakenSamples | Unavailable] = asyncio.Queue(maxsize=1)
        tasks = Tasks()
        reading = [
            tasks.start(self._read(shard, places.get(shard, MetricPlace()), queue))
            for shard in range(self._shards)
        ]
        try:
            yield Following(queue, reading)
        finally:
            await tasks.cancel()

    async def _read(
        self, shard: int, place: MetricPlace, queue: "asyncio.Queue[TakenSamples | Unavailable]"
    ) -> None:
        try:
            is_known = await self._is_known(shard, place)
            seen = 0 if is_known else place.time
            reader = Ordered(
                self._nats,
                metric_stream(shard),
                stream_filter("metric", shard),
                start=place.sequence + 1 if is_known else 1,
                headers_only=False,
                window=_WINDOW,
            )
            try:
                while True:
                    taken = await self._take(shard, reader, place, seen)
                    place = taken.place
                    await queue.put(taken)
            finally:
                await reader.close()
        except (nats.errors.Error, OSError, Unavailable) as error:
            await queue.put(Unavailable(f"the stored samples cannot be read now: {error}"))

    async def _is_known(self, shard: int, place: MetricPlace) -> bool:
        """Say whether the stream still is the one that was read up to this place.

        One that was lost and made anew, or that lost its end, does not hold our message where it
        was: then it is read from its beginning, but for what is no newer than that message.
        """
        if not place.sequence:
            return True
        state = (await self._js.stream_info(metric_stream(shard))).state
        if state.first_seq > place.sequence + 1:
            _log.error(
                "samples were dropped by age, or for want of room, before they were kept",
                shard=shard, messages=state.first_seq - place.sequence - 1,
            )  # fmt: skip
        if place.sequence <= state.last_seq and await self._is_there(shard, place):
            return True
        _log.error("a stream is not the one that was read before", shard=shard)
        return False

    async def _is_there(self, shard: int, place: MetricPlace) -> bool:
        try:
            message = await self._js.get_msg(metric_stream(shard), seq=place.sequence)
        except NotFoundError:  # retention took it, or an erasure
            return True
        if message.time is None:
            return True
        return abs(message.time.timestamp() - place.time / 1e9) < _ROUNDING

    async def _take(
        self, shard: int, reader: Ordered, place: MetricPlace, seen: int
    ) -> TakenSamples:
        """Take what there is.

        Args:
            seen: messages up to this time (ns) were read before the stream changed.
        """
        message: StoredMessage | None = await self._first(shard, reader, place)
        await asyncio.sleep(self._linger)
        chunks: list[MetricChunk] = []
        count = 0
        while message is not None:
            if message.time > seen:
                chunk = _chunk_of(message)
                if chunk is not None:
                    chunks.append(chunk)
                    count += len(chunk)
            # While a stream is read again, no time before the one up to which it was read.
            place = MetricPlace(message.sequence, max(seen, message.time))
            message = reader.at_hand() if count < self._most else None
        return TakenSamples(shard, place, chunks)

    async def _first(self, shard: int, reader: Ordered, place: MetricPlace) -> StoredMessage:
        """Wait for a message, and see now and then that the stream still is what it was."""
        while True:
            waiting = asyncio.ensure_future(reader.next())
            done, _ = await asyncio.wait({waiting}, timeout=_LOOK)
            if done:
                return waiting.result()
            waiting.cancel()
            await asyncio.wait({waiting})
            state = (await self._js.stream_info(metric_stream(shard))).state
            if state.last_seq < place.sequence:
                raise Unavailable("a stream has lost its end")


class Following:
    """What comes of all shards, as it comes."""

    def __init__(
        self,
        queue: "asyncio.Queue[TakenSamples | Unavailable]",
        reading: "list[asyncio.Task[None]]",
    ) -> None:
        self._queue = queue
        self._reading = reading

    async def next(self, timeout: float) -> TakenSamples | None:
        """Give the next samples of any shard; None when none came in `timeout` seconds.

        Raises:
            Unavailable: JetStream does not answer; follow anew from the last place.
        """
        try:
            async with asyncio.timeout(timeout):
                item = await self._queue.get()
        except TimeoutError:
            if any(task.done() for task in self._reading):
                raise Unavailable("nobody reads the stored samples any more") from None
            return None
        if isinstance(item, Unavailable):
            raise item
        return item


def _chunk_of(message: StoredMessage) -> MetricChunk | None:
    """Decode a message; None for one without samples, or unreadable: that is a dead letter."""
    if is_void(message.subject):
        return None
    try:
        chunk = unpack(message, origin_of(message), project=project_of(message.subject), host="")
    except Unreadable:
        return None
    return chunk if isinstance(chunk, MetricChunk) else None


@asynccontextmanager
async def metric_feed(client: Client, settings: RelaySettings) -> AsyncIterator[MetricFeed]:
    """Open the way to the samples, for whoever asks for it by its type."""
    yield MetricFeed(client, settings.shards)
