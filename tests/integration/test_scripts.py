"""A project's own scripts in a database: their versions, the way to devices, and what these say."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from hub.account_data import OfAccount
from hub.contracts import EventInfo
from hub.data_meter import DataMeter
from hub.database import Database
from hub.downlink import DeviceReply, DeviceReport
from hub.errors import Conflict, Invalid, NotFound, PreconditionFailed
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.outbox import Outbox
from hub.plugins import PluginHost
from hub.presence import Presence
from hub.protocol import Command, Known, Ran, Reply, Scripts, Session, State, decode_scripts
from hub.pushing import EVERY, Pusher, Reports
from hub.settings import PostgresSettings
from hub.wanted import WantedBy
from services.devices import peers as devices_peers
from services.devices.service import Devices, devices
from services.projects import contracts as p
from services.projects.service import Projects, projects
from services.scripts import contracts as c
from services.scripts import peers
from services.scripts.account import account_of_scripts
from services.scripts.fleet import CONSUMER, MOST_KEPT, Fleet, ScriptsInStock
from services.scripts.rules import BODY_BYTES, DEFAULTS, MOST_VERSIONS, SQL, Rules
from tests.fixtures.ears import Ears

MINE, OTHERS = "acc_one", "acc_two"
PRE: c.Moment = "pre-install"


class Sent:
    """Takes what goes down to devices."""

    def __init__(self) -> None:
        self.scripts: dict[str, tuple[str, Scripts]] = {}
        self.known: list[tuple[str, str]] = []

    def send(self, session: Session, kind: str, payload: bytes) -> None:
        assert kind == "scripts"
        self.scripts[session.device] = (session.id, decode_scripts(payload))

    def command(self, session: Session, name: str, command: Command) -> None:
        assert isinstance(command, Known)
        self.known.append((session.device, name))

    def take(self) -> dict[str, tuple[str, int, dict[str, int]]]:
        """Give by device what was sent it last: session, version, and that of each script."""
        taken, self.scripts = self.scripts, {}
        return {
            device: (session, sent.version, {one.moment: one.version for one in sent.scripts})
            for device, (session, sent) in taken.items()
        }


@dataclass
class Hub:
    """Two accounts with a project each; `made` holds the ids of the projects."""

    database: Database
    bus: MemoryBus
    outbox: Outbox
    sent: Sent = field(default_factory=Sent)
    made: dict[str, str] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        down: Any = self.sent
        self.pusher = Pusher(ScriptsInStock(self.database, down), clock=lambda: self.now)
        self.reports = Reports(self.database, "scripts", SQL, self.pusher)
        self.rules = Rules(self.database, self.bus, self.pusher.push)
        self.fleet = Fleet(self.database, down, self.pusher)
        self.presence = Presence(self.database, CONSUMER, SQL, self.pusher)

    async def asked(self, kind: Any, account: str = MINE, event: str = "") -> None:
        """Have the triggers ask for a project's defaults, or for their removal."""
        asked = peers.ProjectAsked(kind, account, self.made[account])
        await self.rules.project_asked(asked, EventInfo(event or str(uuid.uuid4()), "k", 1))

    async def device(self, name: str, account: str = MINE) -> str:
        """Make a device that is online, in a session called after it."""
        device = f"dev_{name}"
        made = devices_peers.DeviceEvent("registered", account, self.made[account], device)
        rules = Devices(self.database, self.outbox, self.bus)
        await rules.device_changed(made, EventInfo(str(uuid.uuid4()), device, 1))
        await self.happens("registered", device, account)
        await self.happens("opened", device, account, session=f"s-{name}")
        return device

    async def happens(self, kind: str, device: str, account: str = MINE, **more: str) -> None:
        event = peers.DeviceEvent(kind, account, self.made[account], device, **more)
        await self.fleet.device_changed(event, EventInfo(str(uuid.uuid4()), device, 1))

    async def put(self, body: str, moment: c.Moment = PRE, **more: Any) -> c.Script:
        request = c.PutScript(MINE, self.made[MINE], moment, body, 60.0, "usr_me", **more)
        return await self.rules.put(request)

    async def report(self, device: str, version: int, error: str = "") -> None:
        where = Session(self.made[MINE], device, f"s-{device[4:]}")
        errors = {"scripts": error} if error else {}
        await self.reports.heard([DeviceReport(where, State({"scripts": version}, errors))])

    async def push(self) -> dict[str, tuple[str, int, dict[str, int]]]:
        """Send all that is wanted; give what went out."""
        await self.pusher._send_wanted()
        return self.sent.take()

    async def look(self) -> dict[str, tuple[str, int, dict[str, int]]]:
        """Look for devices that are behind, and send to them."""
        await self.pusher._look()
        return await self.push()

    async def status(self, device: str) -> tuple[int, int, str]:
        found = await self.rules.statuses(c.ListStatuses(MINE, self.made[MINE], 100))
        (one,) = [one for one in found.items if one.device == device]
        return one.version, one.applied, one.error

    async def wanted(self, device: str) -> int:
        return (await self.reports.wanted(WantedBy(self.made[MINE], device))).version

    async def says(self, device: str, name: str, reply: Reply, account: str = MINE) -> None:
        where = Session(self.made[account], device, "s")
        await self.fleet.ran([DeviceReply(where, name, reply)])

    async def ran(self, device: str, limit: int = 200) -> list[c.Ran]:
        return (await self.rules.ran(c.ListResults(MINE, device, limit))).items


@pytest.fixture
async def hub(database_settings: PostgresSettings) -> AsyncIterator[Hub]:
    async with a_hub(database_settings) as hub:
        yield hub


@asynccontextmanager
async def a_hub(settings: PostgresSettings) -> AsyncIterator[Hub]:
    await migrate(settings, PluginHost.load(quiet=True).migrations)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(settings))
        bus, outbox = MemoryBus(), Outbox(None)
        await stack.enter_async_context(projects(database, outbox, bus))
        await stack.enter_async_context(
            devices(database, outbox, bus, Ears().downlink, DataMeter())
        )
        hub = Hub(database, bus, outbox)
        for account in (MINE, OTHERS):
            made = await Projects(database, outbox).create(p.CreateProject(account, "fleet"))
            hub.made[account] = made.id
        yield hub


async def test_a_project_begins_with_the_defaults_once(hub: Hub) -> None:
    first = str(uuid.uuid4())
    await hub.asked("defaults", event=first)
    await hub.put("echo mine")
    for event in (first, str(uuid.uuid4())):  # it comes again, or was asked for twice
        await hub.asked("defaults", event=event)
    found = await hub.rules.get_all(c.OneProject(MINE, hub.made[MINE]))
    assert found.version == 2
    assert [(one.moment, one.version, one.body) for one in found.scripts] == [
        (PRE, 2, "echo mine"),
        ("pre-update", 1, 'echo "Hello, I run before app update"\n'),
        ("post-update", 1, 'echo "Hello, I run after app update"\n'),
    ]
    assert [one.changed_by for one in found.scripts] == ["usr_me", "", ""]


async def test_a_project_from_before_has_them_once_somebody_looks(hub: Hub) -> None:
    device = await hub.device("a")
    assert await hub.wanted(device) == 0
    assert await hub.look() == {}
    found = await hub.rules.get_all(c.OneProject(MINE, hub.made[MINE]))
    assert (found.version, {one.moment: one.body for one in found.scripts}) == (1, dict(DEFAULTS))
    assert await hub.look() == {device: ("s-a", 1, dict.fromkeys(DEFAULTS, 1))}


async def test_each_change_is_a_version_and_each_of_them_can_come_back(hub: Hub) -> None:
    project = hub.made[MINE]
    await hub.asked("defaults")
    two = await hub.put("echo two", versions=("1",))
    assert (two.version, two.body, two.timeout) == (2, "echo two", 60.0)
    with pytest.raises(PreconditionFailed):
        await hub.put("echo three", versions=("1",))
    assert (await hub.put("echo two")).version == 2, "it is as the newest"
    assert (await hub.put("echo three")).version == 3
    back = await hub.rules.restore(c.RestoreScript(MINE, project, PRE, 2, "usr_you"))
    assert (back.version, back.body, back.timeout, back.changed_by) == (
        4, "echo two", 60.0, "usr_you",
    )  # fmt: skip
    first = await hub.rules.restore(c.RestoreScript(MINE, project, PRE, 0, ""))
    assert (first.version, first.body) == (5, DEFAULTS[PRE])
    with pytest.raises(NotFound, match="version 9"):
        await hub.rules.restore(c.RestoreScript(MINE, project, PRE, 9, ""))
    page = await hub.rules.versions(c.ListVersions(MINE, project, PRE, 3))
    rest = await hub.rules.versions(c.ListVersions(MINE, project, PRE, 3, page.items[-1].version))
    assert [one.version for one in (*page.items, *rest.items)] == [5, 4, 3, 2, 1]
    assert (page.more, rest.more) == (True, False)
    assert (await hub.rules.get(c.OneScript(MINE, project, "pre-update"))).version == 1


async def test_history_is_not_endless(hub: Hub) -> None:
    for number in range(MOST_VERSIONS + 5):
        await hub.put(f"echo {number}")
    request = c.ListVersions(MINE, hub.made[MINE], PRE, 200)
    found = [one.version for one in (await hub.rules.versions(request)).items]
    assert found == [*range(MOST_VERSIONS + 6, 6, -1)]


@pytest.mark.parametrize("body", ["echo \0", "\x01" * (BODY_BYTES // 6 + 1)])
async def test_what_no_device_could_have_is_refused(hub: Hub, body: str) -> None:
    with pytest.raises(Invalid):
        await hub.put(body)


async def test_the_longest_of_all_fit_into_one_message(hub: Hub) -> None:
    device = await hub.device("a")
    for moment in DEFAULTS:
        await hub.put("\x01" * (BODY_BYTES // 6 - 1), moment)
    assert (await hub.push())[device][2] == dict.fromkeys(DEFAULTS, 2)


async def test_who_is_here_is_sent_a_change_at_once_and_others_when_they_come(hub: Hub) -> None:
    await hub.asked("defaults")
    a, b = await hub.device("a"), await hub.device("b")
    await hub.device("x", OTHERS)
    assert sorted(await hub.push()) == [a, b]
    await hub.happens("closed", b, session="s-b")
    await hub.report(a, 1)
    await hub.put("echo two")
    assert await hub.push() == {a: ("s-a", 2, {**dict.fromkeys(DEFAULTS, 1), PRE: 2})}
    assert await hub.status(a) == (2, 1, "")
    await hub.report(a, 2)
    assert await hub.status(a) == (2, 2, "")
    assert await hub.look() == {}
    await hub.put("echo three")
    await hub.put("echo four")
    await hub.happens("opened", b, session="s-new")
    sent = (await hub.push())[b]
    assert sent == ("s-new", 4, {**dict.fromkeys(DEFAULTS, 1), PRE: 4}), "the newest, and only that"


async def test_many_that_come_together_are_sent_it_as_one_by_one(hub: Hub) -> None:
    """Each in the order of its own events, and all of them or none."""
    await hub.asked("defaults")
    a, b = await hub.device("a"), await hub.device("b")
    x = await hub.device("x", OTHERS)
    await hub.push()
    await hub.report(a, 1)

    def event(kind: str, device: str, session: str, account: str = MINE) -> Any:
        made = peers.DeviceEvent(kind, account, hub.made[account], device, session)
        return made, EventInfo(str(uuid.uuid4()), device, 1)

    first = event("opened", a, "a1")
    await hub.presence.changed(
        [
            first, event("opened", b, "b1"), event("closed", a, "a1"), event("opened", a, "a2"),
            event("closed", b, "of another"), event("opened", x, "x1", OTHERS),
        ]
    )  # fmt: skip
    sent = await hub.push()
    assert {device: one[0] for device, one in sent.items()} == {b: "b1"}, "who is behind"
    await hub.put("echo two")
    for others in ([first], [event("opened", "dev_new", "n1")], [event("revoked", b, "")]):
        with pytest.raises(Conflict):
            await hub.presence.changed([event("closed", a, "a2"), *others])
    sent = await hub.push()
    assert {device: one[0] for device, one in sent.items()} == {a: "a2", b: "b1"}


async def test_it_is_sent_again_while_a_device_is_behind(hub: Hub) -> None:
    device = await hub.device("a")
    await hub.put("echo two")
    assert list(await hub.push()) == [device]
    assert await hub.look() == {}, "not at once"
    hub.now += EVERY
    assert list(await hub.look()) == [device]
    await hub.report(device, 1, "the disk is full")
    assert await hub.status(device) == (2, 1, "the disk is full")
    assert await hub.push() == {}


async def test_a_device_that_is_ahead_is_lifted_alone(hub: Hub) -> None:
    """It has it from before a restore of the hub; what is shown is counted as ever."""
    a, b = await hub.device("a"), await hub.device("b")
    await hub.put("echo two")
    await hub.push()
    await hub.report(a, 9)
    assert await hub.status(a) == (2, 1, ""), "whatever it has, it is not this"
    assert (await hub.push())[a][1] == 10
    assert (await hub.wanted(a), await hub.wanted(b), await hub.wanted("dev_new")) == (10, 2, 2)
    await hub.report(a, 10)
    assert await hub.status(a) == (2, 2, "")
    await hub.put("echo three")
    assert {device: sent[1] for device, sent in (await hub.push()).items()} == {a: 11, b: 3}


def reply(**more: Any) -> Reply:
    known: dict[str, Any] = {"code": 21, "output": "not \0 now", "seconds": 1.5}
    return Reply("ended", **known | more, ran=Ran(PRE, 3, 1_700_000_000.0))


async def test_what_a_device_ran_is_kept_once_and_confirmed(hub: Hub) -> None:
    device = await hub.device("a")
    for _ in range(2):
        await hub.says(device, "m1", reply())
    assert hub.sent.known == [(device, "m1")] * 2
    (one,) = await hub.ran(device)
    assert (one.moment, one.version, one.status, one.code) == (PRE, 3, "later", 21)
    assert (one.output, one.started_at.timestamp()) == ("not \ufffd now", 1_700_000_000.0)
    await hub.says(device, "m2", reply(code=None, timed_out=True))
    assert [one.status for one in await hub.ran(device)] == ["timeout", "later"]
    for number in range(MOST_KEPT + 3):
        await hub.says(device, f"n{number}", reply(code=0))
    found = await hub.ran(device)
    assert len(found) == MOST_KEPT
    assert {one.status for one in found} == {"done"}


async def test_nobody_says_it_for_another_and_nobody_else_sees_it(hub: Hub) -> None:
    device, x = await hub.device("a"), await hub.device("x", OTHERS)
    await hub.says(device, "m1", reply(), OTHERS)  # a session of another project
    await hub.says("dev_unknown", "m1", reply())
    assert hub.sent.known == [], "the event that tells of it may be late: it comes again"
    assert await hub.ran(device) == []
    await hub.says(x, "m1", reply(), OTHERS)
    for ask in (
        hub.ran(x),
        hub.rules.get_all(c.OneProject(OTHERS, hub.made[MINE])),
        hub.rules.get(c.OneScript(OTHERS, hub.made[MINE], PRE)),
        hub.rules.versions(c.ListVersions(OTHERS, hub.made[MINE], PRE, 10)),
        hub.rules.statuses(c.ListStatuses(OTHERS, hub.made[MINE], 10)),
        hub.rules.put(c.PutScript(OTHERS, hub.made[MINE], PRE, "echo", 1.0, "")),
        hub.rules.restore(c.RestoreScript(OTHERS, hub.made[MINE], PRE, 0, "")),
    ):
        with pytest.raises(NotFound):
            await ask


@pytest.mark.parametrize("end", ["removal", "erasure", "revoked"])
async def test_nothing_is_left_of_what_is_gone(hub: Hub, end: str) -> None:
    device = await hub.device("a")
    other = await hub.device("x", OTHERS)
    await hub.asked("defaults")
    await hub.asked("defaults", OTHERS)
    await hub.says(device, "m1", reply())
    await hub.says(other, "m1", reply(), OTHERS)
    keeper, mine = account_of_scripts(hub.database), OfAccount(MINE, [], [])
    counted = (await keeper.count(mine)).items
    assert counted == {"script_versions": 3, "script_statuses": 1, "script_results": 1}
    exported = [one async for page in keeper.export(mine) for one in page.records]
    assert [one["body"] for one in exported if one["moment"] == PRE] == [DEFAULTS[PRE]]
    if end == "removal":
        await hub.asked("removal")
    elif end == "erasure":
        assert (await keeper.erase(mine)).removed == counted
    else:
        await hub.happens("revoked", device)
    left = 3 if end == "revoked" else 0
    assert (await keeper.count(mine)).items == {
        "script_versions": left, "script_statuses": 0, "script_results": 0,
    }  # fmt: skip
    assert (await keeper.count(OfAccount(OTHERS, [], []))).items == counted
