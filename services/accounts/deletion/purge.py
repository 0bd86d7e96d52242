"""Erasing accounts whose time has come: one step for each who keeps something, until nobody does.

What has been done is written down after each step, and every step may be done again: however often
a hub is killed meanwhile, the next one ends the same.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import msgspec
import structlog

from hub import (
    HUB,
    Audit,
    Bus,
    Connection,
    Database,
    Deed,
    IsaaxError,
    Leftovers,
    OfAccount,
)
from hub.account_data import erase_contract
from hub.ids import new
from services.accounts.deletion.keepers import Keepers
from services.accounts.deletion.looping import AGAIN, EVERY, PAUSE, keep_at, utc_now
from services.accounts.deletion.own import SQL

Farewell = Callable[[Connection, str], Awaitable[None]]

_log = structlog.stdlib.get_logger(__name__)

LEASE: Final = 10.0
"""Seconds after which a hub that has not said that it goes on is taken for dead.

One that is only slow loses nothing by it but its turn: every step may be done again.
"""
_CORE: Final = "core"


class Job(msgspec.Struct, frozen=True):
    """An account that is to be erased, and how far that is.

    Args:
        begun: it cannot be undone any more; `projects` and `integrations` are what it had then.
        done: who has nothing left of it.
        attempts: that have failed since somebody last had nothing left.
    """

    account: str
    requested_at: datetime
    begun: bool
    projects: list[str]
    integrations: list[str]
    done: list[str]
    attempts: int

    @property
    def subject(self) -> OfAccount:
        """What everybody is asked about."""
        return OfAccount(self.account, self.projects, self.integrations)


class Purge:
    """Erases what is due.

    Args:
        leftovers: what the core itself keeps.
        audit: keeps what it must, and nothing that tells of a person.
        farewell: says goodbye in the transaction that ends it all.
        clock: tells when an account's time has come.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        keepers: Keepers,
        leftovers: Leftovers,
        audit: Audit,
        farewell: Farewell,
        *,
        clock: Callable[[], datetime] = utc_now,
        every: float = EVERY,
        lease: float = LEASE,
    ) -> None:
        self._database = database
        self._bus = bus
        self._keepers = keepers
        self._leftovers = leftovers
        self._audit = audit
        self._farewell = farewell
        self._clock = clock
        self._every = every
        self._seconds = lease
        self._lease = str(uuid.uuid4())

    async def run(self) -> None:
        """Erase what is due, until cancelled."""
        await keep_at(self.once, self._due_in, self._every)

    async def once(self) -> bool:
        """Erase the account that is due the longest, as far as it goes; False: none is.

        Raises:
            Unavailable: Postgres does not answer.
        """
        async with self._database.system() as tx:
            job = await tx.maybe(
                SQL["claim"], Job, now=self._clock(), lease=self._lease, seconds=self._seconds
            )
        if job is None:
            return False
        try:
            async with self._renewing(job.account):
                await self._erase(job)
        except IsaaxError as error:
            await self._put_off(job, error)
        except Exception:  # noqa: BLE001 - the hub goes on with everything else
            _log.exception("an erasure failed", account=job.account)
            await self._put_off(job, IsaaxError("the hub's log has it"))
        return True

    async def _due_in(self) -> float:
        async with self._database.system() as tx:
            return await tx.one(SQL["wait"], float, now=self._clock(), most=self._every)

    async def _erase(self, job: Job) -> None:
        job = job if job.begun else await self._begin(job)
        done = set(job.done)
        for name in self._keepers.names:
            if name not in done:
                await self._erase_of(name, job)
        if _CORE not in done:
            await self._erase_core(job)
        if left := await self._left(job):
            _log.warning("not all is erased yet", account=job.account, left=left)
            async with self._database.system() as tx:
                await self._run(tx, "not_done", job.account, owners=sorted(left))
            return
        await self._end(job)
        _log.info("an account is erased", account=job.account)

    async def _begin(self, job: Job) -> Job:
        """Write down what there is; from here on it cannot be undone."""
        subject = await self._keepers.of(job.account)
        counted = await self._keepers.count(subject)
        async with self._database.system() as tx:
            await self._run(
                tx, "begin", job.account,
                now=self._clock(), projects=subject.projects, integrations=subject.integrations,
                counted=counted,
            )  # fmt: skip
        return msgspec.structs.replace(
            job, begun=True, projects=subject.projects, integrations=subject.integrations
        )

    async def _erase_of(self, name: str, job: Job) -> None:
        """Have one who keeps something erase it, until nothing is left."""
        contract, rounds = erase_contract(name), 0
        while (await self._bus.request(contract, job.subject)).more:
            rounds += 1
            await asyncio.sleep(PAUSE.wait(rounds))
        await self._note("note_done", job.account, owner=name)

    async def _erase_core(self, job: Job) -> None:
        rounds = 0
        while (await self._leftovers.erase(job.subject)).more:
            rounds += 1
            await asyncio.sleep(PAUSE.wait(rounds))
        await self._note("note_done", job.account, owner=_CORE)

    async def _left(self, job: Job) -> set[str]:
        """Name those who have something again: it came while others were asked."""
        counted = await self._keepers.count(job.subject)
        found = {name: counted[name] for name in self._keepers.names}
        found[_CORE] = (await self._leftovers.count(job.subject)).items
        left = {name for name, counts in found.items() if any(counts.values())}
        # Whoever erases anything says so, in events that the core then has.
        return left | {_CORE} if left else left

    async def _end(self, job: Job) -> None:
        async with self._database.system() as tx:
            report = new("era")
            await self._run(tx, "report", job.account, id=report, now=self._clock())
            await self._farewell(tx, job.account)
            # The log of an account stays, without whatever could tell of a person.
            await self._audit.erase_account(tx, job.account)
            await self._audit.record(tx, _erased(report))
            await tx.run(SQL["delete_account"], account=job.account)

    async def _note(self, query: str, account: str, **values: object) -> None:
        async with self._database.system() as tx:
            await self._run(tx, query, account, seconds=self._seconds, **values)

    async def _run(self, tx: Connection, query: str, account: str, **values: object) -> None:
        """Write something down, while the lease is ours.

        Raises:
            LeaseLost: it is not.
        """
        if not await tx.run(SQL[query], account=account, lease=self._lease, **values):
            raise LeaseLost("another hub goes on with it")

    async def _put_off(self, job: Job, error: IsaaxError) -> None:
        """Come again later; who stands in the way is shown to the owners."""
        wait = AGAIN.wait(job.attempts + 1)
        _log.warning("an erasure goes on later", account=job.account, error=str(error), wait=wait)
        async with self._database.system() as tx:
            await tx.run(
                SQL["put_off"],
                account=job.account,
                lease=self._lease,
                seconds=wait,
                error=str(error),
            )

    @asynccontextmanager
    async def _renewing(self, account: str) -> AsyncIterator[None]:
        """Keep the lease while the block runs."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._seconds / 4)
                with suppress(IsaaxError):
                    await self._note("renew", account)

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _erased(report: str) -> Deed:
    """Say in the hub's own log that an account was erased, and where the report is."""
    return Deed(
        action="account.erased",
        summary="An account was erased",
        account=HUB,
        object={"report": report},
    )


class LeaseLost(IsaaxError):  # noqa: N818 - says what happened
    """Another hub has taken over what this one was doing."""

    code = "lease-lost"
