"""Sending less: samples that are the same every time, and rate limits."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.batches import MetricChunk
from hub.protocol import Samples
from hub.shaping.rules import Shape
from hub.shaping.shaper import Shaper
from hub.structs import decode
from hub.testing import make_chunk


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shaper(clock: Clock | None = None, **shape: Any) -> Shaper:
    """Compile a shape from what a user writes."""
    return Shaper(decode(Shape, json.dumps(shape).encode()), clock=clock or Clock())


def kept(one: Shaper, count: int, first: int = 1) -> list[int]:
    """Give the numbers that are left of so many lines."""
    chunk = one.apply(make_chunk(["x"] * count, first=first), "")
    return [] if chunk is None else list(chunk.numbers())


def samples(count: int) -> MetricChunk:
    """Make a chunk of samples."""
    column = Samples([1] * count, "cpu_ratio", [0.5] * count)
    return MetricChunk("prj_a", "dev_a", "pump-1", "metric.cpu", 1, 1, 1, column)


# ── samples ──


def test_all_or_none() -> None:
    chunk = make_chunk(["a", "b"])
    assert shaper(sample={"share": 1}).apply(chunk, "") is chunk
    assert shaper(sample={"share": 0}).apply(chunk, "") is None


@settings(deadline=None)
@given(share=st.floats(0, 1), first=st.integers(1, 1 << 62), cut=st.integers(1, 99))
def test_the_same_lines_at_every_attempt_however_they_are_cut(
    share: float, first: int, cut: int
) -> None:
    one, other = shaper(sample={"share": share}), shaper(sample={"share": share})
    whole = kept(one, 100, first)
    assert whole == kept(other, 100, first)
    assert whole == kept(one, cut, first) + kept(one, 100 - cut, first + cut)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_sample_is_spread_evenly(share: float) -> None:
    """The share holds overall, for each residue (what repeats every tenth line), and for parts."""
    one, count = shaper(sample={"share": share}), 100_000
    chosen = kept(one, count)
    assert len(chosen) / count == pytest.approx(share, rel=0.1)
    for residue in range(10):
        part = sum(1 for number in chosen if number % 10 == residue)
        assert part / (count / 10) == pytest.approx(share, rel=0.35)
    first_half = sum(1 for number in chosen if number <= count // 2)
    assert first_half / len(chosen) == pytest.approx(0.5, abs=0.1)


def test_streams_are_sampled_each_by_itself() -> None:
    one = shaper(sample={"share": 0.5})
    app = make_chunk(["x"] * 100)
    chosen = [list(chunk.numbers()) for chunk in (
        one.apply(app, ""), one.apply(replace(app, stream="sys"), ""),
        one.apply(replace(app, boot=2), ""), one.apply(replace(app, device="dev_b"), ""),
    ) if chunk is not None]  # fmt: skip
    assert all(a != b for n, a in enumerate(chosen) for b in chosen[:n])
    assert len(chosen) == 4


def test_severe_lines_are_always_sent() -> None:
    one = shaper(sample={"share": 0, "always": "err"})
    assert one.apply(make_chunk(["x"], priorities=14), "") is None
    crit = make_chunk(["x"], priorities=10)
    assert one.apply(crit, "") is crit
    mixed = one.apply(make_chunk(["a", "b", "c"], priorities=[14, 11, 12]), "")
    assert mixed is not None
    assert mixed.lines.messages == ["b"]
    assert one.take_counts() == {"sample": 3}


def test_samples_of_metrics_are_sampled_too() -> None:
    one = shaper(sample={"share": 0.5, "always": "err"})
    chosen = one.apply_metrics(samples(100), "")
    assert chosen is not None
    assert 30 < len(chosen) < 70
    assert len(chosen.samples.times) == len(chosen.samples.values) == len(chosen.ids())


# ── rate limits ──


def test_what_is_over_is_dropped_and_counted() -> None:
    clock = Clock()
    one = shaper(clock, rate_limit={"lines_per_second": 10, "burst": 20, "over": "drop"})
    assert kept(one, 15) == list(range(1, 16))
    assert kept(one, 15, 16) == list(range(16, 21))
    assert kept(one, 5, 31) == []
    clock.now += 0.5
    assert kept(one, 15, 36) == list(range(36, 41))
    clock.now += 3_600  # no more than a burst is ever saved up
    assert len(kept(one, 100, 51)) == 20
    assert one.take_counts() == {"rate_limit": 10 + 5 + 10 + 80}
    assert one.delay(1_000) == 0


def test_a_burst_is_one_second_by_default_and_never_less_than_a_line() -> None:
    assert len(kept(shaper(rate_limit={"lines_per_second": 7, "over": "drop"}), 100)) == 7
    assert len(kept(shaper(rate_limit={"lines_per_second": 0.1, "over": "drop"}), 100)) == 1


def test_what_is_over_waits() -> None:
    clock = Clock()
    one = shaper(clock, rate_limit={"lines_per_second": 100, "burst": 50})
    chunk = make_chunk(["x"] * 500)
    assert one.apply(chunk, "") is chunk
    assert one.delay(50) == 0
    assert one.delay(25) == pytest.approx(0.25)
    assert one.delay(25) == pytest.approx(0.5)
    clock.now += 0.5
    assert one.delay(0) == 0
    assert one.delay(1) == pytest.approx(0.01)
    assert one.take_counts() == {}


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 500), min_size=1, max_size=50))
def test_who_waits_as_told_sends_no_more_than_the_rate(sizes: list[int]) -> None:
    clock = Clock()
    one = shaper(clock, rate_limit={"lines_per_second": 100, "burst": 50})
    start = clock.now
    for size in sizes:
        clock.now += one.delay(size)
    assert sum(sizes) <= 50 + 100 * (clock.now - start) + 1e-3


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    clock = Clock()
    one = shaper(clock, rate_limit={"lines_per_second": 1, "burst": 1, "over": "drop"})
    assert kept(one, 1) == [1]
    clock.now -= 50
    assert kept(one, 1, 2) == []


def test_samples_of_metrics_are_limited_too() -> None:
    one = shaper(rate_limit={"lines_per_second": 2, "over": "drop"})
    chunk = one.apply_metrics(samples(5), "")
    assert chunk is not None
    assert (len(chunk), chunk.seqs) == (2, None)
    assert one.apply_metrics(samples(5), "") is None
    assert one.take_counts() == {"rate_limit": 8}
    assert shaper(rate_limit={"lines_per_second": 2}).delay(4) == pytest.approx(1.0)
    assert shaper().delay(1_000_000) == 0
