"""Accounts and their members over HTTP."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from hub import (
    SIGNED_IN,
    Call,
    Conflict,
    Forbidden,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Role,
    Route,
    cursor_after,
    merge_patch,
    position_of,
)
from hub.structs import decode
from services.accounts.organisations import contracts as c

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of an account."""

    name: Name


class AccountChange(AccountBody, frozen=True, forbid_unknown_fields=True):
    """What a client changes of an account.

    Args:
        require_second_factor: a member without one can do nothing in it but add one.
    """

    require_second_factor: bool = False


class AccountView(msgspec.Struct, frozen=True):
    """An account as the API shows it.

    Args:
        require_second_factor: a member without one can do nothing in it but add one.
        role: of whoever asks.
    """

    id: str
    name: str
    require_second_factor: bool
    role: Role
    created_at: datetime
    updated_at: datetime


class MemberBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of a member."""

    role: Role


class MemberView(msgspec.Struct, frozen=True):
    """A member as the API shows it."""

    user: str
    name: str
    email: str
    role: Role
    joined_at: datetime


def account_of(call: Call[Any, Any]) -> str:
    """Give the account of the path, which is the one that the credential is for.

    Raises:
        NotFound: it is another one.
    """
    if call.path["account"] != call.caller.account:
        raise NotFound("no such account, or these credentials are for another one")
    return call.caller.account


def _view(account: c.Account) -> AccountView:
    return msgspec.convert(account, AccountView, from_attributes=True)


def _reply(account: c.Account, location: str | None = None) -> Reply:
    return Reply(_view(account), location=location, version=str(account.version))


def _member_reply(member: c.Member) -> Reply:
    view = msgspec.convert(member, MemberView, from_attributes=True)
    return Reply(view, version=str(member.version))


async def list_accounts(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /accounts`; a token is for one account, whoever made it."""
    if not call.caller.interactive:
        wanted = c.GetAccount(call.caller.account, call.caller.user)
        return Reply([_view(await call.bus.request(c.GET, wanted))])
    request = c.ListAccounts(call.caller.user, call.query.limit, position_of(call.query.cursor))
    page = await call.bus.request(c.LIST, request)
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def create_account(call: Call[AccountBody, NoQuery]) -> Reply:
    """Answer `POST /accounts`."""
    request = c.FoundAccount(call.caller.user, call.body.name)
    made = await call.bus.request(c.FOUND, request)
    return _reply(made, f"/api/v1/accounts/{made.id}")


async def get_account(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /accounts/{account}`."""
    request = c.GetAccount(account_of(call), call.caller.user)
    return _reply(await call.bus.request(c.GET, request))


async def patch_account(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /accounts/{account}`."""
    account, user = account_of(call), call.caller.user
    current = await call.bus.request(c.GET, c.GetAccount(account, user))
    now = {"name": current.name, "require_second_factor": current.require_second_factor}
    body = decode(AccountChange, merge_patch(now, call.body))
    required = body.require_second_factor
    if required is not current.require_second_factor and not call.caller.interactive:
        raise Forbidden("only a person who is logged in decides about second factors, no token")
    request = c.ChangeAccount(
        account, user, body.name, required, call.replaces(str(current.version))
    )
    return _reply(await call.bus.request(c.CHANGE, request))


async def list_members(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /accounts/{account}/members`."""
    request = c.ListMembers(account_of(call), call.query.limit, position_of(call.query.cursor))
    page = await call.bus.request(c.LIST_MEMBERS, request)
    views = msgspec.convert(page.items, list[MemberView], from_attributes=True)
    return Reply(views, next=cursor_after(page.items, more=page.more))


async def get_member(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /accounts/{account}/members/{user}`."""
    request = c.OneMember(account_of(call), call.path["user"])
    return _member_reply(await call.bus.request(c.GET_MEMBER, request))


async def patch_member(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /accounts/{account}/members/{user}`."""
    account, user = account_of(call), call.path["user"]
    current = await call.bus.request(c.GET_MEMBER, c.OneMember(account, user))
    body = decode(MemberBody, merge_patch({"role": current.role}, call.body))
    versions = call.replaces(str(current.version))
    request = c.ChangeMember(account, call.caller.user, user, body.role, versions)
    return _member_reply(await call.bus.request(c.CHANGE_MEMBER, request))


async def delete_member(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /accounts/{account}/members/{user}`."""
    account, user = account_of(call), call.path["user"]
    request = c.RemoveMember(account, call.caller.user, user, call.versions)
    await call.bus.request(c.REMOVE_MEMBER, request)
    return Reply()


async def leave_account(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /accounts/{account}/members/me`."""
    account, user = account_of(call), call.caller.user
    await call.bus.request(c.REMOVE_MEMBER, c.RemoveMember(account, user, user, call.versions))
    return Reply()


ACCOUNTS = "/api/v1/accounts"
ACCOUNT = f"{ACCOUNTS}/{{account}}"
MEMBERS = f"{ACCOUNT}/members"
MEMBER = f"{MEMBERS}/{{user}}"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of accounts and members."""
    return [
        Route(
            method="GET", path=ACCOUNTS, summary="List the accounts that one is in",
            tag="accounts", handler=list_accounts, permission=SIGNED_IN.name, query=PageQuery,
            response=list[AccountView],
            description="A token is for one account, and sees that one.",
        ),
        Route(
            method="POST", path=ACCOUNTS, summary="Make another account", tag="accounts",
            handler=create_account, permission=SIGNED_IN.name, interactive=True, body=AccountBody,
            response=AccountView, status=201, errors=(Conflict,),
            examples=(AccountBody("Greenhouses Ltd"),),
            description="You are its owner.",
        ),
        Route(
            method="GET", path=ACCOUNT, summary="Read an account", tag="accounts",
            handler=get_account, permission="account:read", response=AccountView,
            errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=ACCOUNT, summary="Change an account", tag="accounts",
            handler=patch_account, permission="account:write", body=AccountChange,
            response=AccountView, errors=(NotFound, Conflict, Forbidden),
            examples=({"name": "Greenhouses Ltd"},),
            description="Whether members need a second factor an owner decides who has one and is "
            "logged in. Those without one are told by mail, and answered 403 "
            "`second-factor-required` until they add one.",
        ),
        Route(
            method="GET", path=MEMBERS, summary="List the members of an account", tag="members",
            handler=list_members, permission="members:read", query=PageQuery,
            response=list[MemberView], errors=(NotFound,),
        ),
        Route(
            method="GET", path=MEMBER, summary="Read a member", tag="members",
            handler=get_member, permission="members:read", response=MemberView, errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=MEMBER, summary="Give a member another role", tag="members",
            handler=patch_member, permission="members:write", body=MemberBody,
            response=MemberView, errors=(NotFound, Conflict, Forbidden),
            examples=({"role": "developer"},),
            description="It counts from their next request on. Only an owner makes or changes "
            "owners, and the last one stays.",
        ),
        Route(
            method="DELETE", path=MEMBER, summary="Take a member out", tag="members",
            handler=delete_member, permission="members:write", status=204,
            errors=(NotFound, Conflict, Forbidden),
            description="At once: the tokens that they made here are revoked, and their sessions "
            "no longer reach this account.",
        ),
        Route(
            method="DELETE", path=f"{MEMBERS}/me", summary="Leave an account", tag="members",
            handler=leave_account, permission=SIGNED_IN.name, interactive=True, status=204,
            errors=(NotFound, Conflict),
            description="The last owner cannot: they make somebody else owner first, or delete "
            "the account.",
        ),
    ]  # fmt: skip
