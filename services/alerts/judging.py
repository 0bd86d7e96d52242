"""When a rule tells, and when it takes that back: nothing here asks anybody or waits."""

from datetime import datetime, timedelta

import msgspec

from hub import rfc3339
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.hearing import Bad, Ear


class Seen(msgspec.Struct, frozen=True):
    """What is so of a device, or of one of its series, at present.

    Args:
        subject: labels of the series as text; "" of a device.
        holds: what the rule looks for is so.
        since: from when on that is known.
        steady: it was so for all of the rule's time.
        is_calm: it is so little so that a rule that has told takes it back.
        fired, resolved: how that is said.
    """

    device: str
    host: str
    subject: str
    holds: bool
    since: datetime
    steady: bool
    is_calm: bool
    fired: str
    resolved: str


class Standing(msgspec.Struct, frozen=True):
    """Since when something holds, and whether somebody was told."""

    since: datetime
    firing: bool


class Verdict(msgspec.Struct, frozen=True):
    """What it is from now on, None where nothing is to be noted; and what there is to tell."""

    standing: Standing | None
    tells: c.State | None = None


def judge(rule: c.Rule, before: Standing | None, seen: Seen, now: datetime) -> Verdict:
    """Compare what was with what is.

    It tells once that something holds, and once that it does so no more; between `clear` and its
    bound a metric leaves everything as it is.
    """
    if not seen.holds:
        if before is not None and before.firing:
            return Verdict(None, "resolved") if seen.is_calm else Verdict(before)
        return Verdict(None)
    since = before.since if before is not None else seen.since
    if before is not None and before.firing:
        return Verdict(before)
    due = seen.steady and now - since >= timedelta(minutes=rule.minutes)
    return Verdict(Standing(since, due), "fired" if due else None)


def of_device(rule: c.Rule, device: peers.Device) -> Seen | None:
    """Look at whether a device is here; None of one that never was."""
    if device.last_seen_at is None:
        return None
    host = device.label or device.id
    micros = int(device.last_seen_at.timestamp() * 1_000_000)
    return Seen(
        device=device.id,
        host=host,
        subject="",
        holds=not device.online,
        since=device.last_seen_at,
        steady=True,
        is_calm=True,
        fired=f"{host} is offline, last seen {rfc3339(micros)[:19]}Z ({rule.name})",
        resolved=f"{host} is online again ({rule.name})",
    )


def of_series(rule: c.Rule, device: peers.Device, series: peers.RecentSeries) -> Seen:
    """Look at a series of a device."""
    host = device.label or device.id
    subject = ",".join(f"{name}={value}" for name, value in sorted(series.labels.items()))
    if rule.over is not None:
        word, bound = "over", rule.over
        holds, steady = series.newest > bound, series.least > bound
        is_calm = series.newest <= (bound if rule.clear is None else rule.clear)
    else:
        word, bound = "under", rule.under or 0.0
        holds, steady = series.newest < bound, series.most < bound
        is_calm = series.newest >= (bound if rule.clear is None else rule.clear)
    shown = f"{rule.metric}{{{subject}}}" if subject else rule.metric
    said = f"{word} {bound:g}"
    return Seen(
        device=device.id,
        host=host,
        subject=subject,
        holds=holds,
        since=series.newest_at,
        steady=steady,
        is_calm=is_calm,
        fired=f"{shown} of {host} is {said} for {rule.minutes} min: {series.newest:g} "
        f"({rule.name})",
        resolved=f"{shown} of {host} is no longer {said}: {series.newest:g} ({rule.name})",
    )


def of_bad_lines(rule: c.Rule, device: peers.Device, bad: Bad, now: datetime) -> Seen:
    """Look at how many bad lines a device sent."""
    host, bound = device.label or device.id, rule.over or 0.0
    worse = f"{rule.level} or worse"
    most, present = _lines_of(rule, worse, bad.most), _lines_of(rule, worse, bad.now)
    return Seen(
        device=device.id,
        host=host,
        subject="",
        holds=bad.most > bound,
        since=now - timedelta(minutes=rule.minutes),  # it has no other time to be so for
        steady=True,
        is_calm=bad.now <= (bound if rule.clear is None else rule.clear),
        fired=f"{most} of {host} within {rule.minutes} min ({rule.name})",
        resolved=f"only {present} of {host} within {rule.minutes} min ({rule.name})",
    )


def of_silence(rule: c.Rule, device: peers.Device, ear: Ear, now: datetime) -> Seen:
    """Look at whether a device speaks."""
    host = device.label or device.id
    wanted = timedelta(minutes=rule.minutes)
    last = ear.last(rule, device.id)
    silent = max(last or device.registered_at, ear.since)
    lines = _lines_of(rule)
    return Seen(
        device=device.id,
        host=host,
        subject="",
        holds=now - silent >= wanted and now >= ear.fair,
        since=silent,
        steady=True,
        is_calm=last is not None and now - last < wanted,
        fired=f"no {lines} of {host} for {rule.minutes} min ({rule.name})",
        resolved=f"{lines} of {host} again ({rule.name})",
    )


def _lines_of(rule: c.Rule, what: str = "", count: int | None = None) -> str:
    words = ["" if count is None else str(count), "line" if count == 1 else "lines", what]
    return " ".join(word for word in (*words, rule.stream and f"in {rule.stream}") if word)
