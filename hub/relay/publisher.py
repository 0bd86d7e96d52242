"""Group commit into a JetStream stream: what arrives during one commit goes with the next.

One atomic batch (ADR-50: `Nats-Batch-Id`, `-Sequence`, `-Commit`) is in flight at a time, so one
sync serves many messages. Whoever submits much waits for itself: a commit takes from each `order`
in turn, and within one the order of what is submitted is the order in the stream.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client

from hub.relay.retry import Backoff
from hub.relay.stored import MSG_ID

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)

# nats-server's own bound of an atomic batch (error 10199 above it).
MAX_MESSAGES: Final = 1_000
MAX_BYTES: Final = 8 * 1024 * 1024
STUCK: Final = 5.0
"""Seconds of failures after which what waits to be stored counts as stuck."""
# No answer, no connection, or an answer that is none: the same ids are sent again.
_TRANSIENT: Final = (nats.errors.Error, OSError, msgspec.DecodeError)
_DUPLICATE: Final = 10201  # "atomic publish batch contains duplicate message id"


@dataclass(frozen=True, slots=True)
class Outgoing(Generic[T]):
    """One message on its way into the stream.

    Args:
        id: JetStream stores it once within its dedup window.
        order: messages of the same `order` are stored in the order of their submission; others
            take turns with them.
        headers: besides the id.
        context: the submitter's own.
        prepare: awaited before the message is stored.
        late: gives more headers, each time that it is sent: after all before it in its order.
    """

    subject: str
    payload: bytes
    id: str
    order: object
    headers: dict[str, str]
    context: T
    prepare: Callable[[], Awaitable[None]] | None = None
    late: Callable[[], dict[str, str]] | None = None


class _ApiError(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct, frozen=True):
    seq: int = 0
    duplicate: bool = False
    error: _ApiError | None = None


class PublishRefused(Exception):  # noqa: N818 - an outcome of one attempt
    """JetStream answered with an error."""

    def __init__(self, error: _ApiError) -> None:
        super().__init__(f"JetStream error {error.err_code}: {error.description}")
        self.err_code = error.err_code


_ack_decoder: Final = msgspec.json.Decoder(_PubAck)


def patience() -> Backoff:
    """Give the waits between attempts to store the same message."""
    return Backoff(base=0.1, cap=5.0)


class Publisher(Generic[T]):
    """Stores messages in one stream, in order, and says when they are synced.

    Args:
        stored: called with each group once JetStream has acknowledged it.
        known: called before that with each message that JetStream had stored already.
        timeout: seconds to wait for an acknowledgement before the same ids are sent again.
        observe: told the seconds that each group took.
        sequence: of the stream at the start.
        backoff: makes the waits between attempts.
    """

    def __init__(
        self,
        nats: Client,
        stored: Callable[[Sequence[Outgoing[T]]], None],
        *,
        known: Callable[[Outgoing[T]], None] = lambda _message: None,
        timeout: float = 5.0,
        observe: Callable[[float], None] = lambda _seconds: None,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        sequence: int = 0,
        backoff: Callable[[], Backoff] = patience,
    ) -> None:
        self._nats = nats
        self._stored = stored
        self._known = known
        self._timeout = timeout
        self._observe = observe
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._queues: dict[object, deque[Outgoing[T]]] = {}
        self._turns: deque[object] = deque()  # the orders that have a queue; the first is next
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._backoff = backoff
        self._trouble = ""
        self._since = 0.0
        self.sequence = sequence
        """Stream sequence up to which everything that was acknowledged here was reported."""

    @property
    def stuck(self) -> str:
        """Why what was submitted is not stored, once that is so for `STUCK` seconds; else ""."""
        if not self._trouble or time.monotonic() - self._since < STUCK:
            return ""
        return self._trouble

    def submit(self, message: Outgoing[T]) -> None:
        """Queue a message; whoever submits bounds how much is under way."""
        queue = self._queues.get(message.order)
        if queue is None:
            queue = self._queues[message.order] = deque()
            self._turns.append(message.order)
        queue.append(message)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Store what is submitted, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._turns:
                group = self._take()
                await self._store(group)
            self._idle.set()

    async def drain(self) -> None:
        """Wait until all that was submitted is stored."""
        await self._idle.wait()

    def _take(self) -> list[Outgoing[T]]:
        """Take the next group: a message of each order in turn, while there is room."""
        group: list[Outgoing[T]] = []
        size = 0
        while self._turns and len(group) < self._max_messages:
            order = self._turns[0]
            queue = self._queues[order]
            size += len(queue[0].payload)
            if group and size > self._max_bytes:
                break  # it is the first of the next group
            group.append(queue.popleft())
            if queue:
                self._turns.rotate(-1)
            else:
                self._turns.popleft()
                del self._queues[order]
        return group

    async def _store(self, group: Sequence[Outgoing[T]]) -> None:
        for message in group:
            if message.prepare is not None:
                await message.prepare()
        started = time.perf_counter()
        sequence = await self._until_stored(group)
        self._trouble = ""
        self._observe(time.perf_counter() - started)
        self.sequence = max(self.sequence, sequence)
        self._stored(group)

    async def _until_stored(self, group: Sequence[Outgoing[T]]) -> int:
        backoff = self._backoff()
        while True:
            try:
                return await self._atomic(group)
            except PublishRefused as refused:
                if refused.err_code != _DUPLICATE:
                    _log.warning("group commit refused; storing one by one", error=str(refused))
                return await self._one_by_one(group)
            except _TRANSIENT as error:
                await self._pause(backoff, error)

    async def _atomic(self, group: Sequence[Outgoing[T]]) -> int:
        if len(group) == 1:
            return await self._request(group[0], {})
        batch = secrets.token_hex(8)
        last = len(group)
        for number, message in enumerate(group[:-1], 1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            await self._nats.publish(
                message.subject, message.payload, headers=_headers(message, headers)
            )
        commit = {
            "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(last), "Nats-Batch-Commit": "1",
        }  # fmt: skip
        return await self._request(group[-1], commit)

    async def _one_by_one(self, group: Sequence[Outgoing[T]]) -> int:
        """Store each by itself: here a duplicate is acknowledged like any other."""
        lanes: dict[object, list[Outgoing[T]]] = {}
        for message in group:
            lanes.setdefault(message.order, []).append(message)
        return max(await asyncio.gather(*(self._lane(lane) for lane in lanes.values())))

    async def _lane(self, messages: Sequence[Outgoing[T]]) -> int:
        sequence = 0
        for message in messages:
            backoff = self._backoff()
            while True:
                try:
                    sequence = await self._request(message, {})
                    break
                except (PublishRefused, *_TRANSIENT) as error:
                    await self._pause(backoff, error)
        return sequence

    async def _request(self, message: Outgoing[T], extra: dict[str, str]) -> int:
        answer = await self._nats.request(
            message.subject,
            message.payload,
            timeout=self._timeout,
            headers=_headers(message, extra),
        )
        ack = _ack_decoder.decode(answer.data)
        if ack.error is not None:
            raise PublishRefused(ack.error)
        if ack.duplicate:
            self._known(message)
        return ack.seq

    async def _pause(self, backoff: Backoff, error: Exception) -> None:
        words = str(error) or type(error).__name__
        _log.warning("not stored yet", error=words)
        if not self._trouble:
            self._since = time.monotonic()
        self._trouble = words
        await asyncio.sleep(backoff.next())
        # What is written while the connection is down would pile up in the client's buffer.
        while not self._nats.is_connected:  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(0.05)


def _headers(message: Outgoing[T], extra: dict[str, str]) -> dict[str, str]:
    late = message.late() if message.late is not None else {}
    return {MSG_ID: message.id, **message.headers, **late, **extra}
