"""A batch as Loki sees it: entries, each of one stream, a stream being a set of labels.

JSON, compressed: measured on 180-byte lines it takes 0.4 µs a line to encode and 0.8 to compress;
protobuf takes 1.8 and 0.1 with an encoder by hand, and more with the library's messages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from hub import SEVERITIES, Batch, Chunk
from plugins.loki.config import LokiConfig

_encode: Final = msgspec.json.Encoder().encode
_LAST: Final = (2**63 - 1) // 1_000
"""Microseconds: Loki counts nanoseconds in 64 bits."""


_Told = str | msgspec.UnsetType


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """Structured metadata of an entry: found by a query, and no part of the index."""

    id: str
    program: _Told
    severity: _Told


@dataclass(slots=True)
class Entries:
    """The lines of a batch.

    Args:
        items: each as JSON: `["<nanoseconds>","<text>",{metadata}]`.
        streams: the labels of each, as JSON.
        times: of each, microseconds since the Unix epoch.
    """

    items: list[bytes] = field(default_factory=list)
    streams: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def by_stream(self, indexes: Iterable[int]) -> list[list[int]]:
        """Group entries by their stream; those of one in the order of their times.

        A server with `unordered_writes: false` takes no other order.
        """
        groups: dict[bytes, list[int]] = {}
        for index in indexes:
            groups.setdefault(self.streams[index], []).append(index)
        for group in groups.values():
            group.sort(key=self.times.__getitem__)
        return list(groups.values())

    def body(self, indexes: Iterable[int]) -> bytes:
        """Give the request for some entries."""
        streams = [
            b'{"stream":%b,"values":[%b]}'
            % (self.streams[group[0]], b",".join([self.items[index] for index in group]))
            for group in self.by_stream(indexes)
        ]
        return b'{"streams":[%b]}' % b",".join(streams)


class Writer:
    """Makes entries of batches, by one config."""

    def __init__(self, config: LokiConfig) -> None:
        self._config = config
        self._chosen = frozenset(config.labels)

    def entries(self, batch: Batch) -> Entries:
        """Encode a batch."""
        entries = Entries()
        for chunk in batch.chunks:
            programs, severities = chunk.lines.program_column(), _severities(chunk)
            entries.times += chunk.lines.times
            entries.streams += self._streams(chunk, programs, severities)
            entries.items += self._items(chunk, programs, severities)
        return entries

    def _items(
        self, chunk: Chunk, programs: Sequence[str], severities: Sequence[str]
    ) -> list[bytes]:
        lines = chunk.lines
        stamps = [f"{min(max(moment, 0), _LAST)}000" for moment in lines.times]
        if not self._config.metadata:
            return list(map(_encode, zip(stamps, lines.messages, strict=True)))
        unset = [msgspec.UNSET] * len(lines)
        told: Sequence[_Told] = unset if "program" in self._chosen else programs
        levels: Sequence[_Told] = unset if "severity" in self._chosen else severities
        columns = zip(stamps, lines.messages, chunk.ids(), told, levels, strict=True)
        return [
            _encode((stamp, message, Metadata(identifier, program, severity)))
            for stamp, message, identifier, program, severity in columns
        ]

    def _streams(
        self, chunk: Chunk, programs: Sequence[str], severities: Sequence[str]
    ) -> list[bytes]:
        if not self._chosen & {"program", "severity"}:
            return [self._labels(chunk, "", "")] * len(chunk)
        pairs = list(zip(programs, severities, strict=True))
        known = {pair: self._labels(chunk, *pair) for pair in set(pairs)}
        return [known[pair] for pair in pairs]

    def _labels(self, chunk: Chunk, program: str, severity: str) -> bytes:
        """Give a stream's labels: those of the config, of the shape, and the chosen ones."""
        known = {
            "project": chunk.project,
            "device": chunk.device,
            "host": chunk.host,
            "stream": chunk.stream,
            "program": program,
            "severity": severity,
        }
        own = {name: known[name] for name in self._config.labels}
        return _encode(self._config.static_labels | dict(chunk.labels) | own)


def _severities(chunk: Chunk) -> list[str]:
    return [SEVERITIES[priority & 7] for priority in chunk.lines.priority_column()]
