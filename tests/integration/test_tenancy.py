"""Accounts are kept apart by Postgres itself: every table that any migration makes, one by one."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import msgspec
import pytest

from hub.database import Database, QueryError, session
from hub.embedded.postgres import OWNER, Postgres
from hub.errors import StartError
from hub.outbox import first_time
from hub.scope import hiding
from hub.secret import Secret
from hub.settings import PostgresSettings
from hub.sql.queries import Query
from hub.tenancy import (
    NARROWED,
    OF_TENANTS,
    SYSTEM,
    TENANT,
    close_tables,
    ensure_roles,
    role_statements,
)
from tests.fixtures.parts import all_tables, run_now

_VALUES = {
    "text": "'x'",
    "bytea": r"'\\x00'",
    "jsonb": "'{}'",
    "boolean": "true",
    "uuid": "gen_random_uuid()",
    "date": "now()",
    "timestamp with time zone": "now()",
    "ARRAY": "'{}'",
    "inet": "'::1'",
}
"""A value of each type; of all others 1 is one."""


@pytest.fixture(scope="module")
def settings(postgres_server: Postgres) -> Iterator[PostgresSettings]:
    """A database with the tables of all that we ship."""
    with all_tables(postgres_server, "tenancy") as made:
        yield made


@pytest.fixture(scope="module")
def tables(postgres_server: Postgres, settings: PostgresSettings) -> dict[str, dict[str, str]]:
    """The columns that a row needs, with their types, of every table."""
    found: dict[str, dict[str, str]] = {}

    async def look() -> None:
        async with postgres_server.administer(settings.database) as admin:
            rows = await admin.fetch(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "JOIN information_schema.tables USING (table_schema, table_name) "
                "WHERE table_schema = 'public' AND table_type = 'BASE TABLE' "
                "AND is_generated = 'NEVER' AND is_identity = 'NO' "
                "AND table_name <> 'schema_migrations' "
                # What is in a partition, its table has.
                "AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)"
            )
        for table, column, kind in rows:
            found.setdefault(table, {})[column] = kind

    run_now(look())
    return found


@pytest.fixture
async def bare(
    postgres_server: Postgres, settings: PostgresSettings
) -> AsyncIterator[PostgresSettings]:
    """A copy without constraints, so that rows can be made up."""
    name = f"bare_{secrets.token_hex(6)}"
    await postgres_server.create_database(name, template=settings.database)
    async with postgres_server.administer(name) as admin:
        for number in range(2):  # first what others lean on
            kinds = "('c', 'f')" if number == 0 else "('u', 'p', 'x')"
            drops = await admin.fetch(
                "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, "
                f"conname) FROM pg_constraint WHERE contype IN {kinds} "
                "AND connamespace = 'public'::regnamespace AND conparentid = 0"
            )
            for (drop,) in drops:
                await admin.execute(drop)
    yield postgres_server.settings_for(name)
    await postgres_server.drop_database(name)


def of_account(tables: dict[str, dict[str, str]], generated: dict[str, str]) -> list[str]:
    return sorted(t for t in tables if "account" in tables[t] or t in generated)


GENERATED = {"projects_project": "id", "accounts_account": "id", "audit_entry": "entry"}
"""Columns that `project`, or `account`, is made from."""


CLOSED = {table: GENERATED[table] for table in ("accounts_account", "audit_entry")}
"""Those of them whose account is made."""


def row(columns: dict[str, str], values: dict[str, str]) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    filled = (
        f"'{values[column]}'" if column in values else _VALUES.get(kind, "1")
        for column, kind in columns.items()
    )
    return f"({names}) VALUES ({', '.join(filled)})"


def values_for(table: str, number: str, *, account: str = "") -> dict[str, str]:
    values = {"account": account or f"acc_{number}", "project": f"prj_{number}"}
    if table == "audit_entry":
        numbers = {"seq": 1, "at": 1, "actor": {"id": "", "user": ""}, "object": {}}
        rest = dict.fromkeys(("id", "action", "outcome"), "x")
        values["entry"] = json.dumps(values | numbers | rest)
    elif table in GENERATED:
        made = "project" if table == "projects_project" else "account"
        values[GENERATED[table]] = values[made]
    return values


def sql(text: str) -> Query:
    return Query.parse("q", text)


async def touched(database: Database, statement: str) -> int | None:
    """Give how many rows a statement of `acc_mine` touches; None when it has no right to."""
    try:
        async with database.transaction(account="acc_mine") as tx:
            return await tx.run(sql(statement))
    except QueryError as error:
        if "42501" not in str(error):
            raise
        return None


async def test_rights_that_were_given_by_hand_are_taken_away(settings: PostgresSettings) -> None:
    """The next start of a hub puts back what the migration runner says."""
    async with session(settings) as owner:
        await owner.execute(f"GRANT UPDATE ON audit_chain TO {TENANT}")
        await owner.execute(f"REVOKE DELETE ON outbox FROM {SYSTEM}")
        await close_tables(owner)
        asked = "SELECT has_table_privilege($1, $2, $3)"
        assert await owner.fetchval(asked, TENANT, "audit_chain", "UPDATE") is False
        assert await owner.fetchval(asked, SYSTEM, "outbox", "DELETE") is True


async def test_every_table_of_an_account_is_closed_to_others(
    bare: PostgresSettings, tables: dict[str, dict[str, str]]
) -> None:
    """Without a WHERE: one's own row is read, changed and deleted, and none is put elsewhere."""
    owned = of_account(tables, CLOSED)
    assert len(owned) > 8
    async with Database.open(bare) as database:
        for table in owned:
            mine, others = (row(tables[table], values_for(table, n)) for n in ("mine", "other"))
            async with database.system() as tx:
                await tx.raw.execute(f"INSERT INTO {table} {mine}; INSERT INTO {table} {others}")
            rights = NARROWED.get(table, OF_TENANTS).tenant
            column = next(iter(tables[table]))
            for right, statement in (
                ("SELECT", f"SELECT account FROM {table}"),
                ("UPDATE", f'UPDATE {table} SET "{column}" = "{column}"'),
                ("INSERT", f"INSERT INTO {table} {mine}"),
                ("DELETE", f"DELETE FROM {table}"),
            ):
                rows = 2 if right == "DELETE" and "INSERT" in rights else 1
                wanted = rows if right in rights else None
                assert await touched(database, statement) == wanted, (table, right)
            assert await touched(database, f"INSERT INTO {table} {others}") is None, table
            async with database.system() as tx:
                left = await tx.all(sql(f"SELECT account FROM {table} ORDER BY account"), str)
            kept = ["acc_mine"] * (0 if "DELETE" in rights else 1 + ("INSERT" in rights))
            assert left == [*kept, "acc_other"], table


async def test_a_hidden_project_is_not_there(
    bare: PostgresSettings, tables: dict[str, dict[str, str]]
) -> None:
    """Every table that knows projects: the rows of a hidden one are neither seen nor changed."""
    knows = {"projects_project", "audit_entry", *(t for t in tables if "project" in tables[t])}
    scoped = [table for table in of_account(tables, CLOSED) if table in knows]
    assert {"projects_project", "devices_device", "messages_integration"} <= set(scoped)
    async with Database.open(bare) as database:
        for table in scoped:
            secret, shown = (values_for(table, n, account="acc_one") for n in ("a", "b"))
            async with database.system() as tx:
                for values in (secret, shown):
                    await tx.raw.execute(f"INSERT INTO {table} {row(tables[table], values)}")
            with hiding(["prj_a", "prj_c"]):
                async with database.transaction(account="acc_one") as tx:
                    seen = await tx.all(sql(f"SELECT project FROM {table}"), str)
                    assert seen == ["prj_b"], table
                    if "DELETE" in NARROWED.get(table, OF_TENANTS).tenant:
                        assert await tx.run(sql(f"DELETE FROM {table}")) == 1, table


async def test_what_belongs_to_no_account_is_the_systems(
    settings: PostgresSettings, tables: dict[str, dict[str, str]]
) -> None:
    """A tenant's transaction cannot read it at all."""
    others = set(tables) - set(of_account(tables, CLOSED))
    assert {"outbox", "inbox", "canary", "relay_marks"} <= others
    async with Database.open(settings) as database:
        for table in sorted(others):
            with pytest.raises(QueryError, match="42501"):
                async with database.transaction(account="acc_one") as tx:
                    await tx.all(sql(f"SELECT count(*) FROM {table}"), int)
            async with database.system() as tx:
                assert await tx.one(sql(f"SELECT count(*) FROM {table}"), int) >= 0


async def test_nobody_sees_rows_without_a_role(settings: PostgresSettings) -> None:
    """The owner of the tables is bound too, and a transaction cannot take on its rights again."""
    async with session(settings) as owner:
        await owner.execute(f"SET ROLE {SYSTEM}")
        await owner.execute("INSERT INTO accounts_account (id, name) VALUES ('acc_x', 'x')")
        await owner.execute("RESET ROLE")
        assert await owner.fetchval("SELECT current_user") == OWNER
        assert await owner.fetch("SELECT * FROM accounts_account") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("INSERT INTO accounts_account (id, name) VALUES ('acc_y', 'y')")


async def test_the_role_ends_with_the_transaction(settings: PostgresSettings) -> None:
    """A connection that served one account is the system's again for the next."""
    role = sql("SELECT current_user::text || current_setting('isaax.account', true)")
    async with Database.open(settings) as database:
        async with database.transaction(account="acc_one") as tx:
            assert await tx.one(role, str) == f"{TENANT}acc_one"
        async with database.system() as tx:
            assert await tx.one(role, str) == SYSTEM


async def test_a_tenants_transaction_says_and_remembers_events(settings: PostgresSettings) -> None:
    """Outbox and inbox are written in the transaction of the business, and not read there."""
    event = "6f1c2f0e-0000-4000-8000-000000000001"
    async with Database.open(settings) as database:
        async with database.transaction(account="acc_one") as tx:
            assert await first_time(tx, "here", event)
        async with database.transaction(account="acc_two") as tx:
            assert not await first_time(tx, "here", event)


async def test_a_migration_reaches_all_rows(settings: PostgresSettings) -> None:
    """While it runs security does not bind the owner; afterwards it does again."""
    async with session(settings) as owner:
        await close_tables(owner)
        forced = "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname = 'outbox'"
        assert await owner.fetchval(forced) is True


async def test_without_the_right_to_make_roles_it_says_who_has_to(
    postgres_server: Postgres, settings: PostgresSettings
) -> None:
    """The statements that the error shows are all that is needed."""
    user = f"plain_{secrets.token_hex(4)}"
    async with postgres_server.administer(settings.database) as admin:
        await admin.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'p'")
        await admin.execute(f'GRANT CONNECT ON DATABASE "{settings.database}" TO {user}')
        theirs = msgspec.structs.replace(settings, user=user, password=Secret("p"))
        try:
            async with session(theirs) as raw:
                with pytest.raises(StartError, match=f'GRANT {TENANT} TO "{user}"'):
                    await ensure_roles(raw)
                for statement in role_statements(user).splitlines():
                    if not statement.startswith("CREATE ROLE"):  # both are there already
                        await admin.execute(statement)
                await ensure_roles(raw)
        finally:
            await admin.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")
