"""Exports: what an account has, for its owner to take along. Nothing is kept but that it may be."""

from collections.abc import AsyncIterator
from typing import Final

from hub import Database, Exported, NotFound
from hub.ids import new
from services.accounts.deletion import contracts as c
from services.accounts.deletion.keepers import Keepers
from services.accounts.deletion.own import SQL

LIFETIME: Final = 7 * 86_400.0
"""Seconds for which an export may be fetched."""


class Exports:
    """The rules of exports."""

    def __init__(self, database: Database, keepers: Keepers) -> None:
        self._database = database
        self._keepers = keepers

    async def create(self, request: c.CreateExport) -> c.Export:
        """Let everything be fetched for a while."""
        async with self._database.transaction(account=request.account) as tx:
            return await tx.one(
                SQL["add_export"],
                c.Export,
                id=new("exp"),
                account=request.account,
                by=request.by,
                seconds=LIFETIME,
            )

    async def get(self, request: c.OneExport) -> c.Export:
        """Give one export.

        Raises:
            NotFound: there is none, or it has expired.
        """
        async with self._database.transaction(account=request.account) as tx:
            found = await tx.maybe(
                SQL["get_export"], c.Export, account=request.account, export=request.export
            )
        if found is None:
            raise NotFound("no such export, or it has expired: make another one")
        return found

    async def read(self, request: c.OneExport) -> AsyncIterator[Exported]:
        """Give all that there is at this moment, page by page."""
        await self.get(request)
        subject = await self._keepers.of(request.account)
        async for page in self._keepers.export(subject):
            yield page
