"""CloudWatch Logs and S3: what arrives in moto, and what each answer means."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.destinations import Destination, DestinationType
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Partial, Rejected, Retry
from hub.testing import make_batch, make_chunk
from plugins.cloudwatch import isaax_destinations as cloudwatch
from plugins.cloudwatch.config import CloudWatchConfig
from plugins.s3 import isaax_destinations as s3
from plugins.s3.config import S3Config
from tests.fixtures.aws import KEY_ID, REGION, SECRET, LogsServer, S3Server, error, lines_of
from tests.fixtures.http_receivers import Request, connected

KEYS = {"region": REGION, "access_key_id": KEY_ID, "secret_access_key": SECRET}
START = 1_795_446_245_123_456  # 2026-11-23T15:04:05.123456Z
HOUR = 3_600_000_000


def client(service: str, endpoint: str) -> Any:
    """Give boto3's own client for a service."""
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION,
        aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET,
    )  # fmt: skip


@asynccontextmanager
async def built(
    declared: DestinationType[Any], config: dict[str, Any]
) -> AsyncIterator[Destination]:
    """Build a destination."""
    async with tools_for("int_x", private_hosts=True) as tools:
        assert declared.build is not None
        yield declared.build(structs.decode(declared.config, config), tools)


# ── CloudWatch ────────────────────────────────────────────────────────────────────────────────


async def test_cloudwatch_makes_groups_and_streams_and_keeps_every_line(
    moto_endpoint: str,
) -> None:
    """What moto holds is what was sent; a name may be made of where a line comes from."""
    config = KEYS | {"endpoint": moto_endpoint, "group": "w/{project}", "stream": "{host}/{stream}"}
    now = time.time_ns() // 1000
    batch = Batch(
        "b-1",
        (
            make_chunk(["two", "größer 温度"], time_us=now, first=41, priorities=[11, 14]),
            make_chunk(["one"], time_us=now - HOUR, host="a:b*c d", stream="sys"),
        ),
    )
    async with built(cloudwatch()[0], config) as to:
        await to.send(batch)
        await to.send(make_batch("three", time_us=now + 5000, first=43))
    logs = client("logs", moto_endpoint)
    group = "w/prj_aaaaaaaaaaaaaaaaaaaa"
    names = [
        stream["logStreamName"]
        for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]
    ]
    assert sorted(names) == ["a_b_c_d/sys", "pump-1/app"]
    events = logs.get_log_events(
        logGroupName=group, logStreamName="pump-1/app", startFromHead=True
    )["events"]
    documents = [structs.decode(dict[str, Any], event["message"].encode()) for event in events]
    assert [document["message"] for document in documents] == ["two", "größer 温度", "three"]
    assert documents[0] == {
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41", "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "host": "pump-1", "stream": "app", "severity": "err", "facility": 1, "program": "demo",
        "message": "two",
    }  # fmt: skip
    assert events[0]["timestamp"] == now // 1000


async def test_cloudwatch_tells_each_event_that_it_did_not_take() -> None:
    """Too old, older than the group keeps, too new: the others are taken, sorted by time."""
    async with connected(LogsServer(), cloudwatch()[0]) as (server, to):
        server.retention = 7
        now = server.now * 1000
        times = [now, now - 20 * 24 * HOUR, now + 3 * HOUR, now - 10 * 24 * HOUR, now - HOUR, 0]
        chunks = [
            make_chunk([str(at)], time_us=time_us, first=at + 1) for at, time_us in enumerate(times)
        ]
        with pytest.raises(Partial) as partial:
            await to.send(Batch("b", tuple(chunks)))
        assert server.taken() == ["4", "0"]
    reasons = dict(partial.value.rejected)
    assert sorted(reasons) == [1, 2, 3, 5]
    assert "14 days" in reasons[1]
    assert "14 days" in reasons[5]
    assert "2 hours" in reasons[2]
    assert "keeps" in reasons[3]
    assert partial.value.retry == ()


async def test_cloudwatch_requests_stay_within_every_limit() -> None:
    """A megabyte, ten thousand events, a day: the server refuses what breaks one of them."""
    big = "x" * 300_000
    async with connected(LogsServer(format="text"), cloudwatch()[0]) as (server, to):
        start = server.now * 1000 - 40 * HOUR
        many = make_chunk(["m"] * 10_050, time_us=start)
        await to.send(Batch("many", (many,)))
        await to.send(make_batch(*[big] * 4, time_us=start))
        spread = tuple(make_chunk([str(at)], time_us=start + at * 13 * HOUR) for at in range(4))
        await to.send(Batch("spread", spread))
        puts = server.calls.count("PutLogEvents")
        assert len(server.taken()) == 10_058
        assert puts == 1 + 2 + 2 + 2  # the first one found no group


async def test_cloudwatch_refuses_a_line_that_no_request_can_hold() -> None:
    """The others arrive."""
    async with connected(LogsServer(format="text"), cloudwatch()[0]) as (server, to):
        with pytest.raises(Partial) as partial:
            await to.send(make_batch("before", "x" * 1_048_551, "after"))
        assert server.taken() == ["before", "after"]
    assert [index for index, _ in partial.value.rejected] == [1]
    assert "1048550 is the most" in partial.value.rejected[0][1]


class _Throttled(LogsServer):
    """CloudWatch Logs with one stream that is written to too often."""

    def answer(self, request: Request) -> web.Response:
        """Do what is asked, but for that stream."""
        if b'"logStreamName":"sys"' in request.body:
            text = error("ThrottlingException", "Rate exceeded")
            return web.Response(status=400, text=text, headers={"Retry-After": "2"})
        return super().answer(request)


async def test_cloudwatch_sends_the_rest_again_in_order() -> None:
    """What was taken before the service was throttled does not come again."""
    async with connected(_Throttled(stream="{stream}"), cloudwatch()[0]) as (server, to):
        server.groups["g"] = {"app": [], "sys": []}
        batch = Batch(
            "b",
            (make_chunk(["a"]), make_chunk(["s"], stream="sys"), make_chunk(["b"], first=2)),
        )
        with pytest.raises(Partial, match="1 to send again") as partial:
            await to.send(batch)
        assert server.taken() == ["a", "b"]
    assert partial.value.retry == (1,)
    assert partial.value.after == 2
    assert partial.value.reason == "ThrottlingException: Rate exceeded"


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, "ThrottlingException", Retry),
        (400, "com.amazonaws.logs#ThrottlingException", Retry),
        (503, "ServiceUnavailableException", Retry),
        (500, "InternalFailure", Retry),
        (400, "OperationAbortedException", Retry),
        (403, "RequestTimeTooSkewed", Retry),
        (400, "AccessDeniedException", Rejected),
        (400, "UnrecognizedClientException", Rejected),
        (400, "ExpiredTokenException", Rejected),
        (400, "InvalidParameterException", Rejected),
        (403, "InvalidSignatureException", Rejected),
    ],
)
async def test_what_each_error_of_cloudwatch_means(
    status: int, code: str, outcome: type[Exception]
) -> None:
    """By its code, whatever the status; the words go to the user."""
    async with connected(LogsServer(), cloudwatch()[0]) as (server, to):
        server.answers = [web.Response(status=status, text=error(code, "some words"))]
        with pytest.raises(outcome, match="some words"):
            await to.send(make_batch("one"))


async def test_a_wrong_clock_is_told_in_words() -> None:
    """It is the hub's operator who can mend it, and the lines wait for that."""
    words = "Signature expired: 20261123T1 is now earlier than 20261123T2"
    async with connected(LogsServer(), cloudwatch()[0]) as (server, to):
        server.answers = [web.Response(status=400, text=error("InvalidSignatureException", words))]
        with pytest.raises(Retry, match="the hub's clock differs from Amazon's"):
            await to.send(make_batch("one"))


async def test_cloudwatch_makes_nothing_where_it_is_told_so() -> None:
    """A missing stream is final then."""
    async with connected(LogsServer(create=False), cloudwatch()[0]) as (server, to):
        with pytest.raises(Rejected, match="no such log group"):
            await to.send(make_batch("one"))
        assert server.calls == ["PutLogEvents"]


async def test_a_group_that_somebody_else_makes_meanwhile_is_fine() -> None:
    """`ResourceAlreadyExistsException` is what we wanted."""
    async with connected(LogsServer(), cloudwatch()[0]) as (server, to):
        server.groups["g"] = {"s": []}
        server.answers = [
            web.Response(status=400, text=error("ResourceNotFoundException", "not yet"))
        ]
        await to.send(make_batch("one"))
        assert server.taken() == ["one"]
        assert server.calls == ["CreateLogStream", "PutLogEvents"]


@pytest.mark.parametrize(
    "change",
    [
        {"group": "a b"}, {"group": "{nobody}"}, {"group": "aws/x"}, {"stream": "a:b"},
        {"stream": ""}, {"group": "x" * 513}, {"region": "https://evil"}, {"secret_access_key": ""},
        {"access_key_id": "short"}, {"endpoint": "ftp://x"}, {"session_token": "a\r\nX-Other: b"},
        {"secret_access_key": "pasted\n"}, {"access_key_id": KEYS["access_key_id"] + "\n"},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_of_cloudwatch_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """When it is made, not when lines are lost by it."""
    with pytest.raises(Invalid):
        structs.decode(CloudWatchConfig, KEYS | change)


def test_the_endpoint_follows_the_region() -> None:
    """China has a domain of its own."""
    assert (
        structs.decode(CloudWatchConfig, KEYS).url() == "https://logs.eu-central-1.amazonaws.com/"
    )
    china = structs.decode(CloudWatchConfig, KEYS | {"region": "cn-north-1"})
    assert china.url() == "https://logs.cn-north-1.amazonaws.com.cn/"


# ── S3 ────────────────────────────────────────────────────────────────────────────────────────


async def test_s3_objects_are_found_by_the_hour_and_hold_every_line(moto_endpoint: str) -> None:
    """A batch that comes again is the same object."""
    bucket = "batches"
    store = client("s3", moto_endpoint)
    store.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    config = KEYS | {
        "bucket": bucket, "endpoint": moto_endpoint, "prefix": "isaax/x=1",
        "storage_class": "STANDARD_IA", "encryption": "AES256",
    }  # fmt: skip
    batch = make_batch("one", "größer 温度", time_us=START, first=41, id="dev:app/7")
    async with built(s3()[0], config) as to:
        await to.send(batch)
        await to.send(batch)
        await to.send(make_batch("three", time_us=START, first=43))
    keys = [item["Key"] for item in store.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(keys) == 2
    (key,) = [key for key in keys if "/dev-app-7-" in key]
    assert key.startswith("isaax/x=1/2026/11/23/15/dev-app-7-")
    stored = store.get_object(Bucket=bucket, Key=key)
    assert stored["ServerSideEncryption"] == "AES256"
    assert stored["StorageClass"] == "STANDARD_IA"
    assert stored["ContentType"] == "application/gzip"
    lines = lines_of(key, stored["Body"].read())
    assert [line["message"] for line in lines] == ["one", "größer 温度"]
    assert lines[0] == {
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41", "time": "2026-11-23T15:04:05.123456Z",
        "device": "dev_aaaaaaaaaaaaaaaaaaaa", "host": "pump-1", "stream": "app",
        "severity": "info", "facility": 1, "program": "demo", "message": "one",
    }  # fmt: skip


async def test_s3_never_takes_other_lines_for_the_same() -> None:
    """The key names what is in it, so that what was cut otherwise before is not left out."""
    async with connected(S3Server(), s3()[0]) as (server, to):
        await to.send(make_batch("one", "two", time_us=START))
        await to.send(make_batch("one", time_us=START))
        await to.send(make_batch("one", "two", time_us=START))
        assert server.taken() == ["one", "two", "one"]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_s3_objects_are_the_same_bytes_each_time(compression: str) -> None:
    """So a server that knows no conditional write ends with the same object too."""
    digests = set()
    for _ in range(2):
        server = S3Server(compression=compression, conditional=False)
        async with connected(server, s3()[0]) as (_, to):
            await to.send(make_batch("one", "two", time_us=START))
            ((key, body),) = server.objects.items()
            assert "if-none-match" not in server.headers[key]
            digests.add((key, hashlib.sha256(body).hexdigest()))
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (503, "SlowDown", Retry),
        (503, "ServiceUnavailable", Retry),
        (500, "InternalError", Retry),
        (409, "ConditionalRequestConflict", Retry),
        (400, "RequestTimeout", Retry),
        (403, "RequestTimeTooSkewed", Retry),
        (403, "AccessDenied", Rejected),
        (403, "InvalidAccessKeyId", Rejected),
        (404, "NoSuchBucket", Rejected),
        (400, "ExpiredToken", Rejected),
        (400, "BadDigest", Rejected),
        (501, "NotImplemented", Rejected),
    ],
)
async def test_what_each_error_of_s3_means(
    status: int, code: str, outcome: type[Exception]
) -> None:
    """By its code, and in the server's words."""
    async with connected(S3Server(), s3()[0]) as (server, to):
        text = f"<Error><Code>{code}</Code><Message>some words</Message></Error>"
        server.answers = [web.Response(status=status, text=text)]
        with pytest.raises(outcome, match=f"{code}: some words"):
            await to.send(make_batch("one"))
        await to.send(make_batch("one"))
        assert server.taken() == ["one"]


async def test_an_answer_that_is_not_s3s_counts_by_its_status() -> None:
    """A proxy's page is no reason to give lines up."""
    async with connected(S3Server(), s3()[0]) as (server, to):
        server.answers = [web.Response(status=502, text="<html>"), web.Response(status=418)]
        with pytest.raises(Retry, match="502"):
            await to.send(make_batch("one"))
        with pytest.raises(Rejected, match="418"):
            await to.send(make_batch("one"))


def test_where_a_bucket_is() -> None:
    """By its own host name at Amazon's, unless its certificate would not cover that."""
    plain = KEYS | {"bucket": "acme-logs"}
    assert (
        structs.decode(S3Config, plain).root() == "https://acme-logs.s3.eu-central-1.amazonaws.com"
    )
    dots = structs.decode(S3Config, plain | {"bucket": "acme.logs"})
    assert dots.root() == "https://s3.eu-central-1.amazonaws.com/acme.logs"
    china = structs.decode(S3Config, plain | {"region": "cn-north-1"})
    assert china.root() == "https://acme-logs.s3.cn-north-1.amazonaws.com.cn"
    minio = structs.decode(S3Config, plain | {"endpoint": "https://minio.example.com:9000/"})
    assert minio.root() == "https://minio.example.com:9000/acme-logs"


def test_a_batch_is_as_large_as_the_config_says() -> None:
    """And waits as long."""
    config = structs.decode(S3Config, KEYS | {"bucket": "abc", "linger": 5, "max_bytes": 100_000})
    limits = s3()[0].limits_of(config)
    assert (limits.linger, limits.max_bytes) == (5.0, 100_000)


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "UPPER"}, {"bucket": "a..b"}, {"prefix": "a//b"}, {"prefix": "a/../b"},
        {"prefix": "a b"}, {"kms_key_id": "k"}, {"secret_access_key": ""}, {"linger": 3600},
        {"max_bytes": 10}, {"compression": "lzma"}, {"prefix": ".."}, {"prefix": "/./a"},
        {"session_token": "a\r\nX-Other: b"}, {"secret_access_key": "pasted\n"},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_of_s3_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(Invalid):
        structs.decode(S3Config, KEYS | {"bucket": "logs"} | change)
