"""Lines and samples as OTLP messages (opentelemetry-proto, 1.x)."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from hub import SEVERITIES, Batch, Chunk, MetricBatch, MetricChunk

NUMBERS: Final = (21, 19, 18, 17, 13, 10, 9, 5)
"""SeverityNumber by syslog severity: FATAL, ERROR3, ERROR2, ERROR, WARN, INFO2, INFO, DEBUG.

opentelemetry-specification, logs/data-model-appendix.md, appendix B.
"""

_SCOPE: Final = "isaax"
_LAST: Final = (2**64 - 1) // 1000  # fixed64 of nanoseconds


def logs_request(batch: Batch) -> ExportLogsServiceRequest:
    """Give a batch of lines; a resource is a program on a device (appendix A, "RFC5424 Syslog")."""
    return ExportLogsServiceRequest(
        resource_logs=[part for chunk in batch.chunks for part in _resource_logs(chunk)]
    )


def _resource_logs(chunk: Chunk) -> Iterator[ResourceLogs]:
    shared = [_pair("isaax.stream", chunk.stream), *_pairs(chunk.labels)]
    observed = _nanoseconds(chunk.received)
    lines = chunk.lines
    rows = zip(
        lines.program_column(),
        chunk.ids(),
        lines.times,
        lines.priority_column(),
        lines.messages,
        strict=True,
    )
    for program, group in groupby(rows, key=lambda row: row[0]):
        records = [
            LogRecord(
                time_unix_nano=_nanoseconds(time),
                observed_time_unix_nano=observed,
                severity_number=NUMBERS[priority & 7],  # type: ignore[arg-type]
                severity_text=SEVERITIES[priority & 7],
                body=AnyValue(string_value=message),
                attributes=[
                    _pair("log.record.uid", identifier),
                    KeyValue(key="syslog.facility.code", value=AnyValue(int_value=priority >> 3)),
                    *shared,
                ],
            )
            for _, identifier, time, priority, message in group
        ]
        yield ResourceLogs(
            resource=_resource(chunk, program),
            scope_logs=[ScopeLogs(scope=InstrumentationScope(name=_SCOPE), log_records=records)],
        )


def metrics_request(batch: MetricBatch) -> ExportMetricsServiceRequest:
    """Give a batch of samples; a resource is a device."""
    return ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                resource=_resource(chunk),
                scope_metrics=[
                    ScopeMetrics(
                        scope=InstrumentationScope(name=_SCOPE), metrics=list(_metrics(chunk))
                    )
                ],
            )
            for chunk in batch.chunks
        ]
    )


def _metrics(chunk: MetricChunk) -> Iterator[Metric]:
    samples = chunk.samples
    points: dict[tuple[str, bool], list[NumberDataPoint]] = {}
    rows = zip(
        samples.name_column(),
        samples.counter_column(),
        samples.times,
        samples.values,
        samples.label_column(),
        strict=True,
    )
    for name, counter, time, value, labels in rows:
        point = NumberDataPoint(
            time_unix_nano=_nanoseconds(time),
            as_double=value,
            attributes=_pairs({**labels, **chunk.labels}),
        )
        points.setdefault((name, counter), []).append(point)
    for (name, counter), some in points.items():
        if counter:
            # Without a start: when the counter was last zero is not known (metrics.proto).
            total = Sum(
                data_points=some,
                aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE,
                is_monotonic=True,
            )
            yield Metric(name=name, sum=total)
        else:
            yield Metric(name=name, gauge=Gauge(data_points=some))


def _resource(chunk: Chunk | MetricChunk, program: str = "") -> Resource:
    attributes = {
        "service.name": program or _SCOPE,
        "service.instance.id": chunk.device,
        "host.name": chunk.host,
        "isaax.project": chunk.project,
    }
    return Resource(attributes=_pairs(attributes))


def _pairs(labels: Mapping[str, str]) -> list[KeyValue]:
    return [_pair(name, value) for name, value in labels.items()]


def _pair(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def _nanoseconds(microseconds: int) -> int:
    """Give what fixed64 holds, whatever the clock of a device says."""
    return min(max(microseconds, 0), _LAST) * 1000
