"""Webhook and Papertrail over HTTPS: what is sent, and what each answer means."""

import base64
import hashlib
import hmac
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.destinations import Destination
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Rejected, Retry
from hub.testing import make_batch, make_chunk
from plugins.papertrail import isaax_destinations as papertrail
from plugins.webhook import isaax_destinations as webhook
from plugins.webhook.destination import Webhook, sign
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import (
    HttpReceiver,
    http_receiver,
    papertrail_texts,
    parse_rfc5424,
    server_tls,
    webhook_texts,
)

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
START = 1_795_446_245_123_456


@asynccontextmanager
async def webhook_pair(**config: Any) -> AsyncIterator[tuple[HttpReceiver, Destination]]:
    """Give a receiver and a webhook that posts to it."""
    (declared,) = webhook()
    async with (
        http_receiver(webhook_texts, config) as receiver,
        tools_for("int_x", private_hosts=True) as tools,
    ):
        decoded = structs.decode(declared.config, receiver.config)
        yield receiver, Webhook(decoded, tools, clock=lambda: 1_700_000_000.9)


async def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks reference implementations."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("style", ["json", "ndjson"])
@pytest.mark.parametrize("compressed", [False, True])
async def test_a_webhook_is_signed_and_holds_every_line(style: str, compressed: bool) -> None:
    """A receiver can verify the body as it came, and know a line that comes again."""
    batch = Batch("batch-7", (make_chunk(["one", "zwei ü"], time_us=START, first=41),))
    async with webhook_pair(secret=SECRET, format=style, gzip=compressed) as (receiver, to):
        await to.send(batch)
        (request,) = receiver.requests
    assert request.headers["webhook-id"] == "batch-7"
    assert request.headers["webhook-timestamp"] == "1700000000"
    assert request.headers.get("content-encoding") == ("gzip" if compressed else None)
    mac = hmac.new(KEY, b"batch-7.1700000000." + request.raw, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    lines = (
        msgspec.json.decode(request.body)
        if style == "json"
        else [msgspec.json.decode(line) for line in request.body.splitlines()]
    )
    assert lines[0] == {
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
        "time": "2026-11-23T15:04:05.123456Z",
        "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "host": "pump-1",
        "stream": "app",
        "facility": 1,
        "severity": 6,
        "program": "demo",
        "message": "one",
    }
    assert [line["message"] for line in lines] == ["one", "zwei ü"]


async def test_a_webhook_sends_own_headers_and_works_unsigned() -> None:
    """Whoever needs no signature may authenticate otherwise."""
    async with webhook_pair(headers={"Authorization": "Bearer t"}) as (receiver, to):
        await to.send(make_batch("one", time_us=2**62))
        (request,) = receiver.requests
    assert request.headers["authorization"] == "Bearer t"
    assert "webhook-signature" not in request.headers


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_some_answers_ask_for_another_try(status: int) -> None:
    """With the wait that the server asks for."""
    async with webhook_pair() as (receiver, to):
        receiver.answers = [web.Response(status=status, text="busy", headers={"Retry-After": "7"})]
        with pytest.raises(Retry, match=f"answered {status}: busy") as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 7
        await to.send(make_batch("one"))
        assert receiver.taken() == ["one"]


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("0", 0, 0),
        ("99999999999", 3600, 3600),
        ("in half an hour", 1500, 1800),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 0, 0),
    ],
)
async def test_retry_after_has_two_forms(value: str, least: float, most: float) -> None:
    """RFC 9110, 10.2.3: seconds or a date; neither makes us wait for ever."""
    if value == "in half an hour":
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=1800), usegmt=True)
    async with webhook_pair() as (receiver, to):
        receiver.answers = [web.Response(status=503, headers={"Retry-After": value})]
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
    assert failed.value.after is not None
    assert least <= failed.value.after <= most


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "٣", "1 Jan 99999999999999999999 00:00"]
)
async def test_a_retry_after_that_is_neither_is_ignored(value: str) -> None:
    """The hub's own waits apply."""
    async with webhook_pair() as (receiver, to):
        receiver.answers = [web.Response(status=429, headers={"Retry-After": value})]
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
    assert failed.value.after in {None, 3.0}


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 410, 413, 422])
async def test_other_answers_are_final(status: int) -> None:
    """The reason holds the beginning of what was answered, on one line."""
    async with webhook_pair() as (receiver, to):
        body = None if status == 304 else f"no\nsuch {'x' * 500}"
        receiver.answers = [web.Response(status=status, text=body)]
        with pytest.raises(Rejected) as failed:
            await to.send(make_batch("one"))
    assert failed.value.reason.startswith(f"answered {status}")
    if body:
        assert "no such xxx" in failed.value.reason
        assert len(failed.value.reason) < 230


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "ftp://example.com"}, "/url"),
        ({"url": "https://user:pw@example.com/"}, "/url"),
        ({"secret": "whsec_c2hvcnQ="}, ""),
        ({"secret": "no prefix"}, ""),
        ({"headers": {"Host": "x"}}, ""),
        ({"headers": {"X-A": "two\r\nlines"}}, ""),
        ({"headers": {"bad name": "x"}}, ""),
        ({"ca": "no pem"}, ""),
    ],
)
def test_a_webhook_config_that_cannot_work_is_refused(change: dict[str, Any], pointer: str) -> None:
    """At once, and with the place where it is known."""
    with pytest.raises(Invalid) as refused:
        structs.decode(webhook()[0].config, {"url": "https://example.com/"} | change)
    assert refused.value.errors[0].pointer == pointer


# ── Papertrail ────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def papertrail_pair(
    authority: TestAuthority, pair: Pair
) -> AsyncIterator[tuple[HttpReceiver, Destination]]:
    """Give an HTTPS receiver and a Papertrail destination that posts to it."""
    (declared,) = papertrail()
    config = {"mode": "https", "token": "t0ken", "ca": authority.pem}
    async with (
        http_receiver(papertrail_texts, config, tls=server_tls(pair)) as receiver,
        tools_for("int_x", private_hosts=True) as tools,
    ):
        yield receiver, declared.build(structs.decode(declared.config, receiver.config), tools)


async def test_papertrail_https_posts_syslog_lines(
    authority: TestAuthority, local_certificate: Pair
) -> None:
    """One event a line, each with its own system, program and severity."""
    async with papertrail_pair(authority, local_certificate) as (receiver, to):
        await to.send(make_batch("one", "two\nlines", time_us=START, programs=["a", "b"]))
        (request,) = receiver.requests
    assert request.headers["authorization"] == "Bearer t0ken"
    found = [parse_rfc5424(line) for line in request.body.splitlines()]
    assert [(line["host"], line["program"], line["text"]) for line in found] == [
        ("pump-1", "a", "one"),
        ("pump-1", "b", "two#012lines"),
    ]


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, None), (202, None), (429, Retry), (503, Retry), (401, Rejected)]
)
async def test_papertrail_https_answers(
    authority: TestAuthority,
    local_certificate: Pair,
    status: int,
    outcome: type[Exception] | None,
) -> None:
    """Success, again later, or never; the token is in no message."""
    async with papertrail_pair(authority, local_certificate) as (receiver, to):
        receiver.answers = [web.Response(status=status, text="said")]
        if outcome is None:
            await to.send(make_batch("one"))
            assert receiver.answers == []
        else:
            with pytest.raises(outcome, match=f"answered {status}: said") as failed:
                await to.send(make_batch("one"))
            assert "t0ken" not in repr(failed.value)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"mode": "classic", "host": "h"},
        {"mode": "classic", "host": "h", "port": 1, "token": "t"},
        {"mode": "token"},
        {"mode": "token", "token": "with space"},
        {"mode": "token", "token": "t]"},
        {"mode": "token", "token": "t", "format": "rfc3164"},
        {"mode": "https", "token": "t", "host": "h"},
        {"mode": "https", "token": "t", "framing": "octet-counting"},
        {"mode": "classic", "host": "h", "port": 1, "url": "https://h/"},
        {"mode": "classic", "host": "h", "port": 70000},
        {"mode": "token", "token": "t", "region": "evil.example/"},
        {"mode": "classic", "host": "h", "port": 1, "ca": "x"},
    ],
)
def test_a_papertrail_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    """At once, with words."""
    with pytest.raises(Invalid) as refused:
        structs.decode(papertrail()[0].config, config)
    assert refused.value.detail


def test_papertrails_addresses() -> None:
    """Each mode's own, by the region."""
    (declared,) = papertrail()
    token = structs.decode(declared.config, {"mode": "token", "token": "t", "region": "eu-01"})
    assert token.address == ("syslog.collector.eu-01.cloud.solarwinds.com", 6514)
    assert token.style().structured_data == "[t@41058]"
    https = structs.decode(declared.config, {"mode": "https", "token": "t"})
    assert https.endpoint == "https://logs.collector.na-01.cloud.solarwinds.com/v1/logs/bulk"
    classic = structs.decode(declared.config, {"host": "logs1.papertrailapp.com", "port": 12345})
    assert classic.address == ("logs1.papertrailapp.com", 12345)


@pytest.mark.parametrize("name", ["papertrail", "syslog", "webhook"])
def test_the_sample_configs_are_valid(name: str) -> None:
    """What the READMEs tell to copy can be used."""
    module = importlib.import_module(f"plugins.{name}")
    (declared,) = module.isaax_destinations()
    sample = Path(str(module.__file__)).with_name("sample.json").read_bytes()
    assert isinstance(structs.decode(declared.config, sample), declared.config)
