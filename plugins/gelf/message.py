"""Lines as GELF messages, version 1.1.

https://go2docs.graylog.org/current/getting_in_log_data/gelf_format.html
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from hub import Batch, Chunk, id_columns, join_rows, json_column, source_column

_BAD_IN_NAME: Final = re.compile(r"[^\w.-]", re.ASCII)  # a field's name matches ^[\w\.\-]*$
_OF_A_LINE: Final = frozenset({"_line_id", "_program", "_facility"})
_encode: Final = msgspec.json.Encoder().encode


def messages(batch: Batch) -> list[bytes]:
    """Give each line of a batch as JSON, without a line feed or a NUL in it."""
    return [message for chunk in batch.chunks for message in _messages(chunk)]


def _messages(chunk: Chunk) -> list[bytes]:
    lines = chunk.lines
    shared = {f"_{_field(name)}": text for name, text in chunk.labels.items()}
    # A label must not hide what tells lines apart.
    shared = {name: text for name, text in shared.items() if name not in _OF_A_LINE}
    shared |= {
        "version": "1.1",
        "host": chunk.host or chunk.device,
        "_project": chunk.project,
        "_device": chunk.device,
        "_stream": chunk.stream,
    }
    return join_rows(
        [
            _encode(shared)[:-1],
            b',"short_message":', _text_column(lines.messages),
            b',"timestamp":', json_column([moment / 1_000_000 for moment in lines.times]),
            b',"_line_id":"', *id_columns(chunk), b'"', source_column(lines, _origin), b"}",
        ],
        len(chunk),
    )  # fmt: skip


def _origin(priority: int, program: str) -> bytes:
    return b',"level":%d,"_program":%b,"_facility":%d' % (
        priority & 7, _encode(program), priority >> 3,
    )  # fmt: skip


def _text_column(messages: Sequence[str]) -> list[bytes]:
    """Give the short messages, with the full one behind that where a text is more than a line."""
    column = json_column(messages)
    for index, message in enumerate(messages):
        if "\n" in message or not message.strip():
            short, full = _texts(message)
            more = b',"full_message":%b' % _encode(full) if full else b""
            column[index] = _encode(short) + more
    return column


def _texts(text: str) -> tuple[str, str]:
    """Give the short message, and the full one where that is more than a line."""
    bare = text.strip()
    if "\n" in bare:
        return bare.partition("\n")[0].rstrip(), text
    return text if bare else "-", ""  # Graylog throws away what has a blank short message


def _field(name: str) -> str:
    """Make a label's name a field's; `_id` is reserved and would be thrown away."""
    clean = _BAD_IN_NAME.sub("_", name)
    return "label_id" if clean == "id" else clean
