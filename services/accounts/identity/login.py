"""Logging in: the same words and the same work for every address, whether it has an account or not.

First an attempt is counted, then the password is looked at (anybody's, where there is none), and
only whoever has shown the right one learns more.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from hub import Connection, Database, IsaaxError, Metrics, Queries, Vault
from services.accounts.identity import contracts as c
from services.accounts.identity.devices import Devices
from services.accounts.identity.errands import HOUR, Errands, LockedWish
from services.accounts.identity.errors import Suspended, Unverified
from services.accounts.identity.letters import Letters
from services.accounts.identity.lockout import Attempt, Lockout
from services.accounts.identity.passwords import Passwords
from services.accounts.identity.people import People, normalised
from services.accounts.identity.sessions import Sessions
from services.accounts.identity.tallies import Tallies, Tried

_NOTICES_AN_HOUR: Final = 3


class _Known(msgspec.Struct, frozen=True):
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
        return f"_Known(id={self.id!r})"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An attempt that was counted.

    Args:
        person: whose address it is, if anybody's.
        key: what it is counted by.
    """

    person: _Known | None
    key: bytes
    tried: Tried
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class _Proven:
    """Somebody who has shown their password; `password` is the hash that it was right for."""

    person: _Known
    password: str = field(repr=False)


class Login:
    """The rules of logging in."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        passwords: Passwords,
        sessions: Sessions,
        tallies: Tallies,
        errands: Errands,
        letters: Letters,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._vault = vault
        self._passwords = passwords
        self._sessions = sessions
        self._tallies = tallies
        self._errands = errands
        self._letters = letters
        self._people = People()
        self._lockout = Lockout(vault)
        self._devices = Devices(vault)
        self._sql = Queries.load("services.accounts.identity", "people.sql")
        self._outcomes = metrics.counter(
            "isaax_logins_total", "Attempts to log in, by what came of them.", ("outcome",)
        )

    async def log_in(self, request: c.LogIn) -> c.LoggedIn:
        """Begin a session of whoever knows the password.

        Raises:
            WrongCredentials, TooManyAttempts, Locked: alike for every address.
            Unverified, Suspended: to whoever knows the password.
        """
        try:
            entry = await self._count(request)
            person = await self._prove(entry, request)
            # A second factor is asked for here, by an answer that has no session yet.
            logged_in = await self._begin(request, person)
        except IsaaxError as error:
            self._outcomes.labels(error.code).inc()
            raise
        self._outcomes.labels("ok").inc()
        return logged_in

    async def _count(self, request: c.LogIn) -> _Entry:
        """Count an attempt, before anything is made of it.

        Raises:
            TooManyAttempts, Locked: it comes too early.
            Unavailable: too many come at this moment; it is not counted.
        """
        self._passwords.check_room()
        email = normalised(request.email)
        async with self._database.system() as tx:
            person = await tx.maybe(
                self._sql["find_login"], _Known, email=email, device=bytes.fromhex(request.device)
            )
            if person is not None and person.device is not None:
                # What others try does not count at a known device, be they next door.
                tried, key = Tried(), self._devices.attempts_key(person.device)
            else:
                tried = await self._tallies.try_from(tx, request.client)
                key = self._lockout.key_of(email)
            attempt = await self._lockout.take(tx, key)
        if not attempt.taken:
            raise attempt.refusal()
        return _Entry(person, key, tried, attempt)

    async def _prove(self, entry: _Entry, request: c.LogIn) -> _Proven:
        """Give whoever shows their password.

        Raises:
            WrongCredentials, Locked: it is not theirs, or there is nobody.
            Unverified, Suspended: it is theirs, but.
        """
        person = entry.person
        stored = person.password if person else None
        right = await self._passwords.verify(stored, request.password)
        if person is None or stored is None or not right:
            if entry.attempt.locks:
                async with self._database.system() as tx:
                    await self._errands.note(tx, LockedWish(normalised(request.email)))
            raise entry.attempt.failure()
        async with self._database.system() as tx:
            await self._lockout.clear(tx, entry.key)
            await self._tallies.give_back(tx, entry.tried)
        if person.suspended:
            raise Suspended("ask who runs it")
        if not person.verified:
            raise Unverified("use the link in the mail, or sign up again for another one")
        return _Proven(person, stored)

    async def _begin(self, request: c.LogIn, proven: _Proven) -> c.LoggedIn:
        """Begin the session, with a new token whatever there was before.

        Raises:
            Unauthenticated: the password was changed meanwhile.
        """
        person, known = proven.person, proven.person.device
        async with self._database.system() as tx:
            session = await self._sessions.begin(
                tx, person.id, proven.password, digest=request.digest, client=request.client
            )
            if request.replaces:
                await self._sessions.end_replaced(tx, request.replaces)
            await self._devices.note(tx, person.id, known, request.new_device)
            if known is None and person.has_devices:
                await self._tell_of_new_device(tx, person, request)
        if self._passwords.is_outdated(proven.password):
            hashed = await self._passwords.hash(request.password)
            async with self._database.system() as tx:
                await self._people.hash_anew(tx, person.id, old=proven.password, hashed=hashed)
        return c.LoggedIn(session, known is not None)

    async def _tell_of_new_device(self, tx: Connection, person: _Known, request: c.LogIn) -> None:
        key = self._vault.keyed("notices of new devices", person.id)
        if await self._tallies.take(tx, key, _NOTICES_AN_HOUR, HOUR):
            await self._letters.send(
                tx, "new-device", person.id, person.email, person.locale,
                at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                address=request.client.address, agent=request.client.agent or "–",
            )  # fmt: skip
