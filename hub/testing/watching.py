"""Watches one destination under test as the hub does: its loop, its tasks, its outcomes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from hub.destinations import Tools
from hub.guard import Interrupted, PluginGuard, fence
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.testing.receiver import PATIENCE

BLOCKS: Final = 0.5
"""Seconds that a destination may hold up the event loop."""

_OUTCOMES: Final = (Retry, Rejected, Partial, NotConnected)


class Watched:
    """A destination whose every outcome is checked; all else is as it is."""

    def __init__(self, destination: Any) -> None:
        self._destination = destination

    def __getattr__(self, name: str) -> Any:
        return getattr(self._destination, name)

    async def send(self, batch: Any) -> None:
        """As the destination.

        Raises:
            AssertionError: what it raised is no outcome, or tells of lines that are not there.
        """
        try:
            await _in_time(self._destination.send(batch), "send")
        except Partial as partial:
            check_partial(partial, len(batch))
            raise
        except Interrupted as held_up:
            raise AssertionError(
                f"it blocks the event loop: {held_up.reason}; use asyncio.to_thread for slow work"
            ) from None
        except (*_OUTCOMES, AssertionError):
            raise
        except Exception as error:
            raise AssertionError(
                f"send raised {type(error).__name__}; say what came of it by Retry, Rejected, "
                f"Partial or NotConnected: {error}"
            ) from error

    async def close(self) -> None:
        """As the destination; AssertionError when it hangs."""
        await _in_time(self._destination.close(), "close")


async def _in_time(call: Coroutine[Any, Any, None], name: str) -> None:
    limit = asyncio.timeout(PATIENCE)
    try:
        async with limit:
            await call
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"{name} has not returned after {PATIENCE:g} s") from None
        raise


def check_partial(partial: Partial, size: int) -> None:
    """Check that a `Partial` tells of lines of the batch, and of each one thing.

    Raises:
        AssertionError: it does not.
    """
    rejected = [index for index, _ in partial.rejected]
    told = [*rejected, *partial.retry]
    strange = [index for index in told if not 0 <= index < size]
    assert not strange, f"Partial names lines that the batch of {size} does not have: {strange}"
    twice = sorted({index for index in told if told.count(index) > 1})
    assert not twice, f"Partial names lines more than once: {twice}"
    assert told, "Partial names no line: return from send when all was taken"


@asynccontextmanager
async def watched(
    tools: AbstractAsyncContextManager[Tools], make: Callable[[Tools], Any]
) -> AsyncIterator[Watched]:
    """Make a destination; in the end check that it held up nothing, and left nothing behind.

    Raises:
        AssertionError: it blocked the event loop, or a task of it is left.
    """
    stopped: list[str] = []
    guard = PluginGuard(lambda _plugin, why: stopped.append(why), limit=BLOCKS)
    async with guard.watching():
        async with guard.owning("int_loopback", "plugin") as owner, tools as handed:
            yield Watched(fence(lambda: make(handed), owner))
        await asyncio.sleep(0)
    notes = guard.notes.get("plugin")
    assert notes is None or not notes.blocked, (
        f"it blocks the event loop: {notes and notes.last}; use asyncio.to_thread for slow work"
    )
    assert notes is None or not notes.leaked, (
        f"after close, a task of it goes on: {notes and notes.last}; end it in close"
    )
