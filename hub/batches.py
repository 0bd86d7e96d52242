"""What a destination is given: lines, or samples of metrics, with where they come from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import msgspec

from hub.protocol import Lines, Samples

NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


def _no_labels() -> Mapping[str, str]:
    return NO_LABELS


class Line(msgspec.Struct, frozen=True, gc=False):
    """One log line with all that is known of it; `id` is stable over every retry.

    Args:
        time: microseconds since the Unix epoch, by the device's clock.
        priority: RFC 5424 PRI: facility * 8 + severity.
        labels: what the integration's shape adds.
    """

    id: str
    time: int
    priority: int
    program: str
    message: str
    device: str
    host: str
    stream: str
    labels: Mapping[str, str] = msgspec.field(default_factory=_no_labels)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of one device's stream, in order.

    Args:
        project, device, stream: where they come from.
        host: what to show as host name: the device's label, or its id when it has none.
        boot, first: the position of the first line.
        received: when the hub took them, microseconds since the Unix epoch.
        lines: the lines by column; work on the columns where speed matters.
        labels: what the integration's shape adds to each line.
        seqs: sequence number of each line, where lines between them were left out or joined;
            None when they follow `first` without a hole. See `numbers`.
    """

    project: str
    device: str
    host: str
    stream: str
    boot: int
    first: int
    received: int
    lines: Lines
    labels: Mapping[str, str] = field(default_factory=_no_labels)
    seqs: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.lines.messages)

    def numbers(self) -> Sequence[int]:
        """Give the sequence number of each line."""
        return _numbers(self.first, len(self), self.seqs)

    @property
    def id_prefix(self) -> str:
        """What all ids begin with, and each line's number follows."""
        return _id_prefix(self.device, self.stream, self.boot)

    def ids(self) -> list[str]:
        """Give the stable id of each line: `<device>-<stream>-<boot>-<seq>`."""
        return _ids(self.id_prefix, self.numbers())

    def part(self, start: int, stop: int | None = None) -> "Chunk":
        """Give the lines from `start` to before `stop`."""
        first, seqs = _part(self.first, self.seqs, start, stop)
        return replace(self, first=first, seqs=seqs, lines=self.lines.slice(start, stop))


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `send` takes: chunks in the order in which they came."""

    id: str
    chunks: tuple[Chunk, ...]

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def __iter__(self) -> Iterator[Line]:
        """Give the lines one by one: simple, at about a microsecond a line."""
        for chunk in self.chunks:
            lines = chunk.lines
            rows = zip(
                chunk.ids(),
                lines.times,
                lines.priority_column(),
                lines.program_column(),
                lines.messages,
                strict=True,
            )
            for identifier, time, priority, program, message in rows:
                yield Line(
                    identifier, time, priority, program, message,
                    chunk.device, chunk.host, chunk.stream, chunk.labels,
                )  # fmt: skip


# ── metrics ───────────────────────────────────────────────────────────────────────────────────


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One value of one metric at one moment; `id` is stable over every retry.

    Args:
        name: as Prometheus allows: `[a-zA-Z_:][a-zA-Z0-9_:]*`, with its unit at the end.
        time: microseconds since the Unix epoch, by the device's clock.
        counter: it only grows, but for a restart; otherwise it is a gauge.
        labels: the sample's own, and what the integration's shape adds.
    """

    id: str
    name: str
    time: int
    value: float
    counter: bool
    labels: Mapping[str, str]
    device: str
    host: str
    type: str


@dataclass(frozen=True, slots=True)
class MetricChunk:
    """Samples of one device's metric stream, in order; as `Chunk`, with samples for lines.

    Args:
        stream: `metric.cpu`, …
    """

    project: str
    device: str
    host: str
    stream: str
    boot: int
    first: int
    received: int
    samples: Samples
    labels: Mapping[str, str] = field(default_factory=_no_labels)
    seqs: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.samples.values)

    @property
    def type(self) -> str:
        """`cpu`, `memory`, …"""
        return self.stream.removeprefix("metric.")

    def numbers(self) -> Sequence[int]:
        """Give the sequence number of each sample."""
        return _numbers(self.first, len(self), self.seqs)

    def ids(self) -> list[str]:
        """Give the stable id of each sample: `<device>-<stream>-<boot>-<seq>`."""
        return _ids(_id_prefix(self.device, self.stream, self.boot), self.numbers())

    def part(self, start: int, stop: int | None = None) -> "MetricChunk":
        """Give the samples from `start` to before `stop`."""
        first, seqs = _part(self.first, self.seqs, start, stop)
        return replace(self, first=first, seqs=seqs, samples=self.samples.slice(start, stop))


@dataclass(frozen=True, slots=True)
class MetricBatch:
    """What one `send` of a destination of metrics takes."""

    id: str
    chunks: tuple[MetricChunk, ...]

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def __iter__(self) -> Iterator[Sample]:
        """Give the samples one by one."""
        for chunk in self.chunks:
            samples = chunk.samples
            rows = zip(
                chunk.ids(),
                samples.name_column(),
                samples.times,
                samples.values,
                samples.counter_column(),
                samples.label_column(),
                strict=True,
            )
            for identifier, name, time, value, counter, labels in rows:
                yield Sample(
                    identifier, name, time, value, counter, {**labels, **chunk.labels},
                    chunk.device, chunk.host, chunk.type,
                )  # fmt: skip


def _numbers(first: int, count: int, seqs: Sequence[int] | None) -> Sequence[int]:
    return range(first, first + count) if seqs is None else seqs


def _id_prefix(device: str, stream: str, boot: int) -> str:
    return f"{device}-{stream}-{boot}-"


def _ids(prefix: str, numbers: Sequence[int]) -> list[str]:
    return [f"{prefix}{number}" for number in numbers]


def _part(
    first: int, seqs: Sequence[int] | None, start: int, stop: int | None
) -> tuple[int, Sequence[int] | None]:
    if seqs is None:
        return first + start, None
    kept = seqs[start:stop]
    return (kept[0] if kept else first), kept
