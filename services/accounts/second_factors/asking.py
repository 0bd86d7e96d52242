"""Asking somebody whose password was right for a second factor."""

from hub import Connection
from services.accounts.identity.contracts import Challenged, LogIn
from services.accounts.second_factors.challenges import Challenges
from services.accounts.second_factors.checking import Checking
from services.accounts.second_factors.contracts import Factors
from services.accounts.second_factors.passkeys import Passkeys


class Asking:
    """What the first step of a login needs of the second, in the caller's transaction."""

    def __init__(self, checking: Checking, passkeys: Passkeys, challenges: Challenges) -> None:
        self._checking = checking
        self._passkeys = passkeys
        self._challenges = challenges

    async def factors(self, tx: Connection, user: str) -> Factors:
        """Say what somebody has."""
        return await self._checking.factors(tx, user)

    async def ask(
        self,
        tx: Connection,
        user: str,
        password: str,
        factors: Factors,
        attempts_key: bytes,
        request: LogIn,
    ) -> Challenged:
        """Ask for one of their factors.

        Args:
            password: the hash that what they have shown was right for.
            attempts_key: what wrong answers are counted by.

        Raises:
            Unauthenticated: the password was changed meanwhile.
        """
        expires_at = await self._challenges.ask_at_login(
            tx,
            user,
            password,
            digest=request.challenge,
            bound=request.bound,
            attempts_key=attempts_key,
        )
        options = None
        if "passkey" in factors.kinds:
            challenge = bytes.fromhex(request.challenge)
            options = await self._passkeys.to_authenticate(tx, user, challenge)
        return Challenged(factors.kinds, options, expires_at)
