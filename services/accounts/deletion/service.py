"""What the service `accounts` answers and does about the end of accounts."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from hub import AccountData, Audit, Bus, Database, Endpoint, Leftovers, Outbox, StreamEndpoint
from hub.account_data import in_order
from services.accounts.deletion import contracts as c
from services.accounts.deletion.closing import Closing
from services.accounts.deletion.exports import Exports
from services.accounts.deletion.keepers import Keepers
from services.accounts.deletion.looping import utc_now
from services.accounts.deletion.own import OwnData
from services.accounts.deletion.purge import Purge
from services.accounts.identity.letters import Letters
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.settings import AccountsSettings


class Ending:
    """The rules of the end of accounts, each where it is asked for; others use `closing`."""

    def __init__(
        self,
        settings: AccountsSettings,
        declared: Iterable[AccountData],
        database: Database,
        outbox: Outbox,
        bus: Bus,
        leftovers: Leftovers,
        audit: Audit,
        letters: Letters,
        reauthentication: Reauthentication,
    ) -> None:
        keepers = Keepers(bus, OwnData(database), in_order(declared))
        self.closing = Closing(
            database,
            outbox,
            reauthentication,
            letters,
            keepers,
            clock=utc_now,
            grace=float(settings.deletion_grace),
        )
        self._exports = Exports(database, keepers)
        self._purge = Purge(database, bus, keepers, leftovers, audit, self.closing.say_goodbye)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Erase what is due while the context is open."""
        async with asyncio.TaskGroup() as tasks:
            erasing = tasks.create_task(self._purge.run(), name="accounts erasure")
            try:
                yield
            finally:
                erasing.cancel()

    def endpoints(self) -> list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]]:
        """Give what is answered."""
        return [
            Endpoint(c.GET_DELETION, self.closing.get, concurrency=8),
            Endpoint(c.REQUEST_DELETION, self.closing.request, concurrency=8),
            Endpoint(c.UNDO_DELETION, self.closing.undo),
            Endpoint(c.LOOK_AT_UNDO, self.closing.look),
            Endpoint(c.UNDO_BY_LINK, self.closing.undo_by_link),
            Endpoint(c.CREATE_EXPORT, self._exports.create),
            Endpoint(c.GET_EXPORT, self._exports.get),
            StreamEndpoint(c.READ_EXPORT, self._exports.read, concurrency=8),
        ]
