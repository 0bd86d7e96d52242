"""The disk spool of one stream: lines stay in it until the hub says that it has them.

Sequence numbers in here are the spool's own ("local"): they begin with 1 and never go back while
the folder lives. `life` says how they show on the wire.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent import records
from agent.batcher import Batch, Entry
from agent.lines import SYSLOGD_WARNING, missing_text
from agent.segment import Segment, Writer
from hub.protocol import Codec, Lines, Samples, encode_batch, encode_samples

log = logging.getLogger(__name__)

MAX_SPAN: Final = 0xFFFF_FFFF  # a batch's span is a u32 on the wire
SAY_SECONDS: Final = 60.0  # between two words about a full spool
PROGRAM: Final = "isaax-agent"

Missing = Callable[[int, int], Lines | Samples]
"""Makes what stands for so many lines that are missing, at a time (µs since the Unix epoch)."""


def missing_lines(span: int, time: int) -> Lines:
    """Make the line that says how many are missing."""
    return Lines([time], SYSLOGD_WARNING, PROGRAM, [missing_text(span)])


class Stored(msgspec.Struct, frozen=True):
    """A batch as it lies in the spool: sequence numbers `first` to `last`, local, and its bytes."""

    first: int
    last: int
    wire: bytes


class _Place(msgspec.Struct, frozen=True):
    """Where to read on: after sequence number `after`, at `offset` of the segment `first`."""

    after: int
    segment: int
    offset: int


class Spool:
    """Batches on disk, in order, bounded, freed only by acknowledgement.

    When it is full the oldest lines give way; so do lines that the disk did not keep. Either way
    a batch with one line, "N lines missing", takes their sequence numbers. It may be used from
    several threads. It holds samples in the same way.

    Use `Spool.open`.
    """

    def __init__(self, folder: Path, max_bytes: int, segment_bytes: int, missing: Missing) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._missing_of = missing
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._writer: Writer | None = None
        self._positions: dict[str, str] = {}
        self._acked = 0
        self._last = 0
        self._pinned = 0
        self._evicted = 0
        self._unsaid = 0
        self._say_at = 0.0
        self._place: _Place | None = None

    @classmethod
    def open(cls, folder: Path, *, max_bytes: int, missing: Missing = missing_lines) -> "Spool":
        """Open the spool in a folder, or begin one.

        Args:
            max_bytes: what it may take on the disk.
            missing: makes what stands for lines that are missing.

        Raises:
            OSError: the folder cannot be used.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        segment_bytes = max(16 * 1024, min(1024 * 1024, max_bytes // 8))
        spool = cls(folder, max_bytes, segment_bytes, missing)
        spool._recover()
        return spool

    @property
    def last(self) -> int:
        """The last sequence number given out."""
        return self._last

    @property
    def acked(self) -> int:
        """The last sequence number that the hub has."""
        return self._acked

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def evicted(self) -> int:
        """Lines that gave way since the spool was opened, because it was full."""
        return self._evicted

    @property
    def positions(self) -> dict[str, str]:
        """Where each source stands, by what is on the disk."""
        with self._lock:
            return dict(self._positions)

    def append(self, entries: Sequence[Entry]) -> None:
        """Add batches; they are on the disk when this returns, and none of them is if it fails.

        Raises:
            OSError: the disk is full or failed; try again later.
        """
        if not entries:
            return
        with self._lock:
            data = bytearray()
            last = self._last
            positions = dict(self._positions)
            for entry in entries:
                data += self._record(entry, last + 1)
                if isinstance(entry, Batch):
                    last += len(entry.lines)
                    positions |= entry.positions
                else:
                    last += entry.span
            self._make_room(len(data))
            self._write(bytes(data))
            self._segments[-1].last = self._last = last
            self._positions = positions

    def next(self, after: int) -> Stored | None:
        """Give the first batch with a line after `after`; None when there is none yet.

        Lines that are missing come as a batch that says so. Its bytes are always the same, so
        long as the acknowledgements do not move within it.

        Raises:
            OSError: the disk cannot be read.
        """
        with self._lock:
            after = max(after, self._acked)
            if after >= self._last:
                return None
            segment = next(s for s in self._segments if s.last > after)
            return self._read(segment, after)

    def pin(self, last: int) -> None:
        """Keep what was sent, up to `last`: it does not give way while its fate is open."""
        self._pinned = last

    def ack(self, sequence: int) -> None:
        """Free all lines up to `sequence`: the hub has them.

        Raises:
            OSError: the disk failed; nothing is lost by that.
        """
        with self._lock:
            sequence = min(sequence, self._last)
            if sequence <= self._acked:
                return
            self._acked = sequence
            while self._segments and self._segments[0].last <= sequence:
                if len(self._segments) == 1:
                    self._note_acked()
                    break
                self._segments.pop(0).retire()
            else:
                self._note_acked()

    def close(self) -> None:
        """Close the files; what was appended is on the disk already."""
        with self._lock:
            self._seal()

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def _record(entry: Entry, first: int) -> bytes:
        if isinstance(entry, Batch):
            wire = _encode(entry.lines, first)
            return records.batch(wire, entry.positions)
        return records.gap(first, entry.span, entry.time)

    def _write(self, data: bytes) -> None:
        newest = self._segments[-1] if self._segments else None
        if newest and newest.has_lines and newest.size + len(data) > self._segment_bytes:
            self._seal()
        try:
            self._open_writer().write(data)
        except OSError:
            self._seal()
            raise

    def _open_writer(self) -> Writer:
        if self._writer is None:
            head = records.head(self._acked, self._positions)
            self._writer = Writer.create(self._folder, self._last + 1, head)
            if self._segments and not self._segments[-1].has_lines:
                self._segments.pop()  # it failed before its first line and had the same name
            self._segments.append(self._writer.segment)
        return self._writer

    def _seal(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _note_acked(self) -> None:
        """Remember the acknowledgement without a sync: if it is lost, the hub says it again."""
        if self._writer is not None:
            try:
                self._writer.write(records.acked(self._acked), sync=False)
            except OSError:
                self._seal()

    # ── giving way ───────────────────────────────────────────────────────────────────────────

    def _make_room(self, size: int) -> None:
        while self.size + size > self._max_bytes:
            victim = next((s for s in self._segments[:-1] if self._may_go(s)), None)
            if victim is None:
                return
            lost = victim.last - max(victim.first, self._acked + 1) + 1
            victim.empty()
            self._evicted += lost
            self._place = None
            self._merge_empty()
            self._say_evicted(lost)

    def _say_evicted(self, lost: int) -> None:
        """Log it, but not for each segment of a flood."""
        self._unsaid += lost
        at = time.monotonic()
        if at >= self._say_at:
            log.warning("the spool %s is full: %d lines gave way", self._folder.name, self._unsaid)
            self._unsaid = 0
            self._say_at = at + SAY_SECONDS

    def _may_go(self, segment: Segment) -> bool:
        return not segment.is_empty and segment.first > self._pinned

    def _merge_empty(self) -> None:
        """Make one "N lines missing" of neighbours, unless the hub may have the first of them."""
        merged: list[Segment] = []
        for segment in self._segments:
            before = merged[-1] if merged else None
            if (
                before is not None
                and before.is_empty
                and segment.is_empty
                and before.first > self._pinned
                and segment.last - before.first < MAX_SPAN
            ):
                segment.remove()
                before.last = segment.last
            else:
                merged.append(segment)
        self._segments = merged

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _read(self, segment: Segment, after: int) -> Stored:
        place = self._place
        reached, offset = segment.first - 1, 0
        if place is not None and (place.segment, place.after) == (segment.first, after):
            reached, offset = after, place.offset
        for record in segment.scan(offset):
            covered = records.covered(record)
            if covered is None:
                continue
            first, last = covered
            if first != reached + 1 or last > segment.last:
                break  # a record from elsewhere: the file rotted
            reached = last
            if last > after:
                self._place = _Place(last, segment.first, record.end)
                return self._stored(record, first, last)
        if self._writer is not None and self._writer.segment is segment:
            self._seal()  # its records end early: new ones would not be found behind the rot
        return self._missing(max(reached, after) + 1, segment.last, segment.modified())

    def _stored(self, record: records.Record, first: int, last: int) -> Stored:
        if record.kind == records.BATCH:
            return Stored(first, last, records.read_batch(record)[0])
        return self._missing(max(first, self._acked + 1), last, records.read_gap(record)[2])

    def _missing(self, first: int, last: int, time: int) -> Stored:
        span = last - first + 1
        wire = _encode(self._missing_of(span, time), first, span=span, codec=Codec.NONE)
        return Stored(first, last, wire)

    # ── opening ──────────────────────────────────────────────────────────────────────────────

    def _recover(self) -> None:
        for leftover in self._folder.glob(".*"):  # of a `write_atomic` that was killed
            leftover.unlink()
        self._segments = Segment.list(self._folder)
        if not self._segments:
            return
        newest = self._segments[-1]
        self._positions, self._acked, size = self._replay(newest)
        if size:
            newest.size = size
            self._writer = Writer(newest)
            self._writer.cut()
        else:  # not even its head can be read
            newest.size = 0
            self._positions = self._older_positions()
        self._last = newest.last
        self._acked = min(max(self._acked, self._segments[0].first - 1), self._last)
        while len(self._segments) > 1 and self._segments[0].last <= self._acked:
            self._segments.pop(0).retire()

    @staticmethod
    def _replay(segment: Segment) -> tuple[dict[str, str], int, int]:
        """Read the newest segment: positions, acknowledgement, and bytes that are whole.

        Its `last` is set to the last line found.
        """
        positions: dict[str, str] = {}
        acked = size = 0
        for record in segment.scan():
            covered = records.covered(record)
            if covered is not None:
                if covered[0] != segment.last + 1:
                    break
                segment.last = covered[1]
            match record.kind:
                case records.HEAD:
                    opening = records.read_head(record)
                    positions, acked = opening.positions, opening.acked
                case records.BATCH:
                    positions = positions | records.read_batch(record)[1]
                case records.ACKED:
                    acked = max(acked, records.read_acked(record))
            size = record.end
        return positions, acked, size

    def _older_positions(self) -> dict[str, str]:
        for segment in reversed(self._segments[:-1]):
            older = Segment(segment.path, segment.first, segment.first - 1, segment.size)
            positions, _, size = self._replay(older)
            if size:
                return positions
        return {}


def _encode(
    content: Lines | Samples, first: int, *, span: int = 0, codec: Codec = Codec.ZLIB
) -> bytes:
    """Make a batch; its boot is put in by `life`."""
    if isinstance(content, Samples):
        return encode_samples(content, boot=1, first=first, span=span, codec=codec)
    return encode_batch(content, boot=1, first=first, span=span, codec=codec)
