"""What destinations write by column is what their formats say of each line by itself."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from hub import SEVERITIES, rfc3339, structs
from hub.batches import Batch, Line, MetricBatch
from hub.columns import id_columns, join_rows, json_column, source_column
from hub.testing import make_chunk
from plugins.datadog.config import DatadogConfig
from plugins.datadog.logs import Writer as DatadogWriter
from plugins.elasticsearch.documents import Writer as ElasticWriter
from plugins.gelf.message import messages as gelf_messages
from plugins.influx.points import line_points, sample_points
from plugins.loki.config import LokiConfig
from plugins.loki.entries import Writer as LokiWriter
from plugins.otlp import json_form, protobuf
from plugins.splunk_hec.config import SplunkHecConfig
from plugins.splunk_hec.events import Writer as SplunkWriter
from tests.fixtures import otlp_by_line
from tests.fixtures.made_batches import BATCHES, METRIC_BATCHES, PLAIN

# ── columns ───────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))) | st.integers(0, 10**9)))
def test_values_encoded_at_once_come_apart_again(values: list[object]) -> None:
    """JSON has no line feed in it, whatever the text has."""
    column = json_column(values)
    assert [json.loads(one) for one in column] == values


@settings(deadline=None)
@given(BATCHES)
def test_ids_and_what_lines_share_come_row_by_row(batch: Batch) -> None:
    """As a line by itself has them."""
    for chunk in batch.chunks:
        asked: list[tuple[int, str]] = []

        def make(priority: int, program: str, asked: list[tuple[int, str]] = asked) -> bytes:
            asked.append((priority, program))
            return json.dumps([priority, program]).encode()

        columns = [b'["', *id_columns(chunk), b'",', source_column(chunk.lines, make), b"]"]
        rows = [json.loads(row) for row in join_rows(columns, len(chunk))]
        lines = list(Batch("", (chunk,)))
        assert rows == [[line.id, [line.priority, line.program]] for line in lines]
        assert len(asked) == len(set(asked))


def test_columns_of_other_lengths_are_a_mistake() -> None:
    """Not lines that are left out."""
    with pytest.raises(ValueError, match="zip"):
        join_rows([[b"a"], [b"a", b"b"]], 2)


# ── OTLP ──────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(BATCHES)
def test_otlp_lines_are_what_the_library_would_write(batch: Batch) -> None:
    """Byte for byte; and in JSON the same message."""
    expected = otlp_by_line.logs_request(batch)
    assert protobuf.logs(batch) == expected.SerializeToString()
    written = json_form.logs(batch)
    assert Parse(written, ExportLogsServiceRequest()) == expected
    assert set(_keys(json.loads(written))) <= _known_keys(expected)


@settings(deadline=None)
@given(METRIC_BATCHES)
def test_otlp_samples_are_what_the_library_would_write(batch: MetricBatch) -> None:
    """Byte for byte; and in JSON the same message."""
    expected = otlp_by_line.metrics_request(batch)
    assert protobuf.metrics(batch) == expected.SerializeToString()
    written = json_form.metrics(batch)
    assert Parse(written, ExportMetricsServiceRequest()) == expected


@pytest.mark.parametrize("size", [0, 1, 113, 114, 127, 128, 16_383, 16_384, 70_000])
def test_otlp_lines_of_every_length(size: int) -> None:
    """At each of them a length takes one byte more, somewhere."""
    batch = Batch("b", tuple(make_chunk(["x" * (size + more)]) for more in range(3)))
    assert protobuf.logs(batch) == otlp_by_line.logs_request(batch).SerializeToString()


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(BATCHES)
def test_elasticsearch(batch: Batch) -> None:
    """An action and a document."""
    writer = ElasticWriter("logs-%Y.%m.%d")
    items = [item for chunk in batch.chunks for item in writer.items(chunk)]
    for item, line in zip(items, batch, strict=True):
        action, document, rest = item.split(b"\n")
        day = rfc3339(line.time)[:10].replace("-", ".")
        assert (json.loads(action), rest) == (
            {"create": {"_index": f"logs-{day}", "_id": line.id}}, b"",
        )  # fmt: skip
        severity, facility = line.priority & 7, line.priority >> 3
        assert json.loads(document) == {
            "@timestamp": rfc3339(line.time),
            "message": line.message,
            "host": {"name": line.host, "id": line.device},
            "log": {
                "level": SEVERITIES[severity],
                "syslog": {
                    "priority": line.priority,
                    "facility": {"code": facility},
                    "severity": {"code": severity, "name": SEVERITIES[severity]},
                    "appname": line.program,
                },
            },
            "event": {"id": line.id, "dataset": f"isaax.{line.stream}"},
            "labels": {**line.labels, "project": "prj_a"},
        }


@settings(deadline=None)
@given(BATCHES, st.sampled_from([[], ["severity"], ["program", "severity", "host"]]))
def test_loki(batch: Batch, labels: list[str]) -> None:
    """Time, text, and as metadata what is no label."""
    url = {"url": "http://loki", "labels": labels or ["project"], "static_labels": {"env": "x"}}
    entries = LokiWriter(structs.decode(LokiConfig, url)).entries(batch)
    plain = LokiWriter(structs.decode(LokiConfig, url | {"metadata": False})).entries(batch)
    rows = zip(entries.items, plain.items, entries.streams, entries.times, batch, strict=True)
    for item, bare, stream, time, line in rows:
        severity = SEVERITIES[line.priority & 7]
        known = {"program": line.program, "severity": severity, "host": line.host}
        stamp = f"{min(max(line.time, 0), (2**63 - 1) // 1000)}000"
        told = {name: known[name] for name in ("program", "severity") if name not in labels}
        assert json.loads(item) == [stamp, line.message, {"id": line.id, **told}]
        assert json.loads(bare) == [stamp, line.message]
        own = {name: known[name] for name in labels} if labels else {"project": "prj_a"}
        assert json.loads(stream) == {"env": "x", **line.labels, **own}
        assert time == line.time


@settings(deadline=None)
@given(BATCHES, st.sampled_from(["", "main"]))
def test_splunk(batch: Batch, index: str) -> None:
    """An event with fields."""
    config = {"url": "http://splunk", "token": "t", "index": index}
    writer = SplunkWriter(structs.decode(SplunkHecConfig, config))
    events = [event for chunk in batch.chunks for event in writer.events(chunk)]
    for event, line in zip(events, batch, strict=True):
        assert _once(event) == {
            "time": line.time / 1_000_000,
            "host": line.host,
            "source": line.stream,
            "sourcetype": "isaax",
            "event": line.message if line.message.strip() else {"message": line.message},
            "fields": {
                **line.labels, "project": "prj_a", "device": line.device, "stream": line.stream,
                "id": line.id, "program": line.program,
                "severity": SEVERITIES[line.priority & 7], "facility": str(line.priority >> 3),
            },
            **({"index": index} if index else {}),
        }  # fmt: skip


@settings(deadline=None)
@given(BATCHES, st.sampled_from(["", "shop"]))
def test_datadog(batch: Batch, service: str) -> None:
    """A log, with its own time where that is taken."""
    config = {"api_key": "x" * 32, "service": service, "tags": {"env": "a"}}
    writer = DatadogWriter(structs.decode(DatadogConfig, config), lambda: PLAIN / 1e6)
    logs = [log for chunk in batch.chunks for log in writer.logs(chunk)]
    for log, line in zip(logs, batch, strict=True):
        tags = {"project": "prj_a", "device": line.device, "stream": line.stream, "env": "a"}
        tags |= line.labels
        is_taken = abs(line.time - PLAIN) < 3600 * 10**6
        assert _once(log) == {
            "ddsource": "isaax",
            "ddtags": ",".join(f"{name}:{text.replace(',', '_')}" for name, text in tags.items()),
            "hostname": line.host,
            "service": service or line.program,
            "status": SEVERITIES[line.priority & 7],
            "message": line.message,
            "facility": line.priority >> 3,
            "device": line.device,
            "stream": line.stream,
            "id": line.id,
            **(
                {"timestamp": line.time // 1000}
                if is_taken
                else {"original_time": rfc3339(line.time)}
            ),
        }


@settings(deadline=None)
@given(BATCHES)
def test_gelf(batch: Batch) -> None:
    """A message, with the full text where that is more than a line."""
    for message, line in zip(gelf_messages(batch), batch, strict=True):
        bare = line.message.strip()
        short = bare.partition("\n")[0].rstrip() if "\n" in bare else line.message
        labels = {re.sub(r"[^\w.-]", "_", name, flags=re.ASCII): one for name, one in _items(line)}
        assert _once(message) == {
            **{f"_{'label_id' if name == 'id' else name}": one for name, one in labels.items()},
            "version": "1.1",
            "host": line.host or line.device,
            "short_message": short if bare else "-",
            "timestamp": line.time / 1_000_000,
            "level": line.priority & 7,
            "_line_id": line.id,
            "_project": "prj_a",
            "_device": line.device,
            "_stream": line.stream,
            "_program": line.program,
            "_facility": line.priority >> 3,
            **({"full_message": line.message} if "\n" in bare else {}),
        }


# ── line protocol ─────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(BATCHES)
def test_influx_lines(batch: Batch) -> None:
    """Keys, fields and time of each."""
    points = line_points(batch, "logs")
    numbers = [number for chunk in batch.chunks for number in chunk.numbers()]
    for point, line, number in zip(points, batch, numbers, strict=True):
        own = {"program": line.program, "severity": SEVERITIES[line.priority & 7]}
        place = {"project": "prj_a", "device": line.device, "host": line.host}
        key = _influx_key("logs", {**line.labels, **place, "stream": line.stream, **own})
        time = min(max(line.time, -9_223_372_036_854_775), 9_223_372_036_854_774)
        assert point.decode() == (
            f'{key} message="{_influx_string(line.message)}",id="{_influx_string(line.id)}",'
            f"facility={line.priority >> 3}i {time * 1000 + number % 1000}"
        )


@settings(deadline=None)
@given(METRIC_BATCHES)
def test_influx_samples(batch: MetricBatch) -> None:
    """Keys, value and time of each."""
    for point, sample in zip(sample_points(batch), batch, strict=True):
        place = {"project": "prj_a", "device": sample.device, "host": sample.host}
        kept = {f"own_{name}": sample.labels[name] for name in place if name in sample.labels}
        key = _influx_key(sample.name, {**sample.labels, **kept, **place})
        time = min(max(sample.time, -9_223_372_036_854_775), 9_223_372_036_854_774)
        assert point.decode() == f"{key} value={sample.value!r} {time}"


def _influx_key(measurement: str, tags: Mapping[str, str]) -> str:
    def plain(text: str) -> str:
        text = re.sub(r"[\r\n]+", " ", text)
        return re.sub(r"\\(?=\\*(?:[,= ]|$))", "/", text)

    clean = sorted((plain(name), plain(text)) for name, text in tags.items())
    escaped = [
        "=".join(re.sub(r"([,= ])", r"\\\1", part) for part in pair) for pair in clean if all(pair)
    ]
    return ",".join([measurement, *escaped])


def _influx_string(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text).replace("\n", r"\n").replace("\r", r"\r")


# ── helpers ───────────────────────────────────────────────────────────────────────────────────


def _items(line: Line) -> list[tuple[str, str]]:
    return list(line.labels.items())


def _once(text: bytes) -> Any:
    """Read JSON; a key that comes twice would be read by each reader in its own way."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    return json.loads(text, object_pairs_hook=check)


def _keys(value: Any) -> list[str]:
    if isinstance(value, list):
        return [key for one in value for key in _keys(one)]
    if isinstance(value, dict):
        return [*value, *(key for one in value.values() for key in _keys(one))]
    return []


def _known_keys(message: Any) -> set[str]:
    return {*_keys(MessageToDict(message)), "timeUnixNano", "observedTimeUnixNano", "stringValue"}
