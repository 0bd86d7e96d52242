"""Dead letters that are gone before somebody replayed or dropped them: counted, over restarts, too.

How many letters each source has is written down every few seconds, with the place in the stream
that this was at. What is not there any more at the next start was lost meanwhile.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from hub.database import Database, Queries
from hub.errors import IsaaxError
from hub.relay.books import Note, Owner
from hub.relay.follower import Follower
from hub.relay.shelf import Shelf, Taken
from hub.telemetry import Metrics

_log = structlog.stdlib.get_logger(__name__)
_SQL: Final = Queries.load("hub.relay", "letters.sql")

_EVERY: Final = 2.0  # seconds between writing down what there is
_NONE: Final = Shelf()


class Kept(msgspec.Struct):
    """What is written down of a source.

    Args:
        letters, lines: that it had when DEAD had come to `sequence`.
        lost_letters, lost_lines: so far.
    """

    project: str
    source: str
    letters: int
    lines: int
    sequence: int
    lost_letters: int
    lost_lines: int


class Lost(msgspec.Struct, frozen=True):
    """How many letters are lost, at most, and lines in them, as far as that is known."""

    letters: int = 0
    lines: int = 0


NOTHING_LOST: Final = Lost()


class Losses:
    """Counts them."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        label = ("source",)
        self._letters_meter: Counter = metrics.counter(
            "isaax_dead_letters_lost_total",
            "Dead letters (at most) that age, or want of room, took.",
            label,
        )
        self._lines_meter: Counter = metrics.counter(
            "isaax_dead_letters_lost_lines_total", "Lines in them, as far as is known.", label
        )
        self._lost: dict[Owner, Lost] = {}
        self._missing: dict[Owner, Kept] = {}
        self._written: dict[Owner, tuple[int, Lost]] = {}
        self._writing = asyncio.Lock()
        self.settled = asyncio.Event()
        """What an earlier process had was compared with what there is."""

    # ── what was lost ─────────────────────────────────────────────────────────────────────────

    def note(self, owner: Owner, taken: Taken) -> None:
        """Count letters that are gone."""
        before = self._lost.get(owner, NOTHING_LOST)
        self._lost[owner] = Lost(before.letters + taken.letters, before.lines + taken.lines)
        self._letters_meter.labels(owner.source).inc(taken.letters)
        self._lines_meter.labels(owner.source).inc(taken.lines)
        _log.warning(
            "dead letters are gone before they were replayed or dropped",
            project=owner.project,
            source=owner.source,
            letters=taken.letters,
            lines=taken.lines,
        )

    def of(self, owner: Owner) -> Lost:
        """Give what a source lost."""
        return self._lost.get(owner, NOTHING_LOST)

    def of_integrations(self, integrations: Collection[str]) -> dict[str, Lost]:
        """Give what each of these integrations lost, if it did."""
        wanted = set(integrations)
        return {owner.source: lost for owner, lost in self._lost.items() if owner.source in wanted}

    def letters_in(self, projects: Collection[str]) -> int:
        """Say how many letters these projects lost."""
        wanted = set(projects)
        return sum(lost.letters for owner, lost in self._lost.items() if owner.project in wanted)

    # ── over a restart ────────────────────────────────────────────────────────────────────────

    async def load(self) -> None:
        """Read what an earlier process wrote down.

        Raises:
            Unavailable: Postgres does not answer.
        """
        async with self._database.system() as tx:
            rows = await tx.all(_SQL["letters"], Kept)
        self._missing = {Owner(row.project, row.source): row for row in rows}
        self._lost = {
            owner: Lost(row.lost_letters, row.lost_lines) for owner, row in self._missing.items()
        }
        self._written = {owner: (-1, lost) for owner, lost in self._lost.items()}

    def found(self, note: Note) -> None:
        """Note that a letter is still there."""
        row = self._missing.get(note.owner)
        if row is not None and note.place <= row.sequence:
            row.letters -= 1
            row.lines -= note.lines

    async def run(self, follower: Follower) -> None:
        """Count what was not found, and write down what there is, until cancelled."""
        await follower.ready.wait()
        missing, self._missing = self._missing, {}
        for owner, row in missing.items():
            if row.letters > 0:
                self.note(owner, Taken(row.letters, max(0, row.lines)))
        self.settled.set()
        while True:
            await self.keep(follower)
            await asyncio.sleep(_EVERY)

    async def keep(self, follower: Follower) -> None:
        """Write down what has changed."""
        if not self.settled.is_set():
            return  # what there was is not known to be there
        async with self._writing:
            shelves = follower.books.shelves
            states: dict[Owner, tuple[int, Lost]] = {}
            rows: list[Kept] = []
            for owner in sorted(shelves.keys() | self._lost.keys()):  # one order: no deadlock
                shelf, lost, written = (
                    shelves.get(owner, _NONE), self.of(owner), self._written.get(owner),
                )  # fmt: skip
                is_nothing = not (shelf.letters or lost.letters or written)
                if written == (shelf.changes, lost) or is_nothing:
                    continue
                states[owner] = (shelf.changes, lost)
                counts = (shelf.letters, shelf.lines, follower.position, lost.letters, lost.lines)
                rows.append(Kept(*owner, *counts))
            try:
                if rows:
                    await self._write(rows)
            except IsaaxError as error:
                _log.warning("how many dead letters there are is not noted", error=str(error))
            else:
                self._written |= states

    async def _write(self, rows: Sequence[Kept]) -> None:
        async with self._database.system() as tx:
            await tx.run(
                _SQL["put_letters"],
                projects=[row.project for row in rows],
                sources=[row.source for row in rows],
                letters=[row.letters for row in rows],
                lines=[row.lines for row in rows],
                sequences=[row.sequence for row in rows],
                lost_letters=[row.lost_letters for row in rows],
                lost_lines=[row.lost_lines for row in rows],
            )

    async def forget_project(self, project: str) -> int:
        """Forget all sources of a project that is no more, and give how many there were.

        Raises:
            Unavailable: Postgres does not answer.
        """
        async with self._writing:
            async with self._database.system() as tx:
                gone = await tx.run(_SQL["delete_project"], project=project)
            for owner in self._lost.keys() | self._missing.keys() | self._written.keys():
                if owner.project == project:
                    self._lost.pop(owner, None)
                    self._missing.pop(owner, None)
                    self._written.pop(owner, None)
        return gone

    async def forget(self, source: str, project: str | None = None) -> None:
        """Forget a source that is no more.

        Args:
            project: whose source; None for an integration, which is of one project alone.

        Raises:
            Unavailable: Postgres does not answer.
        """
        async with self._writing:
            async with self._database.system() as tx:
                await tx.run(_SQL["delete_letters"], source=source, project=project)
            for owner in self._lost.keys() | self._missing.keys() | self._written.keys():
                if owner.source == source and project in {None, owner.project}:
                    self._lost.pop(owner, None)
                    self._missing.pop(owner, None)
                    self._written.pop(owner, None)
        if project is None:
            self._letters_meter.remove(source)
            self._lines_meter.remove(source)
