"""What the conformance suite needs of a server, and the patience that it has."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from hub.outcomes import NotConnected, Retry

PATIENCE: Final = 15.0
"""Seconds within which everything here has to happen; none of it takes one."""

B_contra = TypeVar("B_contra", contravariant=True)


class Sends(Protocol[B_contra]):
    """What takes batches: a destination of lines, or one of metrics."""

    async def send(self, batch: B_contra) -> None:
        """Push one batch."""
        ...


class Receiver(Protocol):
    """A server that stands for the real destination, as the suite needs it."""

    @property
    def config(self) -> dict[str, Any]:
        """A config, as JSON values, that reaches this server."""
        ...

    def taken(self) -> list[str]:
        """The texts of the lines that arrived whole, in order, as the destination shows them."""
        ...

    def stall(self) -> None:
        """From now on, take and answer nothing."""
        ...

    def go_on(self) -> None:
        """End a `stall`."""
        ...

    async def end(self) -> None:
        """Go away at once: connections break, and new ones are refused."""
        ...


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it does not come true within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.005)


async def deliver(destination: Sends[B_contra], batch: B_contra) -> None:
    """Send a batch as the hub does: again after `Retry` and `NotConnected`."""
    for _ in range(5):
        try:
            async with asyncio.timeout(PATIENCE):
                await destination.send(batch)
        except (Retry, NotConnected):
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("the destination does not recover")
