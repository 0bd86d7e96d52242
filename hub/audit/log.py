"""The face of the audit log: what services tell it, in the transaction of what they do."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from hub.audit import erasure
from hub.audit.deeds import Deed, write
from hub.audit.journal import Journal
from hub.audit.refusals import Refusals
from hub.audit.sealer import Sealer
from hub.database import Connection, Database, Queries
from hub.telemetry import Metrics

_TELL = Queries.load("hub.audit")["tell"]


class Audit:
    """Records what was done.

    What is asked for over HTTP the gateway records by itself. A service tells of what comes any
    other way, and so does a command, which makes an `Audit()` of its own.

    Args:
        sealable: set when there is something new.
        refusals: counts attempts; a command has none.
    """

    def __init__(
        self, sealable: asyncio.Event | None = None, refusals: Refusals | None = None
    ) -> None:
        self._sealable = sealable or asyncio.Event()
        self._refusals = refusals
        self.sealed = asyncio.Event()
        """Set when this process has chained something; whoever waits for it clears it."""

    async def record(self, tx: Connection, deed: Deed) -> None:
        """Record what this very transaction does: both stand, or neither.

        Args:
            tx: of the account in whose log it is, or of the hub itself.
        """
        await tx.run(_TELL, **msgspec.structs.asdict(write(deed)))
        tx.after_commit(self._sealable.set)

    def refused(self, deed: Deed) -> None:
        """Record an attempt that was refused, soon: the first of a kind; others are counted.

        Args:
            deed: of the outcome `refused`. A kind is the account, the actor, the client's
                address, the action and the code.
        """
        if self._refusals is None:
            raise TypeError("a command refuses nothing")
        self._refusals.add(deed)

    async def erase_account(self, tx: Connection, account: str) -> None:
        """Take every personal value out of an account's log, now and from now on.

        The chain stays valid: what happened, when and by which ids stays; where requests came
        from and what things looked like goes. It may be done again, and does nothing then.

        Args:
            tx: of the hub itself (`Database.system`).
        """
        await erasure.erase_account(tx, account)
        tx.after_commit(self._sealable.set)

    async def erase_person(
        self, tx: Connection, user: str, *, mentions: Sequence[str] = ()
    ) -> None:
        """Take the values of one person out of every log; the chains stay valid.

        What goes is where the person's requests came from, and what was shown of things that are
        about the person or mention it.

        Args:
            tx: of the hub itself (`Database.system`).
            user: id of the person; it stays, and is nobody's then.
            mentions: what else tells of the person, such as the e-mail address.
        """
        await erasure.erase_person(tx, user, mentions)
        tx.after_commit(self._sealable.set)


class Recorder(Audit):
    """An `Audit` that also has the gateway's ways in, and the sealer beside it."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        sealable = asyncio.Event()
        self.journal = Journal(database, sealable, metrics)
        self.refusals = Refusals(self.journal.note)
        super().__init__(sealable, self.refusals)
        self._sealer = Sealer(database, sealable, self.sealed, metrics)

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, metrics: Metrics) -> AsyncIterator["Recorder"]:
        """Record, and seal where no other process does, for as long as the context is open."""
        one = cls(database, metrics)
        async with one._sealer.run(), one.journal.run(), one.refusals.run():
            yield one
