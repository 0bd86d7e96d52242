"""Delivery of one integration: its own task, its own consumer, its own destination.

Order is kept because nothing is ever read past a batch that is still being tried. For a
destination that answers, a batch is acknowledged to JetStream when it was taken. For one that
never answers (a `Window`), it is acknowledged once confirmed, and all that is not is read and
sent again when the connection is lost.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Final, cast

import nats.errors
import structlog

from hub.batches import Batch
from hub.destinations import Destination, StreamDestination, Window
from hub.relay.batching import Assembler, Parcel, subset
from hub.relay.cursor import Cursor
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.progress import Progress, State
from hub.relay.push import Failed, Refused, Taken, TookSome, fenced, push
from hub.relay.reader import Interrupted, Reader, StoredMessage
from hub.relay.retry import Backoff, Breaker, Circuit
from hub.relay.streams import project_of
from hub.relay.window import Unconfirmed

_log = structlog.stdlib.get_logger(__name__)

_TICK: Final = 1.0  # seconds between looks at the connection to NATS while nothing comes
_CLOSE: Final = 10.0  # seconds that a destination may take to close
# Stands in for a window where every send is answered: nothing is ever added to it.
_ANSWERED: Final = Window()


class Rewind(Exception):  # noqa: N818 - moves the loop to its start
    """What is unconfirmed has to be read and sent again."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.reason)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Rules:
    """How one destination is served.

    Args:
        max_lines, max_bytes, timeout, window: as in `DestinationType`.
        memory: bytes of stored batches that are held ahead.
    """

    max_lines: int
    max_bytes: int
    timeout: float
    window: Window | None
    memory: int


class Delivery:
    """Moves the lines of one project to one destination, from `run` until `stop`.

    Args:
        build: makes the destination, with all that it needs, and lets go of that afterwards.
    """

    def __init__(
        self,
        integration: str,
        cursor: Cursor,
        build: Callable[[], AbstractAsyncContextManager[Destination]],
        rules: Rules,
        *,
        dead: DeadLetters,
        hosts: HostNames,
        progress: Progress,
        breaker: Breaker | None = None,
    ) -> None:
        self._integration = integration
        self._cursor = cursor
        self._build = build
        self._rules = rules
        self._dead = dead
        self._progress = progress
        self._breaker = breaker or Breaker()
        self._assembler = Assembler(
            hosts, max_lines=rules.max_lines, max_bytes=rules.max_bytes, poison=self._poison
        )
        self._unconfirmed = Unconfirmed(rules.window or _ANSWERED)
        self._again: StoredMessage | None = None
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._life: AsyncExitStack | None = None
        self._destination: Destination | None = None
        self._answers = rules.window is None
        self._log = _log.bind(integration=integration)

    def stop(self) -> None:
        """Ask `run` to end: the send in hand is finished, what was sent is confirmed if it can."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop`."""
        backoff = Backoff(base=0.2, cap=5.0)
        try:
            while not self._stopping.is_set():
                try:
                    await self._read_and_send(backoff)
                except Rewind as rewind:
                    await self._after_loss(rewind.failed)
                except (Interrupted, nats.errors.Error) as error:
                    self._progress.note(State.RETRYING, f"JetStream: {error}")
                    await self._sleep(backoff.next())
        finally:
            await self._finish()

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    async def _read_and_send(self, backoff: Backoff) -> None:
        self._assembler.clear()
        async with self._reading() as reader:
            backoff.reset()
            while not self._stopping.is_set():
                await reader.pump()
                await self._confirm()
                parcel = await self._assembler.next(lambda: self._untaken(reader))
                if parcel is None:
                    await self._idle()
                    continue
                self._progress.reading(parcel.since, reader.waiting, parcel.completes)
                await self._deliver(parcel)

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Reader]:
        await self._cursor.rewind()
        reader = self._cursor.reader(window=self._rules.memory, wake=self._wake.set)
        await reader.open()
        try:
            yield reader
        finally:
            with contextlib.suppress(nats.errors.Error):
                await reader.close()

    def _untaken(self, reader: Reader) -> StoredMessage | None:
        """Give the next message, without those that come again although they were sent.

        That is so after an interruption of JetStream, when the destination's connection stood.
        """
        while (message := reader.take()) is not None:
            if self._cursor.is_taken(message):
                self._again = message
            elif not self._unconfirmed.holds(message):
                return message
        return None

    async def _idle(self) -> None:
        """Wait for a message, the loss of the connection, a confirmation that is due, or stop."""
        due = self._unconfirmed.due()
        seconds = _TICK if due is None else max(0.0, min(_TICK, due - time.monotonic()))
        if not len(self._unconfirmed):
            self._progress.state(State.WAITING)
            await self._woken(seconds)
            return
        async with self._watched() as lost:
            lost.add_done_callback(lambda task: None if task.cancelled() else self._wake.set())
            await self._woken(seconds)

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Look at the connection meanwhile, with a task that ends when it is lost.

        Raises:
            Rewind: it is lost.
        """
        lost = asyncio.create_task(_lost(cast("StreamDestination", self._destination)))
        try:
            yield lost
        finally:
            lost.cancel()
            await asyncio.wait({lost}, timeout=1.0)
        if lost.done() and not lost.cancelled():
            raise Rewind(Failed("the connection was lost", lost=True))

    async def _woken(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    # ── sending ───────────────────────────────────────────────────────────────────────────────

    async def _deliver(self, parcel: Parcel) -> None:
        """Try until the parcel is done with.

        Raises:
            Rewind: the connection is gone, and with it what was unconfirmed.
        """
        batch = parcel.batch
        while batch.chunks:
            batch = await self._attempt(batch)
            if batch.chunks and self._stopping.is_set():
                return
        await self._done(parcel)

    async def _attempt(self, batch: Batch) -> Batch:
        """Send once; give what is left to send."""
        destination = await self._ready()
        if destination is None:
            return batch
        self._progress.state(State.DELIVERING)
        outcome = await push(destination, batch, self._rules.timeout)
        match outcome:
            case Taken():
                self._progress.delivered(len(batch))
                self._succeeded()
                return Batch("", ())
            case Refused(reason):
                await self._dead.put_batch(self._integration, batch, reason)
                self._progress.rejected(len(batch), reason)
                self._succeeded()
                return Batch("", ())
            case TookSome(rejected, retry):
                return await self._took_some(batch, rejected, retry)
            case Failed():
                await self._failed(outcome)
                return batch

    async def _took_some(
        self, batch: Batch, rejected: tuple[tuple[int, str], ...], retry: tuple[int, ...]
    ) -> Batch:
        reasons = {index: reason for index, reason in rejected if 0 <= index < len(batch)}
        left = subset(batch, [index for index in retry if index not in reasons])
        await self._dead.put_chunks(
            self._integration,
            [
                (chunk, reasons[index])
                for index in sorted(reasons)
                for chunk in subset(batch, [index]).chunks
            ],
        )
        if reasons:
            self._progress.rejected(len(reasons), reasons[min(reasons)])
        self._progress.delivered(len(batch) - len(reasons) - len(left))
        if len(left) == len(batch):
            await self._failed(Failed("it took none of the lines"))
        elif left.chunks:
            await self._failed(Failed(f"it asked for {len(left)} lines again"))
        else:
            self._succeeded()
        return left

    async def _done(self, parcel: Parcel) -> None:
        message = parcel.completes
        if message is None:
            return
        # What was not sent, and comes after nothing that was, waits for no confirmation.
        if self._answers or not (parcel.batch.chunks or len(self._unconfirmed)):
            await self._cursor.taken(message)
        else:
            self._unconfirmed.add(message, parcel.size, time.monotonic())

    async def _confirm(self) -> None:
        again, self._again = self._again, None
        if again is not None:  # NATS forgot that it was taken
            await self._cursor.taken(again)
        now = time.monotonic()
        due = self._unconfirmed.due()
        if due is not None and due <= now:
            # It came of age while a send or NATS was waited for: did the connection, too?
            async with self._watched() as lost:
                await asyncio.wait({lost}, timeout=0)
        message = self._unconfirmed.confirmed(now)
        if message is not None:
            self._breaker.succeeded()
            await self._cursor.taken(message)

    def _succeeded(self) -> None:
        # Where nothing is answered, only a confirmation is a success: a peer that takes lines
        # and drops the connection must meet a growing wait.
        if self._answers:
            self._breaker.succeeded()

    # ── trouble ───────────────────────────────────────────────────────────────────────────────

    async def _failed(self, failed: Failed) -> None:
        if not self._answers and (failed.lost or failed.broken):
            raise Rewind(failed)
        if failed.broken:
            await self._let_go()
        await self._wait(failed)

    async def _after_loss(self, failed: Failed) -> None:
        self._unconfirmed.lost(time.monotonic())
        if failed.broken:
            await self._let_go()
        await self._wait(failed)

    async def _wait(self, failed: Failed) -> None:
        delay = self._breaker.failed(failed.after)
        opened = self._breaker.circuit is Circuit.OPEN
        self._progress.failed(State.OPEN if opened else State.RETRYING, failed.reason)
        self._log.info("not delivered", reason=failed.reason, again_in=round(delay, 3))
        await self._sleep(delay)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _poison(self, message: StoredMessage, reason: str) -> None:
        """Put away a message that cannot be decoded."""
        self._progress.rejected(1, reason)
        await self._dead.put(
            project=project_of(message.subject),
            source=self._integration,
            id=f"stream:{message.sequence}",
            payload=message.payload,
            reason=reason,
        )

    # ── the destination ───────────────────────────────────────────────────────────────────────

    async def _ready(self) -> Destination | None:
        """Give the destination, made if need be; None, after a wait, when it cannot be made."""
        if self._destination is None:
            life = AsyncExitStack()
            try:
                self._destination = await life.enter_async_context(self._build())
            except Exception as error:  # noqa: BLE001 - the boundary to plugins
                await life.aclose()
                self._progress.failed(State.BROKEN, f"cannot be built: {type(error).__name__}")
                await self._sleep(self._breaker.failed())
                return None
            self._life = life
            # A type may offer both: syslog over TLS, which is never answered, and HTTPS, which is.
            streams = isinstance(self._destination, StreamDestination)
            self._answers = self._rules.window is None or not streams
        return self._destination

    async def _let_go(self) -> bool:
        """Close the destination; say whether it closed well."""
        destination, self._destination = self._destination, None
        life, self._life = self._life, None
        if destination is None or life is None:
            return False
        try:
            await fenced(destination.close(), _CLOSE)
        except Exception as error:  # noqa: BLE001 - the boundary to plugins
            self._log.info("the destination did not close well", error=type(error).__name__)
            return False
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE):
                    await life.aclose()
        return True

    async def _finish(self) -> None:
        """Close; what was sent counts as taken when the destination says so by closing well."""
        closed = await self._let_go()
        message = self._unconfirmed.all_confirmed()
        with contextlib.suppress(Interrupted, nats.errors.Error):
            if closed and message is not None:
                await self._cursor.taken(message)
            await self._cursor.settle()


async def _lost(destination: StreamDestination) -> None:
    """Return when the connection is lost; a plugin that raises has lost it too."""
    with contextlib.suppress(Exception):
        await destination.wait_lost()
