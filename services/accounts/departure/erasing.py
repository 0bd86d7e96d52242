"""Erasing people whose time has come: the person at once, then all that still tells of them.

Every step may be done again: however often a hub is killed meanwhile, and however many are at it,
it ends the same.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from hub import HUB, Audit, Conflict, Connection, Database, Deed, IsaaxError, Leftovers, Pace
from hub.ids import new
from services.accounts.deletion.looping import AGAIN, EVERY, PAUSE, keep_at, utc_now
from services.accounts.departure import contracts as c
from services.accounts.departure.departing import SQL
from services.accounts.identity.deeds import ERASED, Deeds
from services.accounts.identity.devices import Devices
from services.accounts.identity.letters import Letters
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.people import People, Person
from services.accounts.identity.reauthentication import Reauthentication

_log = structlog.stdlib.get_logger(__name__)


class Job(msgspec.Struct, frozen=True):
    """A person who is to be erased, and how far that is.

    Args:
        gone: the person is; what tells of them may not be yet.
        credentials: ids that they were known by then.
    """

    user: str
    gone: bool
    credentials: list[str]
    attempts: int


class Erasing:
    """Erases who is due.

    Args:
        leftovers: what the core itself keeps.
        audit: keeps what was done by the person's id alone.
        clock: tells when a person's time has come.
    """

    def __init__(
        self,
        database: Database,
        leftovers: Leftovers,
        audit: Audit,
        letters: Letters,
        lockout: Lockout,
        devices: Devices,
        reauthentication: Reauthentication,
        *,
        clock: Callable[[], datetime] = utc_now,
        every: float = EVERY,
        again: Pace = AGAIN,
    ) -> None:
        self._database = database
        self._leftovers = leftovers
        self._audit = audit
        self._letters = letters
        self._lockout = lockout
        self._devices = devices
        self._reauthentication = reauthentication
        self._clock = clock
        self._every = every
        self._again = again
        self._people = People()
        self._deeds = Deeds()

    async def run(self) -> None:
        """Erase who is due, until cancelled."""
        await keep_at(self.once, self._wait, self._every)

    async def once(self) -> bool:
        """Erase who is due the longest, as far as it goes; False: nobody is.

        Raises:
            Unavailable: Postgres does not answer.
        """
        async with self._database.system() as tx:
            job = await tx.maybe(SQL["due"], Job, now=self._clock())
        if job is None:
            return False
        try:
            await self._erase(job)
        except IsaaxError as error:
            await self._put_off(job, error)
        except Exception:  # noqa: BLE001 - the hub goes on with everybody else
            _log.exception("the erasure of a person failed", user=job.user)
            await self._put_off(job, IsaaxError("the hub's log has it"))
        return True

    async def _wait(self) -> float:
        async with self._database.system() as tx:
            return await tx.one(SQL["wait"], float, now=self._clock(), most=self._every)

    async def _erase(self, job: Job) -> None:
        credentials = job.credentials if job.gone else await self._remove(job.user)
        await self._erase_leftovers(credentials)
        async with self._database.system() as tx:
            # Of many hubs that come to this point, one says so.
            if await tx.run(SQL["end"], user=job.user):
                await self._audit.record(tx, _erased(job.user))
        _log.info("a person is erased", user=job.user)

    async def _remove(self, user: str) -> list[str]:
        """Remove a person, with all that they could come in by; give what they were known by.

        Raises:
            Conflict: an account that goes along is still there.
        """
        async with self._database.system() as tx:
            await tx.all(SQL["lock_accounts"], str, user=user)
            if not await tx.maybe(SQL["lock_due"], str, user=user, now=self._clock()):
                raise Conflict("they stay after all, or another hub is further on with it")
            if owned := await tx.all(SQL["sole"], c.Owned, user=user):
                raise Conflict(f"still last owner of {', '.join(one.id for one in owned)}")
            person = await self._people.held(tx, user)
            credentials = await tx.all(SQL["credentials_of"], str, user=user)
            await self._forget(tx, person, credentials)
            await tx.run(SQL["note_gone"], user=user, now=self._clock(), credentials=credentials)
            await self._letters.send(
                tx, "person-erased", new("era"), person.email, person.locale
            )  # fmt: skip
        return credentials

    async def _forget(self, tx: Connection, person: Person, credentials: list[str]) -> None:
        """Delete what is theirs, and let the logs of their accounts tell of nobody."""
        own = self._reauthentication.attempts_key(person.id)
        devices = await self._devices.keys_of(tx, person.id)
        await self._lockout.clear(tx, self._lockout.key_of(person.email), own, *devices)
        # In quotes: a whole value, for an address may be the end of somebody else's.
        mention = msgspec.json.encode(person.email).decode()
        await self._audit.erase_person(tx, person.id, mentions=[mention])
        await self._deeds.erased(tx, person.id)
        await tx.run(SQL["delete_invitations_to"], email=person.email)
        await tx.run(SQL["forget_exporter"], credentials=credentials)
        await tx.run(SQL["delete_person"], user=person.id)

    async def _erase_leftovers(self, credentials: list[str]) -> None:
        rounds = 0
        while (await self._leftovers.erase_person(credentials)).more:
            rounds += 1
            await asyncio.sleep(PAUSE.wait(rounds))

    async def _put_off(self, job: Job, error: IsaaxError) -> None:
        """Come again later."""
        wait = self._again.wait(job.attempts + 1)
        _log.warning("an erasure goes on later", user=job.user, error=str(error), wait=wait)
        async with self._database.system() as tx:
            await tx.run(SQL["put_off"], user=job.user, seconds=wait, error=str(error))


def _erased(user: str) -> Deed:
    """Say in the hub's own log that a person was erased: the id is nobody's from now on."""
    return Deed(action=ERASED, summary="A person was erased", account=HUB, object={"user": user})
