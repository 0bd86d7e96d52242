"""What the service `accounts` itself keeps of an account; it goes last, with the account."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from hub import Counts, Database, Exported, OfAccount, Queries, export_rows

SQL: Final = Queries.load("services.accounts.deletion")


class _Counted(msgspec.Struct, frozen=True):
    members: int
    api_tokens: int


class OwnData:
    """An account itself, its members and API tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, request: OfAccount) -> Counts:
        """Count members and tokens."""
        async with self._database.system() as tx:
            counted = await tx.one(SQL["count"], _Counted, account=request.account)
        return Counts(msgspec.structs.asdict(counted))

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give the account, its members, and its tokens without themselves."""
        for file in ("account", "members", "api_tokens"):
            query = SQL[f"export_{file}"]
            async for page in export_rows(
                self._database, query, account=request.account, file=file, system=True
            ):
                yield page
