"""Invitations by mail: whoever reads the address may join, by a link that is good once."""

import re
import secrets
from typing import Final

import msgspec

from hub import (
    ADMINS,
    Conflict,
    Connection,
    Database,
    LimitReached,
    NotFound,
    Nothing,
    Queries,
    Role,
    Vault,
)
from hub.ids import new
from services.accounts.identity.letters import Letters
from services.accounts.identity.people import normalised
from services.accounts.identity.tallies import Tallies
from services.accounts.organisations import invitation_contracts as c
from services.accounts.organisations.standing import (
    check_may_manage,
    check_version,
    lock,
    role_of,
)
from services.accounts.tokens import digest_of

LIFETIME: Final = 7 * 86_400.0
"""Seconds for which an invitation is good."""
MOST_WAITING: Final = 100
"""Invitations of an account that may wait, expired ones included."""
INVITATION: Final = "invitation"
"""Kind of the link in the mail."""

DAY: Final = 86_400.0
HOUR: Final = 3_600.0
_LIMITS: Final = (
    ("of the account", 200, DAY),
    ("to an address", 10, DAY),
    ("of the account to an address", 3, HOUR),
)
"""Mails, counted by whom they are of or to: how many in how many seconds."""

SQL: Final = Queries.load("services.accounts.organisations", "invitations.sql")


_LIKE_A_LINK: Final = re.compile(r"[/:@\\]|\w\.\w|www", re.IGNORECASE)


class _Named(msgspec.Struct, frozen=True):
    account: str
    inviter: str
    email: str


class Invitations:
    """The rules of those who invite; `Accepting` has those of whoever is invited."""

    def __init__(
        self, database: Database, vault: Vault, tallies: Tallies, letters: Letters
    ) -> None:
        self._database = database
        self._vault = vault
        self._tallies = tallies
        self._letters = letters

    async def invite(self, request: c.Invite) -> c.Invitation:
        """Mail a link to join; one that waits for the same address is good no more.

        Whether the address belongs to somebody here changes nothing that who asks could see.

        Raises:
            Forbidden: who asks may not invite to this role.
            Conflict: there is such a member, or too many wait.
            LimitReached: too many mails were sent.
        """
        account, email, identifier = request.account, normalised(request.email), new("inv")
        async with self._database.system() as tx:
            await lock(tx, account)
            replaced = await tx.maybe(SQL["role_at"], Role, account=account, email=email)
            touched = (request.role,) if replaced is None else (request.role, replaced)
            check_may_manage(await role_of(tx, account, request.by), *touched)
            if await tx.one(SQL["member_at"], bool, account=account, email=email):
                raise Conflict("whoever has this address is a member already")
            await tx.run(SQL["replace"], account=account, email=email)
            if await tx.one(SQL["waiting"], int, account=account) >= MOST_WAITING:
                raise Conflict(f"{MOST_WAITING} invitations wait already: withdraw some")
            token = secrets.token_urlsafe(32)
            await tx.run(
                SQL["add"],
                id=identifier,
                account=account,
                email=email,
                role=request.role,
                locale=request.locale,
                by=request.by,
                digest=digest_of(token),
                seconds=LIFETIME,
            )
            made = await tx.one(SQL["get"], c.Invitation, invitation=identifier, account=account)
            await self._send(tx, account, request.by, made, token)
        return made

    async def page(self, request: c.ListInvitations) -> c.Invitations:
        """Give a page of an account's invitations."""
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                SQL["list"],
                c.Invitation,
                account=request.account,
                after=request.after,
                limit=request.limit + 1,
            )
        return c.Invitations.of(rows, request.limit)

    async def get(self, request: c.OneInvitation) -> c.Invitation:
        """Give one invitation."""
        async with self._database.transaction(account=request.account) as tx:
            return await self._get(tx, request.account, request.invitation)

    async def resend(self, request: c.ChangeInvitation) -> c.Invitation:
        """Mail another link, good for as long again; the one before is good no more.

        Raises:
            LimitReached: too many mails were sent.
        """
        account, token = request.account, secrets.token_urlsafe(32)
        async with self._database.system() as tx:
            found = await self._held(tx, request)
            await tx.run(
                SQL["renew"],
                invitation=found.id,
                account=account,
                digest=digest_of(token),
                seconds=LIFETIME,
            )
            made = await self._get(tx, account, found.id)
            await self._send(tx, account, request.by, made, token)
        return made

    async def withdraw(self, request: c.ChangeInvitation) -> Nothing:
        """Let an invitation be good no more."""
        async with self._database.transaction(account=request.account) as tx:
            found = await self._held(tx, request)
            await tx.run(SQL["withdraw"], invitation=found.id, account=request.account)
        return Nothing()

    async def _get(self, tx: Connection, account: str, invitation: str) -> c.Invitation:
        found = await tx.maybe(SQL["get"], c.Invitation, invitation=invitation, account=account)
        if found is None:
            raise NotFound("no such invitation: it was accepted, withdrawn or replaced")
        return found

    async def _held(self, tx: Connection, request: c.ChangeInvitation) -> c.Invitation:
        """Hold the account, and give the invitation that who asks may change."""
        await lock(tx, request.account)
        found = await self._get(tx, request.account, request.invitation)
        check_version(str(found.version), request.versions, "the invitation")
        check_may_manage(await role_of(tx, request.account, request.by), found.role)
        return found

    async def _send(
        self, tx: Connection, account: str, by: str, made: c.Invitation, token: str
    ) -> None:
        for (what, most, seconds), whose in zip(
            _LIMITS, (account, made.email, f"{account} {made.email}"), strict=True
        ):
            key = self._vault.keyed(f"invitations {what}", whose)
            if not await self._tallies.take(tx, key, most, seconds):
                raise LimitReached("too many invitations were mailed: try again later")
        named = await tx.one(SQL["inviter"], _Named, account=account, by=by)
        await self._letters.send(
            tx, "invitation", made.id, made.email, made.locale,
            account=account, valid_for=LIFETIME,
            inviter=harmless(named.inviter, named.email or "somebody"),
            name=harmless(named.account, "their account"),
            role=made.role, link=self._letters.link(INVITATION, token, made.locale),
        )  # fmt: skip


def harmless(name: str, instead: str) -> str:
    """Give a name that its owner chose, unless a mail program would make a link of it.

    An invitation goes to whomever one likes: it must not carry anybody's advertisement.
    """
    return instead if _LIKE_A_LINK.search(name) else name


async def withdraw_beyond(tx: Connection, account: str, user: str, role: Role | None) -> None:
    """Withdraw what somebody could not invite to any more.

    Args:
        role: that they have from now on; None: they are no member.
    """
    gone = [Role.OWNER] if role is Role.ADMIN else [*Role] if role not in ADMINS else []
    if gone:
        await tx.run(SQL["withdraw_of"], account=account, user=user, roles=gone)
