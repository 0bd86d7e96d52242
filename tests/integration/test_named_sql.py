"""Every named query of the core and of the services fits the schema that the migrations make."""

from pathlib import Path

import pytest

from hub.database import Database, Queries
from hub.migrations import CORE, migrate
from hub.services import Migrations
from hub.settings import PostgresSettings

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent for path in ROOT.glob("services/*/migrations"))
FILES = sorted(
    path for folder in ("hub", "services") for path in (ROOT / folder).rglob("*.sql")
    if path.parent.name != "migrations"
)  # fmt: skip

ROOTS = {"accounts_account", "accounts_user"}
"""What others belong to."""
NOBODYS = {
    "accounts_attempt", "accounts_erased", "accounts_tally", "telemetry_gone", "telemetry_place",
    "devices_data_meter",
}  # fmt: skip
"""By digests alone: counters, and that something was erased; and how far streams were read."""


async def test_every_query_prepares(database_settings: PostgresSettings) -> None:
    """Postgres parses and plans each of them; names and types fit."""
    owners = [Migrations(path.name, f"services.{path.name}") for path in SERVICES]
    await migrate(database_settings, [CORE, *owners])
    prepared = 0
    async with Database.open(database_settings) as database:
        for file in FILES:
            package = ".".join(file.parent.relative_to(ROOT).parts)
            queries = Queries.load(package, file.name)
            for name in queries:
                async with database.system() as tx:
                    try:
                        await tx.raw.prepare(queries[name].sql)
                    except Exception as error:  # noqa: BLE001 - said with the query's name
                        pytest.fail(f"{file.relative_to(ROOT)}: {name}: {error}")
                    prepared += 1
    assert prepared > 40


@pytest.mark.parametrize("folder", SERVICES, ids=lambda path: path.name)
def test_every_table_of_a_service_says_whose_its_rows_are(folder: Path) -> None:
    """Multi-tenant from the first migration: an account's, or a person's."""
    for file in sorted(folder.glob("migrations/*.sql")):
        for table in file.read_text().split("CREATE TABLE ")[1:]:
            name, _, body = table.partition("(")
            assert name.strip().startswith(f"{folder.name}_")
            columns = body.partition(");")[0]
            owned = '"user" ' in columns or "account " in columns
            assert owned or name.strip() in ROOTS | NOBODYS, name
