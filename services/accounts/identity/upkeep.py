"""Deletes what has expired: links, sessions, counters, and people who never verified an address."""

import asyncio
import random
from typing import Final

import structlog

from hub import Database, Queries, Unavailable
from services.accounts.settings import AccountsSettings

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("services.accounts.identity", "upkeep.sql")

PAUSE: Final = 3_600.0
"""Seconds between two looks, about: hubs that start at once do not go on looking at once."""


async def sweep(database: Database, settings: AccountsSettings) -> None:
    """Delete what has expired, of everybody."""
    times = {
        "lifetime": float(settings.session_lifetime),
        "idle": float(settings.session_idle),
    }
    async with database.system() as tx:
        for name in _SQL:
            await tx.run(_SQL[name], **(times if name == "sessions" else {}))


async def keep_swept(database: Database, settings: AccountsSettings) -> None:
    """Sweep now and then, until cancelled."""
    while True:
        try:
            await sweep(database, settings)
        except Unavailable as error:
            _log.warning("what has expired was not deleted", reason=str(error))
        await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))
