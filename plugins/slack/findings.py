"""Which lines of a batch are worth telling."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

from hub import SEVERITIES, Batch, Chunk
from plugins.slack.config import Rule

SHOWN: Final = 5
"""Examples from the beginning, and as many from the end."""

_LEVELS: Final = {name: level for level, name in enumerate(SEVERITIES)}


@dataclass(frozen=True, slots=True)
class Example:
    """One line that is shown; `time` in microseconds since the Unix epoch."""

    time: int
    host: str
    program: str
    severity: str
    message: str


@dataclass(slots=True)
class Finding:
    """What matched one rule.

    Args:
        hosts: lines of each host.
    """

    rule: Rule
    count: int = 0
    hosts: dict[str, int] = field(default_factory=dict)
    first: list[Example] = field(default_factory=list)
    last: deque[Example] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def add(self, chunk: Chunk, indexes: Sequence[int]) -> None:
        """Count some lines of a chunk."""
        self.count += len(indexes)
        self.hosts[chunk.host] = self.hosts.get(chunk.host, 0) + len(indexes)
        begun = max(SHOWN - len(self.first), 0)
        self.first += [_example(chunk, index) for index in indexes[:begun]]
        self.last += [_example(chunk, index) for index in indexes[begun:][-SHOWN:]]


class Watch:
    """The rules of one config, compiled."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._conditions = [_Condition(rule) for rule in rules]

    def findings(self, batch: Batch) -> list[Finding]:
        """Give what is to be told of a batch, by rule, in the order of the rules."""
        findings = [Finding(condition.rule) for condition in self._conditions]
        for chunk in batch.chunks:
            left: Sequence[int] = range(len(chunk))
            for condition, finding in zip(self._conditions, findings, strict=True):
                matched = condition.matched(chunk, left)
                if matched:
                    finding.add(chunk, matched)
                    known = set(matched)
                    left = [index for index in left if index not in known]
        return [found for found in findings if found.count >= found.rule.at_least]


class _Condition:
    """One rule, compiled."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._level = None if rule.severity is None else _LEVELS[rule.severity]
        self._programs = frozenset(rule.programs)
        self._pattern: Any = rule.pattern()

    def matched(self, chunk: Chunk, indexes: Sequence[int]) -> list[int]:
        """Give which of these lines match; what is cheap to ask is asked first."""
        lines, level = chunk.lines, self._level
        if level is not None:
            if isinstance(lines.priorities, int):
                indexes = indexes if lines.priorities & 7 <= level else []
            else:
                severe = [priority & 7 <= level for priority in lines.priorities]
                indexes = list(compress(indexes, map(severe.__getitem__, indexes)))
        if self._programs:
            programs = lines.program_column()
            indexes = [index for index in indexes if programs[index] in self._programs]
        if text := self.rule.text:
            indexes = [index for index in indexes if text in lines.messages[index]]
        if self._pattern is not None:
            search = self._pattern.search
            indexes = [
                index
                for index in indexes
                if search(lines.messages[index].encode("utf-8", "replace")) is not None
            ]
        return list(indexes)


def _example(chunk: Chunk, index: int) -> Example:
    lines = chunk.lines.slice(index, index + 1)
    return Example(
        lines.times[0],
        chunk.host,
        lines.program_column()[0],
        SEVERITIES[lines.priority_column()[0] & 7],
        lines.messages[0],
    )
