"""Who is let in: hello, the end of a session, revocation."""

import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from hub import (
    Audit,
    Bus,
    Connection,
    Database,
    IsaaxError,
    NotFound,
    Nothing,
    Outbox,
    Queries,
    Vault,
)
from hub.protocol import (
    Hello,
    Mark,
    Opened,
    Register,
    hello_proof,
)
from hub.relay.contracts import MARKS, MarksOf
from services.auth import deeds
from services.auth.contracts import DEVICE, DeviceEvent, RevokeDevice
from services.auth.nonces import Nonces
from services.auth.peers import ProjectChanged
from services.auth.settings import AuthSettings
from services.auth.versions import Versions

Code = Literal["nonce", "proof", "unknown-device", "revoked", "limit", "expired", "approval"]

MAX_ADDRESSES = 8

APPROVAL_SECONDS = 60.0
"""How long a device waits before it asks again whether somebody has approved it."""


class Refusal(IsaaxError):  # noqa: N818 - an outcome, raised by name
    """The device is not let in."""

    def __init__(self, code: Code, detail: str, retry: float = 0.0) -> None:
        super().__init__(detail)
        self.reason = code
        self.retry = retry


class DeviceRow(msgspec.Struct, frozen=True):
    """A row of auth_device; `key` is sealed."""

    id: str
    account: str
    project: str
    key: bytes
    status: str
    last_session: str
    prior_session: str

    def knows(self, previous: str) -> bool:
        """Say whether a device that names this as its last session has the past we know.

        The prior one counts too: the answer that gave out the last may not have arrived.
        """
        if not (previous and self.last_session):
            return True
        return previous in {self.last_session, self.prior_session}


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
        self._outbox = outbox
        self._vault = vault
        self._bus = bus
        self._audit = audit
        self._versions = versions
        self._sql = Queries.load("services.auth")
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
        async with self._database.system() as tx:
            row = await self._proven(tx, device, request)
            if row.knows(request.previous):
                live = await self._open(tx, row, request)
                opened = Opened(live.id, live.expires_at, int(time.time()), marks, versions)
                return Admission(opened, live)
            await self._shut(tx, row.account, row.project, row.id, "quarantined")
        raise Refusal("revoked", "two machines use this identity: register anew")

    async def _open(self, tx: Connection, row: DeviceRow, request: Hello) -> LiveSession:
        expires_at = int(time.time()) + self._settings.session_seconds
        live = LiveSession(row.id, row.project, secrets.token_hex(16), expires_at)
        await self._end_session(tx, row.account, row.id)
        await tx.run(
            self._sql["put_session"],
            device=row.id,
            account=row.account,
            project=row.project,
            id=live.id,
            connection=request.connection,
            expires_at=float(live.expires_at),
        )
        await tx.run(
            self._sql["activate"],
            account=row.account,
            device=row.id,
            session=live.id,
            previous=request.previous,
        )
        await self.say(
            tx,
            DeviceEvent(
                "opened", row.account, row.project, row.id, session=live.id,
                agent=cleaned(request.agent), system=cleaned(request.system),
                addresses=tuple(cleaned(one) for one in request.addresses[:MAX_ADDRESSES]),
            ),
        )  # fmt: skip
        return live

    async def gone(self, device: str, connection: str) -> None:
        """End the session of this very connection; a late will of an older one does nothing."""
        async with self._database.system() as tx:
            ended = await tx.all(
                self._sql["end_connection"], SessionRow, device=device, connection=connection
            )
            await self._say_closed(tx, ended)

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
            await self._shut(tx, row.account, row.project, row.id, "revoked")
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
            for row in rows:
                await self._end_session(tx, row.account, row.id)
                await tx.run(self._sql["drop_device"], device=row.id, account=row.account)
                await self.say(tx, DeviceEvent("dropped", row.account, row.project, row.id))
        return [row.id for row in rows]

    async def end_expired(self) -> list[str]:
        """End sessions whose time is over and give their devices; drop what never said hello."""
        async with self._database.system() as tx:
            ended = await tx.all(self._sql["end_expired"], SessionRow)
            await self._say_closed(tx, ended)
            dropped = await tx.all(
                self._sql["drop_pending"],
                _Owned,
                pending=float(self._settings.pending_seconds),
                waiting=float(self._settings.waiting_seconds),
            )
            for row in dropped:
                await self.say(tx, DeviceEvent("dropped", row.account, row.project, row.id))
        return [row.device for row in ended]

    async def end_opened_before(self, moment: float) -> None:
        """End every session that was opened before the broker started: it holds none of them."""
        async with self._database.system() as tx:
            ended = await tx.all(self._sql["end_opened_before"], SessionRow, before=moment)
            await self._say_closed(tx, ended)

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

    async def _proven(self, tx: Connection, device: str, request: Hello) -> DeviceRow:
        row = await tx.maybe(
            self._sql["lock_device"], DeviceRow, device=device, project=request.project
        )
        if row is None:
            raise Refusal("unknown-device", "no such device in this project")
        key = await self._vault.open(
            tx, row.key, account=row.account, project=row.project, name=key_name(device)
        )
        expected = hello_proof(
            key.hex(), request.project, device, request.nonce, request.connection, request.previous
        )
        if not same(expected, request):
            raise Refusal("proof", "the proof does not fit the device key")
        if row.status in {"revoked", "quarantined"}:
            raise Refusal("revoked", f"this device is {row.status}: register anew")
        if row.status == "waiting":
            raise Refusal("approval", "somebody has to approve this device first", APPROVAL_SECONDS)
        return row

    async def _marks(self, project: str, device: str) -> dict[str, Mark]:
        return (await self._bus.request(MARKS, MarksOf(project, device))).marks

    async def _end_session(self, tx: Connection, account: str, device: str) -> None:
        ended = await tx.all(self._sql["end_session"], SessionRow, device=device, account=account)
        await self._say_closed(tx, ended)

    async def _say_closed(self, tx: Connection, rows: Sequence[SessionRow]) -> None:
        for row in rows:
            event = DeviceEvent("closed", row.account, row.project, row.device, session=row.id)
            await self.say(tx, event)

    async def _shut(
        self,
        tx: Connection,
        account: str,
        project: str,
        device: str,
        status: Literal["revoked", "quarantined"],
    ) -> None:
        """Let a device in no more, and say so."""
        await self._end_session(tx, account, device)
        await tx.run(self._sql["set_status"], account=account, device=device, status=status)
        await self.say(tx, DeviceEvent(status, account, project, device))

    async def say(self, tx: Connection, event: DeviceEvent) -> None:
        """Tell what happened to a device, when the transaction is through."""
        await self._outbox.add(tx, DEVICE, event, key=event.device)
        if event.kind in deeds.SUMMARIES:
            await self._audit.record(tx, deeds.of_device(event))


def same(expected: str, request: Register | Hello) -> bool:
    """Say whether a proof is the right one, in a time that tells nothing of it."""
    return hmac.compare_digest(expected.encode(), request.proof.encode())


def key_name(device: str) -> str:
    """Give the name that a device's key is sealed under."""
    return f"device-key/{device}"


def cleaned(text: str) -> str:
    """What a device says of itself is shown to people: printable, and not endless."""
    return "".join(c for c in text if c.isprintable())[:100]
