"""Rules for what is worth telling somebody, for destinations that are no firehose."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Annotated

import msgspec

from hub.batches import Batch, Chunk, Line
from hub.errors import Invalid
from hub.shaping.filters import Condition
from hub.shaping.patterns import Texts
from hub.shaping.rules import Match, Names, Regex, Severity, Text
from hub.shaping.selection import Mask, both, neither, select


class AlertRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines that are worth telling: those for which everything holds that is given.

    Args:
        name: what they are called then.
        severity: this one or a more severe one (`err` also matches `crit`).
        text: part of the message, as it is written.
        regex: found somewhere in the message (RE2 syntax: it never backtracks).
        programs: any of these, by name.
        at_least: lines that have to match within one message's time, or nothing is said.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    severity: Severity | None = None
    text: Text = ""
    regex: Regex = ""
    programs: Names = ()
    at_least: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1

    def __post_init__(self) -> None:
        try:
            self.condition()
        except Invalid as error:
            raise ValueError(f"regex: {error.detail}") from None

    def condition(self) -> Condition:
        """Compile it.

        Raises:
            Invalid: RE2 refuses `regex`.
        """
        match = Match(
            severity=self.severity, text=self.text, regex=self.regex, programs=self.programs
        )
        return Condition(match, "")


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of one chunk that matched.

    Args:
        at: their indexes in the batch.
        chunk: of these lines alone.
    """

    at: Sequence[int]
    chunk: Chunk


@dataclass(slots=True)
class Finding:
    """What matched one rule in a batch, in order."""

    rule: AlertRule
    parts: list[Part] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many lines it is."""
        return sum(len(part.at) for part in self.parts)

    @property
    def hosts(self) -> dict[str, int]:
        """Lines by host, in the order in which they came."""
        counts: dict[str, int] = {}
        for part in self.parts:
            counts[part.chunk.host] = counts.get(part.chunk.host, 0) + len(part.at)
        return counts

    def first(self, most: int) -> list[Line]:
        """Give the first lines."""
        lines: list[Line] = []
        for part in self.parts:
            lines += Batch("", (part.chunk.part(0, most - len(lines)),))
            if len(lines) >= most:
                break
        return lines

    def last(self, most: int) -> list[Line]:
        """Give the last lines, in their order."""
        lines: list[Line] = []
        for part in reversed(self.parts):
            if len(lines) >= most:
                break
            start = max(0, len(part.at) - (most - len(lines)))
            lines = [*Batch("", (part.chunk.part(start),)), *lines]
        return lines


class Watch:
    """Rules, compiled."""

    def __init__(self, rules: Sequence[AlertRule]) -> None:
        self._rules = [(rule, rule.condition()) for rule in rules]

    def findings(self, batch: Batch) -> list[Finding]:
        """Give what is to be told of a batch, in the order of the rules.

        A line counts for the first rule that it matches.
        """
        findings = [Finding(rule) for rule, _ in self._rules]
        offset = 0
        for chunk in batch.chunks:
            indexes = range(offset, offset := offset + len(chunk))
            texts = Texts(chunk.lines.messages)
            left: Mask = True
            for (_, condition), finding in zip(self._rules, findings, strict=True):
                matched = both(left, condition.mask(chunk, "", texts))
                found = select(chunk, matched)
                if found is not None:
                    at = indexes if isinstance(matched, bool) else [*compress(indexes, matched)]
                    finding.parts.append(Part(at, found))
                    left = both(left, neither(matched))
        return [found for found in findings if found.count >= found.rule.at_least]
