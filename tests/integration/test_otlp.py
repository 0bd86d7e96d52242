"""OTLP/HTTP: what is sent, and what each answer means."""

from typing import Any

import pytest
from aiohttp import web
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
)
from structlog.testing import capture_logs

from hub import structs
from hub.batches import Batch, MetricBatch, MetricChunk
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Rejected, Retry
from hub.protocol import Samples
from hub.testing import make_batch, make_chunk
from plugins.otlp import isaax_destinations, protobuf
from plugins.otlp.config import OtlpConfig
from tests.fixtures.http_receivers import TOKEN, connected, running
from tests.fixtures.telemetry_receivers import OtlpServer, attributes, records_of

(OTLP,) = isaax_destinations()
START = 1_795_446_245_123_456


def metrics(*, counters: bool | list[bool] = False, time: int = START) -> MetricBatch:
    """Give two samples of one device."""
    samples = Samples(
        [time, time + 1],
        ["cpu_seconds_total", "load"],
        [12.5, 0.25],
        [{"cpu": "0"}, {}],
        counters,
    )
    chunk = MetricChunk(
        "prj_a", "dev_a", "pump-1", "metric.cpu", 1, 1, START, samples, {"site": "north"}
    )
    return MetricBatch("m", (chunk,))


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("compressed", [True, False])
async def test_a_log_record_has_all_that_is_known(encoding: str, compressed: bool) -> None:
    """Resource, scope, severity, both times, the id, and the labels of the shape."""
    chunk = make_chunk(
        ["one", "zwei ü", "three"],
        time_us=START, first=41, priorities=[11, 14, 134], programs=["app", "app", "nginx"],
    )  # fmt: skip
    async with connected(OtlpServer(encoding=encoding, gzip=compressed), OTLP) as (server, to):
        await to.send(Batch("b", (chunk,)))
        (request,) = server.logs
        assert server.requests[0].headers.get("content-encoding") == (
            "gzip" if compressed else None
        )
    first, second = request.resource_logs
    assert attributes(first.resource.attributes) == {
        "service.name": "app",
        "service.instance.id": "dev_aaaaaaaaaaaaaaaaaaaa",
        "host.name": "pump-1",
        "isaax.project": "prj_aaaaaaaaaaaaaaaaaaaa",
    }
    assert attributes(second.resource.attributes)["service.name"] == "nginx"
    assert first.scope_logs[0].scope.name == "isaax"
    records = records_of(request)
    assert [record.body.string_value for record in records] == ["one", "zwei ü", "three"]
    assert [record.severity_number for record in records] == [17, 9, 9]
    assert [record.severity_text for record in records] == ["err", "info", "info"]
    assert records[1].time_unix_nano == (START + 1000) * 1000
    assert records[1].observed_time_unix_nano == START * 1000
    assert attributes(records[2].attributes) == {
        "log.record.uid": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-43",
        "syslog.facility.code": 16,
        "isaax.stream": "app",
    }


def test_every_severity_has_the_number_of_the_specification() -> None:
    """Logs data model, appendix B: syslog."""
    batch = Batch("b", (make_chunk(list("01234567"), priorities=list(range(8))),))
    request = ExportLogsServiceRequest.FromString(protobuf.logs(batch))
    numbers = [record.severity_number for record in records_of(request)]
    assert numbers == [21, 19, 18, 17, 13, 10, 9, 5]


@pytest.mark.parametrize("moment", [-5, 0, 2**62])
async def test_a_wild_clock_is_no_reason_to_fail(moment: int) -> None:
    """Nanoseconds have 64 bits."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        await to.send(make_batch("one", time_us=moment))
        assert 0 <= records_of(server.logs[0])[0].time_unix_nano < 2**64


async def test_json_is_otlps_own() -> None:
    """Numbers of 64 bits are strings, enums are numbers, names are in camel case."""
    async with connected(OtlpServer(encoding="json", gzip=False), OTLP) as (server, to):
        await to.send(make_batch("one", time_us=START))
        (request,) = server.requests
    document = structs.decode(dict[str, Any], request.body)
    (record,) = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert record["timeUnixNano"] == "1795446245123456000"
    assert record["severityNumber"] == 9
    assert records_of(ParseDict(document, ExportLogsServiceRequest()))


async def test_metrics_are_gauges_and_sums() -> None:
    """A counter is cumulative and monotonic; each value keeps its time and labels."""
    async with running(OtlpServer()) as server, tools_for("int_x", private_hosts=True) as tools:
        assert OTLP.metrics is not None
        to = OTLP.metrics(structs.decode(OtlpConfig, server.config), tools)
        await to.send(metrics(counters=[True, False]))
        (request,) = server.metrics
    (resource,) = request.resource_metrics
    assert attributes(resource.resource.attributes)["service.instance.id"] == "dev_a"
    total, load = resource.scope_metrics[0].metrics
    assert (total.name, total.sum.is_monotonic, total.sum.aggregation_temporality) == (
        "cpu_seconds_total", True, 2,
    )  # fmt: skip
    (point,) = total.sum.data_points
    assert (point.as_double, point.time_unix_nano) == (12.5, START * 1000)
    assert attributes(point.attributes) == {"cpu": "0", "site": "north"}
    assert load.WhichOneof("data") == "gauge"
    assert load.gauge.data_points[0].as_double == 0.25


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_exactly_these_come_again(status: int) -> None:
    """The specification's table; with the wait that is asked for."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        server.answers = [web.Response(status=status, headers={"Retry-After": "7"})]
        with pytest.raises(Retry, match=str(status)) as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 7
        await to.send(make_batch("one"))
        assert server.taken() == ["one"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 500, 501])
async def test_all_others_are_final(status: int) -> None:
    """ "MUST NOT be retried", 408 and 500 among them; the reason is the receiver's own."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        # A google.rpc.Status: code 3, message "bad data".
        server.answers = [web.Response(status=status, body=b"\x08\x03\x12\x08bad data")]
        with pytest.raises(Rejected, match=f"^answered {status}: bad data$"):
            await to.send(make_batch("one"))


async def test_a_failure_in_other_words_is_told_too() -> None:
    """A proxy answers as it likes."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        server.answers = [web.Response(status=403, text="<html>denied</html>")]
        with pytest.raises(Rejected, match="answered 403: <html>denied"):
            await to.send(make_batch("one"))


async def test_a_part_that_was_refused_is_counted_and_not_sent_again() -> None:
    """It is not said which: those lines cannot be told from the others."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        server.partial = (1, "too old")
        with capture_logs() as logs:
            await to.send(make_batch("one", "two"))
        assert len(server.logs) == 1
    (warning,) = logs
    assert (warning["rejected"], warning["sent"], warning["reason"]) == (1, 2, "too old")


async def test_a_warning_with_a_success_is_passed_on() -> None:
    """The specification's "rejected: 0, with a message"."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        server.partial = (0, "please upgrade")
        with capture_logs() as logs:
            await to.send(make_batch("one"))
    assert logs[0]["reason"] == "please upgrade"


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_all_that_was_refused_becomes_dead_letters(encoding: str) -> None:
    """Then it is known which."""
    async with connected(OtlpServer(encoding=encoding), OTLP) as (server, to):
        if encoding == "json":
            text = '{"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "too old"}}'
            server.answers = [web.Response(text=text)]
        server.partial = (2, "too old")
        with pytest.raises(Rejected, match="rejected all 2: too old"):
            await to.send(make_batch("one", "two"))


@pytest.mark.parametrize("body", [b"", b"ok", b"{}", b"\xff\xff"])
async def test_a_success_says_what_it_likes(body: bytes) -> None:
    """2xx is success, whatever comes with it."""
    async with connected(OtlpServer(), OTLP) as (server, to):
        server.answers = [web.Response(body=body)]
        await to.send(make_batch("one"))
        assert server.answers == []


async def test_what_is_off_is_left_out() -> None:
    """A receiver without a path for metrics gets none, and nothing becomes a dead letter."""
    async with (
        running(OtlpServer(metrics=False)) as server,
        tools_for("int_x", private_hosts=True) as tools,
    ):
        assert OTLP.metrics is not None
        to = OTLP.metrics(structs.decode(OtlpConfig, server.config), tools)
        await to.send(metrics())
        await to.close()
        assert server.requests == []


def test_a_status_has_the_fields_that_we_read_it_by() -> None:
    """google.rpc.Status: `int32 code = 1; string message = 2;`."""
    numbers = {field.number: field.type for field in ExportLogsPartialSuccess.DESCRIPTOR.fields}
    assert numbers == {1: 3, 2: 9}  # int64, as a varint like int32, and a string


@pytest.mark.parametrize(
    "change",
    [
        {"url": "ftp://x"}, {"url": "http://x/?q"}, {"logs": False, "metrics": False},
        {"headers": {"Content-Type": "x"}}, {"headers": {"X": "a\nb"}}, {"logs_path": "v1/logs"},
        {"ca": "no PEM"},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """And the refusal holds no secret."""
    config = {"url": "http://localhost", "headers": {"Authorization": TOKEN}} | change
    with pytest.raises(Invalid) as refused:
        structs.decode(OtlpConfig, config)
    assert TOKEN not in str(refused.value) + repr(refused.value.errors)
