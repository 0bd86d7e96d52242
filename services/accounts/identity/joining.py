"""Signing up, and asking for a new password: answered alike for every address."""

from hub import Database, Nothing
from services.accounts.identity import contracts as c
from services.accounts.identity.errands import Errands, ResetWish, SignUpWish
from services.accounts.identity.errors import SignupClosed
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.identity.people import Wanted, normalised
from services.accounts.identity.tallies import Tallies
from services.accounts.settings import AccountsSettings


class Joining:
    """The rules for those who are not logged in."""

    def __init__(
        self,
        settings: AccountsSettings,
        database: Database,
        rules: PasswordRules,
        passwords: Passwords,
        tallies: Tallies,
        errands: Errands,
    ) -> None:
        self._settings = settings
        self._database = database
        self._rules = rules
        self._passwords = passwords
        self._tallies = tallies
        self._errands = errands

    async def sign_up(self, request: c.SignUp) -> Nothing:
        """Have a link mailed that makes an account, or the news that there is one.

        Raises:
            SignupClosed: by the setting.
            Invalid: the password is no good.
            TooManyAttempts: too many of one network.
        """
        if self._settings.signup == "closed":
            raise SignupClosed("ask somebody who has an account here to invite you")
        email = normalised(request.email)
        self._rules.check(request.password, email)
        async with self._database.system() as tx:
            await self._tallies.try_from(tx, request.client)
        wanted = Wanted(request.name, request.locale, await self._passwords.hash(request.password))
        async with self._database.system() as tx:
            await self._errands.note(tx, SignUpWish(email, wanted))
        return Nothing()

    async def ask_reset(self, request: c.AskReset) -> Nothing:
        """Have a link mailed that sets a new password, if there is anybody.

        Raises:
            TooManyAttempts: too many of one network.
        """
        async with self._database.system() as tx:
            await self._tallies.try_from(tx, request.client)
            await self._errands.note(tx, ResetWish(normalised(request.email)))
        return Nothing()
