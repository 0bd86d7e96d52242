"""People as they are kept: found, made, verified, given a new password or address."""

from typing import Final

import msgspec

from hub import Connection, NotFound, Queries
from hub.ids import new
from services.accounts.identity.contracts import Locale
from services.accounts.second_factors.challenges import Challenges


def normalised(email: str) -> str:
    """Give an address as it is kept: it tells nobody apart by capital letters."""
    return email.lower()


class Person(msgspec.Struct, frozen=True):
    """Somebody, as they are kept.

    Args:
        password: its hash; None where none was set.
        verified: they read the mails of their address.
    """

    id: str
    email: str
    name: str
    locale: Locale
    password: str | None
    verified: bool
    suspended: bool

    def __repr__(self) -> str:
        return f"Person(id={self.id!r})"


class Wanted(msgspec.Struct, frozen=True):
    """What somebody chose at signing up; `password` is its hash."""

    name: str
    locale: Locale
    password: str

    def __repr__(self) -> str:
        return "Wanted()"


class People:
    """Reads and writes people, in the caller's transaction (of the system)."""

    def __init__(self) -> None:
        self._sql: Final = Queries.load("services.accounts.identity", "people.sql")
        self._accounts: Final = Queries.load("services.accounts")
        self._challenges: Final = Challenges()

    async def at(self, tx: Connection, email: str) -> Person | None:
        """Give whoever has this address, and hold them until the transaction ends."""
        return await tx.maybe(self._sql["find_person"], Person, email=email)

    async def held(self, tx: Connection, user: str) -> Person:
        """Give somebody, and hold them until the transaction ends.

        Raises:
            NotFound: they are gone.
        """
        person = await tx.maybe(self._sql["lock_person"], Person, user=user)
        if person is None:
            raise NotFound("no such person")
        return person

    async def add(self, tx: Connection, email: str, wanted: Wanted) -> str | None:
        """Make somebody who is yet to verify their address, and give their id; None: taken."""
        user = new("usr")
        made = await tx.run(
            self._sql["add_person"], id=user, email=email, **msgspec.structs.asdict(wanted)
        )
        return user if made else None

    async def replace(self, tx: Connection, user: str, wanted: Wanted) -> None:
        """Let what was chosen last count, as long as nobody has verified the address."""
        await tx.run(self._sql["replace_unverified"], user=user, **msgspec.structs.asdict(wanted))

    async def verify(self, tx: Connection, user: str, name: str) -> None:
        """Note that somebody reads the mails of their address; at first they get an account.

        Args:
            name: what that account is called.
        """
        if not await tx.run(self._sql["verify"], user=user):
            return
        if not await tx.one(self._sql["owns_account"], bool, user=user):
            account = new("acc")
            await tx.run(self._accounts["add_account"], id=account, name=name)
            await tx.run(self._sql["add_owner"], account=account, user=user)

    async def confirm(self, tx: Connection, user: str) -> None:
        """Note that somebody reads the mails of their address, who is to be in an account."""
        await tx.run(self._sql["verify"], user=user)

    async def set_password(self, tx: Connection, user: str, hashed: str) -> None:
        """Let another password count; what was begun with the one before it ends."""
        await tx.run(self._sql["set_password"], user=user, password=hashed)
        await self._challenges.void(tx, user)

    async def hash_anew(self, tx: Connection, user: str, *, old: str, hashed: str) -> None:
        """Keep the same password in another way, unless it has been changed."""
        await tx.run(self._sql["hash_anew"], user=user, old=old, password=hashed)

    async def set_email(self, tx: Connection, user: str, email: str) -> bool:
        """Let another address count; False: somebody else has it."""
        return await tx.run(self._sql["set_email"], user=user, email=email) == 1
