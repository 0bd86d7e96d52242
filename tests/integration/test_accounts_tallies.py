"""Counting what one address and one network try: by many at once, and none waits for another."""

import asyncio
import secrets

from hub.routes import Client
from hub.vault import Vault
from services.accounts.identity.tallies import WINDOW, Tallies, Tried
from services.accounts.settings import AccountsSettings
from tests.deadline import until
from tests.fixtures.lobby import Lobby

OFTEN = AccountsSettings(tries_per_address=100_000, tries_per_network=100_000)


def test_giving_back_goes_the_way_that_counting_went(lobby: Lobby) -> None:
    """Somebody who waits for the network's row holds no address: that one could be wanted there."""
    tallies = Tallies(OFTEN, Vault(secrets.token_bytes(32)))
    # The rows lie in the other order in the table, as they do once an old one was swept away.
    network, address = secrets.token_bytes(32), secrets.token_bytes(32)

    async def work() -> None:
        for key in (address, network):
            async with lobby.database.system() as tx:
                await tallies.take(tx, key, 10, WINDOW)

        async def give_back() -> None:
            async with lobby.database.system() as tx:
                await tallies.give_back(tx, Tried((network, address)))

        async def somebody_waits() -> bool:
            async with lobby.database.system() as tx:
                return bool(await tx.raw.fetch("SELECT FROM pg_locks WHERE NOT granted"))

        async with lobby.database.system() as tx:
            await tallies.take(tx, network, 10, WINDOW)
            other = asyncio.create_task(give_back())
            await until(somebody_waits, what="the other to wait for the network")
            await tallies.take(tx, address, 10, WINDOW)
        await other

    lobby.run(work())


def test_many_at_once_of_one_network_are_all_counted(lobby: Lobby) -> None:
    tallies = Tallies(OFTEN, Vault(secrets.token_bytes(32)))
    clients = [Client(f"192.0.2.{number}") for number in range(8)]

    async def come_and_go(client: Client) -> None:
        for _ in range(15):
            async with lobby.database.system() as tx:
                tried = await tallies.try_from(tx, client)
            async with lobby.database.system() as tx:
                await tallies.give_back(tx, tried)

    async def work() -> list[int]:
        first: list[Tried] = []
        for client in reversed(clients):
            async with lobby.database.system() as tx:
                first.append(await tallies.try_from(tx, client))
        await asyncio.gather(*(come_and_go(client) for client in clients for _ in range(4)))
        keys = sorted({key for tried in first for key in tried.keys})
        async with lobby.database.system() as tx:
            rows = await tx.raw.fetch("SELECT used FROM accounts_tally WHERE key = ANY ($1)", keys)
        return sorted(row["used"] for row in rows)

    assert lobby.run(work()) == [1] * len(clients) + [len(clients)]
