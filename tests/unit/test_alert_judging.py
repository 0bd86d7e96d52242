"""When alert rules tell, and when they take it back: by a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.errors import Invalid
from hub.structs import decode
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.judging import Standing, judge, of_device, of_series
from services.alerts.routes import AlertRuleBody

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rule(**changes: Any) -> c.Rule:
    """Make a rule."""
    values: dict[str, Any] = {
        "id": "alr_a", "number": 1, "account": "acc_a", "project": "prj_a", "name": "mine",
        "kind": "offline", "group": "", "severity": "err", "enabled": True, "minutes": 5,
        "metric": "", "over": None, "under": None, "clear": None, "version": 1,
        "created_at": NOW, "updated_at": NOW, "firing": 0,
        "device": "", "stream": "", "level": None,
    } | changes  # fmt: skip
    return c.Rule(**values)


def minutes(count: float) -> timedelta:
    """Give a time."""
    return timedelta(minutes=count)


def made(label: str = "", *, online: bool = True, seen: datetime | None = NOW) -> peers.Device:
    """Make a device."""
    return peers.Device("dev_a", 1, "prj_a", label, "", "active", online, NOW, seen)


class Story:
    """What one rule makes of one thing, minute by minute."""

    def __init__(self, **changes: Any) -> None:
        self.rule = rule(**changes)
        self.standing: Standing | None = None
        self.told: list[tuple[float, str]] = []
        self.at = 0.0

    def here(self, *, online: bool, seen: float) -> None:
        """Look at a device that was last seen at that minute."""
        device = made("pump", online=online, seen=NOW + minutes(seen))
        found = of_device(self.rule, device)
        assert found is not None
        self._judge(found)

    def values(self, *values: float) -> None:
        """Look at samples, the last of which is of now."""
        series = peers.RecentSeries(
            1, "dev_a", {}, min(values), max(values), values[-1], NOW + minutes(self.at)
        )
        self._judge(of_series(self.rule, made(), series))

    def _judge(self, seen: Any) -> None:
        verdict = judge(self.rule, self.standing, seen, NOW + minutes(self.at))
        self.standing = verdict.standing
        if verdict.tells is not None:
            self.told.append((self.at, verdict.tells))


def test_a_device_that_is_away_is_told_once_and_once_that_it_is_back() -> None:
    story = Story(minutes=5)
    for minute in range(30):
        story.at = minute
        away = 3 <= minute < 20
        story.here(online=not away, seen=3 if away else minute)
    assert story.told == [(8, "fired"), (20, "resolved")]


def test_one_that_comes_back_in_time_is_not_told() -> None:
    """Again and again."""
    story = Story(minutes=5)
    for minute in range(60):
        story.at = minute
        story.here(online=minute % 5 == 0, seen=minute - minute % 5)
    assert story.told == []


def test_one_that_was_away_before_the_rule_is_told_at_once() -> None:
    story = Story(minutes=5)
    story.here(online=False, seen=-100)
    assert story.told == [(0, "fired")]


def test_one_that_never_was_here_is_not_away() -> None:
    assert of_device(rule(), made(online=False, seen=None)) is None


def test_a_metric_has_to_be_over_its_bound_for_all_of_the_time() -> None:
    """One sample below it in between, and the time begins anew."""
    story = Story(kind="metric", metric="m", over=10.0, minutes=3)
    series = [11, 12, 9, 11, 12, 13, 14, 15, 16]
    for minute in range(len(series)):
        story.at = minute
        story.values(*series[max(0, minute - 3) : minute + 1])
    assert story.told == [(6, "fired")]


def test_between_clear_and_its_bound_nothing_changes() -> None:
    """Hysteresis: what goes up and down around the bound is told once."""
    story = Story(kind="metric", metric="m", over=10.0, clear=8.0, minutes=1)
    for minute, value in enumerate([11, 12, 9, 11, 9, 8.5, 12, 8, 9, 10, 11, 12]):
        story.at = minute
        story.values(value)
    assert story.told == [(1, "fired"), (7, "resolved"), (11, "fired")]


def test_under_a_bound() -> None:
    story = Story(kind="metric", metric="m", under=1.0, clear=2.0, minutes=1)
    for minute, value in enumerate([0.5, 0.5, 1.5, 2.0]):
        story.at = minute
        story.values(value)
    assert story.told == [(1, "fired"), (3, "resolved")]


def test_what_is_told_says_what_where_and_why() -> None:
    series = peers.RecentSeries(1, "dev_a", {"mount": "/data", "b": "c"}, 0.95, 0.97, 0.96, NOW)
    device = made("pump")
    full = rule(kind="metric", metric="disk_usage_ratio", over=0.9, name="full")
    seen = of_series(full, device, series)
    assert seen.fired == (
        "disk_usage_ratio{b=c,mount=/data} of pump is over 0.9 for 5 min: 0.96 (full)"
    )
    assert seen.resolved == (
        "disk_usage_ratio{b=c,mount=/data} of pump is no longer over 0.9: 0.96 (full)"
    )
    away = of_device(rule(name="away"), made(online=False))
    assert away is not None
    assert away.fired == "dev_a is offline, last seen 2026-11-23T12:00:00Z (away)"
    assert away.resolved == "dev_a is online again (away)"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "offline", "metric": "m"},
        {"kind": "offline", "over": 1.0},
        {"kind": "metric", "over": 1.0},
        {"kind": "metric", "metric": "m"},
        {"kind": "metric", "metric": "m", "over": 1.0, "under": 2.0},
        {"kind": "metric", "metric": "m", "over": 1.0, "clear": 2.0},
        {"kind": "metric", "metric": "m", "under": 1.0, "clear": 0.0},
        {"kind": "offline", "minutes": 0},
        {"kind": "noise"},
        {"kind": "silence", "over": 1.0},
        {"kind": "silence", "level": "err"},
        {"kind": "offline", "stream": "app"},
        {"kind": "offline", "group": "field", "device": "dev_a"},
        {"kind": "error-rate"},
        {"kind": "error-rate", "under": 1.0},
        {"kind": "error-rate", "over": 1.0, "metric": "m"},
        {"kind": "error-rate", "over": 1.0, "minutes": 61},
        {"kind": "error-rate", "over": -1.0},
        {"kind": "error-rate", "over": 1.0, "clear": 2.0},
    ],
)
def test_a_rule_that_means_nothing_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        decode(AlertRuleBody, {"name": "x"} | body)
