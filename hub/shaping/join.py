"""Joining lines that belong together, across the batches in which they came."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from hub.batches import Chunk
from hub.protocol import Lines
from hub.shaping.patterns import Pattern, Texts, to_bytes
from hub.shaping.rules import Join
from hub.shaping.traces import Begun, StackTraces

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Joined(Generic[S]):
    """Lines that can go.

    Args:
        finishes: once they are delivered, the first n lines of each of these sources are done,
            counted from the first line that was given to `add` with it.
    """

    chunk: Chunk
    finishes: tuple[tuple[S, int], ...]


class Continuation(Protocol):
    """What tells whether a line continues the one before it."""

    def notable(self, texts: Texts) -> Sequence[bool] | None:
        """Say which lines have to be asked about even where nothing is begun; None for none."""
        ...

    def step(self, begun: Begun, message: str) -> tuple[bool, Begun]:
        """Say whether a line continues the one before it, and what is begun after it."""
        ...


class _Continues:
    """The user's pattern is found in lines that continue."""

    def __init__(self, source: str) -> None:
        self._pattern = Pattern(source, "/join/continues")

    def notable(self, texts: Texts) -> Sequence[bool] | None:
        return self._pattern.where(texts)

    def step(self, begun: Begun, message: str) -> tuple[bool, Begun]:
        return True, begun  # only notable lines are asked about


class _Starts:
    """The user's pattern is found in lines that do not."""

    def __init__(self, source: str) -> None:
        self._pattern = Pattern(source, "/join/starts")

    def notable(self, texts: Texts) -> Sequence[bool] | None:
        starts = self._pattern.where(texts)
        if starts is None:
            return [True] * len(texts.messages)
        return None if False not in starts else [not start for start in starts]

    def step(self, begun: Begun, message: str) -> tuple[bool, Begun]:
        return True, begun


def continuation(rule: Join) -> Continuation:
    """Compile what a rule says of continuing lines.

    Raises:
        Invalid: its pattern is wrong.
    """
    if rule.continues:
        return _Continues(rule.continues)
    return _Starts(rule.starts) if rule.starts else StackTraces()


class _Group(Generic[S]):
    """A line that is held, with what continues it so far.

    Args:
        chunk: its lines from `start` on are the group.
        extent: of them together; None when it is one line.
    """

    def __init__(self, chunk: Chunk, start: int, source: S, extent: "_Extent | None") -> None:
        self.first = chunk.part(start, start + 1)
        self.begun = Begun.NOTHING
        self.deadline = 0.0
        self._messages = chunk.lines.messages[start:]
        self._priorities = chunk.lines.priority_column()[start:]
        self._sources = [(source, len(chunk))]
        self.extent = extent or _Extent(_program(chunk.lines, start), self._messages[0])

    def extend(self, lines: Lines, source: S, count: int) -> None:
        """Add the first lines of another source."""
        self._messages += lines.messages[:count]
        self._priorities += lines.priority_column()[:count]
        self._sources.append((source, count))

    def joined(self) -> Joined[S]:
        """Give them as one line."""
        first = self.first.lines
        priority = _most_severe(self._priorities)
        lines = Lines(first.times, [priority], first.programs, ["\n".join(self._messages)])
        return Joined(replace(self.first, lines=lines), tuple(self._sources))


class _Extent:
    """How much is in a line and what continues it, and of which program they are."""

    __slots__ = ("count", "first", "program", "size")

    def __init__(self, program: str, first: str) -> None:
        self.program = program
        self.first = first
        self.count = 1
        self.size: int | None = None  # bytes, once something continues it

    def take(self, message: str, rule: Join) -> bool:
        """Take one more line if there is room for it."""
        size = len(to_bytes(self.first)) if self.size is None else self.size
        size += 1 + len(to_bytes(message))
        if self.count == rule.max_lines or size > rule.max_bytes:
            return False
        self.count += 1
        self.size = size
        return True


class Joiner(Generic[S]):
    """Holds the last line of each device's stream until it is sure that nothing continues it.

    Raises:
        Invalid: the rule's pattern is wrong.
    """

    def __init__(self, rule: Join) -> None:
        self._rule = rule
        self._continuation = continuation(rule)
        # The wait is the same for all, so the order of the last change is that of the deadlines.
        self._held: dict[tuple[str, str], _Group[S]] = {}

    def add(self, chunk: Chunk, source: S, now: float) -> list[Joined[S]]:
        """Take lines in; give those that are whole.

        Args:
            chunk: its lines are the first ones of `source` (or those after what was done of it).
            now: monotonic seconds.
        """
        if not len(chunk):
            return []
        key = chunk.device, chunk.stream
        held = self._held.pop(key, None)
        whole: list[Joined[S]] = []
        if held is not None and held.first.boot != chunk.boot:
            whole.append(held.joined())
            held = None
        starts, begun, extent = self._starts(chunk, held)
        lead = starts[0] if starts else len(chunk)
        if held is not None and lead:
            held.extend(chunk.lines, source, lead)
        if starts:
            if held is not None:
                whole.append(held.joined())
            last = starts[-1]
            if last > lead:
                whole.append(Joined(_joined_part(chunk, starts), ((source, last),)))
            held = _Group(chunk, last, source, extent)
        assert held is not None  # the first line of a chunk begins a group where none is held
        held.begun, held.deadline = begun, now + self._rule.wait
        self._held[key] = held
        return whole

    def due(self) -> float | None:
        """Give the monotonic time at which something held has to go; None when nothing is held."""
        return next((held.deadline for held in self._held.values()), None)

    def flush(self, now: float | None) -> list[Joined[S]]:
        """Give what is held and due by `now`; None for all of it."""
        due = [key for key, held in self._held.items() if now is None or held.deadline <= now]
        return [self._held.pop(key).joined() for key in due]

    def _starts(
        self, chunk: Chunk, held: _Group[S] | None
    ) -> tuple[Sequence[int], Begun, _Extent | None]:
        """Give the lines that continue none, what is begun at the end, and how long the last is."""
        lines, rule = chunk.lines, self._rule
        notable = self._continuation.notable(Texts(lines.messages))
        begun = Begun.NOTHING if held is None else held.begun
        if notable is None and begun is Begun.NOTHING:
            return range(len(chunk)), begun, None
        extent = None if held is None else held.extent
        starts = list[int]()
        for index, message in enumerate(lines.messages):
            program = _program(lines, index)
            if extent is not None and program != extent.program:
                extent, begun = None, Begun.NOTHING
            continues = False
            if begun is not Begun.NOTHING or (notable is not None and notable[index]):
                continues, begun = self._continuation.step(begun, message)
            if not (continues and extent is not None and extent.take(message, rule)):
                extent = _Extent(program, message)
                starts.append(index)
        return starts, begun, extent


def _joined_part(chunk: Chunk, starts: Sequence[int]) -> Chunk:
    """Give all groups but the last, each as one line."""
    begin, last = starts[0], starts[-1]
    if last - begin == len(starts) - 1:
        return chunk.part(begin, last)
    lines, numbers = chunk.lines, chunk.numbers()
    priorities, programs, messages = lines.priorities, lines.programs, lines.messages
    firsts, groups = starts[:-1], list(pairwise(starts))
    return replace(
        chunk,
        first=numbers[begin],
        seqs=[numbers[first] for first in firsts],
        lines=Lines(
            [lines.times[first] for first in firsts],
            priorities
            if isinstance(priorities, int)
            else [_most_severe(priorities[first:end]) for first, end in groups],
            programs if isinstance(programs, str) else [programs[first] for first in firsts],
            ["\n".join(messages[first:end]) for first, end in groups],
        ),
    )


def _program(lines: Lines, index: int) -> str:
    return lines.programs if isinstance(lines.programs, str) else lines.programs[index]


def _most_severe(priorities: Sequence[int]) -> int:
    """Give the first one's facility with the most severe of their severities."""
    return priorities[0] & ~7 | min(priority & 7 for priority in priorities)
