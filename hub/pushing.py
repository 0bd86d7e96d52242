"""Sends devices what they are to have: at once when it changes, and again while they are behind.

What is sent is read anew each time, so the last version wins, whoever is asked to send which. A
service gives what it has to send, as `Stock`, and the queries that note what devices report.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Protocol

import msgspec
import structlog

from hub.database import Database
from hub.downlink import DeviceReport
from hub.errors import IsaaxError
from hub.sql.queries import Queries
from hub.wanted import Wanted, WantedBy

_log = structlog.stdlib.get_logger(__name__)

AT_ONCE: Final = 500
SENT_AT_ONCE: Final = 200
"""Devices that are sent to in one turn: the first have it while the next are looked up."""
EVERY: Final = 5.0
"""Seconds between two looks for devices that are here and behind."""
SLOWEST: Final = 300.0
EAGER: Final = 3
"""Times that the same is sent to a device as soon as it says that it is behind."""


class Due(msgspec.Struct, frozen=True):
    """A device, the session that it has, and the version that it is to have there."""

    device: str
    session: str
    version: int


class Stock(Protocol):
    """What a service has for devices."""

    async def behind(self, after: str, limit: int) -> list[Due]:
        """Give devices that are here and have another version, in the order of their ids.

        Args:
            after: the id of a device that comes before them.
        """
        ...

    async def send(self, sessions: Mapping[str, str]) -> list[Due]:
        """Send devices the newest of what they are to have; give what went out.

        Args:
            sessions: by device; "" is the one that it is known to have.
        """
        ...


class _Sent(msgspec.Struct, frozen=True):
    """What a device was sent last, how often, and when it may be sent that again."""

    session: str
    version: int
    times: int
    again_at: float


class Pusher:
    """Sends from a stock to devices that are connected.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stock: Stock,
        *,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stock = stock
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
                _log.warning("what devices are to have waits to be sent", error=str(error))

    def _want(self, sessions: Mapping[str, str]) -> None:
        if sessions:
            self._wanted.update(sessions)
            self._woken.set()

    async def _look(self) -> None:
        """Find who is here and behind, and was not sent it just now."""
        after, here = "", set()
        while True:
            rows = await self._stock.behind(after, AT_ONCE)
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
            devices = list(islice(self._wanted, SENT_AT_ONCE))
            sessions = {device: self._wanted.pop(device) for device in devices}
            try:
                sent = await self._stock.send(sessions)
            except IsaaxError:
                self._wanted = {**sessions, **self._wanted}
                raise
            for one in sent:
                self._note(one)

    def _may(self, device: str, session: str, version: int, *, eager: bool) -> bool:
        """Say whether a device may be sent this: what it was sent already, ever more seldom."""
        sent = self._sent.get(device)
        if sent is None or (sent.session, sent.version) != (session, version):
            return True
        return (eager and sent.times < EAGER) or self._clock() >= sent.again_at

    def _note(self, one: Due) -> None:
        before = self._sent.get(one.device)
        known = before and (before.session, before.version) == (one.session, one.version)
        times = before.times + 1 if before and known else 1
        wait = min(SLOWEST, self._every * 2 ** min(times - 1, 10))
        self._sent[one.device] = _Sent(one.session, one.version, times, self._clock() + wait)


class _Reported(msgspec.Struct, frozen=True):
    device: str
    version: int
    applied: int
    error: str


class Reports:
    """Notes which version of one kind devices have, and tells which they are to have.

    Args:
        kind: one of `hub.protocol.KINDS`.
        queries: `note_reports` takes lists of `devices`, `projects`, `versions` and `errors`, and
            gives `device`, `version`, `applied` and `error` of those that are known; `wanted` takes
            `device` and `project`, and gives a version.
    """

    def __init__(self, database: Database, kind: str, queries: Queries, pusher: Pusher) -> None:
        self._database = database
        self._kind = kind
        self._queries = queries
        self._pusher = pusher

    async def heard(self, reports: Sequence[DeviceReport]) -> None:
        """Take note of what devices have, and send those the newest that are behind."""
        kind = self._kind
        newest = {one.session.device: one for one in reports if kind in one.state.versions}
        told = list(newest.values())
        if not told:  # most are of something else: of how the app fares, or of another kind
            return
        async with self._database.system() as tx:
            rows = await tx.all(
                self._queries["note_reports"],
                _Reported,
                devices=[one.session.device for one in told],
                projects=[one.session.project for one in told],
                versions=[one.state.versions[kind] for one in told],
                errors=[one.state.errors.get(kind, "").replace("\0", "") for one in told],
            )
        self._pusher.forget(row.device for row in rows if row.applied == row.version)
        self._pusher.answer(
            {
                row.device: (newest[row.device].session.id, row.version)
                for row in rows
                # Who could not take it up is asked again, but not at once.
                if row.applied != row.version and not row.error
            }
        )

    async def wanted(self, request: WantedBy) -> Wanted:
        """Tell `auth` which version a device is to have; 0 of what is not known yet."""
        found = await self._database.look(
            self._queries["wanted"], int, device=request.device, project=request.project
        )
        return Wanted(found or 0)
