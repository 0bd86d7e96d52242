"""Which lines go there: conditions, decided for a whole chunk wherever one answer fits all."""

from collections.abc import Callable, Sequence
from typing import Final

from hub.batches import Chunk, MetricChunk
from hub.shaping.checks import Problems
from hub.shaping.patterns import Pattern, Texts
from hub.shaping.rules import SEVERITIES, Filter, Match
from hub.shaping.selection import Mask, both, either, neither, select
from hub.structs import pointer

_LEVELS: Final = {name: level for level, name in enumerate(SEVERITIES)}


def as_severe(priorities: int | Sequence[int], severity: str) -> Mask:
    """Give which lines are as severe as this, or more (a smaller number is more severe)."""
    level = _LEVELS[severity]
    if isinstance(priorities, int):
        return priorities & 7 <= level
    return [priority & 7 <= level for priority in priorities]


class Condition:
    """One `Match`, compiled.

    Args:
        at: its place in the shape, as a JSON pointer.
    """

    def __init__(self, match: Match, at: str) -> None:
        self._streams = frozenset(match.streams)
        self._devices = frozenset(match.devices)
        self._groups = frozenset(match.groups)
        self._programs = frozenset(match.programs)
        self._severity = match.severity
        self._text = match.text
        self._pattern = Pattern(match.regex, f"{at}/regex") if match.regex else None
        self.needs_group = bool(match.groups)
        self.of_lines = bool(match.severity or match.programs or match.text or match.regex)

    def may_match(self, stream: str, device: str, group: str | None) -> bool:
        """Say whether a line from there may match; a group that is not known may be any."""
        return (
            (not self._streams or stream in self._streams)
            and (not self._devices or device in self._devices)
            and (not self._groups or group is None or group in self._groups)
            and not (self.of_lines and is_metric(stream))
        )

    def matches_all(self, stream: str, device: str, group: str | None) -> bool:
        """Say whether every line from there surely matches."""
        known = not self._groups or group is not None
        return not self.of_lines and known and self.may_match(stream, device, group)

    def mask(self, chunk: Chunk, group: str, texts: Texts) -> Mask:
        """Give the lines that match; what is cheap is asked first."""
        if not self.may_match(chunk.stream, chunk.device, group):
            return False
        mask: Mask = True
        for condition in self._line_conditions(chunk, texts):
            mask = both(mask, condition())
            if mask is False:
                return False
        return mask

    def _line_conditions(self, chunk: Chunk, texts: Texts) -> Sequence[Callable[[], Mask]]:
        lines, conditions = chunk.lines, list[Callable[[], Mask]]()
        if severity := self._severity:
            conditions.append(lambda: as_severe(lines.priorities, severity))
        if self._programs:
            conditions.append(lambda: self._of_programs(lines.programs))
        if self._text:
            conditions.append(lambda: self._with_text(texts))
        if pattern := self._pattern:
            conditions.append(lambda: pattern.where(texts) or False)
        return conditions

    def _of_programs(self, programs: str | list[str]) -> Mask:
        wanted = self._programs
        if isinstance(programs, str):
            return programs in wanted
        return [program in wanted for program in programs]

    def _with_text(self, texts: Texts) -> Mask:
        text = self._text
        if text not in texts.joined:
            return False
        return [text in message for message in texts.messages]


class FilterStep:
    """A `Filter`, compiled."""

    def __init__(self, rule: Filter, problems: Problems) -> None:
        self._include = _conditions(rule.include, "include", problems)
        self._exclude = _conditions(rule.exclude, "exclude", problems)
        self.needs_groups = any(one.needs_group for one in self._include + self._exclude)

    def may_admit(self, stream: str, device: str, group: str | None) -> bool:
        """Say, of lines that were not read yet, whether any of them can pass."""
        where = (stream, device, group)
        if self._include and not any(one.may_match(*where) for one in self._include):
            return False
        return not any(one.matches_all(*where) for one in self._exclude)

    def apply(self, chunk: Chunk, group: str, texts: Texts) -> Chunk | None:
        """Give the lines that pass."""
        mask: Mask = not self._include
        for included in self._include:
            mask = either(mask, included.mask(chunk, group, texts))
            if mask is True:
                break
        for excluded in self._exclude:
            if mask is False:
                return None
            mask = both(mask, neither(excluded.mask(chunk, group, texts)))
        return select(chunk, mask)

    def apply_metrics(self, chunk: MetricChunk, group: str) -> MetricChunk | None:
        """Give the chunk or nothing: no condition tells one sample from another."""
        return chunk if self.may_admit(chunk.stream, chunk.device, group) else None


def is_metric(stream: str) -> bool:
    """Say whether a stream carries samples, which have no text, program or severity."""
    return stream.startswith("metric.")


def _conditions(matches: Sequence[Match], kind: str, problems: Problems) -> list[Condition]:
    made = list[Condition]()
    for index, match in enumerate(matches):
        with problems.gathered():
            made.append(Condition(match, pointer("filter", kind, index)))
    return made
