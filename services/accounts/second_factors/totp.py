"""Codes of an authenticator app (TOTP, RFC 6238): six digits, every 30 seconds others."""

import time
from datetime import datetime
from typing import Final

import msgspec
import pyotp

from hub import Conflict, Connection, NotFound, Queries, Secret, Vault
from services.accounts.second_factors.contracts import NewTotp

SKEW: Final = 1
"""Steps by which the clock of the app may differ from ours (RFC 6238, section 5.2)."""


class _Kept(msgspec.Struct, frozen=True):
    sealed: bytes
    confirmed_at: datetime | None

    def __repr__(self) -> str:
        return f"_Kept(confirmed_at={self.confirmed_at!r})"


class Totp:
    """Makes and checks codes, in the caller's transaction (of the system)."""

    def __init__(self, vault: Vault, issuer: str) -> None:
        self._vault = vault
        self._issuer = issuer
        self._sql = Queries.load("services.accounts.second_factors")

    async def start(self, tx: Connection, user: str, email: str) -> NewTotp:
        """Make a secret, which counts once a code of it was shown.

        Raises:
            Conflict: there is one that counts.
        """
        secret = pyotp.random_base32()
        sealed = await self._vault.seal(
            tx, secret.encode(), account="", project="", name=_name(user)
        )
        if not await tx.run(self._sql["start_totp"], user=user, sealed=sealed):
            raise Conflict("you have an authenticator app: remove it first")
        uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=self._issuer)
        return NewTotp(Secret(secret), Secret(uri))

    async def confirm(self, tx: Connection, user: str, code: Secret) -> bool:
        """Let the secret count, if this is a code of it.

        Raises:
            NotFound: none was begun.
            Conflict: it counts already.
        """
        kept = await tx.maybe(self._sql["get_totp"], _Kept, user=user)
        if kept is None:
            raise NotFound("begin with POST /api/v1/users/me/totp")
        if kept.confirmed_at is not None:
            raise Conflict("your authenticator app is confirmed already")
        return await self._take(tx, user, kept, code)

    async def accept(self, tx: Connection, user: str, code: Secret) -> bool:
        """Say whether this is a code of now that was not used yet; it is used by that."""
        kept = await tx.maybe(self._sql["get_totp"], _Kept, user=user)
        if kept is None or kept.confirmed_at is None:
            return False
        return await self._take(tx, user, kept, code)

    async def remove(self, tx: Connection, user: str) -> bool:
        """Forget the secret; False: there was none."""
        return await tx.run(self._sql["remove_totp"], user=user) == 1

    async def _take(self, tx: Connection, user: str, kept: _Kept, code: Secret) -> bool:
        plain = await self._vault.open(tx, kept.sealed, account="", project="", name=_name(user))
        step = step_of(plain.decode(), code.reveal(), time.time())
        if step is None:
            return False
        return await tx.run(self._sql["take_step"], user=user, step=step) == 1


def step_of(secret: str, code: str, now: float) -> int | None:
    """Give the step whose code this is, of those around now; None: it is of none of them."""
    totp = pyotp.TOTP(secret)
    shown = code.replace(" ", "")
    if not shown.isascii():
        return None
    current = int(now) // totp.interval
    steps = [
        step
        for step in range(current - SKEW, current + SKEW + 1)
        if pyotp.utils.strings_equal(totp.generate_otp(step), shown)
    ]
    return steps[-1] if steps else None


def _name(user: str) -> str:
    return f"totp/{user}"
