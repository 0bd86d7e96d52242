"""Migrations: numbered SQL files of the core and of plugins, each applied once, in order.

A file is `<package>/migrations/NNNN_name.sql` and runs in a transaction of its own. What was
applied never changes: its checksum is compared at every start. A line `-- compatible: N` says
that hubs which know their owner's files only up to N still work with the database afterwards;
without one, a file is taken to leave older hubs working.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from typing import Final

import asyncpg
import msgspec
import structlog

from hub.database import session
from hub.errors import StartError
from hub.services import Migrations
from hub.settings import PostgresSettings
from hub.sql.errors import translate
from hub.sql.queries import Query
from hub.sql.rows import to_structs
from hub.tenancy import close_tables, ensure_roles, open_tables

_log = structlog.stdlib.get_logger(__name__)

CORE: Final = Migrations(owner="core", package="hub.sql")
"""The core's own tables; every other owner comes after them."""

_FILE: Final = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_COMPATIBLE: Final = re.compile(r"^--[ \t]*compatible:[ \t]*(?P<number>\d+)[ \t]*$", re.MULTILINE)
_OWNER: Final = re.compile(r"[a-z][a-z0-9_]*")

# Any number does, as long as only this runner takes it ("isaax" in ASCII).
_LOCK: Final = 0x6973616178
_TIMEOUT: Final = 3600.0  # seconds: for a statement, and for another hub to finish its run

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    owner text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    compatible integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, number)
)
"""
_APPLIED: Final = Query.parse(
    "applied",
    "SELECT owner, number, name, checksum, compatible FROM schema_migrations "
    "ORDER BY owner, number",
)
_RECORD: Final = """
INSERT INTO schema_migrations (owner, number, name, checksum, compatible)
VALUES ($1, $2, $3, $4, $5)
"""


class _Applied(msgspec.Struct, frozen=True):
    owner: str
    number: int
    name: str
    checksum: str
    compatible: int


@dataclass(frozen=True, slots=True)
class _File:
    owner: str
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def compatible(self) -> int:
        """Lowest number that a hub must know to work with what this file leaves; 0: any."""
        found = _COMPATIBLE.search(self.sql)
        return int(found["number"]) if found else 0

    def __str__(self) -> str:
        return f"{self.owner}/{self.number:04}_{self.name}"


async def migrate(settings: PostgresSettings, migrations: Sequence[Migrations]) -> list[str]:
    """Bring the database up to date; several hubs may do this at once.

    Args:
        migrations: of the plugins; the core's own are always applied, and first.

    Returns:
        What was applied now, as `<owner>/NNNN_<name>`.

    Raises:
        StartError: the files or the database do not allow it; the text says what to do. Files
            before the one that failed stay applied.
        Unavailable: the server does not answer.
    """
    ordered = _in_order([CORE, *(m for m in migrations if m != CORE)])
    files = {owner.owner: _read(owner) for owner in ordered}
    async with session(settings, statement_timeout=_TIMEOUT) as raw:
        try:
            # Held until the connection ends, however this process ends.
            await raw.execute("SELECT pg_advisory_lock($1)", _LOCK)
            await ensure_roles(raw)
            await raw.execute(_TABLE)
            applied = to_structs(await raw.fetch(_APPLIED.sql), _Applied, _APPLIED)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise translate(error) from None
        done = {owner: [row for row in applied if row.owner == owner] for owner in files}
        pending = [file for owner in files for file in _pending(files[owner], done[owner])]
        if pending:
            await open_tables(raw)
        for file in pending:
            await _apply(raw, file)
            _log.info("migration applied", migration=str(file))
        await close_tables(raw)
    return [str(file) for file in pending]


def _in_order(migrations: Iterable[Migrations]) -> list[Migrations]:
    """Sort owners so that each comes after those that it names; the core comes first."""
    by_owner: dict[str, Migrations] = {}
    for entry in migrations:
        if not _OWNER.fullmatch(entry.owner):
            raise StartError(f"migrations of {entry.owner!r}: an owner is letters, digits and _")
        if entry.owner in by_owner:
            raise StartError(f"two packages declare the migrations of {entry.owner!r}")
        by_owner[entry.owner] = entry
    for entry in by_owner.values():
        for other in entry.after:
            if other not in by_owner:
                raise StartError(f"migrations of {entry.owner!r} come after {other!r}: not there")
    graph = {
        owner: {CORE.owner, *entry.after} - {owner} if owner != CORE.owner else set()
        for owner, entry in by_owner.items()
    }
    try:
        return [by_owner[owner] for owner in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise StartError(f"migrations go in a circle: {' → '.join(error.args[1])}") from None


def _read(migrations: Migrations) -> list[_File]:
    """Give an owner's files in order."""
    try:
        folder = resources.files(migrations.package).joinpath("migrations")
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except (ImportError, OSError):
        raise StartError(
            f"migrations of {migrations.owner!r}: {migrations.package} has no folder 'migrations'"
        ) from None
    files: list[_File] = []
    for entry in entries:
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.fullmatch(entry.name)
        where = f"{migrations.package.replace('.', '/')}/migrations/{entry.name}"
        if match is None:
            raise StartError(f"{where}: the name must be NNNN_name.sql")
        number = int(match["number"])
        if files and files[-1].number == number:
            raise StartError(f"{where}: there is another file with this number")
        text = entry.read_text(encoding="utf-8")
        files.append(_File(migrations.owner, number, match["name"], text))
    return files


def _pending(files: Sequence[_File], applied: Sequence[_Applied]) -> list[_File]:
    """Compare an owner's files with the database and give those that are still to be applied."""
    known = {file.number: file for file in files}
    newest = max(known, default=0)
    needed = max((row.compatible for row in applied), default=0)
    if needed > newest:
        raise StartError(
            f"a newer hub has changed the database: {applied[0].owner} must be known up to "
            f"{needed:04}, this hub knows it up to {newest:04}; start the newer version"
        )
    for row in applied:
        _check_applied(row, known, newest)
    last = max((row.number for row in applied), default=0)
    done = {row.number for row in applied}
    pending = [file for file in files if file.number not in done]
    for file in pending:
        if file.number < last:
            raise StartError(f"{file}: {last:04} is applied already; give it a higher number")
    return pending


def _check_applied(row: _Applied, known: Mapping[int, _File], newest: int) -> None:
    name = f"{row.owner}/{row.number:04}_{row.name}"
    file = known.get(row.number)
    if file is None:
        if row.number < newest:
            raise StartError(f"{name} was applied to the database, and its file is gone")
        return  # of a newer hub, which left this one compatible
    if file.checksum != row.checksum:
        raise StartError(
            f"{name} was changed after it was applied; restore it and put the change in a new file"
        )


async def _apply(raw: asyncpg.Connection, file: _File) -> None:
    try:
        async with raw.transaction():
            await raw.execute(file.sql)
            await raw.execute(
                _RECORD, file.owner, file.number, file.name, file.checksum, file.compatible
            )
    except asyncpg.PostgresError as error:
        line = file.sql.count("\n", 0, int(error.position)) + 1 if error.position else None
        where = f"{file}.sql:{line}" if line else f"{file}.sql"
        raise StartError(f"{where}: {error.message} ({error.sqlstate})") from None
    except (OSError, asyncpg.InterfaceError) as error:
        raise translate(error) from None
