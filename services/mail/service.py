"""The service `mail`: takes mails in, and sends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from hub import (
    MAIL_REQUESTED,
    Bus,
    Consumer,
    Database,
    Endpoint,
    Metrics,
    NotFound,
    Nothing,
    Postbox,
    StreamEndpoint,
    account_endpoints,
)
from hub.settings import HttpSettings, MailSettings
from services.mail import contracts as c
from services.mail.account import AccountOfMail
from services.mail.carriers import Carrier, LocalOutbox, SmtpCarrier
from services.mail.meters import Meters
from services.mail.rules import CONSUMER, Mails
from services.mail.sender import Sender, Tuning
from services.mail.store import MOST_KEPT, Store

_NEVER_DEAD: Final = 1_000_000
"""Attempts at taking a mail in: only Postgres can be in the way, and it comes back."""


class OutboxPage:
    """What `/outbox` shows: the mails that do not leave, and no other."""

    def __init__(self, settings: MailSettings, mails: Mails) -> None:
        self._settings = settings
        self._mails = mails

    async def heads(self, _: Nothing) -> c.MailHeads:
        """Answer `mail.outbox.list`."""
        self._check()
        return await self._mails.list(["kept"], MOST_KEPT)

    async def mail(self, request: c.OneMail) -> c.MailShown:
        """Answer `mail.outbox.get`."""
        self._check()
        shown = await self._mails.show(request.mail)
        if shown.head.state != "kept":
            raise NotFound("this mail is not in the outbox")
        return shown

    def _check(self) -> None:
        """Refuse where mails do leave: those that wait are for nobody but their readers.

        Raises:
            NotFound: says what shows mails instead.
        """
        if self._settings.host:
            raise NotFound(
                f"mails leave through {self._settings.host}; `isaax mail list` shows how they fare"
            )
        if not self._settings.outbox:
            raise NotFound("mail.outbox is off; `isaax mail list` shows what there is")


@asynccontextmanager
async def mail(
    settings: MailSettings,
    http: HttpSettings,
    database: Database,
    postbox: Postbox,
    bus: Bus,
    metrics: Metrics,
) -> AsyncIterator[None]:
    """Run the service.

    Raises:
        StartError: a setting is wrong.
    """
    carrier = SmtpCarrier(settings) if settings.host else LocalOutbox(settings, http)
    async with serving(settings, carrier, database, postbox, bus, metrics):
        yield


@asynccontextmanager
async def serving(
    settings: MailSettings,
    carrier: Carrier,
    database: Database,
    postbox: Postbox,
    bus: Bus,
    metrics: Metrics,
    tuning: Tuning | None = None,
) -> AsyncIterator[None]:
    """Take mails in and give them to a carrier, while the context is open."""
    sender = Sender(Store(database, postbox), carrier, Meters(metrics), tuning)
    mails = Mails(database, postbox, taken=sender.wake)
    page = OutboxPage(settings, mails)
    endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
        Endpoint(c.OUTBOX, page.heads),
        Endpoint(c.OUTBOX_MAIL, page.mail),
        *account_endpoints("mail", AccountOfMail(mails)),
    ]
    requests = Consumer(MAIL_REQUESTED, CONSUMER, mails.take, attempts=_NEVER_DEAD)
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.run(), name="mail sender")
        tidying = group.create_task(sender.tidy(), name="mail upkeep")
        try:
            async with bus.serve("mail", "1.0.0", endpoints), bus.consume(requests):
                yield
        finally:
            tidying.cancel()
            sender.stop()


@asynccontextmanager
async def resting(database: Database, postbox: Postbox, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("mail", AccountOfMail(Mails(database, postbox)))
    async with bus.serve("mail-resting", "1.0.0", endpoints):
        yield
