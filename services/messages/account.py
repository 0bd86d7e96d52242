"""What the service `messages` keeps of an account: its integrations."""

from collections.abc import AsyncIterator

from hub import Counts, Database, Erased, Exported, OfAccount, Queries, export_rows
from services.messages.rules import Messages


class AccountOfMessages:
    """An account's integrations."""

    def __init__(self, database: Database, messages: Messages) -> None:
        self._database = database
        self._messages = messages
        self._sql = Queries.load("services.messages")

    async def count(self, request: OfAccount) -> Counts:
        """Count integrations."""
        async with self._database.transaction(account=request.account) as tx:
            found = await tx.one(self._sql["count"], int, account=request.account)
        return Counts({"integrations": found})

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the integrations, their secrets masked."""
        query = self._sql["export"]
        async for page in export_rows(
            self._database, query, account=request.account, file="integrations"
        ):
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Delete the integrations as one deletes an integration, so that the relay hears of it."""
        gone = await self._messages.delete_all(request.account)
        return Erased({"integrations": gone} if gone else {})
