"""Checking what somebody shows as a second factor; it is used up by that."""

from hub import Connection, Queries
from services.accounts.identity.letters import Letters
from services.accounts.identity.people import Person
from services.accounts.second_factors.contracts import Factors, Proof
from services.accounts.second_factors.passkeys import Passkeys
from services.accounts.second_factors.recovery import FEW, RecoveryCodes
from services.accounts.second_factors.totp import Totp


class Checking:
    """Knows the factors of everybody, in the caller's transaction (of the system)."""

    def __init__(
        self, totp: Totp, codes: RecoveryCodes, passkeys: Passkeys, letters: Letters
    ) -> None:
        self._totp = totp
        self._codes = codes
        self._passkeys = passkeys
        self._letters = letters
        self._sql = Queries.load("services.accounts.second_factors")

    async def factors(self, tx: Connection, user: str) -> Factors:
        """Say what somebody has."""
        return await tx.one(self._sql["factors_of"], Factors, user=user)

    async def accept(self, tx: Connection, person: Person, proof: Proof, challenge: str) -> bool:
        """Say whether this is a factor of somebody who is held.

        Args:
            challenge: digest of the one that a passkey has signed.
        """
        if proof.totp is not None:
            return await self._totp.accept(tx, person.id, proof.totp)
        if proof.recovery_code is not None:
            right = await self._codes.use(tx, person.id, proof.recovery_code)
            if right:
                await self._tell(tx, person)
            return right
        if proof.passkey is not None and challenge:
            return await self._passkeys.accept(
                tx, person.id, proof.passkey, bytes.fromhex(challenge), verified=False
            )
        return False

    async def _tell(self, tx: Connection, person: Person) -> None:
        left = await self._codes.left(tx, person.id)
        await self._letters.send(
            tx, "recovery-used", person.id, person.email, person.locale,
            left=left, few=left <= FEW,
        )  # fmt: skip
