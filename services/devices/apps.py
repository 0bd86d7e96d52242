"""How the apps of devices fare: what they say is kept, and what it comes to."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from hub import Database, DeviceReport, Queries
from hub.protocol import ProgramReport
from services.devices.contracts import Program

_WORST_FIRST: Final = (
    "failed", "waiting", "stopped", "starting", "stopping", "running", "ended",
)  # fmt: skip


def state_of(states: Iterable[str]) -> str:
    """Say how an app fares: as the program does that one would look at first; "" without any."""
    ranks = {state: rank for rank, state in enumerate(_WORST_FIRST)}
    return min(states, key=lambda state: ranks.get(state, -1), default="")


class Apps:
    """Keeps what devices say of their apps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.devices")

    async def heard(self, reports: Sequence[DeviceReport]) -> None:
        """Take note of the newest that each device says."""
        at = datetime.now(UTC)
        told = {
            (one.session.project, one.session.device): (one.state.programs, one.state.revision)
            for one in reports
            if one.state.programs is not None
        }
        if not told:
            return
        programs = [kept(said, at) for said, _ in told.values()]
        async with self._database.system() as tx:
            await tx.run(
                self._sql["note_apps"],
                devices=[device for _, device in told],
                projects=[project for project, _ in told],
                states=[state_of(program.state for program in some) for some in programs],
                revisions=[_text(revision) for _, revision in told.values()],
                programs=[msgspec.json.encode(some).decode() for some in programs],
            )


def kept(said: Mapping[str, ProgramReport], at: datetime) -> list[Program]:
    """Give programs as they are kept.

    Args:
        at: when this was said.
    """
    return [
        Program(
            name, one.state, at - timedelta(seconds=one.seconds), one.restarts, one.exit,
            _text(one.error), one.unlimited,
        )
        for name, one in said.items()
    ]  # fmt: skip


def _text(said: str) -> str:
    """Give what Postgres can keep."""
    return said.replace("\0", "")
