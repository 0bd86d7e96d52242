"""From a request to stored lines: who it is, what it holds, and waiting for the disk."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from hub import Ingest, Invalid, LimitReached, Lines, Secret, Unavailable
from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.entries import Entry, by_source
from plugins.http_listener.refusals import Refused

SOURCE: Final = "http"
_UNAVAILABLE_AFTER: Final = 5.0  # seconds to wait when JetStream does not store
_BUSY_AFTER: Final = 1.0
_MOST_HOSTS: Final = 1_000  # of a request: they are stored one after the other
_FINISH: Final = 10.0  # seconds to store the rest of a request of which a part is stored


class Door:
    """Lets requests in, and stores what they bring."""

    def __init__(self, settings: HttpListenerSettings, ingest: Ingest) -> None:
        self._settings = settings
        self._ingest = ingest
        self._at_work: Counter[str] = Counter()  # by project

    @asynccontextmanager
    async def entered(self, request: web.Request) -> AsyncIterator[str]:
        """Give the project whose token the request has, and a place to work.

        Raises:
            Refused: it has none, or there is no place.
        """
        project = await self._project(request)
        if self._at_work.total() >= self._settings.requests:
            raise Refused(503, "too many requests are at work", after=_BUSY_AFTER)
        # Else one whose bodies come slowly would shut out all others.
        if self._at_work[project] >= max(self._settings.requests // 2, 1):
            raise Refused(503, "too many requests of this project are at work", after=_BUSY_AFTER)
        self._at_work[project] += 1
        try:
            yield project
        finally:
            self._at_work[project] -= 1
            if not self._at_work[project]:
                del self._at_work[project]

    async def _project(self, request: web.Request) -> str:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.headers.get("X-Isaax-Token", "")
        if not token.strip():
            raise Refused(401, "send a project's token: Authorization: Bearer isp_…")
        try:
            project = await self._ingest.project_of(Secret(token.strip()))
        except Unavailable as error:
            raise Refused(503, error.detail, after=_UNAVAILABLE_AFTER) from None
        if project is None:
            raise Refused(401, "the token is not that of a project")
        return project

    async def store(self, project: str, entries: Iterable[Entry], peer: str) -> None:
        """Store lines; returning says that they are on disk.

        Raises:
            Refused: they are not, or not all.
        """
        found = by_source(entries, peer)
        if len(found) > _MOST_HOSTS:
            raise Refused(413, f"a request has lines of at most {_MOST_HOSTS} hosts")
        is_first = True
        for (host, stream), lines in found.items():
            await self._submit(project, host, stream, lines, patience=0 if is_first else _FINISH)
            is_first = False

    async def _submit(
        self, project: str, host: str, stream: str, lines: Lines, *, patience: float
    ) -> None:
        """Store the lines of one host; wait a little where a repetition would double others."""
        deadline = time.monotonic() + patience
        while True:
            try:
                await self._ingest.submit(project, SOURCE, host, lines, stream=stream)
            except LimitReached as error:
                if time.monotonic() + error.retry_after > deadline:
                    raise Refused(429, error.detail, after=error.retry_after) from None
                await asyncio.sleep(error.retry_after)
            except Unavailable as error:
                raise Refused(503, error.detail, after=_UNAVAILABLE_AFTER) from None
            except Invalid as error:
                raise Refused(400, error.detail) from None
            else:
                return
