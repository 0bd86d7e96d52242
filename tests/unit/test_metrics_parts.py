"""Small parts of metrics: how they are drawn and named; whose hours are to be rolled up."""

import json
import math

import pytest

from hub.batches import MetricChunk
from hub.client.commands.metrics import BARS, WIDTH, number, sparkline
from hub.protocol import Samples
from hub.relay.samples import MetricPlace, TakenSamples
from hub.structs import decode
from services.telemetry.columns import HOUR, columns_of, due_hours, key_of
from services.telemetry.routes import MetricsQuery
from services.telemetry.settings import TelemetrySettings

NOW = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([3.0], "▁"),
        ([1.0, 1.0, 1.0], "▁▁▁"),
        ([0.0, 7.0, 3.0], "▁█▄"),
        ([float(n) for n in range(8)], BARS),
        ([-1e300, 1e300], "▁█"),
    ],
)
def test_a_sparkline(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_a_long_sparkline_is_put_together() -> None:
    drawn = sparkline([math.sin(n / 50) for n in range(1000)])
    assert len(drawn) == WIDTH
    assert {*drawn} <= {*BARS}
    assert "█" in drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), (0, "0"), (0.123456, "0.1235"), (9999, "9999"), (12_345, "12.35k"),
     (-5e9, "-5000M"), (2.5e13, "25T")],
)  # fmt: skip
def test_a_number(value: float | None, text: str | None) -> None:
    assert number(value) == text


def taken(samples: Samples, *, project: str = "prj_a", received: int = NOW) -> TakenSamples:
    """Give samples as the feed does."""
    chunk = MetricChunk(project, "dev_a", "", "metric.cpu", 1, 1, received, samples)
    return TakenSamples(0, MetricPlace(1, 1), [chunk])


def test_labels_in_another_order_are_the_same_series() -> None:
    """And what only looks alike is not."""
    samples = Samples([1, 2, 3], "n", [1, 2, 3], [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {}])
    columns = columns_of(taken(samples), {"prj_a": "acc_a"}, now=NOW)
    first, second, third = (row.key for row in columns.rows)
    assert first == second != third
    assert json.loads(columns.series[first].labels) == {"a": "1", "b": "2"}
    assert (
        len(
            {
                key_of("d", "cpu", "n", b"{}"),
                key_of("d", "cpun", "", b"{}"),
                key_of("dc", "pu", "n", b"{}"),
            }
        )
        == 3
    )


def test_what_belongs_to_nobody_is_left_out() -> None:
    assert columns_of(taken(Samples([1], "n", [1])), {"prj_b": "acc_b"}, now=NOW).rows == []


def test_a_time_to_come_is_that_of_the_hub() -> None:
    """Also where the relay's own clock was ahead."""
    ahead = NOW + HOUR
    for received in (NOW, ahead, 0):
        samples = taken(Samples([ahead, NOW - 5], "n", [1, 2]), received=received)
        columns = columns_of(samples, {"prj_a": "acc_a"}, now=NOW)
        assert [row.at for row in columns.rows] == [NOW, NOW - 5]


def test_a_late_sample_concerns_the_next_hour_as_well() -> None:
    present = NOW - NOW % HOUR
    samples = Samples([present + 1, present - 1, present - 3 * HOUR], "n", [1, 2, 3])
    columns = columns_of(taken(samples), {"prj_a": "acc_a"}, now=NOW)
    hours = sorted(hour for _, hour in due_hours(columns.rows, NOW))
    assert [hour * 1_000_000 for hour in hours] == [
        present - 3 * HOUR, present - 2 * HOUR, present - HOUR, present,
    ]  # fmt: skip


def test_what_is_kept_longer_is_coarser() -> None:
    with pytest.raises(ValueError, match="go up"):
        TelemetrySettings(keep_days=100)
    assert TelemetrySettings(keep_days=90, keep_rollup_days=90).keep_fine_days == 90


@pytest.mark.parametrize(
    ("since", "until"),
    [(None, "0001-01-01T00:00:00Z"), ("0001-01-01T00:00:00Z", None), ("9999-12-31T23:59:59Z", None),
     (None, "9999-12-31T23:59:59Z"), (None, None)],
)  # fmt: skip
def test_any_two_moments_make_a_span(since: str | None, until: str | None) -> None:
    """What is wrong with them is said later; without a name there is none."""
    given = {key: value for key, value in (("since", since), ("until", until)) if value}
    query = decode(MetricsQuery, {"name": "n"} | given)
    span = query.span
    assert span is not None
    assert since is None or span.start.year == int(since[:4])
    assert decode(MetricsQuery, given).span is None
