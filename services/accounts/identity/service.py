"""What the service `accounts` answers and does about people and their credentials."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub import (
    Consumer,
    Database,
    Endpoint,
    Metrics,
    Outbox,
    Permissions,
    Vault,
)
from services.accounts.identity import contracts as c
from services.accounts.identity.api_tokens import ApiTokens
from services.accounts.identity.beginning import Beginning
from services.accounts.identity.devices import Devices
from services.accounts.identity.errands import Errands
from services.accounts.identity.following import Following
from services.accounts.identity.joining import Joining
from services.accounts.identity.letters import Letters
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.login import Login
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.identity.profile import Profile
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.identity.sessions import Sessions
from services.accounts.identity.tallies import Tallies
from services.accounts.identity.upkeep import keep_swept
from services.accounts.second_factors.service import SecondFactors
from services.accounts.settings import AccountsSettings


class Identity:
    """The rules about people, each where it is asked for; others use those with names."""

    def __init__(
        self,
        settings: AccountsSettings,
        passwords: Passwords,
        permissions: Permissions,
        database: Database,
        outbox: Outbox,
        vault: Vault,
        letters: Letters,
        metrics: Metrics,
        *,
        origin: str,
    ) -> None:
        self.passwords = passwords
        self.rules = rules = PasswordRules.load()
        self.tallies = tallies = Tallies(settings, vault)
        self.reauthentication = reauthentication = Reauthentication(database, vault, passwords)
        self.devices = devices = Devices(vault)
        self.lockout = lockout = Lockout(vault)
        self._errands = errands = Errands(database, outbox, vault, tallies, letters)
        self.sessions = sessions = Sessions(settings, database)
        self._api_tokens = ApiTokens(database, permissions)
        self._joining = Joining(settings, database, rules, passwords, tallies, errands)
        beginning = Beginning(vault, sessions, devices, tallies, letters)
        self.factors = factors = SecondFactors(
            database, vault, beginning, reauthentication, lockout, tallies, errands, letters,
            metrics, origin=origin,
        )  # fmt: skip
        self._login = Login(
            database, passwords, beginning, factors.asking, devices, lockout, tallies, errands,
            metrics,
        )  # fmt: skip
        self._profile = Profile(
            database, rules, passwords, reauthentication, sessions, devices, errands, letters
        )
        self._following = Following(
            database, rules, passwords, reauthentication, sessions, devices, lockout, letters
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: AccountsSettings,
        permissions: Permissions,
        database: Database,
        outbox: Outbox,
        vault: Vault,
        letters: Letters,
        metrics: Metrics,
        *,
        origin: str,
    ) -> AsyncIterator["Identity"]:
        """Run what they need: threads for passwords, and the clearing away of what has expired."""
        async with Passwords.open(metrics) as passwords, asyncio.TaskGroup() as tasks:
            identity = cls(
                settings, passwords, permissions, database, outbox, vault, letters, metrics,
                origin=origin,
            )  # fmt: skip
            sweeping = tasks.create_task(keep_swept(database, settings), name="accounts upkeep")
            try:
                yield identity
            finally:
                sweeping.cancel()

    def endpoints(self) -> list[Endpoint[Any, Any]]:
        """Give what is answered."""
        return [
            Endpoint(c.LOG_IN, self._login.log_in),
            Endpoint(c.SESSION, self.sessions.authenticate),
            Endpoint(c.LIST_SESSIONS, self.sessions.page),
            Endpoint(c.GET_SESSION, self.sessions.get),
            Endpoint(c.END_SESSION, self.sessions.end),
            Endpoint(c.SIGN_UP, self._joining.sign_up),
            Endpoint(c.ASK_RESET, self._joining.ask_reset),
            Endpoint(c.GET_USER, self._profile.get),
            Endpoint(c.CHANGE_USER, self._profile.change),
            Endpoint(c.CHANGE_PASSWORD, self._profile.change_password),
            Endpoint(c.CHANGE_EMAIL, self._profile.change_email),
            Endpoint(c.GET_LINK, self._following.look),
            Endpoint(c.USE_LINK, self._following.use),
            Endpoint(c.LIST_API_TOKENS, self._api_tokens.page),
            Endpoint(c.GET_API_TOKEN, self._api_tokens.get),
            Endpoint(c.CREATE_API_TOKEN, self._api_tokens.create),
            Endpoint(c.REVOKE_API_TOKEN, self._api_tokens.revoke),
            *self.factors.endpoints(),
        ]

    def consumers(self) -> list[Consumer[Any]]:
        """Give what is heard."""
        return [self._errands.consumer()]
