"""How fast samples come into Postgres, and charts out of it: `python -m bench.telemetry`.

A real Postgres. Devices measure once a minute for a day, as `Keeper` would read it from
JetStream; writing it down, rolling it up and the queries of charts are timed apart.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop

from bench.parts import folder_of_its_own
from hub.batches import MetricChunk
from hub.contracts import Endpoint
from hub.database import Connection, Database, Queries, Query
from hub.embedded.ports import free_port
from hub.embedded.postgres import Postgres
from hub.embedded.runtime import Runtime
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.plugins import PluginHost
from hub.protocol import Samples
from hub.relay.contracts import PROJECT_ACCOUNTS, Accounts, AccountsOf
from hub.relay.samples import MetricFeed, MetricPlace, TakenSamples
from hub.secret import Secret
from hub.telemetry import Metrics
from services.telemetry import contracts as c
from services.telemetry.charts import Charts
from services.telemetry.keeping import GONE, Keeper
from services.telemetry.rolling import Roller
from services.telemetry.series import SeriesBook
from services.telemetry.settings import TelemetrySettings
from services.telemetry.upkeep import Upkeep

MINUTE = 60
DAY = 86_400


def day(arguments: argparse.Namespace, start: int) -> Iterator[TakenSamples]:
    """Give a day's samples, some thousands at once, in the order in which they come."""
    names = [f"metric_{n}_ratio" for n in range(arguments.series)]
    chunks: list[MetricChunk] = []
    number = 0
    for minute in range(start, start + DAY, MINUTE):
        for device in range(arguments.devices):
            values = [float((minute + device * n) % 97) for n in range(len(names))]
            samples = Samples([minute * 1_000_000] * len(names), names, values)
            chunks.append(
                MetricChunk(
                    "prj_bench", f"dev_{device}", "", "metric.cpu", 1, 1, minute * 1_000_000,
                    samples,
                )
            )  # fmt: skip
            if len(chunks) * len(names) >= arguments.at_once:
                number += len(chunks)
                yield TakenSamples(0, MetricPlace(number, number), chunks)
                chunks = []
    if chunks:
        yield TakenSamples(0, MetricPlace(number + len(chunks), number), chunks)


async def timed(what: str, work: Callable[[], Awaitable[object]], rounds: int = 15) -> None:
    """Time the same question a few times, and show the median and the slowest."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        await work()
        times.append((time.perf_counter() - begun) * 1000)
    print(f"{what:<58} {statistics.median(times):8.1f} ms, at most {max(times):8.1f} ms")


async def main(arguments: argparse.Namespace) -> None:
    """Run all of it."""
    with folder_of_its_own() as folder:
        part = Postgres(
            folder / "postgres",
            port=free_port(),
            admin=Secret("a"),
            password=Secret("b"),
            runtime=Runtime(folder / "runtime"),
        )
        await part.start()
        try:
            await part.create_database("bench")
            where = part.settings_for("bench")
            await migrate(where, PluginHost.load(quiet=True).migrations)
            async with Database.open(where) as database:
                await measure(arguments, database)
        finally:
            await part.stop()


async def measure(arguments: argparse.Namespace, database: Database) -> None:
    """Write a day down, roll it up, and ask for it."""
    now = int(time.time())
    start = now - now % DAY - DAY
    bus = MemoryBus()

    async def accounts(request: AccountsOf) -> Accounts:
        return Accounts(dict.fromkeys(request.projects, "acc_bench"))

    sql, settings = Queries.load("services.telemetry"), TelemetrySettings()
    keeper = Keeper(cast("MetricFeed", None), bus, settings, Metrics())
    async with (
        bus.serve("projects", "1.0.0", [Endpoint(PROJECT_ACCOUNTS, accounts)]),
        database.session() as raw,
    ):
        tx = Connection(raw)
        await Upkeep(sql, settings).run(tx)
        book = SeriesBook(sql, settings.series_per_device)
        count, begun, busy = 0, time.perf_counter(), time.process_time()
        for taken in day(arguments, start):
            await keeper.keep(tx, taken, book)
            count += sum(map(len, taken.chunks))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - busy
        print(f"{count:,} samples of {arguments.devices} devices x {arguments.series} series")
        print(f"kept: {count / seconds:,.0f} samples/s, {cpu / count * 1e6:.1f} µs of ours each")
        begun = time.perf_counter()
        roller = Roller(sql, GONE)
        while await roller.step(tx):
            continue
        seconds = time.perf_counter() - begun
        print(f"rolled up: {count / seconds:,.0f} samples/s")
        for table in ("telemetry_sample", "telemetry_fine", "telemetry_coarse"):
            await show_size(tx, table)
    charts = Charts(database, settings)

    async def device(length: int, step: int | None) -> c.SeriesPage:
        span = c.Span(at(start + DAY - length), at(start + DAY), step)
        return await charts.device(
            c.DeviceMetrics("acc_bench", "prj_bench", "dev_1", 10, name="metric_1_ratio", span=span)
        )

    async def project() -> c.MetricsPage:
        span = c.Span(at(start), at(start + DAY))
        return await charts.project(
            c.ProjectMetrics("acc_bench", "prj_bench", 10, name="metric_1_ratio", span=span)
        )

    await timed("a device's series, with their last values", lambda: charts.device(
        c.DeviceMetrics("acc_bench", "prj_bench", "dev_1", 50)))  # fmt: skip
    await timed("an hour of a series, every minute (samples)", lambda: device(3600, None))
    await timed("16 hours of a series, every minute (samples)", lambda: device(16 * 3600, 60))
    await timed("a day of a series, every 5 minutes", lambda: device(DAY, None))
    await timed("a day of a metric over all devices", project, rounds=5)


async def show_size(tx: Connection, table: str) -> None:
    """Show how much a table takes for each row."""
    query = Query.parse(
        "size",
        "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits "
        "WHERE inhparent = (:name::text)::regclass",
    )
    size = await tx.one(query, int, name=table)
    rows = await tx.one(Query.parse("rows", f"SELECT count(*) FROM {table}"), int)
    print(f"{table}: {rows:,} rows of {size / max(rows, 1):.0f} bytes")


def at(seconds: int) -> datetime:
    """Give a moment."""
    return datetime.fromtimestamp(seconds, UTC)


def options() -> argparse.ArgumentParser:
    """Say what can be set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--series", type=int, default=30, help="of each device")
    parser.add_argument("--at-once", type=int, default=20_000, help="samples written at once")
    return parser


if __name__ == "__main__":
    uvloop.run(main(options().parse_args()))
