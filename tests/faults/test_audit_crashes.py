"""The sealer's promise under crashes: every deed is chained once, in order, and none is lost."""

import asyncio
import random

import pytest

from hub.audit.log import Audit
from hub.audit.sealer import Sealer
from hub.database import Database
from hub.telemetry import Metrics
from tests.deadline import until
from tests.fixtures.audit import Log
from tests.fixtures.crashes import CrashingDatabase, CrashPoint

ACCOUNTS = 3


def sealer_on(database: Database) -> Sealer:
    return Sealer(database, asyncio.Event(), asyncio.Event(), Metrics(), election=0.02)


@pytest.mark.parametrize("first_seed", range(0, 120, 40))
async def test_a_sealer_that_crashes_at_every_step(
    core_database: Database, first_seed: int
) -> None:
    """Before and after each statement that it sends, its begin and its commit among them."""
    logs = [Log(core_database, f"acc_crash{first_seed}_{number}") for number in range(ACCOUNTS)]
    told = [0] * ACCOUNTS
    crashes = 0
    for seed in range(first_seed, first_seed + 40):
        dice = random.Random(seed)
        for _ in range(dice.randint(1, 6)):
            which = dice.randrange(ACCOUNTS)
            async with core_database.transaction(account=logs[which].account) as tx:
                deed = logs[which].deed(object={"n": str(told[which])}, after={"n": told[which]})
                await Audit().record(tx, deed)
            told[which] += 1
        crashes += await seal_until_it_crashes(core_database, seed, logs)
    async with sealer_on(core_database).run():
        for log, count in zip(logs, told, strict=True):
            entries = await log.until(count)
            assert [entry.seq for entry in entries] == [*range(1, count + 1)]
            assert [entry.object["n"] for entry in entries] == [str(n) for n in range(count)]
            assert [entry.after for entry in entries] == [{"n": n} for n in range(count)]
            assert (await log.verify()).fault == ""
    assert crashes > 20, "the crash points were reached"


async def seal_until_it_crashes(database: Database, seed: int, logs: list[Log]) -> bool:
    point = CrashPoint(seed, steps=12)

    async def over() -> bool:
        return point.reached or not any([await log.pending() for log in logs])

    async with sealer_on(CrashingDatabase(database, point)).run():
        await until(over)
    return point.reached
