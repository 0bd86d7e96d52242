"""What plugins keep of accounts: counted, exported, and erased when an account ends.

Whoever keeps anything says so (`isaax_account_data`) and answers three contracts under its name.
The service `accounts` asks one after the other, and comes again until each has nothing left.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, Protocol

import msgspec

from hub.contracts import Contract, Endpoint, StreamEndpoint
from hub.database import Database
from hub.sql.queries import Queries, Query

_PATIENCE: Final = 25.0  # seconds that one erasure may take; what is left, the next one does
_AT_ONCE: Final = 4
_PAGE: Final = 500


class OfAccount(msgspec.Struct, frozen=True):
    """Ask about one account.

    Args:
        projects, integrations: ids of those that it has, or had when its end began: for who
            knows no accounts.
    """

    account: str
    projects: list[str]
    integrations: list[str]


class Counts(msgspec.Struct, frozen=True):
    """How many things there are, by what they are called: `{"devices": 3}`."""

    items: dict[str, int]


class Exported(msgspec.Struct, frozen=True):
    """Some of what an account has, for its owner to take along: no secrets.

    Args:
        file: which it belongs into, without an ending: `devices`.
        records: one line each.
    """

    file: str
    records: list[dict[str, Any]]


class Erased(msgspec.Struct, frozen=True):
    """What was erased.

    Args:
        removed: how many things, by what they are called.
        more: there is more than fitted into the time, or it still ends: ask again.
    """

    removed: dict[str, int]
    more: bool = False


@dataclass(frozen=True, slots=True)
class AccountData:
    """Says that a plugin keeps something of accounts.

    Args:
        name: that its contracts begin with, usually the service's.
        after: names of those that are erased before, where they are there.
    """

    name: str
    after: tuple[str, ...] = ()


class AccountKeeper(Protocol):
    """Answers for what one plugin keeps of accounts."""

    async def count(self, request: OfAccount, /) -> Counts:
        """Count what there is."""
        ...

    def export(self, request: OfAccount, /) -> AsyncIterator[Exported]:
        """Give all that is the account's own, in pages."""
        ...

    async def erase(self, request: OfAccount, /) -> Erased:
        """Erase it; asked again, or once more after a crash, it ends the same."""
        ...


def count_contract(name: str) -> Contract[OfAccount, Counts]:
    """Give the contract by which one counts."""
    return Contract(f"{name}.account.count", OfAccount, Counts)


def export_contract(name: str) -> Contract[OfAccount, Exported]:
    """Give the contract by which one exports, in a stream."""
    return Contract(f"{name}.account.export", OfAccount, Exported)


def erase_contract(name: str) -> Contract[OfAccount, Erased]:
    """Give the contract by which one erases."""
    return Contract(f"{name}.account.erase", OfAccount, Erased, timeout=_PATIENCE)


def account_endpoints(
    name: str, keeper: AccountKeeper
) -> list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]]:
    """Give what a service serves that declares `AccountData(name)`."""
    return [
        Endpoint(count_contract(name), keeper.count, concurrency=_AT_ONCE),
        StreamEndpoint(export_contract(name), keeper.export, concurrency=_AT_ONCE),
        Endpoint(erase_contract(name), keeper.erase, concurrency=_AT_ONCE),
    ]


class _Row(msgspec.Struct, frozen=True):
    record: dict[str, Any]


async def export_rows(
    database: Database, query: Query, *, account: str, file: str, system: bool = False
) -> AsyncIterator[Exported]:
    """Export what a query finds of an account, in pages; no transaction waits for the reader.

    Args:
        query: takes `account`, `offset` and `limit`, and gives one column of jsonb, `record`.
        system: it reads tables that are not the account's own.
    """
    offset = 0
    while True:
        opened = database.system() if system else database.transaction(account=account)
        async with opened as tx:
            rows = await tx.all(query, _Row, account=account, offset=offset, limit=_PAGE)
        if rows:
            yield Exported(file, [row.record for row in rows])
        if len(rows) < _PAGE:
            return
        offset += len(rows)


async def export_nothing(_: OfAccount) -> AsyncIterator[Exported]:
    """Export what has nothing that its owner could take along."""
    nothing: tuple[Exported, ...] = ()
    for page in nothing:
        yield page


def difference(before: Counts, after: Counts) -> dict[str, int]:
    """Say how many things went between two counts; what there was none of is left out."""
    gone = {name: number - after.items.get(name, 0) for name, number in before.items.items()}
    return {name: number for name, number in gone.items() if number}


class AccountRows:
    """Answers for rows of a plugin's own tables, by its queries.

    Args:
        queries: `count` gives one row; `export` as `export_rows` wants it.
        counted: that row.
        file: what the exported belongs into.
        erases: names of queries that delete all of an account's, in this order.
    """

    def __init__(
        self,
        database: Database,
        queries: Queries,
        counted: type[msgspec.Struct],
        *,
        file: str,
        erases: Sequence[str],
    ) -> None:
        self._database = database
        self._queries = queries
        self._counted = counted
        self._file = file
        self._erases = erases

    async def count(self, request: OfAccount) -> Counts:
        """Count them."""
        async with self._database.transaction(account=request.account) as tx:
            row = await tx.one(self._queries["count"], self._counted, account=request.account)
        return Counts(msgspec.structs.asdict(row))

    async def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give them."""
        query = self._queries["export"]
        async for page in export_rows(
            self._database, query, account=request.account, file=self._file
        ):
            yield page

    async def erase(self, request: OfAccount) -> Erased:
        """Forget them."""
        before = await self.count(request)
        async with self._database.transaction(account=request.account) as tx:
            for name in self._erases:
                await tx.run(self._queries[name], account=request.account)
        return Erased(difference(before, await self.count(request)))


def in_order(declared: Iterable[AccountData]) -> list[str]:
    """Give the names, each after those that it names.

    Raises:
        ValueError: they go in a circle.
    """
    data = {one.name: one for one in declared}
    graph = {name: {*one.after} & data.keys() for name, one in sorted(data.items())}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(f"erasures go in a circle: {' → '.join(error.args[1])}") from None
