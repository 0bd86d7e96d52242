"""Messages between parts: what a bus needs from NATS, or from its twin in memory."""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

NO_RESPONDERS: Final = "503"
"""`Status` of the message that comes back when nobody is subscribed (NATS ADR-4)."""


class NoResponders(Exception):  # noqa: N818 - reads as the outcome it names
    """Nobody is subscribed to the subject of a request."""


class Disconnected(Exception):  # noqa: N818
    """The message cannot be sent: there is no connection, and no room to keep it."""


class Message(msgspec.Struct, frozen=True):
    """One message as it travels."""

    subject: str
    data: bytes = b""
    reply: str = ""
    headers: Mapping[str, str] = {}

    @property
    def unheard(self) -> bool:
        """Say whether this is the answer of nobody."""
        return self.headers.get("Status") == NO_RESPONDERS and not self.data


class Asked(Message, frozen=True, kw_only=True):
    """A request from within this very process, which is answered without a transport.

    Args:
        answer: is given the answer.
        until: when the caller gives up, by the loop's clock.
        context: that it is asked in: its trace, and what is hidden from it.
    """

    answer: asyncio.Future[Message]
    until: float
    context: contextvars.Context


class Subscription(Protocol):
    """Interest in a subject."""

    async def drain(self) -> None:
        """End it once everything that was sent to it has been handed over."""
        ...

    async def close(self) -> None:
        """End it at once."""
        ...


class Transport(Protocol):
    """Sends and receives. Order is kept from one sender to one subscription."""

    @property
    def max_payload(self) -> int:
        """Bytes that one message may hold."""
        ...

    def new_inbox(self) -> str:
        """Give a subject that nobody else uses."""
        ...

    async def subscribe(
        self, subject: str, handler: Callable[[Message], None], *, queue: str = ""
    ) -> Subscription:
        """Hand over what is sent to a subject from now on.

        Args:
            handler: called in order; it must not block.
            queue: of those that name the same one, only one gets a message.

        Raises:
            Disconnected: the connection is closed.
        """
        ...

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send without waiting for anything.

        With `reply`, a message that is `unheard` goes there when nobody is subscribed.

        Raises:
            Disconnected: it cannot be sent.
        """
        ...

    async def request(
        self, subject: str, data: bytes, *, headers: Mapping[str, str], timeout: float
    ) -> Message:
        """Send and wait for one answer.

        Raises:
            NoResponders, Disconnected: as they say.
            TimeoutError: no answer within `timeout` seconds.
        """
        ...
