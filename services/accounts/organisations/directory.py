"""Accounts: those that a person is in, what they are called, and new ones."""

from typing import Final

import msgspec

from hub import Conflict, Connection, Database, Forbidden, NotFound, Role
from hub.ids import new
from services.accounts.identity.contracts import Locale
from services.accounts.identity.letters import Letters
from services.accounts.organisations import contracts as c
from services.accounts.organisations.standing import SQL, check_may_manage, lock, role_of

MOST_OWNED: Final = 20
"""Accounts that one person may own."""


class _Reader(msgspec.Struct, frozen=True):
    user: str
    email: str
    locale: Locale


class Directory:
    """The rules of accounts themselves."""

    def __init__(self, database: Database, letters: Letters) -> None:
        self._database = database
        self._letters = letters

    async def page(self, request: c.ListAccounts) -> c.Accounts:
        """Give a page of the accounts that a person is a member of."""
        async with self._database.system() as tx:
            rows = await tx.all(
                SQL["list_accounts"],
                c.Account,
                user=request.user,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Accounts.of(rows, request.limit)

    async def get(self, request: c.GetAccount) -> c.Account:
        """Give one account.

        Raises:
            NotFound: there is none, or who asks is not in it.
        """
        async with self._database.transaction(account=request.account) as tx:
            found = await tx.maybe(
                SQL["get_account"], c.Account, account=request.account, by=request.by
            )
        if found is None:
            raise NotFound("no such account")
        return found

    async def found(self, request: c.FoundAccount) -> c.Account:
        """Make an account with one owner.

        Raises:
            Conflict: that person owns as many as one may, or is being deleted.
        """
        account = new("acc")
        async with self._database.system() as tx:
            if not await tx.maybe(SQL["lock_person"], str, user=request.by):
                raise NotFound("no such person")
            if await tx.one(SQL["leaves"], bool, user=request.by):
                raise Conflict("you are being deleted: undo that first")
            if await tx.one(SQL["owned"], int, user=request.by) >= MOST_OWNED:
                raise Conflict(f"a person owns at most {MOST_OWNED} accounts: leave or delete one")
            await tx.run(SQL["add_account"], account=account, name=request.name)
            await tx.run(SQL["add_member"], account=account, user=request.by, role=Role.OWNER)
        return await self.get(c.GetAccount(account, request.by))

    async def change(self, request: c.ChangeAccount) -> c.Account:
        """Change what an account is called, and whether its members need a second factor.

        Raises:
            Forbidden: who asks may not.
            Conflict: they would lock themselves out.
        """
        account = request.account
        async with self._database.system() as tx:
            await lock(tx, account, request.versions)
            role = await role_of(tx, account, request.by)
            check_may_manage(role)
            required = await tx.one(SQL["requires_factor"], bool, account=account)
            wanted = request.require_second_factor
            wanted = required if wanted is None else wanted
            if wanted is not required:
                await self._check_may_require(tx, role, request.by)
            await tx.run(SQL["change_account"], account=account, name=request.name, required=wanted)
            if wanted and not required:
                await self._tell(tx, account, request.name)
        return await self.get(c.GetAccount(account, request.by))

    async def _check_may_require(self, tx: Connection, role: Role, by: str) -> None:
        """See that somebody may decide about the factors of members.

        Raises:
            Forbidden: they are no owner, or no person.
            Conflict: they have no factor themselves.
        """
        if role is not Role.OWNER or not by:
            raise Forbidden("only an owner decides whether members need a second factor")
        if not await tx.one(SQL["has_factor"], bool, user=by):
            raise Conflict(
                "you have no second factor yourself, and would be locked out: add one first, at "
                "POST /api/v1/users/me/totp or POST /api/v1/users/me/passkeys/options"
            )

    async def _tell(self, tx: Connection, account: str, name: str) -> None:
        """Tell those who are kept out now what lets them in again."""
        for one in await tx.all(SQL["members_without_factor"], _Reader, account=account):
            await self._letters.send(
                tx, "factor-required", one.user, one.email, one.locale, account=account, name=name
            )
