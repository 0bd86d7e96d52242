"""Which versions a device is to have, for the answer to its hello."""

import asyncio
from collections.abc import Collection

import structlog

from hub import Bus, IsaaxError, WantedBy, wanted_contract
from hub.protocol import KINDS

_log = structlog.get_logger("auth")


class Versions:
    """Asks whoever keeps something for devices.

    Args:
        services: that this hub runs; of a kind that none keeps nothing is said.
    """

    def __init__(self, bus: Bus, services: Collection[str]) -> None:
        self._bus = bus
        self._kinds = [kind for kind in KINDS if kind in services]

    async def of(self, project: str, device: str) -> dict[str, int]:
        """Give them by kind; a kind whose service does not answer is left out."""
        request = WantedBy(project, device)
        found = await asyncio.gather(*(self._one(kind, request) for kind in self._kinds))
        return {
            kind: version
            for kind, version in zip(self._kinds, found, strict=True)
            if version is not None
        }

    async def _one(self, kind: str, request: WantedBy) -> int | None:
        try:
            return (await self._bus.request(wanted_contract(kind), request)).version
        except IsaaxError as error:
            # A device reports what it has once its session is open, and is sent what is newer.
            _log.info("a device is not told a version", kind=kind, error=str(error))
            return None
