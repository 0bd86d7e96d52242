"""Who is let in: hello, the end of a session, revocation."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from hub import (
    Audit,
    Bus,
    Connection,
    Database,
    NotAvailable,
    NotFound,
    Nothing,
    Outbox,
    Queries,
    Vault,
)
from hub.protocol import Hello, Mark, Opened
from hub.relay.contracts import MARKS, MarksOf
from services.auth.contracts import DeviceEvent, RevokeDevice
from services.auth.nonces import Nonces
from services.auth.opening import Asked, DeviceRow, Opening
from services.auth.peers import ProjectChanged
from services.auth.refusals import Refusal
from services.auth.sessions import LiveSession, SessionRow, Sessions
from services.auth.settings import AuthSettings
from services.auth.together import Together
from services.auth.versions import Versions


class _Owned(msgspec.Struct):
    id: str
    account: str
    project: str


@dataclass(frozen=True, slots=True)
class Admission:
    """A hello that was accepted: the answer, and what the broker is to open."""

    opened: Opened
    session: LiveSession


class Rules:
    """The rules of device authentication."""

    def __init__(
        self,
        settings: AuthSettings,
        database: Database,
        outbox: Outbox,
        vault: Vault,
        bus: Bus,
        audit: Audit,
        versions: Versions,
    ) -> None:
        self._settings = settings
        self._database = database
        self._bus = bus
        self._versions = versions
        self._sql = Queries.load("services.auth")
        self._sessions = Sessions(outbox, audit)
        opening = Opening(database, vault, self._sessions, seconds=settings.session_seconds)
        self._opening: Together[Asked, LiveSession] = Together(opening.open)
        self._going: Together[tuple[str, str], None] = Together(self._end_connections, turns=1)
        self.nonces = Nonces(settings.nonce_seconds)

    async def hello(self, device: str, request: Hello) -> Admission:
        """Open a session.

        Raises:
            Refusal: the nonce, the proof or the device is not good.
            Unavailable: the relay cannot say how far the streams are.
        """
        if not self.nonces.spend(device, request.nonce):
            raise Refusal("nonce", "the nonce is unknown, used or expired: begin again")
        marks = await self._marks(request.project, device)
        versions = await self._versions.of(request.project, device)
        live = await self._opening.ask(Asked(device, request))
        opened = Opened(live.id, live.expires_at, int(time.time()), marks, versions)
        return Admission(opened, live)

    async def gone(self, device: str, connection: str) -> None:
        """End the session of this very connection; a late will of an older one does nothing."""
        await self._going.ask((device, connection))

    async def _end_connections(self, gone: Sequence[tuple[str, str]]) -> list[None]:
        async with self._database.system() as tx:
            ended = await tx.all(
                self._sql["end_connections"],
                SessionRow,
                devices=[device for device, _ in gone],
                connections=[connection for _, connection in gone],
            )
            await self._sessions.closed(tx, ended)
        return [None] * len(gone)

    async def revoke(self, request: RevokeDevice) -> Nothing:
        """Revoke a device's key and end its session; the caller then cuts it off at the broker.

        Raises:
            NotFound: the account has no such device.
        """
        async with self._database.transaction(account=request.account) as tx:
            row = await tx.maybe(
                self._sql["lock_account_device"],
                DeviceRow,
                device=request.device,
                account=request.account,
            )
            if row is None:
                raise NotFound("no such device")
            await self._sessions.shut(tx, row.account, row.project, row.id, "revoked")
        return Nothing()

    async def forget_project(self, event: ProjectChanged) -> list[str]:
        """End the sessions of a deleted project, delete its devices and give their ids.

        Each is said to be `dropped`, after all that was said of it before: so whoever keeps
        devices forgets also one whose registration it hears of after the project's end.
        """
        async with self._database.transaction(account=event.account) as tx:
            rows = await tx.all(
                self._sql["project_devices"], _Owned, project=event.project, account=event.account
            )
            await self._sessions.end(tx, {row.id: row.account for row in rows})
            for row in rows:
                await tx.run(self._sql["drop_device"], device=row.id, account=row.account)
            await self.say(
                tx, *(DeviceEvent("dropped", row.account, row.project, row.id) for row in rows)
            )
        return [row.id for row in rows]

    async def end_expired(self) -> list[str]:
        """End sessions whose time is over and give their devices; drop what never said hello."""
        async with self._database.system() as tx:
            ended = await tx.all(self._sql["end_expired"], SessionRow)
            await self._sessions.closed(tx, ended)
            dropped = await tx.all(
                self._sql["drop_pending"],
                _Owned,
                pending=float(self._settings.pending_seconds),
                waiting=float(self._settings.waiting_seconds),
            )
            await self.say(
                tx, *(DeviceEvent("dropped", row.account, row.project, row.id) for row in dropped)
            )
        return [row.device for row in ended]

    async def end_opened_before(self, moment: float) -> None:
        """End every session that was opened before the broker started: it holds none of them."""
        async with self._database.system() as tx:
            ended = await tx.all(self._sql["end_opened_before"], SessionRow, before=moment)
            await self._sessions.closed(tx, ended)

    async def live_sessions(self) -> list[LiveSession]:
        """Give every session that is not over."""
        found: list[LiveSession] = []
        page = 1000
        while True:
            async with self._database.system() as tx:
                rows = await tx.all(
                    self._sql["live_sessions"],
                    LiveSession,
                    after=found[-1].device if found else "",
                    limit=page,
                )
            found += rows
            if len(rows) < page:
                return found

    async def _marks(self, project: str, device: str) -> dict[str, Mark]:
        try:
            return (await self._bus.request(MARKS, MarksOf(project, device))).marks
        except NotAvailable:  # nobody takes lines here: there is nothing to go on from
            return {}

    async def say(self, tx: Connection, *events: DeviceEvent) -> None:
        """Tell what happened to devices, when the transaction is through."""
        await self._sessions.say(tx, events)
