"""What the service `commands` keeps of an account."""

from collections.abc import AsyncIterator

import msgspec

from hub import Counts, Database, Erased, Exported, OfAccount, Queries, difference, export_rows


class _Counted(msgspec.Struct, frozen=True):
    commands: int
    command_results: int


class AccountOfCommands:
    """An account's commands, and what became of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.commands")

    async def count(self, request: OfAccount) -> Counts:
        """Count commands and results."""
        async with self._database.transaction(account=request.account) as tx:
            counted = await tx.one(self._sql["count"], _Counted, account=request.account)
        return Counts(msgspec.structs.asdict(counted))

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the commands, without what they wrote."""
        query = self._sql["export"]
        async for page in export_rows(
            self._database, query, account=request.account, file="commands"
        ):
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Forget them."""
        before = await self.count(request)
        async with self._database.transaction(account=request.account) as tx:
            await tx.run(self._sql["erase"], account=request.account)
        return Erased(difference(before, await self.count(request)))
