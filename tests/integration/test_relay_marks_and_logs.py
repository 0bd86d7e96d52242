"""What is read back: marks after a restart, stored lines, and the live tail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from hub.database import Database
from hub.errors import Invalid
from hub.migrations import migrate
from hub.protocol import Mark
from hub.relay.checkpoint import Checkpoints, restore
from hub.relay.contracts import LogPage, ReadLogs, TailItem, TailLogs
from hub.relay.counts import LineCounts
from hub.relay.logs import Logs, Position
from hub.relay.marks import MarkTable
from hub.relay.streams import ensure_streams
from hub.settings import PostgresSettings
from hub.times import rfc3339
from tests.fixtures.relay import DEVICE, PROJECT, Bench, make_payload, topic, until


@pytest.fixture
async def database(database_settings: PostgresSettings) -> AsyncIterator[Database]:
    await migrate(database_settings, [])
    async with Database.open(database_settings) as database:
        yield database


# ── marks ─────────────────────────────────────────────────────────────────────────────────────


async def test_marks_are_read_from_the_stream_alone(bench: Bench, database: Database) -> None:
    await bench.store(1, 3)
    await bench.store(4, 2)
    await bench.store(1, 1, to=topic("sys"))
    bad = bytearray(make_payload(2, 4))
    bad[1] = 9
    message = bench.take(bytes(bad), topic("sys"))
    await until(lambda: message.acked)
    marks = MarkTable()
    assert await restore(bench.nats, database, marks, LineCounts(), 1) == {
        "RELAY_0": 4,
        "METRIC_0": 0,
    }
    assert marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 5), "sys": Mark(1, 5)}


async def test_a_checkpoint_and_what_came_after_it(bench: Bench, database: Database) -> None:
    checkpoints = Checkpoints(database, bench.marks, bench.counts, bench.writer.places)
    await bench.store(1, 3)
    await checkpoints.write()
    await bench.nats.jetstream().purge_stream("RELAY_0")  # what the checkpoint spares us
    await bench.store(4, 2)
    await bench.store(1, 1, to=topic(device="dev_two"))
    marks = MarkTable()
    assert await restore(bench.nats, database, marks, LineCounts(), 1) == {
        "RELAY_0": 3,
        "METRIC_0": 0,
    }
    assert marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 5)}
    assert marks.of_device(PROJECT, "dev_two") == {"app": Mark(1, 1)}


async def test_a_mark_in_the_database_never_goes_back(bench: Bench, database: Database) -> None:
    await bench.store(1, 9)
    await Checkpoints(database, bench.marks, bench.counts, bench.writer.places).write()
    late = MarkTable()
    late.stored(next(iter(bench.marks._entries)), Mark(1, 2))
    await Checkpoints(database, late, LineCounts(), dict).write()
    marks = MarkTable()
    await restore(bench.nats, database, marks, LineCounts(), 1)
    assert marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 9)}


async def test_a_device_that_was_away_longer_than_the_dedup_window(
    bench: Bench, database: Database
) -> None:
    await bench.store(1, 3)
    config = (await bench.nats.jetstream().stream_info("RELAY_0")).config
    config.duplicate_window = 0.1
    await bench.nats.jetstream().update_stream(config)
    await asyncio.sleep(0.3)  # the window itself is what is waited for
    marks = MarkTable()
    counts = LineCounts()
    places = await restore(bench.nats, database, marks, counts, 1)
    bench.begin(marks, counts, places)
    bench.start(bench.writer.run())
    await bench.store(1, 3)
    await bench.store(2, 5)
    state = (await bench.nats.jetstream().stream_info("RELAY_0")).state
    assert state.messages == 2
    assert marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 6)}


async def test_lost_jetstream_data_does_not_take_marks_back(
    bench: Bench, database: Database
) -> None:
    await bench.store(1, 3)
    await Checkpoints(database, bench.marks, bench.counts, bench.writer.places).write()
    await bench.nats.jetstream().delete_stream("RELAY_0")
    await ensure_streams(bench.nats.jetstream(), bench.settings)
    marks = MarkTable()
    assert await restore(bench.nats, database, marks, LineCounts(), 1) == {
        "RELAY_0": 0,
        "METRIC_0": 0,
    }
    assert marks.of_device(PROJECT, DEVICE) == {"app": Mark(1, 3)}


async def test_counts_go_on_after_the_checkpoint_and_what_came_after_it(
    bench: Bench, database: Database
) -> None:
    await bench.store(1, 3)
    await Checkpoints(database, bench.marks, bench.counts, bench.writer.places).write()
    await bench.nats.jetstream().purge_stream("RELAY_0")
    await bench.store(4, 2)
    bad = bytearray(make_payload(6, 4))
    bad[1] = 9
    message = bench.take(bytes(bad))  # a dead letter counts for no line
    await until(lambda: message.acked)
    await bench.store(1, 7, to=topic(device="dev_two"))
    marks, counts = MarkTable(), LineCounts()
    places = await restore(bench.nats, database, marks, counts, 1)
    bench.begin(marks, counts, places)
    bench.start(bench.writer.run())
    await bench.store(10, 1)
    headers = (await bench.nats.jetstream().get_msg("RELAY_0", 5)).headers or {}
    assert headers["Isaax-Line"] == "12"


async def test_counts_begin_with_what_was_stored_before_there_were_any(
    bench: Bench, database: Database
) -> None:
    js = bench.nats.jetstream()
    for first in (1, 4):
        await js.publish(
            f"relay.0.{PROJECT}.log.app",
            make_payload(first, 3),
            headers={"Nats-Msg-Id": f"{DEVICE}:app:1:{first}:3", "Isaax-Received": "1"},
        )
    counts = LineCounts()
    await restore(bench.nats, database, MarkTable(), counts, 1)
    assert counts.take_changed() == {("log", PROJECT): 6}


# ── pages ─────────────────────────────────────────────────────────────────────────────────────


def shown(page: LogPage) -> list[str]:
    return [line.message for line in page.lines]


async def test_pages_go_back_to_the_first_line(bench: Bench) -> None:
    for first in range(1, 101, 5):
        await bench.store(first, 5)
        await bench.store(first, 5, to=topic(project="prj_other", device="dev_other"))
    logs = Logs(bench.nats, bench.hosts, shards=1)
    page = await logs.read(ReadLogs(PROJECT, limit=7))
    assert shown(page) == [f"line {n}" for n in range(94, 101)]
    seen = shown(page)
    while page.before:
        page = await logs.read(ReadLogs(PROJECT, limit=7, before=page.before))
        seen = shown(page) + seen
    assert seen == [f"line {n}" for n in range(1, 101)]


async def test_a_page_of_a_device_and_of_a_stream(bench: Bench) -> None:
    await bench.store(1, 2)
    await bench.store(1, 2, to=topic("sys"))
    await bench.store(1, 3, to=topic(device="dev_two"))
    logs = Logs(bench.nats, bench.hosts, shards=1)
    assert len(shown(await logs.read(ReadLogs(PROJECT)))) == 7
    assert len(shown(await logs.read(ReadLogs(PROJECT, device="dev_two")))) == 3
    page = await logs.read(ReadLogs(PROJECT, stream="sys"))
    assert [line.id for line in page.lines] == ["dev_one-sys-1-1", "dev_one-sys-1-2"]
    line = page.lines[0]
    assert (line.severity, line.facility, line.program, line.host) == (
        "info", "user", "app", "dev_one",
    )  # fmt: skip
    assert line.time == "2023-11-14T22:13:20.000000Z"
    assert page.before == ""


async def test_an_empty_project_has_an_empty_page(bench: Bench) -> None:
    logs = Logs(bench.nats, bench.hosts, shards=1)
    assert await logs.read(ReadLogs("prj_none")) == LogPage([], "")
    await bench.store(1, 1)
    assert shown(await logs.read(ReadLogs("prj_none"))) == []


@pytest.mark.parametrize("cursor", ["x", "!!!!", "MS4", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMQ=="])
async def test_a_foreign_cursor_is_refused(bench: Bench, cursor: str) -> None:
    with pytest.raises(Invalid):
        await Logs(bench.nats, bench.hosts, shards=1).read(ReadLogs(PROJECT, before=cursor))


async def test_lines_that_cannot_be_read_are_not_shown(bench: Bench) -> None:
    await bench.store(1, 1)
    message = bench.take(make_payload(2, 2)[:-3])
    await until(lambda: message.acked)
    page = await Logs(bench.nats, bench.hosts, shards=1).read(ReadLogs(PROJECT))
    assert shown(page) == ["line 1"]


# ── live ──────────────────────────────────────────────────────────────────────────────────────


def messages(items: list[TailItem]) -> list[str]:
    return [item.line.message for item in items if item.line]


async def test_a_tail_follows_and_resumes(bench: Bench) -> None:
    await bench.store(1, 3)
    logs = Logs(bench.nats, bench.hosts, shards=1)
    got: list[TailItem] = []
    begun: list[TailItem] = []

    async def follow(after: str) -> None:
        async for item in logs.tail(TailLogs(PROJECT, after=after)):
            (begun if item.line is None else got).append(item)

    task = bench.start(follow(""))

    async def reading() -> bool:
        return (await bench.nats.jetstream().stream_info("RELAY_0")).state.consumer_count == 1

    await until(reading)
    await bench.store(4, 3)
    await until(lambda: len(got) == 3)
    assert messages(got) == ["line 4", "line 5", "line 6"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    position = got[1].position
    got.clear()
    bench.start(follow(position))
    await until(lambda: len(got) == 1)
    await bench.store(7, 1)
    await until(lambda: len(got) == 2)
    assert messages(got) == ["line 6", "line 7"]
    assert all(item.missed == 0 for item in got)
    assert len(begun) == 1, "only a new tail says where it begins"


@pytest.mark.parametrize("before", [0, 3])
async def test_a_tail_that_was_cut_off_before_its_first_line_misses_none(
    bench: Bench, before: int
) -> None:
    """Where it began is told at once, even in an empty store, and resumes there."""
    if before:
        await bench.store(1, before)
    logs = Logs(bench.nats, bench.hosts, shards=1)
    async with aclosing(logs.tail(TailLogs(PROJECT))) as tail:
        begun = await anext(tail)
    assert begun.line is None
    await bench.store(before + 1, 2)
    async with aclosing(logs.tail(TailLogs(PROJECT, after=begun.position))) as tail:
        got = [await anext(tail), await anext(tail)]
    assert messages(got) == [f"line {before + 1}", f"line {before + 2}"]


def test_positions_are_opaque_and_come_back() -> None:
    assert Position.parse(str(Position(12, 3))) == Position(12, 3)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1 << 62, "9999-12-31T23:59:59.999999Z"),
        (-(1 << 62), "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_any_time_can_be_written(moment: int, text: str) -> None:
    assert rfc3339(moment) == text
