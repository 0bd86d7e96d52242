"""Accounts: those that a person is in, what they are called, and new ones."""

from typing import Final

from hub import Conflict, Database, NotFound, Role
from hub.ids import new
from services.accounts.organisations import contracts as c
from services.accounts.organisations.standing import SQL, check_may_manage, lock, role_of

MOST_OWNED: Final = 20
"""Accounts that one person may own."""


class Directory:
    """The rules of accounts themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        return c.Accounts(rows[: request.limit], len(rows) > request.limit)

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

    async def rename(self, request: c.RenameAccount) -> c.Account:
        """Change an account's name."""
        async with self._database.transaction(account=request.account) as tx:
            await lock(tx, request.account, request.versions)
            check_may_manage(await role_of(tx, request.account, request.by))
            await tx.run(SQL["rename_account"], account=request.account, name=request.name)
        return await self.get(c.GetAccount(request.account, request.by))
