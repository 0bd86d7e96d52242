"""Members: seen, given another role, removed, leaving."""

from hub import Connection, Database, NotFound, Nothing, Role
from services.accounts.organisations import contracts as c
from services.accounts.organisations.invitations import withdraw_beyond
from services.accounts.organisations.standing import (
    SQL,
    check_may_manage,
    check_stays_owned,
    check_version,
    lock,
    member,
    role_of,
)


class Members:
    """The rules of members.

    Whether the owners of an account stay is known of people, who belong to no account; so this is
    done in the hub's own transactions, each statement of which names the account.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, request: c.ListMembers) -> c.Members:
        """Give a page of an account's members."""
        async with self._database.system() as tx:
            rows = await tx.all(
                SQL["list_members"],
                c.Member,
                account=request.account,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Members.of(rows, request.limit)

    async def get(self, request: c.OneMember) -> c.Member:
        """Give one member."""
        async with self._database.system() as tx:
            found = await tx.maybe(
                SQL["get_member"], c.Member, account=request.account, user=request.user
            )
        if found is None:
            raise NotFound("no such member")
        return found

    async def change(self, request: c.ChangeMember) -> c.Member:
        """Give a member another role; it counts from the next request on.

        Raises:
            Forbidden: who asks may not.
            Conflict: the account would have no owner.
        """
        account, user = request.account, request.user
        async with self._database.system() as tx:
            await lock(tx, account)
            held = await member(tx, account, user)
            check_version(str(held.version), request.versions, "the member")
            check_may_manage(await role_of(tx, account, request.by), held.role, request.role)
            if request.role is not Role.OWNER:
                await check_stays_owned(tx, account, user, held.role)
            if request.role is not held.role:
                await set_role(tx, account, user, request.role)
        return await self.get(c.OneMember(account, user))

    async def remove(self, request: c.RemoveMember) -> Nothing:
        """Take a member out, at once: their tokens and sessions here stop.

        Raises:
            Forbidden: who asks may not, and it is not they themselves.
            Conflict: the account would have no owner.
        """
        account, user = request.account, request.user
        async with self._database.system() as tx:
            await lock(tx, account)
            held = await member(tx, account, user)
            check_version(str(held.version), request.versions, "the member")
            if user != request.by:
                check_may_manage(await role_of(tx, account, request.by), held.role)
            await check_stays_owned(tx, account, user, held.role)
            await take_out(tx, account, user)
        return Nothing()


async def set_role(tx: Connection, account: str, user: str, role: Role) -> None:
    """Write down another role; whoever calls this holds the account, and has checked it."""
    await tx.run(SQL["change_role"], account=account, user=user, role=role)
    if role is Role.OWNER:  # an owner has all rights everywhere
        await tx.run(SQL["widen_everywhere"], account=account, user=user)
    else:
        await tx.run(SQL["withdraw_offers"], account=account, user=user)
    await withdraw_beyond(tx, account, user, role)


async def take_out(tx: Connection, account: str, user: str) -> None:
    """Take somebody out of an account, with what they could come in by."""
    await tx.run(SQL["revoke_tokens"], account=account, user=user)
    await withdraw_beyond(tx, account, user, None)
    await tx.run(SQL["remove_member"], account=account, user=user)
