"""Other names for programs, hosts and metrics, and labels for every line."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from hub.batches import Chunk, MetricChunk
from hub.shaping.checks import Problems
from hub.shaping.rules import Rename
from hub.shaping.selection import AnyChunk
from hub.structs import pointer

# https://prometheus.io/docs/concepts/data_model/: what every metrics format takes.
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Namer:
    """`Rename` and `labels`, compiled."""

    def __init__(self, rule: Rename, labels: Mapping[str, str], problems: Problems) -> None:
        self._programs, self._hosts, self._metrics = rule.programs, rule.hosts, rule.metrics
        self._labels = MappingProxyType(dict(labels))
        for old, new in rule.hosts.items():
            if not new:
                problems.add(pointer("rename", "hosts", old), "a host needs a name")
        for old, new in rule.metrics.items():
            if not _METRIC.fullmatch(new):
                problems.add(
                    pointer("rename", "metrics", old),
                    "a metric's name has letters, digits, _ and :, and no digit first",
                )

    def apply(self, chunk: Chunk) -> Chunk:
        """Give the chunk with its new names and labels."""
        if self._programs:
            old = chunk.lines.programs
            new = _renamed(old, self._programs)
            if new is not old:
                lines = chunk.lines
                lines = type(lines)(lines.times, lines.priorities, new, lines.messages)
                chunk = replace(chunk, lines=lines)
        return self._common(chunk)

    def apply_metrics(self, chunk: MetricChunk) -> MetricChunk:
        """Give the samples with their new names and labels."""
        if self._metrics:
            old = chunk.samples.names
            new = _renamed(old, self._metrics)
            if new is not old:
                s = chunk.samples
                samples = type(s)(s.times, new, s.values, s.labels, s.counters)
                chunk = replace(chunk, samples=samples)
        return self._common(chunk)

    def _common(self, chunk: AnyChunk) -> AnyChunk:
        host = self._hosts.get(chunk.host, chunk.host)
        if self._labels:
            own = chunk.labels
            labels = MappingProxyType({**own, **self._labels}) if own else self._labels
            return replace(chunk, host=host, labels=labels)
        return chunk if host == chunk.host else replace(chunk, host=host)


def _renamed(names: str | list[str], new: Mapping[str, str]) -> str | list[str]:
    """Give the new names; the same object when nothing is called otherwise."""
    if isinstance(names, str):
        return new.get(names, names)
    if new.keys().isdisjoint(names):
        return names
    return [new.get(name, name) for name in names]
