"""Commands in a database: in which state a result is, whatever a device says, and when."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from hub.contracts import Endpoint, EventInfo
from hub.data_meter import DataMeter
from hub.database import Connection, Database
from hub.downlink import DeviceReply, DeviceReport
from hub.errors import Invalid, NotFound
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.outbox import Outbox
from hub.plugins import PluginHost
from hub.protocol import (
    Action,
    Cancel,
    Command,
    Do,
    Known,
    Reply,
    RestartPrograms,
    RunScript,
    Session,
    State,
    decode_command,
)
from hub.settings import PostgresSettings
from hub.structs import decode
from services.commands import contracts as c
from services.commands import peers
from services.commands.rules import Rules
from services.commands.sender import GRACE, KEPT_DAYS, UNHEARD, Sender
from services.commands.views import CommandBody, action_of
from services.devices import peers as devices_peers
from services.devices.service import Devices, devices
from services.projects import contracts as p
from services.projects.service import Projects, projects
from tests.fixtures.ears import Ears

MINE, OTHERS = "acc_one", "acc_two"


class Sent:
    """Takes what goes down to devices."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str, Command]] = []

    def command(self, session: Session, name: str, command: Command) -> None:
        self.commands.append((session.device, name, command))

    def take(self) -> list[tuple[str, str, Command]]:
        taken, self.commands = self.commands, []
        return taken


@dataclass
class Hub:
    """Two accounts with a project each."""

    database: Database
    bus: MemoryBus
    outbox: Outbox
    made: dict[str, str] = field(default_factory=dict)
    online: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sent = Sent()
        down: Any = self.sent
        self.sender = Sender(self.database, self.bus, down)
        self.rules = Rules(self.database, self.bus, self.sender.wake)

    async def sessions(self, request: peers.SessionsOf) -> peers.LiveSessions:
        here = [name for name in request.devices if name in self.online]
        return peers.LiveSessions([peers.LiveSession(name, self.online[name]) for name in here])

    async def device(self, name: str, account: str = MINE, *, waits: bool = False) -> str:
        """Make a device that is online."""
        device = f"dev_{name}"
        event = devices_peers.DeviceEvent(
            "registered", account, self.made[account], device, group="default", waits=waits
        )
        rules = Devices(self.database, self.outbox, self.bus)
        await rules.device_changed(event, EventInfo(str(uuid.uuid4()), device, 1))
        if not waits:
            self.online[device] = f"s-{name}"
        return device

    async def start(self, account: str = MINE, action: Action | None = None, **more: Any) -> str:
        wanted = {"timeout": 10.0, "wait": 60.0} | more
        what = action or RunScript("true")
        request = c.SendCommand(account, self.made[account], what, **wanted)
        return (await self.rules.send(request)).id

    async def send(self) -> list[tuple[str, str, Command]]:
        """Send what is new and what nobody has answered; give what went out."""
        due, self.sender._due = self.sender._due, {}
        for account, some in due.items():
            await self.sender._send_online(account, sorted(some))
        await self.sender._look()
        return self.sent.take()

    async def says(self, device: str, command: str, reply: Reply, account: str = MINE) -> None:
        where = Session(self.made[account], device, "s")
        replies = [DeviceReply(where, command, reply)]
        await self.rules.heard(replies)
        self.sender.confirm(replies)

    async def states(self, command: str, account: str = MINE) -> dict[str, str]:
        request = c.ListResults(account, self.made[account], command, 100)
        return {one.device: one.status for one in (await self.rules.results(request)).items}

    async def goes_by(self, seconds: float) -> None:
        """Let time pass for what is in the tables."""
        async with self.database.system() as tx:
            back = f"make_interval(secs => {seconds})"
            await tx.raw.execute(
                f"UPDATE commands_command SET deadline = deadline - {back}, "
                f"created_at = created_at - {back}"
            )
            await tx.raw.execute(
                f"UPDATE commands_result SET sent_at = sent_at - {back}, "
                f"started_at = started_at - {back}"
            )


@pytest.fixture
async def hub(database_settings: PostgresSettings) -> AsyncIterator[Hub]:
    await migrate(database_settings, PluginHost.load(quiet=True).migrations)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(database_settings))
        bus, outbox = MemoryBus(), Outbox(None)
        await stack.enter_async_context(projects(database, outbox, bus))
        await stack.enter_async_context(
            devices(database, outbox, bus, Ears().downlink, DataMeter())
        )
        hub = Hub(database, bus, outbox)
        endpoint: Endpoint[Any, Any] = Endpoint(peers.SESSIONS, hub.sessions)
        await stack.enter_async_context(bus.serve("sessions", "1.0.0", [endpoint]))
        for account in (MINE, OTHERS):
            made = await Projects(database, outbox).create(p.CreateProject(account, "fleet"))
            hub.made[account] = made.id
        yield hub


def names(sent: Sequence[tuple[str, str, Command]]) -> list[str]:
    return sorted(device for device, _, _ in sent)


async def test_who_is_meant_is_sent_it_until_it_says_that_it_began(hub: Hub) -> None:
    a, b = await hub.device("a"), await hub.device("b")
    await hub.device("x", OTHERS)
    await hub.device("w", waits=True)  # nobody has approved it
    run = await hub.start(action=RunScript("echo hi"))
    sent = await hub.send()
    assert names(sent) == [a, b]
    command = sent[0][2]
    assert isinstance(command, Do)
    assert (command.action, command.timeout) == (RunScript("echo hi"), 10.0)
    assert 59 < command.within <= 60
    assert await hub.send() == [], "not at once again"
    await hub.says(a, run, Reply("started"))
    await hub.goes_by(UNHEARD + 1)
    assert names(await hub.send()) == [b]
    assert await hub.states(run) == {a: "running", b: "waiting"}


async def test_the_longest_that_the_api_takes_is_what_a_device_takes(hub: Hub) -> None:
    await hub.device("a")
    action = {"type": "script", "body": "x" * 65_536}
    body = decode(CommandBody, {"action": action, "timeout": 3600, "wait": 604_800})
    await hub.start(action=action_of(body.action), timeout=body.timeout, wait=body.wait)
    ((_, _, command),) = await hub.send()
    assert decode_command(msgspec.json.encode(command)) == command


async def test_who_comes_later_is_sent_it_then(hub: Hub) -> None:
    device = await hub.device("a")
    del hub.online[device]
    run = await hub.start()
    assert await hub.send() == []
    report = DeviceReport(Session(hub.made[MINE], device, "s-new"), State({"envars": 1}))
    await hub.sender.reported([report])
    assert [(one, name) for one, name, _ in hub.sent.take()] == [(device, run)]


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply("ended", 0), "done"),
        (Reply("ended", 21), "later"),
        (Reply("ended", 1), "failed"),
        (Reply("ended"), "failed"),
        (Reply("ended", -9), "failed"),
        (Reply("ended", -9, timed_out=True), "timeout"),
        (Reply("ended", 0, timed_out=True), "timeout"),
        (Reply("refused", error="no"), "refused"),
        (Reply("interrupted"), "interrupted"),
    ],
)
async def test_a_last_word_is_kept_and_confirmed(hub: Hub, reply: Reply, state: str) -> None:
    device = await hub.device("a")
    run = await hub.start()
    await hub.says(device, run, Reply("started"))
    assert hub.sent.take() == []
    await hub.says(device, run, reply)
    assert [(one, name, type(what)) for one, name, what in hub.sent.take()] == [
        (device, run, Known)
    ]
    assert await hub.states(run) == {device: state}
    await hub.says(device, run, Reply("started"))
    await hub.says(device, run, Reply("ended", 7, "something else"))
    assert await hub.states(run) == {device: state}, "what comes late changes nothing"
    shown = await hub.rules.get(c.OneCommand(MINE, hub.made[MINE], run))
    assert shown.counts == {state: 1}


async def test_nothing_waits_or_runs_for_ever_and_a_late_word_counts(hub: Hub) -> None:
    a, b = await hub.device("a"), await hub.device("b")
    run = await hub.start(wait=60.0, timeout=10.0)
    await hub.says(b, run, Reply("started"))
    await hub.goes_by(61)
    assert await hub.send() == [], "it is too late for that"
    assert await hub.states(run) == {a: "expired", b: "running"}
    await hub.goes_by(10 + GRACE)
    await hub.send()
    assert await hub.states(run) == {a: "expired", b: "lost"}
    await hub.says(b, run, Reply("ended", 0, "over \0 and out"))
    await hub.says(a, run, Reply("started"))
    assert await hub.states(run) == {a: "running", b: "done"}
    await hub.goes_by(86_400 * KEPT_DAYS)
    await hub.send()
    with pytest.raises(NotFound):
        await hub.states(run)


async def test_no_device_answers_for_another(hub: Hub) -> None:
    """Nor for one of another project; what nobody knows is confirmed, so that it is forgotten."""
    a, x = await hub.device("a"), await hub.device("x", OTHERS)
    run = await hub.start()
    await hub.says(x, run, Reply("ended", 0), OTHERS)
    await hub.says(a, run, Reply("ended", 0), OTHERS)
    await hub.says(a, "cmd_nothing", Reply("ended", 0))
    assert await hub.states(run) == {a: "waiting"}
    assert [name for _, name, _ in hub.sent.take()] == [run, run, "cmd_nothing"]


async def test_what_cannot_be_run_anywhere_is_refused(hub: Hub) -> None:
    with pytest.raises(Invalid, match="no device"):
        await hub.start()
    x = await hub.device("x", OTHERS)
    await hub.device("a")
    for where in ({"device": x}, {"device": "dev_none"}):
        with pytest.raises(NotFound):
            await hub.start(**where)
    with pytest.raises(Invalid, match="no device"):
        await hub.start(group="nobody")
    for project in (hub.made[MINE], ""):  # "" is the device's
        theirs = c.SendCommand(OTHERS, project, RunScript("true"), 1.0, 1.0, device="dev_a")
        with pytest.raises(NotFound):
            await hub.rules.send(theirs)
    run = await hub.start()
    for account, project in ((OTHERS, MINE), (MINE, OTHERS), (OTHERS, OTHERS)):
        with pytest.raises(NotFound):
            await hub.rules.get(c.OneCommand(account, hub.made[project], run))
        with pytest.raises(NotFound):
            await hub.rules.cancel(c.OneCommand(account, hub.made[project], run))
    with pytest.raises(NotFound):
        await hub.rules.of_device(c.ListOfDevice(OTHERS, "dev_a", 10))


async def test_lists_begin_with_the_newest_and_go_on(hub: Hub) -> None:
    await hub.device("a")
    runs = [await hub.start(action=RunScript(f"echo {n}")) for n in range(5)]
    first = await hub.rules.page(c.ListCommands(MINE, hub.made[MINE], 3))
    rest = await hub.rules.page(c.ListCommands(MINE, hub.made[MINE], 3, first.items[-1].number))
    assert [one.id for one in (*first.items, *rest.items)] == runs[::-1]
    assert (first.more, rest.more) == (True, False)


async def test_the_history_of_a_device_says_what_became_of_each(hub: Hub) -> None:
    a, b = await hub.device("a"), await hub.device("b")
    first = await hub.start(action=RestartPrograms("pump"))
    await hub.start(device=b)
    second = await hub.start(device=a)
    await hub.says(a, first, Reply("ended", 1, error="there is no program pump"))

    async def history(**more: Any) -> c.DeviceCommands:
        return await hub.rules.of_device(c.ListOfDevice(MINE, a, **{"limit": 10, **more}))

    found = await history()
    assert [(one.command, one.status) for one in found.items] == [
        (second, "waiting"), (first, "failed"),
    ]  # fmt: skip
    assert found.items[1].action == RestartPrograms("pump")
    assert found.items[1].error == "there is no program pump"
    assert [one.command for one in (await history(status="failed")).items] == [first]
    page = await history(limit=1)
    assert page.more
    assert [one.command for one in (await history(before=page.items[0].number)).items] == [first]


async def test_what_is_cancelled_does_not_begin(hub: Hub) -> None:
    """Unless a device had begun before it heard of it: then its word counts."""
    a, b, d = [await hub.device(name) for name in "abd"]
    del hub.online[d]
    run = await hub.start()
    assert names(await hub.send()) == [a, b]
    await hub.says(b, run, Reply("started"))
    one = c.OneCommand(MINE, hub.made[MINE], run)
    assert (await hub.rules.cancel(one)).counts == {"cancelled": 2, "running": 1}
    assert [(name, what) for name, _, what in await hub.send()] == [(a, Cancel())]
    await hub.goes_by(UNHEARD + 1)
    assert [(name, what) for name, _, what in await hub.send()] == [(a, Cancel())], "no answer yet"
    await hub.says(a, run, Reply("refused", error="it was cancelled"))
    hub.sent.take()
    assert await hub.states(run) == {a: "cancelled", b: "running", d: "cancelled"}
    await hub.goes_by(UNHEARD + 1)
    assert await hub.send() == []
    await hub.says(d, run, Reply("started"))
    await hub.says(d, run, Reply("ended", 0))
    await hub.says(b, run, Reply("ended", 0))
    assert (await hub.rules.cancel(one)).counts == {"cancelled": 1, "done": 2}


async def test_who_refuses_what_comes_late_says_nothing_new(hub: Hub) -> None:
    a = await hub.device("a")
    run = await hub.start()
    await hub.goes_by(61)
    await hub.send()
    await hub.says(a, run, Reply("refused", error="it did not begin in time"))
    assert await hub.states(run) == {a: "expired"}


@pytest.mark.parametrize("kind", ["revoked", "dropped"])
async def test_a_device_that_is_gone_has_nothing_open(hub: Hub, kind: str) -> None:
    a, b = await hub.device("a"), await hub.device("b")
    begun, waits = await hub.start(), await hub.start()
    await hub.says(a, begun, Reply("started"))
    event = peers.DeviceEvent(kind, MINE, a)
    info = EventInfo(str(uuid.uuid4()), a, 1)
    await hub.rules.device_changed(event, info)
    await hub.rules.device_changed(event, info)
    assert await hub.states(begun) == {a: "lost", b: "waiting"}
    assert await hub.states(waits) == {a: "cancelled", b: "waiting"}
    request = c.ListResults(MINE, hub.made[MINE], begun, 10, status="lost")
    (result,) = (await hub.rules.results(request)).items
    assert "deleted" in result.error
    assert names(await hub.send()) == [b, b]


async def test_nothing_is_left_of_a_project_that_is_gone(hub: Hub) -> None:
    await hub.device("a")
    await hub.start()
    event = peers.ProjectAsked("removal", MINE, hub.made[MINE])
    await hub.rules.project_asked(event, EventInfo(str(uuid.uuid4()), event.project, 1))

    async def left(tx: Connection) -> list[int]:
        tables = ("commands_command", "commands_result")
        return [await tx.raw.fetchval(f"SELECT count(*) FROM {table}") for table in tables]

    async with hub.database.system() as tx:
        assert await left(tx) == [0, 0]
