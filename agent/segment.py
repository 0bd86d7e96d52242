"""One file of the spool: records in order, then perhaps a torn tail.

A segment covers the sequence numbers from `first`, which is its name, up to the one before the
name of the next segment. What its records do not cover of that is missing: a segment that was
emptied, or that rotted, needs nothing written to say so.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from agent import records
from agent.files import write_atomic

_SUFFIX = ".spool"
RECENT = "recent"
"""The file of the segment that was retired last."""


class Segment:
    """A segment's file and what is known about it without reading it.

    Args:
        first, last: sequence numbers that it covers; `last` is `first - 1` while it has none.
        size: bytes of the file.
    """

    def __init__(self, path: Path, first: int, last: int, size: int) -> None:
        self.path = path
        self.first = first
        self.last = last
        self.size = size

    @staticmethod
    def path_in(folder: Path, first: int) -> Path:
        """Give the path of the segment that begins with this sequence number."""
        return folder / f"{first:020d}{_SUFFIX}"

    @classmethod
    def list(cls, folder: Path) -> "list[Segment]":
        """Find the segments of a folder in order; the `last` of the last one is not known yet."""
        paths = sorted(p for p in folder.glob(f"*{_SUFFIX}") if p.stem.isdecimal())
        found = [cls(p, int(p.stem), int(p.stem) - 1, p.stat().st_size) for p in paths]
        for one, after in itertools.pairwise(found):
            one.last = after.first - 1
        return found

    @property
    def is_empty(self) -> bool:
        """Say whether all that it covers is missing."""
        return self.size == 0

    @property
    def has_lines(self) -> bool:
        """Say whether it covers any sequence number."""
        return self.last >= self.first

    def modified(self) -> int:
        """Give the time of the file's last change, in microseconds since the Unix epoch.

        Raises:
            OSError: the file is gone.
        """
        return self.path.stat().st_mtime_ns // 1000

    def scan(self, offset: int = 0) -> Iterator[records.Record]:
        """Read its records from the start, or from where one begins.

        Raises:
            OSError: it cannot be read.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            yield from records.scan(descriptor, offset)
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        """Give its lines up: what it covers is missing from now on.

        Raises:
            OSError: the disk failed.
        """
        with self.path.open("r+b") as file:
            file.truncate(0)
            os.fsync(file.fileno())
        self.size = 0

    def retire(self) -> None:
        """Give it up, all of it acknowledged: it is only kept for people to read, until the next.

        Raises:
            OSError: the disk failed.
        """
        self.path.replace(self.path.with_name(RECENT))

    def remove(self) -> None:
        """Remove the file.

        Raises:
            OSError: the disk failed.
        """
        self.path.unlink(missing_ok=True)


class Writer:
    """The end of the segment that is being written.

    Args:
        segment: its file exists and its records end at `segment.size`.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._descriptor = os.open(segment.path, os.O_WRONLY)

    @classmethod
    def create(cls, folder: Path, first: int, head: bytes) -> "Writer":
        """Begin a segment with its `HEAD`, on the disk when this returns.

        Raises:
            OSError: the disk failed; nothing has changed.
        """
        path = Segment.path_in(folder, first)
        write_atomic(path, head)
        return cls(Segment(path, first, first - 1, len(head)))

    def write(self, data: bytes, *, sync: bool = True) -> None:
        """Add records; all of them are there when this returns, or none.

        Args:
            sync: have them on the disk, so that they survive a power loss.

        Raises:
            OSError: the disk is full or failed. Do not write to this segment again: after a
                failed fsync nobody knows what of the file is on the disk.
        """
        start = self.segment.size
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], start + done)
            if sync:
                os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, start)
            raise
        self.segment.size = start + len(data)

    def cut(self) -> None:
        """Remove a torn tail: whatever the file holds beyond its last whole record.

        Raises:
            OSError: the disk failed.
        """
        os.ftruncate(self._descriptor, self.segment.size)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
