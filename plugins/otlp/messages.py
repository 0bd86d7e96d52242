"""What lines and samples have in common, as OTLP messages (opentelemetry-proto, 1.x)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from hub import SEVERITIES, Chunk, Lines, MetricChunk

NUMBERS: Final = (21, 19, 18, 17, 13, 10, 9, 5)
"""SeverityNumber by syslog severity: FATAL, ERROR3, ERROR2, ERROR, WARN, INFO2, INFO, DEBUG.

opentelemetry-specification, logs/data-model-appendix.md, appendix B.
"""

LINE_ID: Final = "log.record.uid"
"""The attribute that holds a line's id."""

Labels = tuple[tuple[str, str], ...]
"""Names and texts."""

_SCOPE: Final = "isaax"
_LAST: Final = (2**64 - 1) // 1000  # fixed64 of nanoseconds


def scope() -> InstrumentationScope:
    """Give what all lines and samples come from."""
    return InstrumentationScope(name=_SCOPE)


def resource(chunk: Chunk | MetricChunk, program: str = "") -> Resource:
    """Give a program on a device (appendix A, "RFC5424 Syslog"); of metrics, the device."""
    attributes = (
        ("service.name", program or _SCOPE),
        ("service.instance.id", chunk.device),
        ("host.name", chunk.host),
        ("isaax.project", chunk.project),
    )
    return Resource(attributes=pairs(attributes))


def runs(lines: Lines) -> Iterator[tuple[str, int, int]]:
    """Give the programs in the order of their lines: which, from which line, to before which."""
    if isinstance(lines.programs, str):
        yield lines.programs, 0, len(lines)
        return
    start = 0
    for program, group in groupby(lines.programs):
        stop = start + sum(1 for _ in group)
        yield program, start, stop
        start = stop


def severity(number: int) -> LogRecord:
    """Give what a record says of a severity of syslog."""
    return LogRecord(
        severity_number=NUMBERS[number],  # type: ignore[arg-type]
        severity_text=SEVERITIES[number],
    )


def shared(chunk: Chunk, facility: int) -> list[KeyValue]:
    """Give the attributes, besides the id, of a chunk's lines of one facility."""
    return [
        KeyValue(key="syslog.facility.code", value=AnyValue(int_value=facility)),
        *pairs((("isaax.stream", chunk.stream), *chunk.labels.items())),
    ]


def by_metric(chunk: MetricChunk, points: Iterable[bytes]) -> dict[tuple[str, bool], list[bytes]]:
    """Give the points of each metric, by its name and whether it is a counter."""
    samples = chunk.samples
    found: dict[tuple[str, bool], list[bytes]] = {}
    rows = zip(samples.name_column(), samples.counter_column(), points, strict=True)
    for name, counter, point in rows:
        found.setdefault((name, counter), []).append(point)
    return found


def label_column(chunk: MetricChunk, make: Callable[[Labels], bytes]) -> list[bytes]:
    """Give the attributes of each sample; a label of the shape replaces one of its own."""
    if not chunk.labels:
        return [make(tuple(own.items())) for own in chunk.samples.label_column()]
    return [make(tuple({**own, **chunk.labels}.items())) for own in chunk.samples.label_column()]


def counted() -> Sum:
    """Give what a sum says besides its points.

    Without a start: when the counter was last zero is not known (metrics.proto).
    """
    return Sum(aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE, is_monotonic=True)


def pairs(labels: Labels) -> list[KeyValue]:
    """Give attributes."""
    return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in labels]


def observed(chunk: Chunk) -> int:
    """Give the time at which the hub took a chunk, in nanoseconds."""
    return nanoseconds([chunk.received])[0]


def nanoseconds(times: Sequence[int]) -> list[int]:
    """Give times as fixed64 holds them, whatever the clock of a device says."""
    if times and min(times) >= 0 and max(times) <= _LAST:
        return [time * 1000 for time in times]
    return [min(max(time, 0), _LAST) * 1000 for time in times]
