"""Logging in: the same words and the same work for every address, whether it has an account or not.

First an attempt is counted, then the password is looked at (anybody's, where there is none), and
only whoever has shown the right one learns more: that they are in, or that a second factor is to
be shown (`second_factors/finishing.py`).
"""

from dataclasses import dataclass, field

from hub import Database, IsaaxError, Metrics
from services.accounts.identity import contracts as c
from services.accounts.identity.beginning import Beginning, Known
from services.accounts.identity.devices import Devices
from services.accounts.identity.errands import Errands, LockedWish
from services.accounts.identity.lockout import Attempt, Lockout
from services.accounts.identity.passwords import Passwords
from services.accounts.identity.people import People, normalised
from services.accounts.identity.tallies import Tallies, Tried
from services.accounts.second_factors.asking import Asking


@dataclass(frozen=True, slots=True)
class _Entry:
    """An attempt that was counted.

    Args:
        person: whose address it is, if anybody's.
        key: what it is counted by.
    """

    person: Known | None
    key: bytes
    tried: Tried
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class _Proven:
    """Somebody who has shown their password; `password` is the hash that it was right for."""

    person: Known
    password: str = field(repr=False)


class Login:
    """The rules of logging in."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        beginning: Beginning,
        asking: Asking,
        devices: Devices,
        lockout: Lockout,
        tallies: Tallies,
        errands: Errands,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._beginning = beginning
        self._asking = asking
        self._devices = devices
        self._lockout = lockout
        self._tallies = tallies
        self._errands = errands
        self._people = People()
        self._outcomes = metrics.counter(
            "isaax_logins_total", "Attempts to log in, by what came of them.", ("outcome",)
        )

    async def log_in(self, request: c.LogIn) -> c.Outcome:
        """Begin a session of whoever knows the password, or ask them for a second factor.

        Raises:
            WrongCredentials, TooManyAttempts, Locked: alike for every address.
            Unverified, Suspended: to whoever knows the password.
        """
        try:
            entry = await self._count(request)
            proven = await self._prove(entry, request)
            outcome = await self._go_on(entry, proven, request)
        except IsaaxError as error:
            self._outcomes.labels(error.code).inc()
            raise
        asked = isinstance(outcome, c.Challenged)
        self._outcomes.labels("second-factor-required" if asked else "ok").inc()
        return c.Outcome(outcome)

    async def _count(self, request: c.LogIn) -> _Entry:
        """Count an attempt, before anything is made of it.

        Raises:
            TooManyAttempts, Locked: it comes too early.
            Unavailable: too many come at this moment; it is not counted.
        """
        self._passwords.check_room()
        email = normalised(request.email)
        async with self._database.system() as tx:
            person = await self._beginning.find(tx, email, request.device)
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
        """
        person = entry.person
        stored = person.password if person else None
        right = await self._passwords.verify(stored, request.password)
        if person is not None and stored is not None and right:
            return _Proven(person, stored)
        if entry.attempt.locks:
            async with self._database.system() as tx:
                await self._errands.note(tx, LockedWish(normalised(request.email)))
        raise entry.attempt.failure()

    async def _go_on(
        self, entry: _Entry, proven: _Proven, request: c.LogIn
    ) -> c.LoggedIn | c.Challenged:
        """Ask for a second factor, or begin the session.

        Raises:
            Unverified, Suspended: they may not come in.
            Unauthenticated: the password was changed meanwhile.
        """
        person = proven.person
        async with self._database.system() as tx:
            await self._tallies.give_back(tx, entry.tried)
            factors = await self._asking.factors(tx, person.id)
            if factors.kinds:  # whoever has but the password may not begin to count anew
                await self._lockout.give_back(tx, entry.key, entry.attempt)
            else:
                await self._lockout.clear(tx, entry.key)
        person.check_welcome()
        outcome: c.LoggedIn | c.Challenged
        async with self._database.system() as tx:
            if factors.kinds:
                outcome = await self._asking.ask(
                    tx, person.id, proven.password, factors, entry.key, request
                )
            else:
                outcome = await self._beginning.begin(tx, person, proven.password, request)
        await self._hash_anew(proven, request)
        return outcome

    async def _hash_anew(self, proven: _Proven, request: c.LogIn) -> None:
        """Keep the password as passwords are kept by now."""
        if self._passwords.is_outdated(proven.password):
            hashed = await self._passwords.hash(request.password)
            async with self._database.system() as tx:
                await self._people.hash_anew(
                    tx, proven.person.id, old=proven.password, hashed=hashed
                )
