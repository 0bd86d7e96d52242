"""What the relay keeps of dead letters and replays: who holds how much, and what was lost of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.client import Client

from hub.contracts import Bus
from hub.database import Database
from hub.relay.follower import Follower
from hub.relay.locks import Locks
from hub.relay.losses import Losses
from hub.relay.owners import Owners
from hub.relay.places import Places
from hub.relay.room import Announced, ReplayRoom, Room
from hub.relay.streams import DEAD, REPLAY
from hub.relay.tasks import Tasks
from hub.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Keeping:
    """One for a hub, in the relay's process.

    Args:
        locks: by source; whoever changes its letters holds it.
        dead, replays: keep the books of the two streams, while `running` is open.
    """

    locks: Locks
    dead: Follower
    replays: Follower
    losses: Losses
    places: Places
    room: Room
    replay_room: ReplayRoom

    @classmethod
    def of(
        cls, nats: Client, bus: Bus, database: Database, metrics: Metrics, *, share: float
    ) -> "Keeping":
        """Put it together.

        Args:
            share: of each stream that a project may hold.
        """
        locks, losses, coming, owners = Locks(), Losses(database, metrics), Announced(), Owners(bus)
        dead = Follower(
            nats, DEAD, locks, found=losses.found, lost=losses.note, arrived=coming.arrived
        )
        replays = Follower(nats, REPLAY, Locks())  # who replays asks for it with a lock in hand
        return cls(
            locks,
            dead,
            replays,
            losses,
            Places(database),
            Room(nats, dead, coming, owners, share=share, displaced=losses.note),
            ReplayRoom(replays, owners, share=share),
        )

    @asynccontextmanager
    async def running(self, tasks: Tasks) -> AsyncIterator[None]:
        """Keep the books while this is open, and count what is lost.

        Raises:
            Unavailable: Postgres does not answer.
        """
        await self.losses.load()
        for work in (self.dead.run(), self.replays.run(), self.losses.run(self.dead)):
            tasks.start(work)
        try:
            yield
        finally:
            await self.losses.keep(self.dead)
