"""What devices measure, kept: each sample once, rolled up, late ones too, and dropped in time."""

import asyncio
import math
import random
from datetime import timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from hub.database import Database, session
from hub.errors import Invalid
from hub.protocol import Samples
from hub.relay.samples import MetricFeed, MetricPlace
from hub.relay.streams import ensure_streams, metric_stream
from hub.settings import PostgresSettings, RelaySettings
from hub.tenancy import SYSTEM, TENANT
from services.telemetry import contracts as c
from services.telemetry.charts import MOST, Grid
from services.telemetry.columns import LARGEST
from services.telemetry.settings import TelemetrySettings
from tests.deadline import until
from tests.fixtures.telemetry import ACCOUNT, HOUR, PROJECT, Kept, at, noon, shown

# ── kept once ─────────────────────────────────────────────────────────────────────────────────


async def test_what_is_measured_is_there_as_it_was(kept: Kept) -> None:
    """Every sample, with its series: name, labels, type."""
    start = noon()
    async with kept.keeping():
        await kept.measure({start: 1.5, start + 60: 2.5}, name="room_celsius", labels={"r": "é"})
        await kept.measure({start: 3.0}, name="room_celsius", labels={"r": "b"})
        await kept.measure({start: 7.0}, name="disk_bytes_total", kind="disk", counter=True)
        await kept.until_kept(4)
    page = await kept.charts.device(c.DeviceMetrics(ACCOUNT, PROJECT, "dev_a", 10))
    assert [(s.type, s.name, s.labels, s.counter, s.points) for s in page.items] == [
        ("cpu", "room_celsius", {"r": "é"}, False, []),
        ("cpu", "room_celsius", {"r": "b"}, False, []),
        ("disk", "disk_bytes_total", {}, True, []),
    ]
    span = c.Span(at(start), at(start + 120), 60)
    page = await kept.charts.device(
        c.DeviceMetrics(ACCOUNT, PROJECT, "dev_a", 10, name="room_celsius", span=span)
    )
    assert [shown(series.points, start) for series in page.items] == [
        [(0, 1.5, 1.5, 1.5, 1), (60, 2.5, 2.5, 2.5, 1)],
        [(0, 3.0, 3.0, 3.0, 1)],
    ]
    assert kept.counted("kept") == 4


async def test_killed_anywhere_each_sample_is_kept_once(kept: Kept) -> None:
    """A keeper that is cancelled again and again, while more comes: the place goes with rows."""
    start, total = noon(), 0
    chance = random.Random(5)

    async def measuring() -> None:
        nonlocal total
        for number in range(60):
            await kept.measure({start + number: float(number)})
            total += 1
            await asyncio.sleep(0.01)

    work = asyncio.create_task(measuring())
    while not work.done():
        async with kept.keeping():
            await asyncio.sleep(chance.uniform(0.02, 0.3))
    async with kept.keeping():
        await kept.until_kept(total)
    assert await kept.ask("SELECT sum(value) FROM telemetry_sample") == sum(range(60))
    assert await kept.ask("SELECT sequence FROM telemetry_place") == 60


async def test_of_many_hubs_one_keeps(kept: Kept, telemetry_settings: PostgresSettings) -> None:
    """And another goes on where it ended."""
    start = noon()
    async with Database.open(telemetry_settings) as other, kept.keeping(other):
        async with kept.keeping():
            for number in range(5):
                await kept.measure({start + number: 1.0})
            await kept.until_kept(5)
        await kept.measure({start + 9: 1.0})
        await kept.until_kept(6)


async def test_a_stream_that_was_lost_is_read_anew(kept: Kept) -> None:
    """From its beginning, though the place says that more was read."""
    start = noon()
    async with kept.keeping():
        for number in range(3):
            await kept.measure({start + number: 1.0})
        await kept.until_kept(3)
    await kept.nats.jetstream().delete_stream(metric_stream(0))
    await ensure_streams(kept.nats.jetstream(), RelaySettings(max_bytes=1 << 30))
    for number in range(4):
        await kept.measure({start + 10 + number: 1.0})
    with capture_logs() as logs:
        async with kept.keeping():
            await kept.until_kept(7)
    assert "a stream is not the one that was read before" in {entry["event"] for entry in logs}


async def test_a_stream_that_lost_its_end_repeats_nothing(kept: Kept) -> None:
    """What it still holds was kept before; what took the place of the lost is new."""
    start = noon()
    for number in range(3):
        await kept.measure({start + number: 1.0})
    feed = MetricFeed(kept.nats, 1, linger=0.01)
    info = await kept.nats.jetstream().get_msg(metric_stream(0), seq=2)
    assert info.time is not None
    # As if the second message had been the ninth.
    place = MetricPlace(9, int(info.time.timestamp() * 1e6) * 1000 + 1000)
    async with feed.follow({0: place}) as following:
        taken = await following.next(10)
        assert taken is not None
        values = [chunk.samples.times for chunk in taken.chunks]
    assert values == [[(start + 2) * 1_000_000]]
    assert taken.place.sequence == 3


async def test_what_cannot_be_read_holds_nothing_up(kept: Kept) -> None:
    """It is a dead letter of the deliveries."""
    await kept.nats.jetstream().publish(
        f"metric.0.{PROJECT}.sample.cpu.dev_a", b"rubbish", headers={"Nats-Msg-Id": "x"}
    )
    async with kept.keeping():
        await kept.measure({noon(): 1.0})
        await kept.until_kept(1)


async def test_what_postgres_would_not_take_stops_nobody(kept: Kept) -> None:
    """A NUL in a label, and values whose sum is too large: kept and rolled up, if changed."""
    start = noon()
    kept.clock = start + 3 * HOUR
    async with kept.keeping():
        most = {start + n: 1.7e308 for n in range(100)}
        await kept.measure(most, labels={"a": "x\0y", "b": "\\u0000"})
        await kept.measure({start + n: -1.7e308 for n in range(100)}, name="m", counter=True)
        await kept.until_kept(200)
        await kept.until_rolled()
    page = await kept.charts.device(c.DeviceMetrics(ACCOUNT, PROJECT, "dev_a", 10))
    assert [one.labels for one in page.items] == [
        {"a": "x\N{REPLACEMENT CHARACTER}y", "b": "\\u0000"},
        {},
    ]
    ((_, value, _, _, count),) = await kept.points(start, start + HOUR, 3600)
    assert (value, count) == (pytest.approx(LARGEST), 100)


async def test_a_clock_that_is_wrong(kept: Kept) -> None:
    """What is yet to come was measured when the hub took it; what is too old is not kept."""
    now = kept.clock
    async with kept.keeping():
        await kept.measure({now + 30 * 86_400: 1.0}, received=now - 30)
        await kept.measure({now + 60: 2.0}, received=now - 30)  # a little ahead: as it says
        await kept.measure({now - 15 * 86_400: 3.0, 0.0: 4.0}, received=now)
        await kept.until_kept(2)
        await until(lambda: kept.counted("too_old") == 2, what="the old ones counted")
    async with kept.database.system() as tx:
        rows = await tx.raw.fetch("SELECT value, at FROM telemetry_sample ORDER BY value")
    assert [(row["value"], row["at"]) for row in rows] == [(1.0, at(now - 30)), (2.0, at(now + 60))]


async def test_a_device_has_only_so_many_series(kept: Kept) -> None:
    """More are counted, and said once; those that it has go on, and so do other devices."""
    kept.settings = TelemetrySettings(series_per_device=3)
    start = noon()
    with capture_logs() as logs:
        async with kept.keeping():
            for number in range(5):
                names = [f"endless_{number}_{n}" for n in range(2)]
                times = [(start + number) * 1_000_000] * 2
                await kept.send(Samples(times, names, [1.0, 1.0]))
                await kept.measure({start + number: 1.0}, name="endless_0_0")
                await kept.measure({start + number: 1.0}, device="dev_b")
            # dev_a: 3 series once, and 5 of the first; dev_b: 5
            await kept.until_kept(3 + 5 + 5)
            await until(lambda: kept.counted("no_series") == 7, what="all counted")
    said = [one for one in logs if "more series than it may" in one["event"]]
    assert [(one["device"], one["most"]) for one in said] == [("dev_a", 3)]
    assert await kept.ask("SELECT refused FROM telemetry_device WHERE device = 'dev_a'") == 7
    assert await kept.ask("SELECT count(*) FROM telemetry_series WHERE device = 'dev_a'") == 3


# ── rolled up ─────────────────────────────────────────────────────────────────────────────────


async def test_an_hour_is_rolled_up_when_it_is_over(kept: Kept) -> None:
    """And its points are the same before and after, whatever they come from."""
    start = noon()
    values = {start + 60.0 * n: float(n % 7) for n in range(180)}
    kept.clock = start + 3 * HOUR - 60
    async with kept.keeping():
        await kept.measure(values)
        await kept.until_kept(180)
        await kept.until_rolled()
        assert await kept.ask("SELECT count(*) FROM telemetry_coarse") == 2
        assert await kept.ask("SELECT count(*) FROM telemetry_fine") == 24
        before = {step: await kept.points(start, start + 3 * HOUR, step) for step in (300, 3600)}
        kept.clock = start + 4 * HOUR
        await kept.until_rolled()
    assert await kept.ask("SELECT count(*) FROM telemetry_due") == 0
    after = {step: await kept.points(start, start + 3 * HOUR, step) for step in (300, 3600)}
    assert after == before
    ordered = [*values.values()]
    for step, points in after.items():
        size = step // 60
        pieces = [ordered[n : n + size] for n in range(0, 180, size)]
        assert points == [
            (n * step, pytest.approx(sum(piece) / size), min(piece), max(piece), size)
            for n, piece in enumerate(pieces)
        ]


async def test_a_counter_is_by_how_much_it_grew(kept: Kept) -> None:
    """Over the ends of steps and hours; after a restart it grew from zero."""
    start = noon()
    # 1 a second, but that it begins anew after 90 minutes: what it had grown since is lost.
    values = {start + 60.0 * n: 60.0 * n + 1e9 if n < 90 else 60.0 * (n - 90) for n in range(180)}
    kept.clock = start + 3 * HOUR - 60
    async with kept.keeping():
        await kept.measure(values, counter=True)
        await kept.until_kept(180)
        for clock in (kept.clock, start + 5 * HOUR):
            kept.clock = clock
            await kept.until_rolled()
            for step in (300, 900, 3600):
                points = await kept.points(start, start + 3 * HOUR, step)
                grown = {when: rate * step for when, rate, *_ in points}
                expected = {n * step: float(step) for n in range(3 * HOUR // step)}
                expected[0] -= 60  # there is nothing before the first
                expected[90 * 60 // step * step] -= 60  # nor right after the restart
                assert grown == pytest.approx(expected)
                assert {point[2:4] for point in points} == {(None, None)}


async def test_late_and_repeated_samples_come_out_right(kept: Kept) -> None:
    """An hour that was rolled up is rolled up again, and so is what a counter grew by after it."""
    start = noon()
    kept.clock = start + 6 * HOUR
    async with kept.keeping():
        early = {start + 60.0 * n: 10.0 * n for n in range(30)}
        late = {start + 60.0 * n: 10.0 * n for n in range(30, 120)}
        await kept.measure({start + 60.0 * n: 10.0 * n for n in range(120, 180)}, counter=True)
        await kept.measure(early, counter=True)
        await kept.until_kept(90)
        await kept.until_rolled()
        await kept.measure(late, counter=True)
        await kept.until_kept(180)
        await kept.until_rolled()
        points = await kept.points(start, start + 3 * HOUR, 3600)
        assert [(when, rate * 3600) for when, rate, *_ in points] == [
            (0, pytest.approx(590)), (3600, pytest.approx(600)), (7200, pytest.approx(600)),
        ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
async def test_points_are_what_one_counts_by_hand(kept: Kept, seed: int) -> None:
    """Samples at any times, in any order, some of them late, against a plain loop over them."""
    chance = random.Random(seed)
    start, hours = noon(), 4
    kept.clock = start + hours * HOUR - 600
    whole = sorted({start + chance.randrange(hours * HOUR - 600) for _ in range(400)})
    values = {float(when): chance.uniform(-5, 5) for when in whole}
    async with kept.keeping():
        shuffled = chance.sample(whole, len(whole))
        for piece in (shuffled[n : n + 50] for n in range(0, len(shuffled), 50)):
            await kept.measure({float(when): values[when] for when in piece})
            await asyncio.sleep(chance.choice([0, 0.05]))
        await kept.until_kept(len(whole))
        for settled in (False, True):
            if settled:
                await kept.until_rolled()
            for step in (60, 300, 900, 3600):
                points = await kept.points(start, start + hours * HOUR, step)
                expected = []
                for begin in range(start, start + hours * HOUR, step):
                    piece = [v for when, v in values.items() if begin <= when < begin + step]
                    if piece:
                        mean = pytest.approx(math.fsum(piece) / len(piece))
                        point = (begin - start, mean, min(piece), max(piece), len(piece))
                        expected.append(point)
                assert points == expected, (settled, step)


async def test_a_project_is_all_of_its_devices(kept: Kept) -> None:
    """One item a metric; means over all samples, and counters summed."""
    start = noon()
    kept.clock = start + 3 * HOUR
    async with kept.keeping():
        for device, value in (("dev_a", 1.0), ("dev_b", 5.0)):
            await kept.measure({start: value, start + 60: value}, device=device)
            grows = {start + 60.0 * n: 60.0 * n * value for n in range(60)}
            await kept.measure(grows, name="m_total", device=device, counter=True)
        await kept.measure({start: 100.0}, device="dev_c", project="prj_b")
        await kept.until_kept(125)
    span = c.Span(at(start), at(start + HOUR), 3600)
    page = await kept.charts.project(c.ProjectMetrics(ACCOUNT, PROJECT, 10))
    assert [(m.name, m.counter, m.devices, m.series, m.points) for m in page.items] == [
        ("m_total", True, 2, 2, []), ("n", False, 2, 2, []),
    ]  # fmt: skip
    page = await kept.charts.project(c.ProjectMetrics(ACCOUNT, PROJECT, 10, name="n", span=span))
    assert [shown(metric.points, start) for metric in page.items] == [[(0, 3.0, 1.0, 5.0, 4)]]
    page = await kept.charts.project(
        c.ProjectMetrics(ACCOUNT, PROJECT, 10, name="m_total", span=span)
    )
    ((point,),) = [metric.points for metric in page.items]
    assert point.value == pytest.approx(59 * 60 * (1 + 5) / 3600)
    assert (point.min, point.max, point.count) == (None, None, 120)


async def test_pages(kept: Kept) -> None:
    """Of series and of metrics; `more` says whether there is another."""
    async with kept.keeping():
        names = [f"m{n}" for n in range(5)]
        await kept.send(Samples([noon() * 1_000_000] * 5, names, [1.0] * 5))
        await kept.until_kept(5)
    first = await kept.charts.device(c.DeviceMetrics(ACCOUNT, PROJECT, "dev_a", 3))
    rest = await kept.charts.device(
        c.DeviceMetrics(ACCOUNT, PROJECT, "dev_a", 3, after=first.items[-1].number)
    )
    assert [len(first.items), first.more, len(rest.items), rest.more] == [3, True, 2, False]
    assert [one.name for one in (*first.items, *rest.items)] == names
    metrics = [
        await kept.charts.project(c.ProjectMetrics(ACCOUNT, PROJECT, 3, after=after))
        for after in (0, 3)
    ]
    assert [one.name for page in metrics for one in page.items] == names
    assert [page.more for page in metrics] == [True, False]


# ── which points ──────────────────────────────────────────────────────────────────────────────

NOW = 1_800_000_000.0
SETTINGS = TelemetrySettings()


def grid(length: float, step: int | None = None, *, ago: float = 0.0) -> tuple[int, int, int]:
    """Give step, source and number of points of a span that ended so long ago (seconds)."""
    span = c.Span(at(NOW - ago - length), at(NOW - ago), step)
    made = Grid.of(span, SETTINGS, now=NOW)
    count = (made.stop - made.start) / timedelta(seconds=made.step)
    return made.step, made.source, round(count)


DAY = 86_400.0


@pytest.mark.parametrize(
    ("length", "step", "ago", "expected"),
    [
        (3600, None, 0, (60, 0)),
        (6 * 3600, None, 0, (300, 300)),
        (DAY, None, 0, (300, 300)),
        (7 * DAY, None, 0, (3600, 3600)),
        (300 * DAY, None, 0, (86_400, 3600)),
        (3600, 10, 0, (10, 0)),
        (3600, 11, 0, (30, 0)),
        (DAY, 10, 0, (300, 300)),  # more points than there may be
        (3600, None, 20 * DAY, (300, 300)),  # the samples are gone
        (3600, None, 100 * DAY, (3600, 3600)),
    ],
)
def test_the_step_fits_the_span(
    length: float, step: int | None, ago: float, expected: tuple[int, int]
) -> None:
    chosen, source, count = grid(length, step, ago=ago)
    assert (chosen, source) == expected
    assert 1 <= count <= MOST + 1


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Invalid) as raised:
        grid(-1)
    assert raised.value.errors[0].pointer == "/since"


def test_any_span_has_a_bounded_number_of_points() -> None:
    """However far it reaches, and whatever the step."""
    chance = random.Random(1)
    for _ in range(2000):
        length, ago = 10 ** chance.uniform(0, 10), 10 ** chance.uniform(0, 10)
        step = chance.choice([None, 1, 59, 3601, 31 * 86_400])
        chosen, source, count = grid(length, step, ago=ago)
        assert count <= MOST + 1
        assert source == 0 or chosen % source == 0


# ── dropped in time ───────────────────────────────────────────────────────────────────────────


async def test_what_is_too_old_is_dropped_with_its_partitions(
    kept: Kept, telemetry_settings: PostgresSettings
) -> None:
    """Samples, fine and coarse points each at their own age; then the series itself."""
    start = noon()
    kept.clock = start + 3 * HOUR
    async with kept.keeping():
        await kept.measure({start: 1.0})
        await kept.until_kept(1)
        await kept.until_rolled()

    async def after(days: int) -> tuple[int, ...]:
        kept.clock = start + days * 86_400.0
        async with kept.keeping():
            before = kept.counted("kept")
            await kept.measure({kept.clock - 5: 1.0}, device=f"dev_{days}")
            await until(lambda: kept.counted("kept") > before, what="the upkeep, and a sample")
        tables = ("telemetry_sample", "telemetry_fine", "telemetry_coarse", "telemetry_series")
        column = {"telemetry_series": "id"}
        return tuple(
            [
                await kept.ask(
                    f"SELECT count(*) FROM {table} WHERE {column.get(table, 'series')} = :id",
                    id=first,
                )
                for table in tables
            ]
        )

    first = await kept.ask("SELECT min(id) FROM telemetry_series")
    assert await after(13) == (1, 1, 1, 1)
    assert await after(16) == (0, 1, 1, 1)
    assert await after(125) == (0, 0, 1, 1)
    assert await after(440) == (0, 0, 0, 0)


async def test_nobody_reaches_a_partition_by_itself(
    kept: Kept, telemetry_settings: PostgresSettings
) -> None:
    """Those that the hub makes as it runs: forced security, and no rights for either role."""
    kept.clock = noon() + 30 * 86_400
    async with kept.keeping():
        await kept.measure({kept.clock - 5: 1.0})
        await kept.until_kept(1)
    async with session(telemetry_settings) as owner:
        rows = await owner.fetch(
            "SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced "
            "FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid "
            "WHERE c.relname LIKE 'telemetry\\_%' AND c.relkind = 'r'"
        )
        assert len(rows) > 15
        assert {row["forced"] for row in rows} == {True}
        newest = max(row["name"] for row in rows if row["name"].startswith("telemetry_sample"))
        for role in (TENANT, SYSTEM):
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                asked = "SELECT has_table_privilege($1, $2, $3)"
                assert await owner.fetchval(asked, role, newest, right) is False
        # Nobody but the hub's own work makes or drops any.
        for call in ("telemetry_cover('{}')", "telemetry_shed(now(), now(), now())"):
            await owner.execute(f"SET ROLE {TENANT}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.fetchval(f"SELECT {call}")
            await owner.execute("RESET ROLE")


async def test_an_account_sees_its_own_alone(kept: Kept) -> None:
    """Postgres itself keeps them apart: samples and rollups as well."""
    start = noon()
    kept.clock = start + 3 * HOUR
    async with kept.keeping():
        await kept.measure({start: 1.0})
        await kept.measure({start: 2.0}, device="dev_z", project="prj_b")
        await kept.until_kept(2)
        await kept.until_rolled()
    for table in ("sample", "fine", "coarse", "series", "device"):
        async with kept.database.transaction(account="acc_b") as tx:
            rows = await tx.raw.fetch(f"SELECT account FROM telemetry_{table}")
        assert [row["account"] for row in rows] == ["acc_b"], table


# ── deleted ───────────────────────────────────────────────────────────────────────────────────


async def left(kept: Kept, account: str = ACCOUNT) -> int:
    """Count all rows of an account."""
    tables = ("sample", "fine", "coarse", "series", "device", "due")
    return sum(
        [
            await kept.ask(
                f"SELECT count(*) FROM telemetry_{table} WHERE account = :account", account=account
            )
            for table in tables
        ]
    )


@pytest.mark.parametrize("what", ["dev_a", PROJECT, ACCOUNT])
async def test_of_what_is_deleted_nothing_is_left(kept: Kept, what: str) -> None:
    """Nor of what was on its way; others keep theirs."""
    start = noon()
    kept.clock = start + 3 * HOUR
    async with kept.keeping():
        for n in range(120):
            await kept.measure({start + n: 1.0}, name=f"m{n}")
        await kept.measure({start: 2.0}, device="dev_z", project="prj_b")
        await kept.until_kept(121)
        await kept.until_rolled()
        await kept.measure({start + 3 * HOUR - 60: 1.0})
        await kept.until_kept(122)
        assert await kept.deletion.delete(ACCOUNT, [what]) == 121
        await kept.measure({start + 500: 1.0})
        await until(lambda: kept.counted("gone") == 1, what="the straggler")
    assert await left(kept) == 0
    assert await left(kept, "acc_b") > 0


async def test_while_samples_come_a_device_is_deleted(kept: Kept) -> None:
    """Whatever comes between the two: nothing of it is there in the end."""
    start = noon()
    async with kept.keeping():

        async def measuring() -> None:
            for n in range(100):
                await kept.measure({start + n: 1.0}, name=f"m{n % 10}")

        work = asyncio.create_task(measuring())
        await until(lambda: kept.counted("kept") > 20, what="some kept")
        await kept.deletion.delete(ACCOUNT, ["dev_a"])
        await work
        await until(lambda: kept.counted("kept") + kept.counted("gone") == 100, what="all taken")
    assert await left(kept) == 0


async def test_a_project_of_nobody_is_not_kept(kept: Kept) -> None:
    """One that was deleted before anybody asked whose it was."""
    async with kept.keeping():
        await kept.measure({noon(): 1.0}, project="prj_unknown", device="dev_q")
        await kept.measure({noon(): 1.0})
        await kept.until_kept(1)
    assert kept.counted("gone") == 1
