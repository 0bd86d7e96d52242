"""The outbox and its relay, on a real Postgres and a real NATS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.aio.client import Client

from hub.bus import NatsBus
from hub.contracts import Consumer, EventInfo, Topic
from hub.database import Database, Query, session
from hub.embedded.nats import Nats
from hub.embedded.postgres import Postgres
from hub.errors import TooLarge, Unavailable
from hub.outbox import MAX_EVENT_BYTES, Outbox, OutboxRelay, first_time
from hub.settings import PostgresSettings
from hub.telemetry import Metrics, current_trace, with_traceparent
from tests.deadline import until

HELD = Query.parse("held", "SELECT count(*) FROM outbox")


class Happened(msgspec.Struct, frozen=True):
    number: int
    text: str = ""


def topic(name: str) -> Topic[Happened]:
    return Topic(f"{name}.thing.happened", Happened)


@pytest.fixture
def outbox(nats_client: Client) -> Outbox:
    return Outbox(nats_client)


@pytest.fixture
def relay(core_database: Database, nats_client: Client, outbox: Outbox) -> OutboxRelay:
    return OutboxRelay(core_database, nats_client, outbox, election=0.05)


async def add(database: Database, outbox: Outbox, name: str, *numbers: int, key: str = "k") -> None:
    for number in numbers:
        async with database.system() as tx:
            await outbox.add(tx, topic(name), Happened(number), key=key)


async def held(database: Database) -> int:
    async with database.system() as tx:
        return await tx.one(HELD, int)


class Log:
    """A handler that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, EventInfo]] = []

    async def __call__(self, event: Happened, info: EventInfo) -> None:
        self.seen.append((event.number, info))

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.seen]


@asynccontextmanager
async def consuming(bus: NatsBus, name: str) -> AsyncIterator[Log]:
    log = Log()
    async with bus.consume(Consumer(topic(name), name, log)):
        yield log


# ── adding ────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_leaves_with_its_transaction(
    core_database: Database, nats_bus: NatsBus, outbox: Outbox, relay: OutboxRelay, unique: str
) -> None:
    async with consuming(nats_bus, unique) as log, relay.run():
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - a transaction is a block
            async with core_database.system() as tx:
                await outbox.add(tx, topic(unique), Happened(1), key="k")
                raise ZeroDivisionError
        await add(core_database, outbox, unique, 2, 3, key="the-key")
        await until(lambda: log.numbers == [2, 3])
        assert {info.key for _, info in log.seen} == {"the-key"}

        async def is_empty() -> bool:
            return await held(core_database) == 0

        await until(is_empty)


async def test_the_trace_goes_along(
    core_database: Database, nats_bus: NatsBus, outbox: Outbox, relay: OutboxRelay, unique: str
) -> None:
    traces: list[str] = []

    async def handler(event: Happened, info: EventInfo) -> None:
        trace = current_trace()
        traces.append(trace.trace_id if trace else "")

    async with nats_bus.consume(Consumer(topic(unique), unique, handler)), relay.run():
        with with_traceparent(None) as trace:
            await add(core_database, outbox, unique, 1)
        await until(lambda: bool(traces))
    assert traces == [trace.trace_id]


async def test_what_cannot_be_an_event(
    core_database: Database, outbox: Outbox, unique: str
) -> None:
    big = Happened(1, "x" * MAX_EVENT_BYTES)
    other: Topic[Happened] = Topic("x", Outbox)  # type: ignore[arg-type]
    async with core_database.system() as tx:
        with pytest.raises(TooLarge):
            await outbox.add(tx, topic(unique), big, key="k")
        with pytest.raises(ValueError, match="printable ASCII"):
            await outbox.add(tx, topic(unique), Happened(1), key="a\nb")
        with pytest.raises(TypeError):
            await outbox.add(tx, other, Happened(1), key="k")
    assert await held(core_database) == 0


async def test_the_inbox_sees_each_event_once(core_database: Database) -> None:
    event_id = "0b0e7f0c-5a0e-4ab1-9f3c-0f4c3a2b1d00"

    async def see(consumer: str, *, fail: bool = False) -> bool:
        async with core_database.system() as tx:
            first = await first_time(tx, consumer, event_id)
            if fail:
                raise ZeroDivisionError
            return first

    with pytest.raises(ZeroDivisionError):
        await see("a", fail=True)
    assert [await see("a"), await see("a"), await see("b")] == [True, False, True]
    together = await asyncio.gather(*(see("c") for _ in range(8)))
    assert together.count(True) == 1


# ── the relay ─────────────────────────────────────────────────────────────────────────────────


async def test_order_per_key_under_concurrent_writers(
    core_database: Database, nats_bus: NatsBus, outbox: Outbox, relay: OutboxRelay, unique: str
) -> None:
    async with consuming(nats_bus, unique) as log, relay.run():
        await asyncio.gather(
            *(
                add(core_database, outbox, unique, *range(key * 100, key * 100 + 20), key=f"k{key}")
                for key in range(6)
            )
        )
        await until(lambda: len(log.seen) == 120)
    for key in range(6):
        of_key = [number for number in log.numbers if number // 100 == key]
        assert of_key == list(range(key * 100, key * 100 + 20))


async def test_more_than_one_batch(
    core_database: Database, nats_client: Client, outbox: Outbox, relay: OutboxRelay, unique: str
) -> None:
    async with core_database.system() as tx:
        for number in range(1_100):
            await outbox.add(tx, topic(unique), Happened(number), key=f"k{number % 50}")

    async def is_empty() -> bool:
        return await held(core_database) == 0

    async with relay.run():
        await until(is_empty)
    info = await nats_client.jetstream().stream_info(
        "EVENTS", subjects_filter=topic(unique).wire_subject
    )
    assert (info.state.subjects or {})[topic(unique).wire_subject] == 1_100


async def test_a_late_commit_of_a_lower_id_is_not_skipped(
    core_database: Database, nats_bus: NatsBus, outbox: Outbox, relay: OutboxRelay, unique: str
) -> None:
    async with consuming(nats_bus, unique) as log, relay.run():
        async with core_database.system() as late:
            await outbox.add(late, topic(unique), Happened(1), key="late")
            await add(core_database, outbox, unique, 2, key="early")
            await until(lambda: log.numbers == [2])
        await until(lambda: log.numbers == [2, 1])


async def test_a_key_that_fails_blocks_only_itself(
    core_database: Database, nats_bus: NatsBus, outbox: Outbox, relay: OutboxRelay, unique: str
) -> None:
    nowhere = Query.parse(
        "q",
        "INSERT INTO outbox (event_id, key, subject, payload) "
        "VALUES (gen_random_uuid(), 'bad', 'nowhere.to.go', '{}')",
    )
    async with core_database.system() as tx:
        for _ in range(600):  # more than a batch
            await tx.run(nowhere)
    await add(core_database, outbox, unique, 99, key="bad")
    async with consuming(nats_bus, unique) as log, relay.run():
        await add(core_database, outbox, unique, 1, 2, 3, key="good")
        await until(lambda: log.numbers == [1, 2, 3])
        assert await held(core_database) >= 601
        mend = Query.parse("q", "DELETE FROM outbox WHERE subject = 'nowhere.to.go'")
        async with core_database.system() as tx:
            await tx.run(mend)
        await until(lambda: log.numbers == [1, 2, 3, 99])


async def test_one_of_two_leads_and_the_other_takes_over(
    core_settings: PostgresSettings,
    core_database: Database,
    nats_bus: NatsBus,
    nats_client: Client,
    unique: str,
) -> None:
    outboxes = Outbox(nats_client), Outbox(nats_client)
    relays = [OutboxRelay(core_database, nats_client, each, election=0.05) for each in outboxes]
    async with consuming(nats_bus, unique) as log, relays[1].run():
        await until(lambda: relays[1].leading)
        async with relays[0].run():
            # Written beside the relay that follows: the one that leads is told over NATS.
            await add(core_database, outboxes[0], unique, 1, 2)
            await until(lambda: log.numbers == [1, 2])
            assert [relay.leading for relay in relays] == [False, True]
            cut = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks "
                "WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            async with session(core_settings) as owner:
                assert await owner.fetchval(cut) == 1
            await until(lambda: [relay.leading for relay in relays].count(True) == 1)
            await add(core_database, outboxes[1], unique, 3)
            await until(lambda: log.numbers == [1, 2, 3])


async def test_nats_is_away(
    core_database: Database,
    nats_bus: NatsBus,
    nats_server: Nats,
    outbox: Outbox,
    relay: OutboxRelay,
    unique: str,
) -> None:
    async with consuming(nats_bus, unique) as log, relay.run():
        await add(core_database, outbox, unique, 1)
        await until(lambda: log.numbers == [1])
        nats_server.kill()
        try:
            await add(core_database, outbox, unique, 2, 3)
            assert await held(core_database) >= 2
        finally:
            await nats_server.restart()
        await until(lambda: list(dict.fromkeys(log.numbers)) == [1, 2, 3])


async def test_postgres_is_restarted(
    core_database: Database,
    nats_bus: NatsBus,
    postgres_server: Postgres,
    outbox: Outbox,
    relay: OutboxRelay,
    unique: str,
) -> None:
    async with consuming(nats_bus, unique) as log, relay.run():
        await add(core_database, outbox, unique, 1)
        await until(lambda: log.numbers == [1])
        postgres_server.kill()
        await postgres_server.restart()

        async def added() -> bool:
            try:
                await add(core_database, outbox, unique, 2)
            except Unavailable:
                return False
            return True

        await until(added)
        await until(lambda: 2 in log.numbers)
    assert log.numbers == [1, 2]


async def test_without_nats_events_wait(core_database: Database, unique: str) -> None:
    await add(core_database, Outbox(None), unique, 1)
    assert await held(core_database) == 1


async def test_how_much_waits(
    core_database: Database, nats_client: Client, outbox: Outbox, unique: str
) -> None:
    metrics = Metrics()
    nowhere: Topic[Happened] = Topic(unique, Happened)
    async with core_database.system() as tx:
        await outbox.add(tx, nowhere, Happened(1), key="k")
        await tx.raw.execute("UPDATE outbox SET created_at = now() - interval '1 minute'")
    async with OutboxRelay(core_database, nats_client, outbox, metrics=metrics).run():
        await until(lambda: "isaax_outbox_pending 1.0" in metrics.render().decode())
        assert "isaax_outbox_oldest_seconds 6" in metrics.render().decode()
    assert "isaax_outbox_pending 0.0" in metrics.render().decode()
