"""What the service `accounts` answers and does about the end of people."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub import Audit, Database, Endpoint, Leftovers
from services.accounts.deletion.closing import Closing
from services.accounts.deletion.looping import utc_now
from services.accounts.departure import contracts as c
from services.accounts.departure.departing import Departing
from services.accounts.departure.erasing import Erasing
from services.accounts.identity.letters import Letters
from services.accounts.identity.service import Identity
from services.accounts.settings import AccountsSettings


class Leaving:
    """The rules of the end of people, each where it is asked for."""

    def __init__(
        self,
        settings: AccountsSettings,
        database: Database,
        leftovers: Leftovers,
        audit: Audit,
        letters: Letters,
        closing: Closing,
        identity: Identity,
    ) -> None:
        self._departing = Departing(
            database,
            closing,
            identity.factors.keeping,
            identity.sessions,
            letters,
            clock=utc_now,
            grace=float(settings.deletion_grace),
        )
        self._erasing = Erasing(
            database, leftovers, audit, letters, identity.lockout, identity.devices,
            identity.reauthentication,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Erase who is due while the context is open."""
        async with asyncio.TaskGroup() as tasks:
            erasing = tasks.create_task(self._erasing.run(), name="people erasure")
            try:
                yield
            finally:
                erasing.cancel()

    def endpoints(self) -> list[Endpoint[Any, Any]]:
        """Give what is answered."""
        return [
            Endpoint(c.GET_DEPARTURE, self._departing.get),
            Endpoint(c.REQUEST_DEPARTURE, self._departing.request),
            Endpoint(c.UNDO_DEPARTURE, self._departing.undo),
            Endpoint(c.LOOK_AT_STAY, self._departing.look),
            Endpoint(c.STAY_BY_LINK, self._departing.undo_by_link),
        ]
