"""Attempts to log in: each that fails makes the next one wait longer, and the tenth locks.

An address is counted by a keyed digest, whether it has an account or not, so that nothing here
tells one from the other. The counters are in Postgres, where many hubs count as one.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from hub import Connection, IsaaxError, Queries, Vault
from services.accounts.identity.errors import Locked, TooManyAttempts, WrongCredentials

STEPS: Final = ((5, 30.0), (8, 300.0), (10, 3600.0))
"""From so many failures on, seconds until the next attempt; the last is a lock."""
MOST: Final = STEPS[-1][0]
"""Failures that lock."""


class Attempt(msgspec.Struct, frozen=True):
    """One attempt, counted as a failure until it is known to be none.

    Args:
        failures: with this one, where it was taken.
        until: no further one is checked before.
        wait: seconds until then.
        taken: it may be checked.
    """

    failures: int
    until: datetime
    wait: float
    taken: bool

    @property
    def left(self) -> int:
        """How many more may fail before the lock."""
        return MOST - self.failures

    @property
    def locks(self) -> bool:
        """Nothing is left."""
        return self.left <= 0

    def refusal(self) -> IsaaxError:
        """Say why it is not checked."""
        if self.locks:
            return self._locked()
        return TooManyAttempts(self.outlook, retry_after=self.wait)

    def failure(self) -> IsaaxError:
        """Say that it failed, and what is left."""
        if self.locks:
            return self._locked()
        return WrongCredentials(self.outlook, retry_after=self.wait)

    @property
    def outlook(self) -> str:
        """Say what is left."""
        left = f"{_count(self.left, 'attempt')} left"
        return f"{left}, the next one in {duration(self.wait)}" if self.wait else left

    def _locked(self) -> Locked:
        # The whole minute after it: nobody comes back too early.
        until = (self.until + timedelta(seconds=59)).astimezone(UTC).strftime("%H:%M")
        return Locked(
            f"locked until {until} (UTC); if this address has an account, "
            "we mailed how to unlock it",
            retry_after=self.wait,
        )


class Lockout:
    """Counts attempts by key."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._sql = Queries.load("services.accounts.identity", "limits.sql")

    def key_of(self, email: str) -> bytes:
        """Give what attempts at an address are counted by."""
        return self._vault.keyed("attempts at an address", email)

    async def take(self, tx: Connection, key: bytes) -> Attempt:
        """Count an attempt, unless it comes too early."""
        steps, waits = zip(*STEPS, strict=True)
        attempt = await tx.maybe(
            self._sql["take_attempt"],
            Attempt,
            key=key,
            steps=list(steps),
            waits=list(waits),
            last=MOST,
        )
        if attempt is None:
            return await tx.one(self._sql["get_attempt"], Attempt, key=key)
        return attempt

    async def give_back(self, tx: Connection, key: bytes, attempt: Attempt) -> None:
        """Count this attempt no more, but those before it: another step is still to come."""
        await tx.run(self._sql["give_back_attempt"], key=key, until=attempt.until)

    async def clear(self, tx: Connection, *keys: bytes) -> None:
        """Begin anew: the password was right, or somebody reads the mails of the address."""
        await tx.run(self._sql["clear_attempts"], keys=list(keys))


def duration(seconds: float) -> str:
    """Say a time to wait in words."""
    if seconds <= 90:
        return _count(math.ceil(seconds), "second")
    return _count(math.ceil(seconds / 60), "minute")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
