"""What the relay answers on the bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from nats.aio.client import Client

from hub.contracts import Bus, Consumer, Endpoint, EventInfo, StreamEndpoint
from hub.relay import contracts as c
from hub.relay.crew import Crew
from hub.relay.dry_run import DryRuns
from hub.relay.health import HealthPage, StreamMeters
from hub.relay.hosts import HostNames
from hub.relay.keeping import Keeping
from hub.relay.latest import Latest
from hub.relay.letters import Letters
from hub.relay.logs import Logs
from hub.relay.losses import NOTHING_LOST, Losses
from hub.relay.marks import MarkTable
from hub.relay.recent import Recent
from hub.relay.replays import Replays
from hub.relay.tasks import Tasks
from hub.relay.trials import Trials
from hub.relay.workshop import Workshop
from hub.telemetry import Metrics

AnyEndpoint = Endpoint[Any, Any] | StreamEndpoint[Any, Any]


class Directing:
    """Answers what is asked about integrations and devices."""

    def __init__(self, crew: Crew, marks: MarkTable, letters: Letters, losses: Losses) -> None:
        self._crew = crew
        self._marks = marks
        self._letters = letters
        self._losses = losses

    async def marks(self, request: c.MarksOf) -> c.Marks:
        """Say how far each stream of a device is durable."""
        return c.Marks(self._marks.of_device(request.project, request.device))

    async def status(self, request: c.StatusOf) -> c.Statuses:
        """Say how integrations fare."""
        statuses, dead = await asyncio.gather(
            self._crew.statuses(request.integrations),
            self._letters.counts(request.integrations),
        )
        lost = self._losses.of_integrations(request.integrations)
        return c.Statuses(
            [
                msgspec.structs.replace(
                    status,
                    dead_letters=dead.get(status.id, 0),
                    lost_letters=lost.get(status.id, NOTHING_LOST).letters,
                    lost_lines=lost.get(status.id, NOTHING_LOST).lines,
                )
                for status in statuses
            ]
        )

    async def integration_changed(self, event: c.IntegrationChanged, _: EventInfo) -> None:
        """Leave nothing of what was deleted."""
        if event.deleted:
            await self._letters.forget(event.id)


@asynccontextmanager
async def serving(
    bus: Bus,
    nats: Client,
    metrics: Metrics,
    marks: MarkTable,
    crew: Crew,
    workshop: Workshop,
    hosts: HostNames,
    kept: Keeping,
    recent: Recent,
    tasks: Tasks,
    *,
    shards: int,
) -> AsyncIterator[None]:
    """Answer the relay's contracts; what goes on beside that is among `tasks`."""
    letters = Letters(nats, hosts, kept)
    replays = Replays(nats, kept, replayed=crew.replay_soon)
    page = HealthPage(crew.all_statuses, recent, kept)
    directing = Directing(crew, marks, letters, kept.losses)
    logs = Logs(nats, hosts, shards=shards)
    endpoints: list[AnyEndpoint] = [
        Endpoint(c.MARKS, directing.marks),
        Endpoint(c.APPLY_INTEGRATION, crew.apply),
        Endpoint(c.STATUS, directing.status),
        Endpoint(c.TEST_INTEGRATION, Trials(workshop).run, concurrency=16),
        Endpoint(c.READ_LOGS, logs.read, concurrency=8),
        StreamEndpoint(c.TAIL_LOGS, logs.tail),
        Endpoint(c.DRY_RUN, DryRuns(nats, hosts, shards=shards).run, concurrency=4),
        Endpoint(c.LIST_DEAD, letters.page, concurrency=8),
        Endpoint(c.GET_DEAD, letters.get, concurrency=8),
        Endpoint(c.FIX_DEAD, letters.fix, concurrency=8),
        Endpoint(c.DROP_DEAD, letters.drop, concurrency=8),
        Endpoint(c.REPLAY_DEAD, replays.replay, concurrency=8),
        Endpoint(c.MAKE_ROOM, kept.room.make),
        StreamEndpoint(c.LATEST_METRICS, Latest(nats, hosts, shards=shards).stream),
        Endpoint(c.RELAY_HEALTH, page.read, concurrency=4),
    ]
    deleted = Consumer(c.INTEGRATION_CHANGED, "relay-letters", directing.integration_changed)
    tasks.start(replays.run())
    tasks.start(StreamMeters(nats, metrics, shards=shards).run())
    async with bus.serve("relay", "1.0.0", endpoints), bus.consume(deleted):
        yield
