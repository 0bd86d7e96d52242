"""Events that leave with the transaction that they tell of, and effects that happen once.

`Outbox.add` writes an event beside the business change; the `OutboxRelay` that leads publishes it
to JetStream and deletes the row once it is on disk there. A crash between the two publishes it
again under the same id, which JetStream drops within its window and the inbox of each consumer
(`first_time`) beyond it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec
import structlog
from nats.aio.client import Client

from hub.contracts import Topic
from hub.database import Connection, Database, Queries
from hub.errors import IsaaxError, TooLarge
from hub.leader import stand
from hub.messaging.events import Pace, encode_event, event_headers
from hub.messaging.jetstream import store
from hub.messaging.nats_transport import NatsTransport
from hub.messaging.transport import Disconnected, Message
from hub.telemetry import Metrics

E = TypeVar("E", bound=msgspec.Struct)

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.sql", "outbox.sql")

MAX_EVENT_BYTES: Final = 512 * 1024
"""Refused at `add` beyond it: an event that never fits into a message would block its key."""

WAKE_SUBJECT: Final = "isaax.outbox.wake"
_LOCK: Final = 0x6F7574626F78  # any number that nobody else locks ("outbox" in ASCII)
_POLL: Final = 0.5
_SWEEP: Final = 3600.0
_MEASURE: Final = 5.0
_KEYS_AT_ONCE: Final = 64


class Outbox:
    """Writes events in business transactions, and wakes the relay when they are committed."""

    def __init__(self, client: Client | None) -> None:
        """Make an outbox.

        Args:
            client: carries the wake-up to a relay in another process; without it, that one finds
                new events when it looks, twice a second.
        """
        self.wake = asyncio.Event()
        self.led_here = False
        self._transport = NatsTransport(client) if client else None
        self._ringing: asyncio.Task[None] | None = None

    async def add(self, tx: Connection, topic: Topic[E], event: E, *, key: str) -> None:
        """Write an event; it is published if, and only if, the transaction commits.

        Args:
            tx: has locked the row of the aggregate before, so that the order of ids is the order
                of commits for this key.
            key: what order is kept by, usually the id of the aggregate.

        Raises:
            TooLarge: it does not fit into a message.
            ValueError, TypeError: the key or the event is not of its form.
        """
        await self.add_many(tx, topic, [(event, key)])

    async def add_many(
        self, tx: Connection, topic: Topic[E], events: Sequence[tuple[E, str]]
    ) -> None:
        """Write events of one topic, each with its key, in this order; otherwise as `add`."""
        if not events:
            return
        payloads = [_payload(topic, event) for event, _ in events]
        ids = [str(uuid.uuid4()) for _ in events]
        keys = [key for _, key in events]
        await tx.run(
            _SQL["add_many"],
            subject=topic.wire_subject,
            event_ids=ids,
            keys=keys,
            headers=[event_headers(*pair) for pair in zip(ids, keys, strict=True)],
            payloads=payloads,
        )
        tx.after_commit(self._ring)

    def _ring(self) -> None:
        """Wake the relay; those of other processes too, unless the leader is here."""
        self.wake.set()
        if self._transport is None or self.led_here:
            return
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring_others(self._transport))

    async def _ring_others(self, transport: NatsTransport) -> None:
        # Only a wake-up: the leader's poll finds what a lost one would have told.
        with suppress(Disconnected):
            await transport.publish(WAKE_SUBJECT, b"")


def _payload(topic: Topic[E], event: E) -> bytes:
    payload = encode_event(topic, event)
    if len(payload) > MAX_EVENT_BYTES:
        raise TooLarge(f"an event is at most {MAX_EVENT_BYTES} bytes, this one {len(payload)}")
    return payload


async def first_time(tx: Connection, consumer: str, event_id: str) -> bool:
    """Say whether this consumer sees an event for the first time, and remember it.

    Args:
        tx: the transaction of the effect: both stand, or neither.
        consumer: the durable name; event_id: from `EventInfo`.
    """
    return await tx.run(_SQL["first_time"], consumer=consumer, event_id=event_id) == 1


async def all_first_time(tx: Connection, consumer: str, event_ids: Sequence[str]) -> bool:
    """Say whether a consumer sees all of these for the first time, and remember them.

    When it does not, the transaction is to be undone, and each event handled by itself.
    """
    added = await tx.run(_SQL["all_first_time"], consumer=consumer, event_ids=[*event_ids])
    return added == len(event_ids)


class _Row(msgspec.Struct, frozen=True):
    id: int
    event_id: str
    key: str
    subject: str
    headers: dict[str, str]
    payload: bytes


class _Backlog(msgspec.Struct, frozen=True):
    pending: int
    oldest: float


@dataclass(slots=True)
class _Blocked:
    """Keys whose oldest event was refused, and until when each waits (the loop's clock)."""

    pace: Pace = field(default_factory=lambda: Pace(first=0.5, limit=5.0))
    until: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def add(self, key: str) -> None:
        self.failures[key] = self.failures.get(key, 0) + 1
        now = asyncio.get_running_loop().time()
        self.until[key] = now + self.pace.wait(self.failures[key])

    def release(self, key: str) -> None:
        self.failures.pop(key, None)
        self.until.pop(key, None)

    def now(self) -> list[str]:
        """Give the keys to leave alone now."""
        now = asyncio.get_running_loop().time()
        return [key for key, until in self.until.items() if until > now]


class OutboxRelay:
    """Publishes what the outbox holds; of all that run on a database, one leads at a time."""

    def __init__(
        self,
        database: Database,
        client: Client,
        outbox: Outbox,
        *,
        election: float = 1.0,
        metrics: Metrics | None = None,
    ) -> None:
        """Make a relay.

        Args:
            election: seconds between the attempts to become leader.
            metrics: the process's; without them nobody sees how much waits.
        """
        metrics = metrics or Metrics()
        self._pending = metrics.gauge(
            "isaax_outbox_pending", "Events that wait to be published; 0 where another hub leads."
        )
        self._oldest = metrics.gauge("isaax_outbox_oldest_seconds", "Age of the oldest of them.")
        self._election = election
        self._database = database
        self._client = client
        self._js = client.jetstream()
        self._transport = NatsTransport(client)
        self._outbox = outbox
        self._blocked = _Blocked()

    @property
    def leading(self) -> bool:
        """Say whether this one publishes now."""
        return self._outbox.led_here

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Stand for election, and publish while elected, for as long as the context is open."""
        subscription = await self._transport.subscribe(WAKE_SUBJECT, self._woken)
        task = asyncio.create_task(
            stand("outbox relay", self._database, _LOCK, self._lead, election=self._election)
        )
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await subscription.close()

    def _woken(self, _message: Message) -> None:
        self._outbox.wake.set()

    async def _lead(self, tx: Connection) -> None:
        """Publish until the connection that holds the lock is gone."""
        _log.info("outbox relay leads")
        self._outbox.led_here = True
        loop = asyncio.get_running_loop()
        sweep_at = measure_at = loop.time()
        try:
            while True:
                self._outbox.wake.clear()
                if loop.time() >= sweep_at:
                    await tx.run(_SQL["sweep_inbox"])
                    sweep_at = loop.time() + _SWEEP
                if loop.time() >= measure_at:
                    await self._measure(tx)
                    measure_at = loop.time() + _MEASURE
                if not self._client.is_connected or not await self._pass(tx):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL):
                            await self._outbox.wake.wait()
        finally:
            self._outbox.led_here = False
            self._pending.set(0)
            self._oldest.set(0)

    async def _measure(self, tx: Connection) -> None:
        backlog = await tx.one(_SQL["backlog"], _Backlog)
        self._pending.set(backlog.pending)
        self._oldest.set(backlog.oldest)

    async def _pass(self, tx: Connection) -> int:
        """Publish and delete one batch; give the number of events that went."""
        rows = await tx.all(_SQL["pending"], _Row, blocked=self._blocked.now())
        by_key: dict[str, list[_Row]] = {}
        for row in rows:
            by_key.setdefault(row.key, []).append(row)
        slots = asyncio.Semaphore(_KEYS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._publish(of_key, slots)) for of_key in by_key.values()]
        stored = [id_ for task in tasks for id_ in task.result()]
        if stored:
            await tx.run(_SQL["delete"], ids=stored)
        return len(stored)

    async def _publish(self, rows: Sequence[_Row], slots: asyncio.Semaphore) -> list[int]:
        """Publish the events of one key in order; give the ids of those that are stored."""
        stored: list[int] = []
        async with slots:
            for row in rows:
                try:
                    await store(self._js, row.subject, row.payload, row.event_id, row.headers)
                except IsaaxError as error:
                    self._blocked.add(row.key)
                    _log.warning("event waits", event_id=row.event_id, reason=str(error))
                    break
                stored.append(row.id)
            else:
                self._blocked.release(rows[0].key)
        return stored
