"""Leaving nothing of projects whose account ends: lines, letters, marks, counts, cursors, files."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, NamedTuple, Protocol

import nats.errors
from nats.aio.client import Client

from hub.account_data import Counts, Erased, Exported, OfAccount, export_nothing
from hub.database import Database, Queries
from hub.errors import Unavailable
from hub.relay.contracts import SomeDead
from hub.relay.cursor import delete_cursor
from hub.relay.hosts import HostNames
from hub.relay.keeping import Keeping
from hub.relay.letters import Letters
from hub.relay.looks import Looks
from hub.relay.streams import (
    DEAD,
    REPLAY,
    dead_subject,
    logs_filter,
    metric_stream,
    metrics_filter,
    replay_subject,
    shard_of,
    shard_stream,
)
from hub.relay.tables import Tables

_SQL: Final = Queries.load("hub.relay", "erasure.sql")
_BUDGET: Final = 10.0
"""Seconds of work for one request; what is left, the next one does."""
_INTAKE: Final = "intake"


class _Held(NamedTuple):
    """Where something of a project lies: all that `filter` finds in `stream`."""

    stream: str
    filter: str


class Deliverers(Protocol):
    """Whoever delivers for projects."""

    async def erase(self, project: str, /) -> dict[str, int]:
        """Leave nothing of a project; say what there was."""
        ...


class Erasure:
    """Counts and erases what the relay keeps of projects; it knows no accounts.

    Args:
        tables: of the writer of the streams: else it would write down again what was erased.
        crew: the processes that deliver, which have cursors and files.
        kept: the books of dead letters and replays.
        clock: seconds, to know when the time of a request is used up.
    """

    def __init__(
        self,
        nats: Client,
        database: Database,
        tables: Tables,
        crew: Deliverers,
        hosts: HostNames,
        kept: Keeping,
        *,
        shards: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._looks = Looks(nats)
        self._database = database
        self._tables = tables
        self._crew = crew
        self._kept = kept
        self._letters = Letters(nats, hosts, kept)
        self._shards = shards
        self._clock = clock

    def export(self, request: OfAccount) -> AsyncIterator[Exported]:
        """Give nothing: whoever wants the lines has them sent somewhere."""
        return export_nothing(request)

    async def count(self, request: OfAccount) -> Counts:
        """Count the lines and samples that are kept, and dead letters.

        Raises:
            Unavailable: JetStream does not answer.
        """
        found = {"lines": 0, "samples": 0}
        try:
            for project in request.projects:
                shard = shard_of(project, self._shards)
                logs, samples = logs_filter(shard, project), metrics_filter(shard, project)
                found["lines"] += await self._lines_in(shard_stream(shard), logs)
                found["samples"] += await self._lines_in(metric_stream(shard), samples)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"JetStream does not answer: {type(error).__name__}") from None
        letters = self._kept.dead.books.letters_in(request.projects)
        return Counts({**found, "dead_letters": letters})

    async def erase(self, request: OfAccount) -> Erased:
        """Erase all of these projects, as far as the time allows.

        It asks to come again until it finds nothing: what was on its way comes to rest meanwhile.

        Raises:
            Unavailable: JetStream, Postgres or a process that delivers does not answer.
        """
        deadline = self._clock() + _BUDGET
        removed: dict[str, int] = {}
        try:
            for integration in request.integrations:
                await self._letters.forget(integration)
            for project in request.projects:
                for name, number in (await self._erase(project)).items():
                    removed[name] = removed.get(name, 0) + number
                if self._clock() > deadline:
                    return Erased(removed, more=True)
            async with self._database.system() as tx:
                for query in ("delete_cursors", "delete_replayed"):
                    if gone := await tx.run(_SQL[query], integrations=request.integrations):
                        removed["places"] = removed.get("places", 0) + gone
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"JetStream does not answer: {type(error).__name__}") from None
        return Erased(removed, more=bool(removed))

    async def _erase(self, project: str) -> dict[str, int]:
        """Erase one project; say how many of what there were."""
        removed = dict((await self.count(OfAccount("", [project], []))).items)
        removed |= await self._crew.erase(project)
        while (await self._letters.drop(SomeDead(project, _INTAKE, gone=True))).more:
            continue
        removed["messages"] = 0
        for held in self._held(project):
            await self._delete_consumers(held)
            counts = await self._looks.counts(held.stream, held.filter)
            removed["messages"] += sum(counts.values())
            await self._js.purge_stream(held.stream, subject=held.filter)
        self._tables.forget(project)
        removed["marks"] = await self._kept.losses.forget_project(project)
        async with self._database.system() as tx:
            for query in ("delete_marks", "delete_counts"):
                removed["marks"] += await tx.run(_SQL[query], project=project)
        return {name: number for name, number in removed.items() if number}

    def _held(self, project: str) -> Iterator[_Held]:
        shard = shard_of(project, self._shards)
        yield _Held(shard_stream(shard), f"relay.{shard}.{project}.>")
        yield _Held(metric_stream(shard), f"metric.{shard}.{project}.>")
        yield _Held(DEAD, dead_subject(project, ">"))
        yield _Held(REPLAY, replay_subject(project, ">"))

    async def _delete_consumers(self, held: _Held) -> None:
        """Delete what an integration that is gone has left, and tails that still look."""
        offset, prefix = 0, held.filter.removesuffix(">")
        left: list[str] = []
        while page := await self._js.consumers_info(held.stream, offset=offset):
            offset += len(page)
            left += [i.name for i in page if (i.config.filter_subject or "").startswith(prefix)]
        for name in left:
            await delete_cursor(self._nats, name, held.stream)

    async def _lines_in(self, stream: str, filter_: str) -> int:
        """Say how many lines (or samples) of a project a stream still holds."""
        first = await self._looks.next(stream, filter_, 1)
        newest = await self._looks.newest(stream, filter_)
        if first is None or newest is None or first.line < 0 or newest.line < 0:
            return 0
        return max(0, newest.line + newest.lines - first.line)
