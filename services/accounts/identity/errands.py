"""What is done about an address after the answer, whether it has an account or not.

To sign up, to ask for a new password, to lock: the request itself only notes what is wanted,
sealed, with the same work for every address. Whoever reads the mails there is told what came of it.
"""

from typing import Final

import msgspec

from hub import (
    Conflict,
    Connection,
    Consumer,
    Database,
    EventInfo,
    NotFound,
    Outbox,
    Topic,
    Vault,
    first_time,
)
from hub.ids import new
from hub.structs import decode
from services.accounts.identity.contracts import LinkKind, Locale
from services.accounts.identity.deeds import Deeds
from services.accounts.identity.letters import Letters
from services.accounts.identity.links import LIFETIMES, Links, NewEmail
from services.accounts.identity.people import People, Person, Wanted
from services.accounts.identity.tallies import Tallies

CONSUMER: Final = "accounts-errands"
HOUR: Final = 3_600.0


class SignUpWish(msgspec.Struct, frozen=True, tag="sign-up"):
    """Make an account for whoever reads the mails of an address."""

    email: str
    wanted: Wanted


class ResetWish(msgspec.Struct, frozen=True, tag="reset"):
    """Mail a link to set a new password."""

    email: str


class LockedWish(msgspec.Struct, frozen=True, tag="locked"):
    """Mail how to unlock."""

    email: str


class EmailWish(msgspec.Struct, frozen=True, tag="email"):
    """Mail to the address that somebody wants to have, and tell the one that they have."""

    email: str
    user: str


Wish = SignUpWish | ResetWish | LockedWish | EmailWish

MAILS_AN_HOUR: Final = {SignUpWish: 5, ResetWish: 5, LockedWish: 1, EmailWish: 5}
"""To one address; what is beyond it is answered like the rest, and forgotten."""


class Errand(msgspec.Struct, frozen=True):
    """Something is to be done about an address; `sealed` is a `Wish`."""

    id: str
    sealed: bytes

    def __repr__(self) -> str:
        return f"Errand(id={self.id!r})"


ERRAND: Final = Topic("accounts.errand.wanted", Errand)


class _Box(msgspec.Struct, frozen=True):
    wish: Wish


class Errands:
    """Notes errands, and does them."""

    def __init__(
        self, database: Database, outbox: Outbox, vault: Vault, tallies: Tallies, letters: Letters
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._vault = vault
        self._tallies = tallies
        self._letters = letters
        self._people = People()
        self._links = Links()
        self._deeds = Deeds()

    def consumer(self) -> Consumer[Errand]:
        """Give what does them."""
        return Consumer(ERRAND, CONSUMER, self.do)

    async def note(self, tx: Connection, wish: Wish) -> None:
        """Have something done once the transaction commits, unless it is asked for too often."""
        key = self._vault.keyed(f"mails of {type(wish).__name__}", wish.email)
        if not await self._tallies.take(tx, key, MAILS_AN_HOUR[type(wish)], HOUR):
            return
        identifier = new("err")
        sealed = await self._vault.seal(
            tx, msgspec.json.encode(_Box(wish)), account="", project="", name=_name(identifier)
        )
        await self._outbox.add(tx, ERRAND, Errand(identifier, sealed), key=key.hex())

    async def do(self, errand: Errand, info: EventInfo) -> None:
        """Do an errand, once."""
        async with self._database.system() as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            plain = await self._vault.open(
                tx, errand.sealed, account="", project="", name=_name(errand.id)
            )
            match decode(_Box, plain).wish:
                case SignUpWish(email=email, wanted=wanted):
                    await self._sign_up(tx, email, wanted)
                case ResetWish(email=email):
                    await self._reset(tx, email)
                case LockedWish(email=email):
                    await self._locked(tx, email)
                case EmailWish(email=email, user=user):
                    await self._email(tx, email, user)

    async def _sign_up(self, tx: Connection, email: str, wanted: Wanted) -> None:
        person = await self._people.at(tx, email)
        if person is not None and person.verified:
            await self._tell_that_it_exists(tx, person)
            return
        if person is None:
            user = await self._people.add(tx, email, wanted)
        else:
            user = person.id
            await self._people.replace(tx, user, wanted)
        if user is None:
            raise Conflict("somebody else signed up with it at this moment")
        # The link acts with what was chosen with it: nobody's later choice comes in by it.
        link = await self._link(tx, "verify", user, wanted.locale, wanted)
        await self._letters.send(
            tx, "verify", user, email, wanted.locale,
            valid_for=LIFETIMES["verify"], link=link,
        )  # fmt: skip

    async def _tell_that_it_exists(self, tx: Connection, person: Person) -> None:
        link = await self._link(tx, "reset", person.id, person.locale)
        await self._letters.send(
            tx, "registered", person.id, person.email, person.locale,
            valid_for=LIFETIMES["reset"], link=link,
        )  # fmt: skip

    async def _reset(self, tx: Connection, email: str) -> None:
        person = await self._people.at(tx, email)
        if person is None or person.suspended:
            return
        link = await self._link(tx, "reset", person.id, person.locale)
        await self._letters.send(
            tx, "reset", person.id, email, person.locale,
            valid_for=LIFETIMES["reset"], link=link,
        )  # fmt: skip

    async def _locked(self, tx: Connection, email: str) -> None:
        person = await self._people.at(tx, email)
        if person is None or person.suspended:
            return
        await self._deeds.locked(tx, person.id)
        unlock = await self._link(tx, "unlock", person.id, person.locale)
        reset = await self._link(tx, "reset", person.id, person.locale)
        await self._letters.send(
            tx, "locked", person.id, email, person.locale,
            valid_for=LIFETIMES["unlock"], unlock=unlock, reset=reset,
        )  # fmt: skip

    async def _email(self, tx: Connection, email: str, user: str) -> None:
        try:
            person = await self._people.held(tx, user)
        except NotFound:
            return  # they are gone meanwhile
        other = await self._people.at(tx, email)
        if other is not None and other.id != user:
            await self._tell_that_it_exists(tx, other)
        else:
            link = await self._link(tx, "email", user, person.locale, NewEmail(email))
            await self._letters.send(
                tx, "email-new", user, email, person.locale,
                valid_for=LIFETIMES["email"], link=link,
            )  # fmt: skip
        await self._letters.send(tx, "email-old", user, person.email, person.locale, new=email)

    async def _link(
        self,
        tx: Connection,
        kind: LinkKind,
        user: str,
        locale: Locale,
        data: msgspec.Struct | None = None,
    ) -> str:
        token = await self._links.make(tx, kind, user, data)
        return self._letters.link(kind, token, locale)


def _name(identifier: str) -> str:
    return f"errand/{identifier}"
