"""What a line looks like in Datadog.

https://docs.datadoghq.com/logs/log_configuration/attributes_naming_convention/#reserved-attributes
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hub import SEVERITIES, Chunk, id_columns, join_rows, json_column, rfc3339, source_column
from plugins.datadog.config import DatadogConfig

OLDEST: Final = 18 * 3600 - 600
NEWEST: Final = 2 * 3600 - 600
"""Seconds: "up to 18 hours in the past and two hours in the future" (Log Date Remapper), with ten
minutes to spare for the way and for clocks that differ."""

_encode: Final = msgspec.json.Encoder().encode


class Writer:
    """Encodes chunks, by one config.

    Args:
        clock: Unix seconds, to tell what is too old for Datadog.
    """

    def __init__(self, config: DatadogConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock

    def logs(self, chunk: Chunk) -> list[bytes]:
        """Give each line of a chunk as a log."""
        lines = chunk.lines
        shared = {
            "ddsource": self._config.source,
            "ddtags": self._tags(chunk),
            "hostname": chunk.host,
            "device": chunk.device,
            "stream": chunk.stream,
        }
        return join_rows(
            [
                _encode(shared)[:-1], source_column(lines, self._origin),
                b',"message":', json_column(lines.messages),
                b',"id":"', *id_columns(chunk), b'"', self._moments(lines.times), b"}",
            ],
            len(chunk),
        )  # fmt: skip

    def _origin(self, priority: int, program: str) -> bytes:
        service = _encode(self._config.service or program)
        status = SEVERITIES[priority & 7].encode()
        return b',"service":%b,"status":"%b","facility":%d' % (service, status, priority >> 3)

    def _moments(self, times: Sequence[int]) -> list[bytes]:
        """Give each `timestamp`, in milliseconds since the Unix epoch.

        Where Datadog would not take a line's own time as that, it is kept as `original_time`, and
        the time of its arrival counts.
        """
        now = self._clock()
        oldest, newest = int((now - OLDEST) * 1e6), int((now + NEWEST) * 1e6)
        return [
            b',"timestamp":%d' % (time // 1000)
            if oldest <= time <= newest
            else b',"original_time":"%b"' % rfc3339(time).encode()
            for time in times
        ]

    def _tags(self, chunk: Chunk) -> str:
        """Give the tags that a chunk's lines share; a comma would end one."""
        own = {"project": chunk.project, "device": chunk.device, "stream": chunk.stream}
        tags = own | self._config.tags | dict(chunk.labels)
        return ",".join([f"{name}:{text.replace(',', '_')}" for name, text in tags.items()])
