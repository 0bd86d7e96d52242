"""What a project token lets devices do: how many register, until when, and who approves them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from hub import Audit, Database, Outbox, SealBroken, Vault
from hub.contracts import Endpoint
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.plugins import PluginHost
from hub.protocol import Hello, Register, hello_proof, register_proof_from_digest
from hub.relay.contracts import MARKS, Marks, MarksOf
from hub.settings import PostgresSettings
from services.auth.contracts import ApproveDevices, RevokeDevice
from services.auth.opening import Asked
from services.auth.peers import Enrolment, TokenChanged
from services.auth.refusals import Refusal
from services.auth.registration import Registration
from services.auth.rules import Rules
from services.auth.sessions import LiveSession
from services.auth.settings import AuthSettings
from services.auth.tokens import TokenTable
from services.auth.versions import Versions

ACCOUNT, PROJECT = "acc_1", "prj_1"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@dataclass
class Entrance:
    """The service's rules, and what a device does to come in."""

    database: Database
    rules: Rules
    registration: Registration
    tokens: TokenTable
    digest: bytes

    def allow(self, enrolment: Enrolment) -> None:
        """Let the token mean this from now on."""
        told = TokenChanged(ACCOUNT, PROJECT, self.digest.hex(), True, "tok_1", enrolment)
        self.tokens.apply(told)

    async def register(self) -> tuple[str, str]:
        """Register; give the device's id and key."""
        client = f"new-{secrets.token_hex(8)}"
        nonce = self.rules.nonces.give(client)
        proof = register_proof_from_digest(self.digest, PROJECT, client, nonce)
        made = await self.registration.register(client, Register(PROJECT, nonce, proof))
        return made.device, made.key

    async def hello(self, device: str, key: str) -> str:
        """Say hello; give the session."""
        return (await self.rules.hello(device, self.greeting(device, key))).session.id

    def greeting(self, device: str, key: str, project: str = PROJECT) -> Hello:
        """Make a hello that is in order."""
        nonce, connection = self.rules.nonces.give(device), secrets.token_hex(16)
        proof = hello_proof(key, project, device, nonce, connection)
        return Hello(project, nonce, proof, connection)

    async def refused(self) -> str:
        """Register in vain; give the reason."""
        with pytest.raises(Refusal) as refusal:
            await self.register()
        return refusal.value.reason


@pytest.fixture
async def entrance(database_settings: PostgresSettings) -> AsyncIterator[Entrance]:
    """An entrance to one project, with one token."""
    await migrate(database_settings, PluginHost.load(quiet=True).migrations)
    bus, vault, outbox = MemoryBus(), Vault(secrets.token_bytes(32)), Outbox(None)

    async def marks(_: MarksOf) -> Marks:
        return Marks({})

    async with (
        Database.open(database_settings) as database,
        bus.serve("relay", "1.0.0", [Endpoint(MARKS, marks)]),
    ):
        versions, tokens = Versions(bus, ()), TokenTable()
        rules = Rules(AuthSettings(), database, outbox, vault, bus, Audit(), versions)
        registration = Registration(database, vault, tokens, rules, clock=lambda: NOW)
        entrance = Entrance(database, rules, registration, tokens, secrets.token_bytes(32))
        entrance.allow(Enrolment())
        yield entrance


async def test_no_more_devices_register_than_a_token_lets(entrance: Entrance) -> None:
    """Also when all come at once; and one that is revoked makes room for another."""
    entrance.allow(Enrolment(max_devices=3))
    done = await asyncio.gather(*(entrance.register() for _ in range(8)), return_exceptions=True)
    let_in = [one for one in done if isinstance(one, tuple)]
    assert len(let_in) == 3
    assert {one.reason for one in done if isinstance(one, Refusal)} == {"limit"}
    await entrance.rules.revoke(RevokeDevice(ACCOUNT, let_in[0][0]))
    await entrance.register()
    assert await entrance.refused() == "limit"
    entrance.allow(Enrolment(max_devices=4))
    await entrance.register()


async def test_after_its_time_a_token_lets_no_device_register_and_those_there_go_on(
    entrance: Entrance,
) -> None:
    entrance.allow(Enrolment(expires_at=NOW + timedelta(seconds=1)))
    device, key = await entrance.register()
    entrance.allow(Enrolment(expires_at=NOW))
    assert await entrance.refused() == "expired"
    assert await entrance.hello(device, key)


async def test_a_device_waits_until_somebody_approves_it(entrance: Entrance) -> None:
    entrance.allow(Enrolment(approval=True))
    device, key = await entrance.register()
    with pytest.raises(Refusal) as refusal:
        await entrance.hello(device, key)
    assert (refusal.value.reason, refusal.value.retry > 0) == ("approval", True)
    devices = [device, "dev_unknown", device]
    approved = await entrance.registration.approve(ApproveDevices(ACCOUNT, PROJECT, devices))
    assert [one.status for one in approved.outcomes] == [200, 404, 200]
    assert await entrance.hello(device, key)


async def test_only_its_own_account_and_project_approve_a_device(entrance: Entrance) -> None:
    entrance.allow(Enrolment(approval=True))
    device, key = await entrance.register()
    for account, project in (("acc_2", PROJECT), (ACCOUNT, "prj_2")):
        approved = await entrance.registration.approve(ApproveDevices(account, project, [device]))
        assert [one.status for one in approved.outcomes] == [404]
    with pytest.raises(Refusal):
        await entrance.hello(device, key)


async def test_who_was_revoked_is_not_approved(entrance: Entrance) -> None:
    device, key = await entrance.register()
    await entrance.rules.revoke(RevokeDevice(ACCOUNT, device))
    approved = await entrance.registration.approve(ApproveDevices(ACCOUNT, PROJECT, [device]))
    assert [one.status for one in approved.outcomes] == [409]
    with pytest.raises(Refusal, match="revoked"):
        await entrance.hello(device, key)


async def test_who_waits_is_not_dropped_with_who_never_came_and_has_time_once_approved(
    entrance: Entrance,
) -> None:
    waits = await entrance.register()
    entrance.allow(Enrolment(approval=True))
    waiting, key = await entrance.register()
    async with entrance.database.system() as tx:
        await tx.raw.execute("UPDATE auth_device SET registered_at = now() - interval '2 days'")
    await entrance.rules.end_expired()
    with pytest.raises(Refusal, match="no such device"):
        await entrance.hello(*waits)
    await entrance.registration.approve(ApproveDevices(ACCOUNT, PROJECT, [waiting]))
    await entrance.rules.end_expired()
    assert await entrance.hello(waiting, key)


async def test_a_project_whose_key_is_broken_keeps_no_other_out(entrance: Entrance) -> None:
    """Hellos that come together are one transaction, and each has an answer of its own."""
    (good, key), (bad, lost) = await entrance.register(), await entrance.register()
    async with entrance.database.system() as tx:
        await tx.raw.execute("UPDATE auth_device SET project = 'prj_2' WHERE id = $1", bad)
        await tx.raw.execute(
            "INSERT INTO vault_data_keys (account, project, kek, wrapped) "
            "VALUES ($1, 'prj_2', 'of nobody', 'x')",
            ACCOUNT,
        )
    opened, refused = await entrance.rules._opening._work(
        [
            Asked(good, entrance.greeting(good, key)),
            Asked(bad, entrance.greeting(bad, lost, "prj_2")),
        ]
    )
    assert isinstance(opened, LiveSession)
    assert opened.device == good
    assert isinstance(refused, SealBroken)
