"""The bus within one process, for tests: the same codec, limits and errors as over NATS.

Its events live as long as it does. It passes the same contract tests as `NatsBus`.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from hub.contracts import TOGETHER, Consumer, Topic
from hub.errors import NotFound
from hub.messaging.events import (
    EVENT_ID,
    EVENT_KEY,
    DeadEvent,
    Pace,
    Verdict,
    attempt,
    attempt_together,
    check_consumer,
    encode_event,
    event_headers,
    topic_of,
)
from hub.messaging.memory_transport import MemoryTransport
from hub.messaging.meter import Meter
from hub.messaging.requests import Requests
from hub.messaging.streams import Pulse
from hub.telemetry import Metrics

E = TypeVar("E", bound=msgspec.Struct)


@dataclass(slots=True)
class _Event:
    subject: str
    data: bytes
    headers: Mapping[str, str]
    attempts: int = 0

    def fresh(self) -> "_Event":
        """Give a copy that was never tried, for one consumer."""
        return _Event(self.subject, self.data, self.headers)


class _Durable:
    """What one consumer name has still to handle."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.pending: deque[_Event] = deque()
        self.arrived = asyncio.Condition()

    async def add(self, event: _Event) -> None:
        async with self.arrived:
            self.pending.append(event)
            self.arrived.notify()

    async def next(self) -> _Event:
        async with self.arrived:
            while not self.pending:
                await self.arrived.wait()
            return self.pending.popleft()

    def take(self, most: int) -> list[_Event]:
        return [self.pending.popleft() for _ in range(min(most, len(self.pending)))]

    async def put_back(self, event: _Event) -> None:
        async with self.arrived:
            self.pending.appendleft(event)
            self.arrived.notify()


class MemoryBus(Requests):
    """A `Bus` for one event loop."""

    def __init__(
        self,
        *,
        pace: Pace | None = None,
        pulse: Pulse | None = None,
        metrics: Metrics | None = None,
        absent: Collection[str] = (),
    ) -> None:
        super().__init__(MemoryTransport(), pulse or Pulse(), Meter(metrics or Metrics()), absent)
        self._pace = pace or Pace()
        self._stored: dict[str, _Event] = {}
        self._durables: dict[str, _Durable] = {}
        self._dead: dict[int, DeadEvent] = {}
        self._positions = 0

    async def publish(self, topic: Topic[E], event: E, *, id: str, key: str) -> None:  # noqa: A002
        """Store an event; the same id is stored once. See `Bus.publish`."""
        stored = _Event(topic.wire_subject, encode_event(topic, event), event_headers(id, key))
        if id in self._stored:
            return
        self._stored[id] = stored
        for durable in self._durables.values():
            if durable.subject == stored.subject:
                await durable.add(stored.fresh())

    @asynccontextmanager
    async def consume(self, *consumers: Consumer[Any]) -> AsyncIterator[None]:
        """Handle these events while the context is open; see `Bus.consume`."""
        for consumer in consumers:
            check_consumer(consumer)
        stopping = asyncio.Event()
        slots = [
            asyncio.create_task(self._slot(consumer, await self._durable(consumer), stopping))
            for consumer in consumers
            for _ in range(consumer.concurrency)
        ]
        try:
            yield
        finally:
            stopping.set()
            try:
                await asyncio.gather(*slots)
            finally:
                for slot in slots:
                    slot.cancel()
                await asyncio.gather(*slots, return_exceptions=True)

    async def dead_events(
        self, consumer: str = "", *, after: int = 0, limit: int = 100
    ) -> list[DeadEvent]:
        """Give the dead events of a consumer ("" for all), oldest first."""
        return [
            event
            for position, event in self._dead.items()
            if position > after and consumer in {"", event.consumer}
        ][:limit]

    async def replay_event(self, position: int) -> None:
        """Give a dead event to its own consumer again, as a first attempt.

        Raises:
            NotFound: there is none at this position (any more).
        """
        event = self._dead.pop(position, None)
        if event is None:
            raise NotFound(f"no dead event at {position}")
        durable = self._durables[event.consumer]
        headers = event_headers(event.id, event.key)
        await durable.add(_Event(durable.subject, bytes(event.payload), headers))

    async def _durable(self, consumer: Consumer[Any]) -> _Durable:
        """Give the consumer's backlog; a new name begins with all that is stored."""
        durable = self._durables.get(consumer.name)
        if durable is None:
            durable = self._durables[consumer.name] = _Durable(consumer.topic.wire_subject)
            for event in self._stored.values():
                if event.subject == durable.subject:
                    await durable.add(event.fresh())
        return durable

    async def _slot(
        self, consumer: Consumer[Any], durable: _Durable, stopping: asyncio.Event
    ) -> None:
        """Handle one event after the other; one that waits for its next attempt holds the slot."""
        while not stopping.is_set():
            event = await _unless(stopping, durable.next())
            if event is None:
                return
            events = [event, *(durable.take(TOGETHER - 1) if consumer.together else ())]
            given = [(one.data, one.headers) for one in events]
            if await attempt_together(consumer, given, self._meter):
                continue
            while events and await self._settle(consumer, events[0], stopping):
                del events[0]
            for event in reversed(events):
                await durable.put_back(event)

    async def _settle(
        self, consumer: Consumer[Any], event: _Event, stopping: asyncio.Event
    ) -> bool:
        """Try until it is done or dead; False: it is time to stop first."""
        while True:
            event.attempts += 1
            outcome = await attempt(
                consumer, event.data, event.headers, event.attempts, self._meter
            )
            if outcome.verdict is Verdict.RETRY:
                try:
                    async with asyncio.timeout(self._pace.wait(event.attempts)):
                        await stopping.wait()
                except TimeoutError:
                    continue
                return False
            if outcome.verdict is Verdict.DEAD:
                self._bury(consumer.name, event, outcome.reason)
            return True

    def _bury(self, consumer: str, event: _Event, reason: str) -> None:
        self._positions += 1
        self._dead[self._positions] = DeadEvent(
            position=self._positions,
            consumer=consumer,
            topic=topic_of(event.subject),
            id=event.headers[EVENT_ID],
            key=event.headers[EVENT_KEY],
            attempts=event.attempts,
            reason=reason,
            at=time.time_ns() // 1000,
            payload=msgspec.Raw(event.data),
        )


async def _unless(stopping: asyncio.Event, coming: Any) -> Any:
    """Wait for what comes, or give None when it is time to stop first."""
    waiting = asyncio.create_task(stopping.wait())
    event = asyncio.create_task(coming)
    try:
        await asyncio.wait({waiting, event}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        event.cancel()
    outcome = await asyncio.gather(event, return_exceptions=True)
    return None if isinstance(outcome[0], asyncio.CancelledError) else outcome[0]
