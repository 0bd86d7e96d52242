"""What the service `scripts` keeps of an account."""

from collections.abc import AsyncIterator

import msgspec

from hub import Counts, Database, Erased, Exported, OfAccount, difference, export_rows
from services.scripts.rules import SQL


class _Counted(msgspec.Struct, frozen=True):
    script_versions: int
    script_statuses: int
    script_results: int


class AccountOfScripts:
    """The scripts of an account's projects, and how far its devices are with them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, request: OfAccount) -> Counts:
        """Count versions, devices and results."""
        async with self._database.transaction(account=request.account) as tx:
            counted = await tx.one(SQL["count"], _Counted, account=request.account)
        return Counts(msgspec.structs.asdict(counted))

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the scripts, in all versions."""
        async for page in export_rows(
            self._database, SQL["export"], account=request.account, file="scripts"
        ):
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Forget them."""
        before = await self.count(request)
        async with self._database.transaction(account=request.account) as tx:
            await tx.run(SQL["erase_projects"], account=request.account)
            await tx.run(SQL["erase_devices"], account=request.account)
        return Erased(difference(before, await self.count(request)))
