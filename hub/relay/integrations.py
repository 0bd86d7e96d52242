"""The integrations that this relay runs: kept in line with what the directory of them says."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from hub.contracts import Bus
from hub.database import Database
from hub.destinations import Destination, DestinationType, Tools
from hub.errors import IsaaxError
from hub.relay.contracts import (
    LIST_INTEGRATIONS,
    IntegrationSpec,
    IntegrationStatus,
    ListIntegrations,
)
from hub.relay.cursor import Cursor, consumer_names, delete_cursor
from hub.relay.dead_letters import DeadLetters
from hub.relay.delivery import Delivery, Rules
from hub.relay.hosts import HostNames
from hub.relay.meters import DeliveryMeters
from hub.relay.progress import Progress, State
from hub.relay.retry import Backoff, Breaker
from hub.relay.streams import shard_of, shard_stream
from hub.settings import RelaySettings
from hub.structs import decode
from hub.vault import Vault

_log = structlog.stdlib.get_logger(__name__)

_PAGE: Final = 500
_EVERY: Final = 30.0  # seconds between looks at the whole list
_AGAIN: Final = 1.0  # seconds before a list that nobody gave is asked for again
_STOP: Final = 8.0  # seconds that a delivery may take to end well
_GAUGES: Final = 10.0  # seconds between looks at how much is pending


class MakeTools(Protocol):
    """Gives a destination its tools (hub/net.py)."""

    def __call__(
        self, integration: str, *, private_hosts: bool
    ) -> AbstractAsyncContextManager[Tools]:
        """Open the tools of one integration."""
        ...


class Workshop:
    """Makes destinations: opens the sealed config, checks it, and builds with fresh tools."""

    def __init__(
        self,
        types: Mapping[str, DestinationType[Any]],
        database: Database,
        vault: Vault,
        tools: MakeTools,
        *,
        private_hosts: bool,
    ) -> None:
        self._types = types
        self._database = database
        self._vault = vault
        self._tools = tools
        self._private_hosts = private_hosts

    def type_of(self, spec: IntegrationSpec) -> DestinationType[Any] | None:
        """Give the kind of destination, when its plugin is here."""
        return self._types.get(spec.type)

    @asynccontextmanager
    async def build(
        self, spec: IntegrationSpec, kind: DestinationType[Any]
    ) -> AsyncIterator[Destination]:
        """Make the destination of an integration; its tools live as long as the context.

        Raises:
            IsaaxError: the config cannot be opened or is not valid.
        """
        async with self._database.transaction(account=spec.account) as tx:
            plain = await self._vault.open(
                tx,
                spec.sealed,
                account=spec.account,
                project=spec.project,
                name=f"integration/{spec.id}",
            )
        config = decode(kind.config, plain)
        async with self._tools(spec.id, private_hosts=self._private_hosts) as tools:
            assert kind.build is not None
            yield kind.build(config, tools)


class _Runner:
    """One integration at one revision."""

    def __init__(self, spec: IntegrationSpec, progress: Progress) -> None:
        self.spec = spec
        self.progress = progress
        self.cursor: Cursor | None = None
        self.delivery: Delivery | None = None
        self.task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """End the delivery: well within its time, or by cancelling it."""
        if self.delivery is None or self.task is None:
            return
        self.delivery.stop()
        done, _ = await asyncio.wait({self.task}, timeout=_STOP)
        if not done:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=_STOP)


class Integrations:
    """Runs a `Delivery` for each enabled integration, and no other."""

    def __init__(
        self,
        nats: Client,
        bus: Bus,
        workshop: Workshop,
        *,
        settings: RelaySettings,
        dead: DeadLetters,
        hosts: HostNames,
        meters: DeliveryMeters,
        breaker: Callable[[], Breaker] = Breaker,
    ) -> None:
        self._nats = nats
        self._bus = bus
        self._workshop = workshop
        self._settings = settings
        self._dead = dead
        self._hosts = hosts
        self._meters = meters
        self._breaker = breaker
        self._runners: dict[str, _Runner] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._applied: dict[str, float] = {}
        self._look = asyncio.Event()

    # ── what is asked for ─────────────────────────────────────────────────────────────────────

    async def apply(self, integration: str, spec: IntegrationSpec | None) -> None:
        """Bring one integration to this state; None deletes it. Older revisions are ignored."""
        await self._apply(integration, spec, time.monotonic())

    async def _apply(self, integration: str, spec: IntegrationSpec | None, known: float) -> None:
        """Do so, unless something was asked for after `known`, when this state was the present."""
        if known < self._applied.get(integration, 0.0):
            return
        self._applied[integration] = known
        async with self._locks.setdefault(integration, asyncio.Lock()):
            runner = self._runners.get(integration)
            if spec is None:
                await self._remove(integration, runner)
                return
            if runner is not None:
                if runner.spec.revision >= spec.revision:
                    return
                await runner.stop()
            self._runners[integration] = self._start(spec, runner)

    def look_soon(self) -> None:
        """Look at the whole list now, not at the next turn."""
        self._look.set()

    async def statuses(self, wanted: Iterable[str]) -> list[IntegrationStatus]:
        """Give the status of those that run here."""
        runners = [self._runners[i] for i in wanted if i in self._runners]
        return list(await asyncio.gather(*(self._status(runner) for runner in runners)))

    async def stop(self) -> None:
        """End all deliveries, at once."""
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Keep in line with the directory, until cancelled."""
        backoff = Backoff(base=_AGAIN, cap=10.0)
        while True:
            self._look.clear()
            try:
                await self._reconcile()
                backoff.reset()
                wait = _EVERY
            except (IsaaxError, NatsError) as error:
                wait = 0.2 + backoff.next()
                _log.info("the integrations are not known yet", error=str(error))
            try:
                async with asyncio.timeout(wait):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _reconcile(self) -> None:
        started = time.monotonic()
        specs = await self._all()
        # What was asked for while the list was being read is newer than the list.
        await asyncio.gather(*(self._apply(spec.id, spec, started) for spec in specs.values()))
        consumers = [
            (name, shard_stream(shard))
            for shard in range(self._settings.shards)
            for name in await consumer_names(self._nats, shard_stream(shard))
        ]
        for name in {*self._runners, *(name for name, _ in consumers)} - specs.keys():
            if name.startswith("int_") and self._applied.get(name, 0.0) < started:
                await self._forget(name, [stream for other, stream in consumers if other == name])

    async def _all(self) -> dict[str, IntegrationSpec]:
        specs: dict[str, IntegrationSpec] = {}
        after = ""
        while True:
            page = await self._bus.request(LIST_INTEGRATIONS, ListIntegrations(after, _PAGE))
            specs |= {spec.id: spec for spec in page.items}
            if len(page.items) < _PAGE:
                return specs
            after = page.items[-1].id

    # ── starting and ending ───────────────────────────────────────────────────────────────────

    def _start(self, spec: IntegrationSpec, before: _Runner | None) -> _Runner:
        progress = before.progress if before else Progress(spec.id, self._meters)
        runner = _Runner(spec, progress)
        runner.cursor = before.cursor if before else None
        kind = self._workshop.type_of(spec)
        if not spec.enabled:
            progress.state(State.PAUSED)
            return runner
        if kind is None:
            progress.note(State.BROKEN, f"there is no destination type {spec.type!r} here")
            return runner
        progress.state(State.STARTING)
        # A new revision goes on where the last one was, with what its cursor knows.
        cursor = runner.cursor or Cursor(self._nats, spec, shards=self._settings.shards)
        runner.cursor = cursor
        runner.delivery = Delivery(
            spec.id,
            cursor,
            lambda: self._workshop.build(spec, kind),
            Rules(kind.max_lines, kind.max_bytes, kind.timeout, kind.window, self._settings.window),
            dead=self._dead,
            hosts=self._hosts,
            progress=progress,
            breaker=self._breaker(),
        )
        runner.task = asyncio.get_running_loop().create_task(self._supervise(runner))
        return runner

    async def _supervise(self, runner: _Runner) -> None:
        """Run a delivery again when it ends by a mistake of ours: others are not concerned."""
        backoff = Backoff(base=1.0, cap=60.0)
        while runner.delivery is not None:
            try:
                await runner.delivery.run()
            except Exception as error:  # noqa: BLE001 - one integration never ends another
                _log.exception("a delivery failed", integration=runner.spec.id)
                runner.progress.note(State.RETRYING, f"internal error: {type(error).__name__}")
                await asyncio.sleep(0.5 + backoff.next())
            else:
                return

    async def _remove(self, integration: str, runner: _Runner | None) -> None:
        if runner is not None:
            await runner.stop()
            stream = shard_stream(shard_of(runner.spec.project, self._settings.shards))
            await delete_cursor(self._nats, integration, stream)
            runner.progress.remove()
            del self._runners[integration]

    async def _forget(self, integration: str, streams: list[str]) -> None:
        """Remove one that the directory no longer knows, with what an earlier process left."""
        async with self._locks.setdefault(integration, asyncio.Lock()):
            await self._remove(integration, self._runners.get(integration))
            for stream in streams:
                await delete_cursor(self._nats, integration, stream)

    # ── how they fare ─────────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """Bring gauges up to date and look for what retention took, until cancelled."""
        while True:
            await asyncio.sleep(_GAUGES)
            for runner in list(self._runners.values()):
                await self._measure(runner)

    async def _measure(self, runner: _Runner) -> None:
        if runner.cursor is None:
            return
        try:
            view = await runner.cursor.view()
        except (NatsError, OSError):
            return
        runner.progress.publish(view.pending)
        lost = runner.cursor.newly_lost(view)
        if lost:
            runner.progress.gap(lost)
            _log.error(
                "retention passed an integration: stored batches are gone before delivery",
                integration=runner.spec.id,
                at_most=lost,
            )

    async def _status(self, runner: _Runner) -> IntegrationStatus:
        pending: int | None = None
        if runner.cursor is not None:
            try:
                pending = (await runner.cursor.view()).pending
            except (NatsError, OSError):
                pending = None  # what we know ourselves has to do
        return runner.progress.status(pending)
