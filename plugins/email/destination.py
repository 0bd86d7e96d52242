"""One mail a batch, through the user's own mail server."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import Final, NoReturn

import aiosmtplib

from hub import Batch, NotConnected, Partial, Rejected, Retry, Tools, Watch, client_tls, explain
from plugins.email.config import EmailConfig
from plugins.email.digest import Digest, compose, digest_of
from plugins.email.pace import Pace

TIMEOUT: Final = 180.0
"""Seconds that one `send` may take: a digest waits up to a minute when there were many."""

_STEP: Final = 30.0
"""Seconds that the server has for each answer."""

_FAREWELL: Final = 5.0  # seconds to answer QUIT; the mail is theirs already
_WORDS: Final = 200  # characters that are repeated of what a server said


class Email:
    """Sends the digest of a batch, when there is one; `send` returns when the server has it.

    Args:
        clock: Unix seconds, for the date of a mail.
    """

    def __init__(
        self, config: EmailConfig, tools: Tools, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._tools = tools
        self._clock = clock
        self._peer = f"{config.host}:{config.port}"
        self._watch = Watch(config.rules)
        self._pace = Pace()
        self._tls: ssl.SSLContext | None = None
        self._reached: tuple[str, frozenset[str]] = ("", frozenset())

    async def send(self, batch: Batch) -> None:
        """Mail what matches a rule; nothing is mailed when nothing does."""
        digest = await asyncio.to_thread(digest_of, batch, self._watch)
        if not digest.found:
            return
        mail = compose(digest, self._config, integration=self._tools.integration, now=self._clock())
        await self._pace.turn()
        try:
            async with self._session() as smtp:
                refused = await self._submit(smtp, mail, digest)
        except aiosmtplib.SMTPException as error:
            self._fail(error, digest, len(batch))
        except OSError as error:
            raise Retry(explain(error, self._peer)) from error
        self._tell(refused, digest)

    async def close(self) -> None:
        """Nothing is held: every mail was answered."""

    # ── the dialogue ──

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Connect, with TLS and logged in as the config says."""
        config = self._config
        if config.tls != "none" and self._tls is None:
            self._tls = await asyncio.to_thread(client_tls, ca=config.ca)
        try:
            raw = await self._tools.dial.open_socket(config.host, config.port)
        except NotConnected as error:
            raise Retry(error.reason) from error
        address = raw.getsockname()[0]
        smtp = aiosmtplib.SMTP(
            hostname=config.host.rstrip("."),
            # RFC 5321, 4.1.1.1: a client without a name says its address.
            local_hostname=f"[IPv6:{address}]" if ":" in address else f"[{address}]",
            sock=raw,
            timeout=_STEP,
            use_tls=config.tls == "tls",
            start_tls=config.tls == "starttls",
            tls_context=self._tls,
            username=config.username or None,
            password=config.password.reveal() or None,
        )
        try:
            await smtp.connect()
            yield smtp
            with contextlib.suppress(aiosmtplib.SMTPException):
                await smtp.quit(timeout=_FAREWELL)
        finally:
            smtp.close()  # and with it the socket, which is its own since `connect`

    async def _submit(
        self, smtp: aiosmtplib.SMTP, mail: EmailMessage, digest: Digest
    ) -> dict[str, aiosmtplib.SMTPResponse]:
        """Hand over the mail for all who do not have it yet; give those who were refused."""
        batch, have = self._reached
        have = have if batch == digest.batch else frozenset()
        wanted = [address for address in self._config.to if address not in have]
        refused, _ = await smtp.sendmail(self._config.sender, wanted, mail.as_bytes())
        taken = have | (frozenset(wanted) - refused.keys())
        self._reached = (digest.batch, taken) if refused else ("", frozenset())
        return refused

    # ── what came of it ──

    def _tell(self, refused: dict[str, aiosmtplib.SMTPResponse], digest: Digest) -> None:
        """Report addresses that were refused while others were not."""
        if not refused:
            return
        reason = "; ".join(
            f"{address} was refused: {_said(answer.code, answer.message)}"
            for address, answer in refused.items()
        )
        if all(answer.code < 500 for answer in refused.values()):
            raise Retry(reason)
        raise Partial(rejected=[(one.index, reason) for one in digest.found])

    def _fail(self, error: aiosmtplib.SMTPException, digest: Digest, lines: int) -> NoReturn:
        """Raise what an error of the dialogue means (RFC 5321, 4.2.1: 4yz later, 5yz never)."""
        match error:
            case aiosmtplib.SMTPRecipientsRefused():
                answers = {one.recipient: one for one in error.recipients}
                reason = "; ".join(
                    f"{address} was refused: {_said(one.code, one.message)}"
                    for address, one in answers.items()
                )
                final = all(one.code >= 500 for one in answers.values())
            case aiosmtplib.SMTPResponseException():
                reason = f"{self._peer} answered {_said(error.code, error.message)}"
                final = error.code >= 500
            case aiosmtplib.SMTPTimeoutError():
                reason, final = f"{self._peer} did not answer in time", False
            case aiosmtplib.SMTPConnectError() if isinstance(error.__cause__, OSError):
                reason, final = explain(error.__cause__, self._peer), False
            case aiosmtplib.SMTPServerDisconnected():
                reason, final = f"{self._peer} broke the connection", False
            case _:
                reason, final = f"{self._peer}: {' '.join(error.message.split())[:_WORDS]}", False
        if not final:
            raise Retry(reason) from error
        if len(digest.found) == lines:
            raise Rejected(reason) from error
        # Lines that were never to be mailed are no dead letters.
        raise Partial(rejected=[(one.index, reason) for one in digest.found]) from error


def _said(code: int, message: str) -> str:
    return f"{code} {' '.join(message.split())[:_WORDS]}".strip()
