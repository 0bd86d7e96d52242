"""A client of mail servers (submission, RFC 6409): hand over a mail, and learn what came of it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Final, Literal

import aiosmtplib

from hub.net import Guard, GuardedDialer, explain
from hub.outcomes import NotConnected, Retry
from hub.secret import Secret
from hub.tls import client_tls

Security = Literal["starttls", "tls", "none"]
"""STARTTLS (usually port 587), TLS from the first byte on (465), or none."""

Stage = Literal["session", "sender", "recipients", "content"]
"""What the server was told when it refused: who we are, from whom, for whom, or the mail itself."""

_STEP: Final = 30.0
"""Seconds that the server has for each answer."""

_FAREWELL: Final = 5.0  # seconds to answer QUIT; the mail is theirs already
_WORDS: Final = 200  # characters that are repeated of what a server said


class SmtpFailed(Exception):  # noqa: N818 - says what came of it
    """The server has not taken a mail, or nobody knows.

    Args:
        reason: in words a user understands, without secrets.
        code: that it answered (RFC 5321, 4.2.1: 4yz later, 5yz never); 0 when it did not.
        stage: at what.
    """

    def __init__(self, reason: str, *, code: int = 0, stage: Stage = "session") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.stage = stage


@dataclass(frozen=True, slots=True)
class SmtpAnswer:
    """What a server answered to one address."""

    code: int
    words: str


class SmtpClient:
    """Hands over mails, each in a session of its own.

    Args:
        username, password: to log in with; "" for neither.
        ca: PEM text of the authority to trust instead of the public ones.
        open_socket: connects; without it any address is fine but link-local ones.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: Security,
        username: str = "",
        password: Secret | None = None,
        ca: str = "",
        open_socket: Callable[[str, int], Awaitable[socket]] | None = None,
    ) -> None:
        self.peer: Final = f"{host}:{port}"
        self._host = host
        self._port = port
        self._security = security
        self._username = username
        self._password = password or Secret("")
        self._ca = ca
        self._open = open_socket or GuardedDialer(Guard(private_hosts=True)).open_socket
        self._tls: ssl.SSLContext | None = None

    async def submit(self, sender: str, to: Sequence[str], mail: bytes) -> dict[str, SmtpAnswer]:
        """Hand over a mail; it returns when the server has it.

        Returns:
            The addresses that were refused while others were not.

        Raises:
            SmtpFailed: it was not taken, for nobody; or the answer got lost.
        """
        try:
            async with self._session() as smtp:
                refused, _ = await smtp.sendmail(sender, list(to), mail)
        except aiosmtplib.SMTPException as error:
            raise self._failure(error) from error
        except OSError as error:
            raise SmtpFailed(explain(error, self.peer)) from error
        return {address: _answer(one.code, one.message) for address, one in refused.items()}

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Connect, with TLS and logged in as it was said."""
        if self._security != "none" and self._tls is None:
            self._tls = await asyncio.to_thread(client_tls, ca=self._ca)
        try:
            raw = await self._open(self._host, self._port)
        except (NotConnected, Retry) as error:
            raise SmtpFailed(error.reason) from error
        address = raw.getsockname()[0]
        smtp = aiosmtplib.SMTP(
            hostname=self._host.rstrip("."),
            # RFC 5321, 4.1.1.1: a client without a name says its address.
            local_hostname=f"[IPv6:{address}]" if ":" in address else f"[{address}]",
            sock=raw,
            timeout=_STEP,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._tls,
            username=self._username or None,
            password=self._password.reveal() or None,
        )
        try:
            await smtp.connect()
            yield smtp
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await smtp.quit(timeout=_FAREWELL)
        finally:
            smtp.close()  # and with it the socket, which is its own since `connect`

    def _failure(self, error: aiosmtplib.SMTPException) -> SmtpFailed:
        match error:
            case aiosmtplib.SMTPRecipientsRefused():
                refused = {
                    one.recipient: _answer(one.code, one.message) for one in error.recipients
                }
                # One address that may be taken later is worth another attempt.
                code = min(one.code for one in refused.values())
                return SmtpFailed(refusals(refused), code=code, stage="recipients")
            case aiosmtplib.SMTPResponseException():
                answer = _answer(error.code, error.message)
                reason = f"{self.peer} answered {answer.words}"
                return SmtpFailed(reason, code=error.code, stage=_stage(error))
            case aiosmtplib.SMTPTimeoutError():
                reason = f"{self.peer} did not answer in time"
            case aiosmtplib.SMTPConnectError() if isinstance(error.__cause__, OSError):
                reason = explain(error.__cause__, self.peer)
            case aiosmtplib.SMTPServerDisconnected():
                reason = f"{self.peer} broke the connection"
            case _:
                reason = f"{self.peer}: {_words(error.message)}"
        return SmtpFailed(reason)


def refusals(refused: dict[str, SmtpAnswer]) -> str:
    """Say in words which addresses were refused, and with which answer."""
    return "; ".join(f"{one} was refused: {answer.words}" for one, answer in refused.items())


def _stage(error: aiosmtplib.SMTPResponseException) -> Stage:
    match error:
        case aiosmtplib.SMTPSenderRefused():
            return "sender"
        case aiosmtplib.SMTPDataError():
            return "content"
        case _:
            return "session"


def _answer(code: int, message: str) -> SmtpAnswer:
    return SmtpAnswer(code, f"{code} {_words(message)}".strip())


def _words(message: str) -> str:
    return " ".join(message.split())[:_WORDS]
