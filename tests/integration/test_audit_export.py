"""The audit log through the relay: every entry once and in order, wherever the hub dies."""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from hub.audit import export
from hub.audit.export import Exporter, line_of
from hub.audit.log import Recorder
from hub.audit.shown import MOST
from hub.contracts import Bus
from hub.database import Database, Query
from hub.errors import Unavailable
from hub.leader import stand
from hub.protocol import MAX_MESSAGE_BYTES, decode_lines
from hub.relay.admission import Rates
from hub.relay.checkpoint import restore
from hub.relay.counts import LineCounts
from hub.relay.ingest import Ingest
from hub.relay.marks import MarkTable
from tests.deadline import until
from tests.fixtures.audit import Log
from tests.fixtures.relay import PROJECT, Bench

_FORGET = Query.parse("forget", "DELETE FROM audit_export")


@pytest.fixture
async def database(core_database: Database) -> AsyncIterator[Database]:
    """The database, with no export left in it."""
    yield core_database
    async with core_database.system() as tx:
        await tx.run(_FORGET)


def exporter_of(bench: Bench, database: Database) -> Exporter:
    ingest = Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", bench.directory))
    return Exporter(database, ingest, asyncio.Event(), again=0.05)


async def leading(database: Database, exporter: Exporter) -> None:
    """Have it send, as the one that leads."""
    await stand("audit-export", database, secrets.randbits(40), exporter.lead)


async def stored(bench: Bench, project: str = PROJECT) -> list[dict[str, Any]]:
    """Give every line of a project's stream, as JSON."""
    js = bench.nats.jetstream()
    last = (await js.stream_info("RELAY_0")).state.last_seq
    found: list[dict[str, Any]] = []
    for number in range(1, last + 1):
        message = await js.get_msg("RELAY_0", number)
        if project in (message.subject or ""):
            lines = decode_lines(message.data or b"")
            assert lines.programs == "audit"
            assert (message.headers or {})["Isaax-Host"] == "isaax"
            found += [json.loads(text) for text in lines.messages]
    return found


async def sent(log: Log) -> export.Export:
    found = await export.get(log.database, log.account)
    assert found is not None
    return found


async def test_each_entry_is_a_line_from_then_on(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    await audit_log.record(recorder, 2)
    await audit_log.until(2)
    await export.put(database, audit_log.account, PROJECT)
    await audit_log.record(recorder, 3, first=2)
    entries = (await audit_log.until(5))[2:]
    exporter = exporter_of(bench, database)
    assert await exporter.send() is False
    lines = await stored(bench)
    assert [line["seq"] for line in lines] == [3, 4, 5]
    assert lines == [json.loads(line_of(entry)) for entry in entries]
    assert lines[0]["after"] == {"n": 2}
    state = await sent(audit_log)
    assert (state.after, state.sent, state.head) == (2, 5, 5)
    assert await exporter.send() is False
    assert len(await stored(bench)) == 3


async def test_severity_tells_what_did_not_end_well(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    await export.put(database, audit_log.account, PROJECT)
    outcomes = ("done", "refused", "failed", "unknown")
    async with database.system() as tx:
        for outcome in outcomes:
            await recorder.record(tx, audit_log.deed(outcome=outcome))
    await audit_log.until(4)
    await exporter_of(bench, database).send()
    message = await bench.nats.jetstream().get_msg("RELAY_0", 1)
    priorities = decode_lines(message.data or b"").priority_column()
    assert [divmod(one, 8) for one in priorities] == [(13, 5), (13, 4), (13, 4), (13, 3)]


@pytest.mark.parametrize("seed", range(6))
async def test_a_relay_that_dies_sends_nothing_twice_and_leaves_nothing_out(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder, seed: int
) -> None:
    """At any moment, between storing lines and noting that they are: what is next begins anew."""
    dice = random.Random(seed)
    await export.put(database, audit_log.account, PROJECT)
    told = 0
    for _ in range(6):
        count = dice.randint(1, 300)
        await audit_log.record(recorder, count, first=told)
        told += count
        running = bench.start(leading(database, exporter_of(bench, database)))
        enough = dice.randint(0, told)

        async def some(wanted: int = enough) -> bool:
            return (await bench.nats.jetstream().stream_info("RELAY_0")).state.last_seq > 0 and (
                len(await stored(bench)) >= wanted or wanted == 0
            )

        if dice.random() < 0.7:
            await until(some)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await reborn(bench, database)
    bench.start(leading(database, exporter_of(bench, database)))

    async def all_there() -> bool:
        return (await sent(audit_log)).sent == told

    await until(all_there, what=f"{told} entries")
    assert [line["seq"] for line in await stored(bench)] == [*range(1, told + 1)]


async def reborn(bench: Bench, database: Database) -> None:
    """Have a relay that knows no more than what is durable; the old one is gone, unasked."""
    for task in bench.tasks:
        task.cancel()
    await asyncio.gather(*bench.tasks, return_exceptions=True)
    bench.tasks.clear()
    marks, counts = MarkTable(), LineCounts()
    places = await restore(bench.nats, database, marks, counts, bench.settings.shards)
    bench.begin(marks, counts, places)
    bench.start(bench.writer.run())


async def test_a_place_without_jetstream_gets_everything_later(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    """The hub waits for the disk; lines that it could not see stored are not sent anew."""
    bench.begin(MarkTable(), LineCounts(), {})  # and nobody writes
    await export.put(database, audit_log.account, PROJECT)
    await audit_log.record(recorder, 3)
    await audit_log.until(3)
    ingest = Ingest(
        bench.writer, bench.marks, bench.gate, cast("Bus", bench.directory), patience=0.05
    )
    exporter = Exporter(database, ingest, asyncio.Event(), again=0.0)
    await exporter.send()
    assert (await sent(audit_log)).sent == 0
    bench.start(bench.writer.run())
    bench.start(leading(database, exporter))

    async def arrived() -> bool:
        return (await sent(audit_log)).sent == 3

    await until(arrived)
    assert [line["seq"] for line in await stored(bench)] == [1, 2, 3]


async def test_one_account_that_waits_holds_up_no_other(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    bench.begin(MarkTable(), LineCounts(), {}, defaults=Rates(lines_per_second=1))
    bench.start(bench.writer.run())
    other = Log(database, f"{audit_log.account}_2")
    await export.put(database, audit_log.account, PROJECT)
    await export.put(database, other.account, "prj_other")
    await audit_log.record(recorder, 50)
    await audit_log.until(50)
    exporter = exporter_of(bench, database)
    await exporter.send()
    await audit_log.record(recorder, 1, first=50)
    await audit_log.until(51)
    await other.record(recorder, 2)
    await other.until(2)
    await exporter.send()
    assert len(await stored(bench, "prj_other")) == 2
    assert len(await stored(bench)) == 50


async def test_at_another_place_it_goes_on_where_it_was(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    """And back again: each place has a numbering of its own for each time."""
    exporter = exporter_of(bench, database)
    told = 0
    for project in (PROJECT, "prj_other", PROJECT):
        await export.put(database, audit_log.account, project)
        await export.put(database, audit_log.account, project)
        await audit_log.record(recorder, 2, first=told)
        told += 2
        await audit_log.until(told)
        await exporter.send()
    assert [line["seq"] for line in await stored(bench)] == [1, 2, 5, 6]
    assert [line["seq"] for line in await stored(bench, "prj_other")] == [3, 4]


async def test_what_is_done_while_it_is_off_is_not_sent(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    exporter = exporter_of(bench, database)
    await export.put(database, audit_log.account, PROJECT)
    await export.end(database, audit_log.account, project="prj_other")
    assert (await sent(audit_log)).project == PROJECT
    await export.end(database, audit_log.account)
    await audit_log.record(recorder, 2)
    await audit_log.until(2)
    await exporter.send()
    await export.put(database, audit_log.account, PROJECT)
    await audit_log.record(recorder, 1, first=2)
    await audit_log.until(3)
    await exporter.send()
    assert [line["seq"] for line in await stored(bench)] == [3]


async def test_what_is_too_long_for_a_line_is_left_out_of_it(
    audit_log: Log, recorder: Recorder
) -> None:
    """Two values that may be kept are more than a line holds once they are escaped."""
    long = {"text": "\x01" * (MOST // 6 - 10)}
    more = [chr(0x4E00 + n) * 85 for n in range(250)]
    async with audit_log.database.system() as tx:
        deed = audit_log.deed(before=long, after=long, notes=tuple(more))
        await recorder.record(tx, deed)
    (one,) = await audit_log.until(1)
    assert len(line_of(one).encode()) <= MAX_MESSAGE_BYTES
    shown = json.loads(line_of(one))
    assert (shown["before"], shown["notes"]) == (
        None, ["before and after are too long for a line: ask the API"],
    )  # fmt: skip


async def test_without_postgres_it_waits(
    bench: Bench, database: Database, audit_log: Log, recorder: Recorder
) -> None:
    """What goes wrong ends nothing: it is tried again."""

    class Away(Exporter):
        calls = 0

        async def send(self) -> bool:
            self.calls += 1
            if self.calls < 3:
                raise Unavailable("Postgres: no connection to the server")
            return await super().send()

    ingest = Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", bench.directory))
    sealed = asyncio.Event()
    away = Away(database, ingest, sealed)
    await export.put(database, audit_log.account, PROJECT)
    await audit_log.record(recorder, 1)
    await audit_log.until(1)
    bench.start(leading(database, away))

    async def arrived() -> bool:
        sealed.set()
        return (await sent(audit_log)).sent == 1

    await until(arrived)
