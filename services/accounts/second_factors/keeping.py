"""What every change of somebody's factors has in common."""

from typing import Final

from hub import Connection, Queries, Secret
from services.accounts.identity.letters import Letters
from services.accounts.identity.people import People, Person
from services.accounts.second_factors.checking import Checking
from services.accounts.second_factors.contracts import Shown
from services.accounts.second_factors.errors import ProofRequired
from services.accounts.second_factors.recovery import RecoveryCodes

RECENT: Final = 600.0
"""Seconds after somebody has shown that it is them in which that is believed."""


class Keeping:
    """Begins and ends changes, in the caller's transaction (of the system)."""

    def __init__(self, checking: Checking, codes: RecoveryCodes, letters: Letters) -> None:
        self._checking = checking
        self._codes = codes
        self._letters = letters
        self._people = People()
        self._sql = Queries.load("services.accounts.second_factors")

    async def person(self, tx: Connection, request: Shown) -> Person:
        """Give whoever asks, and hold them until the transaction ends."""
        return await self._people.held(tx, request.user)

    async def held(self, tx: Connection, request: Shown) -> Person:
        """Give whoever asks, and hold them until the transaction ends.

        Raises:
            ProofRequired: they have not shown for long that it is them.
        """
        person = await self.person(tx, request)
        if not await tx.one(self._sql["is_recent"], bool, session=request.session, seconds=RECENT):
            raise ProofRequired("you have logged in more than 10 minutes ago")
        return person

    async def proven(self, tx: Connection, request: Shown) -> None:
        """Note that it is them."""
        await tx.run(self._sql["prove_anew"], user=request.user, session=request.session)

    async def added(
        self, tx: Connection, person: Person, passkey: str | None = None
    ) -> tuple[Secret, ...]:
        """Tell of a new factor, and give the recovery codes that go with the first one.

        Args:
            passkey: its name; None: it is an authenticator app.
        """
        await self._letters.send(
            tx, "factor-added", person.id, person.email, person.locale,
            app=passkey is None, name=passkey or "",
        )  # fmt: skip
        factors = await self._checking.factors(tx, person.id)
        return () if factors.recovery_codes else await self._codes.renew(tx, person.id)

    async def removed(self, tx: Connection, person: Person, passkey: str | None = None) -> None:
        """Tell that a factor is gone; recovery codes go with the last one.

        Args:
            passkey: its name; None: it was an authenticator app.
        """
        factors = await self._checking.factors(tx, person.id)
        if not factors.kinds:
            await self._codes.drop(tx, person.id)
        await self._letters.send(
            tx, "factor-removed", person.id, person.email, person.locale,
            app=passkey is None, name=passkey or "", all=False, last=not factors.kinds,
        )  # fmt: skip

    async def renewed(self, tx: Connection, person: Person) -> None:
        """Tell that there are new recovery codes."""
        await self._letters.send(tx, "recovery-new", person.id, person.email, person.locale)
