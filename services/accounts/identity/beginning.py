"""Beginning a session of somebody who has shown all that it takes."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from hub import Connection, Queries, Vault
from services.accounts.identity import contracts as c
from services.accounts.identity.deeds import Deeds
from services.accounts.identity.devices import Devices
from services.accounts.identity.errands import HOUR
from services.accounts.identity.errors import Suspended, Unverified
from services.accounts.identity.letters import Letters
from services.accounts.identity.sessions import Sessions
from services.accounts.identity.tallies import Tallies

_NOTICES_AN_HOUR: Final = 3


class Known(msgspec.Struct, frozen=True):
    """Whoever has the address; `device` is the known one that they log in from."""

    id: str
    email: str
    password: str | None
    locale: c.Locale
    verified: bool
    suspended: bool
    device: str | None
    has_devices: bool

    def __repr__(self) -> str:
        return f"Known(id={self.id!r})"

    def check_welcome(self) -> None:
        """Refuse who may not come in; only for somebody who has shown who they are.

        Raises:
            Suspended: by the operator.
            Unverified: nobody knows yet whether they read the mails of their address.
        """
        if self.suspended:
            raise Suspended("ask who runs it")
        if not self.verified:
            raise Unverified("use the link in the mail, or sign up again for another one")


class Beginning:
    """Begins sessions, in the caller's transaction (of the system)."""

    def __init__(
        self, vault: Vault, sessions: Sessions, devices: Devices, tallies: Tallies, letters: Letters
    ) -> None:
        self._vault = vault
        self._sessions = sessions
        self._devices = devices
        self._tallies = tallies
        self._letters = letters
        self._deeds = Deeds()
        self._sql = Queries.load("services.accounts.identity", "people.sql")

    async def find(self, tx: Connection, email: str, device: str) -> Known | None:
        """Give whoever has an address.

        Args:
            email: normalised.
            device: digest of the cookie of a known device; "" without one.
        """
        return await tx.maybe(
            self._sql["find_login"], Known, email=email, device=bytes.fromhex(device)
        )

    async def begin(
        self, tx: Connection, person: Known, password: str, request: c.NewSession
    ) -> c.LoggedIn:
        """Begin a session, with a new token whatever there was before.

        Args:
            password: the hash that what they have shown goes with.

        Raises:
            Unauthenticated: the password was changed meanwhile.
        """
        session = await self._sessions.begin(
            tx, person.id, password, digest=request.digest, client=request.client
        )
        await self._deeds.session_begun(tx, person.id, session.id, request.client)
        if request.replaces:
            await self._sessions.end_replaced(tx, request.replaces)
        await self._devices.note(tx, person.id, person.device, request.new_device)
        if person.device is None and person.has_devices:
            await self._tell_of_new_device(tx, person, request)
        return c.LoggedIn(session, person.device is not None)

    async def _tell_of_new_device(
        self, tx: Connection, person: Known, request: c.NewSession
    ) -> None:
        key = self._vault.keyed("notices of new devices", person.id)
        if await self._tallies.take(tx, key, _NOTICES_AN_HOUR, HOUR):
            await self._letters.send(
                tx, "new-device", person.id, person.email, person.locale,
                at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                address=request.client.address, agent=request.client.agent or "–",
            )  # fmt: skip
