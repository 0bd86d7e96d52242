"""Variables on their way to devices."""

from collections.abc import Mapping

import msgspec
import structlog

from hub import Database, Downlink, Due, SealBroken, Vault
from services.envars.effective import Outfit, Target, effective
from services.envars.levels import SQL

_log = structlog.get_logger("envars")
_encode = msgspec.json.Encoder().encode


class _Row(msgspec.Struct, frozen=True):
    device: str
    account: str
    project: str
    label: str
    group: str
    session: str
    version: int


class _Message(msgspec.Struct, frozen=True):
    """`hub.protocol.Envars`, of which the variables are encoded already."""

    version: int
    envars: msgspec.Raw


class VariablesInStock:
    """Gives devices their variables, as they are now."""

    def __init__(self, database: Database, vault: Vault, downlink: Downlink) -> None:
        self._database = database
        self._vault = vault
        self._downlink = downlink

    async def behind(self, after: str, limit: int) -> list[Due]:
        """Give devices that are here and have other variables."""
        async with self._database.system() as tx:
            return await tx.all(SQL["behind"], Due, after=after, limit=limit)

    async def send(self, sessions: Mapping[str, str]) -> list[Due]:
        """Send devices their variables."""
        async with self._database.system() as tx:
            rows = await tx.all(SQL["targets"], _Row, devices=sorted(sessions))
            here = [row for row in rows if sessions[row.device] or row.session]
            by_project: dict[str, list[Target]] = {}
            for row in here:
                target = Target(**msgspec.structs.asdict(row))
                by_project.setdefault(row.project, []).append(target)
            outfits: list[Outfit] = []
            for targets in by_project.values():
                try:
                    outfits += await effective(tx, self._vault, targets)
                except SealBroken as error:
                    _log.error("variables cannot be read", error=str(error))
        encoded: dict[int, msgspec.Raw] = {}
        sent = []
        for outfit in outfits:
            target = outfit.target
            where = target.on(sessions[target.device])
            which = id(outfit.variables)  # many have the very same
            if which not in encoded:
                encoded[which] = msgspec.Raw(_encode(outfit.envars))
            self._downlink.send(where, "envars", _encode(_Message(target.version, encoded[which])))
            sent.append(Due(target.device, where.id, target.version))
        return sent
