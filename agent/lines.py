"""A line of log on its way to the spool, and how raw bytes become one."""

import time
from typing import Final

import msgspec

from hub.protocol import MAX_MESSAGE_BYTES

# RFC 5424, 6.2.1: PRI = facility * 8 + severity
USER_ERROR: Final = 1 * 8 + 3
USER_NOTICE: Final = 1 * 8 + 5
USER_INFO: Final = 1 * 8 + 6
SYSLOGD_WARNING: Final = 5 * 8 + 4
DAEMON: Final = 3 * 8

MAX_PROGRAM_CHARACTERS: Final = 48  # RFC 5424, 6: APP-NAME is 1*48PRINTUSASCII

_MARK_ROOM: Final = 40  # bytes, enough for the longest mark of a cut


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line.

    Args:
        time: microseconds since the Unix epoch.
        priority: RFC 5424 PRI.
        program: what wrote it.
        message: the text, at most `MAX_MESSAGE_BYTES` in UTF-8.
        source: name of the source that can read on from `position` after a restart; "" when the
            source cannot.
        position: where that source stands after this line.
    """

    time: int
    priority: int
    program: str
    message: str
    source: str = ""
    position: str = ""


def now() -> int:
    """Give the device's clock in microseconds since the Unix epoch."""
    return time.time_ns() // 1000


def text_of(raw: bytes, *, beyond: int = 0) -> str:
    """Make a message: valid UTF-8 and short enough, with a mark that says what was cut.

    Args:
        raw: the bytes of the line; what is not UTF-8 shows as U+FFFD.
        beyond: bytes of the line that followed `raw` and were not kept.
    """
    text = raw.decode("utf-8", "replace")
    if not beyond and len(raw) * 3 <= MAX_MESSAGE_BYTES:  # U+FFFD has three bytes
        return text
    data = text.encode()
    if not beyond and len(data) <= MAX_MESSAGE_BYTES:
        return text
    head = data[: MAX_MESSAGE_BYTES - _MARK_ROOM]
    return f"{head.decode('utf-8', 'ignore')} …[{len(data) - len(head) + beyond} bytes cut]"


def program_of(name: str) -> str:
    """Make a program name that fits RFC 5424's APP-NAME: printable ASCII, at most 48."""
    fit = "".join(c if "!" <= c <= "~" else "_" for c in name[:MAX_PROGRAM_CHARACTERS])
    return fit or "-"


def missing_text(count: int) -> str:
    """Say that lines were lost on the device."""
    return "1 line missing" if count == 1 else f"{count} lines missing"


class Splitter:
    """Cuts a stream of bytes into lines, holding at most one message's worth of an unended line."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._beyond = 0

    def feed(self, data: bytes) -> list[str]:
        """Give the lines that end within `data`."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            if self._held or self._beyond:
                self._hold(piece)
                lines.append(self._release())
            else:
                lines.append(text_of(piece.removesuffix(b"\r")))
        self._hold(rest)
        return lines

    def finish(self) -> list[str]:
        """Give the last line, when no newline ended it."""
        return [self._release()] if self._held or self._beyond else []

    def _hold(self, piece: bytes) -> None:
        room = MAX_MESSAGE_BYTES - len(self._held)
        self._held += piece[:room]
        self._beyond += max(0, len(piece) - room)

    def _release(self) -> str:
        text = text_of(bytes(self._held).removesuffix(b"\r"), beyond=self._beyond)
        self._held.clear()
        self._beyond = 0
        return text
