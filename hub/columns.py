"""Lines made by column: what many of them share is encoded once, the rest all at once.

A destination's own bytes of each line are the most expensive part of its work. To encode an object
a line takes two to three times as long as to join columns, most of which are the same in all lines.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final

import msgspec

from hub.batches import Chunk
from hub.protocol import Lines

Column = bytes | list[bytes]
"""A part of every row: the same bytes in all of them, or those of each."""

_encoder: Final = msgspec.json.Encoder()


def json_column(values: Iterable[object]) -> list[bytes]:
    """Encode each value as JSON, in which there is no line feed: so all are encoded at once."""
    return _encoder.encode_lines(values).split(b"\n")[:-1]


def id_columns(chunk: Chunk) -> tuple[bytes, list[bytes]]:
    """Give the ids of lines, as JSON has them between quotes: what all begin with, and the rest."""
    return _encoder.encode(chunk.id_prefix)[1:-1], json_column(chunk.numbers())


def source_column(lines: Lines, make: Callable[[int, str], bytes]) -> Column:
    """Give what depends on nothing but a line's priority and program, made once for each pair.

    Args:
        make: given priority and program.
    """
    if isinstance(lines.priorities, int) and isinstance(lines.programs, str):
        return make(lines.priorities, lines.programs)
    pairs = list(zip(lines.priority_column(), lines.program_column(), strict=True))
    made = {pair: make(*pair) for pair in set(pairs)}
    return [made[pair] for pair in pairs]


def join_rows(columns: Sequence[Column], count: int) -> list[bytes]:
    """Give the rows of these columns, each as one.

    Args:
        count: of rows.
    """
    filled = (repeat(one, count) if isinstance(one, bytes) else one for one in columns)
    return list(map(b"".join, zip(*filled, strict=True)))
