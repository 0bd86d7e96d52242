"""What the service `devices` keeps of an account."""

from collections.abc import AsyncIterator

from hub import Counts, Database, Erased, Exported, OfAccount, Queries, export_rows


class AccountOfDevices:
    """An account's devices, and how much they sent; `auth` cuts them off."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.devices")
        self._usage = Queries.load("services.devices", "usage.sql")

    async def count(self, request: OfAccount) -> Counts:
        """Count devices and groups."""
        async with self._database.transaction(account=request.account) as tx:
            return Counts(
                {
                    "devices": await tx.one(self._sql["count"], int, account=request.account),
                    "groups": await tx.one(self._sql["count_groups"], int, account=request.account),
                }
            )

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the devices, their groups, and how much was sent."""
        queries = {
            "devices": self._sql["export"],
            "groups": self._sql["export_groups"],
            "data-usage": self._usage["export_projects"],
            "data-usage-of-devices": self._usage["export"],
        }
        for file, query in queries.items():
            async for page in export_rows(
                self._database, query, account=request.account, file=file
            ):
                yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Forget the devices, their groups, and how much was sent."""
        async with self._database.transaction(account=request.account) as tx:
            gone = {
                "devices": await tx.run(self._sql["delete_account"], account=request.account),
                "groups": await tx.run(self._sql["delete_account_groups"], account=request.account),
            }
            # After the devices: of one that is gone, nothing more is added up.
            await tx.run(self._usage["delete_account"], account=request.account)
        return Erased({name: count for name, count in gone.items() if count})
