"""Passkeys as they are kept, and what they have signed."""

from typing import Any, Final

import msgspec
import structlog

from hub import Conflict, Connection, FieldError, Invalid, NotFound, Queries
from hub.ids import new
from services.accounts.identity.people import Person
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.relying_party import (
    Credential,
    Refused,
    RelyingParty,
    credential_of,
)

MOST: Final = 20
"""Passkeys of a person."""

_log = structlog.stdlib.get_logger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    id: str
    public_key: bytes
    sign_count: int


class Passkeys:
    """Keeps and checks passkeys, in the caller's transaction (of the system)."""

    def __init__(self, party: RelyingParty) -> None:
        self._party = party
        self._sql = Queries.load("services.accounts.second_factors")

    async def to_register(self, tx: Connection, person: Person, challenge: bytes) -> dict[str, Any]:
        """Give what a browser is to make a passkey of this person with.

        Raises:
            Conflict: there are too many, or none can be had here.
        """
        there = await self._of(tx, person.id)
        if len(there) >= MOST:
            raise Conflict(f"{MOST} passkeys are the most: remove some")
        return self._party.to_register(challenge, person.id, person.email, person.name, there)

    async def add(
        self, tx: Connection, user: str, name: str, credential: c.NewCredential, challenge: bytes
    ) -> c.Passkey:
        """Keep a new passkey.

        Raises:
            Invalid: it does not answer the challenge.
            Conflict: it is kept already, or there are too many.
        """
        try:
            verified = self._party.registered(credential, challenge)
        except Refused as refusal:
            _log.warning("a new passkey was refused", user=user, reason=str(refusal))
            wrong = FieldError("/credential", "it does not answer the challenge of this hub")
            raise Invalid("the passkey does not verify", errors=[wrong]) from None
        if len(await self._of(tx, user)) >= MOST:
            raise Conflict(f"{MOST} passkeys are the most: remove some")
        added = await tx.maybe(
            self._sql["add_passkey"],
            c.Passkey,
            id=new("pky"),
            user=user,
            name=name,
            credential=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            transports=list(credential.response.transports),
        )
        if added is None:
            raise Conflict("this passkey is known already")
        return added

    async def to_authenticate(self, tx: Connection, user: str, challenge: bytes) -> dict[str, Any]:
        """Give what a browser is to ask this person for a passkey with."""
        return self._party.to_authenticate(challenge, await self._of(tx, user), verified=False)

    def to_enter(self, challenge: bytes) -> dict[str, Any]:
        """Give what a browser is to ask anybody for a passkey with, who is then logged in."""
        return self._party.to_authenticate(challenge, (), verified=True)

    async def owner(self, tx: Connection, assertion: c.Assertion) -> str | None:
        """Give whose passkey is shown; nothing is proven by that."""
        credential = credential_of(assertion.raw_id)
        return await tx.maybe(self._sql["owner_of_credential"], str, credential=credential)

    async def accept(
        self,
        tx: Connection,
        user: str,
        assertion: c.Assertion,
        challenge: bytes,
        *,
        verified: bool,
    ) -> bool:
        """Say whether a passkey of this person has signed the challenge.

        Args:
            verified: the authenticator has to have made sure of its user.
        """
        kept = await tx.maybe(
            self._sql["lock_passkey"],
            _Kept,
            user=user,
            credential=credential_of(assertion.raw_id),
        )
        if kept is None:
            return False
        handle = assertion.response.user_handle
        try:
            if handle and credential_of(handle) != user.encode():
                raise Refused("it is the passkey of somebody else")
            outcome = self._party.authenticated(
                assertion,
                challenge,
                public_key=kept.public_key,
                sign_count=kept.sign_count,
                verified=verified,
            )
        except Refused as refusal:
            _log.warning("a passkey was refused", passkey=kept.id, reason=str(refusal))
            return False
        count = outcome.new_sign_count
        await tx.run(self._sql["see_passkey"], passkey=kept.id, sign_count=count)
        return True

    async def page(self, tx: Connection, request: c.ListPasskeys) -> c.Passkeys:
        """Give a page of somebody's."""
        rows = await tx.all(
            self._sql["list_passkeys"],
            c.Passkey,
            user=request.user,
            after=request.after,
            limit=request.limit + 1,
        )
        return c.Passkeys.of(rows, request.limit)

    async def get(self, tx: Connection, user: str, passkey: str) -> c.Passkey:
        """Give one.

        Raises:
            NotFound: it is not there, or another person's.
        """
        return _there(
            await tx.maybe(self._sql["get_passkey"], c.Passkey, user=user, passkey=passkey)
        )

    async def rename(self, tx: Connection, user: str, passkey: str, name: str) -> c.Passkey:
        """Call one something else.

        Raises:
            NotFound: it is not there, or another person's.
        """
        values = {"user": user, "passkey": passkey, "name": name}
        return _there(await tx.maybe(self._sql["rename_passkey"], c.Passkey, **values))

    async def remove(self, tx: Connection, user: str, passkey: str) -> str:
        """Forget one, and give its name.

        Raises:
            NotFound: it is not there, or another person's.
        """
        name = await tx.maybe(self._sql["remove_passkey"], str, user=user, passkey=passkey)
        if name is None:
            raise NotFound("no such passkey")
        return name

    async def _of(self, tx: Connection, user: str) -> list[Credential]:
        return await tx.all(self._sql["credentials_of"], Credential, user=user)


def _there(passkey: c.Passkey | None) -> c.Passkey:
    if passkey is None:
        raise NotFound("no such passkey")
    return passkey
