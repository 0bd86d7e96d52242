"""Handing an account over, over HTTP."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from hub import (
    SIGNED_IN,
    Call,
    Conflict,
    Forbidden,
    Invalid,
    NoQuery,
    NotFound,
    Reply,
    Role,
    Route,
    Secret,
)
from services.accounts.identity.errors import DeadLink
from services.accounts.organisations import invitation_contracts as c
from services.accounts.organisations.routes import ACCOUNT, account_of
from services.accounts.tokens import digest_of


class TransferBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom an owner hands the account over.

    Args:
        to: id of the member.
        password: of the owner.
        role: that the owner has afterwards.
    """

    to: str
    password: Secret
    role: Literal["admin", "developer", "viewer", "billing"] = "admin"


class TransferView(msgspec.Struct, frozen=True):
    """An offer that waits for its receiver."""

    giver: str
    receiver: str
    role: Role
    created_at: datetime
    expires_at: datetime


class OfferedView(msgspec.Struct, frozen=True):
    """The account that one owns now, and from whom."""

    account: str
    name: str
    giver: str


class TransferLinkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the link: the last part of its path."""

    token: Secret


def _reply(found: c.Transfer, location: str | None = None) -> Reply:
    view = msgspec.convert(found, TransferView, from_attributes=True)
    return Reply(view, location=location, version=found.version)


async def offer_account(call: Call[TransferBody, NoQuery]) -> Reply:
    """Answer `POST /accounts/{account}/transfer`."""
    account, body = account_of(call), call.body
    request = c.OfferTransfer(account, call.caller.user, body.to, Role(body.role), body.password)
    return _reply(await call.bus.request(c.OFFER_TRANSFER, request))


async def get_offer(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /accounts/{account}/transfer`."""
    return _reply(await call.bus.request(c.GET_TRANSFER, c.OneTransfer(account_of(call))))


async def withdraw_offer(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /accounts/{account}/transfer`."""
    request = c.WithdrawTransfer(account_of(call), call.caller.user, call.versions)
    await call.bus.request(c.WITHDRAW_TRANSFER, request)
    return Reply()


async def accept_account(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /accounts/{account}/transfer/accept`."""
    request = c.AcceptTransfer(account_of(call), call.caller.user, "")
    return _accepted(await call.bus.request(c.ACCEPT_TRANSFER, request))


async def redeem_transfer(call: Call[TransferLinkBody, NoQuery]) -> Reply:
    """Answer `POST /transfers/redeem`."""
    request = c.AcceptTransfer("", "", digest_of(call.body.token.reveal()).hex())
    return _accepted(await call.bus.request(c.ACCEPT_TRANSFER, request))


def _accepted(offered: c.Offered) -> Reply:
    return Reply(msgspec.convert(offered, OfferedView, from_attributes=True))


TRANSFER = f"{ACCOUNT}/transfer"


def routes() -> list[Route[Any, Any]]:
    """Give these routes."""
    return [
        Route(
            method="POST", path=TRANSFER, summary="Offer an account to another member",
            tag="accounts", handler=offer_account, permission="account:transfer", interactive=True,
            body=TransferBody, response=TransferView,
            errors=(NotFound, Conflict, Forbidden, Invalid),
            examples=({"to": "usr_k3v5…", "password": "correct horse battery staple"},),
            description="Nothing changes until the other says yes, for which there is a week and "
            "a link in their mail: then they are owner and you are what you said, at once. All "
            "owners are told by mail, now and then. Another offer replaces the one that waits.",
        ),
        Route(
            method="GET", path=TRANSFER, summary="Read the offer that waits", tag="accounts",
            handler=get_offer, permission="account:read", response=TransferView,
            errors=(NotFound,),
        ),
        Route(
            method="DELETE", path=TRANSFER, summary="Take an offer back, or decline it",
            tag="accounts", handler=withdraw_offer, permission=SIGNED_IN.name, interactive=True,
            status=204, errors=(NotFound, Forbidden),
        ),
        Route(
            method="POST", path=f"{TRANSFER}/accept", summary="Accept an offered account",
            tag="accounts", handler=accept_account, permission=SIGNED_IN.name, interactive=True,
            response=OfferedView, errors=(NotFound, Conflict, Forbidden),
        ),
        Route(
            method="POST", path="/api/v1/transfers/redeem", tag="accounts",
            summary="Accept an offered account by its link",
            handler=redeem_transfer, permission=None,
            anonymous=True, body=TransferLinkBody, response=OfferedView,
            errors=(DeadLink, Conflict),
            examples=({"token": "H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM"},),
        ),
    ]  # fmt: skip
