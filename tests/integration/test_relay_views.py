"""What the relay shows of what it stores: dry runs, the latest samples, its health."""

import asyncio
import time
from typing import cast

import pytest
from nats.aio.client import Client

from hub.contracts import Bus
from hub.database import Database
from hub.errors import Invalid, Unavailable
from hub.protocol import Lines, Samples, encode_batch, encode_samples
from hub.relay import contracts as c
from hub.relay.books import Owner
from hub.relay.counts import CountKey
from hub.relay.dry_run import DryRuns
from hub.relay.health import HealthPage, StreamMeters
from hub.relay.hosts import HostNames
from hub.relay.latest import Latest
from hub.relay.reader import Reader
from hub.relay.recent import Recent
from hub.relay.shelf import Taken
from hub.relay.stored import HOST, MSG_ID, RECEIVED, BatchId
from hub.relay.streams import batch_subject, ensure_streams, metric_stream, metric_subject
from hub.settings import RelaySettings
from hub.shaping.rules import Filter, Join, Match, RateLimit, Redact, Shape
from hub.telemetry import Metrics
from tests.deadline import until
from tests.fixtures.relay import keeping

PROJECT = "prj_one"
RECEIVED_AT = 1_700_000_000_500_000


class Directory:
    """A bus on which the devices are known."""

    async def request(
        self, _: object, request: c.DescribeDevices, *, timeout: float | None = None
    ) -> c.DeviceHosts:
        return c.DeviceHosts({"dev_one": "greenhouse"}, {"dev_two": "canary"})


HOSTS = HostNames(cast("Bus", Directory()))


@pytest.fixture
async def client(relay_client: Client) -> Client:
    await ensure_streams(relay_client.jetstream(), RelaySettings(max_bytes=1 << 30))
    return relay_client


async def store(
    client: Client,
    *texts: str,
    first: int,
    device: str = "dev_one",
    project: str = PROJECT,
    priority: int = 14,
) -> None:
    """Store lines as the intake does."""
    lines = Lines([1_700_000_000_000_000] * len(texts), priority, "app", [*texts])
    batch = BatchId(device, "app", 1, first, len(texts))
    await client.jetstream().publish(
        batch_subject(0, project, "app"),
        encode_batch(lines, boot=1, first=first),
        headers={MSG_ID: str(batch), RECEIVED: str(RECEIVED_AT + first)},
    )


async def measure(
    client: Client,
    samples: Samples,
    *,
    first: int,
    device: str,
    kind: str = "cpu",
    host: str = "",
) -> None:
    """Store samples as the intake does."""
    stream = f"metric.{kind}"
    headers = {MSG_ID: str(BatchId(device, stream, 1, first, len(samples))), RECEIVED: "1"}
    await client.jetstream().publish(
        metric_subject(0, PROJECT, stream, device),
        encode_samples(samples, boot=1, first=first),
        headers=headers | ({HOST: host} if host else {}),
    )


# ── dry runs ──────────────────────────────────────────────────────────────────────────────────


async def dry_run(client: Client, shape: Shape, limit: int = 100) -> list[c.ShapedLine]:
    runs = DryRuns(client, HOSTS, shards=1)
    return (await runs.run(c.DryRun(PROJECT, shape, limit))).lines


async def test_the_last_lines_are_shown_as_they_are_and_as_they_would_be(client: Client) -> None:
    await store(client, "mail me@example.com", "nothing", first=1)
    await store(client, "of another project", first=1, project="prj_two")
    await store(client, "quiet", first=1, device="dev_two", priority=15)
    shape = Shape(filter=Filter(exclude=(Match(groups=("canary",)),)), redact=Redact(emails=True))
    lines = await dry_run(client, shape)
    assert [line.line.message for line in lines] == ["mail me@example.com", "nothing", "quiet"]
    assert [line.outcome for line in lines] == ["sent", "sent", "filter"]
    shown = lines[0].after
    assert shown is not None
    assert "example.com" not in shown.message
    assert lines[1].after == lines[1].line
    assert lines[2].after is None
    assert lines[0].line == c.LogLine(
        id="dev_one-app-1-1",
        time="2023-11-14T22:13:20.000000Z",
        received="2023-11-14T22:13:20.500001Z",
        device="dev_one",
        host="greenhouse",
        stream="app",
        severity="info",
        facility="user",
        program="app",
        message="mail me@example.com",
    )


async def test_exactly_as_many_as_were_asked_for(client: Client) -> None:
    for first in range(1, 401, 3):
        await store(client, *(f"line {n}" for n in range(first, first + 3)), first=first)
    lines = await dry_run(client, Shape(), limit=100)
    assert [line.line.message for line in lines] == [f"line {n}" for n in range(303, 403)][:100]
    assert await dry_run(client, Shape(), limit=1) == lines[-1:]


async def test_joined_and_dropped_lines_are_told(client: Client) -> None:
    await store(client, "Error: no", "  at one", "fine", "more", first=1)
    shape = Shape(join=Join(), rate_limit=RateLimit(1.0, over="drop"))
    lines = await dry_run(client, shape)
    assert [line.outcome for line in lines] == ["sent", "joined", "rate_limit", "rate_limit"]
    joined = lines[0].after
    assert joined is not None
    assert joined.message == "Error: no\n  at one"


async def test_a_bad_shape_is_refused_with_the_place(client: Client) -> None:
    await store(client, "one", first=1)
    shape = Shape(filter=Filter(include=(Match(regex="("),)))
    with pytest.raises(Invalid) as raised:
        await dry_run(client, shape)
    assert raised.value.errors[0].pointer == "/filter/include/0/regex"


async def test_of_nothing_nothing_is_shown(client: Client) -> None:
    assert await dry_run(client, Shape()) == []
    for limit in (0, 101):
        with pytest.raises(Invalid):
            await dry_run(client, Shape(), limit=limit)


async def test_what_cannot_be_decoded_is_left_out(client: Client) -> None:
    await store(client, "one", first=1)
    await client.jetstream().publish(batch_subject(0, PROJECT, "app"), b"garbage")
    assert [line.line.message for line in await dry_run(client, Shape())] == ["one"]


# ── the latest samples ────────────────────────────────────────────────────────────────────────


async def latest(client: Client) -> dict[tuple[str, str], c.LatestSamples]:
    request = c.LatestMetrics(PROJECT)
    found = [item async for item in Latest(client, HOSTS, shards=1).stream(request)]
    by_source = {(item.device, item.type): item for item in found}
    assert len(by_source) == len(found)
    return by_source


async def test_of_each_device_and_type_the_last_message_counts(client: Client) -> None:
    for number in range(1, 4):
        await measure(
            client,
            Samples([number, number], ["a", "b"], [number, 0.5], {"core": "0"}, [True, False]),
            first=2 * number,
            device="dev_one",
        )
    await measure(client, Samples([7], "up", [1.0]), first=1, device="dev_one", kind="device")
    await measure(client, Samples([8], "c", [2.0]), first=1, device="src_two", host="router")
    await client.jetstream().publish(
        metric_subject(0, PROJECT, "metric.cpu", "dev_bad"), b"garbage"
    )
    found = await latest(client)
    assert found.keys() == {("dev_one", "cpu"), ("dev_one", "device"), ("src_two", "cpu")}
    assert found["dev_one", "cpu"] == c.LatestSamples(
        device="dev_one",
        host="greenhouse",
        type="cpu",
        names=["a", "b"],
        values=[3.0, 0.5],
        times=[3, 3],
        labels=[{"core": "0"}, {"core": "0"}],
        counters=[True, False],
    )
    assert found["src_two", "cpu"].host == "router"


async def test_what_retention_takes_meanwhile_is_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device in ("dev_one", "dev_two"):
        await measure(client, Samples([1], "up", [1.0]), first=1, device=device)
    begin = Reader.open

    async def late(reader: Reader) -> None:
        await client.jetstream().purge_stream(metric_stream(0), seq=2)
        await begin(reader)

    monkeypatch.setattr(Reader, "open", late)
    async with asyncio.timeout(10):
        assert (await latest(client)).keys() == {("dev_two", "cpu")}


async def test_without_samples_there_is_nothing(client: Client) -> None:
    assert await latest(client) == {}
    await client.close()
    with pytest.raises(Unavailable):
        await latest(client)


# ── health ────────────────────────────────────────────────────────────────────────────────────


async def _statuses() -> list[c.IntegrationStatus]:
    return [
        c.IntegrationStatus("int_a", "waiting"),
        c.IntegrationStatus("int_b", "waiting", pending=2, lag_lines=3, lag_seconds=9.5),
        c.IntegrationStatus("int_c", "open", pending=5, lag_lines=7, lag_seconds=1.0, gap_lines=4),
        c.IntegrationStatus("int_theirs", "broken", pending=9, lag_lines=99, lag_seconds=99.0),
    ]


async def test_the_health_page_tells_of_what_is_asked_for_and_no_more(
    client: Client, core_database: Database
) -> None:
    now = [100.0]
    recent = Recent(clock=lambda: now[0])
    async with keeping(client, core_database) as kept:
        page = HealthPage(_statuses, recent, kept)
        nothing = await page.read(c.HealthOf([], []))
        assert nothing == c.RelayHealth(0.0, 0.0, 0.0, {}, 0, 0, 0.0, 0, 0, 0)
        for project, times in (("prj_one", 1), ("prj_two", 1), ("prj_theirs", 100)):
            recent.note(CountKey("log", project), 500 * times, 4_000 * times)
            recent.note(CountKey("metric", project), 50 * times, 1_000 * times)
        for subject in ("prj_one.int_a", "prj_two.intake", "prj_theirs.int_theirs"):
            await client.jetstream().publish(f"dead.{subject}", b"x")
        await until(lambda: kept.dead.position == 3, what="the letters")
        kept.losses.note(Owner("prj_two", "intake"), Taken(6, 60))
        kept.losses.note(Owner("prj_theirs", "int_theirs"), Taken(1_000, 0))
        now[0] += 9.0
        integrations = ["int_a", "int_b", "int_c", "int_unknown"]
        health = await page.read(c.HealthOf(["prj_one", "prj_two"], integrations))
        assert health == c.RelayHealth(
            lines_per_second=111.1,
            samples_per_second=11.1,
            bytes_per_second=1_111.1,
            integrations={"open": 1, "waiting": 2},
            pending=7,
            lag_lines=7,
            lag_seconds=9.5,
            gap_lines=4,
            dead_letters=2,
            lost_letters=6,
        )
        now[0] += 1.0
        later = await page.read(c.HealthOf(["prj_one", "prj_two"], integrations))
        assert later.lines_per_second == 0.0


async def test_prometheus_sees_what_jetstream_holds(client: Client) -> None:
    await store(client, "one", first=1)
    metrics = Metrics()
    running = asyncio.create_task(StreamMeters(client, metrics, shards=1).run())
    try:
        wanted = b'isaax_jetstream_bytes{stream="REPLAY"} 0.0'
        await until(lambda: wanted in metrics.render(), what="the gauge")
        rendered = metrics.render()
        assert b'isaax_jetstream_messages{stream="RELAY_0"} 1.0' in rendered
        oldest = b'isaax_jetstream_oldest_timestamp_seconds{stream="%b"} '
        assert oldest % b"DEAD" + b"0.0" in rendered
        [line] = [line for line in rendered.splitlines() if line.startswith(oldest % b"RELAY_0")]
        assert float(line.split()[1]) > time.time() - 600
    finally:
        running.cancel()
