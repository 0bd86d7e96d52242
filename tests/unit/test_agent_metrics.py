"""What the agent measures: real sensors of this machine, and what is made of bad ones."""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from agent.batcher import Batch, Gap
from agent.life import Life, load
from agent.linequeue import Missing
from agent.metrics import sensors as of_device
from agent.metrics.collector import Collector
from agent.metrics.metering import Metering
from agent.metrics.processes import Processes
from agent.metrics.queue import SampleBatcher, SampleQueue
from agent.metrics.readings import Reading, counter, gauge, missing_samples, samples_of
from agent.metrics.sensors import Sensor, sensors
from agent.sender import Sender
from agent.settings import MetricsConfig
from agent.spool import Spool
from agent.state import StateFolder
from hub.protocol import METRICS, Ack, Mark, Samples, decode_header, decode_samples, encode_samples
from tests.deadline import until

UNITS = re.compile(r"_(bytes|seconds|ratio|celsius|hertz|total|count|up|processes|load\d+)$")


@pytest.mark.parametrize("kind", METRICS)
def test_every_sensor_reads_this_machine(kind: str) -> None:
    """What it gives is what the wire takes, under names with units; twice, for what compares."""
    sensor = sensors(processes=3)[kind]
    for readings in (sensor(), sensor()):
        assert readings
        for one in readings:
            assert UNITS.search(one.name), one.name
            assert one.counter == one.name.endswith("_total")
        for samples in samples_of(readings, 1):
            decoded = decode_samples(encode_samples(samples, boot=1, first=1))
            assert decoded.values == [one.value for one in readings]
        assert len({(one.name, *sorted(one.labels.items())) for one in readings}) == len(readings)


def _value(readings: list[Reading], name: str) -> float:
    (found,) = [one.value for one in readings if one.name == name]
    return found


def test_the_share_of_the_processor_is_that_since_the_last_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A quarter of the time in use, on the mean of both processors."""
    moments = iter([(10.0, 90.0), (15.0, 105.0), (15.0, 105.0)])

    def cpu_times(percpu: bool = False) -> list[SimpleNamespace]:
        assert percpu
        user, idle = next(moments)
        return [SimpleNamespace(user=user, idle=idle), SimpleNamespace(user=0.0, idle=0.0)]

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    cpu = of_device.Cpu()
    assert "cpu_usage_ratio" not in {one.name for one in cpu.read()}
    assert _value(cpu.read(), "cpu_usage_ratio") == 0.25
    assert "cpu_usage_ratio" not in {one.name for one in cpu.read()}  # the clock stood


def test_many_processors_are_told_of_together(monkeypatch: pytest.MonkeyPatch) -> None:
    one = SimpleNamespace(user=1.0, idle=1.0)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu=False: [one] * 64 if percpu else one)
    readings = of_device.Cpu().read()
    assert {r.labels["cpu"] for r in readings if r.name == "cpu_seconds_total"} == {"all"}
    assert _value(readings, "cpu_count") == 64


def _process(pid: int, name: str, *, memory: int, seconds: float, began: float = 1.0) -> object:
    info = {
        "name": name,
        "create_time": began,
        "cpu_times": SimpleNamespace(user=seconds, system=0.0),
        "memory_info": SimpleNamespace(rss=memory),
    }
    return SimpleNamespace(pid=pid, info=info)


def test_only_the_busiest_programs_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one with the most memory and the one with the most processor, of a thousand."""
    idle = [_process(n, f"idle{n}", memory=1, seconds=5.0) for n in range(10, 1010)]
    rounds = iter(
        [
            [
                *idle,
                _process(1, "big", memory=900, seconds=1),
                _process(2, "busy", memory=1, seconds=1),
            ],
            [
                *idle,
                _process(1, "big", memory=500, seconds=1),
                _process(3, "big", memory=500, seconds=0, began=9.0),
                _process(2, "busy", memory=1, seconds=4),
                SimpleNamespace(pid=4, info=dict.fromkeys(["name", "cpu_times", "memory_info"])),
            ],
        ]
    )
    clock = iter([0.0, 10.0])
    monkeypatch.setattr(psutil, "process_iter", lambda _: next(rounds))
    monkeypatch.setattr("agent.metrics.processes.time.monotonic", lambda: next(clock))
    processes = Processes(1)
    assert {one.labels["program"] for one in processes.read()} == {"big"}
    second = processes.read()
    assert [(r.name, r.labels["program"], r.value) for r in second] == [
        ("process_memory_bytes", "big", 1000),
        ("process_count", "big", 2),
        ("process_cpu_ratio", "big", 0.0),
        ("process_memory_bytes", "busy", 1),
        ("process_count", "busy", 1),
        ("process_cpu_ratio", "busy", pytest.approx(0.3)),
    ]


def test_a_file_name_that_is_no_text_becomes_a_label() -> None:
    """A mount may be called anything; the wire takes UTF-8, and not more than it says."""
    (reading,) = [gauge("disk_total_bytes", 1, mount="/mnt/\udcff" + "x" * 2000)]
    (samples,) = samples_of([reading], 1)
    assert len(decode_samples(encode_samples(samples, boot=1, first=1)).labels[0]["mount"]) == 1024  # type: ignore[index]


def test_more_than_a_batch_holds_becomes_several() -> None:
    readings = [counter("n", n, n=str(n)) for n in range(2500)]
    assert [len(samples) for samples in samples_of(readings, 7)] == [1000, 1000, 500]


# ── the collector ─────────────────────────────────────────────────────────────────────────────


class Bench:
    """A collector whose sensors a test provides, and what came of each of them."""

    def __init__(self, interval: float, asked: Mapping[str, Sensor]) -> None:
        self.queues = {kind: SampleQueue(lambda: None) for kind in asked}
        self.collector = Collector(asked, self.queues, interval)
        self.taken: dict[str, list[float]] = {kind: [] for kind in asked}

    def values(self, kind: str) -> list[float]:
        """Give all that was collected of a type so far."""
        for item in self.queues[kind].take():
            assert isinstance(item, Samples)
            self.taken[kind] += item.values
        return self.taken[kind]


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    """Those that a test makes; ended after it."""
    made: list[Bench] = []
    yield made
    for one in made:
        one.collector.close()


async def test_a_broken_sensor_stops_no_other_and_says_so_once(
    benches: list[Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again each time, and when it works again that is said as well."""
    broken = [True]

    def disk() -> list[Reading]:
        if broken[0]:
            raise OSError(5, "Input/output error")
        return [gauge("disk_total_bytes", 2)]

    bench = Bench(0.01, {"cpu": lambda: [gauge("cpu_count", 1)], "disk": disk})
    benches.append(bench)
    with caplog.at_level(logging.INFO):
        bench.collector.switch(frozenset({"cpu", "disk"}))
        await until(lambda: len(bench.values("cpu")) > 5, what="the other type goes on")
        broken[0] = False
        await until(lambda: bench.values("disk") != [], what="the disk is read again")
    said = [record.message for record in caplog.records if "metric.disk" in record.message]
    assert said == [
        "metric.disk cannot be read: OSError: [Errno 5] Input/output error",
        "metric.disk can be read again",
    ]


async def test_a_sensor_that_hangs_holds_up_no_other(benches: list[Bench]) -> None:
    """Nor the end of the agent: `close` returns."""
    free = threading.Event()

    def disk() -> list[Reading]:
        free.wait(60)
        return [gauge("disk_total_bytes", 2)]

    bench = Bench(0.01, {"cpu": lambda: [gauge("cpu_count", 1)], "disk": disk})
    benches.append(bench)
    try:
        bench.collector.switch(frozenset({"cpu", "disk"}))
        await until(lambda: len(bench.values("cpu")) > 5, what="the other type goes on")
        bench.collector.switch(frozenset({"cpu"}))
    finally:
        free.set()
    seen = len(bench.values("cpu"))
    await until(lambda: len(bench.values("cpu")) > seen + 5, what="the other type goes on")
    assert bench.values("disk") == []  # it was switched off meanwhile
    bench.collector.close()


async def test_nothing_is_collected_until_it_is_switched_on(benches: list[Bench]) -> None:
    """At once then, whatever the interval; and no more once it is off."""
    bench = Bench(3600, {"cpu": lambda: [gauge("cpu_count", 1)], "ps": list})
    benches.append(bench)
    assert bench.collector.on == frozenset()
    for times in (1, 2, 3):
        bench.collector.switch(frozenset({"cpu", "no-such-type"}))
        assert bench.collector.on == {"cpu"}
        await until(lambda n=times: len(bench.values("cpu")) == n, what="a collection")  # type: ignore[misc]
        bench.collector.switch(frozenset())
        assert bench.collector.on == frozenset()
    names = {thread.name for thread in threading.enumerate()}
    assert "metric.cpu" in names
    assert "metric.ps" not in names


def test_everything_is_off_by_default() -> None:
    assert MetricsConfig().types == frozenset()
    assert MetricsConfig(cpu=True, ps=True).types == {"cpu", "ps"}


# ── on the way to the hub ─────────────────────────────────────────────────────────────────────


def test_a_queue_that_is_full_counts_what_it_drops() -> None:
    """The newest give way, and their place is known."""
    woken: list[int] = []
    queue = SampleQueue(lambda: woken.append(1), most=2)
    for n in range(4):
        queue.put(samples_of([gauge("n", n), gauge("m", n)], n))
    assert (queue.dropped, len(woken)) == (4, 4)
    first, second, missing = queue.take()
    assert missing == Missing(4)
    batcher = SampleBatcher()
    assert batcher.deadline is None
    batcher.add([first, second, missing], at=7.0)
    assert batcher.deadline == 7.0
    *batches, gap = batcher.take(at=7.0)
    assert batches == [Batch(first, {}), Batch(second, {})]  # type: ignore[arg-type]
    assert isinstance(gap, Gap)
    assert gap.span == 4
    assert batcher.take(at=7.0) == []


def test_samples_that_are_missing_are_covered_by_one_that_counts_them(tmp_path: Path) -> None:
    """As the protocol has it (4.5): a longer span, with a sample in it."""
    spool = Spool.open(tmp_path, max_bytes=1 << 20, missing=missing_samples)
    spool.append([Batch(samples_of([gauge("n", 1), gauge("n", 2)], 1)[0], {}), Gap(30, 5)])
    first = spool.next(0)
    assert first is not None
    assert decode_samples(first.wire).values == [1, 2]
    second = spool.next(first.last)
    assert second is not None
    assert (second.first, second.last) == (3, 32)
    assert decode_header(second.wire).span == 30
    assert decode_samples(second.wire) == Samples([5], "isaax_missing_samples", [30.0])
    spool.close()


def test_a_stream_begins_its_life_with_its_first_sample(tmp_path: Path) -> None:
    """A type that is off costs no file; the marks of its session are those that count."""
    spool = Spool.open(tmp_path, max_bytes=1 << 20, missing=missing_samples)
    sender = Sender("metric.cpu", spool, tmp_path, clock=lambda: 5.0)
    sent: list[bytes] = []
    sender.open({"metric.cpu": Mark(9, 4), "app": Mark(11, 1)}, at=0.0)
    sender.pump(sent.append, at=0.0)
    assert (sent, list(tmp_path.iterdir())) == ([], [])
    spool.append([Batch(samples_of([gauge("n", 1)], 1)[0], {})])
    sender.pump(sent.append, at=1.0)
    assert load(tmp_path) == Life(12, 0)
    assert [(h.boot, h.first, h.span) for h in map(decode_header, sent)] == [(12, 1, 1)]
    sender.on_ack(Ack("metric.cpu", 12, 1), at=1.0)
    assert sender.is_done
    sender.close()
    spool.close()


def test_a_session_that_is_over_begins_no_life(tmp_path: Path) -> None:
    """Its marks say nothing of the next one."""
    spool = Spool.open(tmp_path, max_bytes=1 << 20, missing=missing_samples)
    sender = Sender("metric.cpu", spool, tmp_path, clock=lambda: 5.0)
    sender.open({}, at=0.0)
    sender.close()
    spool.append([Batch(samples_of([gauge("n", 1)], 1)[0], {})])
    sent: list[bytes] = []
    sender.pump(sent.append, at=1.0)
    assert sent == []
    assert load(tmp_path) is None
    spool.close()


async def test_each_type_has_a_stream_of_its_own(tmp_path: Path) -> None:
    """With the spool that it had: what is there is sent, on or off."""
    state = StateFolder(tmp_path)
    asked: dict[str, Sensor] = {
        kind: (lambda kind=kind: [gauge(kind, 1)])
        for kind in METRICS  # type: ignore[misc]
    }
    metering = Metering(MetricsConfig(memory=True), state, lambda: None, asked)
    metering.switch(frozenset({"cpu"}))  # by a variable, before anything runs
    feeds = {feed.stream: feed for feed in metering.feeds}
    assert list(feeds) == [sender.stream for sender in metering.senders]
    assert list(feeds) == [f"metric.{kind}" for kind in METRICS]
    assert metering.on == frozenset()
    metering.start()
    assert metering.on == {"cpu", "memory"}
    await until(lambda: feeds["metric.memory"].move(at=time.monotonic()), what="a sample")
    metering.switch(frozenset({"ps"}))
    assert metering.on == {"memory", "ps"}
    await until(lambda: feeds["metric.ps"].move(at=time.monotonic()), what="a sample")
    metering.close()
    assert {stream for stream, feed in feeds.items() if feed.spool.last} == {
        "metric.memory", "metric.ps",
    }  # fmt: skip
    for feed in metering.feeds:
        feed.spool.close()
    again = Metering(MetricsConfig(), state, lambda: None, asked)
    assert not next(one for one in again.senders if one.stream == "metric.ps").is_done
