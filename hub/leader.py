"""One of many: of all that stand for election on a database, one leads at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from hub.database import Connection, Database, Query
from hub.errors import Unavailable
from hub.messaging.events import Pace

_log = structlog.stdlib.get_logger(__name__)
_TRY: Final = Query.parse("try_lead", "SELECT pg_try_advisory_lock(:lock)")
_PACE: Final = Pace(first=0.25, limit=5.0)


async def stand(
    name: str,
    database: Database,
    lock: int,
    lead: Callable[[Connection], Awaitable[None]],
    *,
    election: float = 1.0,
) -> None:
    """Stand for election, and lead when elected, until cancelled.

    Args:
        name: of the office, for the log.
        lock: any number that nobody else locks.
        lead: works on the connection that holds the lock, until that is gone; whatever it raises
            is logged, and the election starts anew.
        election: seconds between the attempts to become leader.
    """
    failures = 0
    while True:
        try:
            async with database.session() as raw:
                tx = Connection(raw)
                while not await tx.one(_TRY, bool, lock=lock):
                    failures = 0
                    await asyncio.sleep(election)
                await lead(tx)
        except Unavailable as error:
            failures += 1
            _log.warning(f"{name} interrupted", reason=str(error))
        except Exception:  # noqa: BLE001 - whatever it was, the work must go on
            failures += 1
            _log.exception(f"{name} failed; starting again")
        await asyncio.sleep(_PACE.wait(failures))
