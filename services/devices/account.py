"""What the service `devices` keeps of an account."""

from collections.abc import AsyncIterator

from hub import Counts, Database, Erased, Exported, OfAccount, Queries, export_rows


class AccountOfDevices:
    """An account's devices; `auth` cuts them off."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.devices")

    async def count(self, request: OfAccount) -> Counts:
        """Count devices."""
        async with self._database.transaction(account=request.account) as tx:
            return Counts(
                {"devices": await tx.one(self._sql["count"], int, account=request.account)}
            )

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the devices."""
        query = self._sql["export"]
        async for page in export_rows(
            self._database, query, account=request.account, file="devices"
        ):
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Forget the devices."""
        async with self._database.transaction(account=request.account) as tx:
            gone = await tx.run(self._sql["delete_account"], account=request.account)
        return Erased({"devices": gone} if gone else {})
