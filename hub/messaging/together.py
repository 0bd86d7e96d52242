"""A durable consumer that takes many events at once, in order, over all processes that share it.

One of them at a time is given events (NATS's priority policy `pinned_client`, ADR-42): more may be
unsettled then, and none overtakes another. What a crash leaves unsettled comes again, before
anything that is newer: the pin outlives the wait for it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from hub.contracts import TOGETHER
from hub.errors import Unavailable
from hub.messaging.events import Verdict, attempt, attempt_together
from hub.messaging.jetstream import EVENTS, DurableConsumer, Inbox

_log = structlog.stdlib.get_logger(__name__)

_GROUP: Final = "one"
_PIN: Final = "Nats-Pin-Id"
_PULL: Final = 5.0  # seconds; each pull renews the pin
_PINNED: Final = 7.0  # seconds without a pull after which another process takes over


@dataclass
class _Pinned(ConsumerConfig):
    """A consumer's settings, and those that nats-py does not know."""

    priority_groups: list[str] | None = None
    priority_policy: str | None = None
    priority_timeout: int | None = None


class TogetherConsumer(DurableConsumer):
    """Reads one topic under one durable name, as many events at once as wait."""

    _pin = ""

    def _config(self) -> ConsumerConfig:
        plain = super()._config()
        return _Pinned(
            **{name: getattr(plain, name) for name in plain.__dataclass_fields__}
            | {"max_ack_pending": TOGETHER},
            priority_groups=[_GROUP],
            priority_policy="pinned_client",
            priority_timeout=round(_PINNED * 1e9),
        )

    def _wanted(self) -> dict[str, Any]:
        pinned = {"id": self._pin} if self._pin else {}
        return {**super()._wanted(), "expires": round(_PULL * 1e9), "group": _GROUP, **pinned}

    async def _recover(self, reason: str) -> None:
        self._pin = ""  # it may be what is wrong
        await super()._recover(reason)
        await self._let_ripen()

    async def _let_ripen(self) -> None:
        """Wait for what a crash left unsettled: newer events are not to come before those."""
        with suppress(OSError, TimeoutError, nats.errors.Error):
            info = await self._js.consumer_info(EVENTS, self._consumer.name)
            if info.num_ack_pending:
                async with asyncio.timeout(self._timing.ack_wait):
                    await self._stopping.wait()

    async def _slot(self) -> None:
        inbox = Inbox(self._client)
        try:
            await self._let_ripen()
            while not self._stopping.is_set():
                first = await self._next(inbox)
                if first is not None:
                    self._pin = (first.headers or {}).get(_PIN, "")
                    await self._handle_all([first, *await self._rest(inbox)])
        finally:
            await inbox.close()
            await self._unpin()

    async def _rest(self, inbox: Inbox) -> list[Msg]:
        """Give what else waits."""
        found: list[Msg] = []
        wanted = self._wanted() | {"batch": TOGETHER - 1, "no_wait": True}
        del wanted["expires"], wanted["idle_heartbeat"]
        with suppress(OSError, TimeoutError, nats.errors.Error):
            await self._pull(inbox, wanted)
            while len(found) < TOGETHER - 1:
                message = await inbox.next(self._timing.silence, self._stopping)
                if message is None or "Status" in (message.headers or {}):
                    break
                found.append(message)
        return found

    async def _handle_all(self, messages: Sequence[Msg]) -> None:
        progress = asyncio.create_task(self._progress_all(messages))
        try:
            given = [(message.data, message.headers or {}) for message in messages]
            # One that was tried before may have ended the process: it is tried by itself.
            fresh = all(message.metadata.num_delivered == 1 for message in messages)
            if fresh and await attempt_together(self._consumer, given, self._meter):
                await self._tell_all(messages)
            else:
                await self._one_by_one(messages)
        except (OSError, TimeoutError, Unavailable, nats.errors.Error) as error:
            # Not settled: JetStream delivers them again after the ack wait.
            _log.warning("events not settled", consumer=self._consumer.name, reason=str(error))
        finally:
            progress.cancel()
            await asyncio.gather(progress, return_exceptions=True)

    async def _one_by_one(self, messages: Sequence[Msg]) -> None:
        for number, message in enumerate(messages):
            if not await self._try(message):
                for left in messages[number:]:
                    await left.nak()
                return

    async def _try(self, message: Msg) -> bool:
        """Try an event until it is done or dead, for it holds up the others; False: it is time."""
        number = message.metadata.num_delivered
        while True:
            headers = message.headers or {}
            outcome = await attempt(self._consumer, message.data, headers, number, self._meter)
            if outcome.verdict is not Verdict.RETRY:
                await self._settle(message, number, outcome)
                return True
            try:
                async with asyncio.timeout(self._pace.wait(number)):
                    await self._stopping.wait()
            except TimeoutError:
                number += 1
            else:
                return False

    async def _tell_all(self, messages: Sequence[Msg]) -> None:
        """Settle all; the last one's confirmation is that of those before it."""
        for message in messages[:-1]:
            await message.ack()
        await self._tell(messages[-1], Msg.Ack.Ack)

    async def _progress_all(self, messages: Sequence[Msg]) -> None:
        while True:
            await asyncio.sleep(self._timing.ack_wait / 3)
            for message in messages:
                if not message.is_acked:
                    with suppress(OSError, nats.errors.Error):
                        await message.in_progress()

    async def _unpin(self) -> None:
        """Let another process go on at once."""
        if self._pin:
            with suppress(OSError, TimeoutError, nats.errors.Error):
                await self._client.request(
                    f"$JS.API.CONSUMER.UNPIN.{EVENTS}.{self._consumer.name}",
                    b'{"group":"%s"}' % _GROUP.encode(),
                    timeout=self._timing.silence,
                )
