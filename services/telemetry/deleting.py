"""Leaving nothing of devices, projects and accounts that are deleted."""

from collections.abc import Mapping, Sequence
from typing import Final

from hub import Database, EventInfo, Queries
from services.telemetry import peers
from services.telemetry.keeping import GONE

_AT_ONCE: Final = 50  # series: each of them has some ten thousand samples


class Deletion:
    """Deletes what is kept of something, and sees that nothing more of it is.

    What is still on its way of it finds its id in `telemetry_gone`. The lock makes whoever keeps
    samples at that moment finish first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.telemetry")

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Delete what is kept of a project."""
        await self.delete(event.account, [event.project])

    async def device_changed(self, event: peers.DeviceEvent, _: EventInfo) -> None:
        """Delete what is kept of a device that was deleted."""
        if event.kind in {"revoked", "dropped"}:
            await self.delete(event.account, [event.device])

    async def devices_changed(self, events: Sequence[tuple[peers.DeviceEvent, EventInfo]]) -> None:
        """Do the same for many: most only come and go."""
        for event, info in events:
            await self.device_changed(event, info)

    async def delete(self, account: str, ids: Sequence[str]) -> int:
        """Delete all that is kept of these; say how many series that were.

        Args:
            ids: of devices, of projects, or the account's own.
        """
        scope = {"account": account, "ids": [*ids]}
        async with self._database.system() as tx:
            await tx.run(self._sql["lock"], lock=GONE)
            await tx.run(self._sql["add_gone"], ids=[*ids])
        removed = 0
        while found := await self._some(account, scope):
            removed += found
        async with self._database.transaction(account=account) as tx:
            await tx.run(self._sql["delete_due"], **scope)
            await tx.run(self._sql["delete_devices"], **scope)
        return removed

    async def _some(self, account: str, scope: Mapping[str, object]) -> int:
        async with self._database.transaction(account=account) as tx:
            series = await tx.all(self._sql["some_series"], int, limit=_AT_ONCE, **scope)
            for query in ("delete_samples", "delete_fine", "delete_coarse", "delete_series"):
                await tx.run(self._sql[query], account=account, series=series)
        return len(series)
