"""Messages out of a stream of bytes (RFC 6587): octet counting, line feeds or NUL.

Which it is shows by itself: a frame that begins with digits, a space and `<` is counted; any other
ends where the first one of its connection ended, by a line feed or by NUL.
"""

import re
from collections.abc import Iterator
from typing import Final

from plugins.syslog_listener.parse import MAX_MESSAGE

_COUNT: Final = re.compile(rb"([1-9]\d{0,9}) (?=<)")
_COUNT_SO_FAR: Final = re.compile(rb"[1-9]\d{0,9} ?\Z")
_GAP: Final = re.compile(rb"[\n\r\0]*")

Frame = tuple[bytes, int]
"""A message, at most `MAX_MESSAGE` bytes of it, and how many it had."""


class Framer:
    """Cuts one connection's bytes into messages; between two feeds it holds little more than one.

    A message that is longer than `MAX_MESSAGE` is not held: its beginning is kept, and the rest is
    counted and passed over.
    """

    def __init__(self) -> None:
        self._data = b""
        self._at = 0  # of what has been cut off
        self._end: bytes | None = None  # what ends a message, once that is known
        self._long: bytes | None = None  # the beginning of one that is too long
        self._size = 0  # of that, so far
        self._missing = 0  # of that, still to come, where it was counted

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes, and give the messages that they complete."""
        self._data = self._data[self._at :] + data
        self._at = 0
        return list(self._frames())

    @property
    def is_within(self) -> bool:
        """A message has begun, and not ended."""
        return self._long is not None or self._at < len(self._data)

    def finish(self) -> list[Frame]:
        """Give what the end of the connection left without an end."""
        rest, self._data, self._at = self._data[self._at :], b"", 0
        if self._long is not None:
            return [self._end_long(self._long)]
        counted = _COUNT.match(rest)
        if counted is not None:
            return [(rest[counted.end() :], int(counted[1]))]
        return [(rest, len(rest))] if rest else []

    def _frames(self) -> Iterator[Frame]:
        while True:
            if self._long is None:
                gap = _GAP.match(self._data, self._at)
                self._at = gap.end() if gap else self._at
                frame = self._next()
            else:
                frame = self._go_on(self._long)
            if frame is None:
                return
            yield frame

    def _next(self) -> Frame | None:
        counted = _COUNT.match(self._data, self._at)
        if counted is not None:
            return self._counted(int(counted[1]), counted.end())
        if _COUNT_SO_FAR.match(self._data, self._at):
            return None
        return self._ended()

    def _counted(self, size: int, start: int) -> Frame | None:
        if size > MAX_MESSAGE:
            return self._begin_long(start, counted=size)
        if len(self._data) - start < size:
            return None
        self._at = start + size
        return self._data[start : self._at], size

    def _ended(self) -> Frame | None:
        start, end = self._at, self._find_end()
        if (len(self._data) if end < 0 else end) - start > MAX_MESSAGE:
            return self._begin_long(start)
        if end < 0:
            return None
        self._at = end + 1
        return self._data[start:end], end - start

    def _find_end(self) -> int:
        if self._end is None:
            places = (self._data.find(end, self._at) for end in (b"\n", b"\0"))
            ends = [at for at in places if at >= 0]
            if not ends:
                return -1
            self._end = self._data[min(ends) : min(ends) + 1]
        return self._data.find(self._end, self._at)

    # ── messages that are too long ──

    def _begin_long(self, start: int, *, counted: int = 0) -> Frame | None:
        long = self._data[start : start + MAX_MESSAGE]
        self._at = start + len(long)
        self._size = len(long)
        self._missing = counted - len(long) if counted else 0
        return self._go_on(long)

    def _go_on(self, long: bytes) -> Frame | None:
        """Pass over what has come of the rest; the message is given once it has ended."""
        start = self._at
        if self._missing:
            self._at = min(start + self._missing, len(self._data))
            self._missing -= self._at - start
            ended = not self._missing
            # It was begun before `MAX_MESSAGE` bytes of it had come.
            long += self._data[start : min(start + MAX_MESSAGE - len(long), self._at)]
        else:
            end = self._find_end()
            ended = end >= 0
            self._at = end if ended else len(self._data)
        self._size += self._at - start
        self._long = long
        return self._end_long(long) if ended else None

    def _end_long(self, long: bytes) -> Frame:
        self._long = None
        return long, self._size
