"""What was heard of one project's devices: when each spoke last, and how many lines were bad."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from hub import SEVERITIES, HeardLines, LinePlace
from services.alerts import contracts as c

BUCKET: Final = 10
"""Seconds of lines that are counted as one: a time is as long as it says, give or take that."""


class Bad(NamedTuple):
    """Lines of a device within a rule's time: the most of any since the last look, and of now."""

    most: int
    now: int


class Needs(msgspec.Struct, frozen=True):
    """What a project's rules have to know of lines.

    Args:
        levels: the severities from which on lines are counted, as numbers; none counts none.
        reach: seconds back for which that has to be known.
    """

    levels: frozenset[int] = frozenset()
    reach: int = 0

    @classmethod
    def of(cls, rules: Iterable[c.Rule]) -> "Needs":
        """Put together what these rules need."""
        counting = [rule for rule in rules if rule.kind == "error-rate"]
        return cls(
            frozenset(level_of(rule) for rule in counting),
            max((rule.minutes * 60 for rule in counting), default=0),
        )

    def covers(self, other: "Needs") -> bool:
        """Say whether who knows this knows that."""
        return self.levels >= other.levels and self.reach >= other.reach


class Ear:
    """What is known of a project; in memory, but for what `Listener` writes down.

    Args:
        since: from when on it is listened, but for times in which nobody did.
        until: up to when all is known.
        place: from which on is to be read.
        heard: when a device was heard last, by its id and its stream.
        fair: from when on silence can be told: devices need a while to be back.

    `tried` is when it was read last, be it not to the end.
    """

    def __init__(
        self,
        since: datetime,
        until: datetime,
        place: LinePlace,
        heard: dict[tuple[str, str], datetime],
        fair: datetime,
    ) -> None:
        self.since = since
        self.until = until
        self.looked = until
        self.tried = until
        self.place = place
        self.heard = heard
        self.fair = fair
        self.fresh: set[tuple[str, str]] = set()
        self.needs = Needs()
        self._counts: dict[tuple[str, str, int], defaultdict[int, int]] = {}

    def need(self, needs: Needs, now: datetime) -> None:
        """Know what rules need; what was not counted so far is read once more."""
        if self.needs.covers(needs):
            self.needs = needs
            return
        self.needs = needs
        self._counts.clear()
        beginning = round((now.timestamp() - needs.reach) * 1e9)
        self.place = min(self.place, LinePlace(beginning), key=lambda place: place.time)

    def note(self, lines: HeardLines) -> None:
        """Take note of a batch."""
        self.place = lines.place
        key = (lines.device, lines.stream)
        at = datetime.fromtimestamp(lines.place.time / 1e9, UTC)
        before = self.heard.get(key)
        if before is None or before < at:
            self.heard[key] = at
            self.fresh.add(key)
        if not lines.severities:
            return
        for level in self.needs.levels:
            if bad := sum(lines.severities[: level + 1]):
                counts = self._counts.setdefault((*key, level), defaultdict(int))
                counts[bucket_of(at)] += bad

    def caught_up(self, now: datetime) -> None:
        """Take note that all up to now was heard; forget what nobody can ask for any more."""
        self.looked, self.until = self.until, now
        self.tried = now
        oldest = bucket_of(now) - self.needs.reach // BUCKET - 10
        for key, counts in [*self._counts.items()]:
            for bucket in [bucket for bucket in counts if bucket < oldest]:
                del counts[bucket]
            if not counts or key[2] not in self.needs.levels:
                del self._counts[key]

    def bad(self, rule: c.Rule, device: str) -> Bad:
        """Count the lines of a device that are as bad as a rule says, or worse, in its time."""
        level, width = level_of(rule), rule.minutes * 60 // BUCKET
        counts: defaultdict[int, int] = defaultdict(int)
        for stream in [rule.stream] if rule.stream else c.STREAMS:
            for bucket, count in self._counts.get((device, stream, level), {}).items():
                counts[bucket] += count

        def within(end: int) -> int:
            return sum(n for bucket, n in counts.items() if end - width < bucket <= end)

        first, last = bucket_of(self.looked), bucket_of(self.until)
        present = within(last)
        peaks = (within(end) for end in counts if first <= end < last)
        return Bad(max((present, *peaks)), present)

    def last(self, rule: c.Rule, device: str) -> datetime | None:
        """Say when a device was heard last in a rule's stream, or in any."""
        streams = [rule.stream] if rule.stream else c.STREAMS
        found = [at for stream in streams if (at := self.heard.get((device, stream))) is not None]
        return max(found, default=None)


def bucket_of(at: datetime) -> int:
    """Number the bucket of a moment."""
    return int(at.timestamp()) // BUCKET


def level_of(rule: c.Rule) -> int:
    """Give the number of the severity from which on a rule counts."""
    return SEVERITIES.index(rule.level or "err")
