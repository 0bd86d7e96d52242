"""What the service `mail` answers on the bus, besides taking mails in (`MAIL_REQUESTED`)."""

from datetime import datetime
from typing import Literal

import msgspec

from hub import Contract, Nothing

State = Literal["waiting", "sent", "kept", "failed"]
"""Kept are those that do not leave, because no mail server is configured."""


class MailHead(msgspec.Struct, frozen=True):
    """A mail without its content.

    Args:
        account: whose it is; "" for the hub's own.
        to, subject, locale: "" of one that was sent, whose content is deleted.
        at_work: it is being sent now.
        attempts: so far; due_at: the next one; give_up_at: the last one.
        error: what came of the last attempt, in words.
    """

    id: str
    account: str
    kind: str
    to: str
    subject: str
    locale: str
    state: State
    at_work: bool
    attempts: int
    error: str
    created_at: datetime
    due_at: datetime
    give_up_at: datetime


class MailShown(msgspec.Struct, frozen=True):
    """A whole mail."""

    head: MailHead
    text: str
    html: str


class MailHeads(msgspec.Struct, frozen=True):
    """Mails, the newest first."""

    items: list[MailHead]


class OneMail(msgspec.Struct, frozen=True):
    """One mail."""

    mail: str


OUTBOX = Contract("mail.outbox.list", Nothing, MailHeads)
OUTBOX_MAIL = Contract("mail.outbox.get", OneMail, MailShown)
