"""The bus over NATS: requests by its service protocol, events through JetStream."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client

from hub.contracts import Consumer, Topic
from hub.messaging import dead_events
from hub.messaging.events import DeadEvent, Pace, check_consumer, encode_event, event_headers
from hub.messaging.jetstream import DurableConsumer, ensure_stream, store, stream_configs
from hub.messaging.meter import Meter
from hub.messaging.nats_transport import NatsTransport, connect
from hub.messaging.requests import Requests
from hub.messaging.streams import Pulse
from hub.messaging.together import TogetherConsumer
from hub.telemetry import Metrics

__all__ = ["DeadEvent", "NatsBus", "Pace", "Pulse", "connect"]

E = TypeVar("E", bound=msgspec.Struct)


class NatsBus(Requests):
    """A `Bus` over one NATS connection.

    Core requests travel at most once and are never repeated by the bus; events are stored before
    `publish` returns and come at least once.
    """

    def __init__(
        self,
        client: Client,
        *,
        pace: Pace | None = None,
        pulse: Pulse | None = None,
        metrics: Metrics | None = None,
        absent: Collection[str] = (),
    ) -> None:
        """Make a bus whose streams are there already; see `start`."""
        meter = Meter(metrics or Metrics())
        super().__init__(NatsTransport(client), pulse or Pulse(), meter, absent)
        self._client = client
        self._js = client.jetstream()
        self._pace = pace or Pace()

    @classmethod
    async def start(
        cls,
        client: Client,
        *,
        replicas: int = 1,
        pace: Pace | None = None,
        pulse: Pulse | None = None,
        metrics: Metrics | None = None,
        absent: Collection[str] = (),
    ) -> "NatsBus":
        """Make a bus, and the streams that its events live in.

        Args:
            client: a connection (see `connect`); it stays the caller's to close.
            replicas: of the streams, on a NATS cluster.
            pace: waits between the attempts at an event.
            pulse: heartbeats of streams.
            metrics: the process's; without them nobody sees the counters.
            absent: services that are switched off: what they would answer is `NotAvailable`.

        Raises:
            Unavailable: JetStream does not answer, or refuses the streams.
        """
        bus = cls(client, pace=pace, pulse=pulse, metrics=metrics, absent=absent)
        for config in stream_configs(replicas):
            await ensure_stream(bus._js, config)
        return bus

    async def publish(self, topic: Topic[E], event: E, *, id: str, key: str) -> None:  # noqa: A002
        """Store an event durably; see `Bus.publish`.

        Args:
            id: a UUID; the same one within an hour is stored once.

        Raises:
            Unavailable: it may or may not be stored; publish it again with the same id.
        """
        data = encode_event(topic, event)
        await store(self._js, topic.wire_subject, data, id, event_headers(id, key))

    @asynccontextmanager
    async def consume(self, *consumers: Consumer[Any]) -> AsyncIterator[None]:
        """Handle these events while the context is open; leaving it finishes what is at work.

        Raises:
            ValueError: a consumer's declaration is not valid.
            Unavailable: JetStream does not answer.
        """
        for consumer in consumers:
            check_consumer(consumer)
        async with AsyncExitStack() as stack:
            for consumer in consumers:
                kind = TogetherConsumer if consumer.together else DurableConsumer
                reader = kind(self._client, consumer, self._pace, self._meter)
                await stack.enter_async_context(reader.run())
            yield

    async def dead_events(
        self, consumer: str = "", *, after: int = 0, limit: int = 100
    ) -> list[DeadEvent]:
        """Give the dead events of a consumer ("" for all), oldest first.

        Args:
            after: the `position` of the last one of the page before.

        Raises:
            Unavailable: JetStream does not answer.
        """
        return await dead_events.browse(self._js, consumer, after, limit)

    async def replay_event(self, position: int) -> None:
        """Give a dead event to its own consumer again, as a first attempt.

        Raises:
            NotFound: there is none at this position (any more).
            Unavailable: JetStream does not answer.
        """
        await dead_events.replay(self._js, position)
