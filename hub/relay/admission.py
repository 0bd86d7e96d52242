"""What each project may send, by rate and by day: pure rules, without I/O.

A bucket holds what may be sent in `BURST` seconds. A batch passes while the bucket is above zero,
and may take it below: so a batch larger than a second's share passes too, and the next one waits
longer for it. What comes in stays within the rate, plus one burst and one batch.
"""

import datetime as dt
import functools
from dataclasses import dataclass
from typing import Final

import msgspec

from hub.relay.contracts import ProjectLimits
from hub.relay.counts import CountKey
from hub.relay.streams import KINDS

BURST: Final = 2.0  # seconds
LONGEST: Final = 300.0  # seconds that anybody is asked to wait at once: limits may be raised
SHORTEST: Final = 0.1
_DAY: Final = 86_400.0


class Rates(msgspec.Struct, frozen=True):
    """What holds for a project that has no limits of its own; 0 is no limit."""

    lines_per_second: float = 0.0
    bytes_per_second: float = 0.0
    lines_per_day: int = 0

    def of(self, limits: ProjectLimits) -> "Rates":
        """Give what holds for a project that has these."""
        lines, size, day = limits.lines_per_second, limits.bytes_per_second, limits.lines_per_day
        return Rates(
            self.lines_per_second if lines is None else lines,
            self.bytes_per_second if size is None else size,
            self.lines_per_day if day is None else day,
        )


class Bucket:
    """A token bucket that may go into debt.

    Args:
        rate: a second; 0 is no limit.
        now: in seconds, as in all methods.
    """

    __slots__ = ("_at", "_balance", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._balance = rate * BURST
        self._at = now

    def change(self, rate: float, now: float) -> None:
        """Go on with another rate; what was sent until now counts."""
        if rate == self._rate:
            return
        fresh = self._rate == 0
        self._refill(now)
        self._rate = rate
        self._balance = rate * BURST if fresh else min(self._balance, rate * BURST)

    def wait(self, now: float) -> float:
        """Give the seconds until something may pass; 0 when it may now."""
        if self._rate == 0:
            return 0.0
        self._refill(now)
        return 0.0 if self._balance > 0 else -self._balance / self._rate + SHORTEST

    def take(self, amount: float) -> None:
        """Note that so much has passed."""
        if self._rate:
            self._balance -= amount

    def _refill(self, now: float) -> None:
        passed = max(0.0, now - self._at)  # a clock that went back gives nothing
        self._at = now
        self._balance = min(self._rate * BURST, self._balance + passed * self._rate)


def day_of(now: float) -> str:
    """Give the day in UTC of a moment in Unix seconds, as `2026-11-23`."""
    return _name_of_day(int(now // _DAY))


@functools.lru_cache(maxsize=4)  # every batch is asked for its day
def _name_of_day(number: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=number)).isoformat()


def until_midnight(now: float) -> float:
    """Give the seconds until the next day begins in UTC."""
    return _DAY - now % _DAY


@dataclass(slots=True)
class _Account:
    """One kind of what one project sends."""

    lines: Bucket
    bytes: Bucket
    per_day: int
    day: str = ""
    used: int = 0

    def begin_day(self, day: str) -> None:
        if day != self.day:
            self.day, self.used = day, 0


class Admission:
    """The accounts of all projects.

    Args:
        defaults: of a project whose own limits are not known.
    """

    def __init__(self, defaults: Rates) -> None:
        self._defaults = defaults
        self._accounts: dict[CountKey, _Account] = {}
        self._learned: set[str] = set()

    def ask(
        self, key: CountKey, lines: int, size: int, now: float, *, overdraw: bool = False
    ) -> float:
        """Let so many lines pass, or give the seconds that they have to wait.

        Args:
            size: bytes of the batch as it came.
            now: Unix seconds.
            overdraw: let them pass, whatever the limits say; they count all the same.
        """
        wait = 0.0 if overdraw else self.wait(key, now)
        if wait:
            return wait
        account = self._account(key, now)
        account.begin_day(day_of(now))
        account.lines.take(lines)
        account.bytes.take(size)
        account.used += lines
        return 0.0

    def wait(self, key: CountKey, now: float) -> float:
        """Give the seconds until lines may pass; 0 when they may now."""
        account = self._account(key, now)
        account.begin_day(day_of(now))
        wait = max(account.lines.wait(now), account.bytes.wait(now))
        if account.per_day and account.used >= account.per_day:
            wait = max(wait, until_midnight(now))
        return min(max(wait, SHORTEST), LONGEST) if wait else 0.0

    def learn(self, project: str, limits: ProjectLimits, now: float) -> None:
        """Take a project's limits; the first time also what it sent today before we started."""
        first = project not in self._learned
        self._learned.add(project)
        today = day_of(now)
        rates = self._defaults.of(limits)
        for kind in KINDS:
            account = self._account(CountKey(kind, project), now)
            account.lines.change(rates.lines_per_second, now)
            account.bytes.change(rates.bytes_per_second, now)
            account.per_day = rates.lines_per_day
            account.begin_day(today)
            if first and limits.day == today:
                account.used += limits.lines if kind == "log" else limits.samples

    def _account(self, key: CountKey, now: float) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            rates = self._defaults
            account = self._accounts[key] = _Account(
                Bucket(rates.lines_per_second, now),
                Bucket(rates.bytes_per_second, now),
                rates.lines_per_day,
            )
        return account


class Share:
    """Places that projects share: while others come too, none may hold more than a quarter.

    Args:
        places: of all of them together.
    """

    _RECENT: Final = 10.0  # seconds for which a project counts as one that comes

    def __init__(self, places: int) -> None:
        self._quarter = max(1, places // 4)
        self._held: dict[str, int] = {}
        self._seen: dict[str, float] = {}  # the one that came last is the last

    def has_place(self, project: str, now: float) -> bool:
        """Say whether one more of this project's may be held; it counts as having come."""
        self._seen.pop(project, None)
        self._seen[project] = now
        while len(self._seen) > 1:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] < self._RECENT:
                break
            del self._seen[oldest]
        return len(self._seen) == 1 or self._held.get(project, 0) < self._quarter

    def take(self, project: str) -> None:
        """Hold one more."""
        self._held[project] = self._held.get(project, 0) + 1

    def give_back(self, project: str) -> None:
        """Hold one less."""
        left = self._held[project] - 1
        if left:
            self._held[project] = left
        else:
            del self._held[project]
