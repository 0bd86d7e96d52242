"""Alerts on a real database: told once, whatever ends in between, and only of what there is."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from hub.contracts import Endpoint
from hub.database import Connection, Database
from hub.embedded.postgres import Postgres
from hub.errors import LimitReached, NotFound, PreconditionFailed, Unavailable
from hub.memory_bus import MemoryBus
from hub.protocol import Lines
from hub.relay.ingest import Ingest
from hub.settings import PostgresSettings
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.evaluation import Watcher
from services.alerts.rules import MOST, Alerts
from tests.fixtures.parts import all_tables

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OFFLINE = c.What("away", "offline", "", "err", True, 5, "", None, None, None)
FULL = c.What("full", "metric", "", "crit", True, 5, "d", 0.9, None, 0.8)


@dataclass
class Told:
    """Stands for the relay's way in, which tests of its own hold; it can fail."""

    lines: list[tuple[str, str, int, str, str]] = field(default_factory=list)
    broken: bool = False

    async def submit(
        self, project: str, source: str, host: str, lines: Lines, *, stream: str, overdraw: bool
    ) -> None:
        if self.broken:
            raise Unavailable("JetStream does not store")
        assert overdraw
        (text,) = lines.messages
        assert isinstance(lines.priorities, int)
        assert (source, lines.programs) == ("alerts", "alerts")
        self.lines.append((project, host, lines.priorities, text, stream))

    @property
    def texts(self) -> list[str]:
        """What was told, in order."""
        return [text for *_, text, _ in self.lines]


@dataclass
class Scene:
    """A database, devices and series that a test makes up, and a clock."""

    database: Database
    bus: MemoryBus
    devices: dict[str, peers.Device] = field(default_factory=dict)
    series: list[peers.RecentSeries] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    minute: float = 0.0

    @property
    def now(self) -> datetime:
        """The present."""
        return NOW + timedelta(minutes=self.minute)

    @property
    def alerts(self) -> Alerts:
        """What answers."""
        return Alerts(self.database, self.bus)

    def device(self, name: str, *, online: bool, group: str = "default", seen: float = 0) -> None:
        """Have a device be here, or away since that minute."""
        number = int(name[-1], 36)
        at = NOW + timedelta(minutes=seen)
        self.devices[name] = peers.Device(name, number, name.upper(), group, online, at)

    def measure(self, device: str, value: float, **labels: str) -> None:
        """Have a series be so."""
        number = len(self.series) + 1
        self.series.append(
            peers.RecentSeries(number, device, labels, value, value, value, self.now)
        )

    async def look(self, *, tells: bool = True) -> list[str]:
        """Look once, and give what was told."""
        before = len(self.told.lines)
        watcher = Watcher(self.bus, cast("Ingest", self.told), clock=self.now.timestamp)
        async with self.database.session() as raw:
            tx = Connection(raw)
            await watcher.look(tx)
            if tells:
                await watcher.tell(tx)
        self.series.clear()
        return self.told.texts[before:]

    async def rule(self, what: c.What = OFFLINE, project: str = "prj_a") -> c.Rule:
        """Make a rule."""
        return await self.alerts.add(c.AddRule("acc_a", project, what))

    async def history(self) -> list[tuple[str, str, str]]:
        """Give what was told by the history, oldest first."""
        page = await self.alerts.events(c.ListEvents("acc_a", "prj_a", 100))
        return [(event.state, event.device, event.subject) for event in page.items[::-1]]


@pytest.fixture(scope="module")
def alerts_settings(postgres_server: Postgres) -> Iterator[PostgresSettings]:
    """A database with all tables."""
    with all_tables(postgres_server, "alerts") as made:
        yield made


@pytest.fixture
async def scene(
    postgres_server: Postgres, alerts_settings: PostgresSettings
) -> AsyncIterator[Scene]:
    """A scene without rules."""
    async with postgres_server.administer(alerts_settings.database) as admin:
        await admin.execute("TRUNCATE alerts_rule, alerts_state, alerts_event")
    async with Database.open(alerts_settings) as database:
        made = Scene(database, MemoryBus())

        async def get(request: peers.GetProject) -> peers.Project:
            if (request.account, request.project) not in {
                ("acc_a", "prj_a"), ("acc_a", "prj_b"), ("acc_b", "prj_z"),
            }:  # fmt: skip
                raise NotFound("no such project")
            return peers.Project(request.project)

        async def devices(request: peers.ListDevices) -> peers.Devices:
            if request.project != "prj_a":
                raise Unavailable("nobody answers")
            assert (request.account, request.status) == ("acc_a", "active")
            found = sorted(made.devices.values(), key=lambda one: one.number)
            rest = [one for one in found if one.number > request.after]
            return peers.Devices(rest[:2], len(rest) > 2)

        async def recent(request: peers.RecentOf) -> peers.Recent:
            assert (request.account, request.project, request.name) == ("acc_a", "prj_a", "d")
            assert request.until - request.since == timedelta(minutes=5)
            rest = [one for one in made.series if one.number > request.after]
            return peers.Recent(rest[:2], len(rest) > 2)

        endpoints: list[Endpoint[Any, Any]] = [
            Endpoint(peers.GET_PROJECT, get),
            Endpoint(peers.LIST_DEVICES, devices),
            Endpoint(peers.RECENT, recent),
        ]
        async with made.bus.serve("others", "1.0.0", endpoints):
            yield made


async def test_a_device_that_is_away_is_told_once(scene: Scene) -> None:
    """And once that it is back; by lines of the project's agents, of their severities."""
    await scene.rule()
    for name in ("dev_1", "dev_2", "dev_3"):
        scene.device(name, online=True)
    said = []
    for minute in range(12):
        scene.minute = minute
        scene.device("dev_2", online=minute >= 9, seen=2 if minute < 9 else minute)
        said.append(await scene.look())
    assert said[7] == ["DEV_2 is offline, last seen 2026-11-23T12:02:00Z (away)"]
    assert said[9] == ["DEV_2 is online again (away)"]
    assert sum(map(len, said)) == 2
    assert [(p, h, priority, s) for p, h, priority, _, s in scene.told.lines] == [
        ("prj_a", "DEV_2", 8 + 3, "agent"), ("prj_a", "DEV_2", 8 + 5, "agent"),
    ]  # fmt: skip
    assert await scene.history() == [("fired", "dev_2", ""), ("resolved", "dev_2", "")]


async def test_what_was_not_told_is_told_the_next_time(scene: Scene) -> None:
    """The relay is away, or we end between noting and telling: it is told once, later."""
    await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    assert await scene.look(tells=False) == []
    scene.told.broken = True
    assert await scene.look() == []
    scene.told.broken = False
    assert len(await scene.look()) == 1
    assert await scene.look() == []
    assert await scene.history() == [("fired", "dev_1", "")]


async def test_each_series_is_told_by_itself(scene: Scene) -> None:
    """With its labels; what comes back within `clear` and its bound stays as it is."""
    made = await scene.rule(FULL)
    scene.device("dev_1", online=True)
    said = []
    for minute in range(12):
        scene.minute = minute
        scene.measure("dev_1", 0.95 if minute < 8 else 0.85 if minute < 10 else 0.5, mount="/")
        scene.measure("dev_1", 0.3, mount="/data")
        scene.measure("dev_unknown", 1.0)
        said.append(await scene.look())
        if minute == 8:
            assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 1
    assert said[5] == ["d{mount=/} of DEV_1 is over 0.9 for 5 min: 0.95 (full)"]
    assert said[10] == ["d{mount=/} of DEV_1 is no longer over 0.9: 0.5 (full)"]
    assert sum(map(len, said)) == 2
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 0


async def test_a_device_that_says_nothing_more_is_not_well_again(scene: Scene) -> None:
    """Until it is deleted; then there is nothing left to be told of it."""
    made = await scene.rule(FULL)
    scene.device("dev_1", online=True)
    for minute in range(7):
        scene.minute = minute
        scene.measure("dev_1", 1.0)
        await scene.look()
    assert len(scene.told.lines) == 1
    await scene.look()  # no sample
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 1
    scene.devices.clear()
    await scene.look()
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 0
    assert len(scene.told.lines) == 1


async def test_a_rule_concerns_its_group(scene: Scene) -> None:
    await scene.rule(c.What("g", "offline", "canary", "err", True, 5, "", None, None, None))
    scene.device("dev_1", online=False, seen=-10)
    scene.device("dev_2", online=False, seen=-10, group="canary")
    await scene.look()
    assert await scene.history() == [("fired", "dev_2", "")]


async def test_a_rule_that_is_off_or_changed(scene: Scene) -> None:
    """Off, it tells nothing; changed, it begins anew; its version counts."""
    made = await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    off = c.What("away", "offline", "", "err", False, 5, "", None, None, None)
    changed = await scene.alerts.change(c.ChangeRule("acc_a", made.id, off, ("1",)))
    assert changed.version == 2
    assert await scene.look() == []
    with pytest.raises(PreconditionFailed):
        await scene.alerts.change(c.ChangeRule("acc_a", made.id, OFFLINE, ("1",)))
    for _ in range(2):
        await scene.alerts.change(c.ChangeRule("acc_a", made.id, OFFLINE))
        assert len(await scene.look()) == 1
        assert await scene.look() == []
    await scene.alerts.delete(c.DeleteRule("acc_a", made.id))
    assert await scene.look() == []
    assert len(await scene.history()) == 2


async def test_a_project_about_which_nobody_answers_holds_up_no_other(scene: Scene) -> None:
    await scene.rule(project="prj_b")
    await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    assert len(await scene.look()) == 1


async def test_a_project_has_only_so_many_rules(scene: Scene) -> None:
    for _ in range(MOST):
        await scene.rule()
    with pytest.raises(LimitReached):
        await scene.rule()
    await scene.rule(project="prj_b")


async def test_what_is_anothers_is_not_there(scene: Scene) -> None:
    """Neither the rule, nor what it told; nor after the project is deleted."""
    made = await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    await scene.look()
    with pytest.raises(NotFound):
        await scene.alerts.get(c.OneRule("acc_b", made.id))
    with pytest.raises(NotFound):
        await scene.alerts.change(c.ChangeRule("acc_b", made.id, OFFLINE))
    with pytest.raises(NotFound):
        await scene.alerts.delete(c.DeleteRule("acc_b", made.id))
    with pytest.raises(NotFound):
        await scene.alerts.events(c.ListEvents("acc_b", "prj_a", 10))
    event = peers.ProjectChanged("acc_a", "prj_a")
    await scene.alerts.project_deleted(event, cast("Any", None))
    async with scene.database.system() as tx:
        for table in ("rule", "state", "event"):
            assert await tx.raw.fetchval(f"SELECT count(*) FROM alerts_{table}") == 0
