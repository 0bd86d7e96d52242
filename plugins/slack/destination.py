"""One message that sums up a batch.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks; at most one message a
second: https://docs.slack.dev/apis/web-api/rate-limits
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from hub import Batch, HttpTarget, Retry, Tools, Watch
from plugins.slack.config import SlackConfig
from plugins.slack.message import compose

_PATIENCE: Final = 5.0
"""Seconds that a message is waited for within a `send`; longer, and the lines come again."""

_encode: Final = msgspec.json.Encoder().encode


class Slack:
    """Tells of lines that match a rule; all others are done with at once.

    Args:
        clock: seconds that only grow, to keep messages apart.
    """

    def __init__(
        self, config: SlackConfig, tools: Tools, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every = config.every
        self._blocks = config.blocks
        self._watch = Watch(config.rules)
        self._clock = clock
        self._next = clock()
        self._target = HttpTarget(
            tools,
            config.url.reveal(),
            headers={"Content-Type": "application/json"},
            ca=config.ca,
            hide=config.hidden(),
        )

    async def send(self, batch: Batch) -> None:
        """Tell of one batch, if there is something to tell; Slack has taken it then.

        Raises:
            Retry: it is too early for another message, or Slack cannot take one now.
            Rejected: Slack will take none, with its word for why (`channel_is_archived`, …).
        """
        # In a flood there is a tenth of a second of work here, which others should not wait for.
        findings = await asyncio.to_thread(self._watch.findings, batch)
        if not findings:
            return
        await self._turn()
        answer = await self._target.push(_encode(compose(findings, blocks=self._blocks)))
        answer.check()
        self._next = self._clock() + self._every

    async def close(self) -> None:
        """Nothing is held: every message was answered."""

    async def _turn(self) -> None:
        """Return when another message may be sent."""
        wait = self._next - self._clock()
        if wait > _PATIENCE:
            raise Retry(
                f"more lines match than fit one message: they wait for the next, {wait:.0f} "
                "seconds from now",
                after=wait,
            )
        if wait > 0:
            await asyncio.sleep(wait)
