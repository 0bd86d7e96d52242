"""Opening sessions: who has proven itself gets one, however many do so at the same time.

One transaction serves all whose hellos came meanwhile: after a broker's end a whole fleet comes
back within seconds, and a transaction for each would keep the last ones waiting for minutes.
"""

import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from hub import Connection, Database, IsaaxError, Opener, Queries, SealBroken, Vault
from hub.protocol import Hello, Register, hello_proof
from services.auth.contracts import DeviceEvent
from services.auth.refusals import APPROVAL_SECONDS, Refusal
from services.auth.sessions import LiveSession, Sessions

MAX_ADDRESSES = 8


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


@dataclass(frozen=True, slots=True)
class Asked:
    """A hello whose nonce was good; no two of one piece of work are of the same device."""

    device: str
    request: Hello


class Opening:
    """Opens the sessions of devices that say hello.

    Args:
        seconds: that a session lives.
        sessions: ends those that these take the place of, and says what happens.
    """

    def __init__(
        self, database: Database, vault: Vault, sessions: Sessions, *, seconds: int
    ) -> None:
        self._database = database
        self._vault = vault
        self._sessions = sessions
        self._seconds = seconds
        self._sql = Queries.load("services.auth")

    async def open(self, asked: Sequence[Asked]) -> list[LiveSession | IsaaxError]:
        """Give each its session, or say why it gets none."""
        async with self._database.system() as tx:
            rows = await self._lock(tx, asked)
            openers: dict[str, Opener | SealBroken] = {}
            for row in rows.values():
                if row.project not in openers:
                    openers[row.project] = await self._opener(tx, row)
            answers: dict[str, LiveSession | IsaaxError] = {}
            proven: list[tuple[DeviceRow, Hello]] = []
            for one in asked:
                try:
                    row = _proven(one, rows, openers)
                except IsaaxError as error:
                    answers[one.device] = error
                    continue
                if row.knows(one.request.previous):
                    proven.append((row, one.request))
                else:
                    await self._sessions.shut(tx, row.account, row.project, row.id, "quarantined")
                    why = "two machines use this identity: register anew"
                    answers[one.device] = Refusal("revoked", why)
            for live in await self._open(tx, proven):
                answers[live.device] = live
        return [answers[one.device] for one in asked]

    async def _lock(self, tx: Connection, asked: Sequence[Asked]) -> dict[str, DeviceRow]:
        rows = await tx.all(
            self._sql["lock_proving"],
            DeviceRow,
            devices=[one.device for one in asked],
            projects=[one.request.project for one in asked],
        )
        return {row.id: row for row in rows}

    async def _opener(self, tx: Connection, row: DeviceRow) -> Opener | SealBroken:
        """Give what opens a project's keys; what is wrong with one is not to fail the others."""
        try:
            return await self._vault.opener(tx, account=row.account, project=row.project)
        except SealBroken as error:
            return error

    async def _open(
        self, tx: Connection, proven: Sequence[tuple[DeviceRow, Hello]]
    ) -> list[LiveSession]:
        if not proven:
            return []
        expires_at = int(time.time()) + self._seconds
        opened = [
            LiveSession(row.id, row.project, secrets.token_hex(16), expires_at) for row, _ in proven
        ]
        devices = [live.device for live in opened]
        accounts = [row.account for row, _ in proven]
        await self._sessions.end(tx, dict(zip(devices, accounts, strict=True)))
        await tx.run(
            self._sql["put_sessions"],
            devices=devices,
            accounts=accounts,
            projects=[row.project for row, _ in proven],
            ids=[live.id for live in opened],
            connections=[hello.connection for _, hello in proven],
            expires_at=float(expires_at),
        )
        await tx.run(
            self._sql["activate"],
            devices=devices,
            accounts=accounts,
            sessions=[live.id for live in opened],
            previous=[hello.previous for _, hello in proven],
        )
        pairs = zip(proven, opened, strict=True)
        await self._sessions.say(tx, [_event(row, hello, live) for (row, hello), live in pairs])
        return opened


def _proven(
    one: Asked, rows: Mapping[str, DeviceRow], openers: Mapping[str, Opener | SealBroken]
) -> DeviceRow:
    """Give the device's row, once it is sure that it is the device.

    Raises:
        Refusal: it is not, or it may not come in.
        SealBroken: its key does not open.
    """
    row, request = rows.get(one.device), one.request
    if row is None or row.project != request.project:
        raise Refusal("unknown-device", "no such device in this project")
    opener = openers[row.project]
    if isinstance(opener, SealBroken):
        raise SealBroken(opener.detail)
    key = opener.open(row.key, name=key_name(one.device))
    expected = hello_proof(
        key.hex(), request.project, one.device, request.nonce, request.connection, request.previous
    )
    if not same(expected, request):
        raise Refusal("proof", "the proof does not fit the device key")
    if row.status in {"revoked", "quarantined"}:
        raise Refusal("revoked", f"this device is {row.status}: register anew")
    if row.status == "waiting":
        raise Refusal("approval", "somebody has to approve this device first", APPROVAL_SECONDS)
    return row


def _event(row: DeviceRow, hello: Hello, live: LiveSession) -> DeviceEvent:
    return DeviceEvent(
        "opened", row.account, row.project, row.id, session=live.id,
        agent=cleaned(hello.agent), system=cleaned(hello.system),
        addresses=tuple(cleaned(one) for one in hello.addresses[:MAX_ADDRESSES]),
    )  # fmt: skip


def same(expected: str, request: Register | Hello) -> bool:
    """Say whether a proof is the right one, in a time that tells nothing of it."""
    return hmac.compare_digest(expected.encode(), request.proof.encode())


def key_name(device: str) -> str:
    """Give the name that a device's key is sealed under."""
    return f"device-key/{device}"


def cleaned(text: str) -> str:
    """What a device says of itself is shown to people: printable, and not endless."""
    return "".join(c for c in text if c.isprintable())[:100]
