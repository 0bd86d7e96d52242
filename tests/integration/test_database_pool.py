"""Connections that are lent: each to one at a time, in order, and never with anything left."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from hub.embedded.ports import free_port
from hub.errors import Unavailable
from hub.settings import PostgresSettings
from hub.sql.pool import Pool, is_open
from tests.deadline import until


@pytest.fixture
async def pool(core_settings: PostgresSettings) -> AsyncIterator[Pool]:
    """A pool of two."""
    driver = await asyncpg.create_pool(
        host=core_settings.host, port=core_settings.port, database=core_settings.database,
        user=core_settings.user, password=core_settings.password.reveal() or None, min_size=0,
        max_size=2,
    )  # fmt: skip
    pool = Pool(driver, 2)
    yield pool
    await pool.close()


async def pid(raw: asyncpg.Connection) -> int:
    found: int = await raw.fetchval("SELECT pg_backend_pid()")
    return found


async def test_the_last_one_used_is_lent_next(pool: Pool) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    pids = [await pid(one), await pid(two)]
    assert len(set(pids)) == 2
    await pool.release(one, as_it_was=True)
    await pool.release(two, as_it_was=True)
    again = await pool.acquire()
    assert await pid(again) == pids[1]
    await pool.release(again, as_it_was=True)


async def test_who_waits_is_served_in_order(pool: Pool) -> None:
    lent = [await pool.acquire(), await pool.acquire()]
    served: list[int] = []

    async def borrow(number: int) -> None:
        raw = await pool.acquire()
        served.append(number)
        await pool.release(raw, as_it_was=bool(number % 2))

    tasks = []
    for number in range(6):
        tasks.append(asyncio.create_task(borrow(number)))
        await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.sleep(0)
    await pool.release(lent[0], as_it_was=True)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == [0, 1, 3, 4, 5]
    await pool.release(lent[1], as_it_was=True)


async def test_what_comes_as_nobody_waits_any_more_goes_to_the_next(pool: Pool) -> None:
    lent = [await pool.acquire(), await pool.acquire()]
    gone, next_ = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    await pool.release(lent[0], as_it_was=True)
    gone.cancel()  # in the very turn in which it was served
    assert await next_ is lent[0]
    for raw in lent:
        await pool.release(raw, as_it_was=True)


async def test_one_that_the_server_ended_is_not_lent_again(pool: Pool) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    ended = await pid(one)
    await pool.release(one, as_it_was=True)
    await two.execute("SELECT pg_terminate_backend($1)", ended)
    await until(lambda: not is_open(one))
    other = await pool.acquire()
    assert await pid(other) not in {ended, await pid(two)}
    for raw in (other, two):
        await pool.release(raw, as_it_was=True)


async def test_what_is_left_on_one_is_gone_when_it_is_lent_again(pool: Pool) -> None:
    raw = await pool.acquire()
    await raw.execute("SET work_mem = '77MB'; SELECT pg_advisory_lock(7)")
    await pool.release(raw, as_it_was=False)
    raw = await pool.acquire()
    assert await raw.fetchval("SHOW work_mem") != "77MB"
    assert await raw.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await pool.release(raw, as_it_was=True)


async def test_a_place_is_not_lost_with_a_server_that_does_not_answer() -> None:
    driver = await asyncpg.create_pool(host="127.0.0.1", port=free_port(), min_size=0, max_size=2)
    pool = Pool(driver, 2)
    for _ in range(5):  # else the third would wait for a place, and say so
        with pytest.raises(Unavailable, match="no connection to the server"):
            await pool.acquire()
    await pool.close()
