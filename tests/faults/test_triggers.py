"""Triggers that are killed anywhere do the same: each project has its defaults, once.

Each step that leaves a process is one at which it ends, before or after: what is asked of others,
and each commit; of `triggers`, and of `envars` and `scripts` that do what it asks. Postgres and
NATS go on, and events that nobody has confirmed come again.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from nats.aio.client import Client

from hub.bus import NatsBus
from hub.contracts import Bus, Consumer, EventInfo
from hub.database import Database
from hub.errors import Unavailable
from hub.memory_bus import MemoryBus
from hub.messaging.events import Pace
from hub.messaging.jetstream import EVENTS
from hub.migrations import migrate
from hub.outbox import Outbox, OutboxRelay
from hub.plugins import PluginHost
from hub.settings import PostgresSettings
from hub.vault import Vault
from services.envars import rules as envars
from services.envars.peers import PROJECT_ASKED
from services.envars.variables import AGENTS
from services.projects import contracts as p
from services.projects.service import Projects, projects
from services.scripts import rules as scripts
from services.scripts.peers import PROJECT_ASKED as SCRIPTS_ASKED
from services.triggers import peers
from services.triggers.rules import OF_CREATED, OF_DELETED, Triggers
from tests.deadline import until
from tests.fixtures.crashes import Crash
from tests.fixtures.killed import CrashingBus, CrashingDatabase, Steps

ACCOUNT: Final = "acc_one"
CONSUMERS: Final = (OF_CREATED, OF_DELETED, envars.CONSUMER, scripts.CONSUMER)
TOPICS: Final = (peers.CREATED, peers.DELETED, PROJECT_ASKED)

DEFAULTS: Final = scripts.DEFAULTS

Handle = Callable[[Any, EventInfo], Awaitable[None]]


@dataclass
class Hub:
    """What survives a kill, and the services, which count their steps."""

    database: Database
    outbox: Outbox
    bus: MemoryBus
    vault: Vault
    steps: Steps = field(default_factory=Steps)

    def consumers(self) -> list[Consumer[Any]]:
        """Give what handles events: by services that are made anew for each of them."""
        return [
            Consumer(peers.CREATED, OF_CREATED, self._mortal(lambda: self.triggers().created)),
            Consumer(peers.DELETED, OF_DELETED, self._mortal(lambda: self.triggers().deleted)),
            Consumer(
                PROJECT_ASKED, envars.CONSUMER, self._mortal(lambda: self._envars().project_asked)
            ),
            Consumer(
                SCRIPTS_ASKED, scripts.CONSUMER, self._mortal(lambda: self._scripts().project_asked)
            ),
        ]

    @staticmethod
    def _mortal(make: Callable[[], Handle]) -> Handle:
        async def handle(event: Any, info: EventInfo) -> None:
            try:
                await make()(event, info)
            except Crash:
                raise Unavailable("the process that handled it is gone") from None

        return handle

    @property
    def _stepped(self) -> tuple[Database, Bus]:
        bus: Any = CrashingBus(self.bus, self.steps)
        return CrashingDatabase(self.database, self.steps, tenants=True), bus

    def triggers(self) -> Triggers:
        """Start the service."""
        database, bus = self._stepped
        return Triggers(database, self.outbox, bus)

    def _envars(self) -> envars.Rules:
        database, bus = self._stepped
        return envars.Rules(database, self.vault, bus, lambda _: None)

    def _scripts(self) -> scripts.Rules:
        database, bus = self._stepped
        return scripts.Rules(database, bus, lambda _: None)

    async def scripts(self, project: str) -> tuple[int, dict[str, str]]:
        """Give the revision of a project's scripts, and them; (0, {}) where there is nothing."""
        async with self.database.system() as tx:
            revision = await tx.raw.fetchval(
                "SELECT revision FROM scripts_project WHERE project = $1", project
            )
            rows = await tx.raw.fetch(
                "SELECT moment, version, body FROM scripts_version WHERE project = $1", project
            )
        assert {row["version"] for row in rows} <= {1}
        return revision or 0, {row["moment"]: row["body"] for row in rows}

    async def variables(self, project: str) -> tuple[int, dict[str, str]]:
        """Give the version of a project's variables, and them; (0, {}) where there is nothing."""
        async with self.database.system() as tx:
            version = await tx.raw.fetchval(
                "SELECT version FROM envars_level WHERE project = $1 AND level = 'project'", project
            )
            rows = await tx.raw.fetch(
                "SELECT name, value FROM envars_variable WHERE project = $1", project
            )
        return version or 0, {row["name"]: row["value"] for row in rows}

    async def is_quiet(self, nats: Client) -> bool:
        """Say whether every event was published, and handled by whoever waits for it."""
        async with self.database.system() as tx:
            if await tx.raw.fetchval("SELECT count(*) FROM outbox"):
                return False
        found = [await nats.jetstream().consumer_info(EVENTS, name) for name in CONSUMERS]
        return not any(one.num_pending or one.num_ack_pending for one in found)

    async def come_and_go(self, nats: Client) -> tuple[str, str, str]:
        """Make three projects; one goes when it has all, one at once. Wait until all is done."""
        rules = Projects(self.database, self.outbox)
        stays, goes, never = [
            (await rules.create(p.CreateProject(ACCOUNT, name))).id
            for name in ("stays", "goes", "never")
        ]
        await rules.delete(p.DeleteProject(ACCOUNT, never))

        async def has_all() -> bool:
            found = (await self.variables(goes))[1], (await self.scripts(goes))[1]
            return found == (AGENTS, DEFAULTS)

        await until(has_all, what="the defaults")
        await rules.delete(p.DeleteProject(ACCOUNT, goes))
        await until(lambda: self.is_quiet(nats), what="all of it to be done")
        return stays, goes, never

    async def check(self, stays: str, goes: str, never: str) -> None:
        """See that each has what it is to have, and that it was done once."""
        assert await self.variables(stays) == (2, dict(AGENTS)), "written once"
        assert await self.scripts(stays) == (1, dict(DEFAULTS)), "these, too"
        for gone in (goes, never):
            assert await self.variables(gone) == await self.scripts(gone) == (0, {})


@pytest.fixture
async def hub(database_settings: PostgresSettings, nats_client: Client) -> AsyncIterator[Hub]:
    js = nats_client.jetstream()
    await NatsBus.start(nats_client)
    for topic in TOPICS:
        await js.purge_stream(EVENTS, subject=topic.wire_subject)
    await migrate(database_settings, PluginHost.load(quiet=True).migrations)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(database_settings))
        bus, outbox = MemoryBus(), Outbox(nats_client)
        relay = OutboxRelay(database, nats_client, outbox, election=0.05)
        await stack.enter_async_context(relay.run())
        await stack.enter_async_context(projects(database, outbox, bus))
        hub = Hub(database, outbox, bus, Vault(secrets.token_bytes(32)))
        events = NatsBus(nats_client, pace=Pace(first=0.01, limit=0.02))
        await stack.enter_async_context(events.consume(*hub.consumers()))
        yield hub


@pytest.mark.timeout(600)  # a whole run for each step
async def test_killed_at_every_step_it_does_the_same(hub: Hub, nats_client: Client) -> None:
    """Before and after each request and each commit, once each."""
    await hub.check(*await hub.come_and_go(nats_client))
    whole = hub.steps.taken
    assert whole >= 16, "ten events, and what is asked meanwhile"
    for at in range(whole):
        for before in (True, False):
            hub.steps = Steps(at, before)
            await hub.check(*await hub.come_and_go(nats_client))
            assert hub.steps.taken > at, "it was killed there"


async def test_an_end_that_is_heard_of_first_is_the_last_word(
    hub: Hub, nats_client: Client
) -> None:
    """Beginning and end are told on topics of their own, which may be read in any order."""
    rules = Projects(hub.database, hub.outbox)
    project = (await rules.create(p.CreateProject(ACCOUNT, "late"))).id
    await rules.delete(p.DeleteProject(ACCOUNT, project))
    event, triggers = peers.ProjectChanged(ACCOUNT, project), hub.triggers()
    await triggers.deleted(event, EventInfo(f"{secrets.token_hex(16)}", project, 1))
    await triggers.created(event, EventInfo(f"{secrets.token_hex(16)}", project, 1))
    await until(lambda: hub.is_quiet(nats_client), what="all of it to be done")
    assert await hub.variables(project) == await hub.scripts(project) == (0, {})
