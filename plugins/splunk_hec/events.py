"""What a line looks like in Splunk: an event with fields that can be searched for.

https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from hub import SEVERITIES, Chunk, id_columns, join_rows, json_column, source_column
from plugins.splunk_hec.config import SplunkHecConfig

_OF_A_LINE: Final = frozenset({"id", "program", "severity", "facility"})
_encode: Final = msgspec.json.Encoder().encode


class Writer:
    """Encodes chunks, by one config."""

    def __init__(self, config: SplunkHecConfig) -> None:
        self._config = config

    def events(self, chunk: Chunk) -> list[bytes]:
        """Give each line of a chunk as an event; its time is in seconds since the Unix epoch."""
        lines = chunk.lines
        return join_rows(
            [
                self._head(chunk), b',"time":', json_column([time / 1e6 for time in lines.times]),
                b',"event":', _texts(lines.messages),
                b',"fields":', _fields(chunk), b',"id":"', *id_columns(chunk), b'"',
                source_column(lines, _origin), b"}}",
            ],
            len(chunk),
        )  # fmt: skip

    def _head(self, chunk: Chunk) -> bytes:
        """Give what all events of a chunk begin with, without the end of an object."""
        head = {
            "host": chunk.host,
            "source": self._config.source or chunk.stream,
            "sourcetype": self._config.sourcetype,
        }
        if self._config.index:
            head["index"] = self._config.index
        return _encode(head)[:-1]


def _fields(chunk: Chunk) -> bytes:
    """Give the fields that a chunk's lines share; a label must not hide what tells lines apart."""
    labels = {name: text for name, text in chunk.labels.items() if name not in _OF_A_LINE}
    own = {"project": chunk.project, "device": chunk.device, "stream": chunk.stream}
    return _encode(labels | own)[:-1]


def _origin(priority: int, program: str) -> bytes:
    severity = SEVERITIES[priority & 7].encode()
    facility = priority >> 3
    return b',"program":%b,"severity":"%b","facility":"%d"' % (_encode(program), severity, facility)


def _texts(messages: Sequence[str]) -> list[bytes]:
    """Encode the texts; Splunk refuses an empty one (code 13), but not an object with one."""
    texts = json_column(messages)
    for index, message in enumerate(messages):
        if not message.strip():
            texts[index] = b'{"message":%b}' % texts[index]
    return texts
