"""What the service `telemetry` keeps of an account: what its devices measured."""

from collections.abc import AsyncIterator

from hub import Counts, Database, Erased, Exported, OfAccount, Queries, export_rows
from services.telemetry.deleting import Deletion


class AccountOfTelemetry:
    """An account's series, with all that is kept of them."""

    def __init__(self, database: Database, deletion: Deletion) -> None:
        self._database = database
        self._deletion = deletion
        self._sql = Queries.load("services.telemetry")

    async def count(self, request: OfAccount) -> Counts:
        """Count series."""
        async with self._database.transaction(account=request.account) as tx:
            found = await tx.one(self._sql["count"], int, account=request.account)
        return Counts({"metric_series": found})

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give what was measured, by the hour."""
        async for page in export_rows(
            self._database, self._sql["export"], account=request.account, file="metrics"
        ):
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Delete all of it; what is still on its way is not kept any more."""
        ids = [request.account, *request.projects]
        gone = await self._deletion.delete(request.account, ids)
        return Erased({"metric_series": gone} if gone else {})
