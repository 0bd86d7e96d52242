"""Syslog messages out of batches, by column: RFC 5424 and RFC 3164, framed for a stream or not.

This is the work that is done for every single line, so a chunk is formatted at once: what its
lines share is made once, the time stamps come out of one JSON encoding, the text is checked as a
whole, and only a chunk that holds something odd goes the slow way, line by line.
"""

import functools
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from hub.batches import Batch, Chunk

Format = Literal["rfc5424", "rfc3164"]
Framing = Literal["lf", "octet-counting", "datagram"]

MIN_MESSAGE: Final = 480
"""Bytes that every receiver must take (RFC 5424, 6.1)."""

PIECE_LINES: Final = 500
"""Lines from which on a piece of a stream is written."""

_MICRO: Final = 1_000_000
_SIXTEEN_DIGITS: Final = range(10**15, 10**16)  # microseconds from 2001 to 2286
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_times_as_json: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SyslogStyle:
    """How messages are to look.

    Args:
        format: RFC 5424, or RFC 3164 with its time stamp in UTC.
        framing: RFC 6587's octet-counting or line feed (non-transparent), or no frame at all.
        max_message: bytes of a whole message without its frame; longer ones are cut and marked.
        facility: RFC 5424 facility (0 to 23) instead of the line's own.
        structured_data: elements to put into every message, such as `[TOKEN@41058]`.
        include_id: carry the line's stable id in registered fields: PROCID is
            `<stream>-<boot>`, and `[meta sequenceId="…"]` (RFC 5424, 7.3.1) the number in it.
    """

    format: Format = "rfc5424"
    framing: Framing = "lf"
    max_message: int = 8192
    facility: int | None = None
    structured_data: str = ""
    include_id: bool = False


class SyslogFormatter:
    """Makes syslog messages of one style."""

    def __init__(self, style: SyslogStyle) -> None:
        self._style = style
        self._modern = style.format == "rfc5424"
        # In a stream framed by line feeds these would end a message or start another.
        unsafe = "\n\r\0" if style.framing == "lf" else "\0"
        self._escapes = {char: f"#{ord(char):03o}" for char in unsafe}
        self._seconds = _Seconds("%Y-%m-%dT%H:%M:%S." if self._modern else "")
        version = "1 " if self._modern else ""
        own = style.facility
        self._leads = [
            f"<{pri if own is None else own * 8 + pri % 8}>{version}" for pri in range(192)
        ]
        self._tail = functools.lru_cache(maxsize=2048)(self._make_tail)

    # ── what destinations call ──

    def stream(self, batch: Batch) -> Iterator[bytes]:
        """Give a batch as framed messages, in pieces of many whole messages, to be written.

        A piece is made when it is asked for, so that no more than one is in memory.
        """
        rows: list[str] = []
        for chunk in batch.chunks:
            rows += self._rows(chunk)
            if len(rows) >= PIECE_LINES:
                yield self._frame(rows)
                rows = []
        if rows:
            yield self._frame(rows)

    def datagrams(self, batch: Batch) -> list[bytes]:
        """Give a batch as messages without a frame."""
        return [
            row.encode("utf-8", "replace") for chunk in batch.chunks for row in self._rows(chunk)
        ]

    # ── a chunk ──

    def _frame(self, rows: list[str]) -> bytes:
        if self._style.framing == "lf":
            rows.append("")
            return "\n".join(rows).encode("utf-8", "replace")
        text = "".join(rows)
        if text.isascii():
            return "".join([f"{len(row)} {row}" for row in rows]).encode()
        encoded = [row.encode("utf-8", "replace") for row in rows]
        return b"".join([b"%d %b" % (len(row), row) for row in encoded])

    def _rows(self, chunk: Chunk) -> list[str]:
        """Give the messages of a chunk, safe for their framing and none too long."""
        messages = chunk.lines.messages
        text = "".join(messages)
        for char, escape in self._escapes.items():
            if char in text:
                messages = [message.replace(char, escape) for message in messages]
        # A character is at most four bytes; a chunk that holds no long line is not looked at.
        rows = self._join(chunk, messages)
        widest = self._style.max_message if text.isascii() else self._style.max_message // 4
        if max(map(len, rows)) > widest:
            room = self._style.max_message - max(
                len(row) - len(message) for row, message in zip(rows, messages, strict=True)
            )
            rows = self._join(chunk, [cut(message, room) for message in messages])
        return rows

    def _join(self, chunk: Chunk, messages: Sequence[str]) -> list[str]:
        """Put header and message together."""
        lines = chunk.lines
        shared, stamps = self._stamps(lines.times)
        if self._style.include_id:
            return self._join_with_ids(chunk, messages, shared, stamps)
        if isinstance(lines.priorities, int) and isinstance(lines.programs, str):
            lead = self._leads[lines.priorities] + shared
            tail = self._tail(chunk.host, lines.programs, "-")
            return [
                f"{lead}{stamp}{tail}{message}"
                for stamp, message in zip(stamps, messages, strict=True)
            ]
        leads = [self._leads[priority] for priority in lines.priority_column()]
        tails = [self._tail(chunk.host, program, "-") for program in lines.program_column()]
        return [
            f"{lead}{shared}{stamp}{tail}{message}"
            for lead, stamp, tail, message in zip(leads, stamps, tails, messages, strict=True)
        ]

    def _join_with_ids(
        self, chunk: Chunk, messages: Sequence[str], shared: str, stamps: list[str]
    ) -> list[str]:
        lines = chunk.lines
        process = f"{chunk.stream}-{chunk.boot}"
        leads = [self._leads[priority] for priority in lines.priority_column()]
        tails = [self._tail(chunk.host, program, process) for program in lines.program_column()]
        return [
            f'{lead}{shared}{stamp}{tail}[meta sequenceId="{_sequence_id(seq)}"] {message}'
            for seq, (lead, stamp, tail, message) in enumerate(
                zip(leads, stamps, tails, messages, strict=True), chunk.first
            )
        ]

    def _make_tail(self, host: str, program: str, process: str) -> str:
        """Make what stands between time stamp and message."""
        if not self._modern:
            return f" {legacy_host(host)} {legacy_tag(program)}: "
        data = self._style.structured_data
        space = "" if self._style.include_id else " "
        if not (data or self._style.include_id):
            data = "-"
        return f"Z {header(host, 255)} {header(program, 48)} {header(process, 128)} - {data}{space}"

    # ── time stamps ──

    def _stamps(self, times: list[int]) -> tuple[str, list[str]]:
        """Give the time stamps as what they all share and the rest of each."""
        low, high = min(times), max(times)
        second = low // _MICRO
        normal = low in _SIXTEEN_DIGITS and high in _SIXTEEN_DIGITS
        if normal and high // _MICRO == second:
            if not self._modern:
                return self._seconds[str(second)], [""] * len(times)
            digits = "," + _times_as_json(times)[1:-1].decode()
            return self._seconds[str(second)], digits.split(f",{second}")[1:]
        if normal:
            digits = _times_as_json(times).decode()
            spots = range(1, len(digits), 17)
            seconds = self._seconds
            if not self._modern:
                return "", [seconds[digits[at : at + 10]] for at in spots]
            return "", [seconds[digits[at : at + 10]] + digits[at + 10 : at + 16] for at in spots]
        return "", [self._odd_stamp(moment) for moment in times]

    def _odd_stamp(self, moment: int) -> str:
        """Give the stamp of a clock that was never set, or set wildly."""
        seconds, micros = divmod(moment, _MICRO)
        seconds = min(max(seconds, 0), _LAST_SECOND)
        return self._seconds[str(seconds)] + (f"{micros:06d}" if self._modern else "")


class _Seconds(dict[str, str]):
    """The text of a second by its digits; made once, forgotten when there are many.

    Args:
        pattern: for strftime; "" for RFC 3164's `Mmm dd hh:mm:ss`, in English whatever the locale.
    """

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern

    def __missing__(self, digits: str) -> str:
        if len(self) >= 4096:
            self.clear()
        moment = time.gmtime(int(digits))
        if self._pattern:
            text = time.strftime(self._pattern, moment)
        else:
            clock = time.strftime("%H:%M:%S", moment)
            text = f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {clock}"
        self[digits] = text
        return text


def _sequence_id(seq: int) -> int:
    """Wrap a sequence number as RFC 5424, 7.3.1 wants: 1 to 2147483647, then 1 again."""
    return (seq - 1) % 2_147_483_647 + 1


# ── making text fit ───────────────────────────────────────────────────────────────────────────


def cut(message: str, room: int) -> str:
    """Cut a message to `room` bytes of UTF-8, between characters, and say how long it was."""
    data = message.encode("utf-8", "replace")
    if len(data) <= room:
        return message
    mark = f"… [cut: {len(data)} bytes]"
    kept = max(room - len(mark.encode()), 0)
    return data[:kept].decode("utf-8", "ignore") + mark


def header(text: str, longest: int) -> str:
    """Make a header field of RFC 5424: printable US-ASCII without spaces, "-" when empty."""
    return re.sub(r"[^!-~]", "-", _without_accents(text))[:longest] or "-"


def legacy_host(text: str) -> str:
    """Make RFC 3164's HOSTNAME: receivers take letters, digits, dot, hyphen and underscore."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", _without_accents(text))[:255].strip("-") or "unknown"


def legacy_tag(text: str) -> str:
    """Make RFC 3164's TAG, of at most 32 characters; what would end it early is replaced."""
    return re.sub(r"[^A-Za-z0-9._/-]", "-", _without_accents(text))[:32] or "unknown"


def _without_accents(text: str) -> str:
    """Write `é` as `e`, so that names stay readable in US-ASCII."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKD", text)
    return "".join(char for char in plain if not unicodedata.combining(char))
