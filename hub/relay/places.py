"""How far each lane is done, kept in Postgres: so that a gap is seen over a restart, too."""

from collections.abc import Sequence
from typing import Final

import msgspec

from hub.database import Database, Queries
from hub.relay.streams import Kind

_SQL: Final = Queries.load("hub.relay", "cursors.sql")


class KeptPlace(msgspec.Struct, frozen=True):
    """How far one lane was done, at the least.

    Args:
        start_at: of the cursor; with another one it is another cursor. 0 for a replay's.
        sequence: of the stream.
        line: lines of the project (or of the replay) that the stream had taken up to there.
        gap_lines: that retention had taken from the integration.
    """

    integration: str
    lane: str
    start_at: int
    sequence: int
    line: int
    gap_lines: int


class Places:
    """Reads and writes them, and reads how many lines there were to be done.

    Each method raises `Unavailable` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[tuple[str, str], KeptPlace] = {}

    async def of(self, integration: str) -> dict[str, KeptPlace]:
        """Give what is kept of an integration, by lane."""
        async with self._database.system() as tx:
            rows = await tx.all(_SQL["cursors"], KeptPlace, integration=integration)
        return {row.lane: row for row in rows}

    async def keep(self, places: Sequence[KeptPlace]) -> None:
        """Write those that have changed, in one transaction."""
        changed = {(p.integration, p.lane): p for p in places}
        changed = {key: p for key, p in changed.items() if self._written.get(key) != p}
        if not changed:
            return
        rows = [changed[key] for key in sorted(changed)]  # one order for all: no deadlock
        async with self._database.system() as tx:
            await tx.run(
                _SQL["put_cursors"],
                integrations=[row.integration for row in rows],
                lanes=[row.lane for row in rows],
                start_ats=[row.start_at for row in rows],
                sequences=[row.sequence for row in rows],
                lines=[row.line for row in rows],
                gaps=[row.gap_lines for row in rows],
            )
        self._written |= changed

    async def forget(self, integration: str) -> None:
        """Delete what is kept of an integration."""
        async with self._database.system() as tx:
            await tx.run(_SQL["delete_cursors"], integration=integration)
            await tx.run(_SQL["delete_replayed"], integration=integration)
        self._written = {k: p for k, p in self._written.items() if k[0] != integration}

    async def taken(self, kind: Kind, project: str) -> int:
        """Give how many lines (or samples) of a project were stored ever, a few seconds ago."""
        async with self._database.system() as tx:
            return await tx.maybe(_SQL["taken"], int, kind=kind, project=project) or 0

    async def replayed(self, integration: str) -> int:
        """Give how many lines of an integration were put into its replay ever."""
        async with self._database.system() as tx:
            return await tx.maybe(_SQL["replayed"], int, integration=integration) or 0

    async def note_replayed(self, integration: str, lines: int) -> None:
        """Write down how many were put into its replay ever."""
        async with self._database.system() as tx:
            await tx.run(_SQL["put_replayed"], integration=integration, lines=lines)
