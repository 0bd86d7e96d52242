"""What the relay answers on the bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from nats.aio.client import Client

from hub.contracts import Bus, Consumer, Endpoint, EventInfo, Nothing, StreamEndpoint
from hub.relay import contracts as c
from hub.relay.dry_run import DryRuns
from hub.relay.health import HealthPage
from hub.relay.hosts import HostNames
from hub.relay.integrations import Integrations
from hub.relay.latest import Latest
from hub.relay.letters import Letters
from hub.relay.locks import Locks
from hub.relay.logs import Logs
from hub.relay.marks import MarkTable
from hub.relay.replays import Replays
from hub.relay.tasks import Tasks
from hub.relay.trials import Trials
from hub.telemetry import Metrics

_APPLY: Final = 2.0  # seconds that an `apply` is waited for; it goes on by itself

AnyEndpoint = Endpoint[Any, Any] | StreamEndpoint[Any, Any]


class Directing:
    """Answers what is asked about integrations, and follows what is said of them and of devices."""

    def __init__(
        self, integrations: Integrations, marks: MarkTable, hosts: HostNames, letters: Letters
    ) -> None:
        self._integrations = integrations
        self._marks = marks
        self._hosts = hosts
        self._letters = letters
        self.applying = Tasks()

    async def marks(self, request: c.MarksOf) -> c.Marks:
        """Say how far each stream of a device is durable."""
        return c.Marks(self._marks.of_device(request.project, request.device))

    async def apply(self, request: c.ApplyIntegration) -> Nothing:
        """Take up one integration now."""
        # A stalled destination may need long to end: the caller does not wait for that.
        await asyncio.wait(
            {self.applying.start(self._integrations.apply(request.id, request.spec))},
            timeout=_APPLY,
        )
        return Nothing()

    async def status(self, request: c.StatusOf) -> c.Statuses:
        """Say how integrations fare."""
        statuses, dead = await asyncio.gather(
            self._integrations.statuses(request.integrations),
            self._letters.counts(request.integrations),
        )
        return c.Statuses(
            [
                msgspec.structs.replace(status, dead_letters=dead.get(status.id, 0))
                for status in statuses
            ]
        )

    async def integration_changed(self, event: c.IntegrationChanged, _: EventInfo) -> None:
        """Take up a change that no `apply` told of; leave nothing of what was deleted."""
        self._integrations.look_soon()
        if event.deleted:
            await self._integrations.apply(event.id, None)
            await self._letters.forget(event.id)

    async def device_changed(self, event: c.DeviceChanged, _: EventInfo) -> None:
        """Look its name and its group up again."""
        self._hosts.forget(event.project, event.device)


@asynccontextmanager
async def serving(
    bus: Bus,
    nats: Client,
    metrics: Metrics,
    marks: MarkTable,
    integrations: Integrations,
    hosts: HostNames,
    tasks: Tasks,
    *,
    shards: int,
) -> AsyncIterator[None]:
    """Answer the relay's contracts; what goes on beside that is among `tasks`."""
    locks = Locks()
    letters = Letters(nats, hosts, locks)
    replays = Replays(nats, locks, replayed=integrations.replay_soon)
    page = HealthPage(nats, metrics, integrations.all_statuses, shards=shards)
    directing = Directing(integrations, marks, hosts, letters)
    logs = Logs(nats, hosts, shards=shards)
    endpoints: list[AnyEndpoint] = [
        Endpoint(c.MARKS, directing.marks),
        Endpoint(c.APPLY_INTEGRATION, directing.apply),
        Endpoint(c.STATUS, directing.status),
        Endpoint(c.TEST_INTEGRATION, Trials(integrations.workshop).run, concurrency=16),
        Endpoint(c.READ_LOGS, logs.read, concurrency=8),
        StreamEndpoint(c.TAIL_LOGS, logs.tail),
        Endpoint(c.DRY_RUN, DryRuns(nats, hosts, shards=shards).run, concurrency=4),
        Endpoint(c.LIST_DEAD, letters.page, concurrency=8),
        Endpoint(c.GET_DEAD, letters.get, concurrency=8),
        Endpoint(c.FIX_DEAD, letters.fix, concurrency=8),
        Endpoint(c.DROP_DEAD, letters.drop, concurrency=8),
        Endpoint(c.REPLAY_DEAD, replays.replay, concurrency=8),
        StreamEndpoint(c.LATEST_METRICS, Latest(nats, hosts, shards=shards).stream),
        Endpoint(c.RELAY_HEALTH, page.read, concurrency=4),
    ]
    consumers = (
        Consumer(c.INTEGRATION_CHANGED, "relay-integrations", directing.integration_changed),
        Consumer(c.DEVICE_CHANGED, "relay-hosts", directing.device_changed),
    )
    tasks.start(replays.run())
    tasks.start(page.run())
    try:
        async with bus.serve("relay", "1.0.0", endpoints), bus.consume(*consumers):
            integrations.look_soon()
            yield
    finally:
        await directing.applying.cancel()
