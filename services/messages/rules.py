"""Integrations: where a project's log lines go."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from hub import (
    Bus,
    Connection,
    Database,
    DestinationType,
    EventInfo,
    FieldError,
    Invalid,
    IsaaxError,
    NotAvailable,
    NotFound,
    Nothing,
    Outbox,
    PreconditionFailed,
    Queries,
    Shape,
    Vault,
    check_shape,
)
from hub.ids import new
from hub.relay import contracts as relay
from hub.structs import decode, merge_secrets, public, reveal, schema
from services.messages import contracts as c
from services.messages import peers

_log = structlog.get_logger("messages")
Types = Mapping[str, DestinationType[Any]]
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
TEST_LINE: Final = "a test line, sent by Isaax because somebody asked for it"


class Row(msgspec.Struct, frozen=True):
    """A row of messages_integration."""

    id: str
    number: int
    account: str
    project: str
    type: str
    name: str
    enabled: bool
    shown: dict[str, Any]
    sealed: bytes
    shape: Shape
    revision: int
    created_at: datetime
    updated_at: datetime
    start_at: int

    def view(self, status: relay.IntegrationStatus | None = None) -> c.Integration:
        """Give it as others see it."""
        return c.Integration(
            self.id, self.number, self.project, self.type, self.name, self.enabled, self.shown,
            self.shape, self.revision, self.created_at, self.updated_at, self.start_at, status,
        )  # fmt: skip

    def spec(self) -> relay.IntegrationSpec:
        """Give it as the relay needs it."""
        return relay.IntegrationSpec(
            self.id, self.account, self.project, self.type, self.sealed, self.enabled,
            self.start_at, self.revision, self.shape,
        )  # fmt: skip


class Messages:
    """The rules of integrations."""

    def __init__(
        self, database: Database, outbox: Outbox, vault: Vault, bus: Bus, types: Types
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._vault = vault
        self._bus = bus
        self._types = types
        self._sql = Queries.load("services.messages")

    async def types(self, _: Nothing) -> c.IntegrationTypes:
        """Give every kind of destination."""
        return c.IntegrationTypes(
            [
                c.IntegrationType(t.name, t.title, t.summary, schema(t.config), [*t.examples])
                for _, t in sorted(self._types.items())
            ]
        )

    async def create(self, request: c.CreateIntegration) -> c.Integration:
        """Configure a destination; lines that come from now on go there."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        config = self._decode(request.type, request.config)
        check_shape(request.shape)
        identifier = new("int")
        async with self._database.transaction(account=request.account) as tx:
            row = await tx.one(
                self._sql["add"],
                Row,
                id=identifier,
                account=request.account,
                project=request.project,
                type=request.type,
                name=request.name,
                enabled=request.enabled,
                shown=public(config),
                sealed=await self._seal(tx, request.account, request.project, identifier, config),
                shape=request.shape,
            )
            await self._changed(tx, row)
        try:  # deleted meanwhile, its event may have been here before the row was
            await self._bus.request(peers.GET_PROJECT, wanted)
        except IsaaxError:
            with suppress(NotFound):
                await self.delete(c.DeleteIntegration(row.account, row.id))
            raise
        await self._apply(row.id, row.spec())
        return row.view()

    async def get(self, request: c.OneIntegration) -> c.Integration:
        """Give one integration and how it fares."""
        async with self._database.transaction(account=request.account) as tx:
            row = await tx.one(self._sql["get"], Row, **msgspec.structs.asdict(request))
        statuses = await self._statuses([row.id])
        return row.view(statuses.get(row.id))

    async def page(self, request: c.ListIntegrations) -> c.Integrations:
        """Give a page of a project's integrations and how they fare."""
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        parameters = msgspec.structs.asdict(request) | {"limit": request.limit + 1}
        async with self._database.transaction(account=request.account) as tx:
            rows = await tx.all(self._sql["list"], Row, **parameters)
        page = rows[: request.limit]
        statuses = await self._statuses([row.id for row in page])
        items = [row.view(statuses.get(row.id)) for row in page]
        return c.Integrations(items, len(rows) > request.limit)

    async def ids(self, request: c.OwnIntegrations) -> c.IntegrationIds:
        """Give the ids of all integrations of an account."""
        async with self._database.transaction(account=request.account) as tx:
            return c.IntegrationIds(
                await tx.all(self._sql["list_ids"], str, account=request.account)
            )

    async def change(self, request: c.ChangeIntegration) -> c.Integration:
        """Replace an integration's name, config, shape and whether it is on; its cursor stays.

        Raises:
            Invalid: the config or the shape is not good, or a secret is left out and the rest
                of the config changed.
        """
        check_shape(request.shape)
        async with self._database.transaction(account=request.account) as tx:
            old = await self._lock(tx, request.account, request.integration, request.versions)
            kept = decode(self._type(old.type).config, await self._open(tx, old))
            config = self._decode(old.type, merged := merge_secrets(kept, request.config))
            if merged != request.config and public(config) != public(kept):
                # Else whoever may change the address could have a secret sent to their own.
                raise Invalid("give the secrets again: the config around them has changed")
            row = await tx.one(
                self._sql["change"],
                Row,
                integration=old.id,
                account=old.account,
                name=request.name,
                enabled=request.enabled,
                shown=public(config),
                sealed=await self._seal(tx, old.account, old.project, old.id, config),
                shape=request.shape,
            )
            await self._changed(tx, row)
        await self._apply(row.id, row.spec())
        return row.view()

    async def switch(self, request: c.SwitchIntegration) -> c.Integration:
        """Pause an integration or let it go on; its cursor stays."""
        async with self._database.transaction(account=request.account) as tx:
            row = await self._lock(tx, request.account, request.integration, request.versions)
            if row.enabled is request.enabled:
                return row.view()
            row = await tx.one(
                self._sql["switch"],
                Row,
                integration=row.id,
                account=row.account,
                enabled=request.enabled,
            )
            await self._changed(tx, row)
        await self._apply(row.id, row.spec())
        return row.view()

    async def rewind(self, request: c.RewindIntegration) -> c.Integration:
        """Put an integration's cursor at a time.

        Raises:
            Invalid: that is yet to come.
        """
        now = datetime.now(UTC)
        # Before the epoch there are no lines, nor has a cursor a place there.
        start_at = max(request.start_at or now, _EPOCH)
        if start_at > now:
            wrong = FieldError("/from", 'is in the future; "now" leaves out what waits')
            raise Invalid(wrong.detail, errors=[wrong])
        async with self._database.transaction(account=request.account) as tx:
            row = await self._lock(tx, request.account, request.integration, request.versions)
            row = await tx.one(
                self._sql["rewind"],
                Row,
                integration=row.id,
                account=row.account,
                start_at=start_at,
            )
            await self._changed(tx, row)
        await self._apply(row.id, row.spec())
        return row.view()

    async def test(self, request: c.TestIntegration) -> relay.TestResult:
        """Send one line where an integration delivers, and say what came of it."""
        async with self._database.transaction(account=request.account) as tx:
            scope = {"account": request.account, "integration": request.integration}
            row = await tx.one(self._sql["get"], Row, **scope)
        return await self._test(row.spec(), request.message)

    async def test_config(self, request: c.TestConfig) -> relay.TestResult:
        """The same for a config that is not saved.

        Raises:
            Invalid: the config is not good.
        """
        wanted = peers.GetProject(request.account, request.project)
        await self._bus.request(peers.GET_PROJECT, wanted)
        config = self._decode(request.type, request.config)
        identifier = new("int")
        async with self._database.transaction(account=request.account) as tx:
            sealed = await self._seal(tx, request.account, request.project, identifier, config)
        spec = relay.IntegrationSpec(
            identifier, request.account, request.project, request.type, sealed, True, 0, 0
        )
        return await self._test(spec, request.message)

    async def _test(self, spec: relay.IntegrationSpec, message: str) -> relay.TestResult:
        return await self._bus.request(
            relay.TEST_INTEGRATION, relay.TestIntegration(spec, message or TEST_LINE)
        )

    async def delete(self, request: c.DeleteIntegration) -> Nothing:
        """Delete an integration."""
        async with self._database.transaction(account=request.account) as tx:
            row = await self._lock(tx, request.account, request.integration, request.versions)
            await tx.run(self._sql["delete"], integration=row.id, account=row.account)
            await self._changed(tx, row, deleted=True)
        await self._apply(row.id, None)
        return Nothing()

    async def list_specs(self, request: relay.ListIntegrations) -> relay.Integrations:
        """Give a page of all integrations to the relay."""
        async with self._database.system() as tx:
            rows = await tx.all(
                self._sql["list_specs"],
                relay.IntegrationSpec,
                after=request.after,
                limit=request.limit,
            )
        return relay.Integrations(rows)

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Delete a project's integrations, and what the intake could not take of it."""
        scope = {"project": event.project, "account": event.account}
        async with self._database.transaction(account=event.account) as tx:
            gone = await tx.all(self._sql["delete_project"], Row, **scope)
            for row in gone:
                await self._changed(tx, row, deleted=True)
        await self._stop(gone)
        refused = relay.SomeDead(event.project, "intake", gone=True)
        while (await self._bus.request(relay.DROP_DEAD, refused)).more:
            continue

    async def delete_all(self, account: str) -> int:
        """Delete all integrations of an account, and give how many there were."""
        async with self._database.transaction(account=account) as tx:
            gone = await tx.all(self._sql["delete_account"], Row, account=account)
            for row in gone:
                await self._changed(tx, row, deleted=True)
        await self._stop(gone)
        return len(gone)

    async def _stop(self, gone: Sequence[Row]) -> None:
        for row in gone:
            await self._apply(row.id, None)

    def _type(self, name: str) -> DestinationType[Any]:
        if name in self._types:
            return self._types[name]
        known = ", ".join(sorted(self._types))
        wrong = FieldError("/type", f"one of: {known}")
        raise Invalid(f"there is no integration type {name!r} here", errors=[wrong])

    def _decode(self, type_name: str, config: dict[str, Any]) -> msgspec.Struct:
        kind = self._type(type_name)
        try:
            decoded: msgspec.Struct = decode(kind.config, config)
        except Invalid as error:
            inside = [FieldError(f"/config{e.pointer}", e.detail) for e in error.errors]
            raise Invalid(error.detail, errors=inside) from None
        return decoded

    async def _seal(
        self, tx: Connection, account: str, project: str, identifier: str, config: msgspec.Struct
    ) -> bytes:
        plain = msgspec.json.encode(reveal(config))
        name = f"integration/{identifier}"
        return await self._vault.seal(tx, plain, account=account, project=project, name=name)

    async def _open(self, tx: Connection, row: Row) -> bytes:
        name = f"integration/{row.id}"
        return await self._vault.open(
            tx, row.sealed, account=row.account, project=row.project, name=name
        )

    async def _lock(
        self, tx: Connection, account: str, integration: str, versions: tuple[str, ...] | None
    ) -> Row:
        row = await tx.maybe(self._sql["lock"], Row, integration=integration, account=account)
        if row is None:
            raise NotFound("no such integration")
        if versions is not None and str(row.revision) not in versions:
            raise PreconditionFailed("the integration has changed: read it again")
        return row

    async def _changed(self, tx: Connection, row: Row, *, deleted: bool = False) -> None:
        event = relay.IntegrationChanged(row.id, row.project, row.revision, deleted)
        await self._outbox.add(tx, relay.INTEGRATION_CHANGED, event, key=row.id)

    async def _apply(self, identifier: str, spec: relay.IntegrationSpec | None) -> None:
        """Have the relay take it up now; should it be away, the event tells it later."""
        try:
            await self._bus.request(
                relay.APPLY_INTEGRATION, relay.ApplyIntegration(spec, identifier)
            )
        except IsaaxError as error:
            _log.warning("the relay takes it up later", integration=identifier, error=str(error))

    async def _statuses(self, ids: list[str]) -> dict[str, relay.IntegrationStatus]:
        try:
            answer = await self._bus.request(relay.STATUS, relay.StatusOf(ids), timeout=2.0)
        except NotAvailable:
            return {}
        except IsaaxError as error:
            _log.warning("no word from the relay of how integrations fare", error=str(error))
            return {}
        return {item.id: item for item in answer.items}
