"""What a person changes of themselves: their name and language, their password, their address."""

from typing import Final

from hub import Conflict, Database, NotFound, Nothing, PreconditionFailed, Queries
from services.accounts.identity import contracts as c
from services.accounts.identity.devices import Devices
from services.accounts.identity.errands import EmailWish, Errands
from services.accounts.identity.letters import Letters
from services.accounts.identity.links import Links
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.identity.people import People, normalised
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.identity.sessions import Sessions


class Profile:
    """The rules of what a person is."""

    def __init__(
        self,
        database: Database,
        rules: PasswordRules,
        passwords: Passwords,
        reauthentication: Reauthentication,
        sessions: Sessions,
        devices: Devices,
        errands: Errands,
        letters: Letters,
    ) -> None:
        self._database = database
        self._rules = rules
        self._passwords = passwords
        self._reauthentication = reauthentication
        self._sessions = sessions
        self._devices = devices
        self._errands = errands
        self._letters = letters
        self._links = Links()
        self._people = People()
        self._sql: Final = Queries.load("services.accounts.identity", "people.sql")

    async def get(self, request: c.OneUser) -> c.User:
        """Give a person.

        Raises:
            NotFound: they are gone.
        """
        async with self._database.system() as tx:
            user = await tx.maybe(self._sql["get_user"], c.User, user=request.user)
        if user is None:
            raise NotFound("these credentials are no person's")
        return user

    async def change(self, request: c.ChangeUser) -> c.User:
        """Change a person's name and language.

        Raises:
            NotFound: they are gone.
            PreconditionFailed: they have changed since.
        """
        async with self._database.system() as tx:
            current = await tx.maybe(self._sql["lock_user"], c.User, user=request.user)
            if current is None:
                raise NotFound("these credentials are no person's")
            if request.versions is not None and str(current.version) not in request.versions:
                raise PreconditionFailed("you have changed since: read again")
            return await tx.one(
                self._sql["change_user"],
                c.User,
                user=request.user,
                name=request.name,
                locale=request.locale,
            )

    async def change_password(self, request: c.ChangePassword) -> Nothing:
        """Set a new password; every other session ends, and every other device is a stranger.

        Raises:
            Invalid: the old one is wrong, or the new one is no good.
            LimitReached: the old one was wrong too often.
            Conflict: it was changed elsewhere at this moment.
        """
        person = await self._reauthentication.check(
            request.user, request.current, pointer="/current_password"
        )
        self._rules.check(request.new, person.email, pointer="/new_password")
        hashed = await self._passwords.hash(request.new)
        async with self._database.system() as tx:
            now = await self._people.held(tx, person.id)
            if now.password != person.password:
                raise Conflict("your password was changed elsewhere at this moment")
            await self._people.set_password(tx, person.id, hashed)
            await self._sessions.end_all(tx, person.id, but=request.session)
            await self._devices.forget(tx, person.id, but=request.device)
            await self._links.void(tx, person.id, "reset", "unlock")
            await self._letters.send(tx, "password-changed", person.id, person.email, person.locale)
        return Nothing()

    async def change_email(self, request: c.ChangeEmail) -> Nothing:
        """Mail a link to the address that somebody wants to have, and tell the one they have.

        Raises:
            Invalid: the password is wrong.
            LimitReached: it was wrong too often.
        """
        person = await self._reauthentication.check(
            request.user, request.password, pointer="/password"
        )
        async with self._database.system() as tx:
            await self._errands.note(tx, EmailWish(normalised(request.email), person.id))
        return Nothing()
