"""Links in mails: 256 bits, kept as a digest, good once and for a while."""

import secrets
from typing import Any, Final

import msgspec

from hub import Connection, Queries
from services.accounts.identity.contracts import LinkKind
from services.accounts.identity.errors import DeadLink
from services.accounts.tokens import digest_of

LIFETIMES: Final[dict[LinkKind, float]] = {
    "verify": 3 * 86_400.0,
    "reset": 3_600.0,
    "unlock": 3_600.0,
    "email": 86_400.0,
}
"""Seconds for which each is good."""
_ANOTHER: Final = "ask for another one"


class Held(msgspec.Struct, frozen=True):
    """A good link: whose it is, and what it was made with."""

    user: str
    data: dict[str, Any]
    email: str

    def __repr__(self) -> str:
        return f"Held(user={self.user!r})"


class NewEmail(msgspec.Struct, frozen=True):
    """What a link to change the address acts with."""

    email: str


class Links:
    """Makes and uses links, in the caller's transaction (of the system)."""

    def __init__(self) -> None:
        self._sql = Queries.load("services.accounts.identity", "links.sql")

    async def make(
        self, tx: Connection, kind: LinkKind, user: str, data: msgspec.Struct | None = None
    ) -> str:
        """Make a link, and give its token: it is known to the mail alone.

        Args:
            data: what it is to act with.
        """
        token = secrets.token_urlsafe(32)
        await tx.run(
            self._sql["add_link"],
            digest=digest_of(token),
            kind=kind,
            user=user,
            data={} if data is None else msgspec.to_builtins(data),
            seconds=LIFETIMES[kind],
        )
        return token

    async def get(self, tx: Connection, kind: LinkKind, digest: str) -> Held:
        """Look at a link; nothing changes.

        Raises:
            DeadLink: it is not good.
        """
        held = await tx.maybe(self._sql["get_link"], Held, kind=kind, digest=bytes.fromhex(digest))
        if held is None:
            raise DeadLink(_ANOTHER)
        return held

    async def use(self, tx: Connection, kind: LinkKind, digest: str) -> None:
        """Use a link up; it is good again if the transaction fails.

        Raises:
            DeadLink: it is not good.
        """
        if not await tx.run(self._sql["use_link"], kind=kind, digest=bytes.fromhex(digest)):
            raise DeadLink(_ANOTHER)

    async def void(self, tx: Connection, user: str, *kinds: LinkKind) -> None:
        """Let other links of a person be good no more."""
        await tx.run(self._sql["void_links"], user=user, kinds=list(kinds))
