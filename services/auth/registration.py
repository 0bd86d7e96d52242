"""Devices that register: which may, and who has to approve them first."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from hub import Conflict, Connection, Database, NotFound, Outcome, Queries, Vault
from hub.ids import new
from hub.protocol import Register, Registered, register_proof_from_digest
from services.auth.contracts import ApprovedDevices, ApproveDevices, DeviceEvent
from services.auth.opening import cleaned, key_name, same
from services.auth.refusals import Refusal
from services.auth.rules import Rules
from services.auth.tokens import ProjectToken, TokenTable


class _Status(msgspec.Struct):
    id: str
    status: str


def _now() -> datetime:
    return datetime.now(UTC)


class Registration:
    """The rules of registering.

    Args:
        rules: hands out nonces, and says what happens.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        tokens: TokenTable,
        rules: Rules,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._vault = vault
        self._tokens = tokens
        self._rules = rules
        self._clock = clock
        self._sql = Queries.load("services.auth")

    async def register(self, client: str, request: Register) -> Registered:
        """Make a device and its key; the key is in the answer and, sealed, in the database.

        Raises:
            Refusal: the nonce is spent, no live token of the project made this proof, or the one
                that did lets no more devices register.
        """
        if not self._rules.nonces.spend(client, request.nonce):
            raise Refusal("nonce", "the nonce is unknown, used or expired: begin again")
        token = self._token(client, request)
        device, key = new("dev"), secrets.token_bytes(32)
        account, project = self._tokens.account(request.project), request.project
        async with self._database.transaction(account=account) as tx:
            await self._count(tx, token)
            sealed = await self._vault.seal(
                tx, key, account=account, project=project, name=key_name(device)
            )
            approval = token.enrolment.approval
            await tx.run(
                self._sql["add_device"],
                id=device,
                account=account,
                project=project,
                key=sealed,
                token=token.id,
                status="waiting" if approval else "pending",
            )
            await self._rules.say(
                tx,
                DeviceEvent(
                    "registered", account, project, device,
                    label=cleaned(request.label), agent=cleaned(request.agent),
                    system=cleaned(request.system), group=token.enrolment.group, waits=approval,
                ),
            )  # fmt: skip
        return Registered(device, key.hex())

    async def approve(self, request: ApproveDevices) -> ApprovedDevices:
        """Let devices in that wait for it; one that does not holds up no other."""
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(
                self._sql["lock_devices"],
                _Status,
                account=request.account,
                project=request.project,
                devices=request.devices,
            )
            found = {row.id: row.status for row in rows}
            waiting = [device for device, status in found.items() if status == "waiting"]
            await tx.run(self._sql["approve"], account=request.account, devices=waiting)
            for device in waiting:
                event = DeviceEvent("approved", request.account, request.project, device)
                await self._rules.say(tx, event)
        return ApprovedDevices([_outcome(found.get(device)) for device in request.devices])

    def _token(self, client: str, request: Register) -> ProjectToken:
        tokens = self._tokens.of(request.project).items()
        token = next((token for digest, token in tokens if _proves(digest, client, request)), None)
        if token is None:
            raise Refusal("proof", "no valid token of this project made this proof")
        until = token.enrolment.expires_at
        if until is not None and until <= self._clock():
            raise Refusal("expired", f"this token has let devices register until {until:%F %H:%MZ}")
        return token

    async def _count(self, tx: Connection, token: ProjectToken) -> None:
        most = token.enrolment.max_devices
        if most is None:
            return
        # One after the other, or two would be the last one at the same time.
        await tx.all(self._sql["lock_token"], str, token=token.id)
        if await tx.one(self._sql["count_token"], int, token=token.id) >= most:
            raise Refusal("limit", f"this token lets {most} devices register, and as many have")


def _proves(digest: bytes, client: str, request: Register) -> bool:
    proof = register_proof_from_digest(digest, request.project, client, request.nonce)
    return same(proof, request)


def _outcome(status: str | None) -> Outcome:
    if status is None:
        return Outcome.failed(NotFound("no such device"))
    if status in {"revoked", "quarantined"}:
        return Outcome.failed(Conflict(f"the device is {status}: it has to register anew"))
    return Outcome()  # approved now, or before: approving twice does no harm
