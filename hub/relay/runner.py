"""One integration at one revision: its lanes prepared, its deliveries run and ended."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import structlog
from nats.aio.client import Client

from hub.destinations import DestinationType, Limits
from hub.errors import Invalid, IsaaxError, Unavailable
from hub.relay.batching import Shaping
from hub.relay.contracts import IntegrationSpec, IntegrationStatus
from hub.relay.dead_letters import DeadLetters
from hub.relay.delivery import Delivery
from hub.relay.hosts import HostNames
from hub.relay.lane_set import Lanes
from hub.relay.lanes import TROUBLE, Budget, Lane, LaneKind
from hub.relay.looks import Looks
from hub.relay.places import KeptPlace, Places
from hub.relay.progress import Progress, State
from hub.relay.push import named
from hub.relay.retry import Backoff, Breaker
from hub.relay.sending import Rules
from hub.relay.veil import Veil
from hub.relay.workshop import Wanted, Workshop
from hub.settings import RelaySettings
from hub.shaping.join import Joiner
from hub.shaping.rules import Shape
from hub.shaping.shaper import Shaper
from hub.structs import secrets_in

_log = structlog.stdlib.get_logger(__name__)

_STOP: Final = 8.0  # seconds that a delivery may take to end well
_WANTED: Final[dict[LaneKind, Wanted]] = {
    LaneKind.LOGS: "lines",
    LaneKind.METRICS: "samples",
    LaneKind.REPLAY: "both",
}


@dataclass(frozen=True, slots=True)
class Means:
    """What all integrations share.

    Args:
        breaker: makes the circuit breaker of one lane.
        ready: called when an integration has begun to deliver.
    """

    nats: Client
    workshop: Workshop
    settings: RelaySettings
    dead: DeadLetters
    hosts: HostNames
    looks: Looks
    places: Places
    budget: Budget
    breaker: Callable[[], Breaker]
    ready: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Ready:
    """What deliveries are made of, once it is known to be usable."""

    kind: DestinationType[Any]
    config: msgspec.Struct
    limits: Limits


class _Broken(Exception):  # noqa: N818 - moves the loop to its start
    """It cannot be run as it is; the text says why, in words a user understands."""


class Runner:
    """Runs an integration from `start` until `stop`.

    Args:
        before: the lanes of the revision before this one.
    """

    def __init__(
        self,
        spec: IntegrationSpec,
        means: Means,
        progress: Progress,
        before: Lanes | None = None,
    ) -> None:
        self.spec = spec
        self.progress = progress
        self._means = means
        self._lanes = Lanes(
            spec,
            means.nats,
            means.looks,
            means.places,
            progress,
            shards=means.settings.shards,
            before=before,
        )
        self._ready: _Ready | None = None
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def successor(self, spec: IntegrationSpec) -> "Runner":
        """Make the runner of the next revision."""
        return Runner(spec, self._means, self.progress, self._lanes)

    @property
    def kind(self) -> DestinationType[Any] | None:
        """The kind of destination that it delivers to; None before it can."""
        return None if self._ready is None else self._ready.kind

    def start(self) -> None:
        """Begin."""
        self._begin(self._run())

    async def stop(self) -> None:
        """End the deliveries: well within their time, or by cancelling them."""
        self._stopping.set()
        deliveries = [
            (lane.task, lane.delivery)
            for lane in self._lanes
            if lane.task is not None and lane.delivery is not None
        ]
        for _, delivery in deliveries:
            delivery.stop()
        if self._tasks:
            patience = max((delivery.patience for _, delivery in deliveries), default=_STOP)
            await asyncio.wait(self._tasks, timeout=min(patience, _STOP))
        for task, delivery in deliveries:
            if delivery.is_sending:
                task.cancel()
        for _ in range(2):
            if not self._tasks:
                return
            await asyncio.wait(self._tasks, timeout=_STOP)
            for task in self._tasks:
                task.cancel()

    async def remove(self) -> None:
        """End, and delete the consumers; what was to be replayed goes, too.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        await self.stop()
        await self._lanes.delete()
        self.progress.remove()

    # ── getting ready ─────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        backoff = Backoff(base=0.2, cap=15.0)
        while not self._stopping.is_set():
            try:
                await self._prepare()
            except _Broken as broken:
                self._note(State.BROKEN, str(broken))
            except Unavailable as error:
                self._note(State.RETRYING, error.detail)
            except TROUBLE as error:
                self._note(State.RETRYING, f"JetStream: {error}")
            except Exception as error:  # noqa: BLE001 - one integration never ends another
                _log.exception("an integration cannot begin", integration=self.spec.id)
                self._note(State.RETRYING, f"internal error: {type(error).__name__}")
            else:
                return
            await self._sleep(0.1 + backoff.next())

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _prepare(self) -> None:
        kind = self._means.workshop.type_of(self.spec)
        # Paused or not: what is stored from now on waits for them.
        await self._lanes.prepare(self._wanted(kind))
        if not self.spec.enabled:
            self._lanes.state(State.PAUSED)
            return
        if kind is None:
            raise _Broken(self._means.workshop.why_without(self.spec))
        self._ready = await self._open(kind)
        deliveries = {
            lane: self._delivery(lane, self._ready, self._shaping(lane))
            for lane in self._lanes
            if lane.is_prepared
        }
        for lane, delivery in deliveries.items():
            self._deliver(lane, delivery)
        self._means.ready()

    def _wanted(self, kind: DestinationType[Any] | None) -> Collection[LaneKind]:
        if kind is None:  # it may come back, and goes on then where it was
            return {*self._lanes.kinds} - {LaneKind.REPLAY} or {LaneKind.LOGS}
        offered = {LaneKind.LOGS: kind.build, LaneKind.METRICS: kind.metrics}
        return {lane for lane, build in offered.items() if build is not None}

    async def _open(self, kind: DestinationType[Any]) -> _Ready:
        try:
            config = await self._means.workshop.config_of(self.spec, kind)
        except Unavailable:
            raise
        except Invalid as error:
            # Only the place: a plugin's own words may repeat a value that is secret.
            place = next((f" at {e.pointer}" for e in error.errors if e.pointer), "")
            raise _Broken(f"its config is not valid{place}") from None
        except IsaaxError as error:
            raise _Broken(f"its config cannot be opened: {type(error).__name__}") from None
        try:
            with named(self.spec.id):
                limits = kind.limits_of(config)
        except Exception as error:  # noqa: BLE001 - the boundary to plugins
            raise _Broken(f"its limits cannot be known: {type(error).__name__}") from None
        if not _make_sense(limits):
            raise _Broken("its limits make no sense")
        return _Ready(kind, config, limits)

    def _shaping(self, lane: Lane) -> Shaping:
        """Compile the shape for a lane; what is replayed was shaped before."""
        shape = self.spec.shape
        if lane.kind is LaneKind.REPLAY:
            return Shaping()
        rule = shape.join if lane.kind is LaneKind.LOGS else None
        try:
            if rule is not None:
                Joiner[object](rule)
            shaper = Shaper(shape) if msgspec.structs.replace(shape, join=None) != Shape() else None
        except Invalid as error:
            place = next((f" at {e.pointer}" for e in error.errors if e.pointer), "")
            raise _Broken(f"its shape is not valid{place}: {error.detail}") from None
        return Shaping(
            shaper, None if rule is None else lambda: Joiner(rule), lane.progress.left_out
        )

    # ── delivering ────────────────────────────────────────────────────────────────────────────

    def _delivery(self, lane: Lane, ready: _Ready, shaping: Shaping) -> Delivery:
        means, kind = self._means, ready.kind
        limits = ready.limits
        if lane.kind is LaneKind.REPLAY:
            limits = replace(limits, linger=0.0)
        if shaping.shaper is not None and (most := shaping.shaper.most_at_once) is not None:
            limits = replace(limits, max_lines=min(limits.max_lines, most))
        return Delivery(
            self.spec.id,
            self.spec.project,
            lane.cursor,
            lambda: means.workshop.build(self.spec, kind, ready.config, _WANTED[lane.kind]),
            Rules(
                limits,
                kind.timeout,
                kind.window,
                means.budget.share,
                Veil(secrets_in(ready.config)),
            ),
            dead=means.dead,
            hosts=means.hosts,
            progress=lane.progress,
            breaker=means.breaker(),
            shaping=shaping,
        )

    def _deliver(self, lane: Lane, delivery: Delivery) -> None:
        lane.delivery = delivery
        lane.task = self._begin(self._supervise(lane, delivery))

    async def _supervise(self, lane: Lane, delivery: Delivery) -> None:
        """Run a delivery again when it ends by a mistake of ours: others are not concerned."""
        backoff = Backoff(base=1.0, cap=60.0)
        self._means.budget.running += 1
        try:
            while not self._stopping.is_set():
                try:
                    await delivery.run()
                except Exception as error:  # noqa: BLE001 - one integration never ends another
                    _log.exception("a delivery failed", integration=self.spec.id, lane=lane.kind)
                    lane.progress.note(State.RETRYING, f"internal error: {type(error).__name__}")
                    await self._sleep(0.5 + backoff.next())
                else:
                    return
        finally:
            self._means.budget.running -= 1

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _note(self, state: State, reason: str) -> None:
        self._lanes.state(state)
        self.progress.note(reason)

    # ── replays ───────────────────────────────────────────────────────────────────────────────

    async def replay(self) -> None:
        """Deliver what is in the replay, and take the lane away once nothing is left of it.

        Raises:
            nats.errors.Error: JetStream does not answer.
            Unavailable: Postgres does not.
        """
        if self._stopping.is_set():
            return  # its turn comes when it runs again
        lane = await self._lanes.prepare_replay()
        if lane.task is None or lane.task.done():
            self._begin_replay(lane)
            return
        if lane.progress.current is not State.WAITING:
            return
        if (await lane.cursor.standing()).pending:
            return
        # It ends first: what it delivered after the look would go again, by the next consumer.
        if lane.delivery is not None:
            lane.delivery.stop()
        await asyncio.wait({lane.task}, timeout=_STOP)
        # Two must not read at once: one that has not ended is looked at again later.
        if lane.task.done() and not await self._lanes.end_replay(lane):
            self._begin_replay(lane)

    def _begin_replay(self, lane: Lane) -> None:
        """Deliver it, or let it wait where that cannot be now."""
        if not self.spec.enabled:
            lane.progress.state(State.PAUSED)
        if self._ready is not None and not self._stopping.is_set():
            self._deliver(lane, self._delivery(lane, self._ready, Shaping()))

    @property
    def replays(self) -> bool:
        """A replay is being delivered."""
        return LaneKind.REPLAY in self._lanes.kinds

    # ── how it fares ──────────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """See how far its lanes are behind; what nobody says now stays as it was."""
        with contextlib.suppress(*TROUBLE, Unavailable):
            await self._lanes.measure()

    @property
    def held(self) -> int:
        """Bytes of lines that its deliveries hold in memory."""
        return sum(lane.delivery.held for lane in self._lanes if lane.delivery)

    def status(self) -> IntegrationStatus:
        """Give its status, as it was last measured."""
        return self.progress.status()

    def places(self) -> list[KeptPlace]:
        """Say how far its lanes are done."""
        return self._lanes.places()


def _make_sense(limits: object) -> bool:
    """Say whether a plugin's limits let any line through, ever."""
    match limits:
        case Limits(max_lines=int(lines), max_bytes=int(size), linger=int() | float() as linger):
            return lines > 0 and size > 0 and 0 <= linger < math.inf
    return False
