"""Asking for the end of an account, and undoing that: until it begins, nothing is lost."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from hub import Conflict, Connection, Database, Forbidden, NotFound, Nothing, Outbox, Role
from services.accounts.deletion import contracts as c
from services.accounts.deletion.keepers import Keepers
from services.accounts.deletion.own import SQL
from services.accounts.identity.contracts import Locale
from services.accounts.identity.errors import DeadLink
from services.accounts.identity.letters import Letters
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.organisations.standing import check_version, lock, role_of
from services.accounts.tokens import digest_of

UNDO = "keep"
"""Kind of the link that undoes it."""


class Asked(msgspec.Struct, frozen=True):
    """The end of an account, or of a person, that somebody asked for; `begun`: for good."""

    requested_at: datetime
    due_at: datetime
    begun: bool
    version: str


class _Owner(msgspec.Struct, frozen=True):
    user: str
    email: str
    locale: Locale


class Closing:
    """The rules of asking for it and undoing it.

    Args:
        grace: seconds between the two.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        reauthentication: Reauthentication,
        letters: Letters,
        keepers: Keepers,
        *,
        clock: Callable[[], datetime],
        grace: float,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._reauthentication = reauthentication
        self._letters = letters
        self._keepers = keepers
        self._clock = clock
        self._grace = grace

    async def get(self, request: c.OneDeletion) -> c.Deletion:
        """Say what goes with an account, and whether that was asked for."""
        looked = await self._keepers.look(request.account)
        counts, unknown = looked.counts, looked.unknown
        async with self._database.system() as tx:
            asked = await tx.maybe(SQL["get"], Asked, account=request.account)
        if asked is None:
            return c.Deletion(counts, unknown)
        return c.Deletion(
            counts, unknown, asked.requested_at, asked.due_at, asked.begun, asked.version
        )

    async def request(self, request: c.RequestDeletion) -> c.Deletion:
        """Have an account deleted when the grace is over; from now on nothing in it changes.

        Its tokens and its devices are let in no more, and who is in no other account is logged
        out.

        Raises:
            Invalid: the password is not that of who asks.
            Forbidden: who asks is no owner.
            Conflict: it is asked for already.
        """
        account, token = request.account, secrets.token_urlsafe(32)
        await self._reauthentication.check(request.by, request.password, pointer="/password")
        async with self._database.system() as tx:
            await lock(tx, account)
            await self._check_owner(tx, account, request.by)
            await self._close(tx, account, self._clock(), token)
            await tx.run(SQL["end_sessions"], account=account)
            asked = await tx.one(SQL["get"], Asked, account=account)
            for owner in await tx.all(SQL["owners"], _Owner, account=account):
                await self._tell(
                    tx, account, "account-closing", owner,
                    due=f"{asked.due_at:%Y-%m-%d %H:%M} UTC",
                    link=self._letters.link(UNDO, token, owner.locale),
                )  # fmt: skip
        return await self.get(c.OneDeletion(account))

    async def undo(self, request: c.UndoDeletion) -> Nothing:
        """Let an account go on as it was.

        Raises:
            NotFound: nobody asked for its deletion.
            Forbidden: who asks is no owner.
            Conflict: the erasure has begun.
        """
        async with self._database.system() as tx:
            asked = await self._locked(tx, request.account)
            check_version(asked.version, request.versions, "the deletion")
            await self._check_owner(tx, request.account, request.by)
            await self._go_on(tx, request.account)
        return Nothing()

    async def look(self, request: c.UndoLink) -> c.Undone:
        """Say which account a link is about; nothing changes.

        Raises:
            DeadLink: it is not good.
        """
        async with self._database.system() as tx:
            return await self._of_link(tx, request.digest)

    async def undo_by_link(self, request: c.UndoLink) -> c.Undone:
        """Let an account go on, for whoever reads the mails of an owner.

        Raises:
            DeadLink: the link is not good (any more).
        """
        async with self._database.system() as tx:
            found = await self._of_link(tx, request.digest)
            await self._locked(tx, found.account)
            found = await self._of_link(tx, request.digest)  # of many at once, one
            await self._go_on(tx, found.account)
        return found

    async def take_along(self, tx: Connection, account: str, user: str, now: datetime) -> None:
        """Have an account deleted with the person who is alone in it, and is told of both at once.

        Whoever calls this holds the account.
        """
        await self._close(tx, account, now, secrets.token_urlsafe(32), along_with=user)

    async def bring_back(self, tx: Connection, user: str) -> None:
        """Let those accounts go on that were to go along with a person, who stays."""
        for account in await tx.all(SQL["along_with"], str, user=user):
            await tx.run(SQL["undo"], account=account)
            await self._changed(tx, account, closing=False)

    async def say_goodbye(self, tx: Connection, account: str) -> None:
        """Tell the owners that an account is gone, in the transaction that ends it."""
        for owner in await tx.all(SQL["owners"], _Owner, account=account):
            await self._tell(tx, account, "account-erased", owner, sealed_by="")

    async def _locked(self, tx: Connection, account: str) -> Asked:
        """Hold what was asked for.

        Raises:
            NotFound: nothing was.
            Conflict: it is being done.
        """
        asked = await tx.maybe(SQL["lock"], Asked, account=account)
        if asked is None:
            raise NotFound("nobody asked for the deletion of this account")
        if asked.begun:
            raise Conflict("the erasure has begun, and cannot be undone any more")
        return asked

    async def _of_link(self, tx: Connection, digest: str) -> c.Undone:
        found = await tx.maybe(SQL["of_link"], c.Undone, digest=bytes.fromhex(digest))
        if found is None:
            raise DeadLink("the deletion was undone already, or it has begun")
        return found

    async def _close(
        self,
        tx: Connection,
        account: str,
        now: datetime,
        token: str,
        *,
        along_with: str | None = None,
    ) -> None:
        await tx.run(
            SQL["request"],
            account=account,
            now=now,
            grace=self._grace,
            digest=digest_of(token),
            along_with=along_with,
        )
        await self._changed(tx, account, closing=True)

    async def _go_on(self, tx: Connection, account: str) -> None:
        if not await tx.one(SQL["has_owner_who_stays"], bool, account=account):
            raise Conflict(
                "its owners are being deleted themselves: one of them has to undo that, at "
                "DELETE /api/v1/users/me/deletion or by the link in the mail"
            )
        await tx.run(SQL["undo"], account=account)
        await self._changed(tx, account, closing=False)
        for owner in await tx.all(SQL["owners"], _Owner, account=account):
            await self._tell(tx, account, "account-goes-on", owner)

    async def _check_owner(self, tx: Connection, account: str, by: str) -> None:
        if await role_of(tx, account, by) is not Role.OWNER:
            raise Forbidden("only an owner may delete an account, or undo that")

    async def _changed(self, tx: Connection, account: str, *, closing: bool) -> None:
        event = c.ClosingChanged(account, closing)
        await self._outbox.add(tx, c.CLOSING_CHANGED, event, key=account)

    async def _tell(
        self,
        tx: Connection,
        account: str,
        mail: str,
        owner: _Owner,
        *,
        sealed_by: str | None = None,
        **values: Any,
    ) -> None:
        name = await tx.one(SQL["account_name"], str, account=account)
        await self._letters.send(
            tx, mail, owner.user, owner.email, owner.locale,
            account=account if sealed_by is None else sealed_by, name=name, **values,
        )  # fmt: skip
