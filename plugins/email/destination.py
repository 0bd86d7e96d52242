"""One mail a batch, through the user's own mail server."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NoReturn

from hub import (
    Batch,
    Partial,
    Rejected,
    Retry,
    SmtpAnswer,
    SmtpClient,
    SmtpFailed,
    Tools,
    Watch,
    refusals,
)
from plugins.email.config import EmailConfig
from plugins.email.digest import Digest, compose, digest_of
from plugins.email.pace import Pace

TIMEOUT: Final = 180.0
"""Seconds that one `send` may take: a digest waits up to a minute when there were many."""


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
        self._watch = Watch(config.rules)
        self._pace = Pace()
        self._server = SmtpClient(
            config.host,
            config.port,
            security=config.tls,
            username=config.username,
            password=config.password,
            ca=config.ca,
            open_socket=tools.dial.open_socket,
        )
        self._reached: tuple[str, frozenset[str]] = ("", frozenset())

    async def send(self, batch: Batch) -> None:
        """Mail what matches a rule; nothing is mailed when nothing does."""
        digest = await asyncio.to_thread(digest_of, batch, self._watch)
        if not digest.found:
            return
        mail = compose(digest, self._config, integration=self._tools.integration, now=self._clock())
        await self._pace.turn()
        try:
            refused = await self._submit(mail.as_bytes(), digest)
        except SmtpFailed as error:
            self._fail(error, digest, len(batch))
        self._tell(refused, digest)

    async def close(self) -> None:
        """Nothing is held: every mail was answered."""

    async def _submit(self, mail: bytes, digest: Digest) -> dict[str, SmtpAnswer]:
        """Hand over the mail for all who do not have it yet; give those who were refused."""
        batch, have = self._reached
        have = have if batch == digest.batch else frozenset()
        wanted = [address for address in self._config.to if address not in have]
        refused = await self._server.submit(self._config.sender, wanted, mail)
        taken = have | (frozenset(wanted) - refused.keys())
        self._reached = (digest.batch, taken) if refused else ("", frozenset())
        return refused

    def _tell(self, refused: dict[str, SmtpAnswer], digest: Digest) -> None:
        """Report addresses that were refused while others were not."""
        if not refused:
            return
        reason = refusals(refused)
        if all(answer.code < 500 for answer in refused.values()):
            raise Retry(reason)
        raise Partial(rejected=[(one.index, reason) for one in digest.found])

    def _fail(self, error: SmtpFailed, digest: Digest, lines: int) -> NoReturn:
        """Raise what it means (RFC 5321, 4.2.1: 4yz later, 5yz never)."""
        if error.code < 500:
            raise Retry(error.reason) from error
        if len(digest.found) == lines:
            raise Rejected(error.reason) from error
        # Lines that were never to be mailed are no dead letters.
        raise Partial(rejected=[(one.index, error.reason) for one in digest.found]) from error
