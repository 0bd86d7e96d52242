"""An erasure of a person that is killed anywhere ends the same: nothing tells of them any more."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from nats.aio.client import Client

from hub.account_data import Erased
from hub.audit.deeds import Deed
from hub.audit.log import Audit, Recorder
from hub.audit.verify import verify
from hub.bus import NatsBus
from hub.database import Database
from hub.embedded.postgres import Postgres
from hub.ids import new
from hub.leftovers import Leftovers
from hub.mail.postbox import Postbox
from hub.messaging.events import Pace
from hub.outbox import Outbox, OutboxRelay
from hub.permissions import Role
from hub.routes import Client as Where
from hub.settings import PostgresSettings
from hub.telemetry import Metrics
from hub.vault import Vault
from services.accounts.deletion.looping import EVERY
from services.accounts.departure.erasing import Erasing
from services.accounts.identity.deeds import Deeds
from services.accounts.identity.devices import Devices
from services.accounts.identity.letters import Letters
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.passwords import Passwords
from services.accounts.identity.reauthentication import Reauthentication
from tests.deadline import until
from tests.fixtures import people, traces
from tests.fixtures.crashes import Crash
from tests.fixtures.killed import CrashingDatabase, Steps, erasure_settings, later

__all__ = ["erasure_settings"]

KEY = secrets.token_bytes(32)
AT_ONCE = Pace(first=0.01, limit=0.02)


class CrashingLeftovers:
    """Each round is a step."""

    def __init__(self, real: Leftovers, steps: Steps) -> None:
        self._real, self._steps = real, steps

    async def erase_person(self, ids: list[str]) -> Erased:
        ends = self._steps.begin()
        erased = await self._real.erase_person(ids)
        if ends:
            raise Crash
        return erased


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person with one of everything, and all that could tell of them."""

    user: str
    email: str
    words: set[str]


@dataclass
class Hub:
    """What survives a kill."""

    database: Database
    nats: Client
    vault: Vault
    letters: Letters
    passwords: Passwords
    admin: Any

    def erasing(self, steps: Steps) -> Erasing:
        """Start anew, and end at a step."""
        database = CrashingDatabase(self.database, steps)
        leftovers: Any = CrashingLeftovers(Leftovers(database, self.nats), steps)
        return Erasing(
            database, leftovers, Audit(), self.letters, Lockout(self.vault), Devices(self.vault),
            Reauthentication(database, self.vault, self.passwords), clock=later, again=AT_ONCE,
        )  # fmt: skip

    async def somebody(self, account: str) -> Somebody:
        """Make a developer of an account, whose time has come, with one of everything."""
        who = await people.person(self.database, **{account: Role.DEVELOPER})
        words = {who.id, who.email}
        async with self.database.system() as tx:
            (token,) = await tx.raw.fetch(
                'SELECT id FROM accounts_api_token WHERE "user" = $1', who.id
            )
            session, device, passkey = new("ses"), new("kdv"), new("psk")
            words |= {token["id"], session, device, passkey}
            statements = (
                ('INSERT INTO accounts_session (id, "user", digest, address, agent) '
                 "VALUES ($2, $1, sha256($2::text::bytea), '192.0.2.1', 'x')", session),
                ('INSERT INTO accounts_device (id, "user", digest) '
                 "VALUES ($2, $1, sha256($2::text::bytea))", device),
                ('INSERT INTO accounts_link (digest, kind, "user", expires_at) '
                 "VALUES (sha256($2::text::bytea), 'reset', $1, now())", device),
                ('INSERT INTO accounts_totp ("user", sealed) VALUES ($1, $2::text::bytea)', "x"),
                ('INSERT INTO accounts_recovery_code ("user", digest) '
                 "VALUES ($1, sha256($2::text::bytea))", "x"),
                ('INSERT INTO accounts_passkey (id, "user", name, credential, public_key, '
                 "sign_count) VALUES ($2, $1, 'x', $2::text::bytea, 'x', 0)", passkey),
                ('INSERT INTO accounts_challenge (digest, kind, "user", expires_at) '
                 "VALUES (sha256($2::text::bytea), 'login', $1, now())", passkey),
                ('INSERT INTO accounts_narrowed (account, project, "user", role) '
                 "VALUES ($2, $1 || '-project', $1, 'viewer')", account),
                ("INSERT INTO accounts_invitation (id, account, email, role, locale, invited_by, "
                 "digest, expires_at) VALUES ('inv' || $1, $2, 'x@example.com' || $1, 'viewer', "
                 "'en', $1, sha256($1::text::bytea), now())", account),
                ("INSERT INTO accounts_invitation (id, account, email, role, locale, digest, "
                 "expires_at) VALUES ('to' || $1, $2, (SELECT email FROM accounts_user WHERE "
                 "id = $1), 'viewer', 'en', sha256(('to' || $1)::bytea), now())", account),
                ("INSERT INTO accounts_export (id, account, made_by, expires_at) "
                 "VALUES (md5($1), $2, $1, now() + interval '7 days')", account),
                ("INSERT INTO gateway_idempotency VALUES ('', 'POST /' || md5($1), '\\x00', $2, "
                 "'\\x00', gen_random_uuid(), now(), NULL, now() + interval '1 day')", session),
                ('INSERT INTO accounts_departure ("user", requested_at, due_at, digest) VALUES '
                 "($1, now(), now() + interval '14 days', sha256(($1 || $2)::bytea))", "x"),
            )  # fmt: skip
            for statement, value in statements:
                await tx.raw.execute(statement, who.id, value)
            key = Lockout(self.vault).key_of(who.email)
            await Lockout(self.vault).take(tx, key)
            await Deeds().session_begun(tx, who.id, session, Where("192.0.2.1", "x"))
            await self.letters.send(tx, "recovery-new", who.id, who.email, "en")
        return Somebody(who.id, who.email, words)

    async def finish(self, who: Somebody, steps: Steps) -> None:
        """Erase them, beginning anew after the crash."""
        erasing = self.erasing(steps)

        async def is_gone() -> bool:
            nonlocal erasing
            try:
                await erasing.once()
            except Crash:
                erasing = self.erasing(Steps())
            return not await self.admin.fetch(
                'SELECT FROM accounts_departure WHERE "user" = $1', who.user
            )

        await until(is_gone, what="the person to be gone")

    async def check_nothing_is_left(self, who: Somebody) -> None:
        """See that the audit log alone has ids of theirs, and nothing else at all."""
        left = await traces.in_postgres(self.admin, who.words)
        assert left.keys() <= {"audit_pending", "audit_entry"}
        assert not await traces.in_postgres(self.admin, {who.email})
        key = Lockout(self.vault).key_of(who.email)
        assert not await self.admin.fetch("SELECT FROM accounts_attempt WHERE key = $1", key)
        assert await traces.in_jetstream(self.nats, who.words) == {}

    async def count(self, action: str, user: str) -> int:
        """Say how often the logs tell of something, sealed or not."""
        counted = 0
        for table, column in (("audit_pending", "deed"), ("audit_entry", "entry")):
            counted += await self.admin.fetchval(
                f"SELECT count(*) FROM {table} WHERE {column}::jsonb ->> 'action' = $1 "
                f"AND {column}::jsonb #>> '{{object,user}}' = $2",
                action, user,
            )  # fmt: skip
        return counted

    async def farewells(self) -> int:
        """Count the last mails that were asked for."""
        rows = await self.admin.fetch("SELECT FROM outbox WHERE key LIKE 'era%'")
        js, found = self.nats.jetstream(), len(rows)
        info = await js.stream_info("EVENTS")
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            try:
                message = await js.get_msg("EVENTS", sequence)
            except Exception:  # noqa: BLE001 - deleted
                continue
            found += any(value.startswith("era_") for value in (message.headers or {}).values())
        return found


@pytest.fixture
async def hub(
    erasure_settings: PostgresSettings,
    postgres_server: Postgres,
    nats_client: Client,
    nats_bus: NatsBus,
) -> AsyncIterator[Hub]:
    outbox, vault = Outbox(nats_client), Vault(KEY)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(erasure_settings))
        admin = await stack.enter_async_context(
            postgres_server.administer(erasure_settings.database)
        )
        relay = OutboxRelay(database, nats_client, outbox, election=0.05)
        await stack.enter_async_context(relay.run())
        passwords = await stack.enter_async_context(Passwords.open(Metrics()))
        letters = Letters(Postbox(outbox, vault), "https://hub.example.com")
        yield Hub(database, nats_client, vault, letters, passwords, admin)


async def test_with_nobody_to_erase_it_seldom_looks(hub: Hub) -> None:
    assert await hub.erasing(Steps())._wait() == EVERY


async def test_killed_at_every_step_it_ends_the_same(hub: Hub) -> None:
    """Before and after each; the last mail is asked for once, and the log says it once."""
    account, whole = await people.account(hub.database), Steps()
    who, before = await hub.somebody(account), await hub.farewells()
    assert (await traces.in_postgres(hub.admin, who.words)).keys() >= {
        "accounts_api_token", "accounts_challenge", "accounts_departure", "accounts_device",
        "accounts_export", "accounts_invitation", "accounts_link", "accounts_member",
        "accounts_narrowed", "accounts_passkey", "accounts_recovery_code", "accounts_session",
        "accounts_totp", "accounts_user", "gateway_idempotency",
    }  # fmt: skip
    await hub.finish(who, whole)
    await hub.check_nothing_is_left(who)
    assert whole.taken >= 4
    erased = [who]
    for at in range(whole.taken):
        for early in (True, False):
            one = await hub.somebody(account)
            await hub.finish(one, Steps(at, early))
            await hub.check_nothing_is_left(one)
            erased.append(one)
    assert await hub.farewells() - before == len(erased)
    for one in erased:
        # In the log of the account, and in that of the hub.
        assert await hub.count("user.erased", one.user) == 2


async def test_many_hubs_erase_one_person_once(hub: Hub) -> None:
    account = await people.account(hub.database)
    who, before = await hub.somebody(account), await hub.farewells()
    hubs = [hub.erasing(Steps()) for _ in range(6)]

    async def is_gone() -> bool:
        await asyncio.gather(*(one.once() for one in hubs))
        return not await hub.admin.fetch(
            'SELECT FROM accounts_departure WHERE "user" = $1', who.user
        )

    await until(is_gone, what="the person to be gone")
    await hub.check_nothing_is_left(who)
    assert await hub.farewells() - before == 1
    assert await hub.count("user.erased", who.user) == 2


async def test_who_still_owns_an_account_waits_for_its_end(hub: Hub) -> None:
    """The account goes first; nobody is erased whose account would be nobody's."""
    account = await people.account(hub.database)
    who = await hub.somebody(account)
    async with hub.database.system() as tx:
        await tx.raw.execute(
            "UPDATE accounts_member SET role = 'owner' WHERE account = $1", account
        )
    erasing = hub.erasing(Steps())
    assert await erasing.once() is True
    (row,) = await hub.admin.fetch(
        'SELECT error, attempts FROM accounts_departure WHERE "user" = $1', who.user
    )
    assert (account in row["error"], row["attempts"]) == (True, 1)
    assert await hub.admin.fetch("SELECT FROM accounts_user WHERE id = $1", who.user)
    await hub.admin.execute("DELETE FROM accounts_account WHERE id = $1", account)
    await hub.finish(who, Steps())
    await hub.check_nothing_is_left(who)


async def test_the_log_of_others_stands_and_tells_of_nobody(hub: Hub) -> None:
    """What was done stays, with an id; where from goes, also where an address ends like another."""
    account = await people.account(hub.database)
    who = await hub.somebody(account)
    other = f"x{who.email}"
    async with Recorder.open(hub.database, Metrics()) as recorder:
        async with hub.database.system() as tx:
            for shown in (other, who.email):
                deed = Deed(action="x", summary="x", account=account, after={"email": shown})
                await recorder.record(tx, deed)

        async def is_sealed() -> bool:
            return not await hub.admin.fetch("SELECT FROM audit_pending")

        await until(is_sealed, what="the log to be sealed")
        await hub.finish(who, Steps())
        await until(is_sealed, what="the log to be sealed")
    rows = await hub.admin.fetch("SELECT value FROM audit_value WHERE account = $1", account)
    values = [row["value"] for row in rows]
    assert [other in value for value in values] == [True]
    assert (await verify(hub.database, account)).fault == ""
