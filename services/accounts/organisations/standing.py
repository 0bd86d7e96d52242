"""Who may do what to whom in an account: decided on the roles as they are at that very moment.

The gateway looked at the role when the request came. What changes members holds the account's row
and looks again: of two owners who demote each other at once, one stays.
"""

from typing import Final

import msgspec

from hub import ADMINS, Conflict, Connection, Forbidden, NotFound, PreconditionFailed, Queries, Role

RANKS: Final = (Role.OWNER, Role.ADMIN, Role.DEVELOPER, Role.VIEWER, Role.BILLING)
"""Each may less in a project than the one before."""

SQL: Final = Queries.load("services.accounts.organisations")


class _Locked(msgspec.Struct, frozen=True):
    version: int
    closing: bool


class Held(msgspec.Struct, frozen=True):
    """What somebody is in an account."""

    role: Role
    version: int


def is_narrower(role: Role, than: Role) -> bool:
    """Say whether a role may less in a project than another."""
    return RANKS.index(role) > RANKS.index(than)


def version_in_project(member_version: int, narrowed: Role | None) -> str:
    """Give the version of what a member is in a project: that of both roles."""
    return f"{member_version}-{narrowed or 'all'}"


async def lock(tx: Connection, account: str, versions: tuple[str, ...] | None = None) -> None:
    """Hold an account's row until the transaction ends: nobody else changes its members.

    Raises:
        NotFound: there is no such account.
        PreconditionFailed: it has another version.
        Conflict: it is being deleted.
    """
    found = await tx.maybe(SQL["lock_account"], _Locked, account=account)
    if found is None:
        raise NotFound("no such account")
    check_version(str(found.version), versions, "the account")
    if found.closing:
        raise Conflict("this account is being deleted: an owner can undo that")


async def role_of(tx: Connection, account: str, by: str) -> Role:
    """Give the role of whoever asks; "" is a token that stands for the account itself.

    Raises:
        Forbidden: they are no member any more.
    """
    if not by:
        return Role.OWNER
    held = await tx.maybe(SQL["role_of"], Held, account=account, user=by)
    if held is None:
        raise Forbidden("you are no member of this account any more")
    return held.role


async def member(tx: Connection, account: str, user: str) -> Held:
    """Give what a member is.

    Raises:
        NotFound: they are none.
    """
    held = await tx.maybe(SQL["role_of"], Held, account=account, user=user)
    if held is None:
        raise NotFound("no such member")
    return held


def check_may_manage(asker: Role, *touched: Role) -> None:
    """See that a role may change these.

    Args:
        touched: what a member is now, and is to be.

    Raises:
        Forbidden: it may not.
    """
    if asker not in ADMINS:
        raise Forbidden(f"your role here, {asker}, does not let you manage members")
    if Role.OWNER in touched and asker is not Role.OWNER:
        raise Forbidden("only an owner makes, changes or removes owners: ask one")


async def check_stays_owned(tx: Connection, account: str, user: str, held: Role) -> None:
    """See that an account still has an owner when this member is none.

    Raises:
        Conflict: it would have none.
    """
    if held is not Role.OWNER:
        return
    if not await tx.one(SQL["other_owners"], int, account=account, user=user):
        raise Conflict(
            "the account would have no owner: make somebody else owner first, or delete it"
        )


def check_version(now: str, versions: tuple[str, ...] | None, what: str) -> None:
    """See that the caller has seen what it is about to change.

    Args:
        versions: from `If-Match`; None when any will do.

    Raises:
        PreconditionFailed: it has another version.
    """
    if versions is not None and now not in versions:
        raise PreconditionFailed(f"{what} has changed: read it again")
