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
AT_WORK: Final = 60.0
"""Seconds for which a link that was taken is nobody else's; see `Links.take`."""
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

    async def take(self, tx: Connection, kind: LinkKind, digest: str) -> Held:
        """Look at a link that is about to be used, and keep all others from it for a while.

        Raises:
            DeadLink: it is not good, or somebody else is at work with it.
        """
        held = await tx.maybe(
            self._sql["take_link"],
            Held,
            kind=kind,
            digest=bytes.fromhex(digest),
            seconds=AT_WORK,
        )
        if held is None:
            raise DeadLink(_ANOTHER)
        return held

    async def give_back(self, tx: Connection, digest: str) -> None:
        """Let a link that was taken be as good as it was: it could not be used."""
        await tx.run(self._sql["give_link_back"], digest=bytes.fromhex(digest))

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
