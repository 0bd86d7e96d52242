"""What the spool of a stream still holds, read beside the agent that writes it.

Nothing is locked and nothing is written: what is acknowledged goes on being there until its segment
is full and the next one is too, so the newest lines can be read without a copy of them on the disk.
"""

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from agent import records
from agent.lines import missing_text
from agent.segment import RECENT, Segment
from hub.protocol import ProtocolError, decode_lines

LOOK_SECONDS: Final = 0.3


class Recent:
    """Reads the lines of one stream, each once, as text.

    Args:
        folder: of its spool.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reached = 0  # the last sequence number that was read
        self._place = (Path(), 0)  # where the newest file was read up to

    def last(self, count: int) -> list[str]:
        """Give the last lines that are there, oldest first."""
        found: deque[str] = deque(maxlen=count)
        found.extend(self.more())
        return list(found)

    def more(self) -> Iterator[str]:
        """Give the lines that have not been read yet."""
        for path in self._unread():
            yield from self._read(path)

    def follow(self) -> Iterator[str]:
        """Give the lines that have not been read yet, and then what comes, without end."""
        while True:
            yield from self.more()
            time.sleep(LOOK_SECONDS)

    def _unread(self) -> list[Path]:
        segments = Segment.list(self._folder)
        newest = segments[-1] if segments else None
        unread = [one.path for one in segments if one is newest or one.last > self._reached]
        # What was read last may have been retired since, or this is the first time.
        gone = self._place[0] not in [one.path for one in segments]
        return [self._folder / RECENT, *unread] if gone else unread

    def _read(self, path: Path) -> Iterator[str]:
        offset = self._place[1] if path == self._place[0] else 0
        try:
            for record in Segment(path, 0, 0, 0).scan(offset):
                offset = record.end
                yield from self._lines(record)
        except FileNotFoundError:  # it was retired or removed just now
            return
        self._place = (path, offset)

    def _lines(self, record: records.Record) -> Iterator[str]:
        covered = records.covered(record)
        if covered is None or covered[1] <= self._reached:
            return
        first, last = covered
        if self._reached and first > self._reached + 1:
            yield f"… {first - self._reached - 1} lines are not on this device any more"
        self._reached = last
        if record.kind == records.GAP:
            yield f"… {missing_text(last - first + 1)}"
            return
        try:
            lines = decode_lines(records.read_batch(record)[0])
        except ProtocolError as error:
            yield f"… {last - first + 1} lines cannot be read: {error}"
            return
        for at, program, message in zip(
            lines.times, lines.program_column(), lines.messages, strict=True
        ):
            yield f"{_time(at)} {program}: {message}"


def _time(at: int) -> str:
    """Write a time, in microseconds since the Unix epoch, as this machine's clocks show it."""
    try:
        return datetime.fromtimestamp(at / 1_000_000).isoformat(" ", "milliseconds")  # noqa: DTZ006
    except (OverflowError, OSError, ValueError):
        return str(at)
