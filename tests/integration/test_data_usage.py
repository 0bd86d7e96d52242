"""How much devices send and are sent, on a real database: added up once, and given by day."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date

import pytest

from hub import DataNoted, DeviceData, OfAccount
from hub.contracts import Endpoint
from hub.database import Database
from hub.errors import NotFound
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.plugins import PluginHost
from hub.settings import PostgresSettings
from services.devices import peers
from services.devices import usage_contracts as c
from services.devices.account import AccountOfDevices
from services.devices.usage import Usage

NOON = 1_795_435_200.0
TODAY = date(2026, 11, 23)


@dataclass
class Scene:
    """Two accounts, with a project and devices each; and a clock."""

    database: Database
    bus: MemoryBus
    now: float = NOON

    def __post_init__(self) -> None:
        self.usage = Usage(self.database, self.bus, clock=lambda: self.now)

    async def note(self, number: int, *devices: tuple[str, str, int], meter: str = "m") -> None:
        """Tell of devices: days, and what went up (twice as much went down)."""
        told = [DeviceData(name, day, 1, up, 2, 2 * up) for name, day, up in devices]
        await self.usage.note(DataNoted(meter, number, told))

    async def of(self, query: str, since: date = TODAY, **scope: str) -> c.DataUsage:
        """Give what `a` comes to."""
        wanted = c.DataOf("acc_a", since, TODAY, **scope)
        found: c.DataUsage = await getattr(self.usage, f"of_{query}")(wanted)
        return found


@pytest.fixture
async def scene(database_settings: PostgresSettings) -> AsyncIterator[Scene]:
    """Nothing counted yet."""
    await migrate(database_settings, PluginHost.load(quiet=True).migrations)
    async with Database.open(database_settings) as database:
        made = Scene(database, MemoryBus())
        async with database.system() as tx:
            for account, project, *names in (
                ("acc_a", "prj_a", "dev_1", "dev_2"), ("acc_a", "prj_b", "dev_3"),
                ("acc_z", "prj_z", "dev_9"),
            ):  # fmt: skip
                for name in names:
                    await tx.raw.execute(
                        'INSERT INTO devices_device (id, account, project, label, "group", agent, '
                        "system, status) VALUES ($1, $2, $3, upper($1), 'g', '', '', 'active')",
                        name, account, project,
                    )  # fmt: skip

        async def project(request: peers.GetProject) -> peers.Project:
            if (request.account, request.project) not in {("acc_a", "prj_a"), ("acc_a", "prj_b")}:
                raise NotFound("no such project")
            return peers.Project(request.project)

        async with made.bus.serve("projects", "1.0.0", [Endpoint(peers.GET_PROJECT, project)]):
            yield made


async def test_what_is_told_adds_up(scene: Scene) -> None:
    """By device, project and account; the month is the present one, whatever days are asked for."""
    await scene.note(1, ("dev_1", "2026-10-31", 5), ("dev_1", "2026-11-22", 7))
    await scene.note(2, ("dev_1", "2026-11-23", 10), ("dev_2", "2026-11-23", 100))
    await scene.note(1, ("dev_1", "2026-11-23", 1), ("dev_3", "2026-11-23", 1_000), meter="n")
    await scene.note(3, ("dev_9", "2026-11-23", 9), ("dev_unknown", "2026-11-23", 9))
    device = await scene.of("device", since=date(2026, 11, 22), device="dev_1")
    assert [(one.day.day, one.up_messages, one.up_bytes) for one in device.days] == [
        (22, 1, 7), (23, 2, 11),
    ]  # fmt: skip
    assert device.total == c.DataCount(3, 18, 6, 36)
    assert (await scene.of("device", device="dev_1")).this_month == c.DataCount(3, 18, 6, 36)
    assert (await scene.of("project", project="prj_a")).total.up_bytes == 111
    assert (await scene.of("account")).total == c.DataCount(4, 1_111, 8, 2_222)


async def test_what_is_told_twice_counts_once(scene: Scene) -> None:
    """Also when another was told in between; another meter has numbers of its own."""
    for number in (1, 1, 2, 1, 2):
        await scene.note(number, ("dev_1", "2026-11-23", 10))
    assert (await scene.of("device", device="dev_1")).total.up_bytes == 20
    await scene.note(1, ("dev_1", "2026-11-23", 10), meter="n")
    assert (await scene.of("device", device="dev_1")).total.up_bytes == 30


async def test_the_most_come_first(scene: Scene) -> None:
    """And those of which nothing is known last; page by page."""
    await scene.note(1, ("dev_2", "2026-11-23", 100), ("dev_1", "2026-11-20", 1_000))

    async def top(since: date, after: int = 0, limit: int = 1) -> list[tuple[str, str, int]]:
        page = await scene.usage.top(c.TopOf("acc_a", "prj_a", since, TODAY, limit, after))
        assert page.more == (after + limit < 2)
        return [(one.device, one.label, one.up_bytes) for one in page.items]

    assert await top(TODAY) == [("dev_2", "DEV_2", 100)]
    assert await top(TODAY, after=1) == [("dev_1", "DEV_1", 0)]
    assert await top(date(2026, 11, 20), limit=2) == [
        ("dev_1", "DEV_1", 1_000), ("dev_2", "DEV_2", 100),
    ]  # fmt: skip


async def test_another_account_sees_nothing(scene: Scene) -> None:
    await scene.note(1, ("dev_1", "2026-11-23", 10))
    foreign = c.DataOf("acc_z", TODAY, TODAY, project="prj_a", device="dev_1")
    assert (await scene.usage.of_device(foreign)).days == []
    with pytest.raises(NotFound):
        await scene.usage.of_project(foreign)
    assert (await scene.usage.of_account(foreign)).days == []


async def test_what_a_device_sent_stays_when_it_is_gone(scene: Scene) -> None:
    """Of its project, until the account ends; and no longer than 400 days."""
    await scene.note(1, ("dev_1", "2026-11-23", 10), ("dev_2", "2025-10-01", 10))
    async with scene.database.system() as tx:
        await tx.raw.execute("DELETE FROM devices_device WHERE id = 'dev_1'")
    assert (await scene.of("project", project="prj_a")).total.up_bytes == 10
    assert (await scene.of("device", device="dev_1")).days == []
    await scene.note(2, ("dev_1", "2026-11-23", 10))
    assert (await scene.of("account")).total.up_bytes == 10
    async with scene.database.system() as tx:
        days = "SELECT count(*) FROM devices_data_project"
        assert await tx.raw.fetchval(days) == 1, "that of a year before went with the first telling"
        await AccountOfDevices(scene.database).erase(OfAccount("acc_a", [], []))
        assert await tx.raw.fetchval(days) == 0
        assert await tx.raw.fetchval("SELECT count(*) FROM devices_data") == 0
