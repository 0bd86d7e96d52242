"""A batch as Loki sees it: entries, each of one stream, a stream being a set of labels.

JSON, compressed: a line of 130 bytes takes 0.2 µs to encode, and as much to compress.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from hub import SEVERITIES, Batch, Chunk, Column, id_columns, join_rows, json_column, source_column
from plugins.loki.config import LokiConfig

_encode: Final = msgspec.json.Encoder().encode
_LAST: Final = (2**63 - 1) // 1_000
"""Microseconds: Loki counts nanoseconds in 64 bits."""


@dataclass(slots=True)
class Entries:
    """The lines of a batch.

    Args:
        items: each as JSON: `["<nanoseconds>","<text>",{metadata}]`. The metadata is what a query
            finds and the index does not have.
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
            entries.times += chunk.lines.times
            entries.streams += join_rows([self._streams(chunk)], len(chunk))
            entries.items += self._items(chunk)
        return entries

    def _items(self, chunk: Chunk) -> list[bytes]:
        lines = chunk.lines
        times = json_column(_bounded(lines.times))
        columns: list[Column] = [b'["', times, b'000",', json_column(lines.messages)]
        if self._config.metadata:
            more = source_column(lines, self._metadata)
            columns += [b',{"id":"', *id_columns(chunk), b'"', more]
        return join_rows([*columns, b"]"], len(chunk))

    def _metadata(self, priority: int, program: str) -> bytes:
        """Give what structured metadata has after the id: what is no label."""
        known = {"program": program, "severity": SEVERITIES[priority & 7]}
        told = {name: text for name, text in known.items() if name not in self._chosen}
        return _encode(told).replace(b"{", b",", 1) if told else b"}"

    def _streams(self, chunk: Chunk) -> Column:
        if not self._chosen & {"program", "severity"}:
            return self._labels(chunk, 0, "")
        return source_column(chunk.lines, functools.partial(self._labels, chunk))

    def _labels(self, chunk: Chunk, priority: int, program: str) -> bytes:
        """Give a stream's labels: those of the config, of the shape, and the chosen ones."""
        known = {
            "project": chunk.project,
            "device": chunk.device,
            "host": chunk.host,
            "stream": chunk.stream,
            "program": program,
            "severity": SEVERITIES[priority & 7],
        }
        own = {name: known[name] for name in self._config.labels}
        return _encode(self._config.static_labels | dict(chunk.labels) | own)


def _bounded(times: Sequence[int]) -> Sequence[int]:
    if min(times) >= 0 and max(times) <= _LAST:
        return times
    return [min(max(moment, 0), _LAST) for moment in times]
