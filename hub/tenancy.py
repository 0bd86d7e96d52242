"""Tenants are kept apart in Postgres: row-level security on every table, by construction.

Whatever a migration makes is closed when it is committed, without the migration having to say so.
A table with a column `account` is open to its account's transactions, one with a column `project`
as well to those from which that project is not hidden; any other table is the system's alone. A
partition is nobody's: it is reached through its table, under that one's policies.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from hub.errors import StartError
from hub.sql.queries import Queries
from hub.sql.rows import to_structs

TENANT: Final = "isaax_tenant"
"""Role of transactions on behalf of one account."""
SYSTEM: Final = "isaax_system"
"""Role of the hub's own work across accounts."""

_SQL: Final = Queries.load("hub.sql", "tenancy.sql")


class Rights(msgspec.Struct, frozen=True):
    """What transactions may do with a table's rows, in SQL's words.

    Args:
        tenant: those on behalf of an account, with its own rows.
        system: those of the hub itself, with all rows.
    """

    tenant: frozenset[str] = frozenset()
    system: frozenset[str] = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})


_READ: Final = frozenset({"SELECT"})
_ADD: Final = frozenset({"INSERT"})
_OF_THE_SYSTEM: Final = Rights()
OF_TENANTS: Final = Rights(_OF_THE_SYSTEM.system)
NARROWED: Final[Mapping[str, Rights]] = {
    # Every transaction may add to these, whoever it is for; no tenant reads from them.
    "outbox": Rights(_ADD),
    "inbox": Rights(_ADD),
    # The audit log: anybody tells what was done, and nobody changes what was sealed.
    "audit_pending": Rights(_ADD),
    "audit_entry": Rights(_READ, _READ | _ADD),
    "audit_value": Rights(_READ, _READ | _ADD | {"DELETE"}),
    "audit_chain": Rights(_READ, _READ | _ADD | {"UPDATE"}),
}
"""Tables with fewer rights than their columns would give; also to the hub itself."""

_ACCOUNT: Final = "account = current_setting('isaax.account', true)"
_PROJECT: Final = (
    "NOT project = ANY (string_to_array(coalesce(current_setting('isaax.hidden', true), ''), ','))"
)


class _Role(msgspec.Struct, frozen=True):
    name: str
    exists: bool
    granted: bool


class _Table(msgspec.Struct, frozen=True):
    """A table as it is.

    Args:
        account, project: it has such a column.
        forced: row-level security binds even its owner.
        policies: names of those that it has, sorted.
        blinded: its tenants' policy hides projects.
        granted: `<role>:<right>` of both roles.
    """

    name: str
    account: bool
    project: bool
    forced: bool
    policies: list[str]
    blinded: bool
    granted: list[str]

    @property
    def rights(self) -> Rights:
        """What it is to grant."""
        return NARROWED.get(self.name, OF_TENANTS if self.account else _OF_THE_SYSTEM)

    @property
    def is_closed(self) -> bool:
        """Nothing is left to do."""
        wanted = ["system", "tenant"] if self.rights.tenant else ["system"]
        grants = {f"{TENANT}:{right}" for right in self.rights.tenant}
        grants |= {f"{SYSTEM}:{right}" for right in self.rights.system}
        return (
            self.forced
            and self.policies == wanted
            and self.blinded == (self.account and self.project)
            and set(self.granted) == grants
        )


async def ensure_roles(raw: asyncpg.Connection) -> None:
    """Make the two roles, and let the hub's own take them on; or say who has to.

    Raises:
        StartError: they are missing, and this user may not make them.
    """
    rows = await raw.fetch(_SQL["roles"].sql)
    for role in to_structs(rows, _Role, _SQL["roles"]):
        try:
            if not role.exists:
                await raw.execute(f"CREATE ROLE {role.name} NOLOGIN")
                # Else every connection had the rights of both, whatever role it took on.
                await raw.execute("ALTER ROLE CURRENT_USER NOINHERIT")
            if not role.granted:
                await raw.execute(f"GRANT {role.name} TO CURRENT_USER")
        except asyncpg.DuplicateObjectError:
            continue  # another hub made it meanwhile
        except asyncpg.InsufficientPrivilegeError:
            user = await raw.fetchval("SELECT current_user")
            raise StartError(
                "Postgres: two roles are missing that keep accounts apart. As an administrator "
                f"of the server, run:\n{role_statements(user)}"
            ) from None


def role_statements(user: str) -> str:
    """Give the SQL that an administrator runs once for the hub's user."""
    quoted = '"' + user.replace('"', '""') + '"'
    return "\n".join(
        [
            f"ALTER ROLE {quoted} NOINHERIT;",
            *(f"CREATE ROLE {role} NOLOGIN;" for role in (TENANT, SYSTEM)),
            *(f"GRANT {role} TO {quoted};" for role in (TENANT, SYSTEM)),
        ]
    )


async def open_tables(raw: asyncpg.Connection) -> None:
    """Let the owner reach all rows: a migration may change some. Nobody else sees more for it."""
    for table in await _tables(raw):
        if table.forced:
            await raw.execute(f'ALTER TABLE "{table.name}" NO FORCE ROW LEVEL SECURITY')


async def close_tables(raw: asyncpg.Connection) -> None:
    """Put row-level security on every table that is not closed yet.

    Until then nobody but the owner may use a new one at all.
    """
    async with raw.transaction():
        for table in await _tables(raw):
            if not table.is_closed:
                await raw.execute(";\n".join(_statements(table)))


def _statements(table: _Table) -> Sequence[str]:
    name, rights = f'"{table.name}"', table.rights
    statements = [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS tenant ON {name}",
        f"DROP POLICY IF EXISTS system ON {name}",
        f"CREATE POLICY system ON {name} TO {SYSTEM} USING (true) WITH CHECK (true)",
        f"REVOKE ALL ON {name} FROM {TENANT}, {SYSTEM}",
        f"GRANT {', '.join(sorted(rights.system))} ON {name} TO {SYSTEM}",
    ]
    if rights.tenant:
        if table.account:
            rule = f"{_ACCOUNT} AND {_PROJECT}" if table.project else _ACCOUNT
            scope = f"TO {TENANT} USING ({rule}) WITH CHECK ({rule})"
        else:
            scope = f"FOR INSERT TO {TENANT} WITH CHECK (true)"
        statements += [
            f"CREATE POLICY tenant ON {name} {scope}",
            f"GRANT {', '.join(sorted(rights.tenant))} ON {name} TO {TENANT}",
        ]
    return statements


async def _tables(raw: asyncpg.Connection) -> list[_Table]:
    return to_structs(await raw.fetch(_SQL["tables"].sql), _Table, _SQL["tables"])
