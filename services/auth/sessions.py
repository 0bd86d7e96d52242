"""The sessions that are open: their end, and that it is told."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from hub import Audit, Connection, Outbox, Queries
from services.auth import deeds
from services.auth.contracts import DEVICE, DeviceEvent


class SessionRow(msgspec.Struct, frozen=True):
    """A row of auth_session."""

    device: str
    account: str
    project: str
    id: str
    connection: str


class LiveSession(msgspec.Struct, frozen=True):
    """What the broker must know of a session; `expires_at` in Unix seconds."""

    device: str
    project: str
    id: str
    expires_at: int


class Sessions:
    """Ends sessions in a transaction of the caller's, who has locked the devices."""

    def __init__(self, outbox: Outbox, audit: Audit) -> None:
        self._outbox = outbox
        self._audit = audit
        self._sql = Queries.load("services.auth")

    async def end(self, tx: Connection, devices: Mapping[str, str]) -> None:
        """End the sessions that devices have.

        Args:
            devices: the account of each.
        """
        ended = await tx.all(
            self._sql["end_sessions"],
            SessionRow,
            devices=[*devices],
            accounts=[*devices.values()],
        )
        await self.closed(tx, ended)

    async def closed(self, tx: Connection, rows: Sequence[SessionRow]) -> None:
        """Tell of sessions that were ended."""
        await self.say(
            tx,
            [
                DeviceEvent("closed", row.account, row.project, row.device, session=row.id)
                for row in rows
            ],
        )

    async def shut(
        self,
        tx: Connection,
        account: str,
        project: str,
        device: str,
        status: Literal["revoked", "quarantined"],
    ) -> None:
        """Let a device in no more, and say so."""
        await self.end(tx, {device: account})
        await tx.run(self._sql["set_status"], account=account, device=device, status=status)
        await self.say(tx, [DeviceEvent(status, account, project, device)])

    async def say(self, tx: Connection, events: Sequence[DeviceEvent]) -> None:
        """Tell what happened to devices, when the transaction is through; in this order."""
        await self._outbox.add_many(tx, DEVICE, [(event, event.device) for event in events])
        for event in events:
            if event.kind in deeds.SUMMARIES:
                await self._audit.record(tx, deeds.of_device(event))
