"""kill -9 of a whole hub that erases an account, again and again: the next one ends it."""

import os
import random

import pytest

from hub.account_data import OfAccount
from hub.database import Database
from hub.leftovers import Leftovers
from hub.messaging.nats_transport import connect
from tests.fixtures.ending import Ending, ending, wait
from tests.fixtures.parts import run_now
from tests.fixtures.spine import running_spine

# More of them, for an evening: ISAAX_FAULT_SEEDS=4,5,6 ./isaax test -- -k account_erasure_kills
SEEDS = [int(seed) for seed in os.environ.get("ISAAX_FAULT_SEEDS", "1,2").split(",")]
KILLS = 3
KEEPERS = 8


def leftovers_of(one: Ending) -> dict[str, int]:
    """Ask the hub's own account of what is left."""
    found: dict[str, int] = {}

    async def ask() -> None:
        embedded = one.spine.embedded
        async with (
            Database.open(embedded.postgres.settings) as database,
            connect(embedded.nats.settings) as client,
        ):
            kept = Leftovers(database, client)
            ids = sorted(one.ids - {one.account})
            found.update((await kept.count(OfAccount(one.account, ids, []))).items)

    run_now(ask())
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_hub_that_is_killed_in_the_middle_leaves_nothing(seed: int) -> None:
    """As soon as so many of those who keep something have nothing left, whichever those are."""
    dice = random.Random(seed)
    with running_spine() as spine:
        one = ending(spine)
        assert one.close().status == 202

        async def is_sealed() -> bool:
            return not await one.rows("SELECT FROM audit_pending WHERE account = $1", one.account)

        wait(is_sealed, "that to be in the log: two weeks lie between it and the end")
        one.is_due()
        spine.kill_hub()
        kept = "SELECT done FROM accounts_deletion WHERE account = $1 AND begun_at IS NOT NULL"
        for goal in sorted(dice.sample(range(KEEPERS), KILLS)):

            async def has_come(goal: int = goal) -> bool:
                rows = await one.rows(kept, one.account)
                return await one.is_gone() or (bool(rows) and len(rows[0]["done"]) >= goal)

            spine.start_hub()
            wait(has_come, f"{goal} of those who keep something")
            spine.kill_hub()
        spine.start_hub()
        wait(one.is_gone, "the account to be gone")
        one.check_nothing_is_left()
        assert not any(leftovers_of(one).values())
        (report,) = one.sql("SELECT counted FROM accounts_erased")
        assert report["counted"]["projects"]["projects"] == 2
        for device in one.tenant.device.family:
            device.close()
