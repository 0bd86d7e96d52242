"""What is asked about invitations, and about handing an account over."""

from datetime import datetime
from typing import Literal

import msgspec

from hub import Contract, Nothing, Page, Role, Secret
from services.accounts.identity.contracts import Locale


class Invitation(msgspec.Struct, frozen=True):
    """Somebody who is invited and has not answered.

    Args:
        number: orders lists; version: makes its ETag.
        invited_by: the person; "" where a token stood for the account itself.
        state: `expired` ones can be sent again.
    """

    id: str
    number: int
    email: str
    role: Role
    locale: Locale
    invited_by: str
    version: int
    created_at: datetime
    sent_at: datetime
    expires_at: datetime
    state: Literal["waiting", "expired"]


class Invite(msgspec.Struct, frozen=True):
    """Invite whoever reads the mails of an address; one that waits there already is replaced."""

    account: str
    by: str
    email: str
    role: Role
    locale: Locale


class ListInvitations(msgspec.Struct, frozen=True):
    """A page of an account's invitations after `after`."""

    account: str
    limit: int
    after: int = 0


class Invitations(Page[Invitation], frozen=True):
    """One page of them."""


class OneInvitation(msgspec.Struct, frozen=True):
    """One invitation of an account."""

    account: str
    invitation: str


class ChangeInvitation(msgspec.Struct, frozen=True):
    """Send an invitation again, or withdraw it."""

    account: str
    by: str
    invitation: str
    versions: tuple[str, ...] | None = None


class LookAtInvitation(msgspec.Struct, frozen=True):
    """The link of an invitation, by the digest (hex) of its token."""

    digest: str


class Invited(msgspec.Struct, frozen=True):
    """What an invitation is to; for whoever has its link.

    Args:
        known: somebody has that address already, and need not say who they are to be.
    """

    account: str
    name: str
    inviter: str
    email: str
    role: Role
    known: bool


class AcceptInvitation(msgspec.Struct, frozen=True):
    """Join an account.

    Args:
        user: whoever is logged in; "" for nobody: the link shows that they read the address.
        name, password, locale: of a newcomer.
    """

    digest: str
    user: str
    name: str
    password: Secret
    locale: Locale


class Joined(msgspec.Struct, frozen=True):
    """Somebody has joined; `new`: and came to be by it."""

    account: str
    name: str
    role: Role
    user: str
    new: bool


INVITE = Contract("accounts.invitations.create", Invite, Invitation)
LIST_INVITATIONS = Contract("accounts.invitations.list", ListInvitations, Invitations)
GET_INVITATION = Contract("accounts.invitations.get", OneInvitation, Invitation)
RESEND_INVITATION = Contract("accounts.invitations.resend", ChangeInvitation, Invitation)
WITHDRAW_INVITATION = Contract("accounts.invitations.withdraw", ChangeInvitation, Nothing)
LOOK_AT_INVITATION = Contract("accounts.invitations.look", LookAtInvitation, Invited)
ACCEPT_INVITATION = Contract("accounts.invitations.accept", AcceptInvitation, Joined, timeout=15.0)


# ── handing over ──


class Transfer(msgspec.Struct, frozen=True):
    """An owner is to be replaced by another member, who has yet to say yes.

    Args:
        role: that the giver has afterwards.
    """

    giver: str
    receiver: str
    role: Role
    created_at: datetime
    expires_at: datetime
    version: str


class OfferTransfer(msgspec.Struct, frozen=True):
    """Offer one's ownership to another member; an offer that waits is replaced.

    Args:
        password: of the owner who asks, once more.
    """

    account: str
    by: str
    to: str
    role: Role
    password: Secret


class OneTransfer(msgspec.Struct, frozen=True):
    """The offer of an account."""

    account: str


class WithdrawTransfer(msgspec.Struct, frozen=True):
    """Take an offer back, or decline it."""

    account: str
    by: str
    versions: tuple[str, ...] | None = None


class AcceptTransfer(msgspec.Struct, frozen=True):
    """Become owner: as whoever is logged in, or by the link in the mail.

    Args:
        account, by: "" with a link; digest: of its token (hex), "" without.
    """

    account: str
    by: str
    digest: str


class TransferLink(msgspec.Struct, frozen=True):
    """The link of an offer, by the digest (hex) of its token."""

    digest: str


class Offered(msgspec.Struct, frozen=True):
    """What is offered, for whoever has the link."""

    account: str
    name: str
    giver: str


OFFER_TRANSFER = Contract("accounts.transfer.offer", OfferTransfer, Transfer, timeout=15.0)
GET_TRANSFER = Contract("accounts.transfer.get", OneTransfer, Transfer)
WITHDRAW_TRANSFER = Contract("accounts.transfer.withdraw", WithdrawTransfer, Nothing)
ACCEPT_TRANSFER = Contract("accounts.transfer.accept", AcceptTransfer, Offered)
LOOK_AT_TRANSFER = Contract("accounts.transfer.look", TransferLink, Offered)
