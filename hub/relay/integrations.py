"""The integrations that this relay runs: kept in line with what the directory of them says."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from hub.contracts import Bus
from hub.errors import IsaaxError
from hub.relay.contracts import (
    LIST_INTEGRATIONS,
    IntegrationSpec,
    IntegrationStatus,
    ListIntegrations,
)
from hub.relay.cursor import consumer_names, delete_cursor
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.lanes import TROUBLE, Budget, integration_of
from hub.relay.letter_box import letters_in
from hub.relay.looks import Looks
from hub.relay.meters import DeliveryMeters
from hub.relay.places import Places
from hub.relay.progress import Progress
from hub.relay.retry import Backoff, Breaker
from hub.relay.runner import Means, Runner
from hub.relay.share import ALL, Share
from hub.relay.streams import DEAD, REPLAY, metric_stream, shard_stream
from hub.relay.workshop import Workshop
from hub.settings import RelaySettings

_log = structlog.stdlib.get_logger(__name__)

_PAGE: Final = 500
_EVERY: Final = 30.0  # seconds between looks at the whole list
_AGAIN: Final = 1.0  # seconds before a list that nobody gave is asked for again
_GAUGES: Final = 10.0  # seconds between looks at how much is pending
_REPLAYS: Final = 3.0
"""Seconds between looks at what is to be replayed."""

_PLACES: Final = 2.0  # seconds between writing down how far each is


class Integrations:
    """Runs the deliveries of each enabled integration of this process's share, and no others."""

    def __init__(
        self,
        nats: Client,
        bus: Bus,
        workshop: Workshop,
        *,
        settings: RelaySettings,
        dead: DeadLetters,
        hosts: HostNames,
        places: Places,
        meters: DeliveryMeters,
        share: Share = ALL,
        breaker: Callable[[], Breaker] = Breaker,
        replay_every: float = _REPLAYS,
    ) -> None:
        self._nats = nats
        self._bus = bus
        self._settings = settings
        self._share = share
        self._places = places
        self._meters = meters
        self._looks = Looks(nats)
        self._replay_every = replay_every
        self._replay = asyncio.Event()
        self._means = Means(
            nats,
            workshop,
            settings,
            dead,
            hosts,
            self._looks,
            places,
            Budget(settings.memory, settings.window),
            breaker,
            self._replay.set,
        )
        self._runners: dict[str, Runner] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._applied: dict[str, float] = {}
        self._look = asyncio.Event()
        self._types_changed = False

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

    def _start(self, spec: IntegrationSpec, before: Runner | None) -> Runner:
        if before is not None:
            runner = before.successor(spec)
        else:
            runner = Runner(spec, self._means, Progress(spec.id, self._meters))
        runner.start()
        return runner

    def types_changed(self) -> None:
        """Begin anew, soon, with those whose destination type came, went or became another."""
        self._types_changed = True
        self._look.set()

    async def _renew(self) -> None:
        if not self._types_changed:
            return
        self._types_changed = False
        await asyncio.gather(*map(self._renew_one, list(self._runners)))

    async def _renew_one(self, integration: str) -> None:
        async with self._locks.setdefault(integration, asyncio.Lock()):
            runner = self._runners.get(integration)
            if runner is None or not runner.spec.enabled:
                return
            if runner.kind is not self.workshop.type_of(runner.spec) or runner.kind is None:
                await runner.stop()
                self._runners[integration] = self._start(runner.spec, runner)

    def look_soon(self) -> None:
        """Look at the whole list now, not at the next turn."""
        self._look.set()

    def replay_soon(self, integration: str) -> None:
        """Deliver what was put into this integration's replay now, not at the next look."""
        if integration in self._runners:
            self._replay.set()

    async def statuses(self, wanted: Iterable[str]) -> list[IntegrationStatus]:
        """Give the status of those that run here, as it is now."""
        runners = [self._runners[i] for i in wanted if i in self._runners]
        await asyncio.gather(*(runner.measure() for runner in runners))
        return [runner.status() for runner in runners]

    async def all_statuses(self) -> list[IntegrationStatus]:
        """Give the status of every integration that runs here, at most seconds old."""
        return [runner.status() for runner in self._runners.values()]

    def of_project(self, project: str) -> list[str]:
        """Name those of a project that run here."""
        return [name for name, one in self._runners.items() if one.spec.project == project]

    def held(self, integration: str) -> int:
        """Give the bytes of lines that one holds in memory."""
        runner = self._runners.get(integration)
        return 0 if runner is None else runner.held

    @property
    def workshop(self) -> Workshop:
        """What makes destinations: for one that is only to be tried."""
        return self._means.workshop

    async def stop(self) -> None:
        """End all deliveries, at once."""
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))
        await self._keep_places()

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Keep in line with the directory, until cancelled."""
        backoff, told = Backoff(base=_AGAIN, cap=10.0), ""
        while True:
            self._look.clear()
            await self._renew()
            try:
                await self._reconcile()
                backoff.reset()
                wait, told = _EVERY, ""
            except (IsaaxError, NatsError) as error:
                wait = 0.2 + backoff.next()
                if str(error) != told:
                    told = str(error)
                    _log.info("the integrations are not known yet", error=told)
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
            (name, stream)
            for stream in self._streams()
            for name in await consumer_names(self._nats, stream)
        ]
        known = {*self._runners, *(integration_of(name) for name, _ in consumers)}
        for integration in known - specs.keys():
            ours = integration.startswith("int_") and self._share.holds(integration)
            if not ours or self._applied.get(integration, 0.0) >= started:
                continue
            left = [(name, at) for name, at in consumers if integration_of(name) == integration]
            await self._forget(integration, left)

    def _streams(self) -> list[str]:
        shards = range(self._settings.shards)
        return [name(shard) for shard in shards for name in (shard_stream, metric_stream)] + [
            REPLAY
        ]

    async def _all(self) -> dict[str, IntegrationSpec]:
        specs: dict[str, IntegrationSpec] = {}
        after = ""
        while True:
            page = await self._bus.request(LIST_INTEGRATIONS, ListIntegrations(after, _PAGE))
            specs |= {spec.id: spec for spec in page.items if self._share.holds(spec.id)}
            if len(page.items) < _PAGE:
                return specs
            after = page.items[-1].id

    # ── ending ────────────────────────────────────────────────────────────────────────────────

    async def _remove(self, integration: str, runner: Runner | None) -> None:
        if runner is not None:
            await runner.remove()
            del self._runners[integration]
        try:
            await self._places.forget(integration)
        except IsaaxError as error:
            _log.warning("the place of an integration is not forgotten", error=str(error))

    async def _forget(self, integration: str, consumers: list[tuple[str, str]]) -> None:
        """Remove one that the directory no longer knows, with what an earlier process left."""
        async with self._locks.setdefault(integration, asyncio.Lock()):
            await self._remove(integration, self._runners.get(integration))
            for name, stream in consumers:
                await delete_cursor(self._nats, name, stream)

    # ── beside the deliveries ─────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """Bring gauges up to date and look for what retention took, until cancelled."""
        while True:
            await asyncio.sleep(_GAUGES)
            try:
                counts = await self._looks.counts(DEAD, "dead.>")
            except TROUBLE:
                counts = {}
            dead = letters_in(counts)
            for integration, runner in list(self._runners.items()):
                await runner.measure()
                if self._runners.get(integration) is runner:
                    runner.progress.publish(dead)

    async def replay(self) -> None:
        """Deliver what was put into the replay, until cancelled."""
        while True:
            self._replay.clear()
            try:
                counts = await self._looks.counts(REPLAY, "replay.>")
                wanted = {subject.rpartition(".")[2] for subject in counts}
                for integration, runner in list(self._runners.items()):
                    if integration in wanted or runner.replays:
                        await self._replay_one(integration, runner)
            except (*TROUBLE, IsaaxError) as error:
                _log.info("what is to be replayed is not known yet", error=str(error))
            try:
                async with asyncio.timeout(self._replay_every):
                    await self._replay.wait()
            except TimeoutError:
                continue

    async def _replay_one(self, integration: str, runner: Runner) -> None:
        lock = self._locks.setdefault(integration, asyncio.Lock())
        if lock.locked():
            return  # it is being changed, which may take long: others do not wait for it
        async with lock:
            if self._runners.get(integration) is runner:
                await runner.replay()

    async def keep(self) -> None:
        """Write down how far each is, every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_PLACES)
            await self._keep_places()

    async def _keep_places(self) -> None:
        places = [place for runner in self._runners.values() for place in runner.places()]
        try:
            await self._places.keep(places)
        except IsaaxError as error:
            _log.warning("how far integrations are is not written down", error=str(error))
