"""Fair shares: so many requests of one account are at work at once, and the rest wait their turn.

Else an account that asks for much at once would have all connections to Postgres, and everyone
else would wait for it. The same holds for networks, as long as nobody knows whose a request is.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

from hub.gateway.problems import TooManyRequests

WAITING: Final = 1_000
"""Requests of one account that may wait on one hub."""
LOOKUPS: Final = 16
"""Requests of one network at once of which somebody is to say whose they are."""
PATIENCE: Final = 30.0
"""Seconds that a request waits for its turn."""


@dataclass(slots=True)
class _Lane:
    places: asyncio.Semaphore
    wanted: int = 0


class Turns:
    """Gives turns to accounts, or whoever they are counted by.

    Args:
        at_work: requests of one account at once; 0 is no limit.
        gauge: tells how many wait.
        waiting, patience: see `WAITING` and `PATIENCE`.
    """

    def __init__(
        self,
        at_work: int,
        gauge: Gauge,
        *,
        waiting: int = WAITING,
        patience: float = PATIENCE,
    ) -> None:
        self._at_work = at_work
        self._gauge = gauge
        self._waiting = waiting
        self._patience = patience
        self._lanes: dict[str, _Lane] = {}

    def turn(self, whose: str) -> "Turn":
        """Wait for a turn, and have it as long as the context is open; first come, first served.

        Raises:
            TooManyRequests: too many wait already, or this one waited for too long.
        """
        return Turn(self, whose)

    async def take(self, whose: str) -> None:
        """Wait for a turn; whoever has taken one gives it back."""
        if not self._at_work:
            return
        lane = self._lanes.get(whose)
        if lane is None:
            lane = self._lanes[whose] = _Lane(asyncio.Semaphore(self._at_work))
        if lane.wanted >= self._at_work + self._waiting:
            raise _too_many(f"{self._waiting} requests from there wait already")
        lane.wanted += 1
        try:
            await self._wait(lane.places)
        except BaseException:
            self._leave(whose, lane)
            raise

    def give_back(self, whose: str) -> None:
        """Let the next one have its turn."""
        if self._at_work:
            lane = self._lanes[whose]
            lane.places.release()
            self._leave(whose, lane)

    def _leave(self, whose: str, lane: _Lane) -> None:
        lane.wanted -= 1
        if not lane.wanted:
            del self._lanes[whose]

    async def _wait(self, places: asyncio.Semaphore) -> None:
        if not places.locked():
            await places.acquire()
            return
        try:
            with self._gauge.track_inprogress():
                async with asyncio.timeout(self._patience):
                    await places.acquire()
        except TimeoutError:
            raise _too_many("the other requests from there take too long") from None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn, as a context."""

    turns: Turns
    whose: str

    async def __aenter__(self) -> None:
        await self.turns.take(self.whose)

    async def __aexit__(self, *_: object) -> None:
        self.turns.give_back(self.whose)


def _too_many(detail: str) -> TooManyRequests:
    return TooManyRequests(detail, headers={"Retry-After": "1"})
