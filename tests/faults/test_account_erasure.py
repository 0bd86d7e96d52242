"""An erasure that is killed at any of its steps ends the same (a whole hub: `_kills.py`)."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from nats.aio.client import Client

from hub.account_data import Counts, Erased, Exported, OfAccount, account_endpoints
from hub.audit.log import Audit
from hub.bus import NatsBus
from hub.contracts import Bus, Endpoint
from hub.database import Connection, Database
from hub.embedded.postgres import Postgres
from hub.errors import Unavailable
from hub.leftovers import Leftovers
from hub.memory_bus import MemoryBus
from hub.outbox import Outbox, OutboxRelay
from hub.permissions import Role
from hub.settings import PostgresSettings
from hub.vault import Vault
from services.accounts.deletion.keepers import Keepers
from services.accounts.deletion.looping import EVERY
from services.accounts.deletion.own import OwnData
from services.accounts.deletion.purge import Purge
from services.accounts.peers import LIST_INTEGRATIONS, IntegrationIds, OwnIntegrations
from services.devices.account import AccountOfDevices
from services.projects import contracts as p
from services.projects.account import AccountOfProjects
from services.projects.rules import Projects
from services.projects.tokens import Tokens
from tests.deadline import until
from tests.fixtures import people, traces
from tests.fixtures.crashes import Crash
from tests.fixtures.killed import CrashingBus, CrashingDatabase, Steps, erasure_settings, later

__all__ = ["erasure_settings"]

OWNERS = ("devices", "slow", "projects")
LEASE = 0.4
"""Seconds: a hub that was killed is soon taken for dead."""


class Slow:
    """Keeps three things of every account, and erases one at a time."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}

    async def count(self, request: OfAccount) -> Counts:
        return Counts({"things": self.left.get(request.account, 3)})

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        for page in ():
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        left = self.left.get(request.account, 3)
        self.left[request.account] = max(0, left - 1)
        return Erased({"things": 1} if left else {}, more=left > 1)


@dataclass
class Hub:
    """What survives a kill."""

    database: Database
    bus: MemoryBus
    nats: Client
    slow: Slow
    outbox: Outbox
    admin: Any
    farewells: list[str] = field(default_factory=list)

    def purge(self, steps: Steps) -> Purge:
        """Start anew, and end at a step."""
        database = CrashingDatabase(self.database, steps)
        bus: Bus = CrashingBus(self.bus, steps)  # type: ignore[assignment]
        keepers = Keepers(bus, OwnData(database), OWNERS)
        leftovers = Leftovers(database, self.nats)

        async def farewell(tx: Connection, account: str) -> None:
            tx.after_commit(lambda: self.farewells.append(account))

        return Purge(database, bus, keepers, leftovers, Audit(), farewell, clock=later, lease=LEASE)

    async def account(self) -> str:
        """Make an account with something of each owner, whose time has come."""
        account = await people.account(self.database)
        await people.person(self.database, **{account: Role.OWNER})
        projects = Projects(self.database, self.outbox)
        tokens = Tokens(self.database, self.outbox)
        for name in ("one", "two"):
            made = await projects.create(p.CreateProject(account, name))
            await tokens.create(p.CreateToken(account, made.id, "devices"))
        async with self.database.system() as tx:
            await tx.raw.execute(
                "INSERT INTO devices_device (id, account, project) VALUES ($1, $2, $3)",
                f"dev_{secrets.token_hex(8)}", account, made.id,
            )  # fmt: skip
            await Vault(secrets.token_bytes(32)).seal(
                tx, b"secret", account=account, project=made.id, name="x"
            )
            await tx.raw.execute(
                "INSERT INTO gateway_idempotency VALUES ($1, 'POST /x', '\\x00', 'apt', '\\x00', "
                "gen_random_uuid(), now(), NULL, now() + interval '1 day')",
                account,
            )
            await tx.raw.execute(
                "INSERT INTO accounts_deletion (account, requested_at, due_at, digest) "
                "VALUES ($1, now(), now() + interval '14 days', sha256($1::text::bytea))",
                account,
            )
        return account

    async def finish(self, account: str, steps: Steps) -> None:
        """Erase it, beginning anew after the crash."""
        purge = self.purge(steps)

        async def is_gone() -> bool:
            nonlocal purge
            try:
                await purge.once()
            except Crash:
                purge = self.purge(Steps())
            async with self.database.system() as tx:
                left = await tx.raw.fetch("SELECT FROM accounts_account WHERE id = $1", account)
            return not left

        await until(is_gone, what="the account to be gone")


@pytest.fixture
async def hub(
    erasure_settings: PostgresSettings,
    postgres_server: Postgres,
    nats_client: Client,
    nats_bus: NatsBus,
) -> AsyncIterator[Hub]:
    bus, outbox, slow = MemoryBus(), Outbox(nats_client), Slow()

    async def integrations(_: OwnIntegrations) -> IntegrationIds:
        return IntegrationIds([])

    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(erasure_settings))
        admin = await stack.enter_async_context(
            postgres_server.administer(erasure_settings.database)
        )
        relay = OutboxRelay(database, nats_client, outbox, election=0.05)
        await stack.enter_async_context(relay.run())
        projects = Projects(database, outbox)
        endpoints: list[Any] = [
            Endpoint(p.LIST_OWN, projects.list),
            Endpoint(LIST_INTEGRATIONS, integrations),
            *account_endpoints("projects", AccountOfProjects(database, outbox, projects)),
            *account_endpoints("devices", AccountOfDevices(database)),
            *account_endpoints("slow", slow),
        ]
        await stack.enter_async_context(bus.serve("keepers", "1.0.0", endpoints))
        yield Hub(database, bus, nats_client, slow, outbox, admin)


async def test_nothing_is_due_before_its_time(hub: Hub) -> None:
    """A minute before, by the clock; what was not begun can still be undone then."""
    account = await hub.account()
    purge = hub.purge(Steps())
    purge._clock = lambda: later() - timedelta(minutes=1)
    assert await purge.once() is False
    rows = await hub.admin.fetch(
        "SELECT begun_at FROM accounts_deletion WHERE account = $1", account
    )
    assert [row["begun_at"] for row in rows] == [None]
    await hub.finish(account, Steps())


async def test_with_nothing_to_erase_it_seldom_looks(hub: Hub) -> None:
    assert await hub.purge(Steps())._due_in() == EVERY


async def test_killed_at_every_step_it_ends_the_same(hub: Hub) -> None:
    """Before and after each request and each commit, once each; the last word is said once."""
    whole = Steps()
    account = await hub.account()
    await hub.finish(account, whole)
    counted = await _report(hub, account)
    assert whole.taken > 20
    for at in range(whole.taken):
        for before in (True, False):
            account = await hub.account()
            await hub.finish(account, Steps(at, before))
            assert await _report(hub, account) == counted, (at, before)
    assert len(hub.farewells) == len(set(hub.farewells)) == 1 + 2 * whole.taken


async def _report(hub: Hub, account: str) -> Any:
    """See that nothing is left, and give what the one report says."""
    left = await traces.of_account(hub.admin, account)
    assert left.keys() <= {"audit_pending", "audit_entry", "audit_chain"}
    (row,) = await hub.admin.fetch(
        "SELECT counted FROM accounts_erased WHERE digest = sha256($1::text::bytea)", account
    )
    return row["counted"]


async def test_many_hubs_erase_one_account_once(hub: Hub) -> None:
    """One has the lease; the others find nothing to do, or take over and end the same."""
    account = await hub.account()
    purges = [hub.purge(Steps()) for _ in range(6)]

    async def is_gone() -> bool:
        await asyncio.gather(*(purge.once() for purge in purges))
        return account in hub.farewells

    await until(is_gone, what="the account to be gone")
    await _report(hub, account)
    assert hub.farewells.count(account) == 1


async def test_nobody_who_is_away_is_left_out_without_a_word(hub: Hub) -> None:
    """A look names them; an export breaks off, and an erasure does not begin."""
    account = await hub.account()
    keepers = Keepers(hub.bus, OwnData(hub.database), (*OWNERS, "away"))
    looked = await keepers.look(account)
    assert (looked.unknown, looked.counts["devices"], looked.counts["things"]) == (["away"], 1, 3)
    subject = await keepers.of(account)
    with pytest.raises(Unavailable):
        _ = [page async for page in keepers.export(subject)]
    with pytest.raises(Unavailable):
        await keepers.count(subject)
    assert (await Keepers(hub.bus, OwnData(hub.database), OWNERS).look(account)).unknown == []
    await hub.finish(account, Steps())
