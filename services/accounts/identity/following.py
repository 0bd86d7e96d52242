"""Following a link of a mail: it acts once, and only when it is asked to."""

from hub import Connection, Database, IsaaxError
from hub.structs import decode
from services.accounts.identity import contracts as c
from services.accounts.identity.devices import Devices
from services.accounts.identity.errors import DeadLink
from services.accounts.identity.letters import Letters
from services.accounts.identity.links import Held, Links, NewEmail
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.identity.people import People, Person, Wanted
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.identity.sessions import Sessions


class Following:
    """The rules of links."""

    def __init__(
        self,
        database: Database,
        rules: PasswordRules,
        passwords: Passwords,
        reauthentication: Reauthentication,
        sessions: Sessions,
        devices: Devices,
        lockout: Lockout,
        letters: Letters,
    ) -> None:
        self._database = database
        self._rules = rules
        self._passwords = passwords
        self._reauthentication = reauthentication
        self._sessions = sessions
        self._devices = devices
        self._lockout = lockout
        self._letters = letters
        self._links = Links()
        self._people = People()

    async def look(self, request: c.OneLink) -> c.Link:
        """Say what a link is about; nothing changes, whoever looks.

        Raises:
            DeadLink: it is not good.
        """
        async with self._database.system() as tx:
            held = await self._links.get(tx, request.kind, request.digest)
        return c.Link(request.kind, _about(request.kind, held))

    async def use(self, request: c.UseLink) -> c.Link:
        """Do what a link is for.

        Raises:
            DeadLink: it is not good (any more).
            Invalid: the new password is no good; the link stays good.
        """
        hashed = await self._new_password(request) if request.kind == "reset" else ""
        async with self._database.system() as tx:
            held = await self._links.get(tx, request.kind, request.digest)
            # Their row first, as everywhere: of two that wait for each other, both would fail.
            person = await self._people.held(tx, held.user)
            await self._links.use(tx, request.kind, request.digest)
            match request.kind:
                case "verify":
                    await self._verify(tx, person, decode(Wanted, held.data))
                case "reset":
                    await self._reset(tx, person, hashed)
                case "unlock":
                    await self._unlock(tx, person)
                case "email":
                    await self._change_email(tx, person, decode(NewEmail, held.data).email)
        return c.Link(request.kind, _about(request.kind, held))

    async def _new_password(self, request: c.UseLink) -> str:
        """Check and hash a new password, for a link that nobody else gets to use meanwhile.

        Only one of many at once has its password hashed: the others would fill the queue of those
        who log in, for nothing.
        """
        async with self._database.system() as tx:
            held = await self._links.get(tx, request.kind, request.digest)
        self._rules.check(request.password, held.email)
        async with self._database.system() as tx:
            await self._links.take(tx, request.kind, request.digest)
        try:
            return await self._passwords.hash(request.password)
        except IsaaxError:
            async with self._database.system() as tx:
                await self._links.give_back(tx, request.digest)
            raise

    async def _verify(self, tx: Connection, person: Person, wanted: Wanted) -> None:
        if not person.verified:
            await self._people.replace(tx, person.id, wanted)
            await self._people.verify(tx, person.id, wanted.name)
        await self._links.void(tx, person.id, "verify")

    async def _reset(self, tx: Connection, person: Person, hashed: str) -> None:
        await self._people.set_password(tx, person.id, hashed)
        await self._people.verify(tx, person.id, person.name)
        await self._unlock(tx, person)
        await self._sessions.end_all(tx, person.id)
        await self._devices.forget(tx, person.id)
        # Whoever asked for any of these did so before there was this password.
        await self._links.void(tx, person.id, "verify", "reset", "unlock", "email")
        await self._letters.send(tx, "password-changed", person.id, person.email, person.locale)

    async def _unlock(self, tx: Connection, person: Person) -> None:
        devices = await self._devices.keys_of(tx, person.id)
        own = self._reauthentication.attempts_key(person.id)
        await self._lockout.clear(tx, self._lockout.key_of(person.email), own, *devices)
        await self._links.void(tx, person.id, "unlock")

    async def _change_email(self, tx: Connection, person: Person, email: str) -> None:
        if not await self._people.set_email(tx, person.id, email):
            raise DeadLink("the address belongs to somebody else by now")
        # Those that went to the old address let nobody in any more.
        await self._links.void(tx, person.id, "reset", "unlock", "email")


def _about(kind: c.LinkKind, held: Held) -> str:
    return decode(NewEmail, held.data).email if kind == "email" else held.email
