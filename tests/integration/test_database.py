"""Transactions, rows and errors, on a real Postgres."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec
import pytest

from hub.database import Connection, Database, Query, QueryError, session
from hub.embedded.postgres import Postgres
from hub.errors import Conflict, Invalid, IsaaxError, NotFound, Unavailable
from hub.secret import Secret
from hub.settings import PostgresSettings
from hub.tenancy import close_tables
from tests.deadline import until


def sql(text: str) -> Query:
    return Query.parse("q", text)


@pytest.fixture
async def database(core_settings: PostgresSettings) -> AsyncIterator[Database]:
    async with session(core_settings) as owner:
        await owner.execute(
            "CREATE TABLE IF NOT EXISTS parent (id text PRIMARY KEY, name text UNIQUE, "
            "size int CONSTRAINT small CHECK (size < 10));"
            "CREATE TABLE IF NOT EXISTS child (parent text NOT NULL REFERENCES parent);"
            "TRUNCATE parent, child"
        )
        await close_tables(owner)
    async with Database.open(core_settings) as database:
        yield database


async def add(tx: Connection, id_: str, name: str = "", size: int = 1) -> int:
    return await tx.run(
        sql("INSERT INTO parent VALUES (:id, :name, :size)"), id=id_, name=name or id_, size=size
    )


async def count(database: Database, table: str = "parent") -> int:
    async with database.system() as tx:
        return await tx.one(sql(f"SELECT count(*) FROM {table}"), int)


# ── rows ──────────────────────────────────────────────────────────────────────────────────────


class Color(Enum):
    RED = "red"


class Inner(msgspec.Struct, frozen=True):
    items: list[int]


class Row(msgspec.Struct, frozen=True):
    text: str
    number: int
    blob: bytes
    inner: Inner
    color: Color
    tags: list[str]
    moment: datetime
    micros: int
    uuid: str
    nothing: int | None
    renamed: str = msgspec.field(name="other", default="")


async def test_columns_become_fields(database: Database) -> None:
    query = sql(
        """
        SELECT :text::text AS text, 7 AS number, :blob::bytea AS blob, :inner::jsonb AS inner,
               'red' AS color, :tags::text[] AS tags, :moment::timestamptz AS moment,
               :moment::timestamptz AS micros, gen_random_uuid() AS uuid,
               NULL::timestamptz AS nothing, 'x' AS other, 'ignored' AS unknown
        """
    )
    moment = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
    async with database.system() as tx:
        row = await tx.one(
            query, Row, text="grüße", blob=b"\x00\xff", inner=Inner([1, 2]),
            tags=["a", "b"], moment=moment,
        )  # fmt: skip
    assert len(row.uuid) == 36
    assert row == Row(
        "grüße", 7, b"\x00\xff", Inner([1, 2]), Color.RED, ["a", "b"], moment,
        1795435200123456, row.uuid, None, "x",
    )  # fmt: skip


async def test_a_single_column(database: Database) -> None:
    async with database.system() as tx:
        values = await tx.all(sql("SELECT * FROM unnest(:ids::text[])"), str, ids=["a", "b"])
        assert await tx.maybe(sql("SELECT NULL::int"), int | None) is None  # type: ignore[arg-type]
        micros = await tx.one(sql("SELECT to_timestamp(2)"), int)
    assert (values, micros) == (["a", "b"], 2_000_000)


async def test_how_many_rows(database: Database) -> None:
    everything = sql("SELECT id FROM parent ORDER BY id")
    async with database.system() as tx:
        assert await tx.maybe(everything, str) is None
        with pytest.raises(NotFound):
            await tx.one(everything, str)
        assert await add(tx, "a") == 1
        await add(tx, "b")
        with pytest.raises(QueryError, match="one row was expected, it gave 2"):
            await tx.one(everything, str)
        assert await tx.run(sql("UPDATE parent SET size = 2")) == 2
        assert await tx.run(sql("DISCARD PLANS")) == 0


@pytest.mark.parametrize(
    ("text", "into", "complaint"),
    [
        ("SELECT 1 AS items", Inner, "Expected `array`, got `int`"),
        ("SELECT 1 AS nothing", Inner, "missing required field `items`"),
        ("SELECT 'hunter2'", Color, "no member of its enum"),
        ("SELECT 1, 2", int, "takes one column, it gives 2"),
    ],
)
async def test_rows_that_do_not_fit(
    database: Database, text: str, into: type[Any], complaint: str
) -> None:
    async with database.system() as tx:
        with pytest.raises(QueryError, match=complaint) as caught:
            await tx.all(sql(text), into)
    assert "hunter2" not in str(caught.value)


# ── transactions ──────────────────────────────────────────────────────────────────────────────


async def test_an_error_undoes_everything(database: Database) -> None:
    called: list[str] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - a transaction is a block
        async with database.system() as tx:
            tx.after_commit(lambda: called.append("never"))
            await add(tx, "a")
            raise ZeroDivisionError
    assert await count(database) == 0
    async with database.system() as tx:
        tx.after_commit(lambda: called.append("once"))
        await add(tx, "a")
        assert called == []
    assert called == ["once"]


async def test_a_failing_callback_does_not_undo_the_commit(database: Database) -> None:
    called: list[int] = []

    def fail() -> None:
        raise RuntimeError

    async with database.system() as tx:
        tx.after_commit(fail)
        tx.after_commit(lambda: called.append(1))
        await add(tx, "a")
    assert (await count(database), called) == (1, [1])


async def test_a_savepoint_undoes_only_its_part(database: Database) -> None:
    async with database.system() as tx:
        await add(tx, "a")
        with pytest.raises(Conflict):  # noqa: PT012
            async with tx.savepoint():
                await add(tx, "b")
                await add(tx, "a")
        async with tx.savepoint():
            await add(tx, "c")
    async with database.system() as tx:
        assert await tx.all(sql("SELECT id FROM parent ORDER BY id"), str) == ["a", "c"]


async def test_the_account_is_for_the_transaction_only(core_settings: PostgresSettings) -> None:
    current = sql("SELECT coalesce(current_setting('isaax.account', true), '')")
    settings = msgspec.structs.replace(core_settings, pool=1)
    async with Database.open(settings) as database:
        async with database.transaction(account="acc_1'; --") as tx:
            assert await tx.one(current, str) == "acc_1'; --"
        async with database.system() as tx:
            assert await tx.one(current, str) == ""


async def test_a_cancelled_transaction_is_undone(database: Database) -> None:
    added = asyncio.Event()

    async def work() -> None:
        async with database.system() as tx:
            await add(tx, "a")
            added.set()
            await tx.run(sql("SELECT pg_sleep(60)"))

    task = asyncio.create_task(work())
    await added.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(database) == 0


async def test_more_work_than_connections(core_settings: PostgresSettings) -> None:
    async with Database.open(msgspec.structs.replace(core_settings, pool=2)) as database:

        async def work(number: int) -> int:
            async with database.system() as tx:
                return await tx.one(sql("SELECT :n::int"), int, n=number)

        assert await asyncio.gather(*map(work, range(20))) == list(range(20))


# ── errors ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "error", "detail"),
    [
        ("INSERT INTO parent VALUES ('hunter2', 'n', 1)", Conflict, "already exists (parent_pkey)"),
        ("INSERT INTO child VALUES ('hunter3')", NotFound, "child_parent_fkey"),
        ("DELETE FROM parent", Conflict, "still in use (child_parent_fkey)"),
        ("INSERT INTO parent VALUES ('hunter3', 'n', 99)", Invalid, "out of its range (small)"),
        ("INSERT INTO child VALUES (NULL)", QueryError, "column parent"),
        ("SELECT 'hunter2'::int", QueryError, "InvalidTextRepresentationError (22P02)"),
        ("SELEC 'hunter2'", QueryError, "PostgresSyntaxError (42601), at character 1"),
        ("SELECT * FROM nowhere", QueryError, "UndefinedTableError (42P01)"),
    ],
)
async def test_errors_in_our_words(
    database: Database, text: str, error: type[Exception], detail: str
) -> None:
    async with database.system() as tx:
        await add(tx, "hunter2")
        await tx.run(sql("INSERT INTO child VALUES ('hunter2')"))
    with pytest.raises(error) as caught:
        async with database.system() as tx:
            await tx.run(sql(text))
    assert detail in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter" not in shown.replace(text, "")


async def test_a_parameter_of_the_wrong_type(database: Database) -> None:
    query, values = sql("SELECT :text::text, :number::int"), {"text": "t", "number": "hunter2"}
    with pytest.raises(QueryError, match="parameter number has the wrong type") as caught:
        async with database.system() as tx:
            await tx.one(query, int, **values)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


async def test_an_error_of_the_raw_connection(database: Database) -> None:
    with pytest.raises(Conflict):  # noqa: PT012
        async with database.system() as tx:
            await add(tx, "a")
            await tx.raw.execute("INSERT INTO parent VALUES ('a', 'b', 1)")


async def test_a_statement_that_takes_too_long(database: Database) -> None:
    with pytest.raises(Unavailable, match="57014"):  # noqa: PT012
        async with database.system() as tx:
            await tx.raw.execute("SET LOCAL statement_timeout = 20")
            await tx.run(sql("SELECT pg_sleep(60)"))
    async with database.system() as tx:
        assert await tx.one(sql("SHOW statement_timeout"), str) == "30s"


async def test_a_deadlock_can_be_tried_again(database: Database) -> None:
    async with database.system() as tx:
        await tx.raw.execute("INSERT INTO parent VALUES ('a', 'a', 1), ('b', 'b', 1)")
    both = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        update = sql("UPDATE parent SET size = size + 1 WHERE id = :id")
        async with database.system() as tx:
            await tx.run(update, id=first)
            await both.wait()
            await tx.run(update, id=second)

    results = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)
    [failed] = [result for result in results if result is not None]
    assert isinstance(failed, Unavailable)
    assert "another transaction" in failed.detail


# ── the server's life ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", [{"password": Secret("wrong")}, {"database": "nowhere"}])
async def test_a_server_that_does_not_let_us_in(
    core_settings: PostgresSettings, change: dict[str, Any]
) -> None:
    with pytest.raises(Unavailable):
        async with Database.open(msgspec.structs.replace(core_settings, **change)):
            pass


async def test_no_server(core_settings: PostgresSettings) -> None:
    with pytest.raises(Unavailable, match="no connection to the server"):
        async with Database.open(msgspec.structs.replace(core_settings, port=1)):
            pass


async def test_it_heals_after_a_crash_of_the_server(
    database: Database, postgres_server: Postgres
) -> None:
    await database.ready()
    entered = asyncio.Event()

    async def interrupted() -> None:
        async with database.system() as tx:
            await add(tx, "lost")
            entered.set()
            await tx.run(sql("SELECT pg_sleep(60)"))

    task = asyncio.create_task(interrupted())
    await entered.wait()
    postgres_server.kill()
    try:
        with pytest.raises(Unavailable):
            await task
        with pytest.raises(Unavailable):
            await database.ready()
    finally:
        await postgres_server.restart()

    async def healed() -> bool:
        try:
            await database.ready()
        except IsaaxError:
            return False
        return True

    await until(healed)
    assert await count(database) == 0


async def test_a_session_keeps_its_lock_to_itself(database: Database) -> None:
    lock = "SELECT pg_try_advisory_lock(4711)"
    async with database.session() as one, database.session() as two:
        assert await one.fetchval(lock) is True
        assert await two.fetchval(lock) is False
    async with database.session() as three:
        assert await three.fetchval(lock) is True


# ── what is left behind ───────────────────────────────────────────────────────────────────────


async def test_what_was_set_on_the_drivers_connection_is_gone_after_it(
    core_settings: PostgresSettings,
) -> None:
    """Nothing is reset after a transaction of ours, but after whoever takes the driver's."""
    current = sql("SELECT current_setting('work_mem')")
    async with Database.open(msgspec.structs.replace(core_settings, pool=1)) as database:
        async with database.system() as tx:
            usual = await tx.one(current, str)
            assert not tx.touched
            await tx.raw.execute("SET work_mem = '77MB'")
            await tx.raw.execute("SELECT pg_advisory_lock(7)")
            assert await tx.one(current, str) == "77MB"
        async with database.transaction(account="acc_1") as tx:
            assert await tx.one(current, str) == usual
            locks = sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert await tx.one(locks, int) == 0


async def test_a_look_is_one_statement_of_the_hub_itself(database: Database) -> None:
    async with database.system() as tx:
        await add(tx, "a", size=3)
    size = sql("SELECT size FROM parent WHERE id = :id")
    assert await database.look(size, int, id="a") == 3
    assert await database.look(size, int, id="b") is None
    with pytest.raises(QueryError, match="it needs also id"):
        await database.look(size, int)
    user = sql("SELECT current_user")
    assert str(await database.look(user, str)).endswith("_system")


async def test_savepoints_may_lie_in_one_another(database: Database) -> None:
    async with database.system() as tx:
        await add(tx, "a")
        async with tx.savepoint():
            await add(tx, "b")
            for id_ in ("c", "d"):
                with suppress(Conflict):
                    async with tx.savepoint():
                        await add(tx, id_)
                        await add(tx, "a")
        with suppress(ZeroDivisionError):
            async with tx.savepoint():
                await add(tx, "e")
                raise ZeroDivisionError
        assert await tx.all(sql("SELECT id FROM parent ORDER BY id"), str) == ["a", "b"]
    assert await count(database) == 2


@pytest.mark.parametrize("account", ["acc_1", "'; DROP TABLE parent; --", "a'b", "a\\b", "ü", ""])
async def test_any_account_is_set_as_it_is(database: Database, account: str) -> None:
    """An id of ours in one message with BEGIN, anything else apart from it."""
    current = sql("SELECT current_setting('isaax.account')")
    for _ in range(2):
        async with database.transaction(account=account) as tx:
            assert await tx.one(current, str) == account
    async with database.system() as tx:
        nobody = sql("SELECT coalesce(current_setting('isaax.account', true), '')")
        assert await tx.one(nobody, str) == ""
    assert await count(database) == 0
