"""Answers of many parts: a flow of messages that the reader paces, between two inboxes.

The caller sends its request with a reply inbox. The server opens with the subject of its own
inbox (`open`), then sends `item`s, at most up to the number that the caller has allowed so far,
then `end`, or the error. Both sides send heartbeats; each gives up on a side that is silent. The
caller's heartbeats repeat what it allows, so that a lost message costs a moment and no more; the
server's repeat how many items it has sent, so that a lost item is noticed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from hub.contracts import Contract, StreamEndpoint
from hub.errors import DeadlineExceeded, Invalid, TooLarge, Unavailable
from hub.messaging import wire
from hub.messaging.transport import Disconnected, Message, Transport

Req = TypeVar("Req", bound=msgspec.Struct)
Res = TypeVar("Res", bound=msgspec.Struct)

KIND: Final = "Isaax-Stream"
"""`open`, `item`, `idle` or `end`; from the caller `read` or `close`."""
COUNT: Final = "Isaax-Count"
"""Items sent so far; from the caller, how many may be sent in all."""

WINDOW: Final = 64
"""Items that a caller takes before it has read them."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the two sides notice that the other is gone.

    Args:
        beat: seconds between heartbeats.
        silence: seconds without any after which the other side counts as gone. A generator is
            cancelled at most `silence + beat` after its caller vanished.
    """

    beat: float = 3.0
    silence: float = 10.0


# ── the serving side ──────────────────────────────────────────────────────────────────────────


class _Allowance:
    """What the caller has said: how far it reads, and that it is still there."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._raised = asyncio.Event()
        self.closed = asyncio.Event()
        self.heard = asyncio.get_running_loop().time()

    def receive(self, message: Message) -> None:
        self.heard = asyncio.get_running_loop().time()
        self._allowed = max(self._allowed, _count(message))
        self._raised.set()
        if message.unheard or message.headers.get(KIND) == "close":
            self.closed.set()

    async def reaches(self, count: int) -> None:
        """Return once the caller has room for item number `count`."""
        while self._allowed < count:
            self._raised.clear()
            await self._raised.wait()


class StreamWork:
    """The work of a `StreamEndpoint`, for a `Worker`."""

    def __init__(
        self, transport: Transport, endpoint: StreamEndpoint[Any, Any], pulse: Pulse
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._pulse = pulse

    async def __call__(self, message: Message, until: float) -> None:
        """Answer one request until the generator ends, or its caller does."""
        request = wire.decode_request(message.data, self._endpoint.contract.request)
        if not message.reply:
            raise Invalid("a stream needs a reply subject")
        inbox = self._transport.new_inbox()
        allowance = _Allowance(_count(message))
        control = await self._transport.subscribe(inbox, allowance.receive)
        try:
            # The deadline is for the opening; the stream itself may last.
            with wire.deadline(None):
                await _Flow(self._transport, message.reply, inbox, allowance, self._pulse).run(
                    self._endpoint.handler(request), self._endpoint.contract.response
                )
        finally:
            await control.close()


class _Flow:
    """One stream on its way to one caller."""

    def __init__(
        self,
        transport: Transport,
        reply: str,
        inbox: str,
        allowance: _Allowance,
        pulse: Pulse,
    ) -> None:
        self._transport = transport
        self._reply = reply
        self._inbox = inbox
        self._allowance = allowance
        self._pulse = pulse
        self._sent = 0

    async def run(self, items: AsyncIterator[Any], item_type: type[msgspec.Struct]) -> None:
        await self._send("open", reply=self._inbox)
        producing = asyncio.create_task(self._produce(items, item_type))
        try:
            if await self._watch(producing):
                await producing
                await self._send("end")
        finally:
            producing.cancel()
            # Its own outcome was raised above, or nobody is left to hear of it.
            await asyncio.gather(producing, return_exceptions=True)

    async def _produce(self, items: AsyncIterator[Any], item_type: type[msgspec.Struct]) -> None:
        try:
            async for item in items:
                if not isinstance(item, item_type):
                    raise TypeError(f"the stream gave a {type(item).__name__}")
                data = wire.encode(item)
                if len(data) > self._transport.max_payload:
                    raise TooLarge(f"one answer has {len(data)} bytes")
                await self._allowance.reaches(self._sent + 1)
                self._sent += 1
                await self._send("item", data)
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
            if close is not None:
                await close()

    async def _watch(self, producing: asyncio.Task[None]) -> bool:
        """Beat until the producer is done; False: the caller is gone."""
        loop = asyncio.get_running_loop()
        closed = asyncio.create_task(self._allowance.closed.wait())
        try:
            while True:
                await asyncio.wait(
                    {producing, closed},
                    timeout=self._pulse.beat,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if producing.done():
                    return True
                if closed.done() or loop.time() - self._allowance.heard > self._pulse.silence:
                    return False
                await self._send("idle")
        finally:
            closed.cancel()

    async def _send(self, kind: str, data: bytes = b"", *, reply: str = "") -> None:
        headers = {KIND: kind, COUNT: str(self._sent)}
        await self._transport.publish(self._reply, data, reply=reply, headers=headers)


# ── the calling side ──────────────────────────────────────────────────────────────────────────


class _Incoming:
    """What has arrived and was not read yet: `WINDOW` items at most, and how it ended."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.heard = asyncio.get_running_loop().time()
        self._items = 0

    def receive(self, message: Message) -> None:
        self.heard = asyncio.get_running_loop().time()
        kind = message.headers.get(KIND)
        if kind == "item":
            self._items += 1
        if kind in {"item", "idle", "end"} and _count(message) != self._items:
            self.messages.put_nowait(None)  # something was lost on the way
        elif kind != "idle":
            self.messages.put_nowait(message)

    async def next(self, timeout: float) -> Message | None:
        """Give what comes next; `timeout` is how long the other side may be silent.

        Raises:
            TimeoutError: it was.
        """
        loop = asyncio.get_running_loop()
        while True:
            left = self.heard + timeout - loop.time()
            try:
                async with asyncio.timeout(max(left, 0.001)):
                    return await self.messages.get()
            except TimeoutError:
                if loop.time() - self.heard >= timeout:
                    raise


async def read_stream(
    transport: Transport,
    contract: Contract[Req, Res],
    request: Req,
    pulse: Pulse,
    unserved: Callable[[str], Unavailable],
) -> AsyncIterator[Res]:
    """Ask for a stream and give its items; see `Bus.stream`.

    Args:
        unserved: says why nobody serves a contract, by its subject.

    Raises:
        IsaaxError: what the service raised.
        DeadlineExceeded: it did not open in time.
        Unavailable: nobody serves it, or it broke off.
    """
    incoming = _Incoming()
    inbox = transport.new_inbox()
    subscription = await transport.subscribe(inbox, incoming.receive)
    try:
        opened = await _open(transport, contract, request, inbox, incoming, unserved)
        reader = _Reader(transport, opened.reply, pulse)
        beating = asyncio.create_task(reader.beat())
        try:
            while True:
                message = await _next(incoming, contract, pulse)
                if message.headers.get(KIND) == "end":
                    return
                yield wire.decode_answer(message.data, contract.response, contract.subject)
                await reader.advance()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await reader.close()
    finally:
        await subscription.close()


async def _open(
    transport: Transport,
    contract: Contract[Req, Res],
    request: Req,
    inbox: str,
    incoming: _Incoming,
    unserved: Callable[[str], Unavailable],
) -> Message:
    seconds = wire.budget(contract.timeout)
    headers = {**wire.request_headers(seconds), COUNT: str(WINDOW)}
    try:
        await transport.publish(
            contract.wire_subject, wire.encode(request), reply=inbox, headers=headers
        )
        message = await incoming.next(seconds)
    except TimeoutError:
        raise DeadlineExceeded(f"{contract.subject} did not answer in {seconds:.1f} s") from None
    except Disconnected as error:
        raise Unavailable(f"{contract.subject}: {error}") from None
    if message is None:
        raise Unavailable(f"{contract.subject}: a part of the stream was lost")
    if message.unheard:
        raise unserved(contract.subject)
    wire.raise_error(message)
    return message


async def _next(incoming: _Incoming, contract: Contract[Any, Any], pulse: Pulse) -> Message:
    try:
        message = await incoming.next(pulse.silence)
    except TimeoutError:
        raise Unavailable(f"{contract.subject} went silent") from None
    if message is None:
        raise Unavailable(f"{contract.subject}: a part of the stream was lost")
    wire.raise_error(message)
    return message


class _Reader:
    """Tells the server how far this side reads, and that it still does."""

    def __init__(self, transport: Transport, control: str, pulse: Pulse) -> None:
        self._transport = transport
        self._control = control
        self._pulse = pulse
        self._read = 0
        self._told = 0

    async def advance(self) -> None:
        """Count one item as read; tell the server often enough that it need not wait."""
        self._read += 1
        if self._read - self._told >= WINDOW // 2:
            await self._tell("read")

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(self._pulse.beat)
            await self._tell("read")

    async def close(self) -> None:
        await self._tell("close")

    async def _tell(self, kind: str) -> None:
        self._told = self._read
        headers = {KIND: kind, COUNT: str(self._read + WINDOW)}
        # A lost connection is noticed by the silence that follows.
        with suppress(Disconnected):
            await self._transport.publish(self._control, b"", headers=headers)


def _count(message: Message) -> int:
    text = message.headers.get(COUNT, "")
    return int(text) if text.isdecimal() else 0
