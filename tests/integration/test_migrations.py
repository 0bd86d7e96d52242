"""Migrations, on a real Postgres, from packages that the tests write."""

import asyncio
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.database import Database, Query
from hub.errors import StartError
from hub.migrations import CORE, migrate
from hub.services import Migrations
from hub.settings import PostgresSettings

Package = Callable[[dict[str, str]], str]

NOWHERE = PostgresSettings(port=1)
"""For what is refused before anybody connects."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique: str) -> Package:
    """Write (over) an importable package with these migrations; gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def write(files: dict[str, str], suffix: str = "") -> str:
        name = f"{unique}{suffix or len(made)}"
        made.append(name)
        folder = tmp_path / name / "migrations"
        folder.mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        for file, text in files.items():
            (folder / file).write_text(text)
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


async def tables(settings: PostgresSettings) -> set[str]:
    query = Query.parse("q", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    async with Database.open(settings) as database, database.system() as tx:
        return set(await tx.all(query, str))


async def test_each_file_once_and_in_order(
    database_settings: PostgresSettings, package: Package
) -> None:
    first = package({"0001_make.sql": "CREATE TABLE shop_a ();"})
    applied = await migrate(database_settings, [Migrations("shop", first)])
    assert applied[0] == "core/0001_core"
    assert applied[-1] == "shop/0001_make"
    second = package(
        {
            "0001_make.sql": "CREATE TABLE shop_a ();",
            "0010_more.sql": "ALTER TABLE shop_a ADD b int;",
            "0002_some.sql": "CREATE TABLE shop_b (); CREATE TABLE shop_c ();",
            "README.md": "no migration",
        }
    )
    assert await migrate(database_settings, [Migrations("shop", second)]) == [
        "shop/0002_some",
        "shop/0010_more",
    ]
    assert await migrate(database_settings, [Migrations("shop", second)]) == []
    assert {"shop_a", "shop_b", "shop_c", "outbox", "inbox"} <= await tables(database_settings)


async def test_owners_come_after_those_that_they_name(
    database_settings: PostgresSettings, package: Package
) -> None:
    refers = package({"0001_refer.sql": "CREATE TABLE b_t (a int REFERENCES z_t);"})
    referred = package({"0001_make.sql": "CREATE TABLE z_t (a int PRIMARY KEY);"})
    owners = [Migrations("b", refers, after=("z",)), Migrations("z", referred)]
    applied = await migrate(database_settings, owners)
    assert applied[-2:] == ["z/0001_make", "b/0001_refer"]


async def test_hubs_that_start_at_once(
    database_settings: PostgresSettings, package: Package
) -> None:
    owner = Migrations("shop", package({"0001_a.sql": "CREATE TABLE shop_a ();"}))
    runs = await asyncio.gather(*(migrate(database_settings, [owner]) for _ in range(4)))
    assert [bool(applied) for applied in runs].count(True) == 1


async def test_a_file_that_fails_leaves_nothing_of_itself(
    database_settings: PostgresSettings, package: Package
) -> None:
    name = package(
        {
            "0001_good.sql": "CREATE TABLE shop_a ();",
            "0002_bad.sql": "CREATE TABLE shop_b ();\n\nALTER TABLE nowhere ADD c int;",
        }
    )
    with pytest.raises(StartError, match=r"shop/0002_bad\.sql.*nowhere.*42P01"):
        await migrate(database_settings, [Migrations("shop", name)])
    assert "shop_a" in await tables(database_settings)
    assert "shop_b" not in await tables(database_settings)


async def test_a_syntax_error_has_its_line(
    database_settings: PostgresSettings, package: Package
) -> None:
    name = package({"0001_bad.sql": "-- a comment\nSELECT 1;\nSELEC 2;\n"})
    with pytest.raises(StartError, match=r"shop/0001_bad\.sql:3: syntax error"):
        await migrate(database_settings, [Migrations("shop", name)])


async def test_what_was_applied_does_not_change(
    database_settings: PostgresSettings, package: Package
) -> None:
    before = package({"0001_a.sql": "CREATE TABLE shop_a ();", "0002_b.sql": "SELECT 1;"})
    await migrate(database_settings, [Migrations("shop", before)])
    changed = package({"0001_a.sql": "CREATE TABLE shop_x ();", "0002_b.sql": "SELECT 1;"})
    with pytest.raises(StartError, match="shop/0001_a was changed after it was applied"):
        await migrate(database_settings, [Migrations("shop", changed)])
    gone = package({"0002_b.sql": "SELECT 1;"})
    with pytest.raises(StartError, match=r"shop/0001_a was applied.*its file is gone"):
        await migrate(database_settings, [Migrations("shop", gone)])


async def test_a_late_number(database_settings: PostgresSettings, package: Package) -> None:
    before = package({"0005_a.sql": "SELECT 1;"})
    await migrate(database_settings, [Migrations("shop", before)])
    late = package({"0005_a.sql": "SELECT 1;", "0003_late.sql": "SELECT 2;"})
    with pytest.raises(StartError, match="shop/0003_late: 0005 is applied already"):
        await migrate(database_settings, [Migrations("shop", late)])


async def test_an_older_hub(database_settings: PostgresSettings, package: Package) -> None:
    old = {"0001_a.sql": "CREATE TABLE shop_a ();"}
    additive = {**old, "0002_b.sql": "CREATE TABLE shop_b ();"}
    breaking = {**additive, "0003_c.sql": "-- compatible: 2\nDROP TABLE shop_a;"}
    await migrate(database_settings, [Migrations("shop", package(additive))])
    assert await migrate(database_settings, [Migrations("shop", package(old))]) == []
    await migrate(database_settings, [Migrations("shop", package(breaking))])
    assert await migrate(database_settings, [Migrations("shop", package(additive))]) == []
    with pytest.raises(StartError, match=r"must be known up to 0002.*up to 0001.*newer version"):
        await migrate(database_settings, [Migrations("shop", package(old))])


async def test_a_plugin_that_was_switched_off(
    database_settings: PostgresSettings, package: Package
) -> None:
    name = package({"0001_a.sql": "CREATE TABLE shop_a ();"})
    await migrate(database_settings, [Migrations("shop", name)])
    assert await migrate(database_settings, []) == []


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"1_a.sql": ""}, "the name must be NNNN_name.sql"),
        ({"0001_A.sql": ""}, "the name must be NNNN_name.sql"),
        ({"0001_a.sql": "", "0001_b.sql": ""}, "another file with this number"),
    ],
)
async def test_names_of_files(package: Package, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(StartError, match=complaint):
        await migrate(NOWHERE, [Migrations("shop", package(files))])


@pytest.mark.parametrize(
    ("owners", "complaint"),
    [
        ([Migrations("a", "hub"), Migrations("a", "hub")], "two packages declare"),
        ([Migrations("a", "hub", after=("b",))], "'a' come after 'b': not there"),
        (
            [Migrations("a", "hub", after=("b",)), Migrations("b", "hub", after=("a",))],
            "go in a circle: (a → b → a|b → a → b)",
        ),
        ([Migrations("no such", "hub")], "letters, digits and _"),
        ([Migrations("a", "hub")], "hub has no folder 'migrations'"),
        ([Migrations("a", "no_such_package")], "no_such_package has no folder"),
    ],
)
async def test_declarations(owners: list[Migrations], complaint: str) -> None:
    with pytest.raises(StartError, match=complaint):
        await migrate(NOWHERE, owners)


async def test_the_core_may_be_declared_too(database_settings: PostgresSettings) -> None:
    applied = await migrate(database_settings, [CORE])
    assert applied[0] == "core/0001_core"
