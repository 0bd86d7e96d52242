"""Somebody who is logged in shows their password once more, before what matters most."""

from hub import Database, FieldError, Invalid, LimitReached, Secret, Vault
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.passwords import Passwords
from services.accounts.identity.people import People, Person


class Reauthentication:
    """Checks the password of whoever has a session; guesses are counted for the person."""

    def __init__(self, database: Database, vault: Vault, passwords: Passwords) -> None:
        self._database = database
        self._vault = vault
        self._passwords = passwords
        self._people = People()
        self._lockout = Lockout(vault)

    def attempts_key(self, user: str) -> bytes:
        """Give what a person's own guesses are counted by."""
        return self._vault.keyed("attempts of a person", user)

    async def check(self, user: str, password: Secret, *, pointer: str) -> Person:
        """Give the person, if this is their password.

        Args:
            pointer: to it in the input.

        Raises:
            Invalid: it is not.
            LimitReached: there were too many guesses.
        """
        self._passwords.check_room()
        key = self.attempts_key(user)
        async with self._database.system() as tx:
            person = await self._people.held(tx, user)
            attempt = await self._lockout.take(tx, key)
        if not attempt.taken:
            raise LimitReached(
                "too many wrong passwords: wait, or set another one by mail",
                retry_after=attempt.wait,
            )
        if not await self._passwords.verify(person.password, password):
            wrong = FieldError(pointer, f"this is not your password ({attempt.outlook})")
            raise Invalid("the password is wrong", errors=[wrong])
        async with self._database.system() as tx:
            await self._lockout.clear(tx, key)
        return person
