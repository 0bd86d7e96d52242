"""The lanes of one integration together: which there are, made ready, measured and ended."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial

from nats.aio.client import Client

from hub.relay.contracts import IntegrationSpec
from hub.relay.cursor import Cursor, delete_cursor
from hub.relay.lanes import Lane, LaneKind, delete_replayed, source_of
from hub.relay.looks import Looks
from hub.relay.places import KeptPlace, Places
from hub.relay.progress import Progress, State


class Lanes:
    """They outlive the revisions of their integration.

    Methods that wait raise `nats.errors.Error` when JetStream does not answer, and `Unavailable`
    when Postgres does not.

    Args:
        before: those of the revision before this one: they go on at their places, unless this one
            starts at another time. A replay goes on in any case.
    """

    def __init__(
        self,
        spec: IntegrationSpec,
        nats: Client,
        looks: Looks,
        places: Places,
        progress: Progress,
        *,
        shards: int,
        before: "Lanes | None" = None,
    ) -> None:
        self._spec = spec
        self._nats = nats
        self._looks = looks
        self._places = places
        self._progress = progress
        self._shards = shards
        self._lanes: dict[LaneKind, Lane] = {}
        if before is not None:
            goes_on = before._spec.start_at == spec.start_at
            self._lanes = {
                kind: lane
                for kind, lane in before._lanes.items()
                if goes_on or kind is LaneKind.REPLAY
            }

    def __iter__(self) -> Iterator[Lane]:
        """Give each that there is."""
        return iter([*self._lanes.values()])

    @property
    def kinds(self) -> Collection[LaneKind]:
        """Which there are."""
        return self._lanes.keys()

    def state(self, state: State) -> None:
        """Note what all of them do now."""
        for lane in self:
            lane.progress.state(state)

    # ── getting ready ─────────────────────────────────────────────────────────────────────────

    async def prepare(self, wanted: Collection[LaneKind]) -> None:
        """Have these, and a replay where something is left of one; know how far each is."""
        for kind in self._lanes.keys() - {*wanted, LaneKind.REPLAY}:
            del self._lanes[kind]
            self._progress.end_lane(kind.value)
        for kind in wanted:
            self._lane(kind)
        kept: dict[str, KeptPlace] = {}
        if any(not lane.is_prepared for lane in self):
            kept = await self._places.of(self._spec.id)
            self._progress.restore_gaps(max((p.gap_lines for p in kept.values()), default=0))
            replay = kept.get(LaneKind.REPLAY.value)
            if await self._places.replayed(self._spec.id) > (replay.line if replay else 0):
                self._lane(LaneKind.REPLAY)
        for lane in self:
            await lane.prepare(self._looks, kept.get(lane.kind.value))

    async def prepare_replay(self) -> Lane:
        """Have a replay, and know how far it is."""
        lane = self._lanes.get(LaneKind.REPLAY) or self._lane(LaneKind.REPLAY)
        if not lane.is_prepared:
            kept = await self._places.of(self._spec.id)
            await lane.prepare(self._looks, kept.get(lane.kind.value))
        return lane

    def _lane(self, kind: LaneKind) -> Lane:
        lane = self._lanes.get(kind)
        if lane is None:
            cursor = Cursor(self._nats, source_of(kind, self._spec, self._shards))
            progress = self._progress.lane(kind.value)
            lane = self._lanes[kind] = Lane(kind, cursor, progress, self._total_of(kind))
        lane.progress.state(State.STARTING)
        return lane

    def _total_of(self, kind: LaneKind) -> Callable[[], Awaitable[int]]:
        match kind:
            case LaneKind.LOGS:
                return partial(self._places.taken, "log", self._spec.project)
            case LaneKind.METRICS:
                return partial(self._places.taken, "metric", self._spec.project)
            case LaneKind.REPLAY:
                return partial(self._places.replayed, self._spec.id)

    # ── how far they are ──────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """See how far each is behind, and what retention took of it."""
        for lane in self:
            await lane.measure(self._looks)

    def places(self) -> list[KeptPlace]:
        """Say how far each is done."""
        return [place for lane in self if (place := self._place(lane)) is not None]

    def _place(self, lane: Lane) -> KeptPlace | None:
        return lane.place(self._spec.id, self._progress.gaps)

    # ── ending ────────────────────────────────────────────────────────────────────────────────

    async def end_replay(self, lane: Lane) -> bool:
        """Take a replay away, if all that was ever put there is done or lost; say whether."""
        await lane.settle(self._looks)
        place = self._place(lane)
        if place is None or place.line < await self._places.replayed(self._spec.id):
            return False
        await self._places.keep([place])
        if not await delete_replayed(self._nats, lane.cursor):
            return False
        self._lanes.pop(lane.kind, None)
        self._progress.end_lane(lane.kind.value)
        source = lane.cursor.source
        await delete_cursor(self._nats, source.consumer, source.stream)
        return True

    async def delete(self) -> None:
        """Delete what JetStream keeps of them, and of those that there once were."""
        for kind in LaneKind:
            source = source_of(kind, self._spec, self._shards)
            await delete_cursor(self._nats, source.consumer, source.stream)
