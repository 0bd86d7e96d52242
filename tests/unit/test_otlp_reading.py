"""OTLP logs in both their forms: the same records, and no harm by what is none."""

import json
from typing import Any

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from plugins.http_listener.otlp import JSON, PROTOBUF, Read, read_logs
from plugins.http_listener.refusals import Refused

NOW = 1_795_446_245_000_000


def _array(values: list[AnyValue]) -> AnyValue:
    made = AnyValue()
    made.array_value.values.extend(values)
    return made


def _pairs(values: dict[str, AnyValue]) -> AnyValue:
    made = AnyValue()
    made.kvlist_value.values.extend(KeyValue(key=key, value=one) for key, one in values.items())
    return made


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
VALUES = st.recursive(
    st.builds(AnyValue)
    | st.builds(AnyValue, string_value=TEXT)
    | st.builds(AnyValue, bool_value=st.booleans())
    | st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1))
    | st.builds(AnyValue, double_value=st.floats())
    | st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=3).map(_array) | st.dictionaries(TEXT, inner).map(_pairs)
    ),
    max_leaves=6,
)
ATTRIBUTES = st.lists(
    st.builds(KeyValue, key=st.sampled_from(["host.name", "service.name", "k", ""]), value=VALUES),
    max_size=3,
)
RECORDS = st.builds(
    LogRecord,
    time_unix_nano=st.sampled_from([0, 1, NOW * 1000, 2**64 - 1]),
    observed_time_unix_nano=st.sampled_from([0, NOW * 1000 + 1]),
    severity_number=st.integers(0, 24),
    body=st.none() | VALUES,
    event_name=TEXT,
    attributes=ATTRIBUTES,
    trace_id=st.sampled_from([b"", bytes(range(16))]),
    span_id=st.sampled_from([b"", bytes(range(8))]),
)
SCOPES = st.builds(
    ScopeLogs,
    scope=st.none() | st.builds(InstrumentationScope, name=TEXT),
    log_records=st.lists(RECORDS, max_size=3),
    schema_url=TEXT,
)
RESOURCES = st.builds(
    ResourceLogs,
    resource=st.none() | st.builds(Resource, attributes=ATTRIBUTES),
    scope_logs=st.lists(SCOPES, max_size=3),
)
REQUESTS = st.builds(ExportLogsServiceRequest, resource_logs=st.lists(RESOURCES, max_size=3))


def read(body: bytes, kind: str = PROTOBUF, *, most: int = 1_000) -> Read:
    """Read a request."""
    return read_logs(body, kind, now=NOW, most=most)


def records_of(request: ExportLogsServiceRequest) -> list[LogRecord]:
    """Give all of its records."""
    return [
        record
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def as_json(request: ExportLogsServiceRequest) -> bytes:
    """Write a request as OTLP has it: with numbers for enums, and ids in hex."""
    document: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    written = [
        record
        for resource in document.get("resourceLogs", [])
        for scope in resource.get("scopeLogs", [])
        for record in scope.get("logRecords", [])
    ]
    for record, one in zip(written, records_of(request), strict=True):
        record.update({"traceId": one.trace_id.hex().upper(), "spanId": one.span_id.hex()})
    return json.dumps(document).encode()


@settings(deadline=None)
@given(REQUESTS)
def test_both_forms_say_the_same(request: ExportLogsServiceRequest) -> None:
    """Nothing of a record is lost; what holds nothing is counted."""
    found = read(request.SerializeToString())
    assert read(as_json(request), JSON) == found
    records = records_of(request)
    assert len(found.entries) + found.empty == len(records)
    texts = [entry.message for entry in found.entries]
    bodies = [one.body.string_value for one in records if one.body.string_value]
    assert [body for body in bodies if not any(text.startswith(body) for text in texts)] == []


@settings(deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=3))
def test_requests_one_behind_the_other_are_one(requests: list[ExportLogsServiceRequest]) -> None:
    """By the wire format; so are messages in a field that comes twice, such as a resource."""
    joined = b"".join(request.SerializeToString() for request in requests)
    entries = [entry for one in requests for entry in read(one.SerializeToString()).entries]
    assert read(joined).entries == entries


def test_what_comes_in_parts_is_merged() -> None:
    """As the wire format has it."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "one"
    parts = [Resource(attributes=[KeyValue(key=key, value=AnyValue(string_value="x"))])
             for key in ("host.name", "service.name")]  # fmt: skip
    content = b"".join(ResourceLogs(resource=part).SerializeToString() for part in parts)
    content += request.resource_logs[0].SerializeToString()
    (entry,) = read(b"\x0a" + bytes([len(content)]) + content).entries
    assert (entry.host, entry.program, entry.message) == ("x", "x", "one")


def lenient(kind: type[Message]) -> Any:
    """Give the same message with texts that need not be UTF-8: we show what can be read of them."""
    pool = DescriptorPool()

    def loosen(message: DescriptorProto) -> None:
        for field in message.field:
            if field.type == field.TYPE_STRING:
                field.type = field.TYPE_BYTES
        for inner in message.nested_type:
            loosen(inner)

    def add(file: FileDescriptor) -> None:
        for needed in file.dependencies:
            add(needed)
        written = FileDescriptorProto()
        file.CopyToProto(written)
        for message in written.message_type:
            loosen(message)
        pool.Add(written)

    add(kind.DESCRIPTOR.file)
    return GetMessageClass(pool.FindMessageTypeByName(kind.DESCRIPTOR.full_name))


LENIENT = lenient(ExportLogsServiceRequest)


@settings(deadline=None)
@given(st.binary(max_size=60) | REQUESTS.map(lambda one: one.SerializeToString()), st.data())
def test_damaged_protobuf_is_refused_or_read(body: bytes, data: st.DataObject) -> None:
    """Nothing else comes of it, and no record is lost, be its text UTF-8 or not."""
    cut = data.draw(st.integers(0, len(body)))
    changed = body[:cut] + data.draw(st.binary(max_size=3)) + body[cut + 1 :]
    try:
        found = read(changed)
    except Refused as refused:
        assert refused.status == 400  # noqa: PT017 - one of two outcomes
    else:
        known = records_of(LENIENT.FromString(changed))
        assert len(found.entries) + found.empty == len(known)


@pytest.mark.parametrize(
    "more", [b"\x18\x96\x01", b"\x19" + b"x" * 8, b"\x1a\x02hi", b"\x1d" + b"x" * 4],
    ids=["varint", "eight bytes", "text", "four bytes"],
)  # fmt: skip
def test_fields_that_are_not_known_are_passed_over(more: bytes) -> None:
    """Of every type that the wire has, at each level."""
    record = b"\x2a\x05\x0a\x03one" + more
    scope = b"\x12" + bytes([len(record)]) + record + more
    resource = b"\x12" + bytes([len(scope)]) + scope + more
    body = more + b"\x0a" + bytes([len(resource)]) + resource + more
    assert [entry.message for entry in read(body).entries] == ["one"]


@pytest.mark.parametrize(
    "body",
    [
        b"\x0b\x0c", b"\x0e", b"\x02\x00", b"\x0a", b"\x0a\x05ab", b"\x08" + b"\xff" * 11,
        b"\x0a\x03\x12\x09a", b"\x19abc", b"\x80\x80\x80\x80\x10\x00",
    ],
    ids=["group", "type", "number 0", "no length", "early end", "long number", "inner", "fixed",
         "beyond all numbers"],
)  # fmt: skip
def test_what_is_no_message_is_refused(body: bytes) -> None:
    """By one answer."""
    with pytest.raises(Refused) as refused:
        read(body)
    assert refused.value.status == 400


def one_record(**record: Any) -> bytes:
    """Give a JSON body with one record."""
    scopes = [{"logRecords": [record]}]
    return json.dumps({"resourceLogs": [{"scopeLogs": scopes}]}).encode()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"body": {"intValue": 5}}, "5"),
        ({"body": {"intValue": "-5"}}, "-5"),
        ({"body": {"doubleValue": 2}}, "2.0"),
        ({"body": {"doubleValue": "NaN"}}, "NaN"),
        ({"body": {"stringValue": "x"}, "traceId": None, "attributes": None}, "x"),
        ({"body": {"stringValue": "x"}, "severityNumber": "SEVERITY_NUMBER_INFO"}, "x"),
        ({"body": {"stringValue": "x"}, "timeUnixNano": NOW * 1000, "new": [{}]}, "x"),
        ({"body": None, "eventName": "e"}, "event=e"),
        ({"attributes": [{"key": "k"}, {"value": {"boolValue": True}}]}, 'k="" =true'),
        ({"body": {"kvlistValue": {}}}, "{}"),
    ],
    ids=str,
)  # fmt: skip
def test_json_may_say_it_in_several_ways(record: dict[str, Any], message: str) -> None:
    """Numbers as text, null for what is not there."""
    assert [entry.message for entry in read(one_record(**record), JSON).entries] == [message]


@pytest.mark.parametrize(
    "body",
    [
        one_record(body={"intValue": "five"}),
        one_record(body={"intValue": 2**63}),
        one_record(body={"intValue": "9" * 10_000}),
        one_record(body={"doubleValue": "five"}),
        one_record(body="text"),
        one_record(timeUnixNano="-1", body={"stringValue": "x"}),
        one_record(timeUnixNano=2**64, body={"stringValue": "x"}),
        one_record(severityNumber="HIGH"),
        one_record(traceId="xyz"),
        one_record(traceId="00\n"),
        one_record(body={"stringValue": "x"}).replace(b'"x"', b'"\\ud800"'),
        one_record(body={"stringValue": "x"}).replace(b'"x"', b'"\xff"'),
        one_record(body={"stringValue": "x"}).replace(
            b'{"stringValue": "x"}', b'{"arrayValue":{"values":[' * 9_000 + b"]}}" * 9_000
        ),
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[null]}]}]}',
        b"[]", b"", b"{",
    ],
    ids=range(17),
)  # fmt: skip
def test_json_that_is_no_request_is_refused(body: bytes) -> None:
    """By one answer."""
    with pytest.raises(Refused) as refused:
        read(body, JSON)
    assert (refused.value.status, refused.value.detail) == (
        400, "the body is no ExportLogsServiceRequest",
    )  # fmt: skip


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_a_request_has_exactly_so_many_records(kind: str) -> None:
    """Resources and scopes do not count as some."""
    request = ExportLogsServiceRequest()
    for _ in range(5):
        scope = request.resource_logs.add().scope_logs.add(schema_url="u")
        scope.scope.name = "s"
        scope.log_records.add().body.string_value = "x"
    body = request.SerializeToString() if kind == PROTOBUF else as_json(request)
    assert len(read(body, kind, most=5).entries) == 5
    with pytest.raises(Refused, match="at most 4 lines"):
        read(body, kind, most=4)


@pytest.mark.parametrize("level", [b"\x0a\x00", b"\x18\x00"], ids=["resources", "not known"])
def test_a_request_has_only_so_many_parts(level: bytes) -> None:
    """However small they are."""
    assert read(level * 80, most=10).entries == []
    with pytest.raises(Refused, match="at most 80 resources") as refused:
        read(level * 81, most=10)
    assert refused.value.status == 413


def test_braces_in_a_text_are_no_objects() -> None:
    """A line may have as many as it likes; so may it have quotes."""
    text = '{"' * 200_000
    (entry,) = read(one_record(body={"stringValue": text}), JSON).entries
    assert entry.message == text
    with pytest.raises(Refused, match="objects") as refused:
        read(b'{"resourceLogs":[%b{}]}' % (b"{}," * 200_000), JSON)
    assert refused.value.status == 413
    unending = b'{"a":"' + b'\\"{' * 1_000_000  # looking at each quote anew would take hours
    with pytest.raises(Refused) as refused:
        read(unending, JSON)
    assert refused.value.status == 400


def test_a_record_that_is_too_large_is_counted_back() -> None:
    """The others are taken; one of that size takes thirty times as much while it is read."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add().body.string_value = "x" * (1024 * 1024)
    records.add().body.string_value = "small"
    found = read(request.SerializeToString())
    assert ([entry.message for entry in found.entries], found.empty, found.large) == (
        ["small"], 0, 1,
    )  # fmt: skip


def test_no_more_of_a_text_is_made_than_is_stored() -> None:
    """Attributes that would be cut off there are not written."""
    record = LogRecord(attributes=[KeyValue(key="k" * 100)] * 10_000)
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.append(record)
    (entry,) = read(request.SerializeToString()).entries
    assert 64 * 1024 < len(entry.message) < 65 * 1024
