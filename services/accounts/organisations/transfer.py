"""Handing an account over: an owner offers it, another member says yes, and both happen at once."""

import secrets
from typing import Any, Final

import msgspec

from hub import Conflict, Connection, Database, Forbidden, NotFound, Nothing, Queries, Role
from services.accounts.identity.contracts import Locale
from services.accounts.identity.errors import DeadLink
from services.accounts.identity.letters import Letters
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.organisations import invitation_contracts as c
from services.accounts.organisations.members import set_role
from services.accounts.organisations.standing import (
    check_stays_owned,
    check_version,
    lock,
    member,
    role_of,
)
from services.accounts.tokens import digest_of

LIFETIME: Final = 7 * 86_400.0
"""Seconds for which an offer is good."""
TRANSFER: Final = "transfer"
"""Kind of the link in the mail to whoever is to be owner."""

SQL: Final = Queries.load("services.accounts.organisations", "transfer.sql")


class _Person(msgspec.Struct, frozen=True):
    user: str
    name: str
    email: str
    locale: Locale


class _Used(msgspec.Struct, frozen=True):
    giver: str
    receiver: str
    role: Role


class Transfers:
    """The rules of handing over."""

    def __init__(
        self, database: Database, reauthentication: Reauthentication, letters: Letters
    ) -> None:
        self._database = database
        self._reauthentication = reauthentication
        self._letters = letters

    async def offer(self, request: c.OfferTransfer) -> c.Transfer:
        """Offer one's ownership; all owners are told, and the receiver has a link.

        Raises:
            Invalid: the password is not that of who asks.
            Forbidden: who asks is no owner.
            NotFound: the other is no member.
            Conflict: the other is an owner already.
        """
        account, token = request.account, secrets.token_urlsafe(32)
        await self._reauthentication.check(request.by, request.password, pointer="/password")
        async with self._database.system() as tx:
            await lock(tx, account)
            if await role_of(tx, account, request.by) is not Role.OWNER:
                raise Forbidden("only an owner hands an account over")
            if (await member(tx, account, request.to)).role is Role.OWNER:
                raise Conflict("this member is an owner already")
            await tx.run(SQL["withdraw"], account=account)
            await tx.run(
                SQL["offer"],
                account=account,
                giver=request.by,
                receiver=request.to,
                role=request.role,
                digest=digest_of(token),
                seconds=LIFETIME,
            )
            made = await tx.one(SQL["get"], c.Transfer, account=account)
            giver, receiver = [
                await tx.one(SQL["person"], _Person, user=user) for user in (request.by, request.to)
            ]
            await self._tell(
                tx, account, "transfer-offer", receiver, giver=giver.name,
                link=self._letters.link(TRANSFER, token, receiver.locale),
            )  # fmt: skip
            for owner in await tx.all(SQL["owners"], _Person, account=account):
                await self._tell(
                    tx, account, "transfer-offered", owner,
                    giver=giver.name, receiver=receiver.name,
                )  # fmt: skip
        return made

    async def get(self, request: c.OneTransfer) -> c.Transfer:
        """Give the offer that waits.

        Raises:
            NotFound: none does.
        """
        async with self._database.transaction(account=request.account) as tx:
            return await self._get(tx, request.account)

    async def withdraw(self, request: c.WithdrawTransfer) -> Nothing:
        """Take an offer back, as an owner, or decline it, as the receiver."""
        account = request.account
        async with self._database.transaction(account=account) as tx:
            await lock(tx, account)
            found = await self._get(tx, account)
            check_version(found.version, request.versions, "the offer")
            owner = await role_of(tx, account, request.by) is Role.OWNER
            if not owner and request.by != found.receiver:
                raise Forbidden("only an owner, or who is to be one, may do that")
            await tx.run(SQL["withdraw"], account=account)
        return Nothing()

    async def look(self, request: c.TransferLink) -> c.Offered:
        """Say what a link is about; nothing changes, whoever looks.

        Raises:
            DeadLink: it is not good.
        """
        async with self._database.system() as tx:
            return await self._of_link(tx, bytes.fromhex(request.digest))

    async def accept(self, request: c.AcceptTransfer) -> c.Offered:
        """Make the receiver an owner, and the giver what they wanted to be: both, or neither.

        Raises:
            DeadLink, NotFound: there is no such offer (any more).
            Forbidden: it is for somebody else.
            Conflict: the giver is no owner any more, or the receiver is being deleted.
        """
        digest = bytes.fromhex(request.digest)
        async with self._database.system() as tx:
            account = request.account
            if digest:
                account = (await self._of_link(tx, digest)).account
            await lock(tx, account)
            offered = await (self._of_link(tx, digest) if digest else self._offered(tx, account))
            used = await tx.maybe(SQL["use"], _Used, account=account, digest=digest)
            if used is None:
                raise DeadLink("it was accepted, withdrawn or replaced")
            if not digest and used.receiver != request.by:
                raise Forbidden("this is offered to another member")
            if (await member(tx, account, used.giver)).role is not Role.OWNER:
                raise Conflict("whoever offered it is no owner any more")
            await set_role(tx, account, used.receiver, Role.OWNER)
            await check_stays_owned(tx, account, used.giver, Role.OWNER)
            await set_role(tx, account, used.giver, used.role)
            await self._tell_all(tx, account, used)
        return offered

    async def _get(self, tx: Connection, account: str) -> c.Transfer:
        found = await tx.maybe(SQL["get"], c.Transfer, account=account)
        if found is None:
            raise NotFound("nobody offers this account to anybody")
        return found

    async def _of_link(self, tx: Connection, digest: bytes) -> c.Offered:
        found = await tx.maybe(SQL["of_link"], c.Offered, digest=digest)
        if found is None:
            raise DeadLink("it was accepted, withdrawn or replaced, or has expired")
        return found

    async def _offered(self, tx: Connection, account: str) -> c.Offered:
        found = await self._get(tx, account)
        giver = await tx.one(SQL["person"], _Person, user=found.giver)
        name = await tx.one(SQL["account_name"], str, account=account)
        return c.Offered(account, name, giver.name)

    async def _tell_all(self, tx: Connection, account: str, used: _Used) -> None:
        """Tell every owner, and whoever was one until now."""
        giver, receiver = [
            await tx.one(SQL["person"], _Person, user=user) for user in (used.giver, used.receiver)
        ]
        for one in [giver, *await tx.all(SQL["owners"], _Person, account=account)]:
            await self._tell(
                tx, account, "transfer-done", one, giver=giver.name, receiver=receiver.name
            )

    async def _tell(
        self, tx: Connection, account: str, mail: str, to: _Person, **values: Any
    ) -> None:
        name = await tx.one(SQL["account_name"], str, account=account)
        await self._letters.send(
            tx, mail, to.user, to.email, to.locale, account=account, name=name, **values
        )
