"""Where mails go: to a mail server, or, without one, nowhere but into the local outbox."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Protocol

import structlog

from hub import Mail, SmtpClient, SmtpFailed, StartError, client_tls, local_outbox, mailbox_of
from hub.settings import HttpSettings, MailSettings
from services.mail.message import compose

TIMEOUT: Final = 120.0
"""Seconds that a mail may take to be handed over."""

_NOT_OURS: Final = frozenset({530, 534, 535, 538})
"""Answers that want another login (RFC 4954, section 6): the setting's fault, not the mail's."""

_TOO_LARGE: Final = 552  # RFC 1870, section 6.1: also the answer to a sender, with the size

_log = structlog.stdlib.get_logger("mail")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is to go now."""

    id: str
    kind: str
    mail: Mail
    created_at: datetime


class NotCarried(Exception):  # noqa: N818 - says what came of it
    """A mail did not go.

    Args:
        reason: in words for the operator, without secrets.
        final: it never will.
        reached: the server answered to the mail itself; None where none was asked.
    """

    def __init__(self, reason: str, *, final: bool = False, reached: bool | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.reached = reached


class Carrier(Protocol):
    """Takes mails somewhere."""

    @property
    def state(self) -> Literal["sent", "kept"]:
        """What a mail is that it took."""
        ...

    async def carry(self, letter: Letter) -> None:
        """Take a mail there.

        Raises:
            NotCarried: it is not there, or nobody knows.
        """
        ...

    def tell(self, letter: Letter) -> None:
        """Log that it is there, with no more of it than its address."""
        ...


class SmtpCarrier:
    """Hands mails over to the mail server of the config.

    Raises:
        StartError: the file of the setting `ca` cannot be used.
    """

    def __init__(self, settings: MailSettings, *, timeout: float = TIMEOUT) -> None:
        sender = mailbox_of(settings.sender)
        if sender is None:
            raise StartError("mail.sender is the address that mails come from")
        self._sender = sender
        self._reply_to = settings.reply_to
        self._timeout = timeout
        self._server = SmtpClient(
            settings.host,
            settings.port,
            security=settings.security,
            username=settings.username,
            password=settings.password,
            ca=_authority(settings.ca) if settings.ca else "",
        )

    @property
    def state(self) -> Literal["sent", "kept"]:
        """It is sent."""
        return "sent"

    async def carry(self, letter: Letter) -> None:
        """Hand it over; see `Carrier`."""
        message = compose(
            letter.mail,
            id=letter.id,
            sent=letter.created_at,
            sender=self._sender,
            reply_to=self._reply_to,
        )
        try:
            async with asyncio.timeout(self._timeout):
                await self._server.submit(
                    self._sender.addr_spec, [letter.mail.to], message.as_bytes()
                )
        except SmtpFailed as error:
            raise _not_carried(error) from error
        except TimeoutError:
            raise NotCarried(f"{self._server.peer} took too long", reached=False) from None

    def tell(self, letter: Letter) -> None:
        """Log it; see `Carrier`."""
        _log.info("mail sent", mail=letter.id, kind=letter.kind, server=self._server.peer)


class LocalOutbox:
    """Leaves mails where they are, and says where they can be read."""

    def __init__(self, settings: MailSettings, http: HttpSettings) -> None:
        self._page = local_outbox(http) if settings.outbox else ""

    @property
    def state(self) -> Literal["sent", "kept"]:
        """It is kept."""
        return "kept"

    async def carry(self, letter: Letter) -> None:
        """Nothing is to be done: it is there."""

    def tell(self, letter: Letter) -> None:
        """Log where it is; see `Carrier`."""
        where = f"at {self._page}/{letter.id}" if self._page else f"for isaax mail show {letter.id}"
        _log.info(f"a mail to {letter.mail.to} waits {where}", mail=letter.id, kind=letter.kind)


def _not_carried(error: SmtpFailed) -> NotCarried:
    """Tell what no attempt can mend from what the server, or the config, may.

    What is refused before the mail itself is looked at (the login, the sender) is for the operator
    to mend; meanwhile mails wait.
    """
    about_mail = error.stage in {"recipients", "content"} or error.code == _TOO_LARGE
    final = about_mail and error.code >= 500 and error.code not in _NOT_OURS
    return NotCarried(error.reason, final=final, reached=about_mail)


def _authority(path: Path) -> str:
    try:
        text = path.read_text()
        client_tls(ca=text)
    except (OSError, ValueError) as error:
        raise StartError(f"mail.ca: {path} is not a PEM file of a certificate: {error}") from None
    return text
