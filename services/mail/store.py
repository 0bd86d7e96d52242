"""The table of mails: leased by whoever sends, so that each is sent once however many hubs run."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from hub import Database, Mail, Postbox, Queries
from services.mail.contracts import State

MOST_KEPT: Final = 200
"""Mails that the local outbox holds; older ones go."""

_DAY: Final = 86_400.0
_KEPT_FOR: Final = 7 * _DAY
_SENT_FOR: Final = 1 * _DAY  # the row alone: the content is gone at once
_FAILED_FOR: Final = 7 * _DAY


class Leased(msgspec.Struct, frozen=True):
    """A mail that is ours to send, until its lease ends."""

    id: str
    account: str
    kind: str
    sealed: bytes
    lease: str
    attempts: int
    created_at: datetime


class Count(msgspec.Struct, frozen=True):
    """How many mails are in a state, and the age of the oldest in seconds."""

    state: State
    messages: int
    oldest: float


class Store:
    """What the sender reads and writes; its transactions see the mails of all accounts."""

    def __init__(self, database: Database, postbox: Postbox) -> None:
        self._database = database
        self._postbox = postbox
        self._sql = Queries.load("services.mail")

    async def claim(self, limit: int, seconds: float) -> Sequence[Leased]:
        """Lease mails that are due.

        Args:
            seconds: after which another may have them.
        """
        async with self._database.system() as tx:
            return await tx.all(
                self._sql["claim"], Leased, limit=limit, seconds=seconds, lease=str(uuid.uuid4())
            )

    async def renew(self, leased: Sequence[Leased], seconds: float) -> None:
        """Keep mails that are ours for so many seconds more."""
        async with self._database.system() as tx:
            await tx.run(
                self._sql["renew"],
                ids=[one.id for one in leased],
                leases=[one.lease for one in leased],
                seconds=seconds,
            )

    async def open(self, leased: Leased) -> Mail:
        """Read a mail.

        Raises:
            SealBroken: it does not open.
        """
        async with self._database.system() as tx:
            return await self._postbox.open(tx, leased.sealed, id=leased.id, account=leased.account)

    async def done(self, leased: Leased, state: State) -> None:
        """Note where a mail is; one that was sent loses its content."""
        async with self._database.system() as tx:
            await tx.run(self._sql["done"], id=leased.id, lease=leased.lease, state=state)

    async def failed(self, leased: Leased, reason: str, *, wait: float, final: bool) -> State:
        """Note that a mail did not go: it comes again, unless that is final or its time is over.

        Args:
            wait: seconds until it does.
        """
        async with self._database.system() as tx:
            state = await tx.maybe(
                self._sql["failed"],
                str,
                id=leased.id,
                lease=leased.lease,
                error=reason,
                wait=wait,
                final=final,
            )
        return "failed" if state == "failed" else "waiting"

    async def release(self, leased: Leased) -> None:
        """Give a mail back, to be sent by whoever comes first."""
        async with self._database.system() as tx:
            await tx.run(self._sql["release"], id=leased.id, lease=leased.lease)

    async def tidy(self) -> None:
        """Delete what nobody needs any more."""
        async with self._database.system() as tx:
            await tx.run(self._sql["bound_kept"], age=_KEPT_FOR, count=MOST_KEPT)
            await tx.run(self._sql["sweep"], sent=_SENT_FOR, failed=_FAILED_FOR)

    async def measure(self) -> Sequence[Count]:
        """Count the mails by state."""
        async with self._database.system() as tx:
            return await tx.all(self._sql["measure"], Count)
