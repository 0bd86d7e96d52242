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
from operator import add
from typing import Final, Literal

import msgspec

from hub.batches import Batch, Chunk

Format = Literal["rfc5424", "rfc3164"]
Framing = Literal["lf", "octet-counting", "datagram"]

MIN_MESSAGE: Final = 480
"""Bytes that every receiver must take (RFC 5424, 6.1)."""

_LONGEST_HEADER: Final = 600  # bytes without structured data: the fields' own limits and spaces

PIECE_LINES: Final = 500
"""Lines from which on a piece of a stream is written."""

_LONGEST_LEAD: Final = 80  # bytes of priority, version, time stamp, and the id's element

_LABELS: Final = "labels@32473"
"""RFC 5424, 7: names of one's own need an enterprise number; RFC 5612 has this one for examples."""

_MICRO: Final = 1_000_000
_SIXTEEN_DIGITS: Final = range(10**15, 10**16)  # microseconds from 2001 to 2286
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_numbers_as_json: Final = msgspec.json.Encoder().encode

Column = str | list[str]
"""One part of all messages of a chunk: the same text in all of them, or one for each."""


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

    RFC 5424 also carries the labels of the integration's shape, as `[labels@32473 name="value"]`.
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
        # At most, so that short messages, of four bytes a character at most, need no closer look.
        self._header_room = _LONGEST_HEADER + len(_encoded(style.structured_data))
        self._tail = functools.lru_cache(maxsize=2048)(self._make_tail)

    # ── what destinations call ──

    def stream(self, batch: Batch) -> Iterator[bytes]:
        """Give a batch as framed messages, in pieces of many whole messages, to be written.

        A piece is made when it is asked for, so that no more than one is in memory.
        """
        parts: list[str] = []
        lines = 0
        for chunk in batch.chunks:
            parts += self._framed(chunk)
            lines += len(chunk)
            if lines >= PIECE_LINES:
                yield _encoded("".join(parts))
                parts, lines = [], 0
        if parts:
            yield _encoded("".join(parts))

    def datagrams(self, batch: Batch) -> list[bytes]:
        """Give a batch as messages without a frame."""
        return [
            _encoded("".join(row))
            for chunk in batch.chunks
            for row in zip(*(_filled(c, len(chunk)) for c in self._columns(chunk)), strict=True)
        ]

    # ── a chunk ──

    def _framed(self, chunk: Chunk) -> list[str]:
        """Give the messages of a chunk with their frames, in parts that are to be joined."""
        columns = self._columns(chunk)
        if self._style.framing == "lf":
            columns.append("\n")
        else:
            sizes = _numbers_as_json(_sizes(columns, len(chunk))).decode()
            columns[:0] = [sizes[1:-1].split(","), " "]
        return _interleaved(columns, len(chunk))

    def _columns(self, chunk: Chunk) -> list[Column]:
        """Give the messages of a chunk by column, safe for their framing and none too long."""
        columns = self._header_columns(chunk)
        messages = self._safe(chunk.lines.messages)
        header_room = self._header_room + (self._style.max_message // 2 if chunk.labels else 0)
        if header_room + 4 * max(map(len, messages)) > self._style.max_message:
            rooms = [self._style.max_message - size for size in _sizes(columns, len(chunk))]
            messages = list(map(cut, messages, rooms))
        return [*columns, messages]

    def _safe(self, messages: list[str]) -> list[str]:
        """Escape what would end a message or start another."""
        text = "".join(messages)
        for char, escape in self._escapes.items():
            if char in text:
                messages = [message.replace(char, escape) for message in messages]
        return messages

    def _header_columns(self, chunk: Chunk) -> list[Column]:
        """Give all that stands before the texts."""
        lines, columns = chunk.lines, list[Column]()
        shared, stamps = self._stamps(lines.times)
        if isinstance(lines.priorities, int):
            columns.append(self._leads[lines.priorities] + shared)
        else:
            columns += [[self._leads[priority] for priority in lines.priorities], shared]
        columns.append(stamps)
        process = f"{chunk.stream}-{chunk.boot}" if self._style.include_id else "-"
        labels = tuple(chunk.labels.items())
        if isinstance(lines.programs, str):
            columns.append(self._tail(chunk.host, lines.programs, process, labels))
        else:
            programs = set(lines.programs)
            tails = {name: self._tail(chunk.host, name, process, labels) for name in programs}
            columns.append([tails[name] for name in lines.programs])
        if self._style.include_id:
            columns += [_sequence_ids(chunk.numbers()), '"] ']
        return columns

    def _make_tail(
        self, host: str, program: str, process: str, labels: tuple[tuple[str, str], ...]
    ) -> str:
        """Make what stands between time stamp and message."""
        if not self._modern:
            return f" {legacy_host(host)} {legacy_tag(program)}: "
        head = f"Z {header(host, 255)} {header(program, 48)} {header(process, 128)} - "
        data = self._style.structured_data
        taken = len(head) + len(_encoded(data)) + _LONGEST_LEAD
        data += self._labels_element(labels, (self._style.max_message - taken) // 2)
        data = f'{data}[meta sequenceId="' if self._style.include_id else f"{data or '-'} "
        return head + data

    def _labels_element(self, labels: tuple[tuple[str, str], ...], room: int) -> str:
        """Give an element of at most `room` bytes with the labels that fit, each whole.

        RFC 5424, 6.3.3: `"`, `\\` and `]` are escaped in values, and names have 32 characters.
        """
        room -= len(f"[{_LABELS}]")
        kept: dict[str, str] = {}
        for name, value in labels:
            text = re.sub(r'(["\\\]])', r"\\\1", self._safe([value])[0])
            param = f' {name[:32]}="{text}"'
            if (size := len(_encoded(param))) <= room:
                room -= size
                kept[name[:32]] = param
        return f"[{_LABELS}{''.join(kept.values())}]" if kept else ""

    # ── time stamps ──

    def _stamps(self, times: list[int]) -> tuple[str, Column]:
        """Give the time stamps as what they all share and the rest of each."""
        low, high = min(times), max(times)
        second = low // _MICRO
        normal = low in _SIXTEEN_DIGITS and high in _SIXTEEN_DIGITS
        if normal and high // _MICRO == second:
            if not self._modern:
                return self._seconds[str(second)], ""
            digits = "," + _numbers_as_json(times)[1:-1].decode()
            return self._seconds[str(second)], digits.split(f",{second}")[1:]
        if normal:
            digits = _numbers_as_json(times).decode()
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


def _sequence_ids(numbers: Sequence[int]) -> list[str]:
    """Wrap sequence numbers as RFC 5424, 7.3.1 wants: 1 to 2147483647, then 1 again."""
    return [str((number - 1) % 2_147_483_647 + 1) for number in numbers]


# ── columns ───────────────────────────────────────────────────────────────────────────────────


def _filled(column: Column, count: int) -> list[str]:
    return [column] * count if isinstance(column, str) else column


def _interleaved(columns: Sequence[Column], count: int) -> list[str]:
    """Give the columns row by row: joining these is faster than formatting row after row."""
    parts = [""] * (count * len(columns))
    for place, column in enumerate(columns):
        parts[place :: len(columns)] = _filled(column, count)
    return parts


def _sizes(columns: Sequence[Column], count: int) -> list[int]:
    """Give the bytes of each row."""
    sizes = [sum(len(_encoded(column)) for column in columns if isinstance(column, str))] * count
    for column in columns:
        if not isinstance(column, str):
            plain = "".join(column).isascii()
            sizes = list(map(add, sizes, map(len, column if plain else map(_encoded, column))))
    return sizes


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


# ── making text fit ───────────────────────────────────────────────────────────────────────────


def cut(message: str, room: int) -> str:
    """Cut a message to `room` bytes of UTF-8, between characters, and say how long it was."""
    if 4 * len(message) <= room:
        return message
    plain = message.isascii()
    data = b"" if plain else _encoded(message)
    size = len(message) if plain else len(data)
    if size <= room:
        return message
    mark = f"… [cut: {size} bytes]"
    kept = max(room - len(mark) - 2, 0)  # the ellipsis takes three bytes
    return (message[:kept] if plain else data[:kept].decode("utf-8", "ignore")) + mark


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
