"""Brings commands to devices: at once to who is here, and to others when they come, in time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from hub import Bus, Database, DeviceReply, DeviceReport, Downlink, IsaaxError, Queries
from hub.protocol import Action, Cancel, Do, Known, Session
from services.commands import peers

_log = structlog.get_logger("commands")

EVERY: Final = 15.0
"""Seconds between two looks for what nobody has answered, or what is over."""
UNHEARD: Final = 30.0
GRACE: Final = 120.0
"""Seconds after a command's time in which its end is waited for."""
KEPT_DAYS: Final = 30
_AT_ONCE: Final = 200


class _Waiting(msgspec.Struct, frozen=True):
    number: int
    command: str
    device: str
    project: str
    action: Action
    timeout: float
    within: float


class _Cancelled(msgspec.Struct, frozen=True):
    command: str
    device: str
    project: str


class _Unheard(msgspec.Struct, frozen=True):
    device: str
    account: str


class Sender:
    """Sends what waits; an agent that has it already does not do it again."""

    def __init__(self, database: Database, bus: Bus, downlink: Downlink) -> None:
        self._database = database
        self._bus = bus
        self._downlink = downlink
        self._sql = Queries.load("services.commands")
        self._due: dict[str, set[str]] = {}  # by account
        self._woken = asyncio.Event()

    def wake(self, account: str, devices: Sequence[str]) -> None:
        """Send to these devices of an account, as soon as can be."""
        self._due.setdefault(account, set()).update(devices)
        self._woken.set()

    async def reported(self, reports: Sequence[DeviceReport]) -> None:
        """Send to devices that say that they are here."""
        await self._send({one.session.device: one.session.id for one in reports})

    def confirm(self, replies: Sequence[DeviceReply]) -> None:
        """Let devices forget what the hub knows."""
        for one in replies:
            if one.reply.is_last:
                self._downlink.command(one.session, one.command, Known())

    async def run(self) -> None:
        """Send what is new, and look after what waits; until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._woken.wait()
            self._woken.clear()
            due, self._due = self._due, {}
            try:
                for account, devices in due.items():
                    await self._send_online(account, sorted(devices))
                await self._look()
            except IsaaxError as error:
                _log.warning("commands wait to be sent", error=str(error))

    async def _look(self) -> None:
        """End what is over, and send again what nobody has answered."""
        async with self._database.system() as tx:
            await tx.run(self._sql["expire"], grace=GRACE)
            await tx.run(self._sql["forget_old"], days=KEPT_DAYS)
            rows = await tx.all(self._sql["unheard"], _Unheard, seconds=UNHEARD, limit=_AT_ONCE)
        by_account: dict[str, list[str]] = {}
        for row in rows:
            by_account.setdefault(row.account, []).append(row.device)
        for account, devices in by_account.items():
            await self._send_online(account, devices)

    async def _send_online(self, account: str, devices: Sequence[str]) -> None:
        for start in range(0, len(devices), _AT_ONCE):
            some = [*devices[start : start + _AT_ONCE]]
            found = await self._bus.request(peers.SESSIONS, peers.SessionsOf(account, some))
            here = {one.device: one.id for one in found.items}
            await self._send({device: here.get(device, "") for device in some})

    async def _send(self, sessions: Mapping[str, str]) -> None:
        """Send to those of these devices that have a session what waits, or is not to begin."""
        devices = sorted(sessions)
        async with self._database.system() as tx:
            waiting = await tx.all(self._sql["waiting_for"], _Waiting, devices=devices)
            cancelled = await tx.all(self._sql["cancelled_for"], _Cancelled, devices=devices)
        for row in sorted(waiting, key=lambda one: one.number):  # as they were sent
            if session := sessions[row.device]:
                where = Session(row.project, row.device, session)
                what = Do(row.action, row.timeout, row.within)
                self._downlink.command(where, row.command, what)
        for gone in cancelled:
            if session := sessions[gone.device]:
                where = Session(gone.project, gone.device, session)
                self._downlink.command(where, gone.command, Cancel())
