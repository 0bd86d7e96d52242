"""Brings scripts to devices: at once to who is here, and to others when they come, in time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from hub import Bus, Database, DeviceReply, DeviceReport, Downlink, IsaaxError, Queries
from hub.protocol import Known, RunScript, Session
from services.scripts import peers

_log = structlog.get_logger("scripts")

EVERY: Final = 15.0
"""Seconds between two looks for what nobody has answered, or what is over."""
UNHEARD: Final = 30.0
GRACE: Final = 120.0
"""Seconds after a script's time in which its end is waited for."""
KEPT_DAYS: Final = 30
_AT_ONCE: Final = 200


class _Waiting(msgspec.Struct, frozen=True):
    run: str
    device: str
    account: str
    project: str
    body: str
    timeout: float
    within: float


class _Unheard(msgspec.Struct, frozen=True):
    device: str
    account: str


class Sender:
    """Sends what waits; an agent that has it already does not run it again."""

    def __init__(self, database: Database, bus: Bus, downlink: Downlink) -> None:
        self._database = database
        self._bus = bus
        self._downlink = downlink
        self._sql = Queries.load("services.scripts")
        self._started: list[tuple[str, Sequence[str]]] = []
        self._woken = asyncio.Event()

    def start(self, account: str, devices: Sequence[str]) -> None:
        """Send to these devices of an account, as soon as can be."""
        self._started.append((account, devices))
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
        """Send what is started, and look after what waits; until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._woken.wait()
            self._woken.clear()
            started, self._started = self._started, []
            try:
                for account, devices in started:
                    await self._send_online(account, devices)
                await self._look()
            except IsaaxError as error:
                _log.warning("scripts wait to be sent", error=str(error))

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
        """Send what waits for these devices, to those that have a session."""
        async with self._database.system() as tx:
            rows = await tx.all(self._sql["waiting_for"], _Waiting, devices=sorted(sessions))
        for row in rows:
            if session := sessions[row.device]:
                self._downlink.command(
                    Session(row.project, row.device, session),
                    row.run,
                    RunScript(row.body, row.timeout, row.within),
                )
