"""From messages to stored lines: whose they are, whom they are from, and waiting for the disk."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from hub import Ingest, Invalid, LimitReached, Lines, Secret, Unavailable
from plugins.syslog_listener.config import Listener
from plugins.syslog_listener.framing import Frame
from plugins.syslog_listener.meters import Drops
from plugins.syslog_listener.parse import Message, parse

T = TypeVar("T")

STREAM: Final = "sys"
SHORTEST_PAUSE: Final = 0.1  # seconds before something is tried again; it grows to the longest
LONGEST_PAUSE: Final = 5.0
_QUIET: Final = 10.0  # seconds between two log lines that say why it waits

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Columns:
    """Lines of one host of a project, by column."""

    times: list[int] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def add(self, message: Message) -> None:
        self.times.append(message.time)
        self.priorities.append(message.priority)
        self.programs.append(message.program)
        self.messages.append(message.text)

    def lines(self) -> Lines:
        return Lines(self.times, self.priorities, self.programs, self.messages)


_Source = tuple[str, str]
"""A project and a host."""

Sorted = dict[_Source, Columns]


@dataclass(slots=True)
class Parcel:
    """Messages that came together from one peer, and what is known of them between two tries.

    Args:
        came: microseconds since the Unix epoch: the time of a message that has none.
        projects: by token.
        settled: what of them is stored.
        left: projects that what is left is for, as far as that is known.
    """

    peer: str
    came: int
    projects: dict[str | None, str | None] = field(default_factory=dict)
    settled: set[_Source] = field(default_factory=set)
    left: list[str] = field(default_factory=list)


class Sink:
    """Stores what one listener takes.

    Args:
        drops: told what cannot be stored for good.
        stored: told how many lines were.
        clock: Unix seconds.
    """

    def __init__(
        self,
        name: str,
        listener: Listener,
        ingest: Ingest,
        drops: Drops,
        stored: Callable[[int], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = f"syslog-{name}"
        self._name = name
        self._listener = listener
        self._zone = listener.zone_info()
        self._ingest = ingest
        self._drops = drops
        self._stored = stored
        self._clock = clock
        self._said = 0.0

    def parcel(self, peer: str) -> Parcel:
        """Begin with messages that a peer has just sent."""
        return Parcel(peer, self._now())

    def wait(self, parcel: Parcel) -> float:
        """Give the seconds for which a project is over its limits that lines wait for."""
        return max(map(self._ingest.wait, parcel.left), default=0.0)

    async def sort(self, frames: Sequence[Frame], parcel: Parcel) -> Sorted:
        """Give those messages of a parcel that are not stored yet.

        Args:
            frames: the same at each try.

        Raises:
            Unavailable: whose they are cannot be told for now.
        """
        messages = [self._parse(frame, parcel.came) for frame in frames]
        for token, count in Counter(message.token for message in messages).items():
            if token not in parcel.projects:
                parcel.projects[token] = await self._project(token)
                if parcel.projects[token] is None:
                    # To store it for the listener's project would show it to somebody else.
                    self._drops.add("unknown token", count)
        found: Sorted = {}
        for message in messages:
            project = parcel.projects[message.token]
            source = (project or "", message.host or parcel.peer)
            if project is not None and source not in parcel.settled:
                found.setdefault(source, Columns()).add(message)
        parcel.left = [project for project, _ in found]
        return found

    async def store(self, found: Sorted, parcel: Parcel, *, overdraw: bool) -> float | None:
        """Store messages of a parcel.

        Args:
            overdraw: whatever the projects' limits say.

        Returns:
            None when all are on disk; else the seconds after which to try again.
        """
        waits = await asyncio.gather(
            *(self._settle(source, lines, parcel, overdraw) for source, lines in found.items())
        )
        return max((wait for wait in waits if wait is not None), default=None)

    def left_of(self, frames: Sequence[Frame], parcel: Parcel) -> int:
        """Count the messages of a parcel that are neither known to be stored, nor dropped."""
        left = 0
        for frame in frames:
            message = self._parse(frame, parcel.came)
            project = parcel.projects.get(message.token, "")
            source = (project, message.host or parcel.peer)
            left += project is not None and source not in parcel.settled
        return left

    async def _settle(
        self, source: _Source, columns: Columns, parcel: Parcel, overdraw: bool
    ) -> float | None:
        project, host = source
        try:
            await self._submit(project, host, columns.lines(), overdraw=overdraw)
        except LimitReached as error:
            return error.retry_after
        except Unavailable as error:
            return self.say_waiting(error.detail)
        parcel.settled.add(source)
        return None

    async def _project(self, token: str | None) -> str | None:
        """Give the project of a token; None is the listener's own, without which nothing goes."""
        if token is not None:
            return await self._ingest.project_of(Secret(token))
        project = await self._own_project()
        if project is None:
            raise Unavailable(f"the token of the listener {self._name} is not that of a project")
        return project

    async def store_or_drop(self, frames: Sequence[tuple[Frame, str]]) -> None:
        """Store messages, with the peer of each, that nobody would send again.

        What is over the project's limits is dropped, and counted; JetStream is waited for.
        """
        own = await self._patiently(self._own_project)
        if own is None:
            self._drops.add("the listener's token is not valid", len(frames))
            return
        now = self._now()
        by_host: dict[str, Columns] = {}
        for frame, peer in frames:
            message = self._parse(frame, now)
            by_host.setdefault(message.host or peer, Columns()).add(message)
        await asyncio.gather(
            *(self._submit_or_drop(own, host, columns.lines()) for host, columns in by_host.items())
        )

    async def _submit_or_drop(self, project: str, host: str, lines: Lines) -> None:
        async def attempt() -> None:
            try:
                await self._submit(project, host, lines)
            except LimitReached:
                self._drops.add("the project's limit is reached", len(lines))

        await self._patiently(attempt)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it is done."""
        pause = SHORTEST_PAUSE
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                self.say_waiting(error.detail)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _own_project(self) -> str | None:
        return await self._ingest.project_of(self._listener.token)

    async def _submit(
        self, project: str, host: str, lines: Lines, *, overdraw: bool = False
    ) -> None:
        try:
            await self._ingest.submit(
                project, self._source, host, lines, stream=STREAM, overdraw=overdraw
            )
        except Invalid as error:
            _log.error("lines cannot be stored", listener=self._name, reason=error.detail)
            self._drops.add("invalid", len(lines))
        else:
            self._stored(len(lines))

    def _parse(self, frame: Frame, now: int) -> Message:
        data, size = frame
        return parse(data, now=now, zone=self._zone, size=size)

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def say_waiting(self, reason: str) -> float:
        """Say why lines wait, but not every time; give 0, for nobody knows how long."""
        now = time.monotonic()
        if now - self._said >= _QUIET:
            self._said = now
            _log.warning("waiting", listener=self._name, reason=reason)
        return 0.0
