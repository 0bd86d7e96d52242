"""The serving side of one contract: bounded work, deadlines, and an answer to everything."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import structlog

from hub.contracts import Endpoint
from hub.errors import DeadlineExceeded, IsaaxError, TooLarge, Unavailable
from hub.messaging import wire
from hub.messaging.meter import Meter
from hub.messaging.transport import Asked, Disconnected, Message, Transport
from hub.scope import hiding
from hub.telemetry import with_traceparent

_log = structlog.stdlib.get_logger(__name__)

QUEUE_PER_SLOT: Final = 4
"""Requests that wait, for each that is at work; beyond it the answer is `Unavailable` at once."""


_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(slots=True)
class Stats:
    """What ADR-32 counts of an endpoint; times in nanoseconds."""

    requests: int = 0
    errors: int = 0
    last_error: str = ""
    busy: int = 0

    def record(self, nanoseconds: int, error: IsaaxError | None) -> None:
        """Count one request that was answered."""
        self.requests += 1
        self.busy += nanoseconds
        if error is not None:
            self.errors += 1
            self.last_error = f"{error.status}:{error.title}"


class Worker:
    """Runs requests, so many at once, and lets a bounded number wait.

    Args:
        name: for the logs.
        work: handles one request until the deadline it is given, by the loop's clock; it answers
            a success itself. What it raises is answered here.
        timeout: seconds, for a request that does not say.
        meter: counts what is answered.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        work: Callable[[Message, float], Awaitable[None]],
        *,
        concurrency: int,
        timeout: float,
        meter: Meter,
    ) -> None:
        self.name = name
        self.stats = Stats()
        self._transport = transport
        self._work = work
        self._concurrency = concurrency
        self._timeout = timeout
        self._meter = meter
        self._waiting: deque[tuple[Message, float]] = deque()
        self._running: dict[asyncio.Task[None], Message] = {}
        self._refusing: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def accept(self, message: Message) -> None:
        """Take a request: it will be answered, whatever happens."""
        try:
            until = (
                message.until
                if isinstance(message, Asked)
                else wire.arrival_deadline(message.headers, self._timeout)
            )
        except IsaaxError as error:
            self._refuse(message, error)
            return
        if len(self._running) < self._concurrency:
            self._start(message, until)
        elif len(self._waiting) < self._concurrency * QUEUE_PER_SLOT:
            self._waiting.append((message, until))
        else:
            self._refuse(message, Unavailable(f"{self.name} is busy"))

    async def drain(self) -> None:
        """Return when everything that was accepted is answered; cancelling it answers the rest."""
        try:
            await self._idle.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Cancel what is at work, and answer it and what waits with `Unavailable`."""
        waiting, self._waiting = self._waiting, deque()
        for message, _ in waiting:
            self._refuse(message, self._stopping())
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*self._refusing, return_exceptions=True)

    def _start(self, message: Message, until: float) -> None:
        context = message.context if isinstance(message, Asked) else None
        task = asyncio.create_task(self._handle(message, until), context=context)
        self._running[task] = message
        self._idle.clear()
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        message = self._running.pop(task)
        if task.cancelled():
            # Cancelled before its first step, or while it answered.
            self._refuse(message, self._stopping())
        if self._waiting and len(self._running) < self._concurrency:
            self._start(*self._waiting.popleft())
        if not self._running:
            self._idle.set()

    def _refuse(self, message: Message, error: IsaaxError) -> None:
        self._record(0, error)
        task = asyncio.create_task(answer_error(self._transport, message, error))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    def _record(self, nanoseconds: int, error: IsaaxError | None) -> None:
        self.stats.record(nanoseconds, error)
        self._meter.answered(self.name, error.code if error else "ok", nanoseconds / 1e9)

    def _stopping(self) -> IsaaxError:
        return Unavailable(f"{self.name} is stopping")

    async def _handle(self, message: Message, until: float) -> None:
        started = time.perf_counter_ns()
        with _circumstances(message), wire.deadline(until):
            error = await self._attempt(message, until)
        self._record(time.perf_counter_ns() - started, error)
        if error is not None:
            await answer_error(self._transport, message, error)

    async def _attempt(self, message: Message, until: float) -> IsaaxError | None:
        """Do the work; give the error to answer with, or None when it has answered."""
        try:
            if asyncio.get_running_loop().time() >= until:
                raise DeadlineExceeded(f"{self.name} did not come to it in time")
            await self._work(message, until)
        except IsaaxError as error:
            return error
        except Disconnected as error:
            _log.warning("an answer was lost", endpoint=self.name, reason=str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return self._stopping()
            # The handler's own: some part that it waited for was cancelled.
            return internal_error(self.name)
        except Exception:  # noqa: BLE001 - one bad request must not end a service
            return internal_error(self.name)
        return None


@contextmanager
def _circumstances(message: Message) -> Iterator[None]:
    """Work within the trace of whoever asked, and blind to what is hidden from them."""
    if isinstance(message, Asked):
        yield  # the task has its context
        return
    with (
        with_traceparent(message.headers.get(wire.TRACE)),
        hiding(wire.hidden_by(message.headers)),
    ):
        yield


def internal_error(what: str) -> IsaaxError:
    """Log the exception that is being handled, and give an error that tells only where to look."""
    reference = secrets.token_hex(6)
    _log.exception("unhandled error", where=what, reference=reference)
    return IsaaxError(f"the hub's log has it under reference {reference}")


async def send_answer(
    transport: Transport, message: Message, data: bytes, headers: Mapping[str, str]
) -> None:
    """Answer whoever waits for it.

    Raises:
        Disconnected: it cannot be sent.
    """
    if isinstance(message, Asked):
        if not message.answer.done():
            message.answer.set_result(Message(message.subject, data, headers=headers))
    elif message.reply:
        await transport.publish(message.reply, data, headers=headers)


async def answer_error(transport: Transport, message: Message, error: IsaaxError) -> None:
    """Send an error to whoever waits for an answer."""
    data, headers = wire.error_message(error)
    try:
        await send_answer(transport, message, data, headers)
    except Disconnected as lost:
        _log.warning("an answer was lost", subject=message.subject, reason=str(lost))


def request_work(
    transport: Transport, endpoint: Endpoint[Any, Any]
) -> Callable[[Message, float], Awaitable[None]]:
    """Make the work of an endpoint that gives one answer."""
    contract = endpoint.contract

    async def work(message: Message, until: float) -> None:
        request = wire.decode_request(message.data, contract.request)
        try:
            async with asyncio.timeout_at(until) as timeout:
                response = await endpoint.handler(request)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise DeadlineExceeded(f"{contract.subject} was not done in time") from None
        if not isinstance(response, contract.response):
            raise TypeError(f"{contract.subject} answered with {type(response).__name__}")
        data = wire.encode(response)
        if len(data) > transport.max_payload:
            raise TooLarge(f"the answer has {len(data)} bytes; {transport.max_payload} are allowed")
        await send_answer(transport, message, data, _NONE)

    return work
