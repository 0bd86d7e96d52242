"""The lines of a log batch, by column."""

from collections import Counter
from typing import Final

import msgspec

from hub.protocol.batches import Codec, Header, check_columns, decode_header, encode_header
from hub.protocol.body import decode_body, encode_body
from hub.protocol.limits import ProtocolError


class Lines(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The lines of a batch, by column, in order.

    Args:
        times: microseconds since the Unix epoch, by the device's clock.
        priorities: RFC 5424 PRI (facility * 8 + severity, 0 to 191); one number for all lines,
            or a list with one for each.
        programs: what wrote the line (RFC 5424 APP-NAME); one string for all, or a list.
        messages: the text.
    """

    times: list[int]
    priorities: int | list[int]
    programs: str | list[str]
    messages: list[str]

    def __len__(self) -> int:
        return len(self.messages)

    def priority_column(self) -> list[int]:
        """Give one priority for each line."""
        p = self.priorities
        return p if isinstance(p, list) else [p] * len(self.messages)

    def program_column(self) -> list[str]:
        """Give one program for each line."""
        p = self.programs
        return p if isinstance(p, list) else [p] * len(self.messages)

    def slice(self, start: int, stop: int | None = None) -> "Lines":
        """Give the lines from `start` to before `stop`."""
        cut = slice(start, stop)
        return Lines(
            self.times[cut],
            self.priorities[cut] if isinstance(self.priorities, list) else self.priorities,
            self.programs[cut] if isinstance(self.programs, list) else self.programs,
            self.messages[cut],
        )


class _Priorities(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The same columns where only the priorities are of interest: no text is made of the rest."""

    times: list[int]
    priorities: int | list[int]
    programs: msgspec.Raw
    messages: msgspec.Raw


_decoder: Final = msgspec.msgpack.Decoder(Lines)
_priorities: Final = msgspec.msgpack.Decoder(_Priorities)


def encode_batch(
    lines: Lines, *, boot: int, first: int, span: int = 0, codec: Codec = Codec.ZLIB
) -> bytes:
    """Make the payload of one batch.

    Args:
        span: sequence numbers covered; 0 means as many as there are lines.
        codec: `ZSTD` needs the `zstandard` package.
    """
    header = Header(codec, boot, first, span or len(lines))
    return encode_header(header) + encode_body(lines, codec)


def decode_lines(payload: bytes) -> Lines:
    """Read the lines of a binary batch.

    Raises:
        ProtocolError: as `decode_header`, and `bad-body` (not decodable, columns of unequal
            length, invalid UTF-8, more than `MAX_LINES`), `too-large` (a decompression bomb).
    """
    header = decode_header(payload)
    lines = decode_body(payload, header, _decoder)
    check_lines(lines, header)
    return lines


def count_severities(payload: bytes) -> list[int]:
    """Count the lines of a binary batch by severity, from 0 (emerg) to 7 (debug; RFC 5424, 6.2.1).

    No text is made: most of what is left is decompression. Whether the texts can be read, it does
    not say.

    Raises:
        ProtocolError: as `decode_lines`.
    """
    header = decode_header(payload)
    columns = decode_body(payload, header, _priorities)
    check_columns(len(columns.times), (columns.priorities,), header)
    counts = [0] * 8
    if isinstance(columns.priorities, int):
        counts[columns.priorities & 7] = len(columns.times)
    else:
        for priority, lines in Counter(columns.priorities).items():
            counts[priority & 7] += lines
    return counts


def check_lines(lines: Lines, header: Header) -> None:
    """See that the columns are what they have to be.

    Raises:
        ProtocolError: `bad-body`.
    """
    columns = (lines.times, lines.priorities, lines.programs)
    check_columns(len(lines), columns, header)
    p = lines.priorities
    lowest, highest = (min(p), max(p)) if isinstance(p, list) else (p, p)
    if not 0 <= lowest <= highest <= 191:
        raise ProtocolError("bad-body", "a priority is 0 to 191 (RFC 5424, 6.2.1)")
