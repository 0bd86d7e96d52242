"""The service `auth`: devices register, open sessions, and are cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from hub import (
    Audit,
    Bus,
    Consumer,
    Database,
    DataMeter,
    Endpoint,
    EventInfo,
    NotAvailable,
    Nothing,
    Outbox,
    Pace,
    StreamEndpoint,
    Unavailable,
    Vault,
    account_endpoints,
)
from hub.broker import BrokerControl, BrokerStatus, watch_refusals, watch_status
from hub.mqtt import Mqtt
from hub.settings import HubSettings, MqttSettings
from services.auth import contracts as c
from services.auth import deeds, peers
from services.auth.account import AccountOfAuth, RestingAccountOfAuth
from services.auth.door import Door, repeating
from services.auth.gate import Gate
from services.auth.registration import Registration
from services.auth.rules import Rules
from services.auth.settings import AuthSettings
from services.auth.tokens import TokenTable
from services.auth.versions import Versions

_log = structlog.get_logger("auth")
UPKEEP_SECONDS = 15.0
_PACE = Pace(first=0.25, limit=2.0)


class Auth:
    """Keeps the broker's tables in step with what the hub knows.

    What replaces or clears them closes the gate: else a snapshot brought back a token that was
    revoked after it had been read, and cut off a session that was opened then.
    """

    def __init__(
        self,
        rules: Rules,
        tokens: TokenTable,
        control: BrokerControl,
        bus: Bus,
        gate: Gate,
        *,
        pace: Pace = _PACE,
    ) -> None:
        self._pace = pace
        self._rules = rules
        self._tokens = tokens
        self._control = control
        self._bus = bus
        self._gate = gate
        self._broker = ""

    async def sync(self) -> None:
        """Give the broker the whole of both tables, as soon as whoever keeps tokens answers.

        Raises:
            NotAvailable: nobody ever will.
        """
        failures = 0
        while True:
            try:
                await self._sync()
            except NotAvailable:
                raise
            except Unavailable as error:
                failures += 1
                _log.warning("the broker's tables wait", reason=error.detail)
            else:
                return
            await asyncio.sleep(self._pace.wait(failures))

    async def _sync(self) -> None:
        """Read every token anew and replace both tables."""
        async with self._gate.closed():
            self._tokens.replace(await self._read_tokens())
            sessions = await self._rules.live_sessions()
            self._control.snapshot(
                self._tokens.pairs(), ((s.device, s.project, s.id, s.expires_at) for s in sessions)
            )

    async def _read_tokens(self) -> list[peers.TokenDigest]:
        found: list[peers.TokenDigest] = []
        page = 1000
        while True:
            after = found[-1].number if found else 0
            answer = await self._bus.request(peers.LIST_DIGESTS, peers.ListDigests(after, page))
            found += answer.items
            if len(answer.items) < page:
                return found

    async def broker_seen(self, status: BrokerStatus) -> None:
        """Notice a broker that started anew: it has no connection of the time before."""
        if self._broker != status.instance:
            await self._rules.end_opened_before(status.started)
            await self.sync()
        self._broker = status.instance

    async def token_changed(self, event: peers.TokenChanged, _: EventInfo) -> None:
        """Pass a token on to the broker; a revoked one also cuts off who used it."""
        async with self._gate.passing():
            digest = self._tokens.apply(event)
            if event.live:
                self._control.token(event.project, digest)
            else:
                self._control.untoken(event.project, digest)

    async def project_deleted(self, event: peers.ProjectChanged, _: EventInfo) -> None:
        """Cut off every device of a project, and forget its tokens."""
        async with self._gate.passing():
            for digest in self._tokens.drop(event.project):
                self._control.untoken(event.project, digest)
            for device in await self._rules.forget_project(event):
                self._control.unsession(device)

    async def revoke(self, request: c.RevokeDevice) -> Nothing:
        """Answer `auth.devices.revoke`."""
        done = await self._rules.revoke(request)
        self._control.unsession(request.device)
        return done

    async def upkeep(self) -> None:
        """End what is over."""
        async with self._gate.closed():  # who renews just now keeps the new session
            for device in await self._rules.end_expired():
                self._control.unsession(device)


@asynccontextmanager
async def auth(
    settings: AuthSettings,
    hub: HubSettings,
    mqtt_settings: MqttSettings,
    database: Database,
    outbox: Outbox,
    vault: Vault,
    bus: Bus,
    audit: Audit,
    meter: DataMeter,
) -> AsyncIterator[None]:
    """Run the service."""
    tokens = TokenTable()
    versions = Versions(bus, (*hub.services, *hub.remote))
    rules = Rules(settings, database, outbox, vault, bus, audit, versions)
    registration = Registration(database, vault, tokens, rules)
    async with AsyncExitStack() as stack:
        mqtt = await stack.enter_async_context(
            Mqtt.connect(
                mqtt_settings, client="hub-auth", persistent=True, sent=meter.down, came=meter.up
            )
        )
        control = BrokerControl(mqtt)
        gate = Gate()
        door = Door(settings, rules, registration, mqtt, control, gate)
        service = Auth(rules, tokens, control, bus, gate)
        await service.sync()
        await stack.enter_async_context(watch_status(mqtt, service.broker_seen))
        await watch_refusals(mqtt, lambda one: audit.refused(deeds.of_refusal(one, tokens)))
        await stack.enter_async_context(
            bus.consume(
                Consumer(peers.TOKEN_CHANGED, "auth-tokens", service.token_changed),
                Consumer(peers.PROJECT_DELETED, "auth-projects", service.project_deleted),
            )
        )
        account = AccountOfAuth(database, control, gate)
        endpoints: list[Endpoint[Any, Any] | StreamEndpoint[Any, Any]] = [
            Endpoint(c.REVOKE, service.revoke),
            Endpoint(c.APPROVE, registration.approve),
            Endpoint(c.SESSIONS, account.sessions),
            *account_endpoints("auth", account),
        ]
        await stack.enter_async_context(bus.serve("auth", "1.0.0", endpoints))
        await stack.enter_async_context(repeating(UPKEEP_SECONDS, service.upkeep, "auth-upkeep"))
        await stack.enter_async_context(door.open())
        yield


@asynccontextmanager
async def resting(mqtt_settings: MqttSettings, database: Database, bus: Bus) -> AsyncIterator[None]:
    """Answer for what is kept of accounts, where the service is switched off."""
    endpoints = account_endpoints("auth", RestingAccountOfAuth(mqtt_settings, database))
    async with bus.serve("auth-resting", "1.0.0", endpoints):
        yield
