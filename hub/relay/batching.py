"""From stored messages to what one `send` takes: decoded, shaped, cut to the destination's size."""

import math
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from hub.batches import Chunk
from hub.destinations import Limits
from hub.relay.apart import Apart
from hub.relay.cutting import AnyBatch, AnyChunk, batch_of, fitting_of, pick, size_of
from hub.relay.hosts import DEFAULT_GROUP, HostNames
from hub.relay.ledger import Entry, Ledger
from hub.relay.reader import StoredMessage
from hub.relay.unpack import Origin, Unreadable, origin_of, unpack
from hub.relay.window import Finish
from hub.shaping.join import Joined, Joiner
from hub.shaping.shaper import Shaper

_MOST_AT_ONCE: Final = 64
"""Messages of which nothing is sent that are looked at before others get their turn."""


@dataclass(slots=True)
class Piece:
    """Lines on their way into a batch, and what is done once they are delivered.

    Args:
        chunk: None where the shape left nothing.
        size: what it takes of a batch.
        finishes: the first n lines of each of these messages.
        starts: numbers of the lines before the shape left some out; each stands for those up to
            the next one, where lines were joined. None when each stands for itself alone.
    """

    chunk: AnyChunk | None
    size: int
    finishes: Sequence[Finish]
    starts: Sequence[int] | None = None

    def cut(self, count: int, size: int) -> tuple["Piece", "Piece"]:
        """Give the first `count` lines, of `size` bytes, and the others."""
        assert self.chunk is not None
        head, tail = self.chunk.part(0, count), self.chunk.part(count)
        next_number = tail.numbers()[0]
        finishes = [
            (entry, min(upto, max(0, next_number - entry.first))) for entry, upto in self.finishes
        ]
        return (
            Piece(head, size, finishes, self.starts),
            Piece(tail, self.size - size, self.finishes, self.starts),
        )

    def left_of(self, entry: Entry, upto: int, numbers: Sequence[int]) -> Iterator[int]:
        """Give the indexes in a message of all that these lines stand for."""
        for number in numbers:
            end: float = number + 1
            if self.starts is not None:
                at = bisect_right(self.starts, number)
                end = self.starts[at] if at < len(self.starts) else math.inf
            yield from range(max(0, number - entry.first), int(min(upto, end - entry.first)))


@dataclass(frozen=True, slots=True)
class Parcel:
    """One batch, and what is done once it is delivered.

    Args:
        batch: without chunks, when nothing of what came is to be sent.
        size: bytes of its texts.
    """

    batch: AnyBatch
    size: int
    pieces: Sequence[Piece]

    @property
    def finishes(self) -> list[Finish]:
        """The first n lines of each of these messages."""
        return [finish for piece in self.pieces for finish in piece.finishes]

    def settle_but(self, ledger: Ledger, left: AnyBatch) -> None:
        """Note that all of it is done but for these lines."""
        numbers: dict[tuple[str, str, int], list[int]] = {}
        for chunk in left.chunks:
            key = (chunk.device, chunk.stream, chunk.boot)
            numbers.setdefault(key, []).extend(chunk.numbers())
        for piece in self.pieces:
            mine: Sequence[int] = ()
            if piece.chunk is not None:
                chunk = piece.chunk
                held = set(chunk.numbers())
                among = numbers.get((chunk.device, chunk.stream, chunk.boot), ())
                mine = [number for number in among if number in held]
            for entry, upto in piece.finishes:
                ledger.done_but(entry, upto, set(piece.left_of(entry, upto, mine)))


class Source(NamedTuple):
    """Where lines that may be joined come from: a message, or what is left of it.

    Args:
        numbers: sequence numbers of the lines that are left.
    """

    entry: Entry
    numbers: Sequence[int]

    def finish(self, count: int) -> Finish:
        """Say what of the message is done once the first `count` of these lines are."""
        entry = self.entry
        if count >= len(self.numbers):
            return entry, entry.total
        return entry, self.numbers[count - 1] + 1 - entry.first if count else 0


@dataclass(frozen=True, slots=True)
class Shaping:
    """What is done to lines before they are sent; by default nothing.

    Args:
        joiner: makes one, for after each time that reading begins anew.
        left_out: told of lines that were left out without a look at them, by step.
    """

    shaper: Shaper | None = None
    joiner: Callable[[], Joiner[Source]] | None = None
    left_out: Callable[[str, int], None] = field(default=lambda _step, _lines: None)


class Assembler:
    """Makes parcels for one destination, of what the ledger admits.

    Args:
        limits: what a parcel may hold, and how long it is waited for.
        poison: told of each message that cannot be decoded; it is left out.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        project: str,
        ledger: Ledger,
        hosts: HostNames,
        limits: Limits,
        *,
        poison: Callable[[StoredMessage, str], Awaitable[None]],
        shaping: Shaping | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._hosts = hosts
        self._limits = limits
        self._poison = poison
        self._shaping = shaping or Shaping()
        self._shaper = self._shaping.shaper
        self._needs_groups = self._shaper is not None and self._shaper.needs_groups
        self._clock = clock
        self._joiner: Joiner[Source] | None = None
        self._joining = Apart(clock=clock)
        self._shaping_work = Apart(clock=clock)
        self.clear()

    def clear(self) -> None:
        """Forget what was taken in and not handed out: it is read again."""
        self._pieces: deque[Piece] = deque()
        self._lines = self._bytes = 0
        self._since = math.inf
        self._joiner = self._shaping.joiner() if self._shaping.joiner else None

    @property
    def is_empty(self) -> bool:
        """Nothing waits here."""
        return not self._pieces and (self._joiner is None or self._joiner.due() is None)

    @property
    def held(self) -> int:
        """Bytes of lines that wait here for their batch."""
        return self._bytes

    def due(self) -> float | None:
        """Give the time at which something that waits here has to go; None when nothing does."""
        linger = self._since + self._limits.linger
        held = self._joiner.due() if self._joiner else None
        due = min(linger, math.inf if held is None else held)
        return None if due == math.inf else due

    async def next(self, take: Callable[[], StoredMessage | None]) -> Parcel | None:
        """Make the next parcel of what `take` gives without a wait.

        None when it gives nothing, or when more may come that belongs to the same batch.

        Raises:
            Unavailable: a filter asks for groups of devices, and nobody knows them now.
        """
        taken = 0
        while not self._is_full and taken < _MOST_AT_ONCE:
            message = take()
            if message is None:
                break
            lines = self._lines
            await self._take_in(message)
            taken += lines == self._lines
        if self._joiner is not None and self._is_due(self._joiner.due()):
            await self._put_joined(self._joiner.flush(self._clock()))
        if not self._pieces:
            return None
        if self._lines and not self._is_full and not self._is_due(self.due()):
            return None
        return self._parcel()

    # ── taking in ─────────────────────────────────────────────────────────────────────────────

    async def _take_in(self, message: StoredMessage) -> None:
        try:
            origin = origin_of(message)
        except Unreadable as error:
            await self._put_away(message, self._ledger.admit(message, 0), error)
            return
        entry = self._ledger.admit(message, origin.batch.lines)
        if entry is None:
            return
        if self._shaper is not None and not await self._may_pass(self._shaper, origin):
            self._shaping.left_out("filter", origin.batch.lines)
            self._ledger.drop(entry)
            return
        host = origin.host or await self._host(origin.batch.device)
        try:
            chunk = unpack(message, origin, project=self._project, host=host)
        except Unreadable as error:
            await self._put_away(message, entry, error)
            return
        entry.first, entry.total = chunk.first, len(chunk)
        if entry.resume or entry.beyond:
            left = [i for i in range(entry.resume, len(chunk)) if i not in entry.beyond]
            chunk = pick(chunk, left)
        if self._joiner is not None and isinstance(chunk, Chunk):
            source = Source(entry, chunk.numbers())
            add = partial(self._joiner.add, chunk, source, self._clock())
            await self._put_joined(await self._joining.run(add, size_of(chunk)))
        else:
            await self._put(chunk, ((entry, entry.total),))

    async def _put_away(
        self, message: StoredMessage, entry: Entry | None, error: Unreadable
    ) -> None:
        if entry is not None:
            await self._poison(message, str(error))
            self._ledger.drop(entry)

    async def _may_pass(self, shaper: Shaper, origin: Origin) -> bool:
        device = origin.batch.device
        group = await self._group(device) if self._needs_groups else None
        return shaper.may_admit(origin.batch.stream, device, group)

    async def _put_joined(self, items: Sequence[Joined[Source]]) -> None:
        for joined in items:
            finishes = [source.finish(count) for source, count in joined.finishes]
            await self._put(joined.chunk, finishes, joined.chunk.numbers())

    async def _put(
        self, chunk: AnyChunk, finishes: Sequence[Finish], starts: Sequence[int] | None = None
    ) -> None:
        shaped = chunk if self._shaper is None else await self._shaped(self._shaper, chunk)
        if shaped is None:
            self._pieces.append(Piece(None, 0, finishes))
            return
        size = size_of(shaped)
        if self._since == math.inf:
            self._since = self._clock()
        self._lines += len(shaped)
        self._bytes += size
        self._pieces.append(Piece(shaped, size, finishes, starts))

    async def _shaped(self, shaper: Shaper, chunk: AnyChunk) -> AnyChunk | None:
        group = await self._group(chunk.device)
        if isinstance(chunk, Chunk):
            return await self._shaping_work.run(partial(shaper.apply, chunk, group), size_of(chunk))
        return shaper.apply_metrics(chunk, group)

    async def _host(self, device: str) -> str:
        known = self._hosts.known(self._project, device)
        if known is not None:
            return known
        return (await self._hosts.look_up(self._project, [device]))[device]

    async def _group(self, device: str) -> str:
        if not self._needs_groups:
            return DEFAULT_GROUP
        return await self._hosts.group(self._project, device)

    # ── handing out ───────────────────────────────────────────────────────────────────────────

    @property
    def _is_full(self) -> bool:
        return self._lines >= self._limits.max_lines or self._bytes >= self._limits.max_bytes

    def _is_due(self, due: float | None) -> bool:
        return due is not None and due <= self._clock()

    def _parcel(self) -> Parcel:
        pieces: list[Piece] = []
        chunks: list[AnyChunk] = []
        lines_left, bytes_left = self._limits.max_lines, self._limits.max_bytes
        while self._pieces:
            piece = self._pieces[0]
            chunk = piece.chunk
            if chunk is None:
                pieces.append(self._pieces.popleft())
                continue
            if chunks and type(chunk) is not type(chunks[0]):
                break  # a batch is of lines or of samples
            count, size = len(chunk), piece.size
            if count > lines_left or size > bytes_left:
                count, size = fitting_of(chunk, lines_left, bytes_left)
                if count == 0 and chunks:
                    break
                if count == 0:  # larger than any batch
                    count, size = 1, size_of(chunk.part(0, 1))
            if count == len(chunk):
                self._pieces.popleft()
            else:
                piece, self._pieces[0] = piece.cut(count, size)
            assert piece.chunk is not None
            pieces.append(piece)
            chunks.append(piece.chunk)
            lines_left -= count
            bytes_left -= size
        self._lines -= self._limits.max_lines - lines_left
        size = self._limits.max_bytes - bytes_left
        self._bytes -= size
        if not self._lines:
            self._since = math.inf
        return Parcel(batch_of(chunks, holes=self._shaper is not None), size, pieces)
