"""The outbox's promise under crashes: every event takes effect exactly once, in order per key."""

import asyncio
import random
import sys
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from hub import structs
from hub.bus import NatsBus
from hub.contracts import Consumer, EventInfo, Topic
from hub.database import Database, Query, session
from hub.errors import Unavailable
from hub.outbox import Outbox, OutboxRelay, first_time
from hub.settings import NatsSettings, PostgresSettings
from hub.tenancy import close_tables
from tests.deadline import until
from tests.fixtures.crashes import CrashingDatabase, CrashPoint, Steps
from tests.programs.outbox_relay import Where

EFFECT = Query.parse("effect", "INSERT INTO effects (key, number) VALUES (:key, :number)")
EFFECTS = Query.parse("effects", "SELECT key, number FROM effects ORDER BY id")
HELD = Query.parse("held", "SELECT count(*) FROM outbox")


class Happened(msgspec.Struct, frozen=True):
    key: str
    number: int


class CrashingClient:
    """Publishing to JetStream is a step."""

    def __init__(self, real: Client, point: CrashPoint) -> None:
        self._real, self._point = real, point

    def jetstream(self) -> Any:
        return Steps(self._real.jetstream(), self._point, ("publish",))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
async def database(core_settings: PostgresSettings, core_database: Database) -> Database:
    async with session(core_settings) as owner:
        await owner.execute(
            "CREATE TABLE IF NOT EXISTS effects "
            "(id bigint GENERATED ALWAYS AS IDENTITY, key text, number int); TRUNCATE effects"
        )
        await close_tables(owner)
    return core_database


class Effects:
    """A consumer that fails before or after its commit now and then."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._dice = random.Random(seed)

    async def __call__(self, event: Happened, info: EventInfo) -> None:
        luck = self._dice.random()
        async with self._database.system() as tx:
            if await first_time(tx, "effects", info.id):
                await tx.run(EFFECT, key=event.key, number=event.number)
            if luck < 0.1:
                raise Unavailable("before the commit")
        if luck > 0.9:
            raise Unavailable("after the commit")


class Ledger:
    """What was committed, by key; what must take effect."""

    def __init__(self, database: Database, outbox: Outbox, topic: Topic[Happened]) -> None:
        self._database, self._outbox, self._topic = database, outbox, topic
        self.committed: dict[str, list[int]] = {}

    async def add(self, key: str) -> None:
        numbers = self.committed.setdefault(key, [])
        async with self._database.system() as tx:
            await self._outbox.add(tx, self._topic, Happened(key, len(numbers)), key=key)
        numbers.append(len(numbers))

    async def held(self) -> int:
        async with self._database.system() as tx:
            return await tx.one(HELD, int)

    async def effects(self) -> dict[str, list[int]]:
        async with self._database.system() as tx:
            rows = await tx.all(EFFECTS, Happened)
        found: dict[str, list[int]] = {}
        for row in rows:
            found.setdefault(row.key, []).append(row.number)
        return found

    async def count(self) -> int:
        return sum(map(len, (await self.effects()).values()))

    async def settled(self) -> bool:
        return await self.count() >= sum(map(len, self.committed.values()))


@pytest.mark.parametrize("first_seed", range(0, 120, 40))
async def test_a_relay_that_crashes_at_every_step(
    database: Database, nats_bus: NatsBus, nats_client: Client, unique: str, first_seed: int
) -> None:
    outbox = Outbox(nats_client)
    ledger = Ledger(database, outbox, Topic(f"{unique}.thing.happened", Happened))
    topic = Topic(f"{unique}.thing.happened", Happened)
    crashes = 0
    async with nats_bus.consume(Consumer(topic, unique, Effects(database, first_seed))):
        for seed in range(first_seed, first_seed + 40):
            dice = random.Random(seed)
            for _ in range(dice.randint(1, 6)):
                await ledger.add(f"key-{dice.randint(1, 3)}")
            crashes += await relay_until_it_crashes(database, nats_client, outbox, seed, ledger)
        async with OutboxRelay(database, nats_client, outbox, election=0.02).run():
            await until(ledger.settled)
    assert await ledger.effects() == ledger.committed
    assert crashes > 20, "the crash points were reached"


async def relay_until_it_crashes(
    database: Database, client: Client, outbox: Outbox, seed: int, ledger: Ledger
) -> bool:
    point = CrashPoint(seed)
    crashing: Any = CrashingClient(client, point)
    relay = OutboxRelay(CrashingDatabase(database, point), crashing, outbox, election=0.02)

    async def over() -> bool:
        return point.reached or await ledger.held() == 0

    async with relay.run():
        await until(over)
    return point.reached


async def test_a_relay_that_is_killed(
    database: Database,
    nats_bus: NatsBus,
    nats_client: Client,
    core_settings: PostgresSettings,
    nats_settings: NatsSettings,
    unique: str,
) -> None:
    """kill -9 of a real process, at whatever it is doing."""
    dice = random.Random(unique)
    topic = Topic(f"{unique}.thing.happened", Happened)
    ledger = Ledger(database, Outbox(None), topic)
    where = structs.encode(Where(core_settings, nats_settings)).decode()
    async with nats_bus.consume(Consumer(topic, unique, Effects(database, 0))):
        for _ in range(3):
            for _ in range(dice.randint(20, 40)):
                await ledger.add(f"key-{dice.randint(1, 3)}")
            before, more = await ledger.count(), dice.randint(1, 15)

            async def goes_on(enough: int = before + more) -> bool:
                return await ledger.count() >= enough

            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.programs.outbox_relay", where,
                stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                await until(goes_on)
            finally:
                process.kill()
                await process.wait()
        relay = OutboxRelay(database, nats_client, Outbox(None), election=0.02)
        async with relay.run():
            await until(ledger.settled)
    assert await ledger.effects() == ledger.committed
