"""Room for dead letters and replays, shared fairly: who is to make it, and for whom there is none.

A project may hold a share of the stream, and its oldest letters make room for its newest. Should
the stream be almost full nevertheless, those make room who hold most: of the account that holds
most, the project that does. So whoever holds little loses nothing to those who hold much.
"""

import asyncio
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

import nats.errors
import structlog
from nats.aio.client import Client

from hub.contracts import Bus, Nothing
from hub.errors import IsaaxError, Unavailable
from hub.relay.books import Owner
from hub.relay.contracts import MAKE_ROOM, MakeRoom
from hub.relay.follower import Follower
from hub.relay.owners import Owners
from hub.relay.shelf import Taken
from hub.relay.streams import DEAD, dead_subject

_log = structlog.stdlib.get_logger(__name__)

_FULL: Final = 0.9
"""Of what a stream may hold: beyond it, JetStream itself would displace whatever is oldest."""

_SLACK: Final = 64
"""Part of a share that is made free at once beyond what is needed: it is not done for each."""

_COMING: Final = 15.0  # seconds after which a letter that was announced no longer counts
_PATIENCE: Final = 1.0  # seconds that a process waits for room to be made by another


class MakesRoom(Protocol):
    """Makes room for letters that are about to be written."""

    async def make(self, request: MakeRoom) -> Nothing:
        """Make it; returning says that they may be written."""
        ...


class AskedRoom:
    """Room that the relay's process makes, for a process that delivers beside it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def make(self, request: MakeRoom) -> Nothing:
        """Ask for it. Letters are written without, too, while nobody answers."""
        try:
            return await self._bus.request(MAKE_ROOM, request, timeout=_PATIENCE)
        except IsaaxError as error:
            _log.info("nobody makes room for dead letters now", reason=str(error))
            return Nothing()


class Announced:
    """Letters that are about to be written, and are not in the books yet.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._letters: dict[str, tuple[str, int, float]] = {}
        self.weights: dict[str, int] = {}
        """What they weigh, by project."""

    def add(self, request: MakeRoom) -> None:
        """Expect letters."""
        self._expire()
        until = self._clock() + _COMING
        for id_, weight in request.letters.items():
            self.arrived(id_)
            self._letters[id_] = (request.project, weight, until)
            self.weights[request.project] = self.weights.get(request.project, 0) + weight

    def arrived(self, id: str) -> None:  # noqa: A002
        """Note that one is in the books."""
        if (letter := self._letters.pop(id, None)) is not None:
            project, weight, _ = letter
            self.weights[project] -= weight
            if not self.weights[project]:
                del self.weights[project]

    def _expire(self) -> None:
        now = self._clock()
        while self._letters and next(iter(self._letters.values()))[2] < now:
            self.arrived(next(iter(self._letters)))


class Room:
    """Answers `relay.dead.make-room`: takes the oldest letters out where there is none.

    Args:
        follower: of DEAD.
        coming: told of what arrives there.
        share: of the stream that a project may hold, more than 0 and at most 1.
        displaced: told of letters that made room.
    """

    def __init__(
        self,
        client: Client,
        follower: Follower,
        coming: Announced,
        owners: Owners,
        *,
        share: float,
        displaced: Callable[[Owner, Taken], None],
    ) -> None:
        self._js = client.jetstream()
        self._follower = follower
        self._books = follower.books
        self._coming = coming
        self._owners = owners
        self._share = share
        self._displaced = displaced
        self._lock = asyncio.Lock()

    async def make(self, request: MakeRoom) -> Nothing:
        """Make room for letters that are about to be written."""
        self._coming.add(request)
        if self._over_share(request.project) > 0 or self._over() > 0:
            async with self._lock:  # who waited may find room
                try:
                    await self._within_share(request.project)
                    await self._within_all()
                except (nats.errors.Error, OSError) as error:
                    _log.warning("no room is made for dead letters", error=str(error))
        return Nothing()

    def _over_share(self, project: str) -> int:
        """Give the bytes that a project is beyond its share."""
        if not self._follower.room:
            return 0
        weight = self._books.weights.get(project, 0) + self._coming.weights.get(project, 0)
        return weight - int(self._follower.room * self._share)

    def _over(self) -> int:
        """Give the bytes that all are beyond what the stream is to hold."""
        if not self._follower.room:
            return 0
        weight = sum(self._books.weights.values()) + sum(self._coming.weights.values())
        return weight - int(self._follower.room * _FULL)

    async def _within_share(self, project: str) -> None:
        slack = int(self._follower.room * self._share) // _SLACK
        while (over := self._over_share(project)) > 0:
            if not await self._displace(project, over + slack):
                return

    async def _within_all(self) -> None:
        slack = self._follower.room // (_SLACK * _SLACK)
        while (over := self._over()) > 0:
            weights = dict(self._books.weights)
            project = greatest(weights, await self._owners.of(weights))
            if project is None or not await self._displace(project, over + slack):
                return

    async def _displace(self, project: str, weight: int) -> bool:
        """Take the oldest letters of so much weight out, of the source that holds most of them."""
        shelves = self._books.shelves
        sources = [owner for owner in shelves if owner.project == project]
        owner = max(sources, key=lambda one: shelves[one].weight, default=None)
        if owner is None or not shelves[owner].letters:
            return False
        before = shelves[owner].before(weight)
        subject = dead_subject(owner.project, owner.source)
        await self._js.purge_stream(DEAD, subject=subject, seq=before)
        for place in [place for place in self._books.fixed(owner) if place < before]:
            await self._js.purge_stream(DEAD, subject=f"{subject}.fixed.{place}")
        self._displaced(owner, self._books.take_before(owner, before))
        return True


def greatest(weights: Mapping[str, int], accounts: Mapping[str, str]) -> str | None:
    """Give the project that holds most, of the account that holds most."""
    held = _by_account(weights, accounts)
    return max(
        weights,
        key=lambda project: (held[accounts[project]], accounts[project], weights[project]),
        default=None,
    )


def _by_account(weights: Mapping[str, int], accounts: Mapping[str, str]) -> Counter[str]:
    held: Counter[str] = Counter()
    for project, weight in weights.items():
        held[accounts[project]] += weight
    return held


class Fitting(NamedTuple):
    """How many of the first letters there is room for, and in words what takes the rest of it."""

    letters: int
    taken_by: str = ""


class ReplayRoom:
    """Says how much a project may have replayed now.

    Nothing is displaced here: who asked for it waits for it. An account may hold as much as it
    leaves free, so that there is always room for another.

    Args:
        follower: of REPLAY.
        share: of the stream that a project may hold, more than 0 and at most 1.
    """

    def __init__(self, follower: Follower, owners: Owners, *, share: float) -> None:
        self._follower = follower
        self._owners = owners
        self._share = share

    async def fitting(self, project: str, letters: Sequence[int]) -> Fitting:
        """Say how many of the first ones there is room for, by what they weigh.

        Raises:
            Unavailable: it is not known yet.
            nats.errors.Error: JetStream does not answer.
        """
        await self._follower.refresh()  # what was delivered is not there any more
        if not self._follower.ready.is_set():
            raise Unavailable("what is replayed is being counted: try again in a moment")
        room = self._follower.room
        if not room:
            return Fitting(len(letters))
        held = dict(self._follower.books.weights)
        accounts = await self._owners.of({*held, project})
        account = _by_account(held, accounts)[accounts[project]]
        free = int(room * _FULL) - sum(held.values())
        own = int(room * self._share) - held.get(project, 0)
        if letters and project not in held:
            own = max(own, letters[0])  # one may go, however small the share is
        sums = list(accumulate(letters))
        of_all, of_own = bisect_right(sums, (free - account) // 2), bisect_right(sums, own)
        if of_own < of_all:
            return Fitting(of_own, "what was replayed of this project before")
        return Fitting(of_all, "what was replayed before")
