"""Sends devices what they are to have: at once when it changes, and again while they are behind.

What is sent is read anew each time, so the last version wins, whoever is asked to send which.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from hub import Database, Downlink, IsaaxError, SealBroken, Vault
from hub.protocol import Envars
from services.envars.effective import Outfit, Target, effective
from services.envars.levels import SQL

_log = structlog.get_logger("envars")
_encode: Final = msgspec.json.Encoder().encode

AT_ONCE: Final = 500
EVERY: Final = 5.0
"""Seconds between two looks for devices that are here and behind."""
SLOWEST: Final = 300.0
EAGER: Final = 3
"""Times that the same is sent to a device as soon as it says that it is behind."""


class _Behind(msgspec.Struct, frozen=True):
    device: str
    session: str
    version: int


class _Row(msgspec.Struct, frozen=True):
    device: str
    account: str
    project: str
    label: str
    group: str
    session: str
    version: int


class _Sent(msgspec.Struct, frozen=True):
    """What a device was sent last, how often, and when it may be sent that again."""

    session: str
    version: int
    times: int
    again_at: float


class Pusher:
    """Sends variables to devices that are connected.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        downlink: Downlink,
        *,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._vault = vault
        self._downlink = downlink
        self._every = every
        self._clock = clock
        self._wanted: dict[str, str] = {}
        self._woken = asyncio.Event()
        self._sent: dict[str, _Sent] = {}

    def push(self, devices: Iterable[str]) -> None:
        """Send to these, at the sessions that they are known to have."""
        self._want(dict.fromkeys(devices, ""))

    def answer(self, behind: Mapping[str, tuple[str, int]]) -> None:
        """Send to devices that say themselves that they are behind.

        Args:
            behind: by device, the session that it said it in, and the version that it is to have.
        """
        due = {
            device: session
            for device, (session, version) in behind.items()
            if self._may(device, session, version, eager=True)
        }
        self._want(due)

    def forget(self, devices: Iterable[str]) -> None:
        """Take note that these are behind no more."""
        for device in devices:
            self._sent.pop(device, None)

    async def run(self) -> None:
        """Send what is asked for, and look for devices that are behind; until cancelled."""
        looked_at = -self._every
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, looked_at + self._every - self._clock())):
                    await self._woken.wait()
            try:
                if self._clock() >= looked_at + self._every:
                    looked_at = self._clock()
                    await self._look()
                await self._send_wanted()
            except IsaaxError as error:
                _log.warning("variables wait to be sent", error=str(error))

    def _want(self, sessions: Mapping[str, str]) -> None:
        if sessions:
            self._wanted.update(sessions)
            self._woken.set()

    async def _look(self) -> None:
        """Find who is here and behind, and was not sent it just now."""
        after, here = "", set()
        while True:
            async with self._database.system() as tx:
                rows = await tx.all(SQL["behind"], _Behind, after=after, limit=AT_ONCE)
            for row in rows:
                here.add(row.device)
                if self._may(row.device, row.session, row.version, eager=False):
                    self._wanted.setdefault(row.device, "")
            if len(rows) < AT_ONCE:
                break
            after = rows[-1].device
        self._sent = {device: sent for device, sent in self._sent.items() if device in here}

    async def _send_wanted(self) -> None:
        self._woken.clear()
        while self._wanted:
            devices = sorted(self._wanted)[:AT_ONCE]
            sessions = {device: self._wanted.pop(device) for device in devices}
            try:
                await self._send(sessions)
            except IsaaxError:
                self._wanted = {**sessions, **self._wanted}
                raise

    async def _send(self, sessions: Mapping[str, str]) -> None:
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
        for outfit in outfits:
            self._send_one(outfit, sessions[outfit.target.device])

    def _send_one(self, outfit: Outfit, session: str) -> None:
        target = outfit.target
        payload = _encode(Envars(target.version, outfit.envars))
        self._downlink.send(target.on(session), "envars", payload)
        self._note(target.device, session or target.session, target.version)

    def _may(self, device: str, session: str, version: int, *, eager: bool) -> bool:
        """Say whether a device may be sent this: what it was sent already, ever more seldom."""
        sent = self._sent.get(device)
        if sent is None or (sent.session, sent.version) != (session, version):
            return True
        return (eager and sent.times < EAGER) or self._clock() >= sent.again_at

    def _note(self, device: str, session: str, version: int) -> None:
        before = self._sent.get(device)
        known = before and (before.session, before.version) == (session, version)
        times = before.times + 1 if before and known else 1
        wait = min(SLOWEST, self._every * 2 ** min(times - 1, 10))
        self._sent[device] = _Sent(session, version, times, self._clock() + wait)
