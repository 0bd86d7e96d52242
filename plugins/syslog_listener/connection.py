"""One connection: read no faster than its lines reach the disk, and ended in order.

What is stored is kept in the connection's own buffer until then. Only a try to store it takes of
the listener's memory, for the messages that are made of it: whoever has to wait, for a limit or for
JetStream, gives that back, and makes them again for the next try. So however many connections wait,
there is memory for the others; and what a waiting peer sends meanwhile stays in the kernel.
"""

import asyncio
import contextlib
import copy
import time
from typing import Final

import structlog

from hub import Unavailable
from plugins.syslog_listener.framing import Framer
from plugins.syslog_listener.inlet import Inlet
from plugins.syslog_listener.limits import Budget
from plugins.syslog_listener.meters import NO_TIME, Drops
from plugins.syslog_listener.sink import LONGEST_PAUSE, SHORTEST_PAUSE, Sink

MOST_MESSAGES: Final = 500
"""That are stored together."""

# What messages take until they are stored, measured: as bytes, texts, columns, a batch.
_COPIES: Final = 4
_PER_MESSAGE: Final = 2_048  # each from another host

_LATE: Final = 0.5  # seconds without a byte after which a peer is waited for no longer in the end
_LINGER: Final = 3.0  # and for which it may go on in all

_log = structlog.stdlib.get_logger(__name__)


class Connection:
    """Reads one connection to its end.

    Args:
        idle: seconds without a byte after which it is ended.
        stop: set when the listener is to end.
        drops: told what was read and could not be stored before the listener's end.
    """

    def __init__(
        self,
        inlet: Inlet,
        peer: str,
        sink: Sink,
        budget: Budget,
        *,
        idle: float,
        stop: asyncio.Event,
        drops: Drops,
    ) -> None:
        self._inlet = inlet
        self._peer = peer
        self._sink = sink
        self._budget = budget
        self._idle = idle
        self._stop = stop
        self._drops = drops
        self._framer = Framer()
        self._data = b""  # what is being stored, still at the beginning of the inlet's buffer
        self._parcel = sink.parcel(peer)  # of the messages in it
        self._project = ""  # that the last messages were for

    async def serve(self) -> None:
        """Store what comes, until the peer ends it, or is idle for too long, or the listener ends.

        In the end the peer is told, and what it sends until it has heard is stored as well: a
        sender that looks for the end before it writes so loses nothing. One that does not is cut
        off after a while, between two messages if that is possible.
        """
        try:
            while await self._has_come():
                await self._store_piece()
            self._inlet.say_end()
            begun = time.monotonic()
            while self._may_go_on(time.monotonic() - begun) and await self._has_come_late():
                await self._store_piece()
            self._inlet.cut_off()
            while self._inlet.filled:
                await self._store_piece()
            await self._store(b"", last=True)
        except asyncio.CancelledError:
            self._drops.add(NO_TIME, self._left())
            raise

    async def _has_come(self) -> bool:
        """Wait for bytes; False when there will be none, or none are wanted any more."""
        waiting = asyncio.create_task(self._inlet.wait())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait(
                {waiting, stopping}, timeout=self._idle, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.wait({waiting, stopping})
        if not done:
            _log.info("idle for too long", peer=self._peer)
        return waiting in done and stopping not in done and waiting.result()

    def _may_go_on(self, seconds: float) -> bool:
        """Say whether a peer may that has been told so long ago that it is the end."""
        return seconds < _LINGER or (seconds < _LINGER + _LATE and self._framer.is_within)

    async def _has_come_late(self) -> bool:
        try:
            async with asyncio.timeout(_LATE):
                return await self._inlet.wait()
        except TimeoutError:
            return False

    async def _store_piece(self) -> None:
        """Store the messages that end in the first bytes, and let go of those."""
        data = _piece(self._inlet.peek())
        await self._store(data)
        self._inlet.drop(len(data))

    async def _store(self, data: bytes, *, last: bool = False) -> None:
        """Store the messages that end in these bytes, however long that takes.

        Args:
            last: nothing comes after them.
        """
        self._data, self._parcel = data, self._sink.parcel(self._peer)
        pause = SHORTEST_PAUSE
        while (wait := await self._try(data, last=last)) is not None:
            await self._wait(max(min(wait, LONGEST_PAUSE), pause))
            pause = min(2 * pause, LONGEST_PAUSE)
        self._data = b""

    async def _try(self, data: bytes, *, last: bool) -> float | None:
        """Try to store; give the seconds after which to try again, None when all is stored."""
        is_ending = self._stop.is_set()
        limit = 0.0 if is_ending else self._sink.wait(self._parcel)
        if limit:
            return limit
        while True:
            async with self._budget.room(_room(data), self._project) as room:
                framer = copy.copy(self._framer)
                frames = framer.feed(data) + (framer.finish() if last else [])
                try:
                    found = await self._sink.sort(frames, self._parcel)
                except Unavailable as error:
                    return self._sink.say_waiting(error.detail)
                self._project = next(iter(self._parcel.left), self._project)
                if room.pass_to(self._project):
                    # A limit sets the pace; in the end there is none, and what was read is here.
                    wait = await self._sink.store(found, self._parcel, overdraw=is_ending)
                    break
        if wait is None:
            self._framer = framer
        return wait

    async def _wait(self, seconds: float) -> None:
        """Wait; the listener's end is a reason to try at once."""
        if self._stop.is_set():
            await asyncio.sleep(min(seconds, _LATE))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _left(self) -> int:
        """Count the messages that were read, and are not stored."""
        left = self._sink.left_of(self._framer.feed(self._data), self._parcel)
        self._inlet.drop(len(self._data))
        while rest := self._inlet.peek():
            left += len(self._framer.feed(rest))
            self._inlet.drop(len(rest))
        return left + len(self._framer.finish())


def _piece(data: bytes) -> bytes:
    """Give the first bytes, in which no more messages end than are stored together."""
    while (count := _ends(data)) > MOST_MESSAGES and len(data) > MOST_MESSAGES:
        data = data[: len(data) * MOST_MESSAGES // count]
    return data


def _ends(data: bytes) -> int:
    """Count where messages may end: at a line feed or NUL, or before a count and `<`."""
    return data.count(b"\n") + data.count(b"\0") + data.count(b" <")


def _room(data: bytes) -> int:
    """Give the memory that it takes to store the messages that end in these bytes."""
    return _COPIES * len(data) + _PER_MESSAGE * (_ends(data) + 1)
