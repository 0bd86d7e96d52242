"""The life of a destination: made when it is first needed, closed, and made again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, cast

import structlog

from hub.destinations import (
    Destination,
    MetricDestination,
    StreamDestination,
    TellingStream,
)
from hub.relay.push import fenced, named

_log = structlog.stdlib.get_logger(__name__)

_CLOSE: Final = 10.0  # seconds that a destination may take to close

AnyDestination = Destination | MetricDestination
BuildDestination = Callable[[], AbstractAsyncContextManager[AnyDestination]]


class Life:
    """One destination at a time, with all that it needs.

    Args:
        build: makes the destination, and lets go of what it needs afterwards.
    """

    def __init__(self, integration: str, build: BuildDestination) -> None:
        self._integration = integration
        self._build = build
        self._needs: AsyncExitStack | None = None
        self.destination: AnyDestination | None = None
        self._tells: TellingStream | None = None

    async def begin(self) -> AnyDestination:
        """Make the destination.

        Raises:
            Exception: whatever its plugin raises.
        """
        needs = AsyncExitStack()
        try:
            with named(self._integration):
                self.destination = await needs.enter_async_context(self._build())
        except BaseException:
            await needs.aclose()
            raise
        self._needs = needs
        # Asked once: to look at a protocol's members takes long.
        self._tells = self.destination if isinstance(self.destination, TellingStream) else None
        return self.destination

    @property
    def under_way(self) -> int | None:
        """Bytes that are on their way to the peer; None where the destination cannot tell."""
        if self._tells is None:
            return None
        try:
            return self._tells.under_way
        except Exception:  # noqa: BLE001 - the boundary to plugins: such a one cannot tell
            return None

    async def end(self) -> bool:
        """Close the destination; say whether it closed well."""
        destination, self.destination, self._tells = self.destination, None, None
        needs, self._needs = self._needs, None
        if destination is None or needs is None:
            return False
        try:
            with named(self._integration):
                await fenced(destination.close(), _CLOSE)
        except Exception as error:  # noqa: BLE001 - the boundary to plugins
            _log.info(
                "the destination did not close well",
                integration=self._integration,
                error=type(error).__name__,
            )
            return False
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE):
                    await needs.aclose()
        return True

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Look at the connection of a `StreamDestination` meanwhile; the task ends when it is lost.

        Raises:
            ConnectionLost: it is.
        """
        with named(self._integration):
            lost = asyncio.create_task(_lost(cast("StreamDestination", self.destination)))
        try:
            yield lost
        finally:
            lost.cancel()
            await asyncio.sleep(0)  # enough for one that does not cling to life, and cheap
            if not lost.done():
                await asyncio.wait({lost}, timeout=1.0)
        if lost.done() and not lost.cancelled():
            raise ConnectionLost


class ConnectionLost(Exception):  # noqa: N818 - an event
    """The connection is gone, with what it had not confirmed."""


async def _lost(destination: StreamDestination) -> None:
    """Return when the connection is lost; a plugin that raises has lost it too."""
    with contextlib.suppress(Exception):
        await destination.wait_lost()
