"""The HTTP listener: lines and OTLP logs, what is refused, and that an answer means the disk."""

import asyncio
import gzip
import io
import json
import re
import ssl
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import pytest
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from hub import structs
from hub.errors import Invalid, StartError
from hub.relay.ingest import Ingest
from hub.telemetry import Metrics
from hub.testing import eventually
from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.service import http_listener
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.ingest import RecordingIngest, Stored

ROOT = Path(__file__).parents[2]
NOW = 1_795_446_245_123_456  # 2026-11-23T15:04:05.123456Z
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


class Answer:
    """What was answered."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


class Listening:
    """A running listener."""

    def __init__(
        self, url: str, ingest: RecordingIngest, client: aiohttp.ClientSession, metrics: Metrics
    ) -> None:
        self.url = url
        self.ingest = ingest
        self.client = client
        self.metrics = metrics

    async def post(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> Answer:
        """Post a body with a token that is good."""
        sent = {"Authorization": "Bearer t0ken", **(headers or {})}
        async with self.client.post(self.url + path, data=body, headers=sent) as response:
            return Answer(response, await response.read())

    async def lines(self, body: Any, content_type: str = "application/json") -> Answer:
        """Post lines."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.post("/v1/lines", data, headers={"Content-Type": content_type})


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Listening]:
    """Run a listener."""
    ingest, metrics = RecordingIngest({"t0ken": "prj_mine"}), Metrics()
    decoded = structs.decode(HttpListenerSettings, {"port": 0, "host": "127.0.0.1", **settings})
    async with (
        http_listener(decoded, cast("Ingest", ingest), metrics) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls or True)) as client,
    ):
        scheme = "https" if tls else "http"
        yield Listening(f"{scheme}://localhost:{port}", ingest, client, metrics)


# ── lines ─────────────────────────────────────────────────────────────────────────────────────

FULL = {
    "message": "größer", "time": "2026-11-23T15:04:05.123456Z", "host": "web-1",
    "program": "shop", "severity": "err", "stream": "sys",
}  # fmt: skip


async def test_a_line_is_stored_with_all_that_it_says() -> None:
    """And with sensible values for what it does not."""
    async with listening() as at:
        answer = await at.lines([FULL, {"message": "bare"}])
        assert (answer.status, answer.json) == (200, {"lines": 2})
        full, bare = at.ingest.stored
        assert full == Stored("prj_mine", "http", "web-1", "sys", NOW, 11, "shop", "größer")
        assert (bare.host, bare.stream, bare.program) == ("127.0.0.1", "app", "-")
        assert bare.priority == 14
        assert bare.time > NOW - 400 * 86_400_000_000
        assert b'isaax_http_listener_lines_total{form="lines"} 2.0' in at.metrics.render()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'[{"message":"a"},{"message":"b"}]', "application/json; charset=utf-8"),
        (b'{"message":"a"}\n\n{"message":"b"}\n', "application/json"),
        (b'{"message":"a"}\n{"message":"b"}', "application/x-ndjson"),
        (b'{"message":"a"}\r\n{"message":"b"}\r\n', "application/jsonl"),
        (b"a\r\n\nb\n", "text/plain"),
    ],
)
async def test_lines_come_in_several_forms(body: bytes, content_type: str) -> None:
    """An array, an object a line, or text."""
    async with listening() as at:
        assert (await at.lines(body, content_type)).json == {"lines": 2}
        assert at.ingest.messages == ["a", "b"]
        assert (await at.lines(b'{\n "message": "c"\n}')).json == {"lines": 1}
        assert (await at.lines(b"[]")).json == {"lines": 0}


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1_795_446_245, NOW - 123_456),
        (1_795_446_245.5, NOW - 123_456 + 500_000),
        (1_795_446_245_123, NOW - 456),
        (NOW, NOW),
        (NOW * 1_000 + 789, NOW),
        ("2026-11-23T16:04:05.123456789+01:00", NOW),
        ("2026-11-23 15:04:05Z", NOW - 123_456),
        (-1, -1_000_000),
        (0, 0),
    ],
)
async def test_times_come_in_several_units(time: float | str, expected: int) -> None:
    """Which is told by the size of the number."""
    async with listening() as at:
        assert (await at.lines({"message": "x", "time": time})).status == 200
        assert [line.time for line in at.ingest.stored] == [expected]


@pytest.mark.parametrize(
    ("said", "priority"),
    [
        ({"severity": "WARN"}, 12),
        ({"severity": 0}, 8),
        ({"priority": 165}, 165),
        ({"priority": 0, "severity": "debug"}, 0),
    ],
)
async def test_severities_have_names_and_numbers(said: dict[str, Any], priority: int) -> None:
    """RFC 5424's, and what else they are called."""
    async with listening() as at:
        await at.lines({"message": "x", **said})
        assert [line.priority for line in at.ingest.stored] == [priority]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"[", "body"),
        (b"nonsense", "line 1"),
        (b'[{"message":"a"},{"massage":"b"}]', r"\$\[1\]"),
        (b'{"message":"a"}\n{"message":1}', r"line 2.*\$.message"),
        (b'[{"message":"a"},{"message":"b","time":"soon"}]', "line 2: time"),
        (b'[{"message":"a","time":1e300}]', "line 1: time"),
        (b'[{"message":"a","time":"2026-02-31T00:00:00Z"}]', "line 1"),
        (b'[{"message":"a","severity":"bad"}]', "line 1: severity"),
        (b'[{"message":"a","severity":8}]', "line 1: severity"),
        (b'[{"message":"a","priority":192}]', r"\$\[0\].priority"),
        (b'[{"message":"a","stream":"none"}]', r"\$\[0\].stream"),
        (b"[" * 100_000, "body"),
        (b'[{"message":"\xff"}]', "body"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_with_its_place(body: bytes, place: str) -> None:
    """Nothing of it is stored (RFC 9457)."""
    async with listening() as at:
        answer = await at.lines(body)
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == 400
        assert re.search(place, answer.json["detail"])
        assert at.ingest.stored == []


# ── who may, and how much ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wr0ng"}, 401),
        ({"Authorization": "Basic t0ken"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"X-Isaax-Token": "wr0ng"}, 401),
        ({"X-Isaax-Token": "t0ken"}, 200),
        ({"Authorization": "bearer t0ken"}, 200),
        ({"Authorization": "Bearer t0k\udcffn"}, 401),
    ],
)
@pytest.mark.parametrize("path", ["/v1/lines", "/v1/logs"])
async def test_a_token_is_needed(path: str, headers: dict[str, str], status: int) -> None:
    """Of a project; it is never repeated."""
    async with listening() as at:
        body = b"[]" if path == "/v1/lines" else b"{}"
        async with at.client.post(at.url + path, data=body, headers=JSON | headers) as response:
            text = await response.text()
            assert response.status == status
            assert "wr0ng" not in text
            assert ("WWW-Authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("path", ["/v1/lines", "/v1/logs"])
async def test_bodies_may_be_compressed(path: str, encoding: str) -> None:
    """And no more of one is unpacked than may be."""
    pack = {
        "gzip": lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:]),
        "deflate": zlib.compress,
        "zstd": lambda data: zstandard.compress(data[:10]) + zstandard.compress(data[10:]),
    }[encoding]
    headers = JSON | {"Content-Encoding": encoding}
    body = json.dumps([{"message": "packed"}] if path == "/v1/lines" else logs()).encode()
    async with listening(max_plain=100_000) as at:
        assert (await at.post(path, pack(body), headers=headers)).status == 200
        assert len(at.ingest.stored) == 1
        bomb = pack(b" " * 50_000_000)
        assert len(bomb) < 100_000
        assert (await at.post(path, bomb, headers=headers)).status == 413
        assert (await at.post(path, b"nonsense", headers=headers)).status == 400
        assert (await at.post(path, pack(body)[:-5], headers=headers)).status == 400
        assert len(at.ingest.stored) == 1


async def test_many_empty_parts_of_a_gzip_are_no_work() -> None:
    """Each is 20 bytes, and nothing: looking at the whole rest for each would take minutes."""
    body = gzip.compress(b"") * 200_000 + gzip.compress(b'{"message":"last"}')
    async with listening() as at, asyncio.timeout(15):
        answer = await at.post(
            "/v1/lines", io.BytesIO(body), headers=JSON | {"Content-Encoding": "gzip"}
        )
        assert (answer.status, at.ingest.messages) == (200, ["last"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a\n" * 6, "text/plain"),
        (b'{"message":"a"}\n' * 6, "application/x-ndjson"),
        (b'[%b{"message":"a"}]' % (b'{"message":"a"},' * 5), "application/json"),
    ],
)
async def test_a_request_has_so_many_lines_and_no_more(body: bytes, kind: str) -> None:
    """A small body that says nothing a million times would take a gigabyte here."""
    async with listening(max_lines=5) as at:
        answer = await at.lines(body, kind)
        assert (answer.status, "at most 5 lines" in answer.json["detail"]) == (413, True)
        assert at.ingest.stored == []
        otlp_body = json.dumps(logs(), separators=(",", ":")).encode()
        many = {"resourceLogs": json.loads(otlp_body)["resourceLogs"] * 6}
        answer = await at.post("/v1/logs", json.dumps(many).encode(), headers=JSON)
        assert answer.status == 413
        assert at.ingest.stored == []


def test_no_body_takes_many_times_its_size() -> None:
    """Whatever it holds: two or three bytes are enough for an empty record, attribute or value."""
    command = [sys.executable, "-m", "tests.programs.listener_memory"]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    found = structs.decode(dict[str, float], done.stdout)
    assert len(found) == 43
    assert {name: ratio for name, ratio in found.items() if ratio > 10} == {}


async def test_a_request_has_so_many_hosts_and_no_more() -> None:
    """They are stored one after the other, and a place is held meanwhile."""
    body = [{"message": "a", "host": f"h{number}"} for number in range(1_001)]
    async with listening() as at:
        answer = await at.lines(body)
        assert (answer.status, "at most 1000 hosts" in answer.json["detail"]) == (413, True)
        assert at.ingest.stored == []
        assert (await at.lines(body[:-1])).status == 200


async def test_one_project_takes_no_more_than_half_of_the_places() -> None:
    """And who has no token takes none."""
    async with listening(requests=4) as at:
        at.ingest.tokens["theirs"] = "prj_theirs"
        at.ingest.flowing.clear()
        held = [asyncio.create_task(at.lines({"message": "mine"})) for _ in range(2)]
        await eventually(lambda: at.ingest.waiting == 2, "both are being stored")
        assert (await at.lines({"message": "one more"})).status == 503
        headers = JSON | {"Authorization": "Bearer theirs"}
        theirs = asyncio.create_task(at.post("/v1/lines", b'{"message":"b"}', headers=headers))
        await eventually(lambda: at.ingest.waiting == 3, "theirs is being stored")
        at.ingest.flowing.set()
        assert [(await one).status for one in (*held, theirs)] == [200] * 3


async def test_what_is_too_large_or_in_another_form_is_refused() -> None:
    """With words that say what to send."""
    async with listening(max_body=2_000, read_timeout=0.1) as at:
        assert (await at.lines(b" " * 3_000)).status == 413
        assert (await at.lines(b"x", "image/png")).status == 415
        br = await at.post("/v1/lines", b"x", headers={"Content-Encoding": "br"})
        assert (br.status, br.json["title"]) == (415, "Unsupported Media Type")

        async def slow() -> AsyncIterator[bytes]:
            yield b"["
            await asyncio.sleep(30)

        assert (await at.post("/v1/lines", slow(), headers=JSON)).status == 408


@pytest.mark.parametrize("sent", [b"", b"POST /v1/lines HTTP/1.1\r\nX-Slow: "])
async def test_a_connection_without_a_whole_request_is_closed(sent: bytes) -> None:
    """Nobody holds connections open by sending nothing, or a head without an end."""
    async with listening(idle_timeout=0.1) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(at.url).port)
        writer.write(sent)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("path", ["/v1/lines", "/v1/logs"])
async def test_limits_and_troubles_are_told_with_when_to_come_again(path: str) -> None:
    """429 at the project's limit, 503 while JetStream stores nothing."""
    body = json.dumps([{"message": "x"}] if path == "/v1/lines" else logs()).encode()
    async with listening() as at:
        at.ingest.limited["prj_mine"] = 1.5
        answer = await at.post(path, body, headers=JSON)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        at.ingest.limited.clear()
        at.ingest.away = True
        answer = await at.post(path, body, headers=JSON)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        at.ingest.away = False
        assert (await at.post(path, body, headers=JSON)).status == 200
        assert len(at.ingest.stored) == 1


async def test_an_answer_is_given_when_the_lines_are_on_disk() -> None:
    """Not before; and no more requests are at work than may be."""
    async with listening(requests=1) as at:
        at.ingest.flowing.clear()
        first = asyncio.create_task(at.lines({"message": "one"}))
        await eventually(lambda: at.ingest.waiting == 1, "it is being stored")
        assert (await at.lines({"message": "two"})).status == 503
        assert not first.done()
        at.ingest.flowing.set()
        assert (await first).status == 200


async def test_the_rest_of_a_request_waits_rather_than_have_the_first_part_twice() -> None:
    """Its hosts are stored one after the other."""

    class Narrow(RecordingIngest):
        async def submit(self, *args: Any, **more: Any) -> None:
            await super().submit(*args, **more)
            self.limited = {} if self.limited else {"prj_mine": 0.05}
            asyncio.get_running_loop().call_later(0.02, self.limited.clear)

    ingest = Narrow({"t0ken": "prj_mine"})
    settings = HttpListenerSettings(port=0, host="127.0.0.1")
    async with (
        http_listener(settings, cast("Ingest", ingest), Metrics()) as port,
        aiohttp.ClientSession() as client,
    ):
        at = Listening(f"http://127.0.0.1:{port}", ingest, client, Metrics())
        answer = await at.lines([{"message": name, "host": name} for name in ("a", "b", "c")])
    assert answer.status == 200
    assert ingest.messages == ["a", "b", "c"]


async def test_the_end_answers_what_is_at_work() -> None:
    """SIGTERM leaves the context."""
    async with aiohttp.ClientSession() as client:
        ingest = RecordingIngest({"t0ken": "prj_mine"})
        settings = HttpListenerSettings(port=0, host="127.0.0.1")
        async with http_listener(settings, cast("Ingest", ingest), Metrics()) as port:
            at = Listening(f"http://127.0.0.1:{port}", ingest, client, Metrics())
            ingest.flowing.clear()
            asked = asyncio.create_task(at.lines({"message": "one"}))
            await eventually(lambda: ingest.waiting == 1, "it is being stored")
            asyncio.get_running_loop().call_later(0.1, ingest.flowing.set)
        assert (await asked).status == 200


# ── OTLP ──────────────────────────────────────────────────────────────────────────────────────


def logs(**record: Any) -> dict[str, Any]:
    """Give an OTLP request as JSON, as the specification's example has it."""
    one = {"timeUnixNano": str(NOW * 1_000), "severityNumber": 17, "body": {"stringValue": "one"}}
    return {
        "resourceLogs": [
            {
                "resource": {
                    "attributes": [
                        {"key": "service.name", "value": {"stringValue": "shop"}},
                        {"key": "host.name", "value": {"stringValue": "web-1"}},
                    ]
                },
                "scopeLogs": [{"scope": {"name": "acme.pump"}, "logRecords": [one | record]}],
            }
        ]
    }


async def test_otlp_as_protobuf() -> None:
    """Resource, time, severity, body, attributes and trace."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    for key, value in (("service.name", "shop"), ("host.name", "web-1")):
        resource.resource.attributes.add(key=key).value.string_value = value
    record = resource.scope_logs.add().log_records.add(
        observed_time_unix_nano=NOW * 1_000, severity_number=13,  # type: ignore[arg-type]
        trace_id=bytes(range(16)), span_id=bytes(range(8)), event_name="an event",
    )  # fmt: skip
    record.body.string_value = "two words"
    record.attributes.add(key="n").value.int_value = 7
    record.attributes.add(key="path").value.string_value = "/var/log/a b"
    record.attributes.add(key="list").value.array_value.values.add().bool_value = True
    async with listening() as at:
        answer = await at.post("/v1/logs", request.SerializeToString(), headers=PROTOBUF)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/x-protobuf"
        assert answer.body == b""
        (line,) = at.ingest.stored
    assert line == Stored(
        "prj_mine", "http", "web-1", "app", NOW, 12, "shop",
        'two words event="an event" n=7 path="/var/log/a b" list=[true] '
        "trace_id=000102030405060708090a0b0c0d0e0f span_id=0001020304050607",
    )  # fmt: skip


async def test_otlp_as_json() -> None:
    """With ids in hex, and names that we do not know."""
    more = {
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
        "fromTheFuture": 1, "attributes": [{"key": "k", "value": {"doubleValue": 0.5}}],
    }  # fmt: skip
    async with listening() as at:
        answer = await at.post("/v1/logs", json.dumps(logs(**more)), headers=JSON)
        assert (answer.status, answer.json) == (200, {})
        (line,) = at.ingest.stored
    assert (line.time, line.priority, line.host, line.program) == (NOW, 11, "web-1", "shop")
    assert line.message == (
        "one k=0.5 trace_id=5b8efff798038103d269b633813fc60c span_id=eee19b7ec3c1b174"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"intValue": "5"}, "5"),
        ({"boolValue": False}, "false"),
        ({"bytesValue": "AAE="}, '"AAE="'),
        ({"arrayValue": {"values": [{"stringValue": "ü"}, {}]}}, '["ü", null]'),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}, '{"a": 1}'),
    ],
)
async def test_any_value_becomes_text(body: dict[str, Any], text: str) -> None:
    """As JSON has it."""
    async with listening() as at:
        await at.post("/v1/logs", json.dumps(logs(body=body)), headers=JSON)
        assert at.ingest.messages == [text]


@pytest.mark.parametrize(
    ("number", "severity"), [(0, 6), (1, 7), (8, 7), (9, 6), (10, 5), (13, 4), (17, 3), (18, 2),
                             (19, 1), (20, 1), (21, 0), (24, 0), (99, 6)],
)  # fmt: skip
async def test_severity_numbers_are_those_of_syslog(number: int, severity: int) -> None:
    """By the logs data model's own table."""
    async with listening() as at:
        await at.post("/v1/logs", json.dumps(logs(severityNumber=number)), headers=JSON)
        assert [line.priority for line in at.ingest.stored] == [8 + severity]


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
async def test_records_that_hold_nothing_are_counted_back(kind: dict[str, str]) -> None:
    """As `partial_success`; the others are stored."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add().body.string_value = "one"
    records.add()
    both = [{"body": {"stringValue": "one"}}, {}]
    plain = {"resourceLogs": [{"scopeLogs": [{"logRecords": both}]}]}
    body = json.dumps(plain).encode() if kind == JSON else request.SerializeToString()
    async with listening() as at:
        answer = await at.post("/v1/logs", body, headers=kind)
        assert answer.status == 200
        assert at.ingest.messages == ["one"]
    if kind == JSON:
        assert answer.json["partialSuccess"]["rejectedLogRecords"] == "1"
    else:
        response = ExportLogsServiceResponse.FromString(answer.body)
        assert response.partial_success.rejected_log_records == 1
        assert response.partial_success.error_message


async def test_a_record_that_is_too_large_is_counted_back() -> None:
    """And why, in words."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add().body.string_value = "x" * 1_048_576
    records.add().body.string_value = "one"
    body = io.BytesIO(request.SerializeToString())
    async with listening() as at:
        answer = await at.post("/v1/logs", body, headers=PROTOBUF)
        assert (answer.status, at.ingest.messages) == (200, ["one"])
    partial = ExportLogsServiceResponse.FromString(answer.body).partial_success
    assert partial.rejected_log_records == 1
    assert partial.error_message == "a record has at most 1048576 bytes"


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"\xff", PROTOBUF, 400, 3),
        (b'{"resourceLogs": 5}', JSON, 400, 3),
        (b'{"a":' * 50_000, JSON, 400, 3),
        (b"\xff", JSON, 400, 3),
        (b"{}", {"Content-Type": "text/plain"}, 415, 3),
    ],
)
async def test_a_request_that_is_none_is_answered_by_a_status(
    body: bytes, kind: dict[str, str], status: int, code: int
) -> None:
    """In the form of the request."""
    async with listening() as at:
        answer = await at.post("/v1/logs", body, headers=kind)
    assert answer.status == status
    if kind == JSON:
        assert answer.json["code"] == code
        assert "ExportLogsServiceRequest" in answer.json["message"]
    else:
        assert answer.headers["Content-Type"] == "application/x-protobuf"
        assert answer.body[:3] == bytes([0x08, code, 0x12])
        assert answer.body[3] == len(answer.body) - 4


# ── where it listens ──────────────────────────────────────────────────────────────────────────


async def test_it_serves_https(
    tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """As the operator's files say."""
    trust = ssl.create_default_context(cadata=authority.pem)
    certificate, key = local_certificate.write(tmp_path, "http")
    async with listening(trust, certificate=str(certificate), key=str(key)) as at:
        assert (await at.lines({"message": "one"})).status == 200


async def test_nothing_listens_by_default_and_a_taken_port_is_named() -> None:
    """The service may be in every hub's list."""
    ingest = cast("Ingest", RecordingIngest({}))
    async with http_listener(HttpListenerSettings(), ingest, Metrics()) as port:
        assert port is None
    async with listening() as at:
        taken = int(at.url.rpartition(":")[2])
        with pytest.raises(StartError, match=f"port {taken}"):
            async with listening(port=taken):
                pass
    with pytest.raises(Invalid):
        structs.decode(HttpListenerSettings, {"port": 1, "certificate": "a.pem"})
