"""Invitations over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from hub import (
    Call,
    Conflict,
    Forbidden,
    Invalid,
    LimitReached,
    MailAddress,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Role,
    Route,
    Secret,
    cursor_after,
    position_of,
)
from services.accounts.identity.contracts import Locale
from services.accounts.identity.errors import DeadLink
from services.accounts.organisations import invitation_contracts as c
from services.accounts.organisations.routes import ACCOUNT, account_of
from services.accounts.tokens import digest_of


class InvitationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a client invites, to be what, and in which language."""

    email: MailAddress
    role: Role = Role.DEVELOPER
    locale: Locale = "en"


class InvitationView(msgspec.Struct, frozen=True):
    """An invitation as the API shows it; the link is in the mail alone."""

    id: str
    email: str
    role: Role
    locale: Locale
    invited_by: str
    state: Literal["waiting", "expired"]
    created_at: datetime
    sent_at: datetime
    expires_at: datetime


class PreviewBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of an invitation's link: the last part of its path."""

    token: Secret


class InvitedView(msgspec.Struct, frozen=True):
    """What an invitation is to.

    Args:
        known: somebody has the address already; a newcomer gives a name and a password.
    """

    account: str
    name: str
    inviter: str
    email: str
    role: Role
    known: bool


class RedeemBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of an invitation's link, and what a newcomer chooses."""

    token: Secret
    name: Annotated[str, msgspec.Meta(max_length=100)] = ""
    password: Secret = Secret("")
    locale: Locale = "en"


class JoinedView(msgspec.Struct, frozen=True):
    """The account that one is in now, and as what; `new`: one came to be by it."""

    account: str
    name: str
    role: Role
    user: str
    new: bool


def _reply(made: c.Invitation, location: str | None = None) -> Reply:
    view = msgspec.convert(made, InvitationView, from_attributes=True)
    return Reply(view, location=location, version=str(made.version))


async def list_invitations(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /accounts/{account}/invitations`."""
    request = c.ListInvitations(account_of(call), call.query.limit, position_of(call.query.cursor))
    page = await call.bus.request(c.LIST_INVITATIONS, request)
    views = msgspec.convert(page.items, list[InvitationView], from_attributes=True)
    return Reply(views, next=cursor_after(page.items, more=page.more))


async def create_invitation(call: Call[InvitationBody, NoQuery]) -> Reply:
    """Answer `POST /accounts/{account}/invitations`."""
    account, body = account_of(call), call.body
    request = c.Invite(account, call.caller.user, body.email, body.role, body.locale)
    made = await call.bus.request(c.INVITE, request)
    return _reply(made, f"/api/v1/accounts/{account}/invitations/{made.id}")


async def get_invitation(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /accounts/{account}/invitations/{invitation}`."""
    request = c.OneInvitation(account_of(call), call.path["invitation"])
    return _reply(await call.bus.request(c.GET_INVITATION, request))


def _change(call: Call[None, NoQuery]) -> c.ChangeInvitation:
    return c.ChangeInvitation(
        account_of(call), call.caller.user, call.path["invitation"], call.versions
    )


async def resend_invitation(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /accounts/{account}/invitations/{invitation}/resend`."""
    return _reply(await call.bus.request(c.RESEND_INVITATION, _change(call)))


async def delete_invitation(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /accounts/{account}/invitations/{invitation}`."""
    await call.bus.request(c.WITHDRAW_INVITATION, _change(call))
    return Reply()


async def preview_invitation(call: Call[PreviewBody, NoQuery]) -> Reply:
    """Answer `POST /invitations/preview`."""
    request = c.LookAtInvitation(digest_of(call.body.token.reveal()).hex())
    found = await call.bus.request(c.LOOK_AT_INVITATION, request)
    return Reply(msgspec.convert(found, InvitedView, from_attributes=True))


async def redeem_invitation(call: Call[RedeemBody, NoQuery]) -> Reply:
    """Answer `POST /invitations/redeem`."""
    body = call.body
    request = c.AcceptInvitation(
        digest_of(body.token.reveal()).hex(),
        call.caller.user if call.caller.interactive else "",
        body.name,
        body.password,
        body.locale,
    )
    joined = await call.bus.request(c.ACCEPT_INVITATION, request)
    return Reply(msgspec.convert(joined, JoinedView, from_attributes=True))


INVITATIONS = f"{ACCOUNT}/invitations"
INVITATION = f"{INVITATIONS}/{{invitation}}"
_TOKEN = {"token": "H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM"}


def routes() -> list[Route[Any, Any]]:
    """Give these routes."""
    return [
        Route(
            method="GET", path=INVITATIONS, summary="List the invitations that wait",
            tag="invitations", handler=list_invitations, permission="invitations:read",
            query=PageQuery, response=list[InvitationView], errors=(NotFound,),
        ),
        Route(
            method="POST", path=INVITATIONS, summary="Invite somebody by mail",
            tag="invitations", handler=create_invitation, permission="invitations:write",
            body=InvitationBody, response=InvitationView, status=201,
            errors=(NotFound, Conflict, Forbidden, LimitReached),
            examples=({"email": "grace@example.com", "role": "developer", "locale": "en"},),
            description="The mail has a link that is good once, and for a week. Another "
            "invitation of the same address replaces the one that waits. Only an owner invites "
            "owners. The answer is the same whether the address has an account here or not.",
        ),
        Route(
            method="GET", path=INVITATION, summary="Read an invitation", tag="invitations",
            handler=get_invitation, permission="invitations:read", response=InvitationView,
            errors=(NotFound,),
        ),
        Route(
            method="POST", path=f"{INVITATION}/resend", summary="Send an invitation again",
            tag="invitations", handler=resend_invitation, permission="invitations:write",
            response=InvitationView, errors=(NotFound, Forbidden, LimitReached),
            description="With another link, which is good for a week; the one before is not.",
        ),
        Route(
            method="DELETE", path=INVITATION, summary="Withdraw an invitation",
            tag="invitations", handler=delete_invitation, permission="invitations:write",
            status=204, errors=(NotFound, Forbidden),
        ),
        Route(
            method="POST", path="/api/v1/invitations/preview", tag="invitations",
            summary="Look at an invitation by its link",
            handler=preview_invitation, permission=None,
            anonymous=True, body=PreviewBody, response=InvitedView, errors=(DeadLink,),
            examples=(_TOKEN,), description="Nothing changes.",
        ),
        Route(
            method="POST", path="/api/v1/invitations/redeem", tag="invitations",
            summary="Accept an invitation by its link", handler=redeem_invitation, permission=None,
            body=RedeemBody, response=JoinedView,
            errors=(DeadLink, Forbidden, Invalid, Conflict),
            examples=(
                _TOKEN,
                {**_TOKEN, "name": "Grace", "password": "correct horse battery staple"},
            ),
            description="Whoever has the link reads the address: who has it already joins, and a "
            "newcomer gives a name and a password. With a session, it must be that of the "
            "address.",
        ),
    ]  # fmt: skip
