"""What each device said last of each type of metric: the last message of each subject."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from hub.batches import MetricChunk
from hub.errors import Unavailable
from hub.relay.contracts import LatestMetrics, LatestSamples
from hub.relay.hosts import HostNames
from hub.relay.reader import Interrupted, Reader, StoredMessage, left_for
from hub.relay.streams import metric_stream, metrics_filter, shard_of
from hub.relay.unpack import Unreadable, origin_of, unpack

_WINDOW: Final = 4 * 1024 * 1024  # bytes that are read ahead
_TICK: Final = 1.0  # seconds between looks at the connection


class Latest:
    """Answers `relay.metrics.latest`."""

    def __init__(self, nats: Client, hosts: HostNames, *, shards: int) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._hosts = hosts
        self._shards = shards

    async def stream(self, request: LatestMetrics) -> AsyncIterator[LatestSamples]:
        """Give the last samples of each device and type, one item each.

        Raises:
            Unavailable: JetStream does not answer.
        """
        try:
            async for message in self._last(request.project):
                samples = await self._samples(request.project, message)
                if samples is not None:
                    yield samples
        except (nats.errors.Error, Interrupted) as error:
            raise Unavailable("the stored samples cannot be read now") from error

    async def _last(self, project: str) -> AsyncIterator[StoredMessage]:
        shard = shard_of(project, self._shards)
        stream = metric_stream(shard)
        config = api.ConsumerConfig(
            filter_subject=metrics_filter(shard, project),
            deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=60.0,
            mem_storage=True,
            num_replicas=1,
        )
        arrived = asyncio.Event()
        info = await self._js.add_consumer(stream, config)
        reader = Reader(self._nats, stream, info.name, window=_WINDOW, wake=arrived.set)
        try:
            await reader.open()
            left = info.num_pending or 0
            while left:
                arrived.clear()
                await reader.pump()
                while left and (message := reader.take()) is not None:
                    left -= 1
                    yield message
                if left and not reader.waiting and not await _within(arrived, _TICK):
                    left = await left_for(self._js, stream, info.name, reader)
        finally:
            await reader.close()
            with suppress(NotFoundError):  # it was forgotten by itself
                await self._js.delete_consumer(stream, info.name)

    async def _samples(self, project: str, message: StoredMessage) -> LatestSamples | None:
        """Decode a message; None when it cannot be: a delivery makes it a dead letter."""
        try:
            origin = origin_of(message)
            device = origin.batch.device
            host = origin.host or (await self._hosts.look_up(project, [device]))[device]
            chunk = unpack(message, origin, project=project, host=host)
        except Unreadable:
            return None
        if not isinstance(chunk, MetricChunk):
            return None
        samples = chunk.samples
        return LatestSamples(
            device=device,
            host=host,
            type=chunk.type,
            names=samples.name_column(),
            values=samples.values,
            times=samples.times,
            labels=samples.label_column(),
            counters=samples.counter_column(),
        )


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; say whether it came in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
