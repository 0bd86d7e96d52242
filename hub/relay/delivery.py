"""Delivery of one lane of an integration: its own task, consumer and destination.

Order is kept because nothing is ever sent past a batch that is still being tried. For a
destination that answers, lines are done when they were taken. For one that never answers (a
`Window`), they are done once confirmed, and all that are not are read and sent again when the
connection is lost. The ledger says how far may be acknowledged to JetStream.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import nats.errors

from hub.destinations import Window
from hub.errors import Unavailable
from hub.relay.batching import Assembler, Parcel, Shaping
from hub.relay.cursor import Cursor
from hub.relay.cutting import AnyBatch
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.life import BuildDestination, ConnectionLost, Life
from hub.relay.progress import LaneProgress, State
from hub.relay.push import Failed
from hub.relay.reader import Interrupted, Reader, StoredMessage
from hub.relay.retry import Backoff, Breaker
from hub.relay.sending import Rewind, Rules, Sender
from hub.relay.window import Unconfirmed

_TICK: Final = 1.0  # seconds between looks at the connection to NATS while nothing comes
# Stands in for a window where every send is answered: nothing is ever added to it.
_ANSWERED: Final = Window()


class _LetGo(Exception):  # noqa: N818 - moves the loop to its start
    """The circuit is open: what was read ahead is given up, but for the batch in hand."""


@dataclass(slots=True)
class _Hand:
    """The parcel in hand, and what is left of it to send.

    Args:
        may_go: the rate limit has let it pass.
    """

    parcel: Parcel
    left: AnyBatch
    may_go: bool = False


class Delivery:
    """Moves the lines of one project to one destination, from `run` until `stop`.

    Args:
        build: makes the destination, with all that it needs, and lets go of that afterwards.
        shaping: what is done to lines before they are sent.
    """

    def __init__(
        self,
        integration: str,
        project: str,
        cursor: Cursor,
        build: BuildDestination,
        rules: Rules,
        *,
        dead: DeadLetters,
        hosts: HostNames,
        progress: LaneProgress,
        breaker: Breaker | None = None,
        shaping: Shaping | None = None,
    ) -> None:
        self._integration = integration
        self._project = project
        self._cursor = cursor
        self._ledger = cursor.ledger
        self._life = Life(integration, build)
        self._rules = rules
        self._dead = dead
        self._progress = progress
        self._sender = Sender(
            integration,
            cursor.source,
            self._life,
            rules,
            dead=dead,
            progress=progress,
            breaker=breaker or Breaker(),
        )
        self._shaping = shaping or Shaping()
        self._assembler = Assembler(
            project,
            cursor.ledger,
            hosts,
            rules.limits,
            poison=self._poison,
            shaping=self._shaping,
        )
        self._unconfirmed = Unconfirmed(rules.window or _ANSWERED)
        self._hand: _Hand | None = None
        self._reads = False
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def held(self) -> int:
        """Bytes of lines that are in memory: read ahead, waiting for their batch, and in hand."""
        in_hand = self._hand.parcel.size if self._hand else 0
        return self._cursor.held + self._assembler.held + in_hand

    @property
    def is_sending(self) -> bool:
        """A send is in hand."""
        return self._sender.is_sending

    @property
    def patience(self) -> float:
        """Seconds that a send in hand is worth waiting for when it has to end."""
        return self._sender.patience

    def stop(self) -> None:
        """Ask `run` to end: the send in hand is finished, what was sent is confirmed if it can.

        What waits to be joined, or for its batch to fill, stays stored for the next one.
        """
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `stop`."""
        backoff = Backoff(base=0.2, cap=5.0)
        # Whoever was here before may have been ended by force, in the middle of `_finish`.
        self._unconfirmed.lost(time.monotonic())
        self._ledger.lost()
        try:
            while not self._stopping.is_set():
                try:
                    await self._deliver_hand()
                    await self._read_and_send(backoff)
                except Rewind as rewind:
                    await self._after_loss(rewind.failed)
                except ConnectionLost:
                    await self._after_loss(Failed("the connection was lost", lost=True))
                except _LetGo:
                    self._assembler.clear()
                except Unavailable as error:
                    self._progress.note(State.RETRYING, error.detail)
                    await self._sleep(backoff.next())
                except (Interrupted, nats.errors.Error) as error:
                    self._progress.note(State.RETRYING, f"JetStream: {error}")
                    await self._sleep(backoff.next())
        finally:
            await self._finish()

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    async def _read_and_send(self, backoff: Backoff) -> None:
        if self._stopping.is_set():
            return
        self._assembler.clear()
        self._ledger.rewind()
        async with self._reading() as reader:
            while not self._stopping.is_set():
                reader.limit(self._rules.memory())
                await reader.pump()
                await self._confirm()
                parcel = await self._assembler.next(reader.take)
                backoff.reset()
                await self._note_missing()
                if parcel is not None:
                    self._hand = _Hand(parcel, parcel.batch)
                    await self._deliver_hand()
                    if parcel.batch.chunks:
                        continue
                # What came may have been done already, or not be for this destination.
                if not await self._cursor.acknowledge() and not reader.waiting:
                    await self._idle()
                else:
                    await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Reader]:
        await self._cursor.rewind()
        reader = self._cursor.reader(window=self._rules.memory(), wake=self._wake.set)
        await reader.open()
        self._reads = True
        try:
            yield reader
        finally:
            self._reads = False
            with contextlib.suppress(nats.errors.Error):
                await reader.close()

    async def _note_missing(self) -> None:
        """Count lines that should have come and did not."""
        missing = self._ledger.missing
        if missing is None:
            return
        retention = await self._cursor.first_kept() > missing.after + 1
        self._progress.gap(missing.lines, damage=not retention)
        self._ledger.counted(missing)

    async def _idle(self) -> None:
        """Wait for a message, for what is due, for the loss of the connection, or for stop."""
        dues = [due for due in (self._unconfirmed.due(), self._assembler.due()) if due is not None]
        seconds = max(0.0, min([_TICK, *(due - time.monotonic() for due in dues)]))
        if not len(self._unconfirmed):
            if self._assembler.is_empty:
                self._progress.state(State.WAITING)
            await self._woken(seconds)
            return
        async with self._life.watched() as lost:
            lost.add_done_callback(lambda task: None if task.cancelled() else self._wake.set())
            await self._woken(seconds)

    async def _woken(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    # ── sending ───────────────────────────────────────────────────────────────────────────────

    async def _deliver_hand(self) -> None:
        """Try until the parcel in hand is done with, or `stop`.

        Raises:
            Rewind: the connection is gone, and with it what was unconfirmed.
            _LetGo: what was read ahead has to be given up first.
        """
        hand = self._hand
        if hand is None:
            return
        await self._at_its_rate(hand)
        while hand.left.chunks:
            await self._rest()
            if self._stopping.is_set():
                return
            hand.left = await self._sender.attempt(hand.left)
            if hand.left.chunks and self._reads and self._sender.is_open:
                raise _LetGo
        self._hand = None
        self._settle(hand.parcel)
        await self._cursor.acknowledge()

    async def _at_its_rate(self, hand: _Hand) -> None:
        shaper = self._shaping.shaper
        if shaper is None or hand.may_go:
            return
        hand.may_go = True
        for step, count in shaper.take_counts().items():
            self._progress.left_out(step, count)
        if hand.left.chunks:
            await self._sleep(shaper.delay(len(hand.left)))

    def _settle(self, parcel: Parcel) -> None:
        """Note in the ledger what became of a parcel that was sent, or had nothing to send."""
        # What was not sent, and comes after nothing that was, waits for no confirmation.
        if self._sender.answers or not (parcel.batch.chunks or len(self._unconfirmed)):
            for entry, count in parcel.finishes:
                self._ledger.done(entry, count)
            return
        finishes = parcel.finishes
        for entry, count in finishes:
            self._ledger.written(entry, count)
        self._unconfirmed.add(finishes, parcel.size, time.monotonic())

    async def _confirm(self) -> None:
        if not len(self._unconfirmed):
            return
        now = time.monotonic()
        under_way = self._life.under_way
        if under_way is not None:
            self._unconfirmed.arrived_but(under_way)
        due = self._unconfirmed.due()
        if due is not None and due <= now:
            # It came of age while a send or NATS was waited for: did the connection, too?
            async with self._life.watched() as lost:
                await asyncio.wait({lost}, timeout=0)
        finishes = self._unconfirmed.confirmed(now)
        if finishes:
            self._sender.confirmed()
            for entry, count in finishes:
                self._ledger.done(entry, count)
            await self._cursor.acknowledge()

    # ── trouble ───────────────────────────────────────────────────────────────────────────────

    async def _after_loss(self, failed: Failed) -> None:
        self._hand = None
        self._unconfirmed.lost(time.monotonic())
        self._ledger.lost()
        self._assembler.clear()
        if failed.broken:
            await self._life.end()
        self._sender.put_off(failed)
        await self._rest()

    async def _rest(self) -> None:
        """Wait as long as the last failure asks for."""
        await self._sleep(self._sender.take_pause())

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _poison(self, message: StoredMessage, reason: str) -> None:
        """Put away a message that cannot be decoded."""
        self._progress.rejected(1, reason)
        await self._dead.put(
            project=self._project,
            source=self._integration,
            id=f"{self._cursor.source.stream}:{message.sequence}",
            payload=message.payload,
            reason=reason,
        )

    async def _finish(self) -> None:
        """Close; what was sent counts as taken when the destination says so by closing well."""
        hand, self._hand = self._hand, None
        # Of what nothing was sent, nothing is settled: the next one may shape it otherwise.
        if hand is not None and self._sender.answers and hand.left is not hand.parcel.batch:
            hand.parcel.settle_but(self._ledger, hand.left)
        closed = await self._life.end()
        finishes = self._unconfirmed.all_confirmed()
        if closed:
            for entry, count in finishes:
                self._ledger.done(entry, count)
        self._ledger.lost()
        self._ledger.rewind()
        with contextlib.suppress(Interrupted, nats.errors.Error):
            await self._cursor.acknowledge()
            await self._cursor.settle()
