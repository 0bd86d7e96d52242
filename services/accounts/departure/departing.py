"""Asking to be deleted, and staying after all: until the time comes, nothing is lost."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

from hub import Conflict, Connection, Database, NotFound, Nothing, Queries
from services.accounts.deletion.closing import Asked, Closing
from services.accounts.departure import contracts as c
from services.accounts.departure.errors import LastOwner
from services.accounts.identity.errors import DeadLink
from services.accounts.identity.letters import Letters
from services.accounts.identity.people import People
from services.accounts.identity.sessions import Sessions
from services.accounts.organisations.standing import check_version
from services.accounts.second_factors.contracts import Shown
from services.accounts.second_factors.keeping import Keeping
from services.accounts.tokens import digest_of

SQL: Final = Queries.load("services.accounts.departure")
STAY: Final = "stay"
"""Kind of the link that undoes it."""


class Departing:
    """The rules of asking for it and undoing it.

    Args:
        closing: of the accounts that go along.
        grace: seconds between the two.
    """

    def __init__(
        self,
        database: Database,
        closing: Closing,
        keeping: Keeping,
        sessions: Sessions,
        letters: Letters,
        *,
        clock: Callable[[], datetime],
        grace: float,
    ) -> None:
        self._database = database
        self._closing = closing
        self._keeping = keeping
        self._sessions = sessions
        self._letters = letters
        self._clock = clock
        self._grace = grace
        self._people = People()

    async def get(self, request: c.OneDeparture) -> c.Departure:
        """Say what goes with a person, and whether that was asked for."""
        async with self._database.system() as tx:
            owned = await tx.all(SQL["sole"], c.Owned, user=request.user)
            asked = await tx.maybe(SQL["get"], Asked, user=request.user, now=self._clock())
        return _departure(owned, asked)

    async def request(self, request: c.RequestDeparture) -> c.Departure:
        """Have somebody deleted when the grace is over, with the accounts that are theirs alone.

        Every session ends, and the tokens that they made are void until they stay after all.

        Raises:
            ProofRequired: they have not shown for long that it is them.
            LastOwner: others would be left without an owner.
            Conflict: it is asked for already.
        """
        user, token = request.user, secrets.token_urlsafe(32)
        async with self._database.system() as tx:
            held = await tx.all(SQL["lock_accounts"], str, user=user)
            person = await self._keeping.held(tx, Shown(user, request.session))
            owned = await tx.all(SQL["sole"], c.Owned, user=user)
            _check_leaves_nobody_behind(owned, held)
            now = self._clock()
            asked = await tx.run(
                SQL["request"], user=user, now=now, grace=self._grace, digest=digest_of(token)
            )
            if not asked:
                raise Conflict("your deletion is asked for already")
            for one in owned:
                if not one.closing:
                    await self._closing.take_along(tx, one.id, user, now)
            await self._sessions.end_all(tx, user)
            made = await tx.one(SQL["get"], Asked, user=user, now=now)
            await self._letters.send(
                tx, "person-leaving", user, person.email, person.locale,
                due=f"{made.due_at:%Y-%m-%d %H:%M} UTC",
                accounts=", ".join(one.name for one in owned),
                link=self._letters.link(STAY, token, person.locale),
            )  # fmt: skip
        return _departure(owned, made)

    async def undo(self, request: c.UndoDeparture) -> Nothing:
        """Let somebody stay, with the accounts that were to go along.

        Raises:
            NotFound: nobody asked for it.
            Conflict: the time has come.
        """
        async with self._database.system() as tx:
            asked = await tx.maybe(SQL["lock"], Asked, user=request.user, now=self._clock())
            if asked is None:
                raise NotFound("you did not ask to be deleted")
            check_version(asked.version, request.versions, "the deletion")
            if asked.begun:
                raise Conflict("the time has come, and this cannot be undone any more")
            await self._stay(tx, request.user)
        return Nothing()

    async def look(self, request: c.StayLink) -> c.Staying:
        """Say whom a link is about; nothing changes.

        Raises:
            DeadLink: it is not good.
        """
        async with self._database.system() as tx:
            return await self._of_link(tx, request.digest)

    async def undo_by_link(self, request: c.StayLink) -> c.Staying:
        """Let somebody stay who reads the mails of their address.

        Raises:
            DeadLink: the link is not good (any more).
        """
        async with self._database.system() as tx:
            found = await self._of_link(tx, request.digest)
            await tx.maybe(SQL["lock"], Asked, user=found.user, now=self._clock())
            found = await self._of_link(tx, request.digest)  # of many at once, one
            await self._stay(tx, found.user)
        return found

    async def _of_link(self, tx: Connection, digest: str) -> c.Staying:
        found = await tx.maybe(
            SQL["of_link"], c.Staying, digest=bytes.fromhex(digest), now=self._clock()
        )
        if found is None:
            raise DeadLink("you stay already, or the time has come")
        return found

    async def _stay(self, tx: Connection, user: str) -> None:
        await tx.run(SQL["undo"], user=user)
        await self._closing.bring_back(tx, user)
        person = await self._people.held(tx, user)
        await self._letters.send(tx, "person-stays", user, person.email, person.locale)


def _departure(owned: list[c.Owned], asked: Asked | None) -> c.Departure:
    if asked is None:
        return c.Departure(owned)
    return c.Departure(owned, asked.requested_at, asked.due_at, asked.begun, asked.version)


def _check_leaves_nobody_behind(owned: list[c.Owned], held: list[str]) -> None:
    """See that nobody is left in an account without an owner.

    Args:
        held: accounts that nobody else changes the members of now.
    """
    if left := [one for one in owned if one.blocks]:
        names = ", ".join(f"“{one.name}” ({one.id})" for one in left)
        raise LastOwner(f"others are in {names}: make one of them owner, or delete it")
    if {one.id for one in owned} - {*held}:
        raise Conflict("you became an owner at this moment: look again, and try again")
