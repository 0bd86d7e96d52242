"""Who delivers a part: one process alone, whatever becomes of it and of Postgres."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from hub.database import Database, session
from hub.embedded.postgres import Postgres
from hub.errors import StartError
from hub.memory_bus import MemoryBus
from hub.relay.contracts import IntegrationStatus
from hub.relay.crew import Member, is_delivered
from hub.relay.hosts import HostNames
from hub.relay.integrations import Integrations
from hub.relay.lease import Lease, LeaseLost, delivery_of
from hub.relay.share import Share
from hub.relay.tasks import Tasks
from hub.settings import PostgresSettings
from tests.deadline import until


@pytest.fixture
def part() -> int:
    """A part of this test's own: locks are the database's."""
    return secrets.randbelow(1 << 30)


class Deliverer:
    """One process: it holds the lease of a part, and says so when it is asked."""

    def __init__(self, database: Database, part: int, others: "list[Deliverer]") -> None:
        self.delivers = False
        self.answers = True
        self._others = others
        office = delivery_of(part)
        self.lease = Lease(database, office, self._is_delivered, patience=1.0, give_up=1.0)
        others.append(self)

    async def begin(self) -> None:
        """Begin to deliver, and end at once."""
        async with self.delivering():
            assert self.delivers

    async def _is_delivered(self) -> bool:
        return any(one.delivers and one.answers for one in self._others if one is not self)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Deliver while this is open."""
        async with asyncio.TaskGroup() as group, self.lease.held(Tasks(group)):
            self.delivers = True
            try:
                yield
            finally:
                self.delivers = False


async def holder(database: Database, part: int) -> int:
    """Give the session that holds the lock of a part; 0: there is none."""
    async with database.system() as tx:
        pid = await tx.raw.fetchval(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted", part
        )
    return int(pid or 0)


async def cut_off(database: Database, settings: PostgresSettings, part: int) -> int:
    """End the session that holds the lock of a part, and give it."""
    pid = await holder(database, part)
    async with session(settings) as owner:
        assert await owner.fetchval("SELECT pg_terminate_backend($1)", pid)
    return pid


def held_by_another(database: Database, part: int, than: int) -> Callable[[], Awaitable[bool]]:
    """Say whether a session holds the lock that is another one than this."""

    async def holds() -> bool:
        return await holder(database, part) not in {0, than}

    return holds


def processes(database: Database, part: int, count: int) -> list[Deliverer]:
    made: list[Deliverer] = []
    for _ in range(count):
        Deliverer(database, part, made)
    return made


async def test_a_second_one_of_the_same_part_is_refused(core_database: Database, part: int) -> None:
    first, second = processes(core_database, part, 2)
    [other] = processes(core_database, part + 1, 1)
    async with first.delivering(), other.delivering():
        words = rf"part {part}\. .* relay\.part of its own"
        with pytest.RaisesGroup(pytest.RaisesExc(StartError, match=words)):
            await second.begin()
        assert first.delivers
    async with second.delivering():
        assert await holder(core_database, part)


async def test_one_waits_for_the_end_of_another(core_database: Database, part: int) -> None:
    first, second = processes(core_database, part, 2)
    async with first.delivering():
        starting = asyncio.create_task(second.begin())
        await asyncio.wait({starting}, timeout=0.2)
        assert not starting.done()
    await starting


async def test_one_whose_session_broke_goes_on_and_holds_the_lock_again(
    core_database: Database, core_settings: PostgresSettings, part: int
) -> None:
    [first] = processes(core_database, part, 1)
    async with first.delivering():
        before = await cut_off(core_database, core_settings, part)
        await until(held_by_another(core_database, part, before), what="the lock")
        assert first.delivers


async def test_one_without_its_lock_is_not_robbed_by_who_starts(
    core_database: Database, core_settings: PostgresSettings, part: int
) -> None:
    """As when Postgres comes back, and somebody is quicker."""
    first, second = processes(core_database, part, 2)
    async with first.delivering():
        before = await cut_off(core_database, core_settings, part)
        with pytest.RaisesGroup(StartError):
            await second.begin()
        await until(held_by_another(core_database, part, before), what="the lock")
        assert first.delivers


async def test_one_that_lost_its_lock_to_another_for_good_ends(
    core_database: Database, core_settings: PostgresSettings, part: int
) -> None:
    """It did not answer when the other one began, as when its machine stood still."""
    first, second = processes(core_database, part, 2)
    first.answers = False

    async def both() -> None:
        async with first.delivering():
            await cut_off(core_database, core_settings, part)
            async with second.delivering():
                await asyncio.Event().wait()

    with pytest.RaisesGroup(LeaseLost):
        await both()
    assert await holder(core_database, part) == 0


async def test_while_postgres_is_away_it_goes_on(
    postgres_server: Postgres, database_settings: PostgresSettings, part: int
) -> None:
    async with Database.open(database_settings) as database:
        [first] = processes(database, part, 1)
        async with first.delivering():
            before = await holder(database, part)
            postgres_server.kill()
            await postgres_server.restart()
            await until(held_by_another(database, part, before), what="the lock")
            assert first.delivers


class Nothing:
    """Deliveries of which there are none."""

    def look_soon(self) -> None:
        return

    async def statuses(self, _wanted: object) -> list[IntegrationStatus]:
        return []


async def test_who_delivers_a_part_says_so_on_the_bus() -> None:
    bus = MemoryBus()
    assert not await is_delivered(bus, 3)
    member = Member(Share(3, 4), cast("Integrations", Nothing()), HostNames(bus))
    async with member.serving(bus):
        assert await is_delivered(bus, 3)
        assert not await is_delivered(bus, 2)
    assert not await is_delivered(bus, 3)
