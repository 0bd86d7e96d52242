"""What the service `alerts` keeps of an account: its rules, and what they told."""

from collections.abc import AsyncIterator

from hub import Counts, Database, Erased, Exported, OfAccount, Queries, export_rows
from services.alerts.rules import Alerts


class AccountOfAlerts:
    """An account's alert rules, and their history."""

    def __init__(self, database: Database, alerts: Alerts) -> None:
        self._database = database
        self._alerts = alerts
        self._sql = Queries.load("services.alerts")

    async def count(self, request: OfAccount) -> Counts:
        """Count rules."""
        async with self._database.transaction(account=request.account) as tx:
            found = await tx.one(self._sql["count"], int, account=request.account)
        return Counts({"alert_rules": found})

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the rules, and what they told."""
        for file, query in (("alert-rules", "export"), ("alerts", "export_events")):
            async for page in export_rows(
                self._database, self._sql[query], account=request.account, file=file
            ):
                yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Delete them."""
        gone = await self._alerts.delete_all(request.account)
        return Erased({"alert_rules": gone} if gone else {})
