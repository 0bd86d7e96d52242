"""The transport within one process: NATS's rules for subjects without wildcards."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hub.messaging.transport import NO_RESPONDERS, Message, NoResponders, Subscription

MAX_PAYLOAD: Final = 1024 * 1024
"""As nats-server's default."""


@dataclass(slots=True)
class _Interest:
    """One subscription; its messages go through a queue of its own, in order."""

    transport: "MemoryTransport"
    subject: str
    queue: str
    handler: Callable[[Message], None]
    open: bool = True

    def deliver(self, message: Message) -> None:
        asyncio.get_running_loop().call_soon(self._hand_over, message)

    def _hand_over(self, message: Message) -> None:
        if self.open:
            self.handler(message)

    async def drain(self) -> None:
        self.transport.forget(self)
        # The loop calls in order: what was sent before is handed over before this.
        loop = asyncio.get_running_loop()
        passed = loop.create_future()
        loop.call_soon(passed.set_result, None)
        await passed
        self.open = False

    async def close(self) -> None:
        self.transport.forget(self)
        self.open = False


class MemoryTransport:
    """Sends and receives within one event loop; see `Transport`."""

    def __init__(self) -> None:
        self._interests: dict[str, list[_Interest]] = {}
        self._turn = itertools.count()

    @property
    def max_payload(self) -> int:
        """Bytes that one message may hold."""
        return MAX_PAYLOAD

    def new_inbox(self) -> str:
        """Give a subject that nobody else uses."""
        return f"_INBOX.{secrets.token_hex(12)}"

    async def subscribe(
        self, subject: str, handler: Callable[[Message], None], *, queue: str = ""
    ) -> Subscription:
        """Hand over what is sent to a subject; see `Transport.subscribe`."""
        interest = _Interest(self, subject, queue, handler)
        self._interests.setdefault(subject, []).append(interest)
        return interest

    def forget(self, interest: _Interest) -> None:
        """Send nothing more to a subscription."""
        interests = self._interests.get(interest.subject, [])
        if interest in interests:
            interests.remove(interest)
        if not interests:
            self._interests.pop(interest.subject, None)

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send without waiting for anything; see `Transport.publish`."""
        heard = self._deliver(Message(subject, data, reply, dict(headers or {})))
        if reply and not heard:
            self._deliver(Message(reply, headers={"Status": NO_RESPONDERS}))

    async def request(
        self, subject: str, data: bytes, *, headers: Mapping[str, str], timeout: float
    ) -> Message:
        """Send and wait for one answer; see `Transport.request`."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def receive(message: Message) -> None:
            if not answer.done():
                answer.set_result(message)

        inbox = self.new_inbox()
        subscription = await self.subscribe(inbox, receive)
        try:
            await self.publish(subject, data, reply=inbox, headers=headers)
            async with asyncio.timeout(timeout):
                message = await answer
        finally:
            await subscription.close()
        if message.unheard:
            raise NoResponders
        return message

    def _deliver(self, message: Message) -> bool:
        """Hand a message to every plain subscription, and to one of each queue."""
        groups: dict[str, list[_Interest]] = {}
        interests = self._interests.get(message.subject, [])
        for interest in interests:
            if interest.queue:
                groups.setdefault(interest.queue, []).append(interest)
            else:
                interest.deliver(message)
        for members in groups.values():
            members[next(self._turn) % len(members)].deliver(message)
        return bool(interests)
