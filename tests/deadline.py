"""Wait for a condition instead of for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(
    condition: Callable[[], bool | Awaitable[bool]], *, timeout: float = 20.0, what: str = ""
) -> None:
    """Return as soon as `condition` holds.

    Args:
        timeout: seconds after which the test fails; what: it waited for, for the message.
    """
    deadline = time.monotonic() + timeout
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what or condition}"
        await asyncio.sleep(0.01)
