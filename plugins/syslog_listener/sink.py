"""From messages to stored lines: whose they are, whom they are from, and waiting for the disk."""

import asyncio
import functools
import time
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
_SHORTEST: Final = 0.1  # seconds; what is waited for grows to the longest
_LONGEST: Final = 5.0
_QUIET: Final = 10.0  # seconds between two log lines that say why it waits

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class _Columns:
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

    async def store(self, frames: Sequence[Frame], peer: str) -> None:
        """Store messages of a peer that can be made to wait; return when they are on disk.

        It waits for as long as that takes: for room under the project's limits, for JetStream,
        and for a token that is live.
        """
        own = await self._patiently(self._own_project)
        messages = [self._parse(frame) for frame in frames]
        projects: dict[str | None, str | None] = {None: own}
        for token in {message.token for message in messages if message.token is not None}:
            projects[token] = await self._patiently(
                functools.partial(self._ingest.project_of, Secret(token))
            )
        found: dict[tuple[str, str], _Columns] = {}
        for message in messages:
            project = projects[message.token]
            if project is None:
                # To store it for the listener's project would show it to somebody else.
                self._drops.add("unknown token")
            else:
                found.setdefault((project, message.host or peer), _Columns()).add(message)
        await asyncio.gather(
            *(
                self._patiently(functools.partial(self._submit, project, host, columns.lines()))
                for (project, host), columns in found.items()
            )
        )

    async def store_or_drop(self, frames: Sequence[tuple[Frame, str]]) -> None:
        """Store messages, with the peer of each, that nobody would send again.

        What is over the project's limits is dropped, and counted; JetStream is waited for.
        """
        own = await self._patiently(self._own_project_or_none)
        if own is None:
            self._drops.add("the listener's token is not valid", len(frames))
            return
        by_host: dict[str, _Columns] = {}
        for frame, peer in frames:
            message = self._parse(frame)
            by_host.setdefault(message.host or peer, _Columns()).add(message)
        await asyncio.gather(
            *(self._submit_or_drop(own, host, columns.lines()) for host, columns in by_host.items())
        )

    async def _own_project(self) -> str:
        project = await self._ingest.project_of(self._listener.token)
        if project is None:
            raise Unavailable(f"the token of the listener {self._name} is not that of a project")
        return project

    async def _own_project_or_none(self) -> str | None:
        return await self._ingest.project_of(self._listener.token)

    def _parse(self, frame: Frame) -> Message:
        data, size = frame
        return parse(data, now=int(self._clock() * 1e6), zone=self._zone, size=size)

    async def _submit(self, project: str, host: str, lines: Lines) -> None:
        try:
            await self._ingest.submit(project, self._source, host, lines, stream=STREAM)
        except Invalid as error:
            _log.error("lines cannot be stored", listener=self._name, reason=error.detail)
            self._drops.add("invalid", len(lines))
        else:
            self._stored(len(lines))

    async def _submit_or_drop(self, project: str, host: str, lines: Lines) -> None:
        async def attempt() -> None:
            try:
                await self._submit(project, host, lines)
            except LimitReached:
                self._drops.add("the project's limit is reached", len(lines))

        await self._patiently(attempt)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it is done."""
        pause = _SHORTEST
        while True:
            try:
                return await attempt()
            except LimitReached as error:
                wait = min(error.retry_after, _LONGEST)
            except Unavailable as error:
                wait = 0.0
                self._say_waiting(error.detail)
            await asyncio.sleep(max(wait, pause))
            pause = min(2 * pause, _LONGEST)

    def _say_waiting(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._said >= _QUIET:
            self._said = now
            _log.warning("waiting", listener=self._name, reason=reason)
