"""Who holds how much of the stream DEAD or REPLAY: each message by its owner, size and lines.

JetStream counts the messages of a subject, but not their bytes, and tells nobody what it no longer
has. `Follower` keeps the books in line with it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from hub.relay.shelf import Shelf, Taken
from hub.relay.stored import BATCH, FIXES, BatchId

_LEAST: Final = 1_024
"""Bytes that a message counts for at least: each takes memory and time, however small it is."""

_OVERHEAD: Final = 64  # bytes that JetStream stores with a message besides its subject, at most
_SIZE: Final = "Nats-Msg-Size"
"""Of a message whose headers alone are delivered (NATS ADR-42): bytes of its payload."""


class Owner(NamedTuple):
    """Whose messages they are; `source` is an integration, or `intake`."""

    project: str
    source: str


class Note(NamedTuple):
    """What the books say of a message.

    Args:
        place: the letter's; that of a message is its own sequence, unless it fixes another.
        weight: bytes that it counts for (see `weight_of`).
    """

    owner: Owner
    sequence: int
    place: int
    weight: int
    lines: int

    @classmethod
    def of(cls, subject: str, headers: Mapping[str, str], sequence: int) -> "Note":
        """Read it from a message of which there are the headers alone."""
        size, place = _number(headers.get(_SIZE), 0), _number(headers.get(FIXES), sequence)
        weight, lines = weight_of(subject, headers, size), lines_of(headers)
        return cls(owner_of(subject), sequence, place, weight, lines)


class Books:
    """What each source holds."""

    def __init__(self) -> None:
        self._shelves: dict[Owner, Shelf] = {}
        self._weights: dict[str, int] = {}
        self._fixed: dict[Owner, dict[int, int]] = {}

    # ── what there is ─────────────────────────────────────────────────────────────────────────

    @property
    def letters(self) -> int:
        """How many messages there are."""
        return sum(shelf.letters for shelf in self._shelves.values())

    @property
    def weights(self) -> Mapping[str, int]:
        """What the messages of each project weigh."""
        return self._weights

    @property
    def shelves(self) -> Mapping[Owner, Shelf]:
        """What each source holds."""
        return self._shelves

    def letters_in(self, projects: Iterable[str]) -> int:
        """Say how many messages these projects hold."""
        wanted = set(projects)
        return sum(s.letters for owner, s in self._shelves.items() if owner.project in wanted)

    def fixed(self, owner: Owner) -> Mapping[int, int]:
        """Give, by place, the sequence that a letter has since it was fixed."""
        return self._fixed.get(owner, {})

    # ── what changes ──────────────────────────────────────────────────────────────────────────

    def put(self, note: Note) -> None:
        """Note a message."""
        owner = note.owner
        shelf = self._shelves.get(owner)
        if shelf is None:
            shelf = self._shelves[owner] = Shelf()
        before = shelf.weight
        shelf.put(note.place, note.weight, note.lines)
        self._weigh(owner.project, shelf.weight - before)
        if note.place != note.sequence:
            self._fixed.setdefault(owner, {})[note.place] = note.sequence

    def take(self, owner: Owner, places: Iterable[int]) -> Taken:
        """Take messages off, those that are there, and give what they were together."""
        shelf, fixed = self._shelves.get(owner), self._fixed.get(owner)
        letters = lines = weight = 0
        for place in places if shelf is not None else ():
            taken = shelf.take(place) if shelf is not None else Taken()
            letters, lines = letters + taken.letters, lines + taken.lines
            weight += taken.weight
            if fixed is not None:
                fixed.pop(place, None)
        self._weigh(owner.project, -weight)
        return Taken(letters, lines, weight)

    def take_before(self, owner: Owner, place: int) -> Taken:
        """Take all that a source holds before this place off."""
        shelf = self._shelves.get(owner)
        if shelf is None:
            return Taken()
        taken = shelf.take_before(place)
        self._weigh(owner.project, -taken.weight)
        if (fixed := self._fixed.get(owner)) is not None:
            self._fixed[owner] = {p: sequence for p, sequence in fixed.items() if p >= place}
        return taken

    def forget(self, source: str) -> None:
        """Take all that an integration holds off."""
        for owner in [owner for owner in self._shelves if owner.source == source]:
            self._weigh(owner.project, -self._shelves.pop(owner).weight)
            self._fixed.pop(owner, None)

    def _weigh(self, project: str, weight: int) -> None:
        self._weights[project] = self._weights.get(project, 0) + weight
        if not self._weights[project]:
            del self._weights[project]


def weight_of(subject: str, headers: Mapping[str, str], size: int) -> int:
    """Give the bytes that a message counts for.

    Args:
        size: of its payload.
    """
    length = sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())
    return max(_LEAST, size + length + len(subject) + _OVERHEAD)


def lines_of(headers: Mapping[str, str]) -> int:
    """Give the lines of a letter, as far as its headers tell."""
    try:
        return BatchId.parse(headers.get(BATCH, "")).lines
    except ValueError:
        return 0


def owner_of(subject: str) -> Owner:
    """Say whose messages a subject of DEAD or REPLAY holds."""
    _, project, source, *_ = [*subject.split("."), "", ""]
    return Owner(project, source)


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() else otherwise
