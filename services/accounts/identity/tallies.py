"""Limits by a window of time: what one address or network tries, and mails to one address."""

from dataclasses import dataclass
from typing import Final

from hub import Client, Connection, Queries, Vault, network_of
from services.accounts.identity.errors import TooManyAttempts
from services.accounts.identity.lockout import duration
from services.accounts.settings import AccountsSettings

WINDOW: Final = 900.0
"""Seconds in which tries of an address or network are counted."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Tries that were counted; see `Tallies.give_back`."""

    keys: tuple[bytes, ...] = ()


class Tallies:
    """Counts in Postgres, by keyed digests of whose tries they are."""

    def __init__(self, settings: AccountsSettings, vault: Vault) -> None:
        self._settings = settings
        self._vault = vault
        self._sql = Queries.load("services.accounts.identity", "limits.sql")

    async def try_from(self, tx: Connection, client: Client) -> Tried:
        """Count a try of whoever asks.

        The widest is counted first, so that no two transactions wait for each other.

        Raises:
            TooManyAttempts: there were too many.
        """
        limits = (
            ("network", network_of(client.address), self._settings.tries_per_network),
            ("address", client.address, self._settings.tries_per_address),
        )
        taken: list[bytes] = []
        for what, whose, most in limits:
            if not most:
                continue
            key = self._vault.keyed(what, whose)
            if not await self.take(tx, key, most, WINDOW):
                wait = await tx.one(self._sql["wait_of_tally"], float, key=key)
                raise TooManyAttempts(
                    f"too many from your {what}: try again in {duration(wait)}", retry_after=wait
                )
            taken.append(key)
        return Tried(tuple(taken))

    async def give_back(self, tx: Connection, tried: Tried) -> None:
        """Take back a try that turned out to be a good one, in the order that it was counted in."""
        for key in tried.keys:
            await tx.run(self._sql["give_back"], key=key)

    async def take(self, tx: Connection, key: bytes, most: int, seconds: float) -> bool:
        """Count one more in the present window, if that has room."""
        taken = await tx.all(self._sql["take_tally"], int, key=key, most=most, seconds=seconds)
        return bool(taken)
