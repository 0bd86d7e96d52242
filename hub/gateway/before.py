"""What a thing was before a change, as its GET shows it: read ahead, and held to be what changes.

A thing with a version is changed only while it still has the version that was read. Where another
change came between, it is read again, and only then changed: so what is recorded as `before` is
what the change was made to. The comparison is the service's own, in the transaction of the change.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from hub.errors import IsaaxError, NotFound, PreconditionFailed
from hub.gateway.routing import AnyRoute, Table, is_list
from hub.routes import Call, Download, EventStream, Reply
from hub.structs import decode

PATIENCE: Final = 3.0
"""Seconds that reading may take, and for which it is read again and again."""
BETWEEN: Final = "another change may have come between what is shown as before and this one"

_log = structlog.stdlib.get_logger(__name__)

Handle = Callable[[Call[Any, Any]], Awaitable[Reply | EventStream | Download]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read.

    Args:
        body: None: nothing, or it could not be read; `notes` say why.
        version: "" where there is none.
        is_absent: there is no such thing.
    """

    body: Any = None
    version: str = ""
    is_absent: bool = False
    notes: tuple[str, ...] = ()


class Before:
    """Reads what a route is about to change.

    Args:
        reader: the GET that shows it; None where there is none.
    """

    def __init__(self, route: AnyRoute, reader: AnyRoute | None) -> None:
        self._route = route
        self._reader = reader

    @classmethod
    def of(cls, route: AnyRoute, table: Table) -> "Before":
        """Find the GET among all routes."""
        return cls(route, _reader_of(route, table))

    async def read(self, call: Call[Any, Any]) -> Seen:
        """Read what it is now."""
        if self._reader is None:
            return Seen()
        try:
            async with asyncio.timeout(PATIENCE):
                query = decode(self._reader.query, {})
                reply = await self._reader.handler(
                    replace(call, query=query, body=None, if_match=None, if_absent=False)
                )
        except NotFound:
            return Seen(is_absent=True)
        except (IsaaxError, TimeoutError) as error:
            return Seen(notes=(f"what was before could not be read: {type(error).__name__}",))
        except Exception:  # noqa: BLE001 - a plugin's GET; what is asked for is another thing
            _log.exception("what was before could not be read", route=self._route.path)
            return Seen(notes=("what was before could not be read",))
        return Seen(reply.body, reply.version or "") if isinstance(reply, Reply) else Seen()

    def held_to(self, seen: Seen, call: Call[Any, Any]) -> Call[Any, Any] | None:
        """Give the call for just what was seen; None where nothing can hold it to that."""
        wanted = call.versions
        if seen.is_absent and self._route.creates and wanted is None:
            return replace(call, if_absent=True)
        if not self._route.versioned or not seen.version:
            return None
        return (
            replace(call, if_match=(seen.version,))
            if wanted is None or seen.version in wanted
            else None
        )


class Change:
    """One change, and what the thing was before it.

    Args:
        seen: what was read; read again where it was another thing by then.
    """

    def __init__(self, before: Before, call: Call[Any, Any], seen: Seen) -> None:
        self._before = before
        self._call = call
        self.seen = seen

    async def make(self, handle: Handle) -> Reply | EventStream | Download:
        """Have it made, to just what was seen.

        Raises:
            PreconditionFailed: the thing is not what the client wants to change.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while (call := self._before.held_to(self.seen, self._call)) and loop.time() < until:
            try:
                return await handle(call)
            except PreconditionFailed:
                known, self.seen = self.seen, await self._before.read(self._call)
            if self.seen == known:
                break  # that was for another reason
        reply = await handle(self._call)
        if self.seen.version:
            self.seen = replace(self.seen, notes=(*self.seen.notes, BETWEEN))
        return reply


def _reader_of(route: AnyRoute, table: Table) -> AnyRoute | None:
    """Find the GET that shows what a route changes.

    It is that of the same path, or of what the path is below where that answers the same: as
    `/integrations/{id}` does for `/integrations/{id}/pause`. A list is not a thing.
    """
    if route.method == "GET":
        return None
    reader = table.get(route.path, {}).get("GET")
    if route.method == "POST":
        above = table.get(route.path.rpartition("/")[0], {}).get("GET")
        same = (one for one in (reader, above) if one and one.response is route.response)
        reader = next(same, None)
    if reader is None or reader.response is None or is_list(reader):
        return None
    return reader
