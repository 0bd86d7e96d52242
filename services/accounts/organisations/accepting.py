"""Accepting an invitation: as somebody who is here already, or as a newcomer."""

from hub import Connection, Database, FieldError, Forbidden, Invalid, Role
from services.accounts.identity.errors import DeadLink, Suspended
from services.accounts.identity.links import Links
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.identity.people import People, Person, Wanted
from services.accounts.organisations import invitation_contracts as c
from services.accounts.organisations.invitations import SQL
from services.accounts.organisations.standing import Held, lock, member


class Accepting:
    """The rules of whoever has the link of an invitation, and so reads the address."""

    def __init__(self, database: Database, rules: PasswordRules, passwords: Passwords) -> None:
        self._database = database
        self._rules = rules
        self._passwords = passwords
        self._people = People()
        self._links = Links()

    async def look(self, request: c.LookAtInvitation) -> c.Invited:
        """Say what a link is to; nothing changes, whoever looks.

        Raises:
            DeadLink: it is not good.
        """
        async with self._database.system() as tx:
            return await self._invited(tx, request.digest)

    async def accept(self, request: c.AcceptInvitation) -> c.Joined:
        """Join, once.

        Raises:
            DeadLink: the link is not good (any more).
            Invalid: a newcomer gives neither a name nor a good password; the link stays good.
            Forbidden: who is logged in is not who was invited.
        """
        wanted = await self._newcomer(request)
        async with self._database.system() as tx:
            invited = await self._invited(tx, request.digest)
            await lock(tx, invited.account)
            role = await tx.maybe(SQL["use"], Role, digest=bytes.fromhex(request.digest))
            if role is None:
                raise DeadLink("ask for another invitation")
            person = await self._people.at(tx, invited.email)
            self._check(person, request.user)
            user = await self._joining(tx, invited.email, person, wanted)
            await tx.run(SQL["join"], account=invited.account, user=user, role=role)
            held: Held = await member(tx, invited.account, user)
        new = person is None or not person.verified
        return c.Joined(invited.account, invited.name, held.role, user, new)

    async def _newcomer(self, request: c.AcceptInvitation) -> Wanted | None:
        """Check and hash what a newcomer chose; None for somebody who is known."""
        invited = await self.look(c.LookAtInvitation(request.digest))
        if invited.known:
            return None
        if request.user:
            raise _another()
        missing = [
            FieldError(f"/{field}", "is required: nobody here has this address yet")
            for field, given in (("name", request.name), ("password", request.password))
            if not given
        ]
        if missing:
            raise Invalid("say what you are called, and choose a password", errors=missing)
        self._rules.check(request.password, invited.email)
        hashed = await self._passwords.hash(request.password)
        return Wanted(request.name, request.locale, hashed)

    async def _joining(
        self, tx: Connection, email: str, person: Person | None, wanted: Wanted | None
    ) -> str:
        """Give whoever joins; a newcomer is made, and has shown that the address is theirs."""
        if person is not None and person.verified:
            return person.id
        if wanted is None:  # they were known a moment ago
            raise DeadLink("try again: the address changed hands at this moment")
        if person is None:
            user = await self._people.add(tx, email, wanted)
            if user is None:
                raise DeadLink("try again: somebody signed up with the address at this moment")
        else:
            # Whoever signed up with the address before never showed that it is theirs.
            user = person.id
            await self._people.replace(tx, user, wanted)
        await self._people.confirm(tx, user)
        await self._links.void(tx, user, "verify")
        return user

    def _check(self, person: Person | None, logged_in: str) -> None:
        if person is not None and person.suspended:
            raise Suspended("ask who runs it")
        if logged_in and (person is None or person.id != logged_in):
            raise _another()

    async def _invited(self, tx: Connection, digest: str) -> c.Invited:
        found = await tx.maybe(SQL["of_link"], c.Invited, digest=bytes.fromhex(digest))
        if found is None:
            raise DeadLink("ask for another invitation")
        return found


def _another() -> Forbidden:
    return Forbidden(
        "this invitation is for another address than yours: log in with that one, or log out"
    )
