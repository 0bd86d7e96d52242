"""The letters of one source, by their places: 16 bytes of memory for each, for there are many."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

_COMPACT: Final = 1_024  # gone ones at the front from which on their memory is given back


class Taken(NamedTuple):
    """What was taken from a shelf; `weight` as in `Shelf.put`."""

    letters: int = 0
    lines: int = 0
    weight: int = 0


class Shelf:
    """Letters in the order of their places; one that is gone weighs nothing."""

    def __init__(self) -> None:
        self._places = array("Q")
        self._weights = array("I")
        self._lines = array("I")
        self._front = 0
        self.letters = 0
        self.lines = 0
        self.weight = 0
        self.changes = 0
        """How many times a letter came or went."""

    def put(self, place: int, weight: int, lines: int) -> None:
        """Put a letter in its place, or another one in the place of one.

        Args:
            weight: bytes that it counts for, more than 0.
        """
        at = self._at(place)
        if at == len(self._places):
            self._places.append(place)
            self._weights.append(weight)
            self._lines.append(lines)
        elif self._places[at] == place:
            self._clear(at)
            self._weights[at], self._lines[at] = weight, lines
        else:
            self._places.insert(at, place)
            self._weights.insert(at, weight)
            self._lines.insert(at, lines)
        self.letters += 1
        self.lines += lines
        self.weight += weight
        self.changes += 1

    def take(self, place: int) -> Taken:
        """Take a letter away, if it is here."""
        at = self._at(place)
        if at == len(self._places) or self._places[at] != place:
            return Taken()
        taken = self._clear(at)
        self._tidy()
        return taken

    def take_before(self, place: int) -> Taken:
        """Take all letters away whose places are before this one."""
        letters, lines, weight = self.letters, self.lines, self.weight
        for at in range(self._front, self._at(place)):
            self._clear(at)
        self._tidy()
        return Taken(letters - self.letters, lines - self.lines, weight - self.weight)

    def before(self, weight: int) -> int:
        """Give the place before which the oldest letters lie that weigh so much, or all."""
        found = 0
        for at in range(self._front, len(self._places)):
            found += self._weights[at]
            if found >= weight:
                return self._places[at] + 1
        return self._places[-1] + 1 if self._places else 0

    def __iter__(self) -> Iterator[int]:
        """Give the place of each, in order."""
        for at in range(self._front, len(self._places)):
            if self._weights[at]:
                yield self._places[at]

    def _at(self, place: int) -> int:
        if not self._places or place > self._places[-1]:
            return len(self._places)
        return bisect_left(self._places, place, lo=self._front)

    def _clear(self, at: int) -> Taken:
        weight, lines = self._weights[at], self._lines[at]
        if not weight:
            return Taken()
        self._weights[at] = self._lines[at] = 0
        self.letters -= 1
        self.lines -= lines
        self.weight -= weight
        self.changes += 1
        return Taken(1, lines, weight)

    def _tidy(self) -> None:
        while self._front < len(self._places) and not self._weights[self._front]:
            self._front += 1
        if self._front > _COMPACT and 2 * self._front > len(self._places):
            for column in (self._places, self._weights, self._lines):
                del column[: self._front]
            self._front = 0
